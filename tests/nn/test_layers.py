"""Optical layers against torch's own, on an ideal chip and through converters."""

import copy

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.nn import OpticalConv2d, OpticalLinear, install, switch
from lightloom.physics.converters import convert

IDEAL, L2IGHT = chips.preset("ideal"), chips.preset("l2ight")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3, 10), (2, 4, 10), (10,), (0, 10)])
def test_linear_equals_torch(bias: bool, shape: tuple[int, ...]) -> None:
    plain = nn.Linear(10, 7, bias).double()
    optical = OpticalLinear.from_electronic(plain, IDEAL)
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(optical(x), plain(x))


CONVOLUTIONS = [
    {"in_channels": 3, "out_channels": 5, "kernel_size": 3},
    {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 2, "padding": 1, "bias": False},
    {"in_channels": 6, "out_channels": 4, "kernel_size": (1, 3), "padding": (0, 2), "dilation": (1, 2), "groups": 2},
    {"in_channels": 5, "out_channels": 5, "kernel_size": 3, "groups": 5, "padding": "same"},
    {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": "same", "padding_mode": "circular"},
    {"in_channels": 3, "out_channels": 2, "kernel_size": 1},
    {"in_channels": 1, "out_channels": 1, "kernel_size": 1},
]


@pytest.mark.parametrize("arguments", CONVOLUTIONS)
def test_convolution_equals_torch(arguments: dict[str, object]) -> None:
    plain = nn.Conv2d(**arguments).double()
    optical = OpticalConv2d.from_electronic(plain, IDEAL)
    x = torch.randn(2, plain.in_channels, 8, 9, dtype=torch.float64)
    torch.testing.assert_close(optical(x), plain(x))
    assert optical.weight.shape == plain.weight.shape
    back = optical.to_electronic()
    torch.testing.assert_close(back(x), plain(x))
    assert str(back) == str(plain)


@pytest.mark.parametrize("mode", ["weight", "usv", "phase"])
def test_every_mode_has_the_gradient_of_its_parameters(mode: str) -> None:
    """Against central differences along a random direction of all that trains."""
    chip = L2IGHT.replace(weight_bits=None, block_size=4)
    layer = OpticalConv2d(2, 3, 3, chip=chip).double()
    install(layer, chip.specimen(0))
    with torch.no_grad():  # away from 0, where the heat of a wrapped phase jumps
        layer.core.u_phases.uniform_(0.5, 5.5)
        layer.core.v_phases.uniform_(0.5, 5.5)
    switch(layer, mode)  # type: ignore[arg-type]
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64)
    layer(x).square().sum().backward()
    trained = [p for p in layer.parameters() if p.requires_grad]
    directions = [torch.randn_like(p) for p in trained]
    slope = sum(float((p.grad * d).sum()) for p, d in zip(trained, directions, strict=True))
    values = []
    for step in (1e-6, -1e-6):
        moved = copy.deepcopy(layer)
        with torch.no_grad():
            for p, d in zip([p for p in moved.parameters() if p.requires_grad], directions, strict=True):
                p.add_(step * d)
            values.append(float(moved(x).square().sum()))
    difference = (values[0] - values[1]) / 2e-6
    # attenuators take the gradient of the identity, which is theirs up to the devices' error of about 1 %
    assert slope == pytest.approx(difference, rel=1e-5 if mode == "weight" else 0.03)


def test_gradients_reach_the_inputs() -> None:
    layer = OpticalLinear(6, 5, chip=L2IGHT).double()
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(3, 5, dtype=torch.float64)
    layer(x).backward(upstream)
    torch.testing.assert_close(x.grad, upstream @ layer.weight.detach())


def test_converters_round_inputs_and_outputs() -> None:
    chip = IDEAL.replace(input_bits=4, output_bits=5)
    plain = nn.Conv2d(2, 3, 3).double()
    optical = OpticalConv2d.from_electronic(plain, chip)
    x = torch.randn(2, 2, 6, 6, dtype=torch.float64)
    product = nn.functional.conv2d(convert(x, 4, dims=3), plain.weight)
    torch.testing.assert_close(optical(x), convert(product, 5, dims=3) + plain.bias.view(-1, 1, 1))


def test_half_precision_leaves_the_meshes_alone() -> None:
    layer = OpticalLinear(20, 20, chip=L2IGHT)
    x = torch.randn(4, 20)
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(x)
        assert layer.weight.dtype == torch.float32
    assert made.dtype == torch.bfloat16
    torch.testing.assert_close(made.float(), layer(x), atol=0.1, rtol=0.1)


def test_layers_are_copied_and_saved_whole() -> None:
    layer = OpticalLinear(20, 11, chip=L2IGHT)
    install(layer, L2IGHT.specimen(0))
    x = torch.randn(2, 20)
    with torch.no_grad():
        expected = layer(x)
        assert torch.equal(copy.deepcopy(layer)(x), expected)
        other = OpticalLinear(20, 11, chip=L2IGHT)
        install(other, L2IGHT.specimen(0))
        other.load_state_dict(layer.state_dict())
        assert torch.equal(other(x), expected)
