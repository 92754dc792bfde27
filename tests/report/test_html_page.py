from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightloom.report import write_report
from lightloom.report.html_page import datum, headings, page
from lightloom.report.svg import DARK, LIGHT

HOSTILE = """</script><script>alert(1)</script>"'&"""


def test_the_policy_lets_the_one_script_run_and_nothing_load(run_folder: Path) -> None:
    html = write_report(run_folder).read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert found is not None
    policy = dict(part.strip().split(" ", 1) for part in unescape(found[1]).split(";"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy["default-src"] == "'none'" and policy["script-src"] == f"'sha256-{digest}'"
    assert policy["img-src"] == "data:" and policy["style-src"] == "'unsafe-inline'"
    for reach in (
        "fetch(",
        "XMLHttpRequest",
        "WebSocket",
        "import(",
        "eval(",
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
    ):
        assert reach not in script
    assert html.index("Content-Security-Policy") < html.index("<style>")


def test_every_section_is_in_the_contents_and_has_a_link_to_itself(run_folder: Path) -> None:
    html = write_report(run_folder).read_text()
    nav = html[html.index("<nav") : html.index("</nav>")]
    sections = re.findall(r'<h2 id="([\w-]+)">([^<]+)</h2>', html)
    assert re.findall(r'<a href="#([\w-]+)">([^<]+)</a>', nav) == sections
    assert re.findall(r'<a href="#([\w-]+)" aria-label="Link to ([^"]+)">', html) == sections


def test_a_heading_is_escaped_once() -> None:
    body = '<main id="content"><h2 id="h-a">a &lt;b&gt; &amp; &#34;c&#34;</h2></main>'
    assert [heading.id for heading in headings(body)] == ["h-a"]
    html = page(HOSTILE, body)
    assert html.count("<script") == 1 and "&amp;lt;" not in html and "&amp;amp;" not in html
    assert unescape(re.findall(r'aria-label="Link to ([^"]+)"', html)[0]) == 'a <b> & "c"'
    assert f"<title>{HOSTILE}" not in html and HOSTILE in unescape(html)


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (0.981, ' data-value="0.981"'),
        (4.182e-8, ' data-value="4.182e-08"'),
        (5184, ' data-value="5184"'),
        (SimpleNamespace(mean=0.5, std=0.1), ' data-value="0.5"'),
        (SimpleNamespace(mean=None), ""),
        (None, ""),
        (float("nan"), ""),
        (float("inf"), ""),
        (True, ""),
        ('1" onclick="x', ""),
    ],
)
def test_the_number_that_a_cell_is_sorted_by(value: object, attribute: str) -> None:
    assert datum(value) == attribute


def test_every_shown_number_of_a_run_can_be_sorted(run_folder: Path, pcm_folder: Path) -> None:
    for folder in (run_folder, pcm_folder):
        html = write_report(folder).read_text()
        bare = re.findall(r'<td class="right">([^<]*)', html)
        assert not [text for text in bare if text.strip() not in ("–", "", "never")]


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_text_on_colour_can_be_read(palette: dict[str, str]) -> None:
    def luminance(colour: str) -> float:  # WCAG 2.2, relative luminance
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ground in ("ink", "accent", "programmed"):  # of the tooltip and of the keys of a comparison
        low, high = sorted((luminance(palette["surface"]), luminance(palette[ground])))
        assert (high + 0.05) / (low + 0.05) >= 4.5
