"""Conversion of module trees, and its report."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.nn import (
    OpticalConv1d,
    OpticalConv2d,
    OpticalLinear,
    constrain_weights,
    convert,
    optical_layers,
    to_electronic,
)

IDEAL, L2IGHT = chips.preset("ideal"), chips.preset("l2ight")


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)
    ).eval()


def test_a_converted_network_computes_the_same_and_the_original_is_untouched() -> None:
    model, x = network(), torch.randn(3, 2, 6, 6)
    expected = model(x)
    conversion = convert(model, IDEAL)
    torch.testing.assert_close(conversion.model(x), expected, atol=1e-5, rtol=1e-5)
    assert isinstance(model[0], nn.Conv2d)
    assert list(optical_layers(conversion.model)) == ["0", "4"]
    torch.testing.assert_close(to_electronic(conversion.model)(x), expected, atol=1e-5, rtol=1e-5)


def test_the_report_says_what_happened_to_every_layer_with_weights() -> None:
    layers = {layer.name: layer for layer in convert(network(), L2IGHT).layers}
    assert set(layers) == {"0", "1", "4"}
    assert layers["0"].converted
    assert layers["0"].blocks == (2, 1, 1)
    assert layers["4"].mzis == 16 * 81
    assert 0 <= layers["4"].weight_error < 1e-10
    assert not layers["1"].converted
    assert layers["1"].reason == "no matrix form for this chip"


@pytest.mark.parametrize(
    ("rules", "optical"),
    [
        ({"only": "4"}, ["4"]),
        ({"skip": ["4"]}, ["0"]),
        ({"only": nn.Conv2d}, ["0"]),
        ({"skip": lambda name, module: module.weight.numel() > 100}, ["0"]),
        ({"only": "*", "skip": nn.Linear}, ["0"]),
    ],
)
def test_rules_choose_layers(rules: dict[str, object], optical: list[str]) -> None:
    conversion = convert(network(), L2IGHT, **rules)
    assert list(optical_layers(conversion.model)) == optical


def test_a_rule_that_matches_nothing_is_refused_with_the_nearest_name() -> None:
    model = nn.ModuleDict({"features": nn.Linear(3, 3), "head": nn.Linear(3, 2)})
    with pytest.raises(RequestError, match="Did you mean `head`"):
        convert(model, L2IGHT, skip="haed")
    conversion = convert(nn.ModuleDict({"body": model}), L2IGHT, skip="body")
    assert not optical_layers(conversion.model)


def test_the_root_itself_may_be_a_layer() -> None:
    assert isinstance(convert(nn.Linear(3, 4), L2IGHT).model, OpticalLinear)
    assert isinstance(convert(nn.Conv2d(3, 4, 1), L2IGHT).model, OpticalConv2d)
    assert isinstance(to_electronic(OpticalLinear(3, 4, chip=L2IGHT)), nn.Linear)


def test_shared_modules_stay_shared() -> None:
    shared = nn.Linear(4, 4)
    model = convert(nn.Sequential(shared, nn.ReLU(), shared), L2IGHT).model
    assert model[0] is model[2]
    assert isinstance(model[0], OpticalLinear)


class Strange(nn.Linear):
    pass


def test_what_cannot_be_converted_stays_and_says_why() -> None:
    model = nn.ModuleDict(
        {
            "strange": Strange(3, 3),
            "embed": nn.Embedding(7, 8),
            "head": nn.Linear(8, 7, bias=False),
            "recurrent": nn.LSTM(3, 4),
            "volume": nn.Conv3d(1, 1, 2),
            "limited": nn.Linear(3, 3, bias=False),
            "pruned": nn.Linear(3, 3),
            "replaced": nn.Linear(3, 3),
            "absent": nn.Linear(3, 3, device="meta"),
            "lazy": nn.LazyLinear(4),
        }
    )
    model["head"].weight = model["embed"].weight
    constrain_weights(model["limited"], norm="l2")
    prune.random_unstructured(model["pruned"], "weight", 0.5)
    model["replaced"].forward = model["strange"].forward
    conversion = convert(model, L2IGHT, inplace=True)
    assert conversion.model is model
    assert not optical_layers(model)
    assert {layer.name: layer.reason for layer in conversion.layers} == {
        "strange": "a subclass of Linear may compute something else",
        "embed": "a table that is looked up, not multiplied by",
        "head": "its weight is tied to `embed`, which is no matrix layer; `untie=True` converts it with a copy",
        "recurrent": "a recurrent layer reads its weights itself",
        "volume": "no optical form of this convolution",
        "limited": "its weight is made by a parametrization, anew in every pass",
        "pruned": "its weight is made by a hook, anew in every pass",
        "replaced": "its forward has been replaced by another",
        "absent": "its weight is no real floating-point tensor in memory (torch.float32 on meta)",
        "lazy": "not initialised yet; pass one batch through the model first",
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "same", "dilation": 2},
        {"padding": 2, "padding_mode": "circular", "bias": False},
        {"padding": 1, "padding_mode": "reflect", "stride": 2, "groups": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("bits", [None, 8])
def test_one_dimensional_convolutions(options: dict[str, Any], bits: int | None) -> None:
    layer, x = nn.Conv1d(4, 6, 3, **options), torch.randn(2, 4, 9)
    chip = IDEAL.replace(input_bits=bits, output_bits=bits)
    made = convert(layer, chip).model
    assert isinstance(made, OpticalConv1d)
    assert made.weight.shape == layer.weight.shape
    tolerance = 1e-5 if bits is None else 0.05
    torch.testing.assert_close(made(x), layer(x), atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(made(x[0]), layer(x[0]), atol=tolerance, rtol=tolerance)
    back = to_electronic(made)
    assert type(back) is nn.Conv1d
    assert back.extra_repr() == layer.extra_repr()
    torch.testing.assert_close(back(x), layer(x), atol=1e-5, rtol=1e-5)


def test_weights_that_are_not_finite_are_refused_by_layer() -> None:
    model = network()
    with torch.no_grad():
        model[4].weight[1, 2] = torch.nan
    with pytest.raises(RequestError, match="layer `4` holds NaN or Inf"):
        convert(model, L2IGHT, inplace=True)
    assert isinstance(model[0], nn.Conv2d)  # nothing was changed before it was refused


def test_layers_made_optical_already_are_left_alone() -> None:
    once = convert(network(), L2IGHT, only="4").model
    twice = convert(once, L2IGHT)
    reasons = {layer.name: layer.reason for layer in twice.layers}
    assert reasons["4"] == "already optical"
    assert isinstance(twice.model[0], OpticalConv2d)


def test_every_layer_sits_at_a_place_of_its_own_on_the_specimen() -> None:
    model = nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 9))
    with torch.no_grad():
        model[1].weight.copy_(model[0].weight)
    converted = convert(model, L2IGHT).model
    for layer in optical_layers(converted).values():
        layer.core.install(L2IGHT.specimen(0))
    assert not torch.equal(converted[0].weight, converted[1].weight)


def test_hooks_move_with_their_layer() -> None:
    model, seen = network(), []
    model[4].register_forward_hook(lambda module, given, output: seen.append(type(module)))
    converted = convert(model, L2IGHT).model
    converted(torch.randn(1, 2, 6, 6))
    to_electronic(converted)(torch.randn(1, 2, 6, 6))
    assert seen == [OpticalLinear, nn.Linear]


def test_the_table_names_every_layer_and_adds_up() -> None:
    conversion = convert(network(), L2IGHT)
    lines = str(conversion).splitlines()
    assert lines[0].split() == ["layer", "kind", "weight", "place", "blocks", "devices", "error"]
    assert [line.split()[:4] for line in lines[2:5]] == [
        ["0", "Conv2d", "4x1x3x3", "l2ight"],
        ["1", "BatchNorm2d", "4", "electronics"],
        ["4", "Linear", "5x144", "l2ight"],
    ]
    assert lines[3].endswith("no matrix form for this chip")
    assert lines[-2] == "l2ight (mesh): 2 layers, 18 blocks, 1,458 MZIs"  # 81 for each 9 x 9 block
    assert lines[-1] == "2 of 3 layers with weights are on a chip."
