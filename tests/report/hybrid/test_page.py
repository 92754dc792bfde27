from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from lightloom.report import write_report
from lightloom.report.pictures.detection_gallery import matches, overlap
from lightloom.report.pictures.light import chosen, features, light_sheets, mask_sheets, planes
from lightloom.report.plots.costs import cost_plots, costs
from lightloom.report.plots.precision_recall import precision_plots
from lightloom.report.readers.hybrid import OpticalLayer
from lightloom.report.readers.run import read_run
from lightloom.schemas import Box, ScoredBox

HOSTILE = """<script>alert(1)</script>"'&{{ 7*7 }}$x^2$"""
HEADINGS = {
    "Comparison": "sweep.json",
    "What is found": "detections.json",
    "Precision and recall": "pr.json",
    "In the optics": "optics.safetensors",
    "Feature maps": "optics.safetensors",
    "Cost of one image, in two accounts": "hybrid.json",
}
MOST_BYTES = 4_000_000


def said(html: str) -> str:
    """The text of a page, its spaces made one."""
    return " ".join(re.sub(r"<[^>]+>", " ", html[html.index("<body") :]).split())


def headings(html: str) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]+)", html)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, write_hybrid_run: Callable[[Path], Path]) -> Path:
    """A run with its page, which no test changes."""
    folder = write_hybrid_run(tmp_path_factory.mktemp("whole") / "hybrid")
    write_report(folder)
    return folder


@pytest.fixture
def change(folder: Path) -> Callable[..., None]:
    """Changes one JSON file of the run by a function of its content."""

    def apply(name: str, function: Callable[[Any], Any]) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(function(content)))

    return apply


def test_a_whole_run_is_told_in_order_and_needs_nothing_else(whole: Path) -> None:
    html = (whole / "report.html").read_text()
    assert headings(html) == [*HEADINGS, "Run it again"]
    assert "http:" not in html and "https:" not in html and html.count("<script") == 1 and "<link" not in html
    loads = re.findall(r' (?:src|srcset)="([^"]*)"', html)
    assert loads and all(re.match(r"data:image/(jpeg|png|gif);base64,", load) for load in loads)
    alts = re.findall(r"<img[^>]* alt=\"([^\"]*)\"", html)
    assert len(alts) == html.count("<img") and all(alts)
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(set(ids)) == len(ids)
    assert write_report(whole).read_text() == html


def test_files_lie_beside_the_page(whole: Path) -> None:
    plots = whole / "plots"
    names = {file.name for file in plots.iterdir() if file.suffix != ".svg"}
    assert names == {
        *(f"detections-{number}.jpg" for number in range(4)),
        *(f"{kind}-{number}.png" for kind in ("light", "masks") for number in range(2)),
        *(f"light-{number}.gif" for number in range(2)),
        "features.png",
    }
    for name in names:
        with Image.open(plots / name) as picture:
            picture.load()
    assert {"precision-0.svg", "precision-classes.svg", "cost-published.svg", "cost-energy.svg"} <= {
        file.name for file in plots.glob("*.svg") if ElementTree.parse(file)
    }


@pytest.mark.parametrize("name", sorted(set(HEADINGS.values())))
def test_a_missing_file_leaves_its_sections_out(folder: Path, name: str) -> None:
    (folder / name).unlink()
    kept = [heading for heading, file in HEADINGS.items() if file != name]
    assert [heading for heading in headings(write_report(folder).read_text()) if heading in HEADINGS] == kept


def test_the_figures_say_which_case_is_what(whole: Path) -> None:
    html = (whole / "report.html").read_text()
    text = said(html)
    assert "“1 stage, taught” does best: AP 26.30 ± 0.40 % over 3 seeds, 3.5 points below" in text
    assert "that is 88.3 % of it." in text
    assert "Case AP Of baseline AP50 AP75 medium large recall Seeds electronic baseline teacher 29.80" in text
    assert "1 stage 24.90 ± 0.40 83.6 % 39.84 ± 0.64 24.90 ± 0.40 22.41 ± 0.36 34.86" in text
    assert "1 stage, taught taught by electronic 26.30 ± 0.40 88.3 % 42.08 ± 0.64" in text
    assert re.findall(r'<td class="right best"[^>]*>([\d.]+)', html)[:5] == [
        "42.08",
        "26.30",
        "23.67",
        "36.82",
        "39.45",
    ]
    assert "Validation AP by epoch" in text and "accuracy" not in text.lower()


