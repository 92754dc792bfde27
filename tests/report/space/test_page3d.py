from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from lightloom.report import write_report
from lightloom.report.pictures.boxes3d import wires
from lightloom.report.pictures.multi_camera import around, surround
from lightloom.report.plots.precision_recall import precision3d_plots
from lightloom.report.readers.detection3d import MOST_SAMPLES
from lightloom.report.readers.run import read_run
from lightloom.schemas import SpacePrecision

HOSTILE = """<script>alert(1)</script>"'&{{ 7*7 }}$x^2$"""
HEADINGS = {
    "Comparison": "sweep.json",
    "Around the vehicle": "detections3d.json",
    "Precision and recall in space": "pr3d.json",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, write_space_run: Callable[[Path], Path]) -> Path:
    """A run with its page, which no test changes."""
    folder = write_space_run(tmp_path_factory.mktemp("whole") / "space")
    write_report(folder)
    return folder


def said(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html[html.index("<body") :]).split())


def headings(html: str) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]+)", html)


def test_a_whole_run_is_told_in_order_and_needs_nothing_else(whole: Path) -> None:
    html = (whole / "report.html").read_text()
    assert headings(html) == [*HEADINGS, "Run it again"]
    assert html.count("<script") == 1 and "<link" not in html
    assert not re.search(r"https?(?=:)(?!://www\.w3\.org/2000/svg)", html)
    loads = re.findall(r' (?:src|srcset|href)="([^"]*)"', html)
    assert loads and all(re.match(r"data:image/(jpeg|png);base64,|#", load) for load in loads)
    alts = re.findall(r"<img[^>]* alt=\"([^\"]*)\"", html)
    assert len(alts) == html.count("<img") and all(alts)
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(set(ids)) == len(ids)
    assert write_report(whole).read_text() == html


def test_files_lie_beside_the_page(whole: Path) -> None:
    names = {file.name for file in (whole / "plots").iterdir()}
    assert {f"cameras-{sample}-{case}.jpg" for sample in range(2) for case in range(4)} <= names
    assert {"ground-0.png", "ground-1.png", "precision3d-distances.svg", "precision3d-classes.svg"} <= names
    birds = {f"bird-{sample}-{case}.svg" for sample in range(2) for case in range(4)}
    assert birds <= names
    for name in birds:
        assert ElementTree.parse(whole / "plots" / name).getroot().tag.endswith("svg")
    with Image.open(whole / "plots" / "cameras-0-0.jpg") as picture:
        assert picture.size[0] > 3 * 480


@pytest.mark.parametrize("name", [*HEADINGS.values(), "ground.safetensors"])
def test_a_missing_file_leaves_its_section_out(folder: Path, name: str) -> None:
    (folder / name).unlink()
    html = write_report(folder).read_text()
    assert [heading for heading in headings(html) if heading in HEADINGS] == [
        heading for heading, file in HEADINGS.items() if file != name
    ]
    assert ("Maps of the ground" in html) == (name not in ("ground.safetensors", "detections3d.json"))


def test_the_figures_are_held_against_the_baseline_and_the_teacher(whole: Path) -> None:
    html = (whole / "report.html").read_text()
    text = said(html)
    assert "“student, taught” does best: NDS 44.00 ± 1.00 % over 3 seeds, 4.0 points above “student”" in text
    assert "Case NDS Of baseline Of teacher mAP mATE mASE mAOE mAVE mAAE Seeds" in text
    assert "expert teacher 50.00 ± 1.00 125.0 % – 40.00 ± 1.00 0.500 ± 0.000 0.100" in text
    assert "student baseline 40.00 ± 1.00 100.0 % 80.0 % 30.00 ± 1.00 0.700" in text
    assert "student, taught taught by expert 44.00 ± 1.00 110.0 % 88.0 % 34.00 ± 1.00 0.620" in text
    assert "1.400 ± 0.000" in text and "in units of their own" in text and "mAVE) in m/s" in text
    assert "AP by class / % (4) Class expert student student, taught car 50.00 ± 1.00" in text


