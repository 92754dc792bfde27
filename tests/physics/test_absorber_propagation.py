"""Propagation against special functions, differential equations solved by others, and closed forms of the slopes."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_bvp, solve_ivp
from scipy.special import lambertw, wrightomega
from torch import Tensor

from lightloom.physics.absorber import Broadening, Medium, log_transmission, respond
from lightloom.physics.absorber.propagation import Transmission, _integrated, transmission

LIGHT = torch.logspace(-6, 5, 400, dtype=torch.float64)


def left(total: NDArray[np.float64], broadening: str) -> NDArray[np.float64]:
    return (1 + total) ** (-1.0 if broadening == "homogeneous" else -0.5)


def propagate(entering: float, medium: Medium) -> float:
    """ln T by an integrator with error control."""

    def slope(z: float, t: NDArray[np.float64]) -> NDArray[np.float64]:
        return -(medium.optical_depth * left(entering * np.exp(t), medium.broadening) + medium.residual)

    return float(solve_ivp(slope, (0, 1), [0.0], method="DOP853", rtol=1e-12, atol=1e-13).y[0, -1])


@pytest.mark.parametrize("depth", [0.01, 1.0, 10.0, 30.0, 500.0, -3.0, -60.0])
def test_homogeneous_light_is_wrights_omega_function(depth: float) -> None:
    entering = LIGHT.numpy()
    leaving = wrightomega(np.log(entering) + entering - depth)
    made = (LIGHT.log() + log_transmission(LIGHT, Medium(depth, form="propagated"))).exp()
    np.testing.assert_allclose(made.numpy(), leaving, rtol=3e-11 if depth == 500 else 1e-11, atol=1e-200)


@pytest.mark.parametrize("depth", [0.5, 5.0, 20.0])
def test_homogeneous_light_is_lamberts_w(depth: float) -> None:
    entering = np.linspace(0.01, 50, 200)
    leaving = lambertw(entering * np.exp(entering - depth)).real
    made = respond(torch.from_numpy(entering), Medium(depth, form="propagated"), "intensity").output
    np.testing.assert_allclose(made.numpy(), leaving, rtol=1e-11)


def test_published_transmissions_of_the_two_forms() -> None:
    light = torch.tensor([3.0], dtype=torch.float64)
    for depth, thin, propagated in ((5.0, 0.287, 0.100), (10.0, 0.0821, 0.00091), (30.0, 5.5e-4, 1.9e-12)):
        for form, expected in (("thin", thin), ("propagated", propagated)):
            medium = Medium(depth, form=form)  # type: ignore[arg-type]
            assert float(log_transmission(light, medium).exp()) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("broadening", ["homogeneous", "inhomogeneous"])
@pytest.mark.parametrize("depth", [0.3, 9.7, 30.0, -0.5, -12.0])
def test_propagation_is_the_solution_of_its_equation(depth: float, broadening: Broadening) -> None:
    for residual, error in ((0.0, 1e-10), (0.45, 2e-5)):
        medium = Medium(depth, 1.0, residual, "propagated", broadening)
        for entering in (1e-4, 0.3, 2.0, abs(depth), 3 * abs(depth), 1e4):
            made = float(log_transmission(torch.tensor([entering], dtype=torch.float64), medium))
            assert made == pytest.approx(propagate(entering, medium), rel=0, abs=error)


@pytest.mark.parametrize("broadening", ["homogeneous", "inhomogeneous"])
@pytest.mark.parametrize("depth", [0.7, 10.2, 31.0, 99.0, -1.2, -9.9, -30.3])
def test_integration_agrees_with_the_implicit_solution_within_its_error(depth: float, broadening: Broadening) -> None:
    at = torch.tensor(depth, dtype=torch.float64)
    exact: Transmission = transmission(LIGHT, at, Medium(form="propagated", broadening=broadening))
    made = _integrated(LIGHT, at, 0.0, broadening)
    assert float((made.log_share - exact.log_share).abs().max()) < 2e-5
    torch.testing.assert_close(made.rise, exact.rise, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(made.by_depth, exact.by_depth, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("broadening", ["homogeneous", "inhomogeneous"])
@pytest.mark.usefixtures("backend")
def test_derivative_has_its_closed_form(broadening: Broadening) -> None:
    for depth, residual, digits in ((8.0, 0.0, 1e-10), (30.0, 0.0, 1e-10), (-6.0, 0.0, 1e-10), (8.3, 0.7, 1e-4)):
        medium = Medium(depth, 1.0, residual, "propagated", broadening)

        def k(light: Tensor, depth: float = depth, residual: float = residual) -> Tensor:
            return depth * torch.from_numpy(left(light.numpy(), broadening)) + residual

        output, derivative = respond(LIGHT, medium, "intensity")
        torch.testing.assert_close(derivative, k(output) * output / (k(LIGHT) * LIGHT), rtol=digits, atol=0)


@pytest.mark.usefixtures("backend")
def test_light_at_which_gain_and_loss_balance_passes_as_it_is() -> None:
    balanced = torch.tensor([3.0], dtype=torch.float64)
    medium = Medium(-4.0, 1.0, 1.0, "propagated")  # 4 / (1 + 3) = 1
    output, derivative = respond(balanced, medium, "intensity")
    torch.testing.assert_close(output, balanced)
    assert float(derivative) == pytest.approx(math.exp(-4 * 3 / 16), rel=1e-9)  # d ln I / dz grows by S k'(S)


def two_beams(forward: float, backward: float, medium: Medium) -> tuple[float, float]:
    """ln T of both of two beams that run against each other, as a boundary value problem in their logarithms."""
    guess = float(log_transmission(torch.tensor([forward + backward], dtype=torch.float64), medium))
    ends = np.log([forward, backward])

    def slopes(z: NDArray[np.float64], beams: NDArray[np.float64]) -> NDArray[np.float64]:
        k = medium.optical_depth * left(np.exp(beams).sum(0), medium.broadening) + medium.residual
        return np.stack((-k, k))

    def edges(front: NDArray[np.float64], back: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([front[0] - ends[0], back[1] - ends[1]])

    z = np.linspace(0, 1, 400)
    start = np.stack((ends[0] + guess * z, ends[1] + guess * (1 - z)))
    solution = solve_bvp(slopes, edges, z, start, tol=1e-9, max_nodes=100_000)
    assert solution.success
    return float(solution.y[0, -1] - ends[0]), float(solution.y[1, 0] - ends[1])


@pytest.mark.parametrize(("forward", "backward"), [(0.5, 0.5), (4.0, 0.01), (0.02, 6.0), (10.0, 3.0), (20.0, 20.0)])
@pytest.mark.parametrize("depth", [1.0, 10.0, -5.0])
def test_two_beams_both_see_the_transmission_of_one_beam_of_their_sum(
    depth: float, forward: float, backward: float
) -> None:
    medium = Medium(depth, form="propagated")
    made = float(log_transmission(torch.tensor([forward], dtype=torch.float64), medium, backward))
    for beam in two_beams(forward, backward, medium):
        assert beam == pytest.approx(made, rel=1e-6)


@pytest.mark.parametrize("broadening", ["homogeneous", "inhomogeneous"])
def test_a_weak_probe_finds_the_medium_as_the_light_has_set_it(broadening: Broadening) -> None:
    medium = Medium(6.0, 1.0, 0.3, "propagated", broadening)
    light = torch.tensor([4.0], dtype=torch.float64)
    alone = float(respond(light, medium, "intensity", "probe").factor)
    forward, backward = two_beams(4.0, 1e-7, medium)
    assert alone == pytest.approx(math.exp(backward), rel=2e-5)
    assert alone == pytest.approx(math.exp(forward), rel=2e-5)


def two_beams_everywhere(forward: NDArray[np.float64], ratio: float, medium: Medium) -> NDArray[np.float64]:
    """ln T of beams [n] against beams of `ratio` times as much, from I_forward I_backward = constant.

    With that constant the total is known wherever the forward beam is, and the way through the medium, 1, is the
    integral of d ln I / k over its logarithm: a bisection finds the ln T with which it is.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    darkest, brightest = (np.full_like(forward, -end) for end in (medium.optical_depth + medium.residual, 0))
    for _ in range(45):
        t = (darkest + brightest) / 2
        along = forward[:, None] * np.exp(t[:, None] * (1 + nodes) / 2)
        against = (ratio * forward**2 * np.exp(t))[:, None] / along
        k = medium.optical_depth * left(along + against, medium.broadening) + medium.residual
        beyond = -t * (weights / (2 * k)).sum(1) > 1
        darkest, brightest = np.where(beyond, t, darkest), np.where(beyond, brightest, t)
    return (darkest + brightest) / 2


