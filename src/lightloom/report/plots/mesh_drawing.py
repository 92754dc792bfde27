"""Drawings of meshes: waveguides, interferometers, and every phase shifter with its phase and its power."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightloom.common.errors import RequestError
from lightloom.report.plots import phase_maps
from lightloom.report.plots.line_styles import spread_out
from lightloom.report.plots.schematic import PITCH, Schematic, schematic
from lightloom.report.readers.phases import Phases
from lightloom.report.readers.run import Run
from lightloom.report.svg import COLOURS, Plot
from lightloom.report.units import NO_BREAK, si

LARGEST = 16  # waveguides; the phase maps show larger meshes
MOST_LAYERS = 6
_WIDEST = 2000.0  # px; wider than that, one mesh stands below the other
_NARROWEST, _USUAL = 740.0, 1080.0  # px; what the words below need, and what a page shows without scaling
_SIDE, _HEAD, _MIDDLE, _FOOT = 46.0, 34.0, 60.0, 66.0
_LEAST, _MOST = 3.0, 9.5  # radius of a phase shifter without power, and with that of 2 pi
_TITLES = {"v": "V", "u": "U"}  # in the order that light meets them
_NAMES = {"0": 0.0, "π/2": 0.25, "π": 0.5, "3π/2": 0.75, "2π": 1.0}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """What is drawn of one layer: its first block.

    Attributes:
        layer: Its name.
        tensors: [n] in rad, by mesh (`u`, `v`) and kind (`commanded`, `realised`).
        attenuators: [k] in rad, None where not stored.
        shifter_power: In W, that holds a phase of pi; None where unknown.
    """

    layer: str
    tensors: Mapping[tuple[str, str], Array]
    attenuators: Array | None
    shifter_power: float | None

    def power(self, phases: Array | None) -> float | None:
        """Electrical power in W that holds these phases [n], each of them within one turn."""
        if phases is None or self.shifter_power is None:
            return None
        return float(np.mod(phases, 2 * math.pi).sum() / math.pi * self.shifter_power)

    @property
    def powers(self) -> dict[str, float]:
        """Electrical power in W of each mesh, and of the attenuators, where known."""
        parts = {title: self.tensors.get((mesh, "commanded")) for mesh, title in _TITLES.items()}
        watts_by_part = {name: self.power(part) for name, part in (parts | {"attenuators": self.attenuators}).items()}
        return {name: watts for name, watts in watts_by_part.items() if watts is not None}


def mesh_plots(run: Run) -> list[Plot]:
    """A drawing for up to `MOST_LAYERS` layers, none where the meshes are too large for one.

    Raises:
        RequestError: The phases do not fit the mesh that the file names.
    """
    phases = run.phases
    if phases is None or not 2 <= phases.size <= LARGEST:
        return []
    try:
        mesh = schematic(phases.size, phases.layout, phases.field)
    except ValueError as error:
        raise RequestError(f"`phases.safetensors` names a mesh that there is not: {error}") from None
    layers = spread_out(list(phases.tensors), MOST_LAYERS)
    return [mesh_plot(f"mesh-{index}", _block(layer, phases, run), mesh) for index, layer in enumerate(layers)]


def mesh_plot(name: str, block: Block, mesh: Schematic) -> Plot:
    """The drawing of one block.

    Args:
        name: Name of the plot, unique on the page.
        block: The block with its phases.
        mesh: Where its MZIs and attenuators stand.
    """
    meshes = [side for side in ("u", "v") if any(side == stored for stored, _ in block.tensors)]
    words = f"{_held(block)} {phase_maps.difference(block.tensors, meshes)}".strip()
    count = sum(shifter.kind == "θ" for shifter in mesh.shifters)
    waveguides = round(mesh.height / PITCH)
    label = (
        f"Meshes V and U of the first block of {block.layer}, {waveguides} waveguides and {count} MZIs each, "
        f"with {waveguides} attenuators between them. {words}"
    )
    return Plot(name, f"Layer {block.layer}", words, label, _drawing(block, mesh))


def _block(layer: str, phases: Phases, run: Run) -> Block:
    expected = len(schematic(phases.size, phases.layout, phases.field).shifters)
    for (mesh, kind), tensor in phases.tensors[layer].items():
        phase_maps.check_count(f"{layer}/{mesh}/{kind}", tensor, expected, phases)
    return Block(layer, phases.tensors[layer], phases.attenuators(layer), shifter_power(run))


def shifter_power(run: Run) -> float | None:
    """Power in W that holds one phase shifter at pi, as the chip or the cost of the run has it."""
    devices = run.chip.get("devices")
    constant: Any = devices.get("shifter_power") if isinstance(devices, Mapping) else None
    value = constant.get("value") if isinstance(constant, Mapping) else None
    if value is None:
        value = next((constant.value for constant in run.cost.constants if constant.name == "shifter_power"), None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)


def _held(block: Block) -> str:
    """What holding the block takes, in words."""
    powers = block.powers
    if not powers:
        return ""
    parts = ", ".join(f"{si(watts, 'W')} in {name}" for name, watts in powers.items())
    return f"Holding the block takes {si(sum(powers.values()), 'W')}: {parts}."


def _drawing(block: Block, mesh: Schematic) -> str:
    """The whole as SVG: V, attenuators, U, side by side or one below the other, and what it means below."""
    stacked = 2 * mesh.width + _MIDDLE > _WIDEST
    inner = _MIDDLE + mesh.width * (1 if stacked else 2)
    zoom = max(1.0, (inner + 2 * _SIDE) / _USUAL)  # of words, which a wide drawing would make too small
    side = max(_SIDE * zoom, (_NARROWEST - inner) / 2)
    width = inner + 2 * side
    below = mesh.height + 1.5 * _HEAD * zoom if stacked else 0.0
    at_u = side + _MIDDLE + (0.0 if stacked else mesh.width)
    top, foot = _HEAD * zoom, _FOOT * zoom
    body = [
        _mesh("v", block, mesh, side, 0.0),
        _attenuators(block, mesh, (side + mesh.width, at_u, below)),
        _mesh("u", block, mesh, at_u, below),
        _ends(mesh, side, at_u + mesh.width, below),
    ]
    legend = f'<g transform="translate({_SIDE:g} {mesh.height + below + 0.4 * foot:g}) scale({zoom:.3f})">'
    height = top + mesh.height + below + foot
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}"><g style="font: {13 * zoom:.3g}px \'DejaVu Sans\'" '
        f'transform="translate(0 {top:g})">{"".join(body)}{legend}<g style="font-size: 13px">'
        f"{_meaning(block)}</g></g></g></svg>"
    )


def _mesh(side: str, block: Block, mesh: Schematic, x: float, y: float) -> str:
    """One mesh with its heading."""
    commanded, realised = (block.tensors.get((side, kind)) for kind in ("commanded", "realised"))
    watts = block.power(commanded)
    heading = f"{_TITLES[side]} · {sum(shifter.kind == 'θ' for shifter in mesh.shifters)} MZIs"
    heading += f" · {si(watts, 'W')}" if watts is not None else ""
    elements = [
        _words(x + mesh.width / 2, y - 14, heading, "ink", 600, "middle"),
        f'<g transform="translate({x:g} {y:g})">',
        _strokes(mesh.paths),
    ]
    for index, shifter in enumerate(mesh.shifters):
        words, actual = (None if tensor is None else float(tensor[index]) for tensor in (commanded, realised))
        where = f"{_TITLES[side]}: {shifter.name}"
        elements.append(_mark((shifter.x, shifter.y), where, words, actual, block.shifter_power))
    return "".join(elements) + "</g>"


def _attenuators(block: Block, mesh: Schematic, place: tuple[float, float, float]) -> str:
    """The column between the meshes; `place` is where V ends, where U begins, and how far below V it stands."""
    left, right, below = place
    waveguides = [(row + 0.5) * PITCH for row in range(round(mesh.height / PITCH))]
    begin = right - _MIDDLE if below else left
    elements = [
        _strokes([f"M{begin:g} {y + below:g}H{right:g}" for y in waveguides]),
        _words(right - _MIDDLE / 2, below - 14, "Σ", "ink", 600, "middle"),
    ]
    if below:
        elements.append(_strokes([f"M{left:g} {y:g}h14" for y in waveguides]))
    for row, y in enumerate(waveguides):
        angle = None if block.attenuators is None else float(block.attenuators[row])
        at = (right - _MIDDLE / 2, y + below)
        elements.append(_mark(at, f"Attenuator on waveguide {row + 1}", angle, None, block.shifter_power, square=True))
    return "".join(elements)


def _mark(
    at: tuple[float, float],
    where: str,
    commanded: float | None,
    realised: float | None,
    shifter_power: float | None,
    *,
    square: bool = False,
) -> str:
    """One phase shifter: its left half as commanded, its right half as realised, a shape of one colour where alone."""
    x, y = at
    phase = commanded if commanded is not None else realised
    radius = _radius(commanded)
    if phase is None:
        body = f'<rect x="{x - 5:g}" y="{y - 5:g}" width="10" height="10" rx="2" {_paint("none", "muted")}/>'
    elif square:
        body = (
            f'<rect x="{x - radius:.2f}" y="{y - radius:.2f}" width="{2 * radius:.2f}" height="{2 * radius:.2f}" '
            f'rx="2" {_paint(_colour(phase), "muted")}/>'
        )
    else:
        body = f'<circle cx="{x:g}" cy="{y:g}" r="{radius:.2f}" {_paint(_colour(phase), "muted")}/>'
        if commanded is not None and realised is not None:
            arc = f"M{x:g} {y - radius:.2f}a{radius:.2f} {radius:.2f} 0 0 1 0 {2 * radius:.2f}z"
            body += f'<path d="{arc}" fill="{_colour(realised)}"/>'
    words = escape("\n".join([where, *_values(commanded, realised, shifter_power)]))
    finger = f'<circle cx="{x:g}" cy="{y:g}" r="12" fill="none" pointer-events="all"/>'
    return f'<g class="mark whole"><title>{words}</title>{body}{finger}</g>'


def _values(commanded: float | None, realised: float | None, shifter_power: float | None) -> list[str]:
    """The phases of one shifter, and its power, each in a line."""
    lines = [
        f"{kind} {phase % (2 * math.pi):.3f}{NO_BREAK}rad"
        for kind, phase in (("commanded", commanded), ("realised", realised))
        if phase is not None
    ]
    if commanded is not None and shifter_power is not None:
        lines.append(f"held with {si(commanded % (2 * math.pi) / math.pi * shifter_power, 'W')}")
    return lines or ["phase not stored"]


def _radius(phase: float | None) -> float:
    """Grows with the power: its area does, from a dot that can still be seen."""
    share = 0.25 if phase is None else phase % (2 * math.pi) / (2 * math.pi)
    return math.sqrt(_LEAST**2 + share * (_MOST**2 - _LEAST**2))


def _colour(phase: float) -> str:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["twilight"](phase % (2 * math.pi) / (2 * math.pi)))


def _paint(fill: str, edge: str) -> str:
    return f'fill="{fill}" style="stroke: {COLOURS[edge]}; stroke-width: 1"'


def _strokes(paths: list[str] | tuple[str, ...]) -> str:
    return f'<path d="{"".join(paths)}" fill="none" style="stroke: {COLOURS["electronic"]}; stroke-width: 1.5"/>'


def _words(x: float, y: float, text: str, role: str = "muted", weight: int = 400, anchor: str = "start") -> str:
    style = f"fill: {COLOURS[role]}; font-weight: {weight}; text-anchor: {anchor}"
    return f'<text x="{x:g}" y="{y:g}" style="{style}">{escape(text)}</text>'


def _ends(mesh: Schematic, left: float, right: float, below: float) -> str:
    """Waveguides by number where light comes in and goes out."""
    elements = []
    for row in range(round(mesh.height / PITCH)):
        y = (row + 0.5) * PITCH
        elements.append(_strokes([f"M{left - 14:g} {y:g}h14", f"M{right:g} {y + below:g}h14"]))
        elements.append(_words(left - 20, y + 4.5, str(row + 1), anchor="end"))
        elements.append(_words(right + 20, y + below + 4.5, str(row + 1)))
    return "".join(elements)


def _meaning(block: Block) -> str:
    """What colour, size and halves mean."""
    stops = "".join(f'<stop offset="{step / 16:g}" stop-color="{_colour(step / 8 * math.pi)}"/>' for step in range(16))
    stops += f'<stop offset="1" stop-color="{_colour(0.0)}"/>'
    elements = [
        f'<defs><linearGradient id="phase">{stops}</linearGradient></defs>'
        f'<rect x="0" y="-9" width="180" height="12" rx="3" {_paint("url(#phase)", "muted")}/>',
        *(_words(180 * part, 22, name, anchor="middle") for name, part in _NAMES.items()),
        _words(192, 2, "phase / rad"),
    ]
    for place, (name, phase) in enumerate((("π/4", math.pi / 4), ("π", math.pi), ("7π/4", 1.75 * math.pi))):
        power = "" if block.shifter_power is None else f": {si(phase / math.pi * block.shifter_power, 'W')}"
        x = 310 + 118 * place
        elements.append(f'<circle cx="{x:g}" cy="-3" r="{_radius(phase):.2f}" {_paint(_colour(phase), "muted")}/>')
        elements.append(_words(x + 14, 2, name + power))
    elements.append(_words(300, 22, "left half as commanded, right half as realised"))
    return "".join(elements)
