from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from lightloom.common.errors import RequestError
from lightloom.report.pages.explore import frugal, most_accurate, story, write_explore_report
from lightloom.report.plots.explore import effect_plots, spread_plot, values_of
from lightloom.report.plots.layer_scan import sensitivity_plot
from lightloom.report.plots.pareto import numbers, plane_front, ranked, trade_plots
from lightloom.report.readers.exploration import read_exploration
from lightloom.schemas import Exploration, Sensitivity

HOSTILE = "<script>alert(1)</script>\"'&"


def point(index: int, accuracies: list[float], energy: float, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"p{index}",
        "label": f"design {index}",
        "settings": {"chip": "l2ight", "block_size": 4 + index},
        "chip": "l2ight",
        "technology": "mesh",
        "accuracy": float(np.mean(accuracies)),
        "std": float(np.std(accuracies, ddof=1)),
        "low": float(np.percentile(accuracies, 5)),
        "accuracies": accuracies,
        "yield": sum(value >= 0.95 for value in accuracies) / len(accuracies),
        "energy_j": energy,
        "latency_s": 1e-7,
        "throughput_per_s": 1e7,
        "area_m2": 2e-6,
        "pareto": False,
    } | fields


def exploration() -> dict[str, Any]:
    points = [
        point(0, [0.97, 0.98, 0.96, 0.97], 4e-8, pareto=True),
        point(1, [0.96, 0.96, 0.95, 0.95], 1e-8, pareto=True, technology="pcm"),
        point(2, [0.90, 0.97, 0.80, 0.96], 5e-9, pareto=True),
        point(3, [0.90, 0.90, 0.80, 0.90], 6e-8),
    ]
    return {
        "source": "explore/digits",
        "network": "digits-cnn",
        "electronic": 0.985,
        "threshold": 0.95,
        "specimens": 4,
        "axes": ["chip", "block_size"],
        "objectives": ["accuracy", "energy_j"],
        "boundary": "with laser wall plug",
        "points": points,
        "failed": [{"id": "p9", "label": "design 9", "error": "a mesh has two waveguides or more"}],
        "notes": ["block_size=1 was left out."],
        "assumptions": ["Layers follow one another."],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "explore.json").write_text(json.dumps(exploration()))
    return tmp_path


def scan() -> dict[str, Any]:
    rows = [{"name": f"blocks.{index}", "drop": 0.01 * index - 0.01, "std": 0.002, "share": 0.2} for index in range(5)]
    return {"electronic": 0.985, "rows": rows, "proposal": ["blocks.3", "blocks.4"]}


