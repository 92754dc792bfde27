"""Conversion of whole networks as others define them, built from tiny configurations."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lightloom import chips
from lightloom.nn import OpticalConv2d, OpticalHFConv1D, convert, optical_layers, to_electronic

IDEAL = chips.preset("ideal")
transformers = pytest.importorskip("transformers")


def regnet() -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.RegNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], groups_width=2, layer_type="y", num_labels=3
    )
    return transformers.RegNetForImageClassification(config), pictures()


def convnext() -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.ConvNextV2Config(hidden_sizes=[4, 6], depths=[1, 1], num_stages=2, patch_size=2)
    return transformers.ConvNextV2ForImageClassification(config), pictures()


def resnet() -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[8, 8], depths=[1, 1])
    return transformers.ResNetForImageClassification(config), pictures()


def vit() -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.ViTConfig(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        image_size=16,
        patch_size=4,
        attn_implementation="eager",
    )
    return transformers.ViTForImageClassification(config), pictures()


def swin() -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.SwinConfig(
        image_size=16, patch_size=2, embed_dim=4, depths=[1, 2], num_heads=[1, 2], window_size=4
    )
    return transformers.SwinForImageClassification(config), pictures()


def bert() -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.BertConfig(
        vocab_size=11,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=7,
    )
    return transformers.BertForMaskedLM(config), words() | {"attention_mask": torch.tensor([[1, 1, 1, 1, 1, 0]] * 2)}


def gpt2() -> tuple[nn.Module, dict[str, Tensor]]:
    config = transformers.GPT2Config(
        vocab_size=11, n_embd=8, n_layer=2, n_head=2, n_positions=8, bos_token_id=0, eos_token_id=0
    )
    return transformers.GPT2LMHeadModel(config), words()


def pictures() -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(2, 3, 16, 16)}


def words() -> dict[str, Tensor]:
    return {"input_ids": torch.randint(11, (2, 6))}


MODELS = (regnet, convnext, resnet, vit, swin, bert, gpt2)


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_there_and_back(make: Callable[[], tuple[nn.Module, dict[str, Tensor]]]) -> None:
    torch.manual_seed(0)
    model, inputs = make()
    model.eval()
    expected = model(**inputs).logits
    conversion = convert(model, IDEAL)
    torch.testing.assert_close(conversion.model(**inputs).logits, expected, atol=1e-4, rtol=1e-4)

    # every module with parameters is in the report: on the chip, or with a reason
    own = {name for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))}
    assert {layer.name for layer in conversion.layers} == own
    assert all(bool(layer.reason) != layer.converted for layer in conversion.layers)
    left = {layer.kind for layer in conversion.layers if not layer.converted}
    assert not left & {"Conv2d", "Conv1D"}
    assert "Linear" not in left or make in (bert, gpt2)  # their heads are tied to embeddings
    assert str(conversion).count("\n") > len(conversion.layers)

    back = to_electronic(conversion.model)
    torch.testing.assert_close(back(**inputs).logits, expected, atol=1e-4, rtol=1e-4)
    assert {name: type(module) for name, module in back.named_modules()} == {
        name: type(module) for name, module in model.named_modules()
    }
    assert {name: (t.shape, t.dtype) for name, t in back.state_dict().items()} == {
        name: (t.shape, t.dtype) for name, t in model.state_dict().items()
    }


def test_depthwise_and_grouped_convolutions_have_a_matrix_for_each_group() -> None:
    model, _ = convnext()
    layers = optical_layers(convert(model, IDEAL).model)
    depthwise = next(layer for layer in layers.values() if layer.core.groups == 4)
    assert isinstance(depthwise, OpticalConv2d)
    assert depthwise.core.blocks == (4, 1, 6)  # 1 x 49 in blocks of 9
    grouped = optical_layers(convert(regnet()[0], IDEAL).model)
    assert {layer.core.groups for layer in grouped.values()} == {1, 2, 4}


def test_a_language_head_tied_to_its_embedding_stays_unless_untied() -> None:
    model, inputs = gpt2()
    model.eval()
    report = {layer.name: layer for layer in convert(model, IDEAL).layers}
    assert "tied to `transformer.wte`, which is no matrix layer" in report["lm_head"].reason
    untied = convert(model, IDEAL, untie=True)
    assert {layer.name: layer for layer in untied.layers}["lm_head"].converted
    torch.testing.assert_close(untied.model(**inputs).logits, model(**inputs).logits, atol=1e-4, rtol=1e-4)


def test_projections_keep_the_shape_that_others_read() -> None:
    model, _ = gpt2()
    converted = convert(model, IDEAL).model
    layer = converted.get_submodule("transformer.h.0.attn.c_attn")
    assert isinstance(layer, OpticalHFConv1D)
    before = model.get_submodule("transformer.h.0.attn.c_attn").weight
    assert isinstance(before, Tensor)
    assert before.shape == (8, 24)
    torch.testing.assert_close(layer.weight, before, atol=1e-6, rtol=1e-5)
    assert layer.core.blocks == (1, 3, 1)


def test_a_model_of_half_precision_keeps_it_around_cores_of_single_precision() -> None:
    model, inputs = bert()
    model = model.to(torch.bfloat16).eval()
    expected = model(**inputs).logits
    conversion = convert(model, IDEAL)
    outputs = conversion.model(**inputs).logits
    assert outputs.dtype == torch.bfloat16
    torch.testing.assert_close(outputs, expected, atol=0.02, rtol=0.02)
    layers = optical_layers(conversion.model).values()
    assert {tensor.dtype for layer in layers for tensor in layer.core.state().values()} == {torch.float32}
    assert max(layer.weight_error for layer in conversion.layers) < 1e-10  # bfloat16 phases would leave 1e-5
    back = to_electronic(conversion.model)
    assert {tensor.dtype for tensor in back.state_dict().values() if tensor.is_floating_point()} == {torch.bfloat16}
    torch.testing.assert_close(back(**inputs).logits, expected, atol=0.02, rtol=0.02)
