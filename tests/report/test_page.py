from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from lightloom.report import write_report
from lightloom.report.svg import DARK, LIGHT

HOSTILE = """<script>alert(1)</script>"'&{{ 7*7 }}$x^2$"""
VOID = {"meta", "br", "hr", "img", "link", "input"}
HEADINGS = {
    "Accuracy by stage": "summary.json",
    "Learning curves": "metrics.jsonl",
    "Phases on the mesh": "phases.safetensors",
    "Error of the weights": "layers.json",
    "Cost of one inference": "cost.json",
    "Layers": "layers.json",
    "Run it again": "config.yaml",
}


class Walk(HTMLParser):
    """Reads a page as a browser would: refuses unbalanced tags, keeps ids, loads and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.loads: list[str] = []
        self.labels: list[str] = []
        self.headings: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.text.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action", "data"):
                (self.references if (value or "").startswith("#") else self.loads).append(value or "")
            if name == "aria-label" and tag == "svg":
                self.labels.append(value or "")
            self.references += re.findall(r"url\((#[^)]*)\)", value or "")
            if name == "style":
                assert "http" not in (value or "")


def page(folder: Path) -> Walk:
    return Walk(write_report(folder).read_text())


def said(walk: Walk) -> str:
    """The page's text with every kind of space made one."""
    return " ".join(" ".join(walk.text).split())


def test_a_whole_run_shows_every_section_in_order(run_folder: Path) -> None:
    walk = page(run_folder)
    assert walk.headings == list(HEADINGS)
    assert walk.seen.count("svg") == 1 + 4 + 4 + 1 + 2
    assert all(walk.labels) and len(walk.labels) == walk.seen.count("svg") == walk.seen.count("figure")


@pytest.mark.parametrize("name", sorted({*HEADINGS.values(), "chip.json", "specimen.json", "versions.json"}))
def test_a_missing_file_leaves_its_sections_out(run_folder: Path, name: str) -> None:
    (run_folder / name).unlink()
    kept = [heading for heading, file in HEADINGS.items() if file != name or heading == "Run it again"]
    if name == "layers.json":
        kept = [heading for heading in kept if heading not in ("Layers", "Error of the weights")]
    assert page(run_folder).headings == kept


@pytest.mark.parametrize("name", sorted(set(HEADINGS.values()) | {"chip.json", "specimen.json", "versions.json"}))
def test_one_file_alone_makes_a_page(run_folder: Path, name: str) -> None:
    for file in run_folder.iterdir():
        if file.name != name:
            file.unlink()
    expected = [heading for heading, file in HEADINGS.items() if file == name]
    if name in ("summary.json", "chip.json", "specimen.json"):
        expected.append("Run it again")
    assert page(run_folder).headings == expected


def test_the_story_and_the_key_figures(run_folder: Path) -> None:
    text = said(page(run_folder))
    assert "98.1 % electronic, 11.1 % when programmed onto specimen 0, 97.2 % after learning on the chip." in text
    assert "Accuracy recovered 86.1 points of the 87.0 lost when programmed; now 97.2 %" in text
    assert "Chip calls per inference 33 and 1 284 096 spent once, on learning" in text
    assert "Energy per inference 41.8 nJ boundary: with laser wall plug" in text
    assert "Latency per inference 165 ns boundary: with laser wall plug" in text
    assert "The dashed line is a blind guess: 10.0 %." in text
    assert "lightloom run onchip/digits --seed 0" in text


def test_more_may_be_recovered_than_was_lost(run_folder: Path, change: Callable[..., None]) -> None:
    change("summary.json", accuracy={"electronic": 0.989, "programmed": 0.981, "learned": 0.995})
    assert "1.4 points where 0.8 were lost when programmed; now 99.5 %" in said(page(run_folder))


def test_the_tables_hold_the_numbers(run_folder: Path, made: SimpleNamespace) -> None:
    text = said(page(run_folder))
    for shown in (
        "820 pJ",
        "5 184",
        "2.55 pJ/sample",
        "0.25 dB",
        "1 × 4 × 16 of 9 × 9",
        "1.30 × 10⁻¹³",
        "0.0951",
        "MZIs",
        "Weight error",
    ):
        assert shown in text
    assert "Cells" not in text and "Rounding" not in text
    assert "electronics: a norm has no matrix; it stays electronic and keeps learning" in text
    assert "learn.feedback.keep 0.6" in text and "1 min 35 s" in text
    assert "Liu et al., ISSCC 2022" in text and made.cost()["assumptions"][0] in text


