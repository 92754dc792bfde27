"""Lines that are told apart by more than colour, and the axes that they are drawn on."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightloom.report.svg import COLOURS, mark_points, shown
from lightloom.report.units import rounded
from lightloom.schemas import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_Item = TypeVar("_Item")

MOST_LINES = 8
"""Lines of one plot at most: as many as there are strokes; more are unreadable anyway."""
_ROLES = ("accent", "programmed", "other-0", "other-1", "mapped", "calibrated", "reordered", "electronic")
_DASHES = (
    "-",
    (0, (5, 2)),
    (0, (1.5, 1.3)),
    (0, (7, 2, 1.5, 2)),
    (0, (10, 2.5)),
    (0, (3, 1.2)),
    (0, (7, 2, 1.5, 2, 1.5, 2)),
    (0, (1.5, 3)),
)
_MARKERS = "os^DvPX*"
_WIDE = 4.0  # most over least error: beyond that the best are squeezed together on a linear axis
_ROOM = 0.09  # of the axis, left free at either end
_APART = 0.085  # of the axis, between two labels below it
_COARSE, _FINE = (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)  # errors within a decade that have a tick
_FEW = 4  # ticks; where fewer are in sight, the fine ones are drawn
_LONGEST = 40  # letters of a name in a legend
_LETTERS = 64  # that a legend has room for in one row, with its handles


@dataclass(frozen=True)
class Stroke:
    """How one line is drawn."""

    colour: str
    dashes: str | tuple[int, tuple[float, ...]]
    marker: str

    def draw(
        self, axes: Axes, x: ArrayLike, y: ArrayLike, *, every: int | None = 1, said: Sequence[str] = ()
    ) -> Line2D:
        """The line, with a marker on every so many points; none for None. `said` are the texts of its points.

        Args:
            axes: The axes.
            x: Places of the points.
            y: Heights of the points.
            every: A marker stands on every so many points; none for None.
            said: What each point says when pointed at; nothing where empty.
        """
        (line,) = axes.plot(
            x,
            y,
            color=self.colour,
            linestyle=self.dashes,
            marker=None if every is None else self.marker,
            markersize=5.5,
            markevery=every,
            markeredgecolor=COLOURS["surface"],
            markeredgewidth=0.8,
        )
        if said:
            mark_points(axes, np.asarray(x).tolist(), np.asarray(y).tolist(), said, self.colour)
        return line


def strokes(names: Iterable[str]) -> dict[str, Stroke]:
    """A stroke for each of the first `MOST_LINES` names, in order."""
    firsts = list(dict.fromkeys(names))[:MOST_LINES]
    return {name: Stroke(COLOURS[_ROLES[index]], _DASHES[index], _MARKERS[index]) for index, name in enumerate(firsts)}


def legend(figure: Figure, lines: Mapping[str, Line2D]) -> None:
    """The names of lines above the axes, in as many columns as fit.

    Args:
        figure: The figure.
        lines: The line of each name.
    """
    figure.legend(
        list(lines.values()),
        [shown(name, _LONGEST) for name in lines],
        loc="outside upper left",
        ncols=_columns(lines),
        handlelength=2.6,
        columnspacing=1.4,
        borderpad=0.4,
    )


def legend_height(names: Collection[str]) -> float:
    """Height of a legend with these names, in inch."""
    return 0.19 * -(-len(names) // _columns(names))


def _columns(names: Collection[str]) -> int:
    widest = max(len(shown(name, _LONGEST)) for name in names)
    return max(1, min(len(names), _LETTERS // (widest + 8)))


def panels(number: int) -> tuple[int, int]:
    """Rows and columns for so many panels: one column for two, else two."""
    columns = 1 if number <= 2 else 2
    return -(-number // columns), columns


def axes_labels(figure: Figure, x: str, y: str) -> None:
    """One label for the x axes of all panels, and one for the y axes.

    Args:
        figure: The figure.
        x: Label of all x axes.
        y: Label of all y axes.
    """
    figure.supxlabel(x, size=10, color=COLOURS["muted"])
    figure.supylabel(y, size=10, color=COLOURS["muted"])


def metric_axis(axes: Axes, which: Literal["x", "y"], values: Sequence[float], metric: Metric) -> bool:
    """Set the limits and the ticks of an axis of a metric.

    Args:
        axes: The axes.
        which: The axis that shows the metric.
        values: All values that are to be in sight.
        metric: What they are of; a percentage never goes beyond 0 ... 1.

    Returns:
        Whether it is stretched towards 100 %: logarithmic in the error, where errors differ widely.
    """
    axis: Axis = axes.xaxis if which == "x" else axes.yaxis
    set_limits = axes.set_xlim if which == "x" else axes.set_ylim
    least, most = min(values), max(values)
    stretched = metric.percent and most < 1 and 1 - least > _WIDE * (1 - most)
    if stretched:
        (axes.set_xscale if which == "x" else axes.set_yscale)("function", functions=(_decades, _fraction))
        low, high = _decades(np.array([least, most]))
        room = _ROOM * (high - low)
        floor, top = max(float(_fraction(low - room)), 0.0), float(_fraction(high + room))
        axis.set_ticks(_ticks(floor, top))
    else:
        from matplotlib.ticker import MaxNLocator

        room = _ROOM * (most - least) or 0.01
        least_shown = (0.0 if least else -0.01) if metric.percent else -math.inf
        floor, top = max(least - room, least_shown), most + room
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    set_limits(floor, top)
    scale = 100 if metric.percent else 1
    axis.set_major_formatter(lambda value, _: f"{scale * value:.4g}")
    return stretched


def x_axis(axes: Axes, places: Sequence[float], *, logarithmic: bool) -> None:
    """Label the places where something was measured, as many as fit; logarithmic where every one is above 0.

    Args:
        axes: The axes.
        places: Where something was measured, ascending.
        logarithmic: Whether the axis is logarithmic where every place is above 0.
    """
    from matplotlib.ticker import NullLocator

    if logarithmic and min(places) > 0:
        axes.set_xscale("log")
        spread = [math.log(place) for place in places]
    else:
        spread = list(places)
    span = (max(spread) - min(spread)) or 1.0
    labelled: list[int] = []
    for index in range(len(places)):
        if not labelled or spread[index] - spread[labelled[-1]] >= _APART * span:
            labelled.append(index)
    if labelled[-1] != len(places) - 1:
        labelled[-1] = len(places) - 1
    axes.set_xticks([places[index] for index in labelled], [rounded(places[index]) for index in labelled])
    axes.xaxis.set_minor_locator(NullLocator())


def _ticks(floor: float, top: float) -> list[float]:
    """Fractions between two others, at round errors."""
    decades = range(1, 1 - math.floor(math.log10(1 - top)))

    def at(errors: Sequence[float]) -> list[float]:
        ticks = (1 - error / 10**decade for decade in decades for error in errors)
        return sorted(tick for tick in ticks if floor <= tick <= top)

    return coarse if len(coarse := at(_COARSE)) >= _FEW else at(_FINE)


def _decades(fraction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decades of error below 1; fractions of 1 and more end up nine decades down."""
    return np.asarray(-np.log10(1 - np.minimum(fraction, 1 - 1e-9)))


def _fraction(decades: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 - 10.0 ** -np.asarray(decades))


def spread_out(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most `most` of the items: the first, the last, and others evenly between.

    Args:
        items: The items, in order.
        most: The most that are returned.
    """
    if len(items) <= most:
        return list(items)
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]
