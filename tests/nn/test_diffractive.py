"""Diffractive layers keep light's energy, their kinds agree where they are the same, refusals say what to change."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError
from lightloom.nn import DiffractiveConv2d
from lightloom.nn.diffractive import Mixing
from lightloom.physics import diffraction


def chip(**changes: Any) -> DiffractiveChip:
    return DiffractiveChip(
        **({"name": "test", "grid": 14, "mask": 6, "layers": 2, "distance_in": 2e-5, "distance": 2e-5} | changes)
    )


def layer(
    mixing: Mixing = "dense", outputs: int = 4, on: DiffractiveChip | None = None, **more: Any
) -> DiffractiveConv2d:
    return DiffractiveConv2d(4, outputs, chip() if on is None else on, mixing=mixing, **more).double()


def maps(*size: int) -> Tensor:
    return torch.randn(2, 4, *(size or (5, 8)), dtype=torch.float64)


def total(light: Tensor) -> Tensor:
    return light.sum((-1, -2))


@pytest.mark.parametrize("grid", [12, 13])
@pytest.mark.parametrize("transmission", [1.0, 0.7])
def test_energy_is_kept_up_to_what_masks_absorb(grid: int, transmission: float) -> None:
    whole = layer("depthwise", on=chip(grid=grid, mask=grid, layers=3, transmission=transmission))
    with torch.no_grad():
        whole.weight.copy_(torch.eye(4))
    x = maps(grid, grid)
    torch.testing.assert_close(total(whole(x)), total(x.square()) * transmission**3)


def test_energy_is_kept_in_every_plane_around_smaller_masks() -> None:
    planes = layer("dense").fields(maps())
    assert planes.shape == (4, 2, 4, 14, 14)
    torch.testing.assert_close(total(planes), total(planes[0]).expand(4, 2, 4))


@pytest.mark.parametrize(("mixing", "groups"), [("dense", 1), ("grouped", 2), ("depthwise", 1), ("shared", 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_the_output_is_the_weighted_sum_of_the_light_in_the_last_plane(mixing: Mixing, groups: int, bias: bool) -> None:
    found = layer(mixing, 6, chip(transmission=0.8), groups=groups, bias=bias)
    found.align([(0.4, -1.3), (-2, 0.6)])
    x = maps()
    light = diffraction.crop(found.fields(x, 100)[-1], 5, 8)
    assert light.shape[1] == found.optical_paths == {"dense": 24, "grouped": 12}.get(mixing, 4)
    if mixing in ("depthwise", "shared"):
        shift = 0 if found.bias is None else found.bias[:, None, None]
        expected = torch.einsum("oc,bchw->bohw", found.weight, light + shift)
    else:
        shift = 0 if found.bias is None else found.bias[:, None, None, None]
        paths = light.unflatten(1, found.weight.shape) + shift
        expected = (paths * found.weight[:, :, None, None]).sum(2)
    torch.testing.assert_close(found(x), expected)


def test_dense_is_depthwise_where_outputs_share_their_masks() -> None:
    one, many = layer("depthwise", 3), layer("dense", 3)
    with torch.no_grad():
        many.turns.copy_(one.turns.expand_as(many.turns))
        many.weight.copy_(one.weight)
    x = maps()
    torch.testing.assert_close(many(x), one(x))


def test_shared_is_depthwise_where_inputs_share_their_masks() -> None:
    one, many = layer("shared", 3), layer("depthwise", 3)
    with torch.no_grad():
        many.turns.copy_(one.turns.expand_as(many.turns))
        many.weight.copy_(one.weight)
    x, upstream = maps(), torch.randn(2, 3, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(one(x), many(x))
    (by_one,), (by_many,) = (torch.autograd.grad(way(x), (way.turns,), upstream) for way in (one, many))
    torch.testing.assert_close(by_one, by_many.sum(0))


def test_groups_are_dense_layers_side_by_side() -> None:
    one, whole = layer("grouped"), layer("dense")
    whole.load_state_dict(one.state_dict())
    x = maps()
    assert torch.equal(one(x), whole(x))
    two = layer("grouped", 6, groups=2)
    halves = [DiffractiveConv2d(2, 3, chip()).double() for _ in range(2)]
    for half, turns, weight in zip(halves, two.turns.chunk(2), two.weight.chunk(2), strict=True):
        half.load_state_dict({"turns": turns.detach(), "weight": weight.detach()})
    torch.testing.assert_close(
        two(x), torch.cat([half(part) for half, part in zip(halves, x.chunk(2, 1), strict=True)], 1)
    )


def test_some_memory_is_needed() -> None:
    layer = DiffractiveConv2d(4, 3, chip())
    with pytest.raises(RequestError, match="`memory_mb` is 0"):
        layer.memory_mb = 0.0
    assert layer.memory_mb == 256


@pytest.mark.parametrize("mixing", ["dense", "grouped", "depthwise", "shared"])
@pytest.mark.parametrize("memory_mb", [1e-6, 0.05, 0.2])
def test_a_bound_on_memory_changes_no_result(mixing: Mixing, memory_mb: float) -> None:
    free = layer(mixing, bias=True, on=chip(phase_noise_std=0.3, phase_noise_fraction=0.5))
    bound = copy.deepcopy(free)
    bound.memory_mb = memory_mb
    x = maps().requires_grad_()
    found: list[Sequence[Tensor]] = []
    for way in (free, bound):
        torch.manual_seed(3)  # of the noise
        y = way(x)
        found.append((y, *torch.autograd.grad(y.square().sum(), (x, *way.parameters()))))
    torch.testing.assert_close(found[1], found[0])


def test_masks_out_of_place_by_whole_pixels_are_masks_elsewhere() -> None:
    moved, padded = layer("depthwise", on=chip(mask=6)), layer("depthwise", on=chip(mask=14))
    offsets = [(1, -2), (-3, 2)]
    moved.align(offsets)
    with torch.no_grad():
        padded.weight.copy_(moved.weight)
        inside = diffraction.pad(moved.turns, 14, 14)
        rolled = [inside[:, k].roll(offset, (-2, -1)) for k, offset in enumerate(offsets)]
        padded.turns.copy_(torch.stack(rolled, 1))
    x = maps()
    torch.testing.assert_close(moved(x), padded(x))


def test_misalignment_belongs_to_the_hardware() -> None:
    made = chip(misalignment_std=0.5)
    specimen = layer(on=made)
    specimen.align(made.offsets(seed=3))
    other = layer(on=made)
    other.load_state_dict(specimen.state_dict())
    x = maps()
    assert specimen.offsets == made.offsets(seed=3) and not torch.allclose(other(x), specimen(x))
    other.align(made.offsets(seed=3))
    assert torch.equal(other(x), specimen(x))
    assert torch.equal(copy.deepcopy(specimen)(x), specimen(x))
    with pytest.raises(RequestError, match=r"has 2 masks, and 1 offsets were given; give \(dy, dx\) of each"):
        specimen.align([(0.0, 0.0)])


def test_noise_acts_where_the_chip_says_and_repeats_with_the_seed() -> None:
    noisy = layer(on=chip(phase_noise_std=1.0, phase_noise_fraction=0.3, photons=50.0, noise_in=("train",)))
    clean = layer()
    clean.load_state_dict(noisy.state_dict())
    x = maps()
    torch.manual_seed(1)
    first, second = noisy(x), noisy(x)
    torch.manual_seed(1)
    assert torch.equal(noisy(x), first) and not torch.allclose(first, second)
    torch.testing.assert_close(noisy.eval()(x), clean(x))
    always = layer(on=chip(photons=50.0)).eval()
    assert not torch.allclose(always(x), always(x))


def test_quantised_phases_train_straight_through() -> None:
    coarse, exact = layer(on=chip(phase_bits=2)), layer()
    exact.load_state_dict(coarse.state_dict())
    with torch.no_grad():
        exact.turns.copy_((exact.turns * 4).round() / 4)
    x = maps()
    torch.testing.assert_close(coarse(x), exact(x))
    (by_coarse,), (by_exact,) = (torch.autograd.grad(way(x).sum(), (way.turns,)) for way in (coarse, exact))
    torch.testing.assert_close(by_coarse, by_exact)


def test_parameters_start_as_published_and_are_counted() -> None:
    found = DiffractiveConv2d(16, 24, chip(), bias=True)
    assert found.turns.shape == (24, 16, 2, 6, 6) and found.optical_parameters == 24 * 16 * 72
    turns, weight = found.turns.detach(), found.weight.detach()
    assert 0 <= float(turns.min()) < 0.01 and 1.99 < float(turns.max()) < 2
    assert abs(float(weight.std()) - 0.1) < 0.02 and found.bias is not None and (found.bias == -0.1).all()
    assert set(found.state_dict()) == {"turns", "weight", "bias"}
    assert layer("grouped", 6, groups=2).turns.shape == (6, 2, 2, 6, 6)
    assert layer("depthwise").turns.shape == (4, 2, 6, 6) and layer("shared").turns.shape == (2, 6, 6)
    assert "dense, paths=384" in repr(found)


def test_other_precisions_devices_and_sizes() -> None:
    found = DiffractiveConv2d(4, 3, chip(), mixing="depthwise")
    x = maps().float()
    y = found(x)
    assert found(maps(7, 3).float()).shape == (2, 3, 7, 3)
    torch.testing.assert_close(found(x.half()), found(x.half().float()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert found(x).shape == y.shape
    dense = DiffractiveConv2d(4, 3, chip())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(dense(x), dense.double()(x.double()).float())
    torch.testing.assert_close(found.double()(x.double()).float(), y)
    with torch.device("meta"):
        assert DiffractiveConv2d(4, 3, chip())(torch.empty(2, 4, 5, 8)).shape == (2, 3, 5, 8)


def test_what_does_not_work_is_refused() -> None:
    found = DiffractiveConv2d(4, 3, chip())
    with pytest.raises(
        RequestError, match=r"A map of 5 x 15 samples does not fit on the grid of 14 x 14 .*set `grid=15`"
    ):
        found(torch.rand(1, 4, 5, 15))
    with pytest.raises(RequestError, match=r"Expected maps \[batch, 4, h, w\], got \[1, 3, 5, 5\]"):
        found(torch.rand(1, 3, 5, 5))
    with pytest.raises(RequestError, match="Expected float32 maps, got float64"):
        found(maps())
    with pytest.raises(RequestError, match="Expected float32 maps, got complex64"):
        found(torch.rand(1, 4, 5, 5, dtype=torch.complex64))
    with pytest.raises(RequestError, match=r"the parameters are float16; convert the module with `.float\(\)`"):
        copy.deepcopy(found).half()(torch.rand(1, 4, 5, 5).half())


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"mixing": "densely"}, "There is no mixing `densely`. Did you mean `dense`?"),
        ({"groups": 2}, '2 groups go with `mixing="grouped"`, got `dense`'),
        ({"mixing": "grouped", "groups": 3}, "4 -> 6 channels do not divide into 3 groups"),
        ({"mixing": "grouped", "groups": 0}, "expected at least one channel and group"),
    ],
)
def test_a_wrong_layer_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(RequestError) as refusal:
        DiffractiveConv2d(4, 6, chip(), **given)
    assert text in str(refusal.value)
