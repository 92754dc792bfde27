"""Light through a saturable medium: what leaves it, and what the light of the backward pass is multiplied by."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lightloom.physics.absorber import kernels
from lightloom.physics.absorber.media import BRIGHTEST, Medium, check
from lightloom.physics.absorber.propagation import Transmission, log_share, transmission
from lightloom.physics.compiled.operators import define, leading
from lightloom.physics.execution import has_numbers

Encoding = Literal["amplitude", "intensity"]
"""A value is a real field, signed (phase 0 or pi), or an intensity, 0 or above."""

Slope = Literal["exact", "probe"]
"""The derivative of the output, or what a weak beam from the other side is left with: the transmission."""


class Response(NamedTuple):
    """What a medium does to light."""

    output: Tensor
    """Field or intensity that leaves, shaped as what entered."""
    factor: Tensor
    """What the backward light is multiplied by, same shape."""


def log_transmission(intensity: Tensor, medium: Medium, probe: Tensor | float = 0.0) -> Tensor:
    """Logarithm of the share of the intensity that leaves.

    Two beams that run against each other through a propagated medium keep the product of their intensities, from which
    follows on a homogeneous line without residual loss that both see exactly the transmission of a single beam of the
    sum of both intensities where they enter. For other media this sum is taken, too. There it is an approximation, on
    the dark side for absorbers and exact for weak probes. At the worst of all intensities ln T of a propagated medium
    is off by up to

    | line          | optical depth | residual depth | beams of equal strength | one of 5 % of the other |
    | ------------- | ------------- | -------------- | ----------------------- | ----------------------- |
    | inhomogeneous | 1             | 0              | 0.0011                  | 0.0002                  |
    | inhomogeneous | 10            | 0              | 0.66                    | 0.18                    |
    | inhomogeneous | 30            | 0              | 4.8                     | 1.9                     |
    | inhomogeneous | 10            | 0.5            | 0.86                    | 0.25                    |
    | homogeneous   | 1             | 1              | 0.018                   | 0.0035                  |
    | homogeneous   | 10            | 0.5            | 0.37                    | 0.072                   |
    | homogeneous   | 10            | 2              | 1.4                     | 0.36                    |
    | homogeneous   | 30            | 1              | 3.6                     | 0.83                    |

    Args:
        intensity: [...] 0 or above.
        medium: What the light meets.
        probe: Intensity, 0 or above, that enters from the other side at the same time; broadcastable.

    Raises:
        TypeError: `intensity` is not of real floating-point numbers.
        ValueError: An intensity is negative or NaN, or there is no such medium (`media.check`).
    """
    check(medium)
    _check_dtype(intensity)
    _check_light(intensity, "intensity")
    _check_probe(probe)
    with torch.no_grad():
        _, _, passed = _meet(_widened(intensity), medium, "intensity", probe)
        return passed.log_share.to(intensity.dtype)


def respond(
    x: Tensor,
    medium: Medium,
    encoding: Encoding = "amplitude",
    slope: Slope = "exact",
    probe: Tensor | float = 0.0,
) -> Response:
    """Send light through a medium. No gradient flows: `factor` is there for that.

    A field is multiplied by sqrt(T), an intensity by T. The derivative of the output is that times
    1 + d ln T / d ln I; a weak probe finds the medium as the light has set it and is only multiplied by sqrt(T) or T.

    Args:
        x: [...] fields or intensities; float16 and bfloat16 are computed in float32. Infinite light passes as it is.
        medium: What the light meets.
        encoding: What `x` is.
        slope: What `factor` is.
        probe: As in `log_transmission`: light from the other side that is not weak; an intensity in both encodings.

    Raises:
        TypeError: `x` is not of real floating-point numbers.
        ValueError: There is NaN in `x`, a negative intensity, or no such medium (`media.check`), encoding or slope.
    """
    check(medium)
    _check_names(encoding, slope)
    _check_dtype(x)
    _check_probe(probe)
    wide = _widened(x)
    depth, saturation = (_number(value) for value in medium[:2])
    if depth is None or saturation is None:
        _check_light(wide, encoding)
        with torch.no_grad():
            response = _respond(wide, medium, encoding, slope, probe)
    else:
        beams = (probe.detach().expand(wide.shape), 0.0) if isinstance(probe, Tensor) else (None, probe)
        response = Response(*_operator(wide, *beams, depth, saturation, *medium[2:], encoding, slope))
    return response if wide.dtype == x.dtype else Response(*(_narrowed(value, wide, x.dtype) for value in response))


def transmit(x: Tensor, medium: Medium, encoding: Encoding = "amplitude") -> tuple[Tensor, Tensor]:
    """What `respond` gives as output, and what it gives as factor of a weak probe, both with their graphs.

    For whatever is more than a first derivative taken backwards: derivatives forwards and of higher order, by the light
    and by the medium, transforms of `torch.func`, and programs that are recorded. Arguments and errors are those of
    `respond`; while a program is recorded or batched, values pass unseen.

    Args:
        x: [...] fields or intensities.
        medium: What the light meets; tensors among its properties get gradients.
        encoding: What `x` is.
    """
    check(medium)
    _check_names(encoding)
    _check_dtype(x)
    _check_light(x, encoding)
    wide = x if x.dtype in (torch.float32, torch.float64) else x.float()
    depth, saturation = (
        torch.as_tensor(value, dtype=wide.dtype, device=wide.device)
        for value in (medium.optical_depth, medium.saturation)
    )
    bright = wide.isinf()
    finite = torch.where(bright, 1, wide)
    own = ((finite.square() if encoding == "amplitude" else finite) / saturation).clamp(max=BRIGHTEST)
    share = ((0.5 if encoding == "amplitude" else 1.0) * log_share(own, depth, medium)).exp()
    output = torch.where(bright, wide, finite * share)
    if wide.dtype != x.dtype:
        return _narrowed(output, wide, x.dtype), _narrowed(share, wide, x.dtype)
    return output, share


def _number(value: Tensor | float) -> float | None:
    """A property of the medium that is one number, and may be looked at."""
    if isinstance(value, Tensor):
        return float(value.detach()) if value.numel() == 1 and has_numbers(value) else None
    return float(value)


def _run(x: Tensor, probes: Tensor | None, probe: float, *described: Any) -> tuple[Tensor, Tensor]:
    """The operator's arguments: light, probes or one probe, the fields of a medium, encoding and slope."""
    *properties, encoding, slope = described
    medium, beam = Medium(*properties), probe if probes is None else probes
    if not kernels.usable(x):
        _check_light(x, encoding)
        output, factor = _respond(x, medium, encoding, slope, beam)
        return output, factor
    output, factor, (has_nan, negative) = kernels.respond(x, medium, encoding == "amplitude", slope == "exact", beam)
    _refuse(has_nan, negative)
    return output, factor


