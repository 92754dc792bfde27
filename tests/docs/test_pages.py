"""Links and pictures of the pages lead somewhere, the navigation has every page, tables have every recipe and room."""

from __future__ import annotations

import re
import struct
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightloom.recipes import RECIPES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its code, inline or not."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """Ids of the headings, as Python-Markdown makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
        found.add(re.sub(r"[-\s]+", "-", plain))
    return found


def links(page: Path) -> list[tuple[bool, str, str]]:
    """Whether it is a picture, its text, and where it leads, of every link inside of the repository."""
    found = [(bool(mark), text, target) for mark, text, target in LINK.findall(prose(page))]
    return [link for link in found if not re.match(r"[a-z]+:", link[2])]


@pytest.mark.parametrize("page", TEXTS, ids=named)
def test_links_and_pictures_resolve(page: Path) -> None:
    for picture, text, target in links(page):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{named(page)} leads to `{target}`"
        assert not picture or len(text) > 10, f"{named(page)}: `{target}` says too little to who cannot see it"
        if anchor:
            assert anchor in anchors(place), f"{named(page)}: `{path}` has no heading `{anchor}`"


def test_pictures_are_what_their_names_say() -> None:
    for path in (DOCS / "assets").iterdir():
        head = path.read_bytes()[:512]
        if path.suffix == ".png":
            assert head[:8] == b"\x89PNG\r\n\x1a\n"
            assert struct.unpack(">I", head[16:20])[0] <= 1600, f"{path.name} is wider than a page ever shows"
        elif path.suffix == ".svg":
            assert b"<svg" in head or b"<?xml" in head


def test_every_picture_is_shown() -> None:
    shown = {Path(target).name for page in TEXTS for picture, _, target in links(page) if picture}
    kept = {path.name for path in (DOCS / "assets").iterdir() if path.suffix != ".css"}
    assert kept <= shown, kept - shown


def navigation() -> list[str]:
    def leaves(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [leaf for part in (entry.values() if isinstance(entry, dict) else entry) for leaf in leaves(part)]

    return leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])


def test_the_navigation_has_every_page_once() -> None:
    listed = navigation()
    assert len(listed) == len(set(listed))
    assert set(listed) == {str(page.relative_to(DOCS)) for page in PAGES}


def recipe_rows() -> dict[str, str]:
    text = (DOCS / "recipes.md").read_text()
    return dict(re.findall(r"^\| `([a-z0-9]+/[a-z0-9-]+)` \|(.*)$", text, re.MULTILINE))


def test_the_recipe_table_has_every_recipe() -> None:
    assert set(recipe_rows()) == set(RECIPES)


def test_a_recipe_has_a_figure_and_a_command_or_says_that_it_has_none() -> None:
    for name, row in recipe_rows().items():
        _, data, measured, time, command = (cell.strip() for cell in row.strip().removesuffix("|").split("|"))
        assert data
        assert f"lightloom run {name}" in command or "](" in command, name
        assert ("not measured" in measured) == (not time), (
            f"{name}: a figure has a time, `not noted` where none was kept"
        )
        assert re.search(r"\d|not measured|]\(", measured), name


def test_the_map_of_the_house_has_every_room() -> None:
    rooms = {path.name for path in (ROOT / "src" / "lightloom").iterdir() if path.suffix == ".py" or path.is_dir()}
    rooms -= {"__init__.py", "__main__.py", "__pycache__"}
    text = (DOCS / "house.md").read_text()
    missing = {room for room in rooms if f"`{room}`" not in text and f"`{room}/`" not in text}
    assert not missing


NAME = re.compile(
    r"`((?:bench|chips|config|cost|data|explore|export|lab|learn|metrics|nn|physics|report|tasks)\.[\w.]+)"
)


@pytest.mark.parametrize(
    "page", [*sorted((DOCS / "coming-from").glob("*.md")), *sorted((DOCS / "concepts").glob("*.md"))], ids=named
)
def test_names_of_the_library_exist(page: Path) -> None:
    for name in NAME.findall(page.read_text()):
        if name.endswith(".json"):
            continue
        room, *rest = name.rstrip(".").split(".")
        found: Any = import_module(f"lightloom.{room}")
        for part in rest:
            if not hasattr(found, part):
                assert hasattr(found, "__path__"), f"{named(page)}: there is no `{name}`"
                import_module(f"{found.__name__}.{part}")
            found = getattr(found, part)


KEYS = re.compile(r"`((?:detect3d|detect|optics|writes|chip|bench|train|learn)\.[a-z_0-9.]+)(?:=[^`]*)?`")


@pytest.mark.parametrize("page", sorted((DOCS / "coming-from").glob("*.md")), ids=named)
def test_keys_of_a_config_exist(page: Path) -> None:
    from lightloom.chips import DIFFRACTIVE, PRESETS
    from lightloom.recipes import resolve

    known = resolve("onchip/digits")
    chips = [*PRESETS.values(), *DIFFRACTIVE.values()]
    for key in KEYS.findall(page.read_text()):
        first, *rest = key.split(".")
        holders: list[Any] = chips if first == "chip" else [getattr(known, first)]
        if first in ("learn", "bench") and not any(hasattr(known, first) and hasattr(h, rest[0]) for h in holders):
            continue  # a name of a room, which another test looks for
        assert any(_reaches(holder, rest) for holder in holders), f"{named(page)}: there is no key `{key}`"


def _reaches(holder: Any, path: list[str]) -> bool:
    for part in path:
        if not hasattr(holder, part):
            return False
        holder = getattr(holder, part)
    return True