def test_every_class_has_a_row(whole: Path) -> None:
    text = said((whole / "report.html").read_text())
    assert "AP by class / % (3)" in text
    assert "person 27.80 ± 0.40 22.90 ± 0.40 24.30 ± 0.40 car 29.80" in text


def test_a_measure_of_another_name_shows_every_figure(folder: Path, change: Callable[..., None]) -> None:
    other = {"measure": "NDS", "figures": {"NDS": 0.5, "mATE": 0.25}, "per_class": {}}
    change("sweep.json", lambda rows: [row | other for row in rows])
    text = said(write_report(folder).read_text())
    assert "NDS of each case" in text and "Case NDS Of baseline mATE Seeds" in text
    assert "COCO" not in text and "NDS by class" not in text


def test_what_is_found_is_counted(whole: Path) -> None:
    html = (whole / "report.html").read_text()
    text = said(html)
    assert "electronic 3 of 3 found, no false boxes 1 stage 2 of 3 found, 1 false box" in text
    assert 'alt="Boxes of 1 stage: person 0.95, car 0.85, dog 0.33. 2 of 3 found, 1 false box."' in html
    assert 'alt="What is there: 1 person, 1 car, 1 dog."' in html


def test_each_object_is_found_once() -> None:
    def box(*sides: float, label: int = 0) -> dict[str, Any]:
        return {"box": sides, "label": label}

    truth = [Box(**box(0, 0, 10, 10)), Box(**box(6, 0, 16, 10)), Box(**box(0, 0, 10, 10, label=1))]
    found = [ScoredBox(**box(*sides), score=score) for sides, score in (((0, 0, 10, 10), 0.9), ((1, 0, 11, 10), 0.8))]
    assert matches(truth, found) == 1  # the second overlaps the first object, which is taken
    assert matches(truth, [*found, ScoredBox(**box(0, 0, 10, 10, label=1), score=0.1)]) == 2
    assert overlap(truth[0], truth[1]) == pytest.approx(40 / 160)
    assert overlap(Box(**box(1, 1, 1, 1)), Box(**box(1, 1, 1, 1))) == 0