def _fake(x: Tensor, *_: Tensor | float | str | None) -> tuple[Tensor, Tensor]:
    output = torch.empty_like(x)
    if output.stride() != x.stride():
        output = torch.empty_like(x, memory_format=torch.contiguous_format)
    return output, torch.empty_like(output)


_operator = define(
    "absorber_respond(Tensor x, Tensor? probes, float probe, float depth, float saturation, float residual, "
    "str form, str broadening, str encoding, str slope) -> (Tensor output, Tensor factor)",
    _run,
    _fake,
    leading,
)


def parameter_slopes(
    x: Tensor, medium: Medium, encoding: Encoding = "amplitude", probe: Tensor | float = 0.0
) -> tuple[Tensor, Tensor]:
    """How the output of `respond` changes with the optical depth and with the saturation intensity.

    Arguments and errors are those of `respond`.

    Args:
        x: [...] fields or intensities.
        medium: What the light meets.
        encoding: What `x` is.
        probe: Intensity, 0 or above, of light from the other side.

    Returns:
        d output / d optical_depth and d output / d saturation, both shaped as `x`.
    """
    check(medium)
    _check_names(encoding)
    _check_dtype(x)
    _check_light(x, encoding)
    _check_probe(probe)
    with torch.no_grad():
        wide = _widened(x)
        power, _, passed = _meet(wide, medium, encoding, probe)
        output = wide * (power * passed.log_share).exp()
        bright = wide.isinf()  # passes whatever the medium
        by_depth = power * output * passed.by_depth
        by_saturation = -power * output * passed.rise / medium.saturation
        return tuple(value.masked_fill(bright, 0).to(x.dtype) for value in (by_depth, by_saturation))  # type: ignore[return-value]


