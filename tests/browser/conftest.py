"""Pages in a real browser: built from the run folders of the report's tests, opened from the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lightloom.report import compare, write_report

OFFLINE = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


@dataclass
class Opened:
    """A page and all that it said and asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests of a module: a driver that stays would keep an event loop running for others."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs the package `playwright`")
    chromium = os.environ.get("LIGHTLOOM_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs `chromium`, or its path in LIGHTLOOM_CHROMIUM")
    with driver.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(OFFLINE))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run on meshes, one on a PCM chip, and the comparison of both."""
    made, folder = _makers(), tmp_path_factory.mktemp("pages")
    mesh, pcm = made.write_run(folder / "mesh"), made.write_pcm_run(folder / "pcm")
    return {
        "mesh": write_report(mesh),
        "pcm": write_report(pcm),
        "compared": compare(mesh, pcm, folder / "compared.html"),
    }


@pytest.fixture
def visit(browser: Any, pages: dict[str, Path]) -> Iterator[Callable[..., Opened]]:
    """Opens a page by name: `visit("mesh", width=390, color_scheme="dark")`; other words go to the context."""
    contexts = []

    def open_page(name: str, width: int = 1440, height: int = 900, **settings: Any) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.goto(pages[name].as_uri())
        return opened

    yield open_page
    for context in contexts:
        context.close()


def _makers() -> ModuleType:
    """The functions that write run folders, from beside the tests of the report."""
    spec = spec_from_file_location("run_folders", Path(__file__).parents[1] / "report" / "conftest.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
