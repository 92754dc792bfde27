"""Numbers as people read them: SI prefixes, percent, grouped counts, powers of ten."""

from __future__ import annotations

import math
from typing import TypeGuard

NO_BREAK = "\u00a0"  # between number and unit, so that a line never ends between the two
THIN = "\u202f"  # groups thousands, as the SI brochure asks
ABSENT = "–"

_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
_BASE_UNITS = frozenset({"A", "F", "Hz", "J", "K", "V", "W", "Ω", "m", "s"})
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def si(value: float | None, unit: str, digits: int = 3) -> str:
    """A quantity with an SI prefix, `digits` significant: `1.234e-9, "J"` gives `1.23 nJ`.

    Trailing zeros stay: they say how well it is known. Beyond atto and tera a power of ten is written.

    Args:
        value: The quantity in units without a prefix; None and what is not finite give a dash.
        unit: The unit, such as `J`.
        digits: Significant digits.
    """
    if not _is_finite(value):
        return ABSENT
    exponent = _exponent(value, digits)
    step = 3 * (exponent // 3)
    if value == 0 or step not in _PREFIXES:
        return f"{number(value, digits)}{NO_BREAK}{unit}"
    decimals = max(digits - 1 - (exponent - step), 0)
    return f"{_signed(f'{value / 10.0**step:.{decimals}f}')}{NO_BREAK}{_PREFIXES[step]}{unit}"


def amount(value: float | None, unit: str, digits: int = 3) -> str:
    """A quantity with its unit; an area in mm², for prefixes of a square unit mislead: `2e-6, "m²"` gives `2 mm²`.

    Args:
        value: The quantity in units without a prefix.
        unit: The unit; `m²` is written in mm².
        digits: Significant digits.
    """
    if unit != "m²":
        return si(value, unit, digits)
    return f"{rounded(1e6 * value, digits)}{NO_BREAK}mm²" if _is_finite(value) else ABSENT


def db(ratio: float | None, digits: int = 2) -> str:
    """A ratio that is in dB already: `-1.2` gives `−1.20 dB`.

    Args:
        ratio: The ratio in dB.
        digits: Digits behind the point.
    """
    return f"{_signed(f'{ratio + 0.0:.{digits}f}')}{NO_BREAK}dB" if _is_finite(ratio) else ABSENT


def dbm(level: float | None) -> str:
    """A power in dBm, to a tenth."""
    return f"{_signed(f'{level + 0.0:.1f}')}{NO_BREAK}dBm" if _is_finite(level) else ABSENT


def constant(value: float | str | None, unit: str) -> str:
    """A given constant, up to six digits of it, prefixed where its unit is SI (`J`, `J/sample`, not `dB`).

    Args:
        value: The number, or a text that stands for it.
        unit: Its unit, as in `J/sample`.
    """
    if isinstance(value, str) or not _is_finite(value):
        return f"{value if isinstance(value, str) else ABSENT}{NO_BREAK}{unit}".strip()
    step = 3 * (_exponent(value, 6) // 3)
    if value == 0 or step not in _PREFIXES or unit.split("/")[0] not in _BASE_UNITS:
        power = unit.removeprefix("1").replace("^2", "²").replace("^3", "³")
        return f"{_powers(f'{value:.6g}')}{NO_BREAK}{power}".strip()
    return f"{_signed(f'{value / 10.0**step:.6g}')}{NO_BREAK}{_PREFIXES[step]}{unit}"


def number(value: float | None, digits: int = 3) -> str:
    """A bare number: plain between 0.001 and a million, else as `1.80 × 10⁻¹³`.

    Args:
        value: The number; None and what is not finite give a dash.
        digits: Significant digits.
    """
    if not _is_finite(value):
        return ABSENT
    if value == 0:
        return "0"
    exponent = _exponent(value, digits)
    if -3 <= exponent < 6:
        return _signed(f"{value:.{max(digits - 1 - exponent, 0)}f}")
    return _powers(f"{value:.{digits - 1}e}")


def percent(fraction: float | None) -> str:
    """A fraction as percent with one decimal: `0.981` gives `98.1 %`."""
    return f"{100 * fraction:.1f}{NO_BREAK}%" if _is_finite(fraction) else ABSENT


def plus_minus(mean: float, std: float | None) -> str:
    """A mean and its standard deviation, both fractions, in percent with two decimals: `98.02 ± 0.06 %`.

    Args:
        mean: The mean, a fraction.
        std: The standard deviation, a fraction; None leaves it out.
    """
    spread = f"{NO_BREAK}±{NO_BREAK}{100 * std:.2f}" if _is_finite(std) else ""
    return f"{100 * mean:.2f}{spread}{NO_BREAK}%"


def capital(words: str) -> str:
    """Words as a heading begins with them: `accuracy` gives `Accuracy`; `AP` and `mAP` stay as they are written."""
    first = words.partition(" ")[0]
    return words if first != first.lower() else words[:1].upper() + words[1:]


def points(difference: float | None) -> str:
    """A difference of two fractions in percentage points, with its sign: `-0.87` gives `−87.0`."""
    if not _is_finite(difference):
        return ABSENT
    rounded = round(100 * difference, 1)
    return _signed(f"{rounded:+.1f}") if rounded else "0.0"


def count(value: float | None) -> str:
    """A whole number in groups of three digits."""
    return f"{round(value):,}".replace(",", THIN) if _is_finite(value) else ABSENT


def rounded(value: float | None, digits: int = 3) -> str:
    """A number for a sentence, `digits` significant: `17857.1` gives `17 900`, `28.0` gives `28`.

    Trailing zeros go. Powers of ten are written from a thousand million on, and below a thousandth.

    Args:
        value: The number; None and what is not finite give a dash.
        digits: Significant digits.
    """
    if not _is_finite(value):
        return ABSENT
    near = float(f"{value:.{digits - 1}e}")
    if near and not 1e-3 <= abs(near) < 1e9:
        return _powers(f"{near:.{digits - 1}e}")
    return count(near) if near.is_integer() else _signed(f"{near:.{digits}g}")


def span(seconds: float | None) -> str:
    """A time to wait for, three digits of it: in SI below a minute, then in minutes, hours, days and years."""
    if not _is_finite(seconds):
        return ABSENT
    for size, unit in ((365.25 * 86400, "years"), (86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{rounded(seconds / size)}{NO_BREAK}{unit}"
    return si(seconds, "s")


def duration(seconds: float | None) -> str:
    """Wall time: below a minute in SI, then minutes and seconds, then hours and minutes."""
    if not _is_finite(seconds):
        return ABSENT
    if seconds < 59.5:
        return si(seconds, "s", 2)
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NO_BREAK}min {rest}{NO_BREAK}s"
    return f"{minutes // 60}{NO_BREAK}h {minutes % 60}{NO_BREAK}min"


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _powers(digits: str) -> str:
    """`1.2e-08` as `1.2 × 10⁻⁸`; digits without an exponent as they are."""
    mantissa, _, exponent = _signed(digits).partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa}{NO_BREAK}×{NO_BREAK}10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def _signed(digits: str) -> str:
    """The digits with a true minus sign in front."""
    return f"−{digits[1:]}" if digits.startswith("-") else digits


def _exponent(value: float, digits: int) -> int:
    """The power of ten of `value` once it is rounded to `digits`: 999.7 counts as 1000."""
    return int(f"{value:.{digits - 1}e}".split("e")[1])
