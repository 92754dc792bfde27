"""A perfect all-optical pass against autograd, through every kind of layer and every kind of weight."""

import copy
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.nn import AllOptical, MeshCore, OpticalConv2d, OpticalLinear, OpticalPass, SaturableAbsorber, install
from lightloom.nn.gradient_sampler import LayerSampling, Sampler
from lightloom.physics.absorber.curves import curve


class Brightness(nn.Module):
    linear_field = True

    def forward(self, x: Tensor) -> Tensor:
        return 3 * x


class Residual(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = x + super().forward(x)
        return made


def network(gradient: Any = "probe", **absorber: Any) -> nn.Sequential:
    torch.manual_seed(0)
    front = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), SaturableAbsorber(4.0, gradient=gradient), nn.Dropout2d(0.3), nn.AvgPool2d(2)
    )
    back = [
        nn.Linear(36, 12, bias=False),
        nn.Identity(),
        SaturableAbsorber(4.0, gradient=gradient, **absorber),
        nn.Linear(12, 5, bias=False),
    ]
    return nn.Sequential(Brightness(), front, nn.Flatten(), nn.Dropout(0.4), *back).double()


X = torch.randn(6, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
TARGETS = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def gradients(model: nn.Module, x: Tensor, wanted: Iterable[Tensor] | None = None) -> tuple[Tensor, ...]:
    """The output, and the gradients of a mean over it."""
    torch.manual_seed(7)
    y = model(x)
    loss = F.mse_loss(y, torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y))
    return y.detach(), *torch.autograd.grad(loss, tuple(model.parameters() if wanted is None else wanted))


def assert_same(model: nn.Sequential, x: Tensor, wanted: list[Tensor] | None = None, **tolerances: float) -> None:
    light = gradients(AllOptical(model), x, wanted)
    expected = gradients(model, x, wanted)
    assert all(value.abs().max() > 0 for value in expected[2:])
    for made, value in zip(light, expected, strict=True):
        torch.testing.assert_close(made, value, **tolerances)


@pytest.mark.parametrize("gradient", ["exact", "probe", "identity", "negative"])
def test_a_perfect_pass_is_autograd_dropout_included(gradient: Any) -> None:
    model, x = network(gradient), X.clone().requires_grad_()
    assert_same(model, x, [*model.parameters(), x], rtol=1e-12, atol=1e-14)
    assert_same(model.eval(), x, [*model.parameters(), x], rtol=1e-12, atol=1e-14)


def test_an_error_that_absorbers_stop_reaches_the_last_layer_alone() -> None:
    model = network("zero")
    _, *made = gradients(AllOptical(model), X)
    assert [bool(gradient.any()) for gradient in made] == [False, False, True]
    torch.testing.assert_close(made[2], gradients(model, X)[3])


@pytest.mark.parametrize(
    "trainable", [("optical_depth",), ("saturation_intensity",), ("optical_depth", "saturation_intensity")]
)
def test_what_trains_in_an_absorber_gets_its_gradient(trainable: Any) -> None:
    model = network("probe", trainable=trainable)
    assert_same(model, X, list(model.parameters()), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    "absorber",
    [
        {"form": "propagated"},
        {"broadening": "inhomogeneous", "residual": 0.5},
        {"optical_depth": -2.0},
        {"curve": curve([0.5, 1.0, 2.0], [0.1, 0.6, 1.4])},
    ],
    ids=lambda absorber: next(iter(absorber)),
)
@pytest.mark.parametrize("gradient", ["exact", "probe"])
def test_every_absorber(absorber: dict[str, Any], gradient: Any) -> None:
    torch.manual_seed(1)
    make = SaturableAbsorber.measured if "curve" in absorber else SaturableAbsorber
    hidden = nn.Linear(7, 9, bias=False)
    model = nn.Sequential(hidden, make(gradient=gradient, **absorber), nn.Linear(9, 3, bias=False))
    assert_same(model, 3 * torch.randn(5, 7))


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": 1},
        {"padding": "same", "dilation": (1, 2)},
        {"padding": "valid"},
        {"padding": (0, 2), "stride": (2, 1), "dilation": (1, 2)},
        {"padding": 1, "groups": 2},
        {"padding": 2, "padding_mode": "reflect"},
        {"padding": "same", "padding_mode": "circular"},
    ],
    ids=str,
)
@pytest.mark.parametrize("optical", [False, True])
def test_every_geometry_of_a_convolution(settings: dict[str, Any], optical: bool) -> None:
    torch.manual_seed(1)
    first: nn.Module = nn.Conv2d(4, 6, (3, 2), bias=False, **settings)
    if optical:
        first = OpticalConv2d.from_electronic(first, chips.preset("ideal"))
    x = torch.randn(3, 4, 7, 6, requires_grad=True)
    model = nn.Sequential(
        first, SaturableAbsorber(3.0), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 3, bias=False)
    )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    wanted = [first.core.sigma, x] if isinstance(first, OpticalConv2d) else [*trained, x]
    assert_same(model, x, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["l2ight", "thermo-optic", "elight"])
