"""The Python of the tutorial, of the concepts and of the coming-from pages runs, block after block of a page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [
    DOCS / "tutorial.md",
    DOCS / "chips.md",
    *sorted((DOCS / "concepts").glob("*.md")),
    *sorted((DOCS / "coming-from").glob("*.md")),
]


def code(page: Path) -> str:
    """The blocks of a page as one program; examples that are put in from files have a test of their own."""
    return "\n".join(block for block in BLOCK.findall(page.read_text()) if "--8<--" not in block)


def test_every_coming_from_page_and_the_tutorial_have_code() -> None:
    without = {page.name for page in PAGES if not code(page)}
    assert not without & {"tutorial.md", *(page.name for page in (DOCS / "coming-from").glob("*.md"))}


@pytest.mark.parametrize("page", [page for page in PAGES if code(page)], ids=lambda page: page.stem)
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    program = tmp_path / f"{page.stem.replace('-', '_')}.py"
    program.write_text(code(page))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", str(program)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.strip() or "print(" not in code(page)


def test_a_wrong_block_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# Page\n\n```python\nprint("first")\n```\n\ntext\n\n```python\nfrom lightloom import nonsense\n```\n'
    )
    assert code(page) == 'print("first")\n\nfrom lightloom import nonsense\n'
