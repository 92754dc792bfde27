from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from lightloom.common.errors import RequestError
from lightloom.report import units, write_report
from lightloom.report.plots.line_styles import MOST_LINES, metric_axis, spread_out, strokes, x_axis
from lightloom.report.plots.sweep import sweep_plots
from lightloom.report.readers.run import read_run
from lightloom.report.readers.sweep import by_series
from lightloom.schemas import Metric

HOSTILE = """<script>alert(1)</script>"'&{{ 7*7 }}$x^2$"""
DEPTHS = (0.1, 1.0, 10.0)
ERRORS = {("exact", 0.1): 0.10, ("exact", 1.0): 0.04, ("exact", 10.0): 0.02}
ERRORS |= {("probe", 0.1): 0.10, ("probe", 1.0): 0.05, ("probe", 10.0): 0.03}


def line(case: str, series: str, x: float | None, seed: int, accuracy: float) -> dict[str, Any]:
    figures = {"epochs": 20, "best_epoch": 15 + seed, "seconds": 60.0 + 30 * seed, "loss": 0.1, "validation": 0.9}
    return {"case": case, "series": series, "x": x, "seed": seed, "accuracy": accuracy} | figures


def along() -> list[dict[str, Any]]:
    """Two series over three depths and a ReLU, three seeds each, 0.002 apart."""
    cases = [(f"{kind}, OD {depth:g}", kind, depth, 1 - ERRORS[kind, depth]) for kind, depth in ERRORS]
    cases.append(("ReLU", "ReLU", None, 0.97))
    return [line(*case[:3], seed, case[3] + 0.002 * (seed - 1)) for seed in range(3) for case in cases]


def apart() -> list[dict[str, Any]]:
    """Three cases without x, two seeds each, 0.01 apart."""
    return [
        line(case, "", None, seed, mean + 0.005 * (2 * seed - 1))
        for seed in range(2)
        for case, mean in (("ReLU", 0.90), ("exact", 0.93), ("probe", 0.91))
    ]


def epochs(rows: list[dict[str, Any]], count: int = 4) -> Iterator[dict[str, Any]]:
    for row in rows:
        for epoch in range(1, count + 1):
            rising = row["accuracy"] - 0.1 / epoch
            stage = f"{row['case']}, seed {row['seed']}"
            yield {"stage": stage, "epoch": epoch, "loss": 1 / epoch, "validation_accuracy": rising}


def write(folder: Path, rows: list[dict[str, Any]], **sweep: Any) -> Path:
    folder.mkdir(exist_ok=True)
    names = dict.fromkeys(row["case"] for row in rows)
    accuracy = {name: next(row["accuracy"] for row in rows if row["case"] == name) for name in names}
    summary = {"recipe": "absorber/depths", "seed": 0, "accuracy": accuracy}
    summary["sweep"] = {"x": "optical depth", "scale": "log", "baseline": "ReLU", "cases": []} | sweep
    (folder / "summary.json").write_text(json.dumps(summary))
    (folder / "sweep.json").write_text(json.dumps(rows))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs(rows)))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "sweep", along())


def said(html: str) -> str:
    """The text of a page, its spaces made one."""
    return " ".join(re.sub(r"<[^>]+>", " ", html[html.index("<body") :]).split())


def labels(html: str) -> list[str]:
    found = re.findall(r'<svg class="plot"[^>]* aria-label="([^"]*)"', html)
    return [" ".join(label.split()) for label in found]


def test_a_comparison_is_no_story_of_stages(folder: Path) -> None:
    html = write_report(folder).read_text()
    assert re.findall(r"<h2[^>]*>([^<]+)", html) == ["Comparison", "Run it again"]
    text = said(html)
    for absent in ("Accuracy by stage", "recovered", "after stage", "Loss by epoch"):
        assert absent not in text
    assert "“exact, OD 10” does best: 98.00 ± 0.20 % over 3 seeds, 1.0 points above “ReLU”." in text
    assert "Best case 98.0 % exact, OD 10, ± 0.20" in text
    assert "Against ReLU +1.0 points which reaches 97.00 ± 0.20 %" in text
    assert "Trainings 21 7 cases, 3 seeds each" in text
    assert "Time in training 31 min 30 s median of one: 1 min 30 s" in text


def test_every_case_and_every_x_is_in_a_table(folder: Path) -> None:
    text = said(write_report(folder).read_text())
    assert "optical depth exact probe 0.1 90.00 ± 0.20 90.00 ± 0.20 1 96.00 ± 0.20 95.00 ± 0.20 10 98.00" in text
    assert "probe, OD 10 97.00 ± 0.20 % 0.0 3 16 of 20 1 min 30 s" in text
    assert "ReLU 97.00 ± 0.20 % – 3 16 of 20" in text


