"""Each imperfection of an all-optical pass against its own truth, by another way."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_bvp
from scipy.optimize import brentq
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.nn import AllOptical, OpticalPass, SaturableAbsorber
from lightloom.nn.all_optical import interference
from lightloom.nn.all_optical.steps import ConvolutionStep, WeightStep


class Dim(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def network(gradient: Any = "probe", saturation: float = 1.0) -> nn.Sequential:
    torch.manual_seed(0)
    absorbers = [SaturableAbsorber(3.0, saturation, form="propagated", gradient=gradient) for _ in range(2)]
    layers = [nn.Linear(7, 6, bias=False), absorbers[0], nn.Linear(6, 5, bias=False), absorbers[1]]
    return nn.Sequential(*layers, nn.Linear(5, 3, bias=False)).double()


def weights(model: nn.Module) -> list[Tensor]:
    return list(model.parameters())


def gradients(model: nn.Module, x: Tensor, factor: float = 1.0) -> list[Tensor]:
    return list(torch.autograd.grad(factor * model(x).square().mean(), weights(model)))


X = 3 * torch.randn(8, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def assert_near(made: list[Tensor], expected: list[Tensor], rtol: float = 1e-12) -> None:
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=rtol * float(other.abs().max()))


# loss and modulators


@pytest.mark.parametrize("gradient", ["exact", "probe"])
def test_loss_is_that_of_a_network_with_grey_glass_behind_every_weight(gradient: Any) -> None:
    model = network(gradient)
    grey = Dim(math.sqrt(10 ** (-2.5 / 10)))
    lossy = nn.Sequential(model[0], grey, model[1], model[2], grey, model[3], model[4], grey)
    light = AllOptical(model, OpticalPass(loss_db=2.5))
    torch.testing.assert_close(light(X), lossy(X))
    assert_near(gradients(light, X), gradients(lossy, X))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_weights_are_shown_in_levels_and_learn_as_if_they_were_not(bits: int) -> None:
    model = network()
    shown = network()
    for weight in weights(shown):
        full = float(weight.detach().abs().max())
        count = max(2**bits - 1, 2)
        levels = torch.linspace(-full, full, count, dtype=torch.float64)
        nearest = (weight.detach().unsqueeze(-1) - levels).abs().argmin(-1)
        weight.data = levels[nearest]
    light = AllOptical(model, OpticalPass(weight_bits=bits))
    torch.testing.assert_close(light(X), shown(X))
    assert_near(gradients(light, X), gradients(shown, X))
    assert not torch.allclose(weights(light)[0], weights(shown)[0])


def test_the_error_is_sent_in_levels_over_its_peak_in_the_batch() -> None:
    model, light = network(), AllOptical(network(), OpticalPass(error_bits=3))
    error = torch.randn(8, 3, dtype=torch.float64)
    levels = torch.linspace(-1, 1, 7, dtype=torch.float64) * float(error.abs().max())
    sent = levels[(error.unsqueeze(-1) - levels).abs().argmin(-1)]
    made = torch.autograd.grad(light(X), weights(light), error)
    assert_near(list(made), list(torch.autograd.grad(model(X), weights(model), sent)))
    assert not torch.allclose(sent, error)


# error light that is not weak


def two_beams(forward: float, backward: float, depth: float) -> float:
    """ln T of the intensity in a homogeneous line with light from both ends, solved as a boundary value problem."""

    def change(z: Any, beams: Any) -> Any:
        absorbed = depth / (1 + np.exp(beams[0]) + np.exp(beams[1]))
        return np.stack([-absorbed, absorbed])

    ends = np.log([forward, backward])
    grid = np.linspace(0, 1, 51)
    start = np.stack([ends[0] - depth * grid, ends[1] - depth * (1 - grid)])
    solved = solve_bvp(
        change, lambda at_0, at_1: np.array([at_0[0] - ends[0], at_1[1] - ends[1]]), grid, start, tol=1e-9
    )
    assert solved.success
    return float(solved.y[0, -1] - ends[0])


def test_one_absorber_transmits_error_light_as_a_line_with_light_from_both_ends() -> None:
    model = nn.Sequential(
        nn.Linear(1, 1, bias=False), SaturableAbsorber(3.0, 2.0, form="propagated", gradient="probe")
    ).double()
    peak, w = 1.6, model[0].weight.item()
    light = AllOptical(model, OpticalPass(probe_intensity=peak))
    for x, error in ((4.0, 1e-3), (-2.0, 50.0)):  # of an error's size only that of the others in the batch counts
        (made,) = torch.autograd.grad(
            light(torch.full((1, 1), x, dtype=torch.float64)),
            weights(light),
            torch.full((1, 1), error, dtype=torch.float64),
        )
        log_share = two_beams((w * x) ** 2 / 2.0, peak, 3.0)
        assert float(made) == pytest.approx(x * error * math.exp(log_share / 2), rel=1e-6)


def transmission(total: Tensor, depth: float) -> Tensor:
    """sqrt(T) of ln T = t with t + S (e^t - 1) + a = 0, by bisection."""
    roots = [
        brentq(lambda t, s=s: t + s * math.expm1(t) + depth, -depth, 0.0, xtol=1e-14) for s in total.flatten().tolist()
    ]
    return torch.tensor(roots, dtype=torch.float64).view(total.shape).mul(0.5).exp()


def test_both_beams_settle_to_what_they_do_to_each_other() -> None:
    """The fields that agree, by damped iteration of all absorbers at once instead of sweeps through the network."""
    light, peak = AllOptical(network(), OpticalPass(probe_intensity=0.7, sweeps=40)), 0.7
    error = torch.randn(8, 3, dtype=torch.float64)
    made = torch.autograd.grad(light(X), weights(light), error)
    first, second, third = (weight.detach() for weight in weights(light))
    scale = math.sqrt(peak) / float(error.abs().max())
    share = [torch.full((8, width), 0.5, dtype=torch.float64) for width in (6, 5)]
    for _ in range(120):
        z1 = X @ first.T
        z2 = (z1 * share[0]) @ second.T
        b2 = scale * error @ third
        b1 = (b2 * share[1]) @ second
        met = transmission(z1**2 + b1**2, 3.0), transmission(z2**2 + b2**2, 3.0)
        share = [0.5 * (old + new) for old, new in zip(share, met, strict=True)]
    expected = [
        (b1 * share[0]).T @ X / scale,
        (b2 * share[1]).T @ (z1 * share[0]) / scale,
        error.T @ (z2 * share[1]),
    ]
    assert_near(list(made), expected, rtol=1e-9)


def test_sweeps_converge_and_the_error_of_few_is_small() -> None:
    def swept(sweeps: int) -> Tensor:
        light = AllOptical(network(), OpticalPass(probe_intensity=0.7, sweeps=sweeps))
        return torch.cat([gradient.flatten() for gradient in gradients(light, X)])

    settled = swept(40)
    missing = [float((swept(sweeps) - settled).norm() / settled.norm()) for sweeps in (1, 2, 4)]
    assert missing[0] > 3 * missing[1] > 9 * missing[2] > 0


def test_a_weak_probe_is_the_limit_and_the_difference_is_its_intensity() -> None:
    weak = torch.cat([gradient.flatten() for gradient in gradients(network(), X)])
    made = []
    for intensity in (1e-6, 1e-5):
        light = AllOptical(network(), OpticalPass(probe_intensity=intensity))
        difference = torch.cat([gradient.flatten() for gradient in gradients(light, X)]) - weak
        made.append(float(difference.norm() / weak.norm()))
    assert 0 < made[0] < 1e-5
    assert made[1] == pytest.approx(10 * made[0], rel=1e-3)


def test_other_gradients_saturate_nothing() -> None:
    light = AllOptical(network("exact"), OpticalPass(probe_intensity=5.0))
    assert_near(gradients(light, X), gradients(network("exact"), X))


SETTINGS = OpticalPass(probe_intensity=0.3, photons=50.0, detector_std=0.02, loss_db=1.0, weight_bits=6, error_bits=6)


def test_the_size_of_the_loss_does_not_matter() -> None:
    """The error light has the strength that it is given, so noise and bits keep their share."""
    made = []
    for factor in (1.0, 1e-4):
        torch.manual_seed(3)
        made.append([gradient / factor for gradient in gradients(AllOptical(network(), SETTINGS), X, factor)])
    assert_near(*made)


def test_light_is_measured_by_the_saturation_intensity() -> None:
    """Four times the intensity of everything, saturation included: twice every field, and nothing else."""
    error = torch.randn(8, 3, dtype=torch.float64)
    outputs, made = [], []
    for scale in (1.0, 2.0):
        model = AllOptical(network(saturation=scale**2), SETTINGS)
        torch.manual_seed(3)
        y = model(scale * X)
        outputs.append(y.detach() / scale)
        made.append([gradient / scale for gradient in torch.autograd.grad(y, weights(model), error)])
    torch.testing.assert_close(*outputs)
    assert_near(*made)


def test_a_trained_absorber_that_both_beams_saturate() -> None:
    """The slope of the depth by finite differences of the field that leaves, error light included."""
    field, error, step = torch.tensor([[1.3]], dtype=torch.float64), torch.tensor([[2.0]], dtype=torch.float64), 1e-6
    absorber = SaturableAbsorber(
        2.0, 1.0, form="propagated", gradient="probe", trainable=("optical_depth", "saturation_intensity")
    )
    light = AllOptical(nn.Sequential(absorber).double(), OpticalPass(probe_intensity=0.5))
    made = torch.autograd.grad(light(field), absorber.log_depth, error)[0]
    total = field.square() + 0.5
    slope = (transmission(total, 2 + step) - transmission(total, 2 - step)) * field / (2 * step)
    assert float(made) == pytest.approx(float(2.0 * slope * error), rel=1e-5)  # its logarithm is what trains


# noise


def single_exposures(signals: Tensor, beam: Tensor, light: OpticalPass, saturation: float, draws: int) -> Tensor:
    """Gradients [draws, outputs, inputs] of fields [terms, inputs] and [terms, outputs], photon by photon."""
    assert light.photons is not None
    a, b = signals.unsqueeze(1), beam.unsqueeze(2)
    shots = []
    for field in (a + b, a - b):
        rate = (light.photons * field.square() / saturation).expand(draws, *field.shape)
        counted = torch.poisson(rate) / light.photons
        shots.append((counted + light.detector_std * torch.randn_like(rate)) * saturation)
    return (shots[0] - shots[1]).sum(1) / 4


def assert_variance(found: Tensor, expected: Tensor) -> None:
    """A variance of n draws is off by sqrt(2 / n) of itself, times about 5 at the worst of some tens."""
    allowed = 5 * math.sqrt(2 / len(found))
    assert ((found.var(0) / expected - 1).abs() < allowed).all()


@pytest.mark.parametrize("light", [OpticalPass(photons=20.0), OpticalPass(photons=200.0, detector_std=0.3)], ids=str)
def test_the_variance_of_a_gradient_is_that_of_single_exposures(light: OpticalPass) -> None:
    torch.manual_seed(1)
    signals, beam = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    step = WeightStep(nn.Linear(4, 3, bias=False))
    found = single_exposures(signals, beam, light, 2.5, draws=8000)
    expected = interference.variance(step, signals, beam, light, 2.5)
    assert_variance(found, expected)
    error = (found.mean(0) - step.weight_gradient(signals, beam)).abs() / (expected / len(found)).sqrt()
    assert error.max() < 4.5


@pytest.mark.parametrize(
    "settings", [{"padding": 1, "stride": 2}, {"groups": 2}, {"padding": "same", "padding_mode": "circular"}], ids=str
)
def test_the_variance_of_a_convolution_is_that_of_every_tap_at_every_position(settings: dict[str, Any]) -> None:
    """Border pixels that are dark by construction are exposed by nobody."""
    torch.manual_seed(1)
    layer = nn.Conv2d(4, 2, 3, bias=False, **settings)
    signals = torch.randn(2, 4, 4, 4, dtype=torch.float64)
    beam = torch.randn_like(layer.double()(signals))
    light = OpticalPass(photons=7.0, detector_std=0.4)
    made = interference.variance(ConvolutionStep(layer), signals, beam, light, 1.5)
    padding, real = layer.padding, torch.ones_like(signals)
    if layer.padding_mode == "circular":
        signals, real, padding = (F.pad(signals, (1, 1, 1, 1), "circular"), F.pad(real, (1, 1, 1, 1), "circular"), 0)
    groups = zip(*(field.chunk(layer.groups, 1) for field in (signals, real, beam)), strict=True)
    expected = []
    for a, exists, b in groups:
        a2, there = (F.unfold(part, 3, padding=padding, stride=layer.stride) for part in (a.square(), exists))
        b2 = b.flatten(2).square()
        powers = torch.einsum("ntl,nol->ot", a2, torch.ones_like(b2)) + torch.einsum("ntl,nol->ot", there, b2)
        terms = there.sum((0, 2)).expand(powers.shape)
        expected.append(1.5 * powers / (8 * 7.0) + 1.5**2 * terms * 0.4**2 / 8)
    torch.testing.assert_close(made.flatten(1), torch.cat(expected))


def test_measured_gradients_have_that_variance_in_every_layer() -> None:
    light = OpticalPass(probe_intensity=0.4, photons=30.0, detector_std=0.05, sweeps=1)
    model, error = AllOptical(network("exact"), light), torch.randn(8, 3, dtype=torch.float64)
    y = model(X)
    draws = [torch.autograd.grad(y, weights(model), error, retain_graph=True) for _ in range(3000)]
    plain = network("exact")
    fields, expected = {}, torch.autograd.grad(plain(X), weights(plain), error)
    for index in (0, 2, 4):
        plain[index].register_forward_hook(lambda layer, given, made: fields.update({layer: (given[0], made)}))
    out = plain(X)
    scale = math.sqrt(0.4) / float(error.abs().max())
    for which, index in enumerate((0, 2, 4)):
        entered, left = fields[plain[index]]
        (beam,) = torch.autograd.grad(out, left, scale * error, retain_graph=True)
        a2, b2 = entered.detach().square(), beam.square()
        variance = (a2.sum(0) + b2.sum(0).unsqueeze(1)) / (8 * 30.0) + 8 * 0.05**2 / 8
        found = torch.stack([draw[which] for draw in draws])
        assert_variance(found, variance / scale**2)
        missed = (found.mean(0) - expected[which]).abs() / (variance / scale**2 / len(found)).sqrt()
        assert missed.max() < 4.5


@pytest.mark.parametrize(
    ("light", "variance"),
    [
        (OpticalPass(photons=25.0), 4.0 / (4 * 25)),
        (OpticalPass(detector_std=0.1), 4.0 * 0.01),
        (OpticalPass(photons=25.0, detector_std=0.1), 4.0 / (4 * 25) + 4.0 * 0.01),
    ],
)
def test_outputs_have_the_noise_of_homodyne_detection_in_evaluation_too(light: OpticalPass, variance: float) -> None:
    model = AllOptical(network(saturation=4.0), light).eval()
    with torch.no_grad():
        noise = torch.stack([model(X) - model.model(X) for _ in range(300)]).flatten()
    assert float(noise.var()) == pytest.approx(variance, rel=5 * math.sqrt(2 / len(noise)))


def test_noise_comes_from_the_global_generator_and_a_quiet_pass_draws_nothing() -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(5)
        made.append(gradients(AllOptical(network(), SETTINGS), X))
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))
    quiet = AllOptical(network(), SETTINGS.replace(photons=None, detector_std=0.0))
    state = torch.get_rng_state()
    gradients(quiet, X)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_without_absorbers_is_measured_in_plain_units() -> None:
    torch.manual_seed(0)
    model = AllOptical(nn.Sequential(nn.Linear(3, 200, bias=False)), OpticalPass(photons=4.0))
    with torch.no_grad():
        noise = (model(torch.ones(50, 3)) - model.model(torch.ones(50, 3))).flatten()
    assert float(noise.var()) == pytest.approx(1 / 16, rel=5 * math.sqrt(2 / len(noise)))
