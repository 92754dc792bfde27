"""A page shown in the browser of this machine."""

from __future__ import annotations

import webbrowser
from pathlib import Path


def open_in_browser(page: Path) -> bool:
    """Open a page in the browser; returns whether there is one."""
    try:
        return webbrowser.open(page.resolve().as_uri())
    except webbrowser.Error:
        return False