def test_a_missing_place_is_a_dash_and_the_best_of_each_row_stands_out(folder: Path) -> None:
    rows = [row for row in along() if row["case"] != "exact, OD 1"]
    html = write_report(write(folder, rows)).read_text()
    assert re.findall(r'<td class="right best"[^>]*>([\d.]+)', html) == ["90.00", "95.00", "98.00"]
    assert '<tr><th scope="row">1</th><td class="right">–</td>' in html


def test_the_lines_tell_their_numbers(folder: Path) -> None:
    label, _ = labels(write_report(folder).read_text())
    assert label.startswith("Lines of accuracy by optical depth. exact: 90.0 % at optical depth 0.1, 96.0 % at")
    assert "Dashed across: ReLU, 97.0 %." in label
    plot, _ = sweep_plots(read_run(folder))
    assert plot.caption.startswith("Lines: mean of 3 seeds; bands: from the worst to the best")


def test_levels_too_close_for_two_texts_share_one(folder: Path) -> None:
    rows = along() + [line(name, "", None, 0, mean) for name, mean in (("tanh", 0.9695), ("linear", 0.85))]
    source = sweep_plots(read_run(write(folder, rows)))[0].source.replace(units.NO_BREAK, " ")
    assert ">ReLU 97.0 %, tanh 97.0 %<" in source and ">linear 85.0 %<" in source


def test_cases_without_x_are_rows_with_their_learning_beside_them(folder: Path) -> None:
    html = write_report(write(folder, apart(), x="", scale="linear")).read_text()
    rows, learning = labels(html)
    assert rows == (
        "Accuracy by case: ReLU 90.00 ± 0.71 %, exact 93.00 ± 0.71 %, probe 91.00 ± 0.71 %. "
        "The dotted mark is the mean of ReLU."
    )
    assert learning.endswith("ReLU from 80.0 % to 87.5 %, exact from 83.0 % to 90.5 %, probe from 81.0 % to 88.5 %.")
    text = said(html)
    assert "optical depth" not in text and "Every case" not in text
    assert "probe 91.00 ± 0.71 % +1.0 2 16 of 20 1 min 15 s" in text


def test_more_cases_than_lines_have_no_curves_of_learning(folder: Path) -> None:
    def names(cases: int) -> list[str]:
        rows = [line(f"case {index}", "", None, 0, 0.5 + index / 100) for index in range(cases)]
        return [plot.name for plot in sweep_plots(read_run(write(folder, rows)))]

    assert names(MOST_LINES) == ["sweep", "sweep-learning"]
    assert names(MOST_LINES + 1) == ["sweep"]


def test_one_seed_has_no_spread(folder: Path) -> None:
    text = said(write_report(write(folder, [row for row in apart() if row["seed"] == 0])).read_text())
    assert "“exact” does best: 92.50 %, 3.0 points above “ReLU”." in text
    assert "±" not in text and "Mean over the seeds" not in text


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        (0.97, "the same as “ReLU” to a tenth of a point."),
        (0.972, "0.2 points above “ReLU”, which is within the spread of the seeds."),
        (0.90, "7.0 points below “ReLU”."),
    ],
)
def test_the_best_is_held_against_the_baseline(folder: Path, mean: float, words: str) -> None:
    rows = [row for row in along() if row["case"] == "ReLU"]
    rows += [line("light", "", None, seed, mean + 0.002 * (seed - 1)) for seed in range(3)]
    assert words in said(write_report(write(folder, rows)).read_text())


def test_of_a_training_done_twice_the_later_one_counts(folder: Path) -> None:
    again = line("ReLU", "ReLU", None, 0, 0.5)
    sweep = read_run(write(folder, [*along(), again])).sweep
    assert sweep is not None and sweep.baseline is not None
    assert sorted(sweep.baseline.values) == pytest.approx([0.5, 0.97, 0.972])


def test_series_keep_their_order_and_ascend(folder: Path) -> None:
    sweep = read_run(write(folder, along()[::-1])).sweep
    assert sweep is not None
    assert {name: [case.x for case in cases] for name, cases in by_series(sweep.along).items()} == {
        "probe": list(DEPTHS),
        "exact": list(DEPTHS),
    }


def test_a_gain_below_zero_makes_the_axis_linear(folder: Path) -> None:
    rows = [row | {"x": -row["x"]} for row in along() if row["x"]]
    plots = sweep_plots(read_run(write(folder, rows)))
    assert [plot.name for plot in plots] == ["sweep", "sweep-learning"]
    assert "90.0\u00a0% at optical depth −0.1" in plots[0].label


