"""A backbone from a family or a named size: from a config, or from a pretrained checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from lightloom.common.errors import RequestError, nearest
from lightloom.nn.backbones.backbone import Backbone
from lightloom.nn.backbones.checkpoints import read_checkpoint, transformers
from lightloom.nn.backbones.families import KINDS, SIZES, Kind
from lightloom.nn.backbones.trace import trace_stages
from lightloom.nn.backbones.vit import VisionTransformer, ViTBlock, plain_weights

_SAMPLE = (64, 64)
_PLAIN = {"vit": "ViTModel", "vit_mae": "ViTMAEModel"}
"""Checkpoints of other models whose weights a plain ViT takes."""


def build_backbone(
    name: str,
    *,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    pretrained: str | None = None,
    **more: Any,
) -> Backbone:
    """A backbone with four maps, one at each of its stages or, of a ViT, one at each level of its pyramid.

    Args:
        name: A named size, or a family with `widths` and `depths`; see `SIZES` and `KINDS`.
        widths: Channels of each stage; a ViT has one.
        depths: Blocks of each stage; a ViT has one.
        pretrained: A folder or a name on the hub whose weights and sizes to take; only safetensors are read. A ViT also
            takes those of a `ViTModel` or of a masked autoencoder, and keeps its own windows and relative positions.
        **more: Further keys of the family's config in `transformers`, such as `groups_width`.

    Raises:
        RequestError: `transformers` is not there, there is no such name or key, or the checkpoint cannot be read, is of
            another family or of other sizes than asked for.
    """
    kind, options = _asked(name, widths, depths, more)
    model = _from_config(kind, options) if pretrained is None else _from_checkpoint(kind, options, pretrained)
    stem, stages = model.get_submodule(kind.stem), list(model.get_submodule(kind.stages))
    if kind.model_type == "vitdet":
        return VisionTransformer(
            stem, [ViTBlock(layer) for layer in stages], model.config.hidden_size, model.config.patch_size
        )
    return assemble(stem, stages)


def assemble(stem: nn.Module, stages: Sequence[nn.Module]) -> Backbone:
    """The backbone of these parts, its channels and strides found by running it once.

    Args:
        stem: What comes before the first stage.
        stages: Each takes the map of the one before.
    """
    backbone = Backbone(stem, stages, (), ())
    maps = [trace.output for trace in trace_stages(backbone, _SAMPLE)]
    backbone.channels = tuple(shape[1] for shape in maps)
    backbone.strides = tuple(_SAMPLE[0] // shape[2] for shape in maps)
    return backbone


def _asked(
    name: str, widths: Sequence[int] | None, depths: Sequence[int] | None, more: dict[str, Any]
) -> tuple[Kind, dict[str, Any]]:
    """The family of `name`, and the keys of its config that were asked for."""
    options, family = dict(more), name
    if name in SIZES:
        size = SIZES[name]
        family = size.family
        options = {**size.more, **more}
        widths, depths = widths or size.widths, depths or size.depths
    if family not in KINDS:
        raise RequestError(f"There is no backbone `{name}`. {nearest(name, [*SIZES, *KINDS])}")
    kind = KINDS[family]
    for key, sizes in ((kind.widths, widths), (kind.depths, depths)):
        if sizes is not None:
            options[key] = _one(sizes, family) if kind.model_type == "vitdet" else list(sizes)
    return kind, {**options, **kind.fixed}


def _one(sizes: Sequence[int], family: str) -> int:
    if len(sizes) != 1:
        raise RequestError(f"A `{family}` has one width and one depth, and {list(sizes)} are given; give one number.")
    return int(sizes[0])


def _from_config(kind: Kind, options: dict[str, Any]) -> Any:
    library = transformers()
    if kind.widths not in options or kind.depths not in options:
        raise RequestError("A family alone says no sizes; give `widths` and `depths`, or name a size.")
    widths, depths = options[kind.widths], options[kind.depths]
    if isinstance(widths, list) and len(widths) != len(depths):
        raise RequestError(f"{len(widths)} `widths` and {len(depths)} `depths` are given; give as many.")
    config_class = getattr(library, kind.config)
    keys = config_class().to_dict()
    for key in options:
        if key not in keys:
            raise RequestError(f"The config of `{kind.model_type}` has no key `{key}`. {nearest(key, keys)}")
    if "num_stages" in keys:
        options = {**options, "num_stages": len(depths)}
    return getattr(library, kind.model)(config_class(**options))


def _from_checkpoint(kind: Kind, options: dict[str, Any], pretrained: str) -> Any:
    library = transformers()
    config = read_checkpoint(library.AutoConfig, pretrained)
    if kind.model_type == "vitdet" and config.model_type in _PLAIN:
        return _from_plain(kind, options, config, pretrained)
    if config.model_type != kind.model_type:
        raise RequestError(
            f"`{pretrained}` holds a `{config.model_type}`, not a `{kind.model_type}`; name its own family."
        )
    _compare(config, options, pretrained)
    model, info = read_checkpoint(
        getattr(library, kind.model), pretrained, use_safetensors=True, output_loading_info=True
    )
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise RequestError(f"`{pretrained}` lacks {len(missing)} of the weights of a backbone, such as `{missing[0]}`.")
    return model


def _from_plain(kind: Kind, options: dict[str, Any], config: Any, pretrained: str) -> Any:
    """A detector's ViT, with the weights of a classifier's or an autoencoder's and fresh relative positions."""
    shared = ("hidden_size", "num_hidden_layers", "num_attention_heads", "patch_size")
    _compare(config, {key: options[key] for key in shared if key in options}, pretrained)
    sizes = {key: getattr(config, key) for key in shared}
    model = _from_config(kind, {**options, **sizes, "pretrain_image_size": config.image_size})
    reader = getattr(transformers(), _PLAIN[config.model_type])
    plain = read_checkpoint(reader, pretrained, use_safetensors=True)
    model.load_state_dict(plain_weights(plain.state_dict(), config.num_hidden_layers), strict=False)
    return model


def _compare(config: Any, options: dict[str, Any], pretrained: str) -> None:
    for key, value in options.items():
        own = getattr(config, key, None)
        own = list(own) if isinstance(own, tuple) else own
        if own != value:
            raise RequestError(f"`{pretrained}` has `{key}` {own}, not {value}; leave it out, or name that size.")
