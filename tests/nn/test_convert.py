"""Conversion of module trees, and its report."""

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.nn import OpticalConv2d, OpticalLinear, convert, optical_layers, to_electronic

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
            "attention": nn.MultiheadAttention(8, 2),
            "strange": Strange(3, 3),
            "embed": nn.Embedding(7, 8),
            "head": nn.Linear(8, 7, bias=False),
            "lazy": nn.LazyLinear(4),
            "conv": nn.Conv1d(2, 2, 3),
        }
    )
    model["head"].weight = model["embed"].weight
    conversion = convert(model["attention"], L2IGHT)
    assert all(not layer.converted for layer in conversion.layers)
    rest = nn.ModuleDict({name: module for name, module in model.items() if name != "lazy"})
    reasons = {layer.name: layer.reason for layer in convert(rest, L2IGHT).layers}
    assert "MultiheadAttention" in reasons["attention.out_proj"]
    assert "subclass of Linear" in reasons["strange"]
    assert "tied" in reasons["head"]
    assert reasons["conv"] == "no matrix form for this chip"
    lazy = convert(nn.ModuleDict({"lazy": model["lazy"]}), L2IGHT, inplace=True).layers[0]
    assert "one batch" in lazy.reason


def test_attention_still_works_after_conversion() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0).eval()
    x = torch.randn(2, 5, 8)
    expected = model(x)
    converted = convert(model, IDEAL).model
    assert set(optical_layers(converted)) == {"linear1", "linear2"}
    torch.testing.assert_close(converted(x), expected, atol=1e-4, rtol=1e-4)


def test_weights_that_are_not_finite_are_refused_by_layer() -> None:
    model = network()
    with torch.no_grad():
        model[4].weight[1, 2] = torch.nan
    with pytest.raises(RequestError, match="layer `4` holds NaN or Inf"):
        convert(model, L2IGHT)


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
