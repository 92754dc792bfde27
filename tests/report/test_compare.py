from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from lightloom.common.errors import RequestError
from lightloom.report import compare
from lightloom.report.pages.compare import sections
from lightloom.report.pages.compare_tables import Table, ratio
from lightloom.report.readers.run import read_run

HOSTILE = """</script><script>alert(1)</script>"'&{{ 7*7 }}"""


@pytest.fixture
def pair(run_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The run folder, and a copy of it beside it."""
    import shutil

    return run_folder, Path(shutil.copytree(run_folder, tmp_path / "other"))


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def tables(pair: tuple[Path, Path]) -> dict[str, Table]:
    found = sections(read_run(pair[0]), read_run(pair[1]))
    return {table.caption: table for section in found for table in section.tables}


def rows(table: Table) -> dict[str, tuple[str, str, str]]:
    plain = str.maketrans("\u00a0\u202f", "  ")
    return {
        row.name: (
            row.one.text.translate(plain),
            row.other.text.translate(plain),
            row.change.text.translate(plain),
        )
        for row in table.rows
    }


def test_only_changed_settings_are_shown(pair: tuple[Path, Path], made: SimpleNamespace) -> None:
    config = made.config()
    config["learn"]["feedback"]["keep"] = 0.3
    config["train"]["momentum"] = 0.9
    (pair[1] / "config.yaml").write_text(yaml.safe_dump(config))
    rewrite(pair[1] / "chip.json", lambda chip: chip | {"gamma_std": 0.01})
    rewrite(pair[1] / "specimen.json", lambda specimen: specimen | {"seed": 3})
    found = tables(pair)
    assert rows(found["Settings that differ"]) == {
        "learn.feedback.keep": ("0.6", "0.3", ""),
        "chip.gamma_std": ("0.002", "0.01", ""),
        "specimen.seed": ("0", "3", ""),
    }
    assert rows(found["Settings that only one of the two has"]) == {"train.momentum": ("–", "0.9", "")}


def test_differences_and_ratios(pair: tuple[Path, Path]) -> None:
    def change(summary: dict[str, Any]) -> dict[str, Any]:
        return summary | {"accuracy": {"electronic": 0.981, "learned": 0.962, "aged": 0.5}, "chip_calls": 66}

    def half(cost: dict[str, Any]) -> dict[str, Any]:
        boundaries = [line | {"energy_j": line["energy_j"] / 2, "latency_s": 2e-7} for line in cost["boundaries"]]
        layers = [line | {"energy_j": 3 * line["energy_j"]} for line in cost["layers"]]
        return cost | {"boundaries": boundaries[1:], "layers": layers, "parts": {"laser light": 4e-9}}

    rewrite(pair[1] / "summary.json", change)
    rewrite(pair[1] / "cost.json", half)
    found = tables(pair)
    assert rows(found["Accuracy"]) == {
        "electronic": ("98.1 %", "98.1 %", "0.0"),
        "programmed": ("11.1 %", "–", "–"),
        "learned": ("97.2 %", "96.2 %", "−1.0"),
        "aged": ("–", "50.0 %", "–"),
    }
    energy = rows(found["Energy by boundary"])
    assert energy["optics"] == ("9.10 nJ", "–", "–")
    assert energy["with laser wall plug"] == ("41.8 nJ", "20.9 nJ", "0.5 ×")
    assert rows(found["Latency by boundary"])["with converters"] == ("165 ns", "200 ns", "1.21 ×")
    assert rows(found["Energy by part"])["laser light"] == ("2.00 nJ", "4.00 nJ", "2 ×")
    assert {row[2] for row in rows(found["Energy by layer"]).values()} == {"3 ×"}
    assert rows(found["Counts"])["chip calls"] == ("33", "66", "2 ×")
    assert rows(found["Counts"])["mzis"] == ("16 362", "16 362", "1 ×")


def test_nothing_is_divided_by_nothing() -> None:
    assert [ratio(0.0, 1.0).text, ratio(None, 1.0).text, ratio(1.0, None).text] == ["–", "–", "–"]
    assert ratio(2.0, 0.0).value == 0.0


def test_versions_say_what_differs(pair: tuple[Path, Path]) -> None:
    rewrite(pair[1] / "versions.json", lambda versions: versions | {"torch": "2.14.0"})
    found = rows(tables(pair)["Versions and hardware"])
    assert found["torch"] == ("2.13.0", "2.14.0", "differs") and found["python"][2] == "same"


def test_curves_lie_over_each_other_where_both_trained(pair: tuple[Path, Path], tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (pair[1] / "metrics.jsonl").read_text().splitlines()]
    kept = [line | {"loss": 2 * line["loss"]} for line in lines if line["stage"] == "learn"]
    (pair[1] / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    html = compare(*pair, tmp_path / "page.html").read_text()
    labels = re.findall(r'<svg class="plot"[^>]* aria-label="(Lines of loss[^"]*)"', html)
    first, last = kept[0]["loss"], kept[-1]["loss"]
    assert len(labels) == 1 and f"B from {first:.2f} to {last:.3f}" in labels[0]
    assert f"A from {first / 2:.2f} to" in labels[0]


def test_runs_of_different_kinds_are_compared_as_far_as_they_go(
    run_folder: Path, pcm_folder: Path, tmp_path: Path
) -> None:
    html = compare(run_folder, pcm_folder, tmp_path).read_text()
    assert (tmp_path / "compare.html").is_file()
    assert "Accuracy (learned): 97.2\u00a0% in A, 97.5\u00a0% in B (+0.3 points)." in html
    assert re.findall(r'<h2 id="[\w-]+">([^<]+)', html) == [
        "What differs in the settings",
        "Accuracy",
        "Learning curves",
        "Cost of one inference",
        "Layers",
        "Versions and hardware",
    ]


def test_hostile_text_is_shown_and_never_runs(pair: tuple[Path, Path], tmp_path: Path, made: SimpleNamespace) -> None:
    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {f"{key}": poison(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return f"{value}{HOSTILE}" if isinstance(value, str) else value

    for folder in pair:
        for name in ("layers.json", "cost.json", "chip.json", "versions.json", "summary.json"):
            rewrite(folder / name, poison)
        rewrite(
            folder / "summary.json",
            lambda summary: (
                summary | {"accuracy": {f"{HOSTILE}{stage}": value for stage, value in summary["accuracy"].items()}}
            ),
        )
        settings = {f"{key}{HOSTILE}": poison(value) for key, value in made.config().items()}
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    rewrite(pair[1] / "chip.json", lambda chip: chip | {"name": HOSTILE})
    hostile = pair[0].rename(tmp_path / "a<b>&c")
    html = compare(hostile, pair[1], tmp_path / "page.html").read_text()
    assert html.count("<script") == 1 and html.count("</script") == 1
    assert html.count("&lt;script") > 60 and "{{ 7*7 }}" in html
    assert "<b>" not in html and "a&lt;b&gt;&amp;c" in html


def test_the_page_needs_nothing_else_and_is_the_same_each_time(pair: tuple[Path, Path], tmp_path: Path) -> None:
    first = compare(*pair, tmp_path / "deep" / "page.html").read_text()
    assert not re.search(r"https?:", first) and not re.search(r' (?:src|href)="(?!#)', first)
    ids = re.findall(r' id="([^"]+)"', first)
    assert len(set(ids)) == len(ids)
    assert compare(*pair, tmp_path / "again.html").read_text() == first


def test_what_cannot_be_compared_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(RequestError, match="holds no file of a run"):
        compare(pair[0], empty, tmp_path / "page.html")
    with pytest.raises(RequestError, match="same folder"):
        compare(pair[0], pair[0] / ".." / pair[0].name, tmp_path / "page.html")
    (empty / "config.yaml").write_text("seed: 1\n")
    with pytest.raises(RequestError, match="no figure in common"):
        compare(pair[0], empty, tmp_path / "page.html")
    (empty / "summary.json").write_text('{"accuracy": {"electronic": 2}}')
    with pytest.raises(RequestError, match="`accuracy` is 2; it is a fraction"):
        compare(pair[0], empty, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