def test_what_is_not_there_is_left_out(folder: Path) -> None:
    (folder / "sweep.json").unlink()
    assert "Comparison" not in write_report(folder).read_text()
    for name, heading in (("sweep.json", "Comparison"), ("metrics.jsonl", "Learning curves")):
        write(folder, along())
        for file in folder.glob("*.json*"):
            if file.name != name:
                file.unlink()
        assert f">{heading}<" in write_report(folder).read_text()
    (folder / "sweep.json").write_text(json.dumps([line("a", "", None, 0, 0.5) | {"accuracy": math.nan}]))
    assert "Comparison" not in write_report(folder).read_text()


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("sweep.json", "{", "is not JSON"),
        ("sweep.json", "{}", "does not hold"),
        ("sweep.json", '[{"series": "a"}]', "0.case"),
        ("sweep.json", '[{"case": "a", "accuracy": 97.8}]', "0: Value error, `accuracy` is 97.8"),
        ("summary.json", '{"sweep": {"scale": "cubic"}}', "sweep.scale"),
    ],
)
def test_a_broken_file_is_named(folder: Path, name: str, content: str, word: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(RequestError, match=re.escape(word)) as caught:
        write_report(folder)
    assert str(folder / name) in str(caught.value)


def test_hostile_names_are_shown_and_never_run(folder: Path) -> None:
    for rows in (along(), apart()):
        for row in rows:
            row |= {"case": row["case"] + HOSTILE, "series": row["series"] and row["series"] + HOSTILE}
        html = write_report(write(folder, rows, x=f"depth{HOSTILE}", baseline=f"ReLU{HOSTILE}")).read_text()
        assert html.count("<script") == 1 and html.count("&lt;script") > 10
        assert "49$x" not in html
        for file in (folder / "plots").glob("*.svg"):
            assert ElementTree.fromstring(file.read_text()).tag.endswith("svg")


def test_ids_are_unique_and_bytes_repeat(folder: Path) -> None:
    html = write_report(folder).read_text()
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(set(ids)) == len(ids) > 50
    assert write_report(folder).read_text() == html


def test_files_name_themselves_and_need_no_font(folder: Path) -> None:
    write_report(folder)
    source = (folder / "plots" / "sweep.svg").read_text()
    assert ElementTree.fromstring(source).get("aria-label", "").startswith("Lines of accuracy by")
    assert "DejaVu" not in source and "sans-serif" in source


def test_lines_differ_by_more_than_colour() -> None:
    drawn = list(strokes(map(str, range(20))).values())
    assert len(drawn) == MOST_LINES
    for look in ("colour", "dashes", "marker"):
        assert len({getattr(stroke, look) for stroke in drawn}) == MOST_LINES


def test_equal_factors_in_error_are_equal_steps_on_a_stretched_scale() -> None:
    axes = Figure().subplots()
    assert metric_axis(axes, "y", [0.9, 0.999], Metric(name="accuracy"))
    heights = [float(axes.transData.transform((0, value))[1]) for value in (0.9, 0.99, 0.999)]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1])
    ticks = [round(float(tick), 4) for tick in axes.get_yticks()]
    assert ticks == [0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999]
    assert [label.get_text() for label in axes.get_yticklabels()][:3] == ["90", "95", "98"]


@pytest.mark.parametrize("values", [[0.97, 0.98], [0.5], [1.0, 0.1], [0.0, 0.0], [1.0]])
def test_other_accuracies_have_a_plain_scale(values: list[float]) -> None:
    axes = Figure().subplots()
    assert not metric_axis(axes, "x", values, Metric(name="accuracy"))
    low, high = axes.get_xlim()
    assert low <= min(values) <= max(values) <= high and low < high


def test_labels_below_an_axis_keep_their_distance() -> None:
    axes = Figure().subplots()
    places = [1.0, 1.01, 1.02, 5.0, 9.9, 10.0]
    x_axis(axes, places, logarithmic=True)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "5", "10"]


def test_a_choice_holds_both_ends() -> None:
    assert spread_out(range(18), 6) == [0, 3, 7, 10, 14, 17]
    assert spread_out(range(3), 6) == [0, 1, 2]


def test_mean_and_deviation_in_percent() -> None:
    assert units.plus_minus(0.98017, 0.00061).replace(units.NO_BREAK, " ") == "98.02 ± 0.06 %"
    assert units.plus_minus(0.5, None).replace(units.NO_BREAK, " ") == "50.00 %"
