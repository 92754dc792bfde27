from __future__ import annotations

import pytest

from lightloom.cli.output import show_summary


def test_a_run_prints_its_states(capsys: pytest.CaptureFixture[str]) -> None:
    show_summary({"accuracy": {"electronic": 0.981, "programmed": 0.1}, "run": "runs/nowhere"})
    assert capsys.readouterr().out.splitlines() == [
        "electronic    98.10 % of the test images",
        "programmed    10.00 % of the test images",
        "run          runs/nowhere",
    ]


def test_a_comparison_prints_a_line_a_case_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    cases = [
        {"case": "ReLU", "accuracy": 0.98, "std": 0.0012, "seeds": 3},
        {"case": "thin, probe, OD 10", "accuracy": 0.976, "std": 0.0, "seeds": 1},
    ]
    accuracy = {case["case"]: case["accuracy"] for case in cases}
    show_summary({"accuracy": accuracy, "sweep": {"cases": cases}, "run": "runs/nowhere"})
    assert capsys.readouterr().out.splitlines() == [
        "ReLU                98.00 +- 0.12 %, 3 seeds",
        "thin, probe, OD 10  97.60 %, 1 seed",
        "run                runs/nowhere",
    ]
