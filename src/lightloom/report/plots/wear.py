"""Plots of a run on a PCM chip: levels written in each case, and the wear of single cells before and after."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightloom.report.pages.pcm_writes import pulses
from lightloom.report.plots.phase_maps import mosaic
from lightloom.report.plots.states import bars
from lightloom.report.readers.run import Run
from lightloom.report.svg import COLOURS, Plot, mark_cells, mark_points, shown, sketch
from lightloom.report.units import count
from lightloom.schemas import WritesCase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

_MAP = "viridis"
_DARKEST = 0.2  # where the map starts: below, a tile is lost on a dark page
_SIGNS = ("positive cells", "negative cells")
_WIDE = 30.0  # most over least: beyond that the least bars vanish on a linear axis
_Maps = list[tuple[WritesCase, NDArray[np.float64]]]


def levels_plot(run: Run) -> Plot | None:
    """Bars of the levels that one inference writes, one a case; the last one stands out."""
    if run.writes is None:
        return None

    values = {case.name: case.levels for case in run.writes.cases}
    texts = [count(value) for value in values.values()]
    present = [value for value in values.values() if value]
    wide = bool(present) and max(present) > _WIDE * min(present)
    colours = [COLOURS["accent-soft"]] * (len(values) - 1) + [COLOURS["accent"]]
    with sketch(0.5 + 0.4 * len(values) + 0.55 * wide) as canvas:
        axes = canvas.axes
        bars(axes, values, texts, colours)
        if wide:
            _by_decades(axes, min(present), max(present))
        else:
            axes.set_xlim(0, (max(values.values()) or 1.0) * 1.35)
            axes.xaxis.set_visible(False)
            axes.spines["bottom"].set_visible(False)
    words = "; ".join(f"{name} {text}" for name, text in zip(values, texts, strict=True))
    caption = "Per inference, on a logarithmic scale." if wide else "Per inference."
    return canvas.plot("writes", "Levels written", caption, f"Bars of levels written per inference by case: {words}.")


def wear_plots(run: Run) -> list[Plot]:
    """The map and the curve of wear, before and after, of the layer with the most written cell."""
    if (layer_maps := _maps(run)) is None:
        return []
    layer, maps = layer_maps
    return [_wear_map(layer, maps), _wear_curve(layer, maps)]


def _by_decades(axes: Axes, least: float, most: float) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    floor = 10.0 ** math.floor(math.log10(least / 2))
    axes.set_xscale("log")
    axes.set_xlim(floor, most * (most / floor) ** 0.35)
    axes.set_xlabel("levels")
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(lambda value, _: count(value))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _maps(run: Run) -> tuple[str, _Maps] | None:
    """The layer with the most written cell of the first case, and its maps in the first and the last case."""
    if run.writes is None:
        return None
    cases = [run.writes.first] if len(run.writes.cases) == 1 else [run.writes.first, run.writes.last]
    shown_maps = {
        layer: [(case, maps[case.state, case.order]) for case in cases]
        for layer, maps in run.wear.items()
        if all((case.state, case.order) in maps for case in cases)
    }
    if not shown_maps:
        return None
    layer = max(sorted(shown_maps), key=lambda name: shown_maps[name][0][1].max())
    return layer, shown_maps[layer]


def _wear_map(layer: str, maps: _Maps) -> Plot:
    """Heat maps of both signs, before and after, on one scale."""
    most = max(float(wear.max()) for _, wear in maps) or 1.0
    with sketch(4.95) as canvas:
        grid = canvas.figure.subplots(2, len(maps), squeeze=False)
        for column, (case, wear) in enumerate(maps):
            grid[0, column].set_title(_heading(case), color=COLOURS["ink"], size=10)
            for sign, axes in enumerate(grid[:, column]):
                _panel(axes, wear[sign], most, f"{case.name}, {_SIGNS[sign]}")
        for sign, axes in enumerate(grid[:, 0]):
            axes.set_ylabel(_SIGNS[sign], color=COLOURS["ink"], size=10)
        _colour_bar(canvas.figure, grid, most)
    words = "; ".join(f"{case.name}: {_spread(wear)}" for case, wear in maps)
    caption = "The array with the most written cell, one tile a cell. Where a tile is missing nothing is ever written."
    label = f"Heat maps of pulses per inference on the cells of one array of {layer}, on one scale. {words}."
    return canvas.plot("wear", f"Wear of the cells of layer {layer}", caption, label)


def _heading(case: WritesCase) -> str:
    return f"{shown(case.state)},\n{shown(case.order)}"


def _spread(wear: NDArray[np.float64]) -> str:
    return f"most {pulses(float(wear.max()))}, median {pulses(float(np.median(wear)))}"


def _panel(axes: Axes, wear: NDArray[np.float64], most: float, where: str) -> None:
    colours = np.asarray(_colours()(wear / most))
    colours[wear == 0] = 0.0
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_facecolor(COLOURS["page"])
    rows, columns = wear.shape
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    axes.imshow(mosaic(colours), extent=extent, interpolation="none", aspect="equal")
    places = list(np.ndindex(wear.shape))
    texts = [
        f"{where}\nrow {row + 1}, column {column + 1}: {pulses(float(wear[row, column]))}" for row, column in places
    ]
    mark_cells(axes, [(column - 0.5, row - 0.5, 1, 1) for row, column in places], texts)


def _colours() -> ListedColormap:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps[_MAP](np.linspace(_DARKEST, 1, 256)))


def _colour_bar(figure: Figure, grid: NDArray[np.object_], most: float) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(0, most), _colours())
    bar = figure.colorbar(scale, ax=grid, orientation="horizontal", aspect=32, fraction=0.05, pad=0.04)
    bar.set_label("pulses per inference", color=COLOURS["muted"])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)


def _wear_curve(layer: str, maps: _Maps) -> Plot:
    """Pulses on every cell of the array, most written first: a flat line is a chip whose cells age alike."""
    styles = ([] if len(maps) == 1 else [(COLOURS["muted"], (0, (5, 2)))]) + [(COLOURS["accent"], "-")]
    with sketch(4.2) as canvas:
        axes = canvas.axes
        for (case, wear), (colour, dashes) in zip(maps, styles, strict=True):
            falling = np.sort(wear, axis=None)[::-1]
            places = range(1, len(falling) + 1)
            axes.plot(places, falling, color=colour, linestyle=dashes, label=_legend(case))
            texts = [
                f"{case.name}, cell {place}: {pulses(value)}" for place, value in zip(places, falling, strict=True)
            ]
            mark_points(axes, places, falling.tolist(), texts, colour)
        axes.set(xlabel="cells, most written first", ylabel="pulses per inference", ylim=(0, None), xlim=(0, None))
        axes.tick_params(length=0)
        axes.legend(loc="best")
    words = "; ".join(f"{case.name}: {_quarters(wear)}" for case, wear in maps)
    caption = "The same array, its cells in order. The lower and flatter, the longer all of them live."
    label = f"Line of pulses per inference over the cells of one array of {layer}, most written first. {words}."
    return canvas.plot("wear-curve", f"Pulses per cell of layer {layer}", caption, label)


def _legend(case: WritesCase) -> str:
    return shown(case.name, 32)


def _quarters(wear: NDArray[np.float64]) -> str:
    parts = {"most": 1.0, "a quarter above": 0.75, "half above": 0.5, "least": 0.0}
    return ", ".join(f"{name} {pulses(float(np.quantile(wear, at)))}" for name, at in parts.items())
