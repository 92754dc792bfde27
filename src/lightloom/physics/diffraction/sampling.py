"""Whether a grid serves the light on its way: measured on the light itself, so that only what is lit counts."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.physics.diffraction.grid import Grid, Length, check, frequencies, size
from lightloom.physics.diffraction.guard import metres, percent
from lightloom.physics.diffraction.limits import root
from lightloom.physics.diffraction.transfer import Method, transfer

COARSE = 0.002
"""Share of the light that may move by more than half the grid's side: beyond, images are seen to be wrong (correlation
with the right one below 0.999)."""
PARAXIAL = 0.05
"""Error of the paraxial form, over the field, that may be: an image then overlaps with the right one to 0.9975."""
EDGE = 0.05
"""Share of the light that may come to the edge of the grid and was not there before."""
_EDGE_WIDTH = 32  # the edge is the outermost 1/32 of each side


class Sampling(NamedTuple):
    """What a grid does to the light of a field on one way; shares of its power."""

    coarse: float
    """Light that moves sideways by more than half the grid's side: its phase is sampled less than twice a cycle, and
    it comes back in at the other side."""
    samples: int
    """Along the longer side of a grid on which no more than half of `COARSE` does so."""
    paraxial: float
    """Distance of the paraxial field from the exact one, over the field."""
    edge: float
    """Light that has come to the outermost 1/32 of each side and was not there before."""
    lost: float
    """Light that leaves the grid, and comes back in at the other side: measured on a grid of twice the sides."""


class Reach(NamedTuple):
    """What counts of every wave of a grid: [rows, columns] each."""

    reach: Tensor
    """How far a wave moves sideways over half the grid's side."""
    error: Tensor
    """Square of what the paraxial form is off by, of a wave of power 1."""


@torch.no_grad()
def sampling(field: Tensor, grid: Grid, distance: Length, method: Method = "angular_spectrum") -> Sampling:
    """Measure how well a grid serves a field on its way.

    Args:
        field: [..., rows, columns], complex or real, all of the batch together.
        grid: Of both planes.
        distance: z in m.
        method: By which it is propagated.

    Raises:
        ValueError: There is no such grid or method, or the field is of another size.
    """
    from lightloom.physics.diffraction.propagate import crop, pad, propagate

    check(grid, distance)
    if field.shape[-2:] != (grid.rows, grid.columns):
        raise ValueError(
            f"a field of {size(field)} samples on a grid of {grid.rows} x {grid.columns}; pad it to the grid"
        )
    reach = reaches(grid, distance, method, field.device)
    spectrum = torch.fft.fft2(field)
    behind = propagate(field, transfer(grid, distance, method, check="ignore").to(field.device))
    coarse, paraxial = of_waves(spectrum, reach)
    wide = grid._replace(rows=2 * grid.rows, columns=2 * grid.columns)
    there = propagate(pad(field, *wide[:2]), transfer(wide, distance, method, check="ignore").to(field.device))
    arrived = power(crop(there, *grid[:2])) / power(there)
    samples = samples_for(spectrum, reach, max(grid[:2]))
    return Sampling(coarse, samples, paraxial, edge_growth(field, behind), float(1 - arrived))


def reaches(grid: Grid, distance: Length, method: Method, device: torch.device) -> Reach:
    """What counts of every wave of this grid on this way. Arguments are those of `sampling`.

    Args:
        grid: Samples and their spacing.
        distance: Length of the way in m.
        method: How light is propagated.
        device: Where the result is wanted.
    """
    pixel, wavelength, z = (
        float(torch.as_tensor(length).detach()) for length in (grid.pixel, grid.wavelength, distance)
    )
    grid = Grid(grid.rows, grid.columns, pixel, wavelength)
    fy, fx = (wavelength * frequency for frequency in frequencies(grid))
    slope, forward = abs(z), 1 - fy.square() - fx.square()
    sideways = torch.maximum(fy.abs() / (grid.rows * pixel / 2), fx.abs() / (grid.columns * pixel / 2)) * slope
    if method != "fresnel":
        sideways = torch.where(forward > 0, sideways / _positive(forward), 0)  # others do not travel
    if method == "band_limited":
        sideways = torch.zeros_like(sideways)  # what moves too far is left out
    error = torch.zeros_like(sideways)
    if method == "fresnel":
        ways = (transfer(grid, z, kind, check="ignore") for kind in ("fresnel", "angular_spectrum"))
        paraxial, exact = ways
        error = (paraxial - exact).abs().square()
    return Reach(sideways.to(device), error.to(device))


