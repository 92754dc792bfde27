from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from lightloom.common.errors import RequestError
from lightloom.report import write_report
from lightloom.report.plots.absorber import absorber_plots, mismatch
from lightloom.report.plots.angles import angle_plots, watched
from lightloom.report.readers.run import read_run
from lightloom.schemas import ResponseCurve

HOSTILE = """<script>alert(1)</script>"'&{{ 7*7 }}$x^2$"""
DEPTHS = (1.0, 10.0)
LAYERS = {"hidden1": 3.0, "head": 0.0, "all": 2.0}  # angle in degrees per depth


def thin(depth: float, name: str = "thin", encoding: str = "amplitude") -> dict[str, Any]:
    """Guo et al. 2021: a thin medium, light of signed amplitude."""
    x = np.linspace(0, 6, 601)
    unsaturated = 1 / (1 + x**2)
    seen = np.exp(-depth / 2 * unsaturated)
    exact = seen * (1 + depth * unsaturated * (1 - unsaturated))
    values = {"x": x, "output": x * seen, "exact": exact, "probe": seen}
    return {"name": name, "encoding": encoding} | {key: value.tolist() for key, value in values.items()}


def angle(case: str, x: float | None, seed: int, epoch: int, layer: str, degrees: float, **more: Any) -> dict[str, Any]:
    row = {"case": case, "x": x, "seed": seed, "epoch": epoch, "kind": "probe", "layer": layer}
    return row | {"angle_deg": degrees, "cosine": math.cos(math.radians(degrees)), "norm_ratio": 0.5} | more


def angles() -> list[dict[str, Any]]:
    """Two depths, two seeds 1 degree apart, two epochs of which the first has half the angle; seed 1 stops earlier."""
    return [
        angle(f"OD {depth:g}", depth, seed, epoch, layer, (slope * depth + seed) * epoch / 2)
        for depth in DEPTHS
        for seed in (0, 1)
        for epoch in (1, 2)
        for layer, slope in LAYERS.items()
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "curves.json").write_text(json.dumps({"curves": [thin(1.0, "OD 1"), thin(10.0, "OD 10")]}))
    (tmp_path / "angles.json").write_text(json.dumps(angles()))
    return tmp_path


@pytest.fixture
def plots(folder: Path) -> Callable[..., dict[str, str]]:
    """Labels of the plots of given angles, by name."""

    def draw(*rows: dict[str, Any]) -> dict[str, str]:
        (folder / "angles.json").write_text(json.dumps(rows))
        return {plot.name: plot.label for plot in angle_plots(read_run(folder))}

    return draw


def test_both_sections_show_and_stand_alone(folder: Path) -> None:
    html = write_report(folder).read_text()
    headings = re.findall(r"<h2[^>]*>([^<]+)", html)
    assert headings == ["What the absorber does", "Gradients of light against exact ones"]
    files = sorted(file.stem for file in (folder / "plots").glob("*.svg"))
    assert files == ["angle", "angle-epochs", "gradients-amplitude", "response-amplitude"]
    for name, heading in zip(("curves.json", "angles.json"), headings, strict=True):
        moved = (folder / name).rename(folder / "away")
        assert f">{heading}<" not in write_report(folder).read_text()
        moved.rename(folder / name)


@pytest.mark.parametrize("depth", [0.1, 1.0, 10.0, 30.0])
def test_the_mismatch_of_a_thin_medium_has_a_closed_form(depth: float) -> None:
    assert mismatch(ResponseCurve.model_validate(thin(depth))) == pytest.approx(1 + depth / 4, rel=1e-4)


def test_gain_makes_the_exact_derivative_the_smaller_one() -> None:
    assert mismatch(ResponseCurve.model_validate(thin(-2.0))) == pytest.approx(0.5, rel=1e-4)
    assert mismatch(ResponseCurve.model_validate(thin(-10.0))) == pytest.approx(-1.5, rel=1e-4)


def test_nothing_passes_nothing_is_compared() -> None:
    flat = {"x": [0, 1], "output": [0, 0], "exact": [0, 0], "probe": [0, 0], "name": "opaque"}
    assert mismatch(ResponseCurve.model_validate(flat)) == 1.0


def test_the_plots_of_an_absorber_tell_their_numbers(folder: Path) -> None:
    response, gradients = absorber_plots(read_run(folder))
    passes = 100 * math.exp(-5 / 37)
    assert f"OD 10: {passes:.1f}\u00a0% passes at 6" in response.label
    assert gradients.label.endswith("Exact over probe where they differ most: OD 1 1.25; OD 10 3.5.")


def test_encodings_have_figures_of_their_own_and_many_curves_are_chosen_from(folder: Path) -> None:
    many = [thin(index + 1.0, f"OD {index + 1}") for index in range(11)] + [thin(1.0, "bright", "intensity")]
    (folder / "curves.json").write_text(json.dumps({"curves": many}))
    found = {plot.name: plot for plot in absorber_plots(read_run(folder))}
    names = ("response-amplitude", "gradients-amplitude", "response-intensity", "gradients-intensity")
    assert tuple(found) == names
    assert found["response-amplitude"].caption.endswith("6 of 11 absorbers.")
    assert "the intensity that enters" in found["response-intensity"].label
    assert all(f"OD {number}:" in found["response-amplitude"].label for number in (1, 3, 5, 7, 9, 11))


