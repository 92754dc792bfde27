"""Where downloads and compiled kernels are kept between runs."""

from __future__ import annotations

import getpass
import os
import tempfile
from pathlib import Path


def user_cache() -> Path:
    """The user's folder for what programs keep: `XDG_CACHE_HOME`, else `~/.cache`.

    A user without a home, as in containers that run under a bare number, has a folder of their own among the temporary
    ones.
    """
    shared = os.environ.get("XDG_CACHE_HOME")
    if shared:
        return Path(shared)
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return Path(tempfile.gettempdir()) / f"cache-{_user()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a number without a name
        return str(os.getuid()) if hasattr(os, "getuid") else "user"
