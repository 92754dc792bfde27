"""The distance to published figures, as it is: a change of the model must say so here."""

import pytest

from lightloom.cost.published import compare

RATIOS = {row.what + ", " + row.source: row.ratio for row in compare()}


def ratio(what: str) -> float:
    (found,) = [value for name, value in RATIOS.items() if name.startswith(what)]
    return found


def test_laws_that_others_use_give_what_they_give() -> None:
    assert ratio("laser of a 12 x 12 core, 4 bit") == pytest.approx(1, rel=0.01)
    assert ratio("laser of a 12 x 12 core, 8 bit") == pytest.approx(1, rel=0.01)
    assert ratio("DAC, 4 bit at 5 GS/s, SimPhony") == pytest.approx(1, rel=0.01)
    assert ratio("DAC, 4 bit at 5 GS/s, Lightening") == pytest.approx(0.913, rel=0.01)  # 2^b / b against 2^b / (b + 1)
    assert ratio("ADC, 4 bit at 5 GS/s") == pytest.approx(1, rel=0.01)
    assert ratio("cycles to set a mesh") == pytest.approx(1, rel=0.01)


def test_the_distance_to_a_measured_system_is_known() -> None:
    assert ratio("64 x 64 at 1 GHz, throughput") == pytest.approx(1, rel=0.01)
    assert ratio("64 x 64 at 1 GHz, without lasers") == pytest.approx(1.8, rel=0.05)
    assert ratio("64 x 64 at 1 GHz, with lasers, without levels") == pytest.approx(3.2, rel=0.05)
    assert ratio("64 x 64 at 1 GHz, with lasers, with levels") == pytest.approx(1.19, rel=0.05)
    assert ratio("64 x 64 at 1 GHz, lasers with levels") == pytest.approx(1.21, rel=0.05)
    assert ratio("64 x 64 at 1 GHz, lasers without levels") < 0.01