@pytest.mark.parametrize(
    ("broadening", "depth", "residual", "equal", "unequal"),
    [
        ("inhomogeneous", 1, 0, 0.0011, 0.0002),
        ("inhomogeneous", 10, 0, 0.66, 0.18),
        ("inhomogeneous", 30, 0, 4.8, 1.9),
        ("inhomogeneous", 10, 0.5, 0.86, 0.25),
        ("homogeneous", 1, 1, 0.018, 0.0035),
        ("homogeneous", 10, 0.5, 0.37, 0.072),
        ("homogeneous", 10, 2, 1.4, 0.36),
        ("homogeneous", 30, 1, 3.6, 0.83),
    ],
)
def test_two_beams_elsewhere_are_off_by_what_is_said(
    broadening: Broadening, depth: float, residual: float, equal: float, unequal: float
) -> None:
    medium = Medium(depth, 1.0, residual, "propagated", broadening)
    light = np.logspace(-2, 4, 241)
    for ratio, most in ((1.0, equal), (0.05, unequal), (20.0, unequal)):
        made = log_transmission(torch.from_numpy(light), medium, torch.from_numpy(ratio * light)).numpy()
        off = made - two_beams_everywhere(light, ratio, medium)
        worst = int(off.argmin())
        assert 0 < worst < len(light) - 1
        assert -most < off[worst] < -0.9 * most
        assert off.max() < 2e-5


def test_two_beams_are_the_same_by_both_ways_to_find_them() -> None:
    for broadening, depth, residual in (("inhomogeneous", 10.0, 0.0), ("homogeneous", 10.0, 0.5)):
        medium = Medium(depth, 1.0, residual, "propagated", broadening)  # type: ignore[arg-type]
        for light, ratio in ((9.0, 1.0), (19.0, 0.05)):
            found = two_beams_everywhere(np.array([light]), ratio, medium)[0]
            for beam in two_beams(light, ratio * light, medium):
                assert beam == pytest.approx(found, rel=1e-6)