def test_gradients_of_light_reach_what_weights_are_made_of(name: str) -> None:
    """Singular values of meshes and the matrices behind PCM levels, on a chip with its hidden errors and converters."""
    chip = chips.preset(name)
    torch.manual_seed(1)
    model = nn.Sequential(
        OpticalConv2d(2, 5, 3, bias=False, chip=chip, name="conv"),
        SaturableAbsorber(3.0, gradient="probe"),
        nn.Flatten(),
        OpticalLinear(80, 12, bias=False, chip=chip, name="hidden"),
        SaturableAbsorber(3.0, gradient="probe"),
        OpticalLinear(12, 4, bias=False, chip=chip, name="head"),
    )
    install(model, chip.specimen(0))
    kind = "sigma" if isinstance(model[0].core, MeshCore) else "matrix"
    wanted = [getattr(layer.core, kind) for layer in model if isinstance(layer, OpticalConv2d | OpticalLinear)]
    assert_same(model, torch.rand(6, 2, 6, 6), wanted, rtol=1e-4, atol=1e-7)


def test_gradients_pass_a_parametrization() -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight.square()

    model = network()
    nn.utils.parametrize.register_parametrization(model[4], "weight", Doubled())
    assert_same(model, X)


def test_a_layer_that_comes_twice_learns_from_both() -> None:
    shared = nn.Linear(5, 5, bias=False)
    model = nn.Sequential(shared, SaturableAbsorber(2.0), shared, SaturableAbsorber(2.0))
    assert_same(model, torch.randn(4, 5))


def test_frozen_weights_are_not_measured_and_the_rest_is_the_same() -> None:
    model = network()
    model[1][0].weight.requires_grad_(False)
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert_same(model, X, wanted)
    loss = F.mse_loss(AllOptical(model)(X), TARGETS)
    torch.autograd.backward(loss)
    assert model[1][0].weight.grad is None and model[4].weight.grad is not None


def test_a_graph_is_walked_twice_and_nothing_is_written_to() -> None:
    model = AllOptical(network(), OpticalPass(probe_intensity=0.5, loss_db=1.0))
    before = copy.deepcopy(model.state_dict())
    x = X.clone()
    loss = F.mse_loss(model(x), TARGETS)
    first = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(x, X) and all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with pytest.raises(RuntimeError, match="light measures first derivatives only"):
        (grad,) = torch.autograd.grad(model(x).square().sum(), model.model[4].weight, create_graph=True)
        torch.autograd.backward(grad.sum())


def test_layers_may_be_replaced_and_light_changed_later() -> None:
    model = AllOptical(network().eval())
    copied = copy.deepcopy(model)
    model.model[4] = nn.Linear(36, 12, bias=False, dtype=torch.float64)
    torch.testing.assert_close(model(X), model.model(X))
    assert not torch.allclose(model(X), copied(X))
    copied.light = OpticalPass(loss_db=3.0)
    assert "loss_db=3.0" in repr(copied) and copied(X).norm() < copied.model(X).norm()
    assert copied.state_dict().keys() == {f"model.{name}" for name in copied.model.state_dict()}


def test_autocast_leaves_light_in_its_own_precision() -> None:
    model = network().float()
    x = X.bfloat16()
    torch.manual_seed(7)
    with torch.autocast("cpu", torch.bfloat16):
        y = AllOptical(model)(x)
    torch.autograd.backward(y.square().mean())
    torch.manual_seed(7)
    torch.testing.assert_close(y, model(x.float()))
    assert all(parameter.grad is not None and parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_an_error_of_zero_makes_a_gradient_of_zero() -> None:
    model = AllOptical(network(), OpticalPass(probe_intensity=1.0, error_bits=4))
    made = torch.autograd.grad(model(X).sum() * 0, list(model.parameters()))
    assert all(not gradient.any() for gradient in made)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.ReLU(), "Layer `1.0` is a ReLU, which light does not do"),
        (nn.Linear(4, 4), "Layer `1.0` has a bias"),
        (nn.BatchNorm1d(4), "is a BatchNorm1d"),
        (SaturableAbsorber(encoding="intensity"), "Absorber `1.0` takes intensities"),
    ],
)
def test_what_light_does_not_do_is_refused_by_name(layer: nn.Module, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        AllOptical(nn.Sequential(nn.Linear(4, 4, bias=False), nn.Sequential(layer)))


def test_other_requests_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(RequestError, match="is a Linear; `AllOptical` takes a `Sequential`"):
        AllOptical(nn.Linear(4, 4, bias=False))  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="Layer `0` is a Residual, which light does not do"):
        AllOptical(nn.Sequential(Residual(nn.Linear(4, 4, bias=False))))
    trained = Brightness()
    trained.factor = nn.Parameter(torch.ones(()))
    with pytest.raises(RequestError, match="`0` \\(Brightness\\) trains"):
        AllOptical(nn.Sequential(trained))
    sampled = OpticalLinear(4, 4, bias=False, chip=chips.preset("l2ight"))
    sampled.sampler = Sampler(LayerSampling(column=0.5))
    with pytest.raises(RequestError, match="Layer `0` samples its gradient"):
        AllOptical(nn.Sequential(sampled))
    measured = nn.Sequential(SaturableAbsorber.measured(curve([1.0, 2.0], [1.0, 1.5]), gradient="probe"))
    AllOptical(measured)
    with pytest.raises(RequestError, match="says nothing about a second beam"):
        AllOptical(measured, OpticalPass(probe_intensity=0.1))


@pytest.mark.parametrize("settings", [{"photons": 0}, {"loss_db": -1}, {"weight_bits": 0}, {"sweeps": 0}, {"probe": 1}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=next(iter(settings))):
        OpticalPass.parse(settings)


def test_off_is_off() -> None:
    assert not OpticalPass().active and not OpticalPass(sweeps=5).active
    assert OpticalPass(error_bits=8).active and OpticalPass(loss_db=0.1).active and OpticalPass(photons=1e9).active
