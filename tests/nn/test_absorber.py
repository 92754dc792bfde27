"""Saturable absorbers as activations: gradients of every kind, what is kept for them, training of the medium itself."""

import copy
import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from lightloom import chips
from lightloom.nn import SaturableAbsorber
from lightloom.nn.absorber import Gradient
from lightloom.physics.absorber import respond
from lightloom.physics.absorber.curves import curve

MEDIA: list[dict[str, Any]] = [
    {"optical_depth": 10.0},
    {"optical_depth": 7.1, "form": "propagated"},
    {"optical_depth": 7.1, "form": "propagated", "broadening": "inhomogeneous"},
    {"optical_depth": 7.1, "form": "propagated", "residual": 0.2},
    {"optical_depth": -3.1, "form": "propagated"},
    {"optical_depth": 5.0, "encoding": "intensity", "saturation_intensity": 2.0},
]
BOTH = ("optical_depth", "saturation_intensity")


def measured(**options: Any) -> SaturableAbsorber:
    return SaturableAbsorber.measured(curve([0.5, 1.0, 2.0, 4.0], [0.1, 0.4, 1.2, 3.0]), **options)


def kept(output: Tensor) -> list[Tensor]:
    return list(output.grad_fn.saved_tensors)  # type: ignore[union-attr]


@pytest.mark.parametrize("medium", MEDIA, ids=str)
def test_exact_gradients_are_finite_differences(medium: dict[str, Any]) -> None:
    absorber = SaturableAbsorber(**medium, trainable=BOTH).double()
    x = (torch.rand(3, 8, dtype=torch.float64) * 4 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: absorber(x), (x, *absorber.parameters()), atol=1e-6)


def test_a_measured_curve_has_its_exact_gradient_and_its_secant() -> None:
    x = torch.linspace(-5, 5, 40, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(measured(), (x,))
    absorber = measured(gradient="probe")
    absorber(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x.detach(), absorber(x).detach())


@pytest.mark.parametrize("made", [SaturableAbsorber, measured])
def test_every_gradient_is_what_it_says(made: Any) -> None:
    x = torch.randn(2, 30).requires_grad_()
    upstream = torch.randn(2, 30)
    absorber = made()
    outputs, factors = [], {}
    for name in get_args(Gradient):
        absorber.gradient = name
        outputs.append(absorber(x))
        (grad,) = torch.autograd.grad(outputs[-1], x, upstream)
        factors[name] = grad / upstream
        torch.testing.assert_close(factors[name], absorber.respond(x).factor)
    assert all(torch.equal(output, outputs[0]) for output in outputs)
    for name, value in (("zero", 0.0), ("identity", 1.0), ("negative", -1.0)):
        torch.testing.assert_close(factors[name], torch.full((2, 30), value))
    torch.testing.assert_close(factors["probe"] * x.detach(), outputs[0].detach())
    assert (factors["exact"] >= factors["probe"] - 1e-6).all()


@pytest.mark.parametrize("gradient", get_args(Gradient))
def test_one_tensor_is_kept_where_the_medium_does_not_train(gradient: Gradient) -> None:
    x = torch.randn(4, 5, requires_grad=True)
    assert [tuple(tensor.shape) for tensor in kept(SaturableAbsorber(gradient=gradient)(x))] == [(4, 5)]
    trained = kept(SaturableAbsorber(gradient=gradient, trainable=("optical_depth",))(x))
    assert len(trained) == 2 and trained[1].data_ptr() == x.data_ptr()


@pytest.mark.parametrize("gradient", get_args(Gradient))
def test_the_mediums_own_gradients_are_exact_whatever_light_sees(gradient: Gradient) -> None:
    x = torch.randn(50)
    absorber = SaturableAbsorber(4.0, 1.5, form="propagated", gradient=gradient, trainable=BOTH)
    upstream = torch.randn(50)
    absorber(x).backward(upstream)
    assert absorber.log_depth is not None and absorber.log_saturation is not None
    for parameter in (absorber.log_depth, absorber.log_saturation):
        assert parameter.grad is not None
        ends = []
        for step in (0.01, -0.02):
            with torch.no_grad():
                parameter += step
                ends.append(float((absorber(x) * upstream).sum()))
        with torch.no_grad():
            parameter += 0.01
        assert float(parameter.grad) == pytest.approx((ends[0] - ends[1]) / 0.02, rel=1e-3)


def test_a_trained_medium_keeps_its_signs_and_comes_back_from_its_state() -> None:
    target = respond(x := torch.randn(400) * 3, SaturableAbsorber(3.0, 0.5, form="propagated").medium()).output
    absorber = SaturableAbsorber(1.0, 2.0, form="propagated", trainable=BOTH)
    optimiser = torch.optim.Adam(absorber.parameters(), lr=0.05)
    for _ in range(300):
        optimiser.zero_grad()
        nn.functional.mse_loss(absorber(x), target).backward()
        optimiser.step()
    depth, saturation = (float(value.detach()) for value in absorber.medium()[:2])  # type: ignore[union-attr]
    assert depth == pytest.approx(3, rel=1e-2) and saturation == pytest.approx(0.5, rel=1e-2)
    other = SaturableAbsorber(1.0, 2.0, form="propagated", trainable=BOTH)
    other.load_state_dict(absorber.state_dict())
    assert torch.equal(other(x), absorber(x))
    amplifier = SaturableAbsorber(-0.01, trainable=("optical_depth",))
    amplifier.log_depth.data += 3.0  # type: ignore[union-attr]
    assert float(amplifier.medium().optical_depth.detach()) == pytest.approx(-0.01 * math.exp(3))  # type: ignore[union-attr]


def test_the_state_holds_what_trains_alone() -> None:
    assert not SaturableAbsorber().state_dict() and not measured().state_dict()
    assert set(SaturableAbsorber(trainable=("optical_depth",)).state_dict()) == {"log_depth"}
    assert set(SaturableAbsorber(trainable=BOTH).state_dict()) == {"log_depth", "log_saturation"}
    absorber = SaturableAbsorber(trainable=BOTH)
    assert torch.equal(copy.deepcopy(absorber)(torch.ones(3)), absorber(torch.ones(3)))


@pytest.mark.parametrize("form", ["thin", "propagated"])
def test_a_network_trains_in_half_precision_and_in_any_layout(form: Any) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), SaturableAbsorber(2.0, form=form), nn.Flatten(), nn.Linear(144, 2))
    x = torch.randn(5, 1, 8, 8).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        model(x).square().sum().backward()
    rough = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    model(x).square().sum().backward()
    for given, parameter in zip(rough, model.parameters(), strict=True):
        assert parameter.grad is not None
        assert float((given - parameter.grad).norm() / parameter.grad.norm()) < 0.05


