from __future__ import annotations

from typing import Any

import pytest

from lightloom.cli.output import show_runs, show_summary
from lightloom.schemas import Summary

BITS = {
    "name": "bits_per_character",
    "percent": False,
    "unit": "bit",
    "higher_is_better": False,
}


def shown(**fields: Any) -> dict[str, Any]:
    return Summary(**{"metric": {"name": "accuracy"}, "run": "runs/nowhere", **fields}).plain()


def test_a_run_prints_its_states_by_the_name_of_its_metric(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_summary(
        {
            **shown(values={"electronic": 0.981, "programmed": 0.1}),
            "next": "lightloom map runs/nowhere",
        }
    )
    assert capsys.readouterr().out.splitlines() == [
        "electronic    98.10 % accuracy on the test set",
        "programmed    10.00 % accuracy on the test set",
        "run          runs/nowhere",
        "next         lightloom map runs/nowhere",
    ]
    show_summary(shown(metric=BITS, values={"electronic": 2.5, "programmed": None}))
    assert capsys.readouterr().out.splitlines()[:2] == [
        "electronic        2.5 bit bits per character on the test set",
        "programmed   no bits_per_character on the test set",
    ]


def test_a_comparison_prints_a_line_a_case_aligned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = [
        {"case": "ReLU", "value": 0.98, "std": 0.0012, "seeds": 3},
        {"case": "thin, probe, OD 10", "value": 0.976, "std": 0.0, "seeds": 1},
    ]
    show_summary(
        {
            **shown(values={case["case"]: case["value"] for case in cases}),
            "sweep": {"cases": cases},
        }
    )
    assert capsys.readouterr().out.splitlines() == [
        "ReLU                98.00 % accuracy +- 0.12 %, 3 seeds",
        "thin, probe, OD 10  97.60 % accuracy, 1 seed",
        "run                runs/nowhere",
    ]


def test_no_runs_and_damaged_ones_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    show_runs({"runs": []})
    assert "lightloom run" in capsys.readouterr().out
    row = {
        "run": "runs/a",
        "recipe": "",
        "date": "",
        "metric": None,
        "state": "damaged",
        "process": None,
    }
    show_runs({"runs": [{**row, "problem": "`runs/a/config.yaml` is missing."}]})
    written = capsys.readouterr()
    assert "damaged" in written.out
    assert "runs/a: `runs/a/config.yaml` is missing." in written.err