def of_waves(spectrum: Tensor, reach: Reach) -> tuple[float, float]:
    """The shares `coarse` and `paraxial` of a field of this spectrum [..., rows, columns].

    Args:
        spectrum: [..., rows, columns], complex.
        reach: What counts of every wave, as `reaches` gives it.
    """
    powers = _powers(spectrum).to(reach.reach.dtype)
    total = powers.sum()
    coarse, error = (powers * (reach.reach > 1)).sum() / total, (powers * reach.error).sum() / total
    return float(coarse), math.sqrt(float(error)) if error == error else math.nan


def samples_for(spectrum: Tensor, reach: Reach, samples: int) -> int:
    """Samples along the longer side with which no more than half of `COARSE` moves by more than half the side.

    Args:
        spectrum: [..., rows, columns], complex.
        reach: What counts of every wave, as `reaches` gives it.
        samples: Samples along the longer side now.
    """
    distances, order = reach.reach.flatten().sort(descending=True)
    beyond = _powers(spectrum).flatten()[order].double().cumsum(0)
    first = int((beyond <= COARSE / 2 * beyond[-1]).sum())
    return math.ceil(samples * max(1.0, float(distances[min(first, len(distances) - 1)])))


def edge_growth(field: Tensor, there: Tensor) -> float:
    """Power of `there` in the outermost 1/32 of each side that `field` had not there, over all power of `field`.

    Args:
        field: [..., rows, columns] before the way.
        there: [..., rows, columns] behind it.
    """
    before, after = _powers(field), _powers(there)
    down, right = (max(1, side // _EDGE_WIDTH) for side in before.shape)
    inside = slice(down, before.shape[0] - down), slice(right, before.shape[1] - right)
    growth = after.sum() - after[inside].sum() - before.sum() + before[inside].sum()
    return float(growth / before.sum())


def power(field: Tensor) -> Tensor:
    """The power of all fields together, []."""
    return _powers(field).sum()


def problems(light: Sampling, grid: Grid, distance: float, method: Method) -> list[str]:
    """What is wrong with light for which this was measured, in sentences; NaN is nothing to speak of.

    Args:
        light: What was measured of the light.
        grid: Samples and their spacing.
        distance: Length of the way in m.
        method: How light is propagated.
    """
    messages = []
    side, way = max(grid[:2]), metres(distance)
    if light.coarse > COARSE:
        messages.append(
            f"{percent(light.coarse)} of the light moves sideways by more than half the side of the grid of "
            f"{grid.rows} x {grid.columns} samples on its way of {way}, and comes back in where it is not; expected "
            f"{percent(COARSE)} at most: pad the field to {light.samples} samples or more (`diffraction.pad`), or take "
            '`method="band_limited"`, which leaves this light out.'
        )
    elif light.edge > EDGE:
        messages.append(
            f"{percent(light.edge)} of the light has come to the edge of the grid of {grid.rows} x {grid.columns} "
            f"samples on its way of {way}, from where it comes back in at the other side; expected {percent(EDGE)} at "
            f"most: pad the field to {2 * side} samples or more (`diffraction.pad`)."
        )
    if light.paraxial > PARAXIAL:
        messages.append(
            f"The paraxial form is {percent(light.paraxial)} of the field away from the exact one on a way of {way}; "
            f'expected {percent(PARAXIAL)} at most: take `method="angular_spectrum"`, or light of smaller angles.'
        )
    return messages


def _powers(field: Tensor) -> Tensor:
    """[rows, columns], all fields together."""
    powers = field.real.square() + field.imag.square() if field.is_complex() else field.square()
    return powers.reshape(-1, *powers.shape[-2:]).sum(0)


def _positive(values: Tensor) -> Tensor:
    roots = root(values)
    assert isinstance(roots, Tensor)
    return torch.where(roots > 0, roots, 1)