def test_less_of_an_error_is_better(folder: Path, change: Callable[..., None], made: SimpleNamespace) -> None:
    other = {made.plain: 0, made.taught: 1, made.teacher: 2}

    def second(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        more = [
            made.row(made.taught, seed) | {"case": "worse", "figures": {"mAP": 0.1, "mATE": 0.9}} for seed in range(3)
        ]
        return [*(line for line in rows if line["case"] in other), *more]

    change("sweep.json", second)
    html = write_report(folder).read_text()
    # the teacher and the baseline stand aside: of the two that are taught, one is best in both
    assert re.findall(r'<td class="right best"[^>]*>([\d.]+)', html)[:2] == ["34.00", "0.620"]


def test_what_is_found_is_counted_and_told(whole: Path) -> None:
    html = (whole / "report.html").read_text()
    notes = re.findall(r"<strong>([^<]*)</strong><span>([^<]* found, [^<]*)</span>", html)[:3]
    assert notes == [
        ("expert", "4 of 4 found, no false boxes"),
        ("student", "3 of 4 found, 1 false box"),
        ("student, taught", "3 of 4 found, no false boxes"),
    ]
    assert "Sample 1: town-0 1 car, 1 truck, 1 pedestrian, 1 bus." in said(html)
    assert 'alt="What CAM_FRONT sees: 1 car."' in html
    assert 'aria-label="student in CAM_FRONT: car 0.90, car 0.30."' in html


def test_each_case_has_a_layer_over_each_picture_and_one_is_chosen(whole: Path, made: SimpleNamespace) -> None:
    html = (whole / "report.html").read_text()
    for number in range(4):
        assert html.count(f'class="layer layer-{number}"') == 2 * made.channels
    assert re.findall(r'<input type="radio"[^>]*id="layer-(\d)" checked>([^<]*)', html) == [("3", made.taught)]
    assert "#layer-7:checked" in html  # the style has a rule for each layer that there may be


def test_the_boxes_over_a_picture_are_where_the_camera_sees_them(whole: Path, made: SimpleNamespace) -> None:
    page = surround(read_run(whole))
    assert page is not None
    view = next(view for view in page.samples[0].views if view.channel == "CAM_FRONT")
    (mark,) = view.layers[0].marks
    car = made.truth()[0]
    (wire,) = wires([[*car["center"], *car["size"], car["yaw"]]], made.projection(0), made.size)
    assert wire is not None and page.units == 1000 and view.height == 600
    numbers = np.array(re.findall(r"-?\d+", mark.edges), dtype=float).reshape(-1, 2, 2)
    np.testing.assert_allclose(numbers, wire.edges * 1000 / made.size[0], atol=0.51)
    assert view.there == mark.edges and mark.said == "car"


def test_cameras_stand_as_they_look(folder: Path) -> None:
    run = read_run(folder)
    assert run.detections3d is not None
    cameras = run.detections3d.shown[0].cameras
    names = [cameras[place].channel.removeprefix("CAM_") for place in around(cameras)]
    assert names == ["FRONT_LEFT", "FRONT", "FRONT_RIGHT", "BACK_LEFT", "BACK", "BACK_RIGHT"]


def test_average_precision_is_that_of_nuscenes() -> None:
    recall = [place / 100 for place in range(101)]
    draw = np.random.default_rng(0)
    precision = sorted(draw.uniform(0, 1, 101).tolist(), reverse=True)
    curve = SpacePrecision(**{"case": "a", "class": "b", "distance": 2, "recall": recall, "precision": precision})
    above = np.clip(np.array(precision)[round(100 * 0.1) + 1 :] - 0.1, 0, None)  # as the devkit reads its 101 points
    assert curve.area == pytest.approx(float(above.mean()) / 0.9)
    perfect = SpacePrecision(**{"case": "a", "class": "b", "distance": 2, "recall": recall, "precision": [1.0] * 101})
    assert perfect.area == pytest.approx(1)


def test_curves_are_told_by_distance_and_by_class(whole: Path, made: SimpleNamespace) -> None:
    distances, classes = precision3d_plots(read_run(whole))
    areas = ", ".join(f"{case} {100 * (round(100 * made.scores[case]) - 10) / 90:.1f} %" for case in made.cases)
    for distance in ("0.5 m", "1 m", "2 m", "4 m"):
        assert f"{distance}: {areas}" in distances.label.replace("\u00a0", " ")
    label = classes.label.replace("\u00a0", " ")
    assert "within 2 m" in label and all(f"{name}: {areas}" in label for name in made.classes)


def test_the_page_stays_small_with_many_cases_and_large_pictures(
    folder: Path, change: Callable[..., None], made: SimpleNamespace
) -> None:
    draw = np.random.default_rng(0)
    listed = made.detections(folder, 6)
    for frame in listed["frames"]:
        for camera in frame["cameras"]:
            noise = draw.integers(0, 255, (90, 160, 3), dtype=np.uint8)
            Image.fromarray(noise).resize((1600, 900)).save(folder / camera["file"], quality=30)
            scale = np.diag([10, 900 / 96, 1, 1])
            camera |= {"width": 1600, "height": 900, "project": (scale @ np.array(camera["project"])).tolist()}
        boxes = [
            box | {"center": [*draw.uniform(-20, 20, 2), 0.8], "score": 0.5}
            for box in frame["truth"]
            for _ in range(40)
        ]
        frame |= {"cases": dict.fromkeys((f"case {index}" for index in range(9)), boxes), "queries": {}}
    change("detections3d.json", lambda _: listed)
    (folder / "ground.safetensors").unlink()
    page = write_report(folder)
    assert page.stat().st_size < 6_000_000
    text = said(page.read_text())
    assert f"More samples ({MOST_SAMPLES - 1})" in text and "Sample 5" not in text
    assert "case 6" in text and "case 7" not in text


def _poison(value: Any, cases: Sequence[str]) -> Any:
    if isinstance(value, dict):
        kept = ("file", "measure", "token")
        return {
            (f"{key}{HOSTILE}" if key in cases else key): item if key in kept else _poison(item, cases)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_poison(item, cases) for item in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


def test_hostile_text_is_shown_and_never_runs(folder: Path, change: Callable[..., None], made: SimpleNamespace) -> None:
    for name in ("sweep.json", "detections3d.json", "pr3d.json"):
        change(name, lambda content: _poison(content, made.cases))
    names = {f"{name.split('/')[0]}{HOSTILE}/{name.split('/', 1)[1]}" for name in made.ground() if "ground" in name}
    save_file({name: np.ones((4, 4), np.float32) for name in names}, folder / "ground.safetensors")
    html = write_report(folder).read_text()
    assert html.count("<script") == 1 and html.count("&lt;script") > 100 and "49$x" not in html
    for file in (folder / "plots").glob("*.svg"):
        assert ElementTree.parse(file).getroot().tag.endswith("svg")


def test_moments_without_cameras_boxes_or_cases_make_a_page(folder: Path, change: Callable[..., None]) -> None:
    (folder / "sweep.json").unlink()
    (folder / "ground.safetensors").unlink()
    bare: dict[str, Any] = {"cameras": [], "truth": [], "cases": {}, "queries": {}}
    change("detections3d.json", lambda listed: listed | {"frames": [frame | bare for frame in listed["frames"]]})
    text = said(write_report(folder).read_text())
    assert "truth no objects" in text and "Nothing." in text and "nan" not in text.lower()
    change("detections3d.json", lambda listed: listed | {"frames": []})
    assert "Around the vehicle" not in write_report(folder).read_text()
