"""Precision over recall: how many false boxes each further object costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lightloom.report.lines import axes_labels, legend, legend_height, panels, strokes
from lightloom.report.plots import WIDTH
from lightloom.report.read import Run
from lightloom.report.read_detection import Precision
from lightloom.report.read_sweep import ranked
from lightloom.report.svg import COLOURS, Plot, drawing, shown, to_svg
from lightloom.report.units import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

MOST_CLASSES = 6
_ALL = "all"
_TICKS = (0, 0.25, 0.5, 0.75, 1)


def precision_plots(run: Run) -> list[Plot]:
    """For each overlap, a line a case over all classes; for the first one also a panel a class."""
    if not run.precisions:
        return []
    overlaps = list(dict.fromkeys(curve.iou for curve in run.precisions))
    whole = [[curve for curve in run.precisions if curve.iou == iou and curve.of == _ALL] for iou in overlaps]
    plots = [_over_all(number, _in_order(run, curves)) for number, curves in enumerate(whole) if curves]
    single = [curve for curve in run.precisions if curve.iou == overlaps[0] and curve.of != _ALL]
    return [*plots, _by_class(_in_order(run, single))] if single else plots


def _in_order(run: Run, curves: Sequence[Precision]) -> list[Precision]:
    order = ranked(run.sweep, [curve.case for curve in curves])
    return sorted(curves, key=lambda curve: order.index(curve.case))


def _over_all(number: int, curves: Sequence[Precision]) -> Plot:
    from matplotlib.figure import Figure

    drawn = strokes(curve.case for curve in curves)
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.5 + legend_height(drawn)))
        axes = figure.subplots()
        legend(figure, _draw(axes, curves))
        axes.set(xlabel="recall / %", ylabel="precision / %")
        source = to_svg(figure)
    told = "; ".join(f"{curve.case} {percent(curve.area)}" for curve in curves)
    left_out = f"The first {len(drawn)} of {len(curves)} cases." if len(drawn) < len(curves) else ""
    caption = f"Mean over the classes. The area below a line is the average precision. {left_out}".strip()
    label = f"Lines of precision over recall at an overlap of {curves[0].iou:.2f}. Areas: {told}."
    return Plot(f"precision-{number}", f"Precision over recall, overlap {curves[0].iou:.2f}", caption, label, source)


def _by_class(curves: Sequence[Precision]) -> Plot:
    from matplotlib.figure import Figure

    every = list(dict.fromkeys(curve.of for curve in curves))
    classes = every[:MOST_CLASSES]
    drawn = strokes(curve.case for curve in curves)
    rows, columns = panels(len(classes))
    with drawing():
        figure = Figure(figsize=(WIDTH, 0.6 + 1.7 * rows + legend_height(drawn)))
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        lines: dict[str, Line2D] = {}
        for axes, name in zip(grid.flat, classes, strict=False):
            lines |= _draw(axes, [curve for curve in curves if curve.of == name], drawn)
            axes.set_title(shown(name, 24), size=10, color=COLOURS["ink"])
        for axes in grid.flat[len(classes) :]:
            axes.set_visible(False)
        legend(figure, {case: lines[case] for case in drawn if case in lines})
        axes_labels(figure, "recall / %", "precision / %")
        source = to_svg(figure)
    told = "; ".join(f"{name}: {_areas(curve for curve in curves if curve.of == name)}" for name in classes)
    caption = f"The first {len(classes)} of {len(every)} classes." if len(classes) < len(every) else ""
    label = f"Lines of precision over recall at an overlap of {curves[0].iou:.2f}, a panel a class. Areas: {told}."
    return Plot("precision-classes", f"Class by class, overlap {curves[0].iou:.2f}", caption, label, source)


def _draw(axes: Axes, curves: Sequence[Precision], drawn: Iterable[str] = ()) -> dict[str, Line2D]:
    """A line a case, where there is a stroke left for it; none once precision has fallen to 0."""
    looks = strokes(drawn or [curve.case for curve in curves])
    lines = {}
    for curve in curves:
        if curve.case in looks:
            precision = [value or float("nan") for value in curve.precision]
            lines[curve.case] = looks[curve.case].draw(axes, curve.recall, precision, every=None)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.04))
    axes.set_xticks(_TICKS, [f"{100 * tick:g}" for tick in _TICKS])
    axes.set_yticks(_TICKS, [f"{100 * tick:g}" for tick in _TICKS])
    axes.tick_params(length=0)
    return lines


def _areas(curves: Iterable[Precision]) -> str:
    return ", ".join(f"{curve.case} {percent(curve.area)}" for curve in curves)
