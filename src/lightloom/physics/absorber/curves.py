"""Measured absorbers: the output over the input as knots with a monotone cubic between them, or as a fitted formula.

An element that was measured rather than derived (an image intensifier, a saturating amplifier) is a table of inputs
and outputs. Between the knots runs the cubic of Fritsch and Carlson (SIAM J. Numer. Anal. 17, 238 (1980)), which
never overshoots its knots and whose derivative is exact and continuous. Signs pass through: a field of -x leaves as
minus what x leaves as.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightloom.physics.execution import has_numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SCALE = 50.0
"""Divisor of `double_exponential`, as published with its coefficients."""

_RATES = np.log(400.0)  # either way, of rates times the largest input


class Curve(NamedTuple):
    """Measured input and output of one element, from the origin upwards; each [n] in float64. Build with `curve`."""

    knots: Tensor
    """Inputs, field or intensity, ascending from 0."""
    outputs: Tensor
    """Outputs in the units of the inputs, from 0."""
    slopes: Tensor
    """Derivative of the output at each knot; the last one holds for everything beyond."""


class DoubleExponential(NamedTuple):
    """y = [a (1 - e^(-b x)) + c (1 - e^(-d x))] / 50, the published model of an image intensifier.

    Source: Wang et al., Nat. Photonics (2023), doi:10.1038/s41566-023-01170-8, data and code.
    """

    a: float
    b: float
    c: float
    d: float


def curve(knots: Sequence[float] | Tensor, outputs: Sequence[float] | Tensor) -> Curve:
    """The monotone cubic through measured points and the origin.

    The origin is added where the first knot is above it. Beyond the last knot the curve goes on straight, with the
    slope that it has there, and level where it falls.

    Args:
        knots: Inputs [n], n at least 2, ascending, none below 0.
        outputs: Outputs [n].

    Raises:
        ValueError: Fewer than two points, lengths that differ, a value that is not finite, knots that do not ascend in
            single precision or start below 0, or light out without light in.
    """
    from scipy.interpolate import PchipInterpolator

    x = torch.as_tensor(knots, dtype=torch.float64, device="cpu")
    y = torch.as_tensor(outputs, dtype=torch.float64, device="cpu")
    _check(x, y)
    if x[0] > 0:
        x, y = (torch.cat((torch.zeros(1, dtype=torch.float64), part)) for part in (x, y))
    slopes = torch.from_numpy(PchipInterpolator(x.numpy(), y.numpy()).derivative()(x.numpy()))
    slopes[-1].clamp_(min=0)
    return Curve(x, y, slopes)


def evaluate(x: Tensor, curve: Curve) -> tuple[Tensor, Tensor]:
    """Output and its exact derivative.

    Args:
        x: Fields or intensities of any shape; float16 and bfloat16 are computed in float32.
        curve: What was measured.

    Returns:
        Output and d output / d x, each with the shape and dtype of `x`. No gradient flows through either.

    Raises:
        TypeError: `x` is not floating point.
        ValueError: `x` holds NaN.
    """
    if not x.is_floating_point():
        raise TypeError(f"x is {x.dtype}; light is a floating-point tensor, such as `x.float()`")
    with torch.no_grad():
        dtype = torch.promote_types(x.dtype, torch.float32)
        magnitude = x.abs().to(dtype)
        if has_numbers(x) and bool(magnitude.isnan().any()):
            raise ValueError("x holds NaN; light is finite, or infinitely bright: look where the first NaN comes from")
        knots, *coefficients = (part.to(x.device, dtype) for part in _segments(curve))
        place = torch.searchsorted(knots, magnitude, right=True).sub_(1)
        c0, c1, c2, c3 = (part[place] for part in coefficients)
        # infinity times a coefficient of 0 would be NaN
        t = (magnitude - knots[place]).clamp_(max=torch.finfo(dtype).max)
        output = (c0 + t * (c1 + t * (c2 + t * c3))) * x.sign()
        slope = c1 + t * (2 * c2 + t * (3 * c3))
        return output.to(x.dtype), slope.to(x.dtype)


def follow(x: Tensor, curve: Curve) -> Tensor:
    """The output of `evaluate` with its graph, piece by piece a cubic, for derivatives of any kind; values pass unseen.

    Args:
        x: Fields or intensities of any shape; float16 and bfloat16 are computed in float32.
        curve: What was measured.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    bright = wide.isinf()
    finite = torch.where(bright, 1, wide)
    knots, *coefficients = (part.to(x.device, wide.dtype) for part in _segments(curve))
    place = torch.searchsorted(knots, finite.detach().abs(), right=True) - 1
    c0, c1, c2, c3 = (part[place] for part in coefficients)
    sign = torch.where(finite < 0, -1.0, 1.0).to(wide.dtype)  # 1 at 0, where the slope is that of the first knot
    t = finite * sign - knots[place]
    output = (c0 + t * (c1 + t * (c2 + t * c3))) * sign
    most = torch.where(coefficients[1][-1] > 0, torch.inf, coefficients[0][-1])
    return torch.where(bright, sign * most, output).to(x.dtype)