def test_the_table_has_the_last_angles_of_each_layer(folder: Path) -> None:
    text = " ".join(re.sub(r"<[^>]+>", " ", write_report(folder).read_text()).split())
    assert "Case all weights hidden1 head Length / exact" in text
    assert "OD 1, probe 2.5 3.5 0.5 0.500 OD 10, probe 20.5 30.5 0.5 0.500" in text


def test_angles_go_by_epoch_and_along_x(folder: Path) -> None:
    along, by_epoch = angle_plots(read_run(folder))
    assert "all weights: 2.50° and 0.500 of the length at 1, 20.5° and 0.500 of the length at 10;" in along.label
    assert "OD 10, probe, hidden1: from 15.2° to 30.5°" in by_epoch.label


def test_a_seed_that_was_watched_for_less_counts_with_its_own_last_epoch(folder: Path) -> None:
    rows = [
        angle("a", None, 0, 5, "all", 10.0),
        angle("a", None, 1, 2, "all", 20.0),
        angle("a", None, 1, 1, "all", 90.0),
    ]
    (folder / "angles.json").write_text(json.dumps(rows))
    (case,) = watched(read_run(folder))
    point = case.at("all")
    assert point is not None and point.angle == 15.0
    assert case.by_epoch("all") == {1: 90.0, 2: 20.0, 5: 10.0}
    assert case.at("hidden") is None


def test_series_of_a_comparison_are_lines(folder: Path, plots: Callable[..., dict[str, str]]) -> None:
    rows = [
        {"case": f"{form} {depth:g}", "series": form, "x": depth, "accuracy": 0.5}
        for form in ("thin", "vapour")
        for depth in DEPTHS
    ]
    (folder / "sweep.json").write_text(json.dumps(rows))
    found = plots(*(angle(row["case"], row["x"], 0, 1, layer, row["x"]) for row in rows for layer in LAYERS))
    assert list(found) == ["angle"]  # one epoch is no line
    assert "thin: 1.00° and" in found["angle"] and "; vapour: 1.00° and" in found["angle"]
    assert "hidden1" not in found["angle"]


def test_kinds_are_told_apart(plots: Callable[..., dict[str, str]]) -> None:
    rows = [angle(f"OD {x:g}", x, 0, epoch, "all", x) for x in DEPTHS for epoch in (1, 2)]
    found = plots(*rows, *(row | {"kind": "light"} for row in rows))
    assert "probe: 1.00°" in found["angle"] and "light: 1.00°" in found["angle"]
    assert "OD 1, light, all weights: from" in found["angle-epochs"]


def test_an_angle_of_no_gradient_is_left_out(plots: Callable[..., dict[str, str]]) -> None:
    rows = [angle("a", None, 0, epoch, layer, 5.0) for epoch in (1, 2) for layer in LAYERS]
    rows += [angle("a", None, 0, epoch, "dead", 5.0, angle_deg=math.nan, norm_ratio=math.nan) for epoch in (1, 2)]
    assert "dead" not in plots(*rows)["angle-epochs"]
    assert plots(angle("a", None, 0, 1, "all", 5.0, angle_deg=None)) == {}


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("curves.json", [], "does not hold"),
        ("curves.json", {"curves": [thin(1.0) | {"x": [0.0, 1.0]}]}, "one value for each x"),
        ("curves.json", {"curves": [thin(1.0) | {"x": [0.0] * 601}]}, "ascend"),
        ("curves.json", {"curves": [thin(1.0) | {"output": [math.nan] * 601}]}, "curves.0.output.0"),
        ("curves.json", {"curves": [thin(1.0) | {"encoding": "phase"}]}, "curves.0.encoding"),
        ("angles.json", [{"case": "a", "epoch": 1}], "0.layer"),
        ("angles.json", [angle("a", None, 0, 1, "all", 5.0, angle_deg=181.0)], "0.angle_deg"),
    ],
)
def test_a_broken_file_is_named(folder: Path, name: str, content: Any, word: str) -> None:
    (folder / name).write_text(json.dumps(content))
    with pytest.raises(RequestError, match=re.escape(word)) as caught:
        write_report(folder)
    assert str(folder / name) in str(caught.value)


def test_hostile_names_are_shown_and_never_run(folder: Path) -> None:
    hostile = [row | {key: row[key] + HOSTILE for key in ("case", "layer", "kind")} for row in angles()]
    (folder / "angles.json").write_text(json.dumps(hostile))
    (folder / "curves.json").write_text(json.dumps({"curves": [thin(1.0, f"a{HOSTILE}"), thin(2.0, HOSTILE)]}))
    html = write_report(folder).read_text()
    assert html.count("<script") == 1 and html.count("&lt;script") > 10
    assert "49$x" not in html
    for file in (folder / "plots").glob("*.svg"):
        assert ElementTree.fromstring(file.read_text()).tag.endswith("svg")
