from __future__ import annotations

import pytest

from lightloom.report import units


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (4.182e-8, "J", "41.8 nJ"),
        (1.234e-9, "J", "1.23 nJ"),
        (1e-3, "s", "1.00 ms"),
        (9.996e-7, "s", "1.00 µs"),  # rounds into the next prefix
        (999.4, "W", "999 W"),
        (999.6, "W", "1.00 kW"),
        (-2.5e-12, "J", "−2.50 pJ"),
        (12.0, "s", "12.0 s"),
        (0.0, "J", "0 J"),
        (1.5e-21, "J", "1.50 × 10⁻²¹ J"),
        (2e16, "J", "2.00 × 10¹⁶ J"),
        (None, "J", "–"),
        (float("nan"), "J", "–"),
        (float("inf"), "J", "–"),
    ],
)
def test_si_against_hand_made_texts(value: float | None, unit: str, text: str) -> None:
    assert units.si(value, unit).replace(units.NO_BREAK, " ") == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.55e-12, "J/sample", "2.55 pJ/sample"),
        (299792458.0, "m/s", "299.792 Mm/s"),
        (0.25, "dB", "0.25 dB"),
        (1.2e-8, "m^2", "1.2 × 10⁻⁸ m²"),
        (0.2, "1", "0.2"),
        (-25.0, "dBm", "−25 dBm"),
        (0.0, "W", "0 W"),
        ("see source", "W", "see source W"),
        (None, "", "–"),
    ],
)
def test_a_constant_keeps_its_digits(value: float | str | None, unit: str, text: str) -> None:
    assert units.constant(value, unit).replace(units.NO_BREAK, " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.83, "1.83"),
        (0.0951, "0.0951"),
        (1.3e-13, "1.30 × 10⁻¹³"),
        (0.0, "0"),
        (123456.0, "123456"),
        (999999.0, "1.00 × 10⁶"),
        (-0.5, "−0.500"),
        (None, "–"),
    ],
)
def test_bare_numbers(value: float | None, text: str) -> None:
    assert units.number(value).replace(units.NO_BREAK, " ") == text


def test_percent_points_counts_and_durations() -> None:
    assert units.percent(0.981) == f"98.1{units.NO_BREAK}%"
    assert units.points(-0.87) == "−87.0"
    assert units.points(0.011) == "+1.1"
    assert units.points(-0.00001) == "0.0"
    assert units.count(1_284_096) == f"1{units.THIN}284{units.THIN}096"
    assert units.count(33) == "33"
    said = [units.duration(seconds).replace(units.NO_BREAK, " ") for seconds in (0.31, 4.2, 95.4, 59.7, 7265)]
    assert said == ["310 ms", "4.2 s", "1 min 35 s", "1 min 0 s", "2 h 1 min"]
    assert units.percent(None) == units.points(None) == units.count(None) == units.duration(None) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (17857.1, "17_900"),
        (28.0, "28"),
        (13.5, "13.5"),
        (5.0107, "5.01"),
        (999.7, "1_000"),
        (0.0502, "0.0502"),
        (0.0, "0"),
        (1.234e9, "1.23 × 10⁹"),
        (4e-7, "4.00 × 10⁻⁷"),
        (-2.5, "−2.5"),
        (float("inf"), "–"),
        (None, "–"),
    ],
)
def test_numbers_in_a_sentence(value: float | None, text: str) -> None:
    assert units.rounded(value).replace(units.NO_BREAK, " ") == text.replace("_", units.THIN)


def test_a_time_to_wait_for() -> None:
    seconds = (0.0024, 17.857, 90.0, 3600.0, 36 * 3600.0, 31557600.0 * 4.5, None)
    said = [units.span(value).replace(units.NO_BREAK, " ") for value in seconds]
    assert said == ["2.40 ms", "17.9 s", "1.5 min", "1 h", "1.5 days", "4.5 years", "–"]


@pytest.mark.parametrize(
    ("words", "heading"),
    [("accuracy", "Accuracy"), ("bits per character", "Bits per character"), ("mAP", "mAP"), ("", "")],
)
def test_names_with_capitals_of_their_own_stay(words: str, heading: str) -> None:
    assert units.capital(words) == heading
