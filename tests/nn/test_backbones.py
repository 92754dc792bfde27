"""Backbones: sizes as published, the same maps as `transformers` itself, checkpoints, what is frozen."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.nn.backbones import Backbone, build_backbone
from lightloom.nn.backbones.trace import trace_stages

transformers = pytest.importorskip("transformers", reason="backbones are built by `transformers`")

SMALL: dict[str, dict[str, Any]] = {
    "regnet-x": {"embedding_size": 8, "groups_width": 8},
    "regnet-y": {"embedding_size": 8, "groups_width": 8},
    "resnet": {"embedding_size": 8, "layer_type": "basic"},
    "convnext": {},
    "convnext-v2": {},
}
CLASSES = {
    "regnet-x": "RegNet",
    "regnet-y": "RegNet",
    "resnet": "ResNet",
    "convnext": "ConvNext",
    "convnext-v2": "ConvNextV2",
}
WIDTHS, DEPTHS = (8, 16, 24, 32), (1, 2, 1, 1)


def small(family: str = "regnet-x", **more: Any) -> Backbone:
    return build_backbone(family, widths=WIDTHS, depths=DEPTHS, **{**SMALL[family], **more})


def reference(family: str) -> Any:
    """The same network as `transformers` builds it."""
    options = {**SMALL[family], "hidden_sizes": list(WIDTHS), "depths": list(DEPTHS)}
    if family.startswith("regnet"):
        options["layer_type"] = family[-1]
    name = CLASSES[family]
    return getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**options))


def parameters(module: nn.Module) -> int:
    return sum(part.numel() for part in module.parameters())


def macs(backbone: Backbone, rows: int, columns: int) -> list[float]:
    """Multiplications of all convolutions up to each stage."""
    made = 0

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal made
        made += output.numel() * module.weight[0].numel()

    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    sums = []
    x = backbone.stem(torch.zeros(1, 3, rows, columns, device="meta"))
    for stage in backbone.stages:
        x = stage(x)
        sums.append(made)
    return sums


def test_regnetx_800mf_has_the_published_parameters_and_multiplications() -> None:
    backbone = build_backbone("regnetx-800mf")
    assert parameters(backbone) == 6_586_656
    sums = torch.tensor([parameters(backbone.stem), *map(parameters, backbone.stages)]).cumsum(0)[1:]
    assert [round(int(count) / 1e6, 3) for count in sums] == [0.019, 0.175, 1.630, 6.587]
    counted = macs(backbone.to("meta"), 416, 608)
    assert [round(count / 1e9, 3) for count in counted] == [0.427, 1.131, 2.665, 4.028]


def test_regnetx_tiny_is_small_enough_for_two_cores() -> None:
    backbone = build_backbone("regnetx-tiny")
    assert (backbone.channels, backbone.strides) == ((24, 48, 96, 192), (4, 8, 16, 32))
    assert macs(backbone.to("meta"), 240, 320)[-1] < 0.15e9


@pytest.mark.parametrize("family", SMALL)
def test_maps_are_those_of_transformers(family: str) -> None:
    theirs = reference(family).eval()
    ours = small(family).eval()
    kept = {**theirs.state_dict()}
    stem = "embeddings" if "convnext" in family else "embedder"
    renamed = {
        key.replace(f"{stem}.", "stem.", 1).replace("encoder.stages.", "stages.", 1): value
        for key, value in kept.items()
        if key.startswith((f"{stem}.", "encoder.stages."))
    }
    ours.load_state_dict(renamed)
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        maps = ours(images)
        hidden = theirs(images, output_hidden_states=True).hidden_states
    for made, expected in zip(maps, hidden[1:], strict=True):
        torch.testing.assert_close(made, expected)
    assert tuple(made.shape[1] for made in maps) == ours.channels == WIDTHS
    assert tuple(64 // made.shape[2] for made in maps) == ours.strides == (4, 8, 16, 32)


def test_a_frozen_part_stays_as_it_is_and_the_rest_trains() -> None:
    backbone = small()
    backbone.freeze(2)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    optimiser = torch.optim.SGD([part for part in backbone.parameters() if part.requires_grad], lr=0.1)
    backbone.train()
    backbone(torch.randn(2, 3, 64, 64))[-1].square().mean().backward()
    optimiser.step()
    changed = {
        key.split(".convolution")[0] for key, value in backbone.state_dict().items() if (value != before[key]).any()
    }
    assert changed
    assert all(key.startswith(("stages.2", "stages.3")) for key in changed)
    assert any("running_mean" in key for key in changed)
    backbone.freeze(1, norms=True)
    backbone.train()
    assert not any(part.training for part in backbone.modules() if isinstance(part, nn.BatchNorm2d))
    assert all(part.requires_grad for part in backbone.stages[3].parameters())
    with pytest.raises(RequestError, match="5 stages of 4"):
        backbone.freeze(5)


def test_a_checkpoint_gives_the_weights_and_a_head_is_passed_over(tmp_path: Path) -> None:
    config = reference("regnet-y").config
    theirs = transformers.RegNetForImageClassification(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = build_backbone("regnet-y", pretrained=str(tmp_path)).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images)[-1], theirs.regnet(images).last_hidden_state)
    with pytest.raises(RequestError, match="holds a `regnet`, not a `resnet`"):
        build_backbone("resnet", pretrained=str(tmp_path))
    with pytest.raises(RequestError, match="`layer_type` y, not x"):
        build_backbone("regnet-x", pretrained=str(tmp_path))
    with pytest.raises(RequestError, match=r"`hidden_sizes` \[8, 16, 24, 32\], not \[8, 16, 24, 48\]"):
        build_backbone("regnet-y", widths=(8, 16, 24, 48), pretrained=str(tmp_path))


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    theirs = reference("regnet-x")
    theirs.config.save_pretrained(tmp_path)
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(RequestError, match="safetensors"):
        build_backbone("regnet-x", pretrained=str(tmp_path))


def test_what_is_missing_from_a_checkpoint_is_said(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    reference("regnet-x").save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    gone = next(key for key in weights if "stages.2" in key)
    save_file(
        {key: value for key, value in weights.items() if key != gone}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(RequestError, match=r"lacks 1 of the weights.*stages\.2"):
        build_backbone("regnet-x", pretrained=str(tmp_path))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "regnetx-800m"}, "Did you mean `regnetx-800mf`"),
        ({"name": "regnet-x"}, "give `widths` and `depths`"),
        ({"name": "regnetx-tiny", "depths": (1, 1)}, "4 `widths` and 2 `depths`"),
        ({"name": "regnetx-tiny", "group_width": 8}, "Did you mean `groups_width`"),
        ({"name": "regnetx-tiny", "pretrained": "./nowhere"}, "There is no folder"),
        ({"name": "vit-tiny", "widths": (8, 16)}, "one width"),
    ],
)
def test_a_wrong_request_is_answered(options: dict[str, Any], text: str) -> None:
    with pytest.raises(RequestError, match=text):
        build_backbone(**options)


def test_without_transformers_the_way_to_get_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RequestError, match=r"lightloom\[detection\]"):
        build_backbone("regnetx-tiny")


def test_a_trace_leaves_modes_and_running_means_alone() -> None:
    backbone = small()
    backbone.stages[1].eval()
    modes = [part.training for part in backbone.modules()]
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    traces = trace_stages(backbone, (64, 96))
    assert [trace.stride for trace in traces] == [2, 2, 2, 2]
    assert [part.training for part in backbone.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
