"""Phase maps: the phases of a mesh where its heaters stand, commanded and realised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from lightloom.common.errors import RequestError
from lightloom.report.readers.phases import Phases
from lightloom.report.readers.run import Run
from lightloom.report.svg import COLOURS, Plot, mark_cells, sketch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lightloom.physics.mesh import Field, Layout

_RIM = 0.55  # a grey rim sets the palest tiles off a light page and the darkest off a dark one
_MESHES = ("u", "v")
_KINDS = ("commanded", "realised")


def phase_plots(run: Run) -> list[Plot]:
    """A map for the first, a middle and the last layer that has phases.

    Raises:
        RequestError: The phases do not fit the mesh that the file names.
    """
    if run.phases is None or not run.phases.tensors:
        return []
    positions = _positions(run.phases)
    if not len(positions):
        return []
    layers = list(run.phases.tensors)
    indices = sorted({0, (len(layers) - 1) // 2, len(layers) - 1})
    return [_phase_map(f"phases-{place}", layers[index], run.phases, positions) for place, index in enumerate(indices)]


def phase_error(commanded: NDArray[np.float64], realised: NDArray[np.float64]) -> float:
    """Root mean square of the difference of two phases [n] in rad, taken around the circle (at most pi).

    Args:
        commanded: Phases that the chip is told, in rad.
        realised: Phases that it makes of them, in rad.
    """
    difference = np.angle(np.exp(1j * (realised - commanded)))
    return float(np.sqrt(np.mean(difference**2)))


def tiles(phases: NDArray[np.float64], positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """An RGBA picture with one rounded tile per heater, transparent between them.

    Args:
        phases: [n] in rad, any multiple of 2 pi apart shows the same colour.
        positions: [n, 2], row (waveguide) and column (along the light) of each heater; n is at least 1.

    Returns:
        [rows * pixels, columns * pixels, 4]; fewer pixels a tile on a larger mesh.
    """
    from matplotlib import colormaps

    rows, columns = (int(last) + 1 for last in positions.max(axis=0))
    cells = np.zeros((rows, columns, 4))
    cells[positions[:, 0], positions[:, 1]] = colormaps["twilight"](np.mod(phases, 2 * np.pi) / (2 * np.pi))
    return mosaic(cells)


def mosaic(cells: NDArray[np.float64]) -> NDArray[np.uint8]:
    """An RGBA picture of rounded tiles from colours [rows, columns, 4] in [0, 1]; a clear one is left out."""
    rows, columns, _ = cells.shape
    pixels = max(1, min(16, 640 // max(rows, columns)))
    picture = np.kron(cells, np.ones((pixels, pixels, 1)))
    inside = np.tile(_rounded(pixels, gap=2), (rows, columns))[..., None]
    picture[..., :3] = inside * picture[..., :3] + (1 - inside) * _RIM
    picture[..., 3] *= np.tile(_rounded(pixels, gap=1), (rows, columns))
    return np.round(255 * picture).astype(np.uint8)


def _rounded(pixels: int, gap: int) -> NDArray[np.float64]:
    """The alpha of one tile: a square with round corners and a gap around it; full where too small."""
    if pixels < 8:
        return np.ones((pixels, pixels))
    offset = np.abs(np.arange(pixels) - (pixels - 1) / 2)
    half, radius = pixels / 2 - gap, pixels / 4
    outside = np.maximum(offset - (half - radius), 0)
    alpha: NDArray[np.float64] = np.clip(radius + 0.5 - np.hypot(outside[:, None], outside[None, :]), 0, 1)
    return alpha


def _positions(phases: Phases) -> NDArray[np.int64]:
    from lightloom.physics.mesh import heater_positions

    try:
        grid = heater_positions(phases.size, cast("Layout", phases.layout), cast("Field", phases.field))
    except (ValueError, TypeError) as error:
        raise RequestError(f"`phases.safetensors` names a mesh that there is not: {error}.") from None
    positions: NDArray[np.int64] = grid.numpy()
    for layer, tensors in phases.tensors.items():
        for (mesh, kind), tensor in tensors.items():
            check_count(f"{layer}/{mesh}/{kind}", tensor, len(positions), phases)
    return positions


def check_count(name: str, tensor: NDArray[np.float64], expected: int, phases: Phases) -> None:
    """Refuse a tensor that is not one block of phases.

    Args:
        name: Name of the layer and its mesh.
        tensor: Phases of one mesh.
        expected: Phases that such a mesh has.
        phases: All phases of the run.

    Raises:
        RequestError: It has another shape.
    """
    if tensor.shape != (expected,):
        raise RequestError(
            f"`phases.safetensors` holds `{name}` of shape {tensor.shape}; "
            f"a {phases.layout} mesh of size {phases.size} has {expected} phases. Store one block of a layer."
        )


def _phase_map(name: str, layer: str, phases: Phases, positions: NDArray[np.int64]) -> Plot:

    tensors = phases.tensors[layer]
    meshes = [mesh for mesh in _MESHES if any((mesh, kind) in tensors for kind in _KINDS)]
    with sketch(0.85 + 1.75 * len(meshes)) as canvas:
        grid = canvas.figure.subplots(len(meshes), 2, squeeze=False)
        for mesh, pair in zip(meshes, grid, strict=True):
            for kind, axes in zip(_KINDS, pair, strict=True):
                _panel(axes, tensors.get((mesh, kind)), positions, f"{mesh.upper()} {kind}")
                axes.set_title(kind if mesh == meshes[0] else "", color=COLOURS["ink"], size=10)
            pair[0].set_ylabel(mesh.upper(), rotation=0, va="center", labelpad=10, color=COLOURS["ink"], size=12)
        _colour_bar(canvas.figure, grid)
    caption = difference(tensors, meshes)
    label = (
        f"Phases of the first block of {layer} on the mesh, {phases.size} waveguides, commanded beside "
        f"realised. {difference(tensors, meshes)}"
    )
    return canvas.plot(name, f"Layer {layer}", caption, label)


def difference(tensors: Mapping[tuple[str, str], NDArray[np.float64]], meshes: list[str]) -> str:
    """How far realised is from commanded in each of these meshes (`u`, `v`), in words.

    Args:
        tensors: Commanded and realised phases in rad, by mesh and kind.
        meshes: Names of the meshes, `u` or `v`.
    """
    pairs = {
        mesh: phase_error(tensors[mesh, "commanded"], tensors[mesh, "realised"])
        for mesh in meshes
        if all((mesh, kind) in tensors for kind in _KINDS)
    }
    if not pairs:
        return "One of commanded and realised is not stored."
    words = " and ".join(f"{error:.2f} rad in {mesh.upper()}" for mesh, error in pairs.items())
    return f"Realised is off by {words} (root mean square)."


def _panel(axes: Axes, phases: NDArray[np.float64] | None, positions: NDArray[np.int64], which: str) -> None:
    """One mesh: waveguides as lines, heaters as tiles."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if phases is None:
        return
    rows, columns = (int(last) + 1 for last in positions.max(axis=0))
    axes.set_facecolor(COLOURS["page"])
    axes.hlines(range(rows), -0.5, columns - 0.5, color=COLOURS["line"], linewidth=1.0, zorder=0)
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    axes.imshow(tiles(phases, positions), extent=extent, interpolation="none", aspect="equal", zorder=1)
    places = positions.tolist()
    texts = [
        f"{which}: {phase:.2f} rad\nwaveguide {row + 1}, column {column + 1}"
        for (row, column), phase in zip(places, np.mod(phases, 2 * np.pi), strict=True)
    ]
    mark_cells(axes, [(column - 0.5, row - 0.5, 1, 1) for row, column in places], texts)


def _colour_bar(figure: Figure, grid: NDArray[np.object_]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(0, 2 * np.pi), "twilight")
    bar = figure.colorbar(scale, ax=grid, orientation="horizontal", aspect=32, fraction=0.05, pad=0.04)
    bar.set_ticks([0, np.pi / 2, np.pi, 3 * np.pi / 2, 2 * np.pi], labels=["0", "π/2", "π", "3π/2", "2π"])
    bar.set_label("phase / rad", color=COLOURS["muted"])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