def said(html: str) -> str:
    text = re.sub(r"<(script|style)>.*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL)
    return " ".join(text.replace("\u00a0", " ").replace("\u202f", " ").split())


def test_the_page_tells_it_all(folder: Path) -> None:
    (folder / "sensitivity.json").write_text(json.dumps(scan()))
    path = write_explore_report(folder)
    assert path == folder / "report.html"
    html = path.read_text()
    assert re.findall(r'<h2 id="([\w-]+)">', html) == [
        "h-front",
        "h-specimens",
        "h-axes",
        "h-sensitivity",
        "h-designs",
        "h-assumed",
    ]
    text = said(html)
    for shown in (
        "4 designs of digits-cnn, 4 specimens each.",
        "The most accurate, design 0, reaches 97.00 ± 0.82 % at 40.0 nJ; electronics reaches 98.5 %.",
        "design 1 takes the least energy at 10.0 nJ of those that have nine of ten specimens reach 95.0 %.",
        "3 designs are on the front",
        "no other design is as good in accuracy and energy and better in one of them",
        "Energy and latency are with laser wall plug.",
        "Better left electronic: blocks.3 and blocks.4, 40.0 % of the multiply-accumulates.",
        "Least energy that works 10.0 nJ design 1; yield 100.0 %",
        "design 9 : a mesh has two waveguides or more",
        "block_size=1 was left out.",
        "Layers follow one another.",
    ):
        assert shown in text, shown
    assert not re.search(r"https?:|@import", html)
    assert sorted(file.stem for file in (folder / "plots").iterdir()) == [
        "effect-1",
        "sensitivity",
        "specimens",
        "trade-area",
        "trade-energy",
        "trade-latency",
        "trade-yield",
    ]


def test_the_table_sorts_by_figures_and_puts_the_front_first(folder: Path) -> None:
    html = write_explore_report(folder).read_text()
    table = html[html.index('class="tight designs"') :]
    rows = re.findall(r"<tr( class=\"front\")?><td.*?>(.*?)</td><th scope=\"row\">(.*?)</th>", table)
    assert [(bool(front), number, name) for front, number, name in rows] == [
        (True, "1", "design 0"),
        (True, "2", "design 1"),
        (True, "3", "design 2"),
        (False, "–", "design 3"),
    ]
    assert 'data-value="1e-08"' in table and 'data-value="0.97"' in table and 'data-value="5"' in table


def test_every_design_can_be_pointed_at(folder: Path) -> None:
    found = read_exploration(folder)
    plots = {plot.name: plot for plot in trade_plots(found)}
    for plot in plots.values():
        titles = re.findall(r'class="mark whole"><title>(.*?)</title>', plot.source, flags=re.DOTALL)
        assert sorted(title.split("\n")[0] for title in titles) == [f"design {index}" for index in range(4)]
        assert all("block_size" in title and "yield" in title for title in titles)
    assert "design 0: 97.0\u00a0% at 40.0\u00a0nJ" in plots["trade-energy"].label
    assert "design 3" not in plots["trade-energy"].label.split("Best here")[1]


@pytest.mark.parametrize("seed", range(5))
def test_the_front_of_a_plane_is_what_nothing_dominates(seed: int) -> None:
    draw = np.random.default_rng(seed)
    places = [(float(x), float(y)) for x, y in draw.integers(0, 12, (60, 2))]  # many ties
    front = plane_front(places)
    best = {
        one for one in places if not any(other[0] <= one[0] and other[1] >= one[1] and other != one for other in places)
    }
    assert set(front) == best
    assert front == sorted(front) and len(set(front)) == len(front)


def test_ranks_put_the_front_first_and_the_best_of_it_on_top() -> None:
    found = Exploration.model_validate(exploration())
    assert [one.id for one in ranked(found)] == ["p0", "p1", "p2", "p3"]
    assert numbers(found) == {"p0": 1, "p1": 2, "p2": 3}


def test_the_frugal_design_is_the_cheapest_that_works() -> None:
    found = Exploration.model_validate(exploration())
    for one in itertools.chain(found.points):
        works = sum(value >= 0.95 for value in one.specimens) >= 0.9 * len(one.specimens)
        assert works == (one.id in ("p0", "p1"))
    best, least = most_accurate(found), frugal(found)
    assert best is not None and best.id == "p0"
    assert least is not None and least.id == "p1"
    none = Exploration.model_validate(exploration() | {"points": [point(3, [0.9, 0.8], 1e-8)]})
    assert frugal(none) is None and "None has nine of ten specimens reach 95.0" in story(none)


def test_specimens_are_all_there(folder: Path) -> None:
    plot = spread_plot(read_exploration(folder))
    assert plot is not None
    assert plot.source.count('class="mark whole"') == 4
    svg = "{http://www.w3.org/2000/svg}"
    rows = [
        group for group in ElementTree.fromstring(plot.source).iter(f"{svg}g") if group.get("class") == "mark whole"
    ]
    assert [len(list(row.iter(f"{svg}use"))) for row in rows] == [4, 4, 4, 4]
    assert "design 2 90.8\u00a0% from 80.0\u00a0%, yield 50.0\u00a0%" in plot.label


def test_effects_are_means_over_the_designs() -> None:
    points = [
        point(index, [accuracy] * 2, energy, settings={"bits": bits, "drift": None, "mode": mode})
        for index, (bits, accuracy, energy, mode) in enumerate(
            ((8, 0.9, 1e-9, "b"), (4, 0.7, 1e-9, "a"), (8, 0.94, 1e-7, "b"), (6, 0.8, 1e-9, "a"))
        )
    ]
    found = Exploration.model_validate({"axes": ["bits", "drift", "mode"], "points": points})
    assert values_of("bits", found.points) == [4, 6, 8] and values_of("mode", found.points) == ["b", "a"]
    bits, mode = effect_plots(found)  # one value is no effect
    assert bits.label == (
        "Mean accuracy and energy by bits: 4: 70.0\u00a0%, 1.00\u00a0nJ; 6: 80.0\u00a0%, 1.00\u00a0nJ; "
        "8: 92.0\u00a0%, 10.0\u00a0nJ."
    )
    assert (bits.name, mode.name, mode.title) == ("effect-0", "effect-2", "mode")


def test_sensitivity_keeps_the_worst_layers_in_order() -> None:
    rows = [{"name": f"layer {index}", "drop": ((7 * index) % 50) / 1000} for index in range(50)]
    plot = sensitivity_plot(Sensitivity.model_validate({"rows": rows, "proposal": ["layer 7"]}))
    assert plot is not None
    kept = [int(index) for index in re.findall(r"layer (\d+) ", plot.label)]
    assert kept == [index for index in range(50) if (7 * index) % 50 >= 18]
    assert "stay electronic" in plot.source and "The 32 layers that lose most." in plot.caption
    assert sensitivity_plot(Sensitivity()) is None


def test_ticks_of_a_scan_are_even_and_proposals_are_named() -> None:
    rows = [{"name": "a", "drop": 0.0136, "std": 0.006}, {"name": "b", "drop": -0.0007, "std": 0.0013}]
    plot = sensitivity_plot(Sensitivity.model_validate({"rows": rows, "proposal": ["a"]}))
    assert plot is not None and "stay electronic" in plot.source  # beyond the thin line, and not cut off
    words = re.findall(r">([+\u2212]?\d[\d.]*)</text>", plot.source)
    ticks = [float(word.replace("\N{MINUS SIGN}", "-")) for word in words]
    assert len(ticks) >= 4 and np.allclose(np.diff(ticks), ticks[1] - ticks[0])


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"points": []},
        {"points": [{"id": "a"}]},
        {"points": [point(0, [0.9, 0.9], 0.0)], "threshold": None, "electronic": None},
        {"points": [point(0, [1.0, 1.0], 1e-9)], "electronic": 1.0, "axes": ["gone"]},
        {"points": [], "failed": [{"label": "x", "error": "y"}]},
    ],
)
def test_little_still_gives_a_page(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "explore.json").write_text(json.dumps(content))
    html = write_explore_report(tmp_path).read_text()
    assert "<h1>" in html and "nan" not in said(html).lower()