def secant(x: Tensor, output: Tensor, curve: Curve) -> Tensor:
    """Output over input: the transmission that the forward light has set, which a weak backward beam sees.

    So it is where light stays light, in an absorber or an amplifier. An image intensifier turns light into electrons
    and back and lets none through backwards; there the secant is only what such a beam would see. At 0 and at
    infinity it is the limit, the slope of the curve there.

    Args:
        x: Fields or intensities, any shape.
        output: What `evaluate` gives for them.
        curve: What was measured.
    """
    with torch.no_grad():
        first, last = (curve.slopes[end].to(x) for end in (0, -1))
        return torch.where(x == 0, first, torch.where(x.isinf(), last, output / x))


def double_exponential(x: NDArray[np.float64], fit: DoubleExponential) -> NDArray[np.float64]:
    """The fitted output of inputs `x` of any shape.

    Args:
        x: Inputs of any shape.
        fit: The fitted curve.
    """
    return (-fit.a * np.expm1(-fit.b * x) - fit.c * np.expm1(-fit.d * x)) / SCALE


def double_exponential_slope(x: NDArray[np.float64], fit: DoubleExponential) -> NDArray[np.float64]:
    """Derivative of the fitted output by `x`.

    Args:
        x: Inputs of any shape.
        fit: The fitted curve.
    """
    return (fit.a * fit.b * np.exp(-fit.b * x) + fit.c * fit.d * np.exp(-fit.d * x)) / SCALE


def fit_double_exponential(x: ArrayLike, y: ArrayLike) -> DoubleExponential:
    """Least squares of `double_exponential` to measured points.

    Only the two rates are searched, from several starts; for any two the best a and c follow in closed form. Where
    the data hardly saturate in one of them, its rate ends at the edge of what is searched, from 1/400 to 400 over the
    largest input, and that part is a straight line.

    Args:
        x: Inputs [n], n at least 4, none below 0 and not all of them 0.
        y: Outputs [n].

    Returns:
        The fit, the faster saturation first.

    Raises:
        ValueError: Lengths differ, there are fewer than 4 points, a value is not finite, an input is below 0, or all
            are 0.
    """
    from scipy.optimize import least_squares

    inputs, outputs = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if inputs.ndim != 1 or inputs.shape != outputs.shape or len(inputs) < 4:
        raise ValueError(
            f"inputs {inputs.shape} and outputs {outputs.shape}; expected one output for each of 4 or more"
        )
    if not (np.isfinite(inputs).all() and np.isfinite(outputs).all() and inputs.min() >= 0 and inputs.max() > 0):
        raise ValueError("expected finite inputs and outputs, inputs from 0 upwards; leave other points out")
    largest, scale = inputs.max(), np.abs(outputs).max() or 1.0
    u, v = inputs / largest, outputs / scale

    def miss(log_rates: NDArray[np.float64]) -> NDArray[np.float64]:
        return _amplitudes(log_rates, u, v)[1]

    fits = [
        least_squares(miss, np.log(start), bounds=(-_RATES, _RATES), xtol=1e-14, ftol=1e-14, gtol=1e-14)
        for start in ((3.0, 0.3), (10.0, 1.0), (30.0, 3.0), (100.0, 1.0))
    ]
    best = min(fits, key=lambda result: float(result.cost)).x
    best = np.sort(best)[::-1]
    (a, c), (b, d) = _amplitudes(best, u, v)[0] * scale * SCALE, np.exp(best) / largest
    return DoubleExponential(float(a), float(b), float(c), float(d))


def _amplitudes(
    log_rates: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Best factors [2] of two saturating terms of these rates, and what they leave of `v` [n]."""
    terms = -np.expm1(-np.outer(u, np.exp(log_rates)))
    factors = np.linalg.lstsq(terms, v, rcond=None)[0]
    return factors, terms @ factors - v


def _check(x: Tensor, y: Tensor) -> None:
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(
            f"knots {tuple(x.shape)} and outputs {tuple(y.shape)}; expected one output for each of 2 or more"
        )
    if not bool(x.isfinite().all() and y.isfinite().all()):
        raise ValueError("a knot or an output is not finite; leave such points out")
    if not bool((x.float().diff() > 0).all()):
        raise ValueError("knots must ascend, also in single precision; sort them and average those that coincide")
    if x[0] < 0:
        raise ValueError(f"the first knot is {x[0].item():g}; a curve starts at 0 or above, and is odd")
    if x[0] == 0 and y[0] != 0:
        raise ValueError(f"{y[0].item():g} comes out where nothing goes in; subtract the dark level from the outputs")


def _segments(curve: Curve) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The start of each of n pieces, and c0 ... c3 of its powers of the distance from there; the last is straight."""
    knots, outputs, slopes = curve
    width = knots.diff()
    secant = outputs.diff() / width
    c2 = (3 * secant - 2 * slopes[:-1] - slopes[1:]) / width
    c3 = (slopes[:-1] + slopes[1:] - 2 * secant) / width.square()
    end = knots.new_zeros(1)
    return knots, outputs, slopes, torch.cat((c2, end)), torch.cat((c3, end))
