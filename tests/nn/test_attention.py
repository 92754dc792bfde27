"""torch's multi-head attention opened up: the same results, projections on chips, and back again."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightloom import chips
from lightloom.nn import Attention, OpticalLinear, convert, install, optical_layers, to_electronic

IDEAL, L2IGHT = chips.preset("ideal"), chips.preset("l2ight")
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "out_proj"]


def attention(**options: Any) -> nn.MultiheadAttention:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, **options)
    for parameter in layer.parameters():  # biases start at zero
        nn.init.normal_(parameter, std=0.4)
    return layer


def causal(length: int) -> Tensor:
    return torch.ones(length, length, dtype=torch.bool).triu(1)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True},
        {"bias": False},
        {"kdim": 5, "vdim": 3},
        {"add_bias_kv": True, "add_zero_attn": True},
        {"add_zero_attn": True, "kdim": 5, "vdim": 8, "batch_first": True},
    ],
    ids=str,
)
def test_results_are_those_of_torch(options: dict[str, Any], need_weights: bool) -> None:
    layer = attention(**options)
    opened = Attention.from_electronic(layer)
    query, key, value = torch.randn(3, 4, 8), torch.randn(3, 4, layer.kdim), torch.randn(3, 4, layer.vdim)
    batch, length = (3, 4) if layer.batch_first else (4, 3)
    padding = torch.zeros(batch, length, dtype=torch.bool)
    padding[0, -1] = True
    masks: list[dict[str, Any]] = [
        {},
        {"attn_mask": causal(length)},
        {"attn_mask": torch.randn(length, length)},
        {"attn_mask": torch.randn(batch * 2, length, length), "average_attn_weights": False},
        {"key_padding_mask": padding},
        {"key_padding_mask": padding, "attn_mask": causal(length), "is_causal": True},
    ]
    for mask in masks:
        expected, looked = layer(query, key, value, need_weights=need_weights, **mask)
        made, seen = opened(query, key, value, need_weights=need_weights, **mask)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)
        assert (seen is None) == (looked is None) == (not need_weights)
        if seen is not None:
            torch.testing.assert_close(seen, looked, atol=1e-5, rtol=1e-5)


def test_a_single_sequence_and_different_lengths() -> None:
    layer = attention()
    opened = Attention.from_electronic(layer)
    query, key = torch.randn(3, 8), torch.randn(5, 8)
    padding = torch.tensor([False, False, True, False, True])
    for options in ({}, {"key_padding_mask": padding}, {"attn_mask": torch.randn(2, 3, 5)}, {"need_weights": False}):
        for made, expected in zip(opened(query, key, key, **options), layer(query, key, key, **options), strict=True):
            torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(RuntimeError, match="give the mask"):
        opened(query, key, key, is_causal=True)


@pytest.mark.parametrize("need_weights", [True, False])
def test_dropout_and_gradients_are_those_of_torch(need_weights: bool) -> None:
    layer = attention(dropout=0.5)
    opened = Attention.from_electronic(layer)
    results = []
    for module in (layer, opened):
        x = torch.linspace(-1, 1, 48).view(3, 2, 8).requires_grad_()
        torch.manual_seed(1)
        output, _ = module(x, x, x, need_weights=need_weights)
        output.square().sum().backward()
        results.append((output.detach(), x.grad))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-5)
    assert layer.in_proj_weight.grad is not None
    parts = [opened.get_parameter(f"{name}.weight").grad for name in PROJECTIONS[:3]]
    torch.testing.assert_close(torch.cat([part for part in parts if part is not None]), layer.in_proj_weight.grad)


@pytest.mark.parametrize("options", [{}, {"bias": False, "kdim": 5, "vdim": 3}, {"add_bias_kv": True}], ids=str)
def test_on_the_chip_and_back(options: dict[str, Any]) -> None:
    layer = attention(**options).eval()
    conversion = convert(layer, IDEAL)
    assert isinstance(conversion.model, Attention)
    assert list(optical_layers(conversion.model)) == PROJECTIONS
    x, k, v = torch.randn(3, 4, 8), torch.randn(3, 4, layer.kdim), torch.randn(3, 4, layer.vdim)
    torch.testing.assert_close(conversion.model(x, k, v), layer(x, k, v), atol=1e-5, rtol=1e-5)
    back = to_electronic(conversion.model)
    assert type(back) is nn.MultiheadAttention
    assert not back.training
    assert back.state_dict().keys() == layer.state_dict().keys()
    for name, tensor in back.state_dict().items():
        torch.testing.assert_close(tensor, layer.state_dict()[name], atol=1e-5, rtol=1e-5)


def test_attention_without_a_projection_on_a_chip_stays_what_it_was() -> None:
    model = nn.ModuleDict({"attn": attention(), "head": nn.Linear(8, 2)})
    for rule in ("attn", "attn.*_proj", nn.MultiheadAttention, lambda name, module: name.startswith("attn")):
        conversion = convert(model, L2IGHT, skip=rule)
        assert type(conversion.model.get_submodule("attn")) is nn.MultiheadAttention
        assert conversion.model.state_dict().keys() >= model["attn"].state_dict(prefix="attn.").keys()
        reasons = {layer.name: layer.reason for layer in conversion.layers}
        assert reasons == {"attn": "skipped by request", "attn.out_proj": "skipped by request", "head": ""}


def test_projections_are_chosen_one_by_one() -> None:
    model = nn.ModuleDict({"attn": attention()})
    conversion = convert(model, L2IGHT, only=["attn.[qk]_proj"])
    assert list(optical_layers(conversion.model)) == ["attn.q_proj", "attn.k_proj"]
    assert [layer.name for layer in conversion.layers] == [f"attn.{name}" for name in PROJECTIONS]
    assert "not among" in conversion.layers[2].reason
    assert type(to_electronic(conversion.model).get_submodule("attn")) is nn.MultiheadAttention


def test_attention_whose_weights_others_share_stays() -> None:
    model = nn.ModuleDict({"one": attention(), "two": attention()})
    model["two"].in_proj_weight = model["one"].in_proj_weight
    layers = convert(model, L2IGHT).layers
    assert not any(layer.converted for layer in layers)
    assert "shared with other layers" in layers[0].reason
    assert "reads its weights itself" in layers[1].reason


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_encoders_call_their_layers(training: bool, batch_first: bool) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=batch_first)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=batch_first).train(training)
    x = torch.randn(3, 3, 8)
    padding = torch.tensor([[False, False, False], [False, False, True], [False, True, True]])
    for rules in ({}, {"skip": "layers.0"}, {"only": "*.linear1"}):
        converted = convert(model, IDEAL, **rules).model
        counter = _count_calls(converted)
        for options in ({}, {"mask": causal(3)}, {"src_key_padding_mask": padding}):
            with torch.no_grad():  # where torch reads the weights itself if it may
                expected, made = model(x, **options), converted(x, **options)
            kept = torch.ones(3, 3, dtype=torch.bool) if "src_key_padding_mask" not in options else ~padding
            kept = kept if batch_first else kept.T  # torch leaves anything where nothing was
            torch.testing.assert_close(made[kept], expected[kept], atol=1e-4, rtol=1e-4)
        assert set(counter.values()) == {3}
        back = to_electronic(converted)
        assert vars(back)["use_nested_tensor"] == vars(model)["use_nested_tensor"]
        assert vars(back.get_submodule("layers.1")).keys() == vars(model.layers[1]).keys()
        assert back.get_submodule("layers.1").activation_relu_or_gelu == 1
        with torch.no_grad():
            torch.testing.assert_close(back(x), model(x), atol=1e-4, rtol=1e-4)


def _count_calls(model: nn.Module) -> dict[str, int]:
    counter = dict.fromkeys(optical_layers(model), 0)

    def wrap(name: str, forward: Any) -> Any:
        def counted(x: Tensor) -> Any:
            counter[name] += 1
            return forward(x)

        return counted

    for name, layer in optical_layers(model).items():
        layer.forward = wrap(name, layer.forward)  # type: ignore[method-assign]
    return counter


@pytest.mark.parametrize("training", [True, False])
def test_the_whole_transformer(training: bool) -> None:
    torch.manual_seed(0)
    model = nn.Transformer(8, 2, 1, 1, 12, dropout=0.0, batch_first=True).train(training)
    source, target = torch.randn(2, 5, 8), torch.randn(2, 4, 8)
    options = {
        "tgt_mask": nn.Transformer.generate_square_subsequent_mask(4),
        "src_key_padding_mask": torch.tensor([[False] * 5, [False] * 4 + [True]]),
        "memory_key_padding_mask": torch.tensor([[False] * 5, [False] * 4 + [True]]),
        "tgt_is_causal": True,
    }
    conversion = convert(model, IDEAL)
    torch.testing.assert_close(
        conversion.model(source, target, **options), model(source, target, **options), atol=1e-4, rtol=1e-4
    )
    assert {layer.kind for layer in conversion.layers if not layer.converted} == {"LayerNorm"}
    back = to_electronic(conversion.model)
    torch.testing.assert_close(back(source, target, **options), model(source, target, **options), atol=1e-4, rtol=1e-4)
    assert back.state_dict().keys() == model.state_dict().keys()
    assert [type(module) for module in back.modules()] == [type(module) for module in model.modules()]


def test_errors_of_a_specimen_reach_attention() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, dropout=0.0).eval()
    converted = convert(model, L2IGHT).model
    assert isinstance(converted.get_submodule("self_attn.q_proj"), OpticalLinear)
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        before = converted(x)
        install(converted, 3)
        assert not torch.allclose(converted(x), before, atol=1e-3)