def test_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="lightloom explore"):
        write_explore_report(tmp_path)
    (tmp_path / "explore.json").write_text('{"points": [{"label": "x"}]}')
    with pytest.raises(RequestError, match=r"points\.0\.id"):
        write_explore_report(tmp_path)


def test_a_scan_alone_has_a_page_of_its_own(tmp_path: Path) -> None:
    levels = {
        "whole": {"electronic": [], "score": 0.91, "drop": 0.075, "std": 0.01},
        "proposed": {"electronic": ["blocks.3", "blocks.4"], "score": 0.98, "drop": 0.005, "std": 0.001},
    }
    content = scan() | levels | {"source": "onchip/digits", "measure": "accuracy", "assumptions": ["No drift."]}
    (tmp_path / "sensitivity.json").write_text(json.dumps(content))
    text = said(write_explore_report(tmp_path).read_text())
    assert "onchip/digits Each layer alone on the chip" in text
    assert "With every layer on it, it reaches 91.0 % (−7.5 points)." in text
    assert "Without them on the chip, it reaches 98.0 % (−0.5 points)." in text
    assert "As proposed 98.0 % 2 layers left electronic" in text and "No drift." in text
    assert "All designs" not in text


def test_a_score_of_the_users_is_no_accuracy(tmp_path: Path) -> None:
    rows = [{"name": "a", "drop": 12.5, "std": 0.25}, {"name": "b", "drop": -3.0}]
    content = {"measure": "likelihood", "electronic": -140.0, "rows": rows, "proposal": ["a"]}
    (tmp_path / "sensitivity.json").write_text(json.dumps(content))
    text = said(write_explore_report(tmp_path).read_text())
    assert "Lost likelihood" in text and "a 12.5 0.250" in text and "points" not in text and "Electronic −140" in text


def _poison(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _poison(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_poison(item) for item in value]
    return value + HOSTILE if isinstance(value, str) else value


def test_hostile_text_is_shown_and_never_runs(folder: Path) -> None:
    content = _poison(exploration())
    for one in content["points"]:
        one["settings"] = {f"{axis}{HOSTILE}": value for axis, value in one["settings"].items()}
    (folder / "explore.json").write_text(json.dumps(content))
    (folder / "sensitivity.json").write_text(json.dumps(_poison(scan())))
    html = write_explore_report(folder).read_text()
    assert html.count("<script>") == 1 and html.count("&lt;script&gt;alert") > 30
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(set(ids)) == len(ids)


def test_the_same_folder_gives_the_same_bytes(folder: Path) -> None:
    first = write_explore_report(folder).read_bytes()
    assert write_explore_report(folder).read_bytes() == first