def test_a_second_derivative_is_refused() -> None:
    x = torch.randn(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(SaturableAbsorber()(x).sum(), x, create_graph=True)


def test_cross_saturation_is_that_of_the_medium() -> None:
    absorber = SaturableAbsorber(4.0, 2.0, form="propagated", gradient="probe")
    x, probe = torch.rand(20), torch.rand(20)
    made = absorber.respond(x, probe)
    for value, wanted in zip(made, respond(x, absorber.medium(), slope="probe", probe=probe), strict=True):
        assert torch.equal(value, wanted)
    with pytest.raises(ValueError, match="says nothing about a second beam"):
        measured().respond(x, probe)


@pytest.mark.parametrize("medium", MEDIA, ids=str)
def test_at_the_knee_half_of_the_value_passes(medium: dict[str, Any]) -> None:
    absorber = SaturableAbsorber(**medium)
    knee = absorber.half_transmission_field
    at_knee = absorber(torch.tensor([knee], dtype=torch.float64))
    floor = absorber.medium().saturation if absorber.encoding == "intensity" else absorber.medium().saturation ** 0.5
    if knee == pytest.approx(floor):
        assert float(at_knee) >= knee / 2
    else:
        bleached = math.exp(-0.5 * absorber.medium().residual)
        assert float(at_knee) == pytest.approx(knee / 2 * bleached, rel=1e-4)


def test_knees_of_the_published_medium_and_of_a_curve() -> None:
    for depth in (10.0, 30.0):
        assert SaturableAbsorber(depth, 4.0).half_transmission_field == pytest.approx(
            2 * math.sqrt(depth / 2 / math.log(2) - 1), rel=1e-5
        )
    assert SaturableAbsorber(0.1, 4.0).half_transmission_field == 2
    absorber = measured()
    assert float(absorber(torch.tensor(absorber.half_transmission_field))) == pytest.approx(1.5, rel=2e-3)


def test_chips_become_activations() -> None:
    chip = chips.AbsorberChip(
        name="mine", form="propagated", encoding="intensity", optical_depth=3, saturation_intensity=2
    )
    absorber = SaturableAbsorber.of(chip, gradient="probe", trainable=("saturation_intensity",))
    assert absorber.gradient == "probe" and absorber.encoding == "intensity"
    medium = absorber.medium()
    assert float(medium.saturation.detach()) == pytest.approx(2)  # type: ignore[union-attr]
    assert medium._replace(saturation=2.0) == chip.medium()
    table = chips.AbsorberChip(name="table", form="measured", table=((0.0, 0.0), (1.0, 0.2), (2.0, 1.0)))
    output = SaturableAbsorber.of(table)(torch.tensor([-1.0, 0.0, 2.0]))
    torch.testing.assert_close(output, torch.tensor([-0.2, 0.0, 1.0]))


def test_it_says_what_it_is() -> None:
    assert "optical_depth=4, saturation_intensity=2" in repr(SaturableAbsorber(4, 2, trainable=BOTH))
    assert "curve of 5 points" in repr(measured(gradient="probe")) and "gradient='probe'" in repr(
        measured(gradient="probe")
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"gradient": "exakt"}, "Did you mean `exact`"),
        ({"encoding": "amplitudes"}, "Did you mean `amplitude`"),
        ({"trainable": ("optical_deep",)}, "Did you mean `optical_depth`"),
        ({"optical_depth": math.nan}, "optical.depth. is nan"),
        ({"saturation_intensity": 0}, "saturation intensity is above 0"),
        ({"optical_depth": 0, "trainable": BOTH}, "no sign to keep"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        SaturableAbsorber(**options)


def test_a_measured_element_does_not_train() -> None:
    table = chips.AbsorberChip(name="table", form="measured", table=((0.0, 0.0), (1.0, 0.2), (2.0, 1.0)))
    with pytest.raises(ValueError, match="a measured curve cannot train"):
        SaturableAbsorber.of(table, trainable=BOTH)
    with pytest.raises(ValueError, match="Did you mean `exact`"):
        measured(gradient="exakt")


def test_later_mistakes_are_refused() -> None:
    absorber = SaturableAbsorber()
    with pytest.raises(ValueError, match="Did you mean `probe`"):
        absorber.gradient = "prob"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="there is NaN"):
        absorber(torch.tensor([math.nan]))
    with pytest.raises(ValueError, match="take its `curve`"):
        measured().medium()
    with pytest.raises(ValueError, match="intensity is 0 or above"):
        measured(encoding="intensity")(torch.tensor([-1.0]))