def test_a_run_that_only_trained_claims_no_chip(run_folder: Path, change: Callable[..., None]) -> None:
    change("summary.json", accuracy={"electronic": 0.981}, learning={}, energy_j=None)
    (run_folder / "cost.json").unlink()
    text = said(page(run_folder))
    assert "98.1 % electronic." in text and "Accuracy 98.1 % electronic" in text
    for absent in ("recovered", "Energy per inference", "singular values", "spent once"):
        assert absent not in text


def test_stages_to_come_show_in_order_each_in_its_colour(run_folder: Path, change: Callable[..., None]) -> None:
    stages = {
        "electronic": 0.98,
        "programmed": 0.1,
        "calibrated": 0.8,
        "mapped": 0.9,
        "learned": 0.97,
        "reordered": 0.97,
        "aged": 0.96,
    }
    change("summary.json", accuracy=stages)
    html = write_report(run_folder).read_text()
    dots = re.findall(r'class="dot" style="background: var\(--([\w-]+)\)"></span>(\w+)', html)
    assert [stage for _, stage in dots] == list(stages)
    assert len({role for role, _ in dots}) == len(stages)
    assert "80.0\u00a0% after calibrating specimen 0, 90.0\u00a0% after mapping onto specimen 0" in html
    assert "97.0\u00a0% after learning on the chip, unchanged by reordering" in html
    assert "96.0\u00a0% after stage “aged”." in html


def test_energy_without_a_cost_file_says_that_its_boundary_is_unknown(run_folder: Path) -> None:
    (run_folder / "cost.json").unlink()
    assert "Energy per inference 41.8 nJ boundary not recorded" in said(page(run_folder))


def test_overrides_join_the_command(run_folder: Path, change: Callable[..., None]) -> None:
    change("summary.json", overrides=["train.epochs=5", "data.note=two words"])
    text = said(page(run_folder))
    assert "lightloom run onchip/digits train.epochs=5 'data.note=two words' --seed 0" in text
    assert "One that was changed" not in text


def test_nothing_is_loaded_from_elsewhere(run_folder: Path) -> None:
    html = write_report(run_folder).read_text()
    walk = Walk(html)
    assert not re.search(r"https?:", html) and "@import" not in html
    assert walk.seen.count("script") == 1 and "link" not in walk.seen
    assert all(load.startswith("data:image/png;base64,") for load in walk.loads)


def test_ids_are_unique_and_references_hit(run_folder: Path) -> None:
    walk = page(run_folder)
    assert len(set(walk.ids)) == len(walk.ids) > 100
    assert {reference[1:] for reference in walk.references} <= set(walk.ids)


def test_plots_follow_the_theme_and_files_stand_alone(run_folder: Path) -> None:
    html = write_report(run_folder).read_text()
    used = set(re.findall(r"var\(--([\w-]+)\)", html))
    assert used <= set(LIGHT) and set(LIGHT) == set(DARK)
    inside = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert not re.findall(r"(?:fill|stroke): #", inside)
    files = sorted((run_folder / "plots").glob("*.svg"))
    assert len(files) == inside.count("<svg")
    for file in files:
        text = file.read_text()
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert "var(--" not in text and LIGHT["muted"] in text


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_contrast(palette: dict[str, str]) -> None:
    def luminance(colour: str) -> float:  # WCAG 2.2, relative luminance
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(palette[one]), luminance(palette[other])))
        return (high + 0.05) / (low + 0.05)

    for text in ("ink", "muted", "accent"):
        assert min(contrast(text, "page"), contrast(text, "surface")) >= 4.5
    for mark in ("electronic", "programmed", "calibrated", "mapped", "learned", "reordered", "other-0", "other-1"):
        assert contrast(mark, "surface") >= 3


def test_the_same_folder_gives_the_same_bytes(run_folder: Path) -> None:
    first = write_report(run_folder).read_bytes()
    plots = {file.name: file.read_bytes() for file in (run_folder / "plots").iterdir()}
    assert write_report(run_folder).read_bytes() == first
    assert {file.name: file.read_bytes() for file in (run_folder / "plots").iterdir()} == plots


