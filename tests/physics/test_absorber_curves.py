"""Measured curves: exact at their knots, monotone between, straight beyond; fits find what made the data."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.interpolate import PchipInterpolator
from scipy.optimize import least_squares

from lightloom.physics.absorber.curves import (
    SCALE,
    DoubleExponential,
    curve,
    double_exponential,
    double_exponential_slope,
    evaluate,
    fit_double_exponential,
    secant,
)

KNOTS = (0.0, 0.4, 1.0, 1.7, 3.0)
OUTPUTS = (0.0, 0.1, 0.7, 0.9, 1.15)
CURVE = curve(KNOTS, OUTPUTS)


# the cubic


def test_it_is_the_published_interpolation_between_the_knots() -> None:
    x = np.linspace(0, 3, 301)
    output, slope = evaluate(torch.from_numpy(x), CURVE)
    truth = PchipInterpolator(KNOTS, OUTPUTS)
    assert output.numpy() == pytest.approx(truth(x), abs=1e-13)
    assert slope.numpy() == pytest.approx(truth.derivative()(x), abs=1e-12)


def test_the_derivative_is_that_of_the_output() -> None:
    torch.manual_seed(0)
    x = 8 * torch.rand(500, dtype=torch.float64) - 4
    x = x[(x.abs()[:, None] - CURVE.knots).abs().amin(1) > 1e-3]  # the second derivative jumps at a knot
    step = 1e-5
    difference = (evaluate(x + step, CURVE)[0] - evaluate(x - step, CURVE)[0]) / (2 * step)
    torch.testing.assert_close(evaluate(x, CURVE)[1], difference, atol=1e-8, rtol=0)


def test_rising_points_give_a_rising_curve_that_never_overshoots() -> None:
    torch.manual_seed(1)
    x = torch.rand(40, dtype=torch.float64).cumsum(0)
    y = torch.rand(40, dtype=torch.float64).square().cumsum(0)
    output, slope = evaluate(torch.linspace(0, float(x[-1]), 5000, dtype=torch.float64), curve(x, y))
    assert (slope >= -1e-12).all()
    assert (output.diff() >= -1e-12).all()
    assert output.max() <= y[-1] + 1e-12


def test_a_field_of_the_other_sign_leaves_with_the_other_sign() -> None:
    x = torch.linspace(0, 5, 101, dtype=torch.float64)
    output, slope = evaluate(x, CURVE)
    turned, turned_slope = evaluate(-x, CURVE)
    assert torch.equal(turned, -output)
    assert torch.equal(turned_slope, slope)
    assert output[0] == 0


def test_the_origin_is_added_below_the_first_point() -> None:
    given = curve(KNOTS[1:], OUTPUTS[1:])
    assert all(torch.equal(a, b) for a, b in zip(given, CURVE, strict=True))


def test_two_points_are_a_line_and_it_goes_on_straight() -> None:
    line = curve((1.0, 2.0), (0.5, 1.0))
    output, slope = evaluate(torch.tensor([-9.0, 0.1, 1.5, 40.0]), line)
    torch.testing.assert_close(output, torch.tensor([-4.5, 0.05, 0.75, 20.0]))
    torch.testing.assert_close(slope, torch.full((4,), 0.5))


def test_beyond_the_last_knot_it_is_straight_with_the_slope_there() -> None:
    x = torch.tensor([3.0, 4.0, 103.0], dtype=torch.float64)
    output, slope = evaluate(x, CURVE)
    last = CURVE.slopes[-1]
    assert last > 0
    torch.testing.assert_close(output, 1.15 + last * (x - 3))
    torch.testing.assert_close(slope, last.expand(3))


def test_a_curve_that_falls_at_its_end_goes_on_level() -> None:
    falling = curve((1.0, 2.0, 3.0), (1.0, 1.5, 0.5))
    output, slope = evaluate(torch.tensor([3.0, 7.0, math.inf]), falling)
    assert output.tolist() == [0.5, 0.5, 0.5]
    assert slope.tolist() == [0, 0, 0]


def test_infinite_light_gives_no_nan() -> None:
    x = torch.tensor([math.inf, -math.inf])
    for made in (CURVE, curve((1.0, 2.0), (2.0, 4.0))):
        output, slope = evaluate(x, made)
        assert output[0] == -output[1]
        assert output[0] > 1e30
        assert torch.equal(slope, made.slopes[-1].float().expand(2))
        assert torch.equal(secant(x, output, made), made.slopes[-1].float().expand(2))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 1e-3), (torch.bfloat16, 8e-3), (torch.float32, 1e-6)])
def test_narrow_types_are_rounded_once(dtype: torch.dtype, tolerance: float) -> None:
    x = torch.linspace(-4, 4, 60).reshape(3, 4, 5).to(dtype)
    output, slope = evaluate(x, CURVE)
    wide, wide_slope = evaluate(x.double(), CURVE)
    assert output.dtype == slope.dtype == dtype
    torch.testing.assert_close(output.double(), wide, atol=0, rtol=tolerance)
    torch.testing.assert_close(slope.double(), wide_slope, atol=tolerance, rtol=tolerance)


def test_many_points_of_a_known_absorber_give_that_absorber() -> None:
    # I exp(-a / (1 + I)) with a = 5, and its derivative in closed form
    x = torch.linspace(0, 10, 400, dtype=torch.float64)
    made = curve(x, x * torch.exp(-5 / (1 + x)))
    between = torch.linspace(0, 9.9, 777, dtype=torch.float64)
    output, slope = evaluate(between, made)
    transmission = torch.exp(-5 / (1 + between))
    torch.testing.assert_close(output, between * transmission, atol=2e-5, rtol=0)
    torch.testing.assert_close(slope, transmission * (1 + 5 * between / (1 + between) ** 2), atol=2e-3, rtol=0)
    torch.testing.assert_close(secant(between, output, made), transmission, atol=2e-4, rtol=0)


def test_the_secant_ends_in_the_slope_at_zero() -> None:
    x = torch.tensor([-1e-9, 0.0, 1e-9, 1.0], dtype=torch.float64)
    slopes = secant(x, evaluate(x, CURVE)[0], CURVE)
    torch.testing.assert_close(
        slopes, torch.stack([*CURVE.slopes[0].expand(3), torch.tensor(0.7, dtype=torch.float64)])
    )


@pytest.mark.parametrize(
    ("knots", "outputs", "message"),
    [
        ((1.0,), (1.0,), "2 or more"),
        ((1.0, 2.0), (1.0,), "one output for each"),
        (((1.0, 2.0),), ((1.0, 2.0),), "one output for each"),
        ((1.0, 1.0), (1.0, 2.0), "must ascend"),
        ((2.0, 1.0), (1.0, 2.0), "must ascend"),
        ((1.0, 1.0 + 1e-12), (1.0, 2.0), "single precision"),
        ((1.0, math.inf), (1.0, 2.0), "not finite"),
        ((1.0, 2.0), (1.0, math.nan), "not finite"),
        ((-1.0, 1.0), (0.0, 1.0), "starts at 0"),
        ((0.0, 1.0), (0.2, 1.0), "dark level"),
    ],
)
def test_points_that_make_no_curve_are_refused(knots: Any, outputs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        curve(knots, outputs)


def test_light_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        evaluate(torch.tensor([1.0, math.nan]), CURVE)
    with pytest.raises(TypeError, match=r"`x.float\(\)`"):
        evaluate(torch.tensor([1, 2]), CURVE)


# the fitted formula


@pytest.mark.parametrize(
    "truth",
    [
        DoubleExponential(30.0, 2.0, 10.0, 0.2),
        DoubleExponential(-5.7, 5.0, 426.0, 0.5),
        DoubleExponential(2e5, 3e-3, 1e6, 4e-4),
    ],
)
def test_a_fit_finds_what_made_the_points(truth: DoubleExponential) -> None:
    x = np.linspace(0, 6 / truth.b if truth.d > truth.b / 5 else 3 / truth.d, 150)
    found = fit_double_exponential(x, double_exponential(x, truth))
    assert found == pytest.approx(truth, rel=1e-4)


def test_a_fit_to_noise_is_the_best_of_its_neighbours() -> None:
    random = np.random.default_rng(0)
    x = random.uniform(0, 4, 300)
    y = double_exponential(x, DoubleExponential(40.0, 3.0, 20.0, 0.4)) + 0.02 * random.standard_normal(300)
    found = fit_double_exponential(x, y)
    best = float(np.square(double_exponential(x, found) - y).sum())
    for part in range(4):
        for factor in (0.98, 1.02):
            other = DoubleExponential(*(value * (factor if i == part else 1) for i, value in enumerate(found)))
            assert np.square(double_exponential(x, other) - y).sum() > best


def test_the_slope_of_the_formula_is_its_derivative() -> None:
    fit = DoubleExponential(30.0, 2.0, 10.0, 0.2)
    x = np.linspace(0.1, 5, 50)
    difference = (double_exponential(x + 1e-6, fit) - double_exponential(x - 1e-6, fit)) / 2e-6
    assert double_exponential_slope(x, fit) == pytest.approx(difference, abs=1e-8)
    assert double_exponential(np.array([1e9]), fit) == pytest.approx(40 / SCALE)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2, 3], [1, 2, 3], "4 or more"),
        ([1, 2, 3, 4], [1, 2, 3], "4 or more"),
        ([1, 2, 3, math.nan], [1, 2, 3, 4], "finite"),
        ([-1, 2, 3, 4], [1, 2, 3, 4], "from 0 upwards"),
        ([0, 0, 0, 0], [1, 2, 3, 4], "from 0 upwards"),
    ],
)
def test_points_that_cannot_be_fitted_are_refused(x: list[float], y: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_double_exponential(x, y)


# measured light


@pytest.fixture(scope="module")
def measured() -> tuple[Any, Any, Any]:
    """Light before and after the image intensifier [images, channels], and the published coefficients."""
    root = os.environ.get("LIGHTLOOM_DATA")
    folder = Path(root or "") / "onn_measured" / "mcmahon_intensifier" / "Figure_2bcd"
    if not root or not folder.is_dir():
        pytest.skip("needs the measured image intensifier in the folder that LIGHTLOOM_DATA names")
    with np.load(folder / "Train_Data_Quickdraw_Nonlinear_fc1act1.npz", allow_pickle=False) as light:
        before, after = light["train_data_before_intensifier"], light["train_data_after_intensifier"]
    with np.load(folder / "Nonlinear_coeffs.npz", allow_pickle=False) as published:
        return before, after, published["coeffs"]


def published_curve(x: Any, y: Any, fit: DoubleExponential) -> tuple[Any, float]:
    """The published curve in the counts of the measurement, and its dark level.

    Coefficients are in units of a simulation, so that two scales and the dark level are free; the shape is not.
    """

    def scaled(log_scale: Any) -> tuple[Any, Any]:
        parts = np.stack([double_exponential(x / np.exp(log_scale), fit), np.ones_like(x)], 1)
        factors = np.linalg.lstsq(parts, y, rcond=None)[0]
        return parts @ factors, factors

    results = [least_squares(lambda p: (scaled(p)[0] - y) / y.std(), [math.log(s)]) for s in (1e3, 3e3, 1e4)]
    best = min(results, key=lambda result: float(result.cost)).x
    return scaled(best)[0], float(scaled(best)[1][1])


def test_fits_of_real_light_have_the_published_shape_and_agree_with_the_cubic(measured: tuple[Any, Any, Any]) -> None:
    apart, cubic_apart = [], []
    for x, y, coefficients in zip(measured[0].T, measured[1].T, measured[2], strict=True):
        published, dark = published_curve(x, y, DoubleExponential(*coefficients))
        found = fit_double_exponential(x, y - dark)
        ours = double_exponential(x, found)
        middle = (x > np.quantile(x, 0.01)) & (x < np.quantile(x, 0.99))
        apart.append(np.abs(published - dark - ours)[middle].max() / ours.max())
        assert np.std(ours + dark - y) <= 1.001 * np.std(published - y)

        bins = np.array_split(np.argsort(x), 12)
        cubic = curve([x[part].mean() for part in bins], [y[part].mean() - dark for part in bins])
        inside = torch.linspace(float(cubic.knots[1]), float(cubic.knots[-1]), 200, dtype=torch.float64)
        difference = evaluate(inside, cubic)[0].numpy() - double_exponential(inside.numpy(), found)
        cubic_apart.append(np.abs(difference).max() / ours.max())
    # measured: 0.5 % and 0.9 % of full scale in the median channel, 2.3 % and 2.9 % in the worst
    assert np.median(apart) < 0.01
    assert max(apart) < 0.03
    assert np.median(cubic_apart) < 0.015
    assert max(cubic_apart) < 0.04
