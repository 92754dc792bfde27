"""Precision over recall: how many false boxes each further object costs, in images and in space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from lightloom.report.plots.line_styles import axes_labels, legend, legend_height, panels, strokes
from lightloom.report.readers.detection3d import REACH
from lightloom.report.readers.run import Run
from lightloom.report.readers.sweep import ranked
from lightloom.report.svg import COLOURS, Plot, shown, sketch
from lightloom.report.units import NO_BREAK, percent, rounded
from lightloom.schemas import PrecisionCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

MOST_CLASSES, MOST_CLASSES_3D = 6, 10
_ALL = "all"
_TICKS = (0, 0.25, 0.5, 0.75, 1)


class _Line(NamedTuple):
    """One curve to draw, of a class or of all."""

    case: str
    of: str
    recall: Sequence[float]
    precision: Sequence[float]
    area: float


def precision_plots(run: Run) -> list[Plot]:
    """Plots of each overlap, a line a case over all classes; for the first one also a panel a class."""
    if not run.precisions:
        return []
    overlaps = list(dict.fromkeys(curve.iou for curve in run.precisions))
    whole = [[curve for curve in run.precisions if curve.iou == iou and curve.of == _ALL] for iou in overlaps]
    plots = [_over_all(number, curves[0].iou, _in_order(run, curves)) for number, curves in enumerate(whole) if curves]
    single = [curve for curve in run.precisions if curve.iou == overlaps[0] and curve.of != _ALL]
    if not single:
        return plots
    overlap = f"{overlaps[0]:.2f}"
    label = f"Lines of precision over recall at an overlap of {overlap}, a panel a class"
    lines = _in_order(run, single)
    return [*plots, _by_class("precision-classes", f"overlap {overlap}", label, lines, MOST_CLASSES)]


def precision3d_plots(run: Run) -> list[Plot]:
    """A panel a distance between centres, and a panel a class at the distance at which errors are measured."""
    distances = sorted({curve.distance for curve in run.precisions3d})
    if not distances:
        return []
    lines = {
        distance: _in_order(run, [curve for curve in run.precisions3d if curve.distance == distance])
        for distance in distances
    }
    plots = [
        _panelled(
            "precision3d-distances",
            "Precision over recall, by distance",
            "Mean over the classes. A box counts as found where its centre is closer than this to one of its class.",
            "Lines of precision over recall, mean over the classes, a panel a distance between centres",
            {f"{rounded(distance)} m": _means(curves) for distance, curves in lines.items()},
            high=2.4,
        )
    ]
    near = REACH if REACH in distances else distances[-1]
    single = [line for line in lines[near] if line.of != _ALL]
    if not single:
        return plots
    within = f"within {rounded(near)}{NO_BREAK}m"
    label = f"Lines of precision over recall {within}, a panel a class"
    return [*plots, _by_class("precision3d-classes", within, label, single, MOST_CLASSES_3D)]


def _in_order(run: Run, curves: Sequence[PrecisionCurve]) -> list[_Line]:
    order = ranked(run.sweep, [curve.case for curve in curves])
    lines = [_Line(curve.case, curve.of, curve.recall, curve.precision, curve.area) for curve in curves]
    return sorted(lines, key=lambda line: order.index(line.case))


def _means(lines: Sequence[_Line]) -> list[_Line]:
    """The line of each case over all classes: the one that it has, else the mean at each recall that its first has."""
    means = []
    for case in dict.fromkeys(line.case for line in lines):
        own = [line for line in lines if line.case == case]
        whole = [line for line in own if line.of == _ALL] or own
        alike = [line for line in whole if line.recall == whole[0].recall]
        precision = [fmean(values) for values in zip(*(line.precision for line in alike), strict=True)]
        means.append(_Line(case, _ALL, whole[0].recall, precision, fmean(line.area for line in alike)))
    return means


def _over_all(number: int, overlap: float, lines: Sequence[_Line]) -> Plot:

    looks = strokes(line.case for line in lines)
    with sketch(3.5 + legend_height(looks)) as canvas:
        axes = canvas.axes
        legend(canvas.figure, _draw(axes, lines))
        axes.set(xlabel="recall / %", ylabel="precision / %")
    words = "; ".join(f"{line.case} {percent(line.area)}" for line in lines)
    left_out = f"The first {len(looks)} of {len(lines)} cases." if len(looks) < len(lines) else ""
    caption = f"Mean over the classes. The area below a line is the average precision. {left_out}".strip()
    label = f"Lines of precision over recall at an overlap of {overlap:.2f}. Areas: {words}."
    return canvas.plot(f"precision-{number}", f"Precision over recall, overlap {overlap:.2f}", caption, label)


def _by_class(name: str, where: str, label: str, lines: Sequence[_Line], most: int) -> Plot:
    """A panel for each of the first so many classes."""
    every = list(dict.fromkeys(line.of for line in lines))
    caption = f"The first {most} of {len(every)} classes." if len(every) > most else ""
    groups = {of: [line for line in lines if line.of == of] for of in every[:most]}
    return _panelled(name, f"Class by class, {where}", caption, label, groups)


def _panelled(
    name: str, title: str, caption: str, label: str, groups: Mapping[str, Sequence[_Line]], high: float = 1.7
) -> Plot:
    """A panel a group, so many inch high; a line a case."""
    looks = strokes(line.case for group in groups.values() for line in group)
    rows, columns = panels(len(groups))
    with sketch(0.6 + high * rows + legend_height(looks)) as canvas:
        grid = canvas.figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        lines: dict[str, Line2D] = {}
        for axes, (group, curves) in zip(grid.flat, groups.items(), strict=False):
            lines |= _draw(axes, curves, looks)
            axes.set_title(shown(group, 24), size=10, color=COLOURS["ink"])
        for axes in grid.flat[len(groups) :]:
            axes.set_visible(False)
        legend(canvas.figure, {case: lines[case] for case in looks if case in lines})
        axes_labels(canvas.figure, "recall / %", "precision / %")
    words = "; ".join(f"{group}: {_areas(curves)}" for group, curves in groups.items())
    return canvas.plot(name, title, caption, f"{label}. Areas: {words}.")


def _draw(axes: Axes, lines: Sequence[_Line], names: Iterable[str] = ()) -> dict[str, Line2D]:
    """A line a case, where there is a stroke left for it; none once precision has fallen to 0."""
    looks = strokes(names or [line.case for line in lines])
    handles = {}
    for line in lines:
        if line.case in looks:
            precision = [value or float("nan") for value in line.precision]
            texts = [
                f"{line.case}: precision {percent(value)} at recall {percent(at)}"
                for at, value in zip(line.recall, line.precision, strict=True)
            ]
            handles[line.case] = looks[line.case].draw(axes, line.recall, precision, every=None, said=texts)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.04))
    axes.set_xticks(_TICKS, [f"{100 * tick:g}" for tick in _TICKS])
    axes.set_yticks(_TICKS, [f"{100 * tick:g}" for tick in _TICKS])
    axes.tick_params(length=0)
    return handles


def _areas(lines: Iterable[_Line]) -> str:
    return ", ".join(f"{line.case} {percent(line.area)}" for line in lines)