def _poison(value: Any) -> Any:
    """Every string, and every key that a user chooses, made hostile but still distinct."""
    if isinstance(value, dict):
        return {key: _poison(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_poison(item) for item in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


def test_hostile_text_is_shown_and_never_runs(run_folder: Path, made: SimpleNamespace) -> None:
    for name in ("layers.json", "cost.json", "chip.json", "specimen.json", "versions.json"):
        (run_folder / name).write_text(json.dumps(_poison(json.loads((run_folder / name).read_text()))))
    poisoned = _poison(made.summary())
    for field in ("accuracy", "seconds"):
        poisoned[field] = {f"{stage}{HOSTILE}": value for stage, value in made.summary()[field].items()}
    (run_folder / "summary.json").write_text(json.dumps(poisoned))
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    (run_folder / "metrics.jsonl").write_text("".join(json.dumps(_poison(line)) + "\n" for line in lines))
    settings = {f"{key}{HOSTILE}": _poison(value) for key, value in made.config().items()}
    (run_folder / "config.yaml").write_text(yaml.safe_dump(settings))
    made.save_phases(run_folder, [layer["name"] + HOSTILE for layer in made.layers() if layer["converted"]])
    walk = page(run_folder)
    assert walk.seen.count("script") == 1
    assert len(set(walk.ids)) == len(walk.ids)
    assert "".join(walk.text).count(HOSTILE) > 60
    assert "{{ 7*7 }}" in HOSTILE and "49$x" not in "".join(walk.text)
    assert any(HOSTILE in label for label in walk.labels)  # read back whole through the attribute's escapes
    drawn = [text for text in walk.text if text.startswith("…") and text.endswith("}}$x^2$")]
    assert len(drawn) >= 10  # inside the plots, where long names keep their end


def test_text_that_looks_like_svg_plumbing_stays_as_it_is(run_folder: Path, change: Callable[..., None]) -> None:
    names = ["url(#a)", ' id="b', 'href="#c', "#000f00"]
    change("summary.json", accuracy=dict.fromkeys([*names, "learned"], 0.5))
    walk = page(run_folder)
    for name in names:
        assert walk.text.count(name) == 2  # once in the plot, once in the table


def test_many_layers_with_long_names(run_folder: Path, made: SimpleNamespace) -> None:
    many = [
        made.layers()[0] | {"name": f"backbone.stage{index}.blocks.{index}.attention.projection"} for index in range(40)
    ]
    (run_folder / "layers.json").write_text(json.dumps(many))
    text = said(page(run_folder))
    assert "The first 16 layers on the chip." in text
    assert text.count("backbone.stage39.") == 2


def test_missing_and_infinite_numbers_become_dashes(run_folder: Path, change: Callable[..., None]) -> None:
    (run_folder / "metrics.jsonl").write_text(
        '{"stage": "train", "epoch": 1, "loss": 2.0}\n'
        '{"stage": "train", "epoch": 2, "loss": NaN}\n'
        '{"stage": "train", "epoch": 3, "loss": 1.0}\n'
    )
    change("summary.json", accuracy={"electronic": None, "programmed": 0.0}, latency_s=float("inf"))
    change("cost.json", parts={"laser": 0.0}, boundaries=[{"name": "optics"}])
    walk = page(run_folder)
    assert "nan" not in said(walk).lower().replace("resonan", "")
    assert "Line of loss over 3 epochs of train: training from 2.00 to 1.00." in walk.labels


def test_chip_fields_are_listed(run_folder: Path, made: SimpleNamespace) -> None:
    text = said(page(run_folder))
    for field, value in made.chip().items():
        assert f"{field} {value if isinstance(value, str) else json.dumps(value)}" in text


def test_calls_on_the_bench_stand_beside_the_stage_that_they_led_to(run_folder: Path) -> None:
    summary = json.loads((run_folder / "summary.json").read_text())
    assert "Bench calls" not in write_report(run_folder).read_text()
    summary["accuracy"] = {"electronic": 0.98, "programmed": 0.1, "calibrated": 0.97}
    summary["bench_calls"] = {"calibrated": 24}
    (run_folder / "summary.json").write_text(json.dumps(summary))
    page = write_report(run_folder).read_text()
    assert "Bench calls" in page
    row = page[page.index("</span>calibrated</th>") :]
    assert '<td class="right" data-value="24">24</td></tr>' in row[: row.index("</tr>") + 5]
