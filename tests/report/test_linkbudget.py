from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightloom.report import write_report
from lightloom.report.plots.link_budget import budget_text, link_plots, walk, walks
from lightloom.schemas import LinkBudget

LOSSES = {"chip coupling": 0.7, "split to 9 inputs": 10 * math.log10(9), "modulator": 1.2, "19 MZIs": 19 * 0.33}
NEEDED = -25.0


def budget(margin: float = 0.0, levels: bool = True, **fields: Any) -> LinkBudget:
    """As the cost model writes it: the laser gives what the detector needs, all losses and a margin."""
    level = NEEDED + sum(LOSSES.values()) + margin
    steps: list[dict[str, Any]] = [{"what": "laser", "loss_db": 0.0, "level_dbm": level}]
    for what, loss in LOSSES.items():
        level -= loss
        steps.append({"what": what, "loss_db": loss} | ({"level_dbm": level} if levels else {}))
    steps.append({"what": "detector at its sensitivity", "loss_db": 0.0, "level_dbm": NEEDED})
    return LinkBudget.model_validate({"chip": "l2ight", "steps": steps} | fields)


def test_levels_fall_by_the_losses() -> None:
    one = walk(budget())
    assert one is not None
    assert [stop.what for stop in one.stops] == ["laser", *LOSSES]
    assert one.lost_db == pytest.approx(sum(LOSSES.values()))
    lost = 0.0
    for stop, loss in zip(one.stops[1:], LOSSES.values(), strict=True):
        lost += loss
        assert (stop.loss_db, stop.lost_db) == (loss, pytest.approx(lost))
        assert stop.power_w == pytest.approx(one.stops[0].power_w / 10 ** (lost / 10))
    assert one.stops[-1].power_w == pytest.approx(10**-2.5 * 1e-3)
    assert one.largest.what == "split to 9 inputs"
    assert one.margin_db == 0 and one.sensitivity_dbm == NEEDED


def test_what_is_left_over_is_the_margin() -> None:
    spare, short = walk(budget(margin=3.0)), walk(budget(margin=-2.5))
    assert spare is not None and spare.margin_db == pytest.approx(3.0)
    assert short is not None and short.margin_db == pytest.approx(-2.5)
    assert "3.0\u00a0dB above what it needs" in budget_text(spare) and "2.5\u00a0dB below what it needs" in budget_text(
        short
    )


def test_a_level_that_is_missing_follows_from_the_loss() -> None:
    whole, inferred = walk(budget()), walk(budget(levels=False))
    assert whole is not None and inferred is not None
    assert [stop.level_dbm for stop in inferred.stops] == pytest.approx([stop.level_dbm for stop in whole.stops])


def test_a_sensitivity_of_its_own_makes_the_last_step_one_of_the_walk() -> None:
    one = walk(budget(sensitivity_dbm=-30.0))
    assert one is not None and len(one.stops) == len(LOSSES) + 2
    assert one.margin_db == pytest.approx(5.0)


def test_a_budget_without_levels_is_no_walk() -> None:
    assert walks([LinkBudget(), LinkBudget.model_validate({"steps": [{"what": "laser"}, {"what": "detector"}]})]) == []
    assert link_plots([LinkBudget()]) == []


def test_the_figure_has_every_step_and_light_that_adds_up() -> None:
    gains = {
        "steps": [
            {"what": "laser", "loss_db": 0.0, "level_dbm": 0.0},
            {"what": "cells", "loss_db": 12.0, "level_dbm": -12.0},
            {"what": "slots add up", "loss_db": -9.0, "level_dbm": -3.0},
            {"what": "detector", "loss_db": 0.0, "level_dbm": -3.0},
        ]
    }
    ordinary, adding = link_plots([budget(), LinkBudget.model_validate(gains)])
    assert (ordinary.name, adding.name) == ("link-0", "link-1")
    for what, loss in LOSSES.items():
        assert f"−{loss:.2f}\u00a0dB" in ordinary.source and what in ordinary.source
    assert "+9.00\u00a0dB" in adding.source and "−−" not in adding.source
    titles = re.findall(r'<g class="mark whole"><title>(.*?)</title>', ordinary.source, flags=re.DOTALL)
    assert len(titles) == 1 + 2 * len(LOSSES)  # the laser has a dot alone
    assert "needed: −25.0\u00a0dBm" in ordinary.source


def test_the_page_walks_from_laser_to_detector(run_folder: Path, change: Callable[..., None]) -> None:
    powers = {"laser_w": 4.2e-3, "laser_electrical_w": 21e-3, "total_laser_w": 0.6, "cores_lit": 28, "channels": 9}
    levels = {"bits": 8, "bits_factor": 1, "laser_w_with_levels": 256 * 4.2e-3, "laser_w_without_levels": 4.2e-3}
    change("cost.json", link_budget=[budget(**powers, **levels).model_dump()])
    text = re.sub(r"<[^>]+>|\s+", " ", write_report(run_folder).read_text()).replace("\u00a0", " ")
    text = " ".join(text.split())
    for shown in (
        "From laser to detector",
        "19 MZIs 6.27 dB −25.0 dBm 3.16 µW",
        "Laser light, one core 4.20 mW",
        "Laser electricity, all 28 cores with light 600 mW",
        "Light of a core with a factor for the levels of 8 bit 1.08 W",
    ):
        assert shown in text
