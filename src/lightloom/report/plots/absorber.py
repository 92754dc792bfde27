"""What an absorber does to light that passes it, and what a beam that comes back finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightloom.report.plots.line_styles import axes_labels, legend, legend_height, panels, spread_out, strokes
from lightloom.report.readers.run import Run
from lightloom.report.svg import COLOURS, Plot, shown, sketch
from lightloom.report.units import percent, rounded
from lightloom.schemas import ResponseCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

MOST_CURVES = 6
_QUANTITY = {"amplitude": "field", "intensity": "intensity"}
_FAINT = 1e-3  # of the largest: where both are fainter, their ratio makes no difference


def absorber_plots(run: Run) -> list[Plot]:
    """Output with transmission, and gradients, for the absorbers of each encoding."""
    plots = []
    for encoding in dict.fromkeys(curve.encoding for curve in run.curves):
        curves = [curve for curve in run.curves if curve.encoding == encoding]
        subset = spread_out(curves, MOST_CURVES)
        left_out = f" {len(subset)} of {len(curves)} absorbers." if len(subset) < len(curves) else ""
        plots += [_response(subset, left_out), _gradients(subset, left_out)]
    return plots


def mismatch(curve: ResponseCurve) -> float:
    """The exact derivative over what a probe sees, where the two differ most; below 1 the exact one is smaller."""
    exact, probe = np.asarray(curve.exact), np.asarray(curve.probe)
    clear = (probe > 0) & (np.maximum(np.abs(exact), probe) > _FAINT * max(np.abs(exact).max(), probe.max()))
    if not clear.any():
        return 1.0
    ratios = exact[clear] / probe[clear]
    least, most = float(ratios.min()), float(ratios.max())
    return most if least > 0 and least * most >= 1 else least


def _transmission(curve: ResponseCurve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Output over input [n] and where; left out where no light comes in."""
    x, output = np.asarray(curve.x), np.asarray(curve.output)
    lit = x != 0
    return x[lit], output[lit] / x[lit]


def _response(curves: Sequence[ResponseCurve], left_out: str) -> Plot:

    quantity = _QUANTITY[curves[0].encoding]
    with sketch(_height(curves) + legend_height([curve.name for curve in curves]) - 0.2) as canvas:
        above, below = canvas.figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (1.5, 1)})
        lines = {}
        for curve, stroke in zip(curves, strokes(map(str, range(len(curves)))).values(), strict=True):
            texts = [
                f"{curve.name}: {rounded(x)} enters, {rounded(y)} leaves"
                for x, y in zip(curve.x, curve.output, strict=True)
            ]
            lines[curve.name] = stroke.draw(above, curve.x, curve.output, every=None, said=texts)
            lit, passed = _transmission(curve)
            texts = [
                f"{curve.name}: {percent(part)} passes at {rounded(x)}" for x, part in zip(lit, passed, strict=True)
            ]
            stroke.draw(below, lit, passed, every=None, said=texts)
        _untouched(above, curves)
        legend(canvas.figure, lines)
        above.set_ylabel(f"{quantity} that leaves")
        below.set(xlabel=f"{quantity} that enters", ylabel="transmission / %")
        below.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}")
        for axes in (above, below):
            axes.tick_params(length=0)
    words = "; ".join(
        f"{curve.name}: {percent(_transmission(curve)[1][-1])} passes at {rounded(curve.x[-1])}" for curve in curves
    )
    caption = f"Dashed: as if there were no absorber.{left_out}"
    label = f"Lines of the {quantity} that leaves an absorber and of its transmission over the {quantity} that enters."
    return canvas.plot(f"response-{curves[0].encoding}", "Response", caption.strip(), f"{label} {words}.")


def _height(curves: Sequence[ResponseCurve]) -> float:
    """Height of a figure in inch, the same for both figures, which stand side by side."""
    return max(4.7, 0.9 + 1.75 * panels(len(curves))[0])


def _untouched(axes: Axes, curves: Sequence[ResponseCurve]) -> None:
    """The line of light that nothing absorbs, within the limits that the curves set."""
    limits = axes.get_ylim()
    ends = [min(min(curve.x) for curve in curves), max(max(curve.x) for curve in curves)]
    axes.plot(ends, ends, color=COLOURS["muted"], linewidth=1.4, linestyle=(0, (4, 3)), zorder=1.5)
    axes.set_ylim(limits)


def _gradients(curves: Sequence[ResponseCurve], left_out: str) -> Plot:
    """A panel an absorber: the exact derivative, what a probe sees, and the gap between the two."""
    quantity = _QUANTITY[curves[0].encoding]
    rows, columns = panels(len(curves))
    with sketch(_height(curves)) as canvas:
        grid = canvas.figure.subplots(rows, columns, squeeze=False)
        lines = {}
        for axes, curve in zip(grid.flat, curves, strict=False):
            lines = _panel(axes, curve, named=len(curves) > 1)
        for axes in grid.flat[len(curves) :]:
            axes.set_visible(False)
        legend(canvas.figure, lines)
        axes_labels(canvas.figure, f"{quantity} that enters", "derivative")
    words = "; ".join(f"{curve.name} {rounded(mismatch(curve))}" for curve in curves)
    caption = (
        "A weak beam on its way back sees the transmission, not the slope of the response. "
        f"Given is slope over transmission where they differ most.{left_out}"
    )
    label = f"Lines of the exact derivative and of what a probe sees, over the {quantity} that enters."
    return canvas.plot(
        f"gradients-{curves[0].encoding}",
        "Derivative: exact, and as a probe sees it",
        caption.strip(),
        f"{label} Exact over probe where they differ most: {words}.",
    )


def _panel(axes: Axes, curve: ResponseCurve, *, named: bool) -> dict[str, Line2D]:
    exact, probe = COLOURS["accent"], COLOURS["programmed"]
    axes.fill_between(curve.x, curve.probe, curve.exact, color=exact, alpha=0.13, linewidth=0)
    (slope,) = axes.plot(curve.x, curve.exact, color=exact)
    (estimate,) = axes.plot(curve.x, curve.probe, color=probe, linestyle=(0, (5, 2)))
    if named:
        axes.set_title(shown(curve.name, 24), size=10, color=COLOURS["ink"])
    text = f"{rounded(mismatch(curve))} ×"
    axes.text(0.98, 0.05, text, transform=axes.transAxes, ha="right", va="bottom", color=COLOURS["muted"])
    axes.set_ylim(min(0.0, *curve.exact, *curve.probe), None)
    axes.tick_params(length=0)
    return {"exact": slope, "probe": estimate}