def test_the_page_stays_small_with_many_cases_and_large_optics(folder: Path, made: SimpleNamespace) -> None:
    draw = np.random.default_rng(0)
    listed = made.detections(folder, 7)
    for number, entry in enumerate(listed["images"]):
        noise = draw.integers(0, 255, (420, 560, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "pictures" / f"{number}.jpg", quality=50)
        entry |= {"width": 560, "height": 420, "cases": {f"case {index}": [] for index in range(9)}}
    (folder / "detections.json").write_text(json.dumps(listed))
    tensors = {
        f"case {index}|conv|{kind}": draw.uniform(0, 1, shape).astype(np.float32)
        for index in range(4)
        for kind, shape in (("masks", (5, 2, 300, 300)), ("light", (4, 400, 400)))
    }
    made.save_optics(folder, tensors)
    page = write_report(folder)
    assert page.stat().st_size < MOST_BYTES
    text = said(page.read_text())
    assert "every other pixel is shown" in text and "Image 6" in text and "Image 7" not in text
    assert "case 6" in text and "case 7" not in text


def test_the_optics_tell_their_lengths_and_where_the_light_goes(folder: Path) -> None:
    layers = chosen(read_run(folder))
    sheet, _ = light_sheets(layers)
    assert [tile.title for tile in sheet.tiles] == [*planes(4), "as read", "on its way"]
    assert [tile.note.replace("\u00a0", " ") for tile in sheet.tiles[1:4]] == [
        f"after {length} µm, 100.0 % of the light" for length in (100, 200, 300)
    ]
    assert "84.0\u00a0µm high" in sheet.caption
    masks, _ = mask_sheets(layers)
    assert masks.caption.replace("\u00a0", " ").startswith("24 × 24 pixels of 1.75 µm, for light of 1.05 µm; mixing")
    assert len(masks.tiles) == 4 * 2
    with Image.open(BytesIO(sheet.files["light-0.gif"])) as moving:
        assert moving.n_frames == 4  # type: ignore[attr-defined]


def test_planes_are_named_along_the_light() -> None:
    assert planes(4) == ["input", "at mask 1", "at mask 2", "at the detector"]
    assert planes(2) == ["input", "at the detector"] and planes(1) == ["input"]


def test_a_turn_more_is_the_same_phase() -> None:
    turns = np.random.default_rng(1).uniform(0.1, 0.9, (1, 1, 4, 4))
    one, other = (mask_sheets([OpticalLayer("a", "b", masks=phases)])[0] for phases in (turns, turns - 3))
    assert one.tiles[0].source == other.tiles[0].source


def test_feature_maps_stand_in_the_order_of_the_cases(folder: Path, made: SimpleNamespace) -> None:
    found = features(read_run(folder))
    assert found is not None
    assert [row.case for row in found.rows] == list(made.cases) and found.stages == ("s1", "s2", "s3", "s4")


def test_the_area_below_a_curve_is_told(folder: Path, change: Callable[..., None]) -> None:
    recall = [index / 100 for index in range(101)]
    straight = {"case": "a", "class": "all", "iou": 0.5, "recall": recall, "precision": [1 - r for r in recall]}
    change("pr.json", lambda _: {"curves": [straight, straight | {"class": "dog", "precision": [1.0] * 101}]})
    whole, single = precision_plots(read_run(folder))
    assert whole.label.replace("\u00a0", " ").endswith("Areas: a 50.0 %.")
    assert single.label.replace("\u00a0", " ").endswith("Areas: dog: a 100.0 %.")


def test_both_accounts_are_told_apart(whole: Path, made: SimpleNamespace) -> None:
    run = read_run(whole)
    found = costs(run)
    assert found is not None and found.baseline == made.teacher
    shares = [(row.macs.replace("\u00a0", " "), row.parameters.replace("\u00a0", " ")) for row in found.rows]
    assert shares == [("", ""), ("66.2 %", "24.7 %"), ("66.2 %", "24.7 %")]
    published, energy, latency = cost_plots(run)
    assert "Light counts as nothing." in published.caption
    assert "1 stage: optics 200\u00a0µJ, with converters 40.0\u00a0mJ, whole detector 550\u00a0mJ" in energy.label
    assert "electronic: whole detector 490\u00a0mJ" in energy.label and "12.2\u00a0ms" in latency.label
    text = said((whole / "report.html").read_text())
    assert "1 stage 3 1.63 M (24.7 %) 2.67 G (66.2 %) 235 929 600 73 728 73 728" in text
    assert "Paths are shown one after the other." in text and "100 pJ/pixel assumed" in text


def _poison(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: item if key == "file" else _poison(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_poison(item) for item in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) and value not in ("AP", "all") else value


def test_hostile_text_is_shown_and_never_runs(folder: Path, change: Callable[..., None], made: SimpleNamespace) -> None:
    for name in ("sweep.json", "detections.json", "pr.json", "hybrid.json"):
        change(name, _poison)
    change(
        "sweep.json",
        lambda rows: [row | {"per_class": {f"{name}{HOSTILE}": 0.5 for name in row["per_class"]}} for row in rows],
    )
    made.save_optics(folder, {f"{HOSTILE}{name}": tensor for name, tensor in made.optics().items()})
    html = write_report(folder).read_text()
    assert html.count("<script") == 1 and html.count("&lt;script") > 60 and "49$x" not in html
    for file in (folder / "plots").glob("*.svg"):
        assert ElementTree.parse(file).getroot().tag.endswith("svg")


def test_one_seed_one_case_and_empty_pictures_make_a_page(folder: Path, change: Callable[..., None]) -> None:
    change("sweep.json", lambda rows: rows[:1])
    change(
        "detections.json",
        lambda listed: listed | {"images": [entry | {"truth": [], "cases": {}} for entry in listed["images"]]},
    )
    change("hybrid.json", lambda _: {"cases": [{"case": "alone", "published": {"macs": 0}}]})
    text = said(write_report(folder).read_text())
    assert "truth no objects" in text and "nan" not in text.lower()
