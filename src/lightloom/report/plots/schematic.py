"""Where everything of a mesh stands in its drawing: waveguides as paths, phase shifters as places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from lightloom.physics.mesh.layouts import FIELDS, Column, Layout, wiring

PITCH = 34.0
"""Distance from one waveguide to the next; every length here is in px of the drawing."""
_MZI, _LEAD = 52.0, 26.0  # along the light: an interferometer, and a shifter on one waveguide
_ARM, _COUPLER = 9.5, 1.5  # of a waveguide, from the middle of its interferometer: in an arm, in a coupler
_CROSSING = 7.0  # along the light, for each waveguide that one is led across


@dataclass(frozen=True)
class Shifter:
    """One phase shifter."""

    kind: str
    """`θ` inside an MZI, `φ` in front of one, `output` behind the mesh."""
    column: int | None
    """Column of MZIs that the shifter is in, along the light from 0; None behind the mesh."""
    mzi: int | None
    waveguides: tuple[int, ...]
    """Waveguides that the shifter acts on, from the top of the mesh."""
    x: float
    y: float

    @property
    def name(self) -> str:
        """What and where it is, in words; people count from 1."""
        if self.mzi is None or self.column is None:
            return f"output shifter on waveguide {self.waveguides[0] + 1}"
        upper, lower = (waveguide + 1 for waveguide in self.waveguides)
        return f"{self.kind} of MZI {self.mzi + 1}, column {self.column + 1}, waveguides {upper} and {lower}"


@dataclass(frozen=True)
class Schematic:
    """One mesh: light enters at x = 0 and leaves at `width`, waveguide r at y = (r + 1/2) `PITCH` at both ends."""

    width: float
    height: float
    paths: tuple[str, ...]
    """SVG path data, one a waveguide."""
    shifters: tuple[Shifter, ...]
    """Every shifter of the mesh, in phase order."""


def schematic(size: int, layout: str, field: str) -> Schematic:
    """Lay out a mesh on `size` waveguides.

    The waveguides of an MZI run side by side: those of a butterfly are first led across one another.

    Args:
        size: Waveguides of the mesh.
        layout: Arrangement of its MZIs: `rectangle` or `triangle`, for one.
        field: `real` or `complex`.

    Raises:
        ValueError: There is no such mesh.
    """
    if field not in FIELDS:
        raise ValueError(f"The field of a mesh is one of {', '.join(FIELDS)}, not {field!r}.")
    bench = _Bench(size, field)
    for index, column in enumerate(wiring(size, cast("Layout", layout)).columns):
        bench.column(index, column)
    return bench.finish()


def _height(slot: int) -> float:
    return (slot + 0.5) * PITCH


class _Bench:
    """Draws column after column; a slot is a row of the drawing that a waveguide runs in."""

    def __init__(self, size: int, field: str) -> None:
        self.size = size
        self.complex = field == "complex"
        self.x = 0.0
        self.slots = list(range(size))
        self.paths = [[f"M0 {_height(slot):g}"] for slot in self.slots]
        self.inner: list[Shifter] = []
        self.outer: list[Shifter] = []

    def column(self, index: int, column: Column) -> None:
        """One column of MZIs; waveguides that it leaves out run straight on."""
        pairs = [(upper, upper + column.stride) for upper in column.upper_waveguides()]
        if column.stride > 1:
            beside = [waveguide for pair in pairs for waveguide in pair]
            self._cross({waveguide: slot for slot, waveguide in enumerate(beside)})
        else:
            self._cross({waveguide: waveguide for waveguide in range(self.size)})
        begin = self.x + (_LEAD if self.complex else 0.0)
        for number, (upper, lower) in enumerate(pairs, column.first):
            top, bottom = _height(self.slots[upper]), _height(self.slots[lower])
            middle = (top + bottom) / 2
            theta = Shifter("θ", index, number, (upper, lower), begin + _MZI / 2, middle - _ARM)
            self.inner.append(theta)
            if self.complex:
                self.outer.append(Shifter("φ", index, number, (upper, lower), self.x + _LEAD / 2, top))
            self._interfere(upper, begin, top, middle, -1)
            self._interfere(lower, begin, bottom, middle, 1)
        self.x = begin + _MZI

    def finish(self) -> Schematic:
        """Lead every waveguide back to its own slot, and out."""
        self._cross({waveguide: waveguide for waveguide in range(self.size)})
        outputs: list[Shifter] = []
        if self.complex:
            for waveguide in range(self.size):
                at = self.x + _LEAD / 2
                outputs.append(Shifter("output", None, None, (waveguide,), at, _height(waveguide)))
            self.x += _LEAD
        for path in self.paths:
            path.append(f"H{self.x:g}")
        paths = tuple("".join(path) for path in self.paths)
        return Schematic(self.x, self.size * PITCH, paths, (*self.inner, *self.outer, *outputs))

    def _cross(self, target: dict[int, int]) -> None:
        """Lead each waveguide to the slot that it should run in."""
        farthest = max(abs(target[waveguide] - slot) for waveguide, slot in enumerate(self.slots))
        if farthest == 0:
            return
        begin, self.x = self.x, self.x + 16 + _CROSSING * farthest
        for waveguide, slot in target.items():
            self.paths[waveguide].append(f"H{begin:g}{_bend(begin, self.x, self.slots[waveguide], slot)}")
            self.slots[waveguide] = slot

    def _interfere(self, waveguide: int, begin: float, outside: float, middle: float, side: int) -> None:
        """One waveguide through an MZI: to a coupler, apart into the arms, to the other coupler, and out."""
        coupler, arm = middle + side * _COUPLER, middle + side * _ARM
        x = [begin + part * _MZI for part in (0, 0.2, 0.28, 0.4, 0.6, 0.72, 0.8, 1)]
        self.paths[waveguide].append(
            f"H{x[0]:g}{_curve(x[0], outside, x[1], coupler)}H{x[2]:g}{_curve(x[2], coupler, x[3], arm)}"
            f"H{x[4]:g}{_curve(x[4], arm, x[5], coupler)}H{x[6]:g}{_curve(x[6], coupler, x[7], outside)}"
        )


def _bend(begin: float, end: float, slot: int, target: int) -> str:
    return _curve(begin, _height(slot), end, _height(target))


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    """A smooth step, level at both ends."""
    half = (x + to_x) / 2
    return f"C{half:g} {y:g} {half:g} {to_y:g} {to_x:g} {to_y:g}"
