"""Distances that train, chips that are exchanged, and grids too small for their distances."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from lightloom.chips import DiffractiveChip
from lightloom.chips.diffractive import DIFFRACTIVE
from lightloom.common.errors import RequestError
from lightloom.nn import DiffractiveConv2d, DiffractiveNetwork
from lightloom.nn.diffractive.axis import OpticalAxis
from lightloom.physics.diffraction import SamplingWarning

CHIP = DiffractiveChip(name="test", grid=16, mask=8, layers=2, distance_in=2e-5, distance=3e-5)


def conv(chip: DiffractiveChip = CHIP, **options: Any) -> DiffractiveConv2d:
    return DiffractiveConv2d(2, 2, chip, **options).double()


def maps() -> Tensor:
    return torch.rand(2, 2, 6, 7, dtype=torch.float64)


def test_a_layer_that_may_learn_its_distances_starts_as_one_that_does_not() -> None:
    fixed, learning = conv(), conv(learn_distance=True)
    learning.load_state_dict(fixed.state_dict() | {"log_stretch": torch.zeros(3)})
    x = maps()
    torch.testing.assert_close(learning(x), fixed(x))
    torch.testing.assert_close(learning.fields(x), fixed.fields(x))
    assert learning.distances.tolist() == pytest.approx([2e-5, 3e-5, 3e-5])
    assert set(learning.state_dict()) - set(fixed.state_dict()) == {"log_stretch"}


@pytest.mark.parametrize("detector", ["intensity", "amplitude", "field"])
@pytest.mark.parametrize("method", ["angular_spectrum", "band_limited", "fresnel"])
def test_distances_that_were_learnt_are_those_of_a_chip_that_has_them(method: str, detector: str) -> None:
    chip = CHIP.replace(method=method, detector=detector, transmission=0.9)
    learning = conv(chip, learn_distance=True, check="ignore")
    learning.align([(0.3, -0.2), (-0.4, 0.1)])
    with torch.no_grad():
        learning.log_stretch.copy_(torch.tensor([1.2, 0.9, 0.9], dtype=torch.float64).log())  # type: ignore[union-attr]
    other = conv(chip.replace(distance_in=2.4e-5, distance=2.7e-5), check="ignore")
    other.load_state_dict({name: value for name, value in learning.state_dict().items() if name != "log_stretch"})
    other.align(learning.offsets)
    x = maps()
    torch.testing.assert_close(learning(x), other(x))
    torch.testing.assert_close(learning.fields(x), other.fields(x))


@pytest.mark.parametrize("mixing", ["dense", "depthwise"])
def test_gradients_by_distances_are_those_of_differences(mixing: Any) -> None:
    layer, x = conv(learn_distance=True, mixing=mixing), maps()
    values = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]
    names = [name for name, _ in layer.named_parameters()]
    assert "log_stretch" in names

    def light(*values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x[:1],)).sum((-1, -2))

    assert torch.autograd.gradcheck(light, values, fast_mode=True)


def test_a_network_learns_where_its_planes_stand() -> None:
    chip = DiffractiveChip(name="test", grid=24, mask=12, layers=2, distance_in=2e-5, distance=5e-5)
    away = DiffractiveNetwork((1, 12, 12), 4, chip.replace(distance=4e-5)).double()
    learning = DiffractiveNetwork((1, 12, 12), 4, chip, learn_distance=True).double()
    learning.load_state_dict(away.state_dict(), strict=False)
    images = torch.rand(64, 1, 12, 12, dtype=torch.float64)
    target = away.powers(images).detach()
    optimiser = torch.optim.Adam([learning.log_stretch], lr=0.02)  # type: ignore[list-item]
    for _ in range(120):
        optimiser.zero_grad()
        (learning.powers(images) - target).square().sum().backward()
        optimiser.step()
    assert learning.distances.tolist() == pytest.approx([2e-5, 4e-5, 4e-5], rel=0.02)


def test_distances_that_outgrow_their_grid_while_they_are_learnt_are_said_once() -> None:
    layer, x = conv(learn_distance=True), maps()
    layer(x)
    with torch.no_grad():
        layer.log_stretch.fill_(1.0)  # type: ignore[union-attr]
    with pytest.warns(SamplingWarning, match="a way of 8.15e-05 m"):
        layer(x)
    layer(x)


def test_what_does_not_train_takes_no_tensor_that_asks_for_it() -> None:
    asks = torch.tensor(0.5, requires_grad=True)
    with pytest.raises(RequestError, match="where masks stand is no parameter"):
        conv().align([(asks, 0.0), (0.0, 0.0)])  # type: ignore[list-item]
    with pytest.raises(RequestError, match="learn_distance"):
        CHIP.replace(distance=1e-4 * asks)
    with pytest.raises(ValueError, match="learn_distance"):
        DiffractiveChip(name="test", distance_in=1e-4 * asks)  # type: ignore[arg-type]


def test_a_distance_of_0_cannot_be_learnt() -> None:
    with pytest.raises(RequestError, match="a distance of 0, which no factor changes"):
        conv(CHIP.replace(distance_in=0.0), learn_distance=True)


@pytest.mark.parametrize("make", [conv, lambda chip=CHIP: DiffractiveNetwork((2, 6, 7), 3, chip).double()])
def test_another_chip_is_seen_at_once(make: Any) -> None:
    layer, x = make(), maps()
    layer.align([(0.5, 0.0), (0.0, -0.5)])
    before = layer(x)
    layer.chip = CHIP.replace(distance=2e-5)
    fresh = make(layer.chip)
    fresh.load_state_dict(layer.state_dict())
    fresh.align([(0.5, 0.0), (0.0, -0.5)])
    torch.testing.assert_close(layer(x), fresh(x))
    assert not torch.allclose(layer(x), before)
    with pytest.raises(RequestError, match="has 3 masks of 8 x 8 pixels, and this layer trains 2 of 8 x 8"):
        layer.chip = CHIP.replace(layers=3)
    assert layer.chip.layers == 2


def test_what_is_kept_of_free_space_stays_with_its_layer() -> None:
    layer, x = conv(), maps()
    before = layer(x)
    copied = copy.deepcopy(layer)
    assert copied._axis._cache is None  # computed again, not copied
    copied.align([(1.0, 0.0), (0.0, 0.0)])
    assert not torch.allclose(copied(x), before)
    torch.testing.assert_close(layer(x), before, rtol=0, atol=0)


# grids


@pytest.mark.parametrize("name", DIFFRACTIVE)
def test_every_preset_has_a_grid_for_its_distances(name: str) -> None:
    OpticalAxis(DIFFRACTIVE[name], "refuse")


@pytest.mark.parametrize("method", ["angular_spectrum", "fresnel"])
def test_a_grid_too_small_for_its_distances_is_said(method: str) -> None:
    small = CHIP.replace(distance=2e-4, method=method)
    with pytest.warns(SamplingWarning, match=r"a way of 0.0002 m, and its grid of 16 x 16.*set `grid=\d+` or more"):
        conv(small)
    with pytest.warns(SamplingWarning, match="follows free space"):
        DiffractiveNetwork((1, 8, 8), 2, small)
    with pytest.raises(RequestError, match="band_limited"):
        conv(small, check="refuse")
    assert conv(small, check="ignore")(maps()).shape == (2, 2, 6, 7)
    conv(small.replace(method="band_limited"))
    with pytest.raises(RequestError, match=r"no check `refused`.*refuse"):
        conv(small, check="refused")
