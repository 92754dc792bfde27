"""Thin lenses: what they do to the phase, where a grid follows it, and how much light they cut."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from lightloom.physics.diffraction.grid import Grid, Length, check, double, number, place, size
from lightloom.physics.diffraction.guard import Check, check_name, metres, percent, say
from lightloom.physics.diffraction.limits import shortest_focal_length
from lightloom.physics.diffraction.sampling import COARSE, PARAXIAL, power
from lightloom.physics.execution import has_numbers

LensForm = Literal["parabolic", "spherical"]
"""exp(-i k r^2 / (2 f)), which goes with the paraxial form of free space, or exp(-i k (sqrt(r^2 + f^2) - f)), which
brings a plane wave to one point at every angle."""

CUT = 0.01
"""Share of the light that an aperture may cut unsaid."""


def lens(grid: Grid, focal_length: Length, aperture: Length | None = None, form: LensForm = "parabolic") -> Tensor:
    """Transmission of a thin lens on the axis. Gradients flow through lengths that are tensors, but not the aperture.

    Args:
        grid: Of its plane.
        focal_length: f in m, not 0; below 0 it spreads light.
        aperture: Diameter in m, beyond which it is dark; None is one beyond the grid.
        form: See `LensForm`.

    Returns:
        [rows, columns] complex128, on the device of the tensors among the lengths, else on the CPU.

    Raises:
        ValueError: There is no such grid, focal length, aperture or form.
        TypeError: A length is a tensor of other than real floating-point numbers.
    """
    _check(grid, focal_length, aperture, form)
    device = place(focal_length, grid.pixel, grid.wavelength)
    squared, f, wavelength = _squared(grid, device), double(focal_length), double(grid.wavelength)
    if form == "parabolic":
        turns = -squared / (2 * wavelength * f)
    else:
        sign = f.sign() if isinstance(f, Tensor) else math.copysign(1.0, f)
        far = f.abs() if isinstance(f, Tensor) else abs(f)
        turns = -squared / (wavelength * ((squared + f * f).sqrt() + far)) * sign
    wave = torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
    return wave if aperture is None else wave * (squared <= (double(aperture) / 2) ** 2)


def through_lens(
    field: Tensor,
    grid: Grid,
    focal_length: Length,
    aperture: Length | None = None,
    form: LensForm = "parabolic",
    check: Check = "warn",
) -> Tensor:
    """The field behind a thin lens, with a word where the lens or the grid is too small for the light that meets it.

    Measured on the light: how much the aperture cuts; how much passes where the phase of the lens turns by more than
    half a cycle from sample to sample, beyond lambda f / (2 pixel) from the axis (the angle there is the largest that
    the grid holds); and how far a parabolic lens is from a spherical one.

    Args:
        field: [..., rows, columns], complex or real.
        grid: Of the lens's plane.
        focal_length: As in `lens`, with aperture and form.
        aperture: See there.
        form: See there.
        check: A `SamplingWarning`, a ValueError ("refuse"), or nothing ("ignore").

    Returns:
        Complex, shaped as `field`, in its precision.

    Raises:
        ValueError: As `lens`; the field is of another size; or the light is refused.
        TypeError: As `lens`.
    """
    check_name(check)
    if field.shape[-2:] != (grid.rows, grid.columns):
        raise ValueError(
            f"a field of {size(field)} samples on a grid of {grid.rows} x {grid.columns}; pad it to the grid"
        )
    transmission = lens(grid, focal_length, aperture, form).to(field.device)
    lengths = [length for length in (focal_length, grid.pixel, grid.wavelength, aperture) if isinstance(length, Tensor)]
    if check != "ignore" and has_numbers(field, *lengths):
        say(_problems(field.detach(), grid, focal_length, aperture, form), check, 1)
    return field * transmission.to(torch.promote_types(field.dtype, torch.complex64))


@torch.no_grad()
def _problems(field: Tensor, grid: Grid, focal_length: Length, aperture: Length | None, form: LensForm) -> list[str]:
    numbers = [number("length", length) or 0.0 for length in (grid.pixel, grid.wavelength, focal_length)]
    grid, f = Grid(grid.rows, grid.columns, numbers[0], numbers[1]), numbers[2]
    y, x = (place.to(field.device) for place in _places(grid, torch.device("cpu")))
    total, messages = power(field), []
    if aperture is not None:
        bounds = float(torch.as_tensor(aperture).detach())
        light = field * ((y.square() + x.square()) <= (bounds / 2) ** 2)
        cut = float(1 - power(light) / total)
        if cut > CUT:
            messages.append(
                f"An aperture of {metres(bounds)} cuts {percent(cut)} of the light that meets the lens; expected "
                f"{percent(CUT)} at most: take a wider aperture, or None."
            )
        field = light
    reach = numbers[1] * abs(f) / (2 * numbers[0])  # from there on the phase turns by more than half a cycle a sample
    if form == "spherical":
        sine = min(numbers[1] / (2 * numbers[0]), 1.0)
        reach = abs(f) * sine / math.sqrt(1 - sine**2) if sine < 1 else math.inf
    coarse = float(power(field * ((y.abs() > reach) | (x.abs() > reach))) / total)
    if coarse > COARSE:
        shortest = float(torch.as_tensor(shortest_focal_length(grid, aperture)))
        messages.append(
            f"{percent(coarse)} of the light meets a lens of {metres(f)} more than {metres(reach)} from the axis, "
            f"where its phase turns by more than half a cycle between samples; expected {percent(COARSE)} at most: "
            f"take a focal length of {metres(shortest)} or more, smaller pixels on a grid of the same side, or an "
            f"aperture of {metres(2 * reach)}."
        )
    elif form == "parabolic":
        difference = lens(grid, f) - lens(grid, f, form="spherical")
        error = math.sqrt(float(power(field * difference.to(field.device)) / total))
        if error > PARAXIAL:
            messages.append(
                f"A parabolic lens of {metres(f)} is {percent(error)} of the field away from a spherical one; expected "
                f'{percent(PARAXIAL)} at most: take `form="spherical"`, or a longer focal length.'
            )
    return messages


def _places(grid: Grid, device: torch.device) -> tuple[Tensor, Tensor]:
    """Y [rows, 1] and x [columns] in m, 0 on the axis."""
    y, x = (
        (torch.arange(count, dtype=torch.float64, device=device) - count // 2) * double(grid.pixel)
        for count in (grid.rows, grid.columns)
    )
    return y[:, None], x


def _squared(grid: Grid, device: torch.device) -> Tensor:
    y, x = _places(grid, device)
    return y.square() + x.square()


def _check(grid: Grid, focal_length: Length, aperture: Length | None, form: str) -> None:
    check(grid)
    f = number("focal length", focal_length)
    if f is not None and not (math.isfinite(f) and f != 0):
        raise ValueError(f"a focal length of {f:g} m; expected a finite one that is not 0, such as 0.05")
    if isinstance(aperture, Tensor) and aperture.requires_grad:
        raise ValueError(
            "an aperture that requires a gradient, and a sharp edge has none to give; give a number, such as "
            "`aperture.item()`, or multiply by a soft edge of your own"
        )
    across = None if aperture is None else number("diameter", aperture)
    if across is not None and not across > 0:
        raise ValueError(f"an aperture of {across:g} m; expected a diameter above 0, or None")
    if form not in ("parabolic", "spherical"):
        raise ValueError(f"a lens is `parabolic` or `spherical`, got `{form}`")