def _respond(x: Tensor, medium: Medium, encoding: Encoding, slope: Slope, probe: Tensor | float) -> Response:
    power, share, passed = _meet(x, medium, encoding, probe)
    factor = (power * passed.log_share).exp()
    output = torch.where(x.isinf(), x, x * factor)  # infinity times what underflowed would be NaN
    return Response(output, factor * (1 + share * passed.rise) if slope == "exact" else factor)


def _meet(
    x: Tensor, medium: Medium, encoding: Encoding, probe: Tensor | float
) -> tuple[float, Tensor | float, Transmission]:
    """The power of T that a value is multiplied by, the light's own share of all light, and what that meets."""
    depth, saturation, other = (
        torch.as_tensor(value, dtype=x.dtype, device=x.device)
        for value in (medium.optical_depth, medium.saturation, probe)
    )
    inverse = saturation.reciprocal()
    own = ((x.square() if encoding == "amplitude" else x) * inverse).clamp(max=BRIGHTEST)
    power = 0.5 if encoding == "amplitude" else 1.0
    if not isinstance(probe, Tensor) and probe == 0:
        return power, 1.0, transmission(own, depth, medium)
    total = own + (other.expand(x.shape) * inverse).clamp(max=BRIGHTEST)
    share = own / total.clamp(min=torch.finfo(x.dtype).tiny)
    return power, share, transmission(total, depth, medium)


def _widened(x: Tensor) -> Tensor:
    x = x.detach()
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _narrowed(value: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Half precision; what an amplifier makes too large for it becomes its largest number."""
    largest = torch.finfo(dtype).max
    return torch.where(x.isinf(), value, value.clamp(-largest, largest)).to(dtype)


def _check_names(encoding: str, slope: str = "exact") -> None:
    if encoding not in ("amplitude", "intensity"):
        raise ValueError(f"light is encoded as `amplitude` or `intensity`, got `{encoding}`")
    if slope not in ("exact", "probe"):
        raise ValueError(f"the slope of a medium is `exact` or `probe`, got `{slope}`")


def _check_dtype(x: Tensor) -> None:
    if not x.is_floating_point():
        raise TypeError(f"light is given as real floating-point numbers, got {x.dtype}; convert with `x.float()`")


def _check_light(x: Tensor, encoding: Encoding) -> None:
    if x.numel() and has_numbers(x):
        low = float(x.detach().amin())
        _refuse(math.isnan(low), encoding == "intensity" and low < 0)


def _refuse(has_nan: bool, negative: bool) -> None:
    if has_nan:
        raise ValueError(
            "there is NaN in the light that enters a saturable medium; look for the training step that diverged"
        )
    if negative:
        raise ValueError(
            "an intensity is 0 or above, and a negative one entered a saturable medium; keep weights at 0 or above, or "
            'encode signed values as fields (encoding="amplitude")'
        )


def _check_probe(probe: Tensor | float) -> None:
    if isinstance(probe, Tensor):
        probe = float(probe.detach().amin()) if probe.numel() and has_numbers(probe) else 0.0
    if not probe >= 0:
        raise ValueError(f"the intensity of a probe is 0 or above, got {probe:g}; square a field to get its intensity")
