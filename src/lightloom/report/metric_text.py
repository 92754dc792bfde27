"""A metric in words: its value, its spread over seeds and a difference, each as its kind is written."""

from __future__ import annotations

import math

from lightloom.report import units
from lightloom.schemas import ACCURACY, Metric


def value(amount: float | None, metric: Metric) -> str:
    """A value as it stands in a sentence or a table: `97.2 %`, or `1.83 bit`.

    Args:
        amount: The value, None where it is not known.
        metric: What it is a value of.
    """
    if metric.percent:
        return units.percent(amount)
    return _with_unit(units.number(amount), metric)


def spread(mean: float | None, std: float | None, metric: Metric, *, unit: bool = True) -> str:
    """A mean and its standard deviation: `98.02 ± 0.06 %`, or `1.83 ± 0.02 bit`.

    Args:
        mean: The mean, None where it is not known.
        std: The standard deviation; None leaves it out.
        metric: What they are of.
        unit: Whether the unit stands behind them.
    """
    if mean is None:
        return units.ABSENT
    if metric.percent:
        text = units.plus_minus(mean, std)
        return text if unit else text.removesuffix(f"{units.NO_BREAK}%")
    has_std = std is not None and math.isfinite(std)
    text = units.number(mean) + (f"{units.NO_BREAK}±{units.NO_BREAK}{units.number(std, 2)}" if has_std else "")
    return _with_unit(text, metric) if unit else text


def difference(change: float | None, metric: Metric) -> str:
    """A difference of two values with its sign: in points of a percentage, or in the unit of the metric.

    Args:
        change: The later value less the earlier one, None where one is not known.
        metric: What they are of.
    """
    if metric.percent or change is None:
        return units.points(change)
    sign = "+" if change > 0 else ""
    return f"{sign}{units.number(change)}"


def difference_unit(metric: Metric) -> str:
    """The unit of a difference, as a heading has it behind a slash; empty for a plain number."""
    return "points" if metric.percent else metric.unit


def axis_label(metric: Metric, before: str = "") -> str:
    """The name of an axis: `accuracy / %`.

    Args:
        metric: What the axis shows.
        before: A word before the name, such as `validation`.
    """
    unit = "%" if metric.percent else metric.unit
    return f"{before} {metric.words}".strip() + (f" / {unit}" if unit else "")


def heading(metric: Metric) -> str:
    """The name as a heading begins with it: `Accuracy`, `AP`, `Bits per character`."""
    return units.capital(metric.words)


def name_before(metric: Metric) -> str:
    """What goes before a value in a sentence: an accuracy in percent needs no name."""
    return "" if metric.name == ACCURACY else f"{metric.words} "


def _with_unit(text: str, metric: Metric) -> str:
    return f"{text}{units.NO_BREAK}{metric.unit}" if metric.unit and text != units.ABSENT else text
