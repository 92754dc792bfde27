from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lightloom.common.errors import RequestError
from lightloom.report import write_report
from lightloom.report.pages.layer_costs import bill
from lightloom.report.plots.layer_costs import bill_plots
from lightloom.report.units import amount, db, dbm
from lightloom.schemas import CostFile

WHOLE: dict[str, Any] = {
    "throughput_per_s": 6.1e6,
    "area": {"MZIs": 2.1e-5, "memory": 4e-6, "lenses": 0.0},
    "area_m2": 2.5e-5,
    "power_w": 1.3,
    "tops": 2.61,
    "tops_per_w": 2.0,
    "schedule": "weight",
    "schedules": {
        "weight": {"energy_j": 4e-8, "latency_s": 1e-7, "throughput_per_s": 1e7, "reconfigurations": 0},
        "input": {"energy_j": 9e-7, "latency_s": 4e-6, "throughput_per_s": 2.5e5, "reconfigurations": 12},
        "output": {"energy_j": 5e-7, "latency_s": 3e-6, "throughput_per_s": 3.3e5, "reconfigurations": 12},
    },
    "reconfiguration": {"times": 12, "time_s": 1.2e-4, "energy_j": 4e-6},
    "memory": {"bytes": {"DRAM": 11e3}, "energy_j": {"DRAM": 1e-9, "buffer": 2e-9}, "contents": {"weights": 9e3}},
    "converters": {"dac": 81, "adc": 162, "settings": 0},
    "electronics": {"macs": 12e3, "energy_j": 2.3e-9, "latency_s": 1e-8, "profile": "edge, peak"},
    "references": [{"name": "GPU", "energy_j": 9e-7, "latency_s": 3e-6, "ratio_energy": 22.0, "ratio_latency": 18.0}],
}


def said(folder: Path) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", write_report(folder).read_text()).replace("\u00a0", " ").split())


def test_everything_new_is_shown(run_folder: Path, change: Callable[..., None], made: SimpleNamespace) -> None:
    fourth = {"name": "with memory and electronics", "includes": "and DRAM", "energy_j": 5e-8, "latency_s": 2e-7}
    constants = [
        {
            "name": "adc",
            "value": 1e-12,
            "unit": "J",
            "source": "A paper",
            "doi": "10.1000/xyz123",
            "status": "derived",
            "confidence": "B",
            "chip": "l2ight",
        }
    ]
    change("cost.json", boundaries=[*made.cost()["boundaries"], fourth], constants=constants, **WHOLE)
    text = said(run_folder)
    for shown in (
        "with memory and electronics 50.0 nJ 200 ns and DRAM",
        "Inferences per second 6 100 000 weight stationary".replace(" ", " "),
        "2.61 TOPS",
        "2.00 TOPS/W",
        "25 mm²",
        "input stationary 900 nJ 4.00 µs",
        "GPU 900 nJ 22 × 3.00 µs 18 ×",
        "DRAM 11.0 kB, 1.00 nJ",
        "Buffer 2.00 nJ",
        "of it weights 9.00 kB",
        "Tiles set 12",
        "Inputs, to analogue 81",
        "What is on no chip, on: edge, peak.",
        "derived, B",
        "doi:10.1000/xyz123",
    ):
        assert shown in text.replace("\u202f", " "), shown
    assert "lenses" not in text  # nothing of it


def test_values_sort_by_what_they_are(run_folder: Path, change: Callable[..., None]) -> None:
    change("cost.json", **WHOLE)
    html = write_report(run_folder).read_text()
    for value in ("9e-07", "8.2e-10", "22", "12"):
        assert f'data-value="{value}"' in html


def test_an_old_run_has_its_old_section(run_folder: Path) -> None:
    html = write_report(run_folder).read_text()
    assert "Cost of one inference" in html
    for absent in (
        "From laser to detector",
        "Memory traffic",
        "TOPS",
        "Reconfiguration",
        "stationary",
        "doi:",
        "Status",
    ):
        assert absent not in html
    empty = bill(CostFile())
    assert (empty.cards, empty.tables, empty.walks, bill_plots(CostFile())) == ((), (), (), [])


def test_plots_name_their_numbers() -> None:
    cost = CostFile.model_validate(WHOLE | {"boundaries": [{"name": "with all", "energy_j": 4e-8, "latency_s": 1e-7}]})
    plots = {plot.name: plot for plot in bill_plots(cost)}
    assert set(plots) == {"bill-area", "bill-schedules", "bill-references"}
    assert plots["bill-area"].label == "Bars of chip area by part: MZIs 21\u00a0mm², memory 4\u00a0mm²."
    assert "this chip: 40.0\u00a0nJ, 100\u00a0ns; GPU: 900\u00a0nJ, 3.00\u00a0µs" in plots["bill-references"].label
    assert "weight stationary" in plots["bill-schedules"].caption
    assert plots["bill-schedules"].source.count('class="mark whole"') == 6


def test_numbers_that_are_missing_leave_rows_out(run_folder: Path, change: Callable[..., None]) -> None:
    change(
        "cost.json",
        schedules={"weight": {"energy_j": None}, "input": {}},
        references=[{"name": "GPU"}],
        area={"MZIs": None},
        memory={"bytes": {"DRAM": float("nan")}},
        tops=float("inf"),
    )
    text = said(run_folder)
    assert "nan" not in text.lower() and "TOPS" not in text
    assert "GPU – – – –" in text


def test_a_cost_that_is_none_is_refused(run_folder: Path, change: Callable[..., None]) -> None:
    change("cost.json", link_budget=[{"steps": [{"loss_db": 1.0}]}])
    with pytest.raises(RequestError, match=r"link_budget\.0\.steps\.0\.what"):
        write_report(run_folder)


def test_hostile_text_of_the_cost_never_runs(run_folder: Path) -> None:
    hostile = "<script>alert(1)</script>\"'"
    cost = json.loads((run_folder / "cost.json").read_text()) | WHOLE
    cost["electronics"] = {"macs": 1, "profile": hostile}
    cost["references"] = [{"name": hostile, "energy_j": 1.0, "latency_s": 1.0}]
    cost["schedule"], cost["area"] = hostile, {hostile: 1e-6}
    steps = [{"what": hostile, "loss_db": float(index), "level_dbm": -3.0 * index} for index in range(3)]
    cost["link_budget"] = [{"chip": hostile, "steps": steps}]
    cost["constants"] = [{"name": hostile, "value": hostile, "doi": hostile, "status": hostile, "chip": hostile}]
    (run_folder / "cost.json").write_text(json.dumps(cost))
    html = write_report(run_folder).read_text()
    assert "<script>alert" not in html and html.count("&lt;script&gt;alert") > 10


def test_units_of_areas_and_levels() -> None:
    assert amount(2.5e-6, "m²") == "2.5\u00a0mm²" and amount(None, "m²") == "–" and amount(1e-9, "J") == "1.00\u00a0nJ"
    assert (db(-1.234), db(0.0), db(-0.0), db(None)) == ("−1.23\u00a0dB", "0.00\u00a0dB", "0.00\u00a0dB", "–")
    assert (dbm(-25), dbm(3.14), dbm(float("nan"))) == ("−25.0\u00a0dBm", "3.1\u00a0dBm", "–")
