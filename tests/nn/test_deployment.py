"""Conversion and installation in one step: the same as one after the other, and refused where nothing is on a chip."""

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.nn import calibrate_ranges, convert, install, optical_layers, put_on_chip

MESH = chips.preset("l2ight").replace(block_size=4)
X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


@pytest.mark.parametrize("specimen", [None, 3, MESH.specimen(3)], ids=["perfect", "seed", "specimen"])
def test_it_is_conversion_and_then_installation(specimen: int | chips.Specimen | None) -> None:
    model = network()
    conversion = put_on_chip(model, MESH, specimen, skip=["2"])
    expected = convert(model, MESH, skip=["2"]).model
    install(expected, specimen)
    assert list(optical_layers(conversion.model)) == ["0"] and not optical_layers(model)
    assert torch.equal(conversion.model(X), expected(X))
    assert [layer.converted for layer in conversion.layers] == [True, False]


def test_ranges_are_measured_before_the_errors_of_the_chip() -> None:
    chip = MESH.replace(range="static", input_bits=8)
    model = put_on_chip(network(), chip, 3, samples=X).model
    perfect = convert(network(), chip).model
    calibrate_ranges(perfect, [X])
    for name, layer in optical_layers(model).items():
        assert torch.equal(layer.input_converter.full_scale, optical_layers(perfect)[name].input_converter.full_scale)
    with pytest.raises(RequestError, match="static range, which was not measured"):
        put_on_chip(network(), chip, 3).model(X)


def test_a_network_that_stays_electronic_is_refused_with_the_reasons() -> None:
    with pytest.raises(RequestError, match=r"No layer of the network goes on a chip \(skipped by request\)"):
        put_on_chip(network(), MESH, 0, skip=["*"])
