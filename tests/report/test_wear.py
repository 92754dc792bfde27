from __future__ import annotations

import base64
import json
import re
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from safetensors.numpy import save_file

from lightloom.report import write_report
from lightloom.report.plots.wear import levels_plot, wear_plots
from lightloom.report.readers.run import read_run

HOSTILE = """<script>alert(1)</script>"'&{{ 7*7 }}$x^2$"""


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def rewrite(folder: Path, **fields: Any) -> None:
    content = json.loads((folder / "writes.json").read_text())
    (folder / "writes.json").write_text(json.dumps(content | fields))


def test_a_run_on_a_pcm_chip_tells_what_writing_takes(pcm_folder: Path) -> None:
    html = write_report(pcm_folder).read_text()
    assert re.findall(r"<h2[^>]*>([^<]+)", html) == [
        "Accuracy by stage",
        "Learning curves",
        "What writing takes",
        "Error of the weights",
        "Cost of one inference",
        "Layers",
        "Run it again",
    ]
    text = text_of(html)
    for said in (
        "97.5 % after learning on the chip, unchanged by reordering.",
        "Training and reordering together write 25 times fewer levels",
        "programmed as it comes 300 000 – 150 µJ 8.00 ms 400 1 250 1 500",
        "learned reordered 12 000 25 × 6.00 µJ 400 µs 20 25 000 30 000",
        "features.3 2 12 240 000 7 000 34.3 × 400 20",
        "The orders take 1 000 bits to store, 25.0 % of the 4 000 bits of the weights.",
        "Every row of an array has inputs of its own",
        "Cells Energy Latency",
        "Weight error",
    ):
        assert said in text
    for absent in ("MZIs", "Phases", "singular values"):
        assert absent not in text
    labels = re.findall(r'<svg class="plot"[^>]* aria-label="([^"]*)"', html)
    assert any(label.startswith("Line of levels written over 3 epochs of learn: one") for label in labels)


@pytest.mark.parametrize(("missing", "plots"), [("wear.safetensors", 1), ("writes.json", 0)])
def test_what_is_not_there_is_left_out(pcm_folder: Path, missing: str, plots: int) -> None:
    for file in pcm_folder.iterdir():
        if file.name == missing or file.name not in ("summary.json", "writes.json", "wear.safetensors"):
            file.unlink()
    html = write_report(pcm_folder).read_text()
    assert html.count("<svg") == 1 + plots  # the first is that of accuracy
    assert ("What writing takes" in html) == bool(plots)


def test_failures_are_told_where_a_service_life_was_asked_for(pcm_folder: Path) -> None:
    cases = json.loads((pcm_folder / "writes.json").read_text())["cases"]
    for case, failed in zip(cases, (7, 0, 5, 0), strict=True):
        case["cells_failed"] = failed
    rewrite(pcm_folder, cases=cases, inferences=2000.0)
    text = text_of(write_report(pcm_folder).read_text())
    assert "After 2 000 inferences programmed, as it comes: 7 of 3 824 cells have failed" in text
    assert "learned, reordered: no cell has failed; the first does after 25 000 inferences." in text


def test_hostile_names_are_shown_and_never_run(pcm_folder: Path, made: SimpleNamespace) -> None:
    content = json.loads(json.dumps(made.writes()))
    for case in content["cases"]:
        case["state"] += HOSTILE.replace("/", "")
        case["order"] += HOSTILE.replace("/", "")
        for layer in case["layers"]:
            layer["name"] += HOSTILE.replace("/", "")
    (pcm_folder / "writes.json").write_text(json.dumps(content))
    named = {
        "/".join(part + HOSTILE.replace("/", "") for part in name.split("/")): pulses
        for name, pulses in made.wear().items()
    }
    save_file(named, pcm_folder / "wear.safetensors")
    html = write_report(pcm_folder).read_text()
    assert html.count("<script") == 1 and html.count("&lt;script") > 20
    assert "{{ 7*7 }}" in html and "49$x" not in html
    labels = re.findall(r'<svg class="plot"[^>]* aria-label="([^"]*)"', html)
    assert sum("&lt;script" in label for label in labels) == 3


def pictures(source: str) -> list[np.ndarray[Any, Any]]:
    """The images inside an SVG, in the order drawn."""
    found = re.findall(r"data:image/png;base64,([^\"]+)", source)
    return [imread(BytesIO(base64.b64decode(content)), format="png") for content in found]


def test_before_and_after_share_one_scale(pcm_folder: Path, made: SimpleNamespace) -> None:
    plot, curve = wear_plots(read_run(pcm_folder))
    assert plot.title == "Wear of the cells of layer features.3"
    assert "programmed, as it comes: most 400, median" in plot.label
    assert "learned, reordered: most 20, median" in plot.label and "most 20," in curve.label
    maps = made.wear()
    values = np.stack([maps["features.3/programmed/as it comes"], maps["features.3/learned/reordered"]])
    tiles = [picture for picture in pictures(plot.source) if picture.shape[:2] == (64, 64)]
    assert len(tiles) == 4
    centres = np.stack([picture[8::16, 8::16] for picture in tiles])  # row by row: a sign, before and after
    colours = centres.reshape(2, 2, 4, 4, 4).swapaxes(0, 1)
    assert ((colours[..., 3] > 0) == (values > 0)).all()  # a cell that is never written has no tile
    green = colours[..., 1][values > 0]  # rises along the whole map, so that more pulses are always greener
    rank = np.argsort(values[values > 0], kind="stable")
    assert (np.diff(green[rank]) >= -1e-6).all()
    assert green.max() - colours[1, ..., 1][values[1] > 0].max() > 0.4  # all of "after" is at the foot of the scale


def test_the_most_written_layer_is_drawn(pcm_folder: Path, made: SimpleNamespace) -> None:
    maps = made.wear()
    maps["features.0/programmed/as it comes"] *= 10
    del maps["features.3/learned/reordered"]
    save_file(maps, pcm_folder / "wear.safetensors")
    assert [plot.title.split()[-1] for plot in wear_plots(read_run(pcm_folder))] == ["features.0"] * 2


def test_cells_that_are_never_written_make_an_empty_map(pcm_folder: Path, made: SimpleNamespace) -> None:
    rewrite(pcm_folder, cases=[made.case("programmed", "as it comes", (0.0, 0.0), (0, 0))])
    save_file({"a/programmed/as it comes": np.zeros((2, 4, 4), np.float32)}, pcm_folder / "wear.safetensors")
    run = read_run(pcm_folder)
    assert [plot.name for plot in wear_plots(run)] == ["wear", "wear-curve"]
    bars = levels_plot(run)
    assert bars is not None and "programmed, as it comes 0" in bars.label


@pytest.mark.parametrize(("least", "wide"), [(12_000, False), (9_000, True), (0, False)])
def test_bars_of_a_large_range_go_by_decades(pcm_folder: Path, made: SimpleNamespace, least: int, wide: bool) -> None:
    cases = made.writes()["cases"]
    cases[-1]["levels"] = least
    rewrite(pcm_folder, cases=cases)
    plot = levels_plot(read_run(pcm_folder))
    assert plot is not None and ("logarithmic" in plot.caption) == wide
    assert "programmed, as it comes 300\u202f000; " in plot.label
