"""Small forms of the configurations of `transformers`, so that any of its networks is built in moments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

from lightloom.nn.backbones.checkpoints import transformers

VOCABULARY = 120
IMAGE = 32

_EXACT: dict[str, Any] = {
    "image_size": IMAGE,
    "pretrain_image_size": IMAGE,
    "input_size": IMAGE,
    "patch_size": 8,
    "max_position_embeddings": 64,
    "n_positions": 64,
    "max_source_positions": 32,
    "max_target_positions": 32,
    "intermediate_size": 24,
    "moe_intermediate_size": 12,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "d_kv": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "qk_head_dim": 8,
    "v_head_dim": 8,
    "rotary_dim": 4,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "upsample_groups": 16,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "num_queries": 6,
    "num_feature_levels": 3,
    "window_size": 4,
    "sliding_window": 4,
    "num_frames": 4,
    "conv_kernel_size": 3,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "num_denoising": 0,
    "mamba_d_state": 4,
    "mamba_d_head": 8,
    "mamba_n_heads": 4,
    "state_size": 4,
    "num_image_tokens": 4,
    "codebook_size": 16,
    "num_embeddings": 16,
    "norm_num_groups": 2,
    "num_groups": 2,
}
_PATTERNS: tuple[tuple[str, Any], ...] = (
    (r"vocab_size|num_vocab|vocabulary_size", VOCABULARY),
    (r"(^|_)(layers|depth|n_layer|num_blocks|layer)$|num_.*layers$", "layers"),
    (r"top_?k$|_k$", 2),
    (r"(kv|key_value)_heads$", 2),
    (r"(^|_)(heads|n_head)$|num_.*_heads$", 2),
    (r"lora_rank$", 8),
    (r"head_dim$", 8),
    (r"(intermediate|ffn|mlp|ff|feed_forward|inner)(_hidden)?_(size|dim)$|^d_ff$|^n_inner$|ffn_dim$", 24),
    (
        r"(width|hidden_size|hidden_dim|d_model|embed_dim|n_embd|embedding_size|embedding_dim|_dim|_channels|_size)$",
        "width",
    ),
    (r"^(dim|channels|width|num_filters|base_channels)$", "width"),
)
_LEFT = re.compile(r"chunk_size_feed_forward|kernel_size|conv_dim_|scale|stride|merge|temporal|tubelet|audio_channels")
_IMAGE_CHANNELS = {"num_channels", "in_channels", "in_chans"}
_DEPTHS = re.compile(r"depth|layer_repeats|num_blocks|blocks_per_stage|layers$|layer_repeat")
_TOKEN = re.compile(r"(token|tok)_(id|index)$|_token_ids?$|^(bos|eos|pad|sep|cls|mask)_")

_ABSENT: dict[str, Any] = {
    "head_dim": 8,
    "num_key_value_heads": 2,
    "num_experts_per_tok": 2,
    "prediction_length": 4,
    "vocab_size": VOCABULARY,
}
"""What some classes leave open, and their networks need."""

Shrink = Callable[[str, Any], Any]
"""A field's name and value to a smaller value; the same value leaves it."""


def tiny_configs(kind: Any) -> Iterator[Any]:
    """Smaller and smaller departures from a configuration class's own sizes, the smallest network first.

    Args:
        kind: A class of configurations.

    Yields:
        Configurations; one that the class refuses is left out.
    """
    deep, wide = partial(_fixed, layers=6), partial(_fixed, width=64)
    for shrink in (_fixed, deep, wide, _scaled, _shallow):
        try:
            yield shrunk(kind, shrink)
        except Exception:  # a class may refuse a size by an error of any kind
            continue


def shrunk(kind: Any, shrink: Shrink) -> Any:
    """A configuration of this class with every field, and those of configurations inside it, made smaller.

    Args:
        kind: Class of the configuration.
        shrink: Gives the smaller value of a field, by its name and its value.
    """
    return kind(**_changes(kind(), shrink))


def _changes(config: Any, shrink: Shrink) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    tokens = 0
    own = {field.name for field in fields(config)} if is_dataclass(config) else set(vars(config))
    for name, value in vars(config).items():
        if name not in own or name.startswith("_") or isinstance(value, bool | str | float):
            continue
        if value is None:
            if shrink is not _fixed and name in _ABSENT:
                changes[name] = _ABSENT[name]
        elif getattr(value, "model_type", "") == "timm_backbone":
            changes[name] = _backbone()
        elif hasattr(value, "to_dict") and hasattr(value, "model_type"):
            changes[name] = type(value)(**_changes(value, shrink))
        elif isinstance(value, dict) and ("mrope_section" in value or "rope_theta" in value):
            changes[name] = {**value, "mrope_section": [2, 1, 1]}
        elif _TOKEN.search(name):
            tokens += 1
            if isinstance(value, int) and value >= VOCABULARY:
                changes[name] = VOCABULARY - tokens
        elif isinstance(value, int) or _is_row(value):
            smaller = shrink(name, value)
            if smaller != value:
                changes[name] = smaller
    return changes


def _backbone() -> Any:
    """A backbone in the place of one from another library, which need not be there."""
    kind = transformers().ResNetConfig
    stages = ["stage1", "stage2", "stage3", "stage4"]
    return kind(embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, out_features=stages)


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(type(v) is int for v in value)


def _fixed(name: str, value: Any, width: int = 16, layers: int = 2) -> Any:
    """The same small size for all fields that mean the same."""
    if _is_row(value):
        return _row(name, value, width)
    if isinstance(value, int):
        if name in _IMAGE_CHANNELS and value <= 4:
            return value
        if name in _EXACT:
            return min(value, _EXACT[name])
        if _LEFT.search(name):
            return value
        for pattern, size in _PATTERNS:
            if re.search(pattern, name):
                return min(value, {"width": width, "layers": layers}.get(size, size))
    return value


def _row(name: str, value: Any, width: int) -> Any:
    """A row of one number for each stage: one block each, or widths in the same proportion."""
    kind = type(value)
    if _DEPTHS.search(name):
        return kind(min(v, 1) for v in value)
    if "head" in name:
        return kind(max(1, v // min(value)) for v in value)
    if name in ("image_size", "input_size"):
        return kind(IMAGE for _ in value)
    if min(value) >= 32:
        return kind(max(8, width * v // min(value)) for v in value)
    return value


def _scaled(name: str, value: Any) -> Any:
    """Widths by the same factor, so that what must divide them does so still."""
    factor = 8
    if _is_row(value):
        if _DEPTHS.search(name):
            return type(value)(min(v, 1) for v in value)
        return type(value)(v // factor if v >= 64 and v % factor == 0 else v for v in value)
    if isinstance(value, int):
        if re.search(r"(layers|depth|n_layer)$|vocab|max_position|n_positions", name):
            return _fixed(name, value)
        if re.search(r"expert|sliding|image_size|queries", name):
            return min(value, _EXACT.get(name, value))
        if re.search(r"(size|dim|d_model|n_embd|width|channels|filters|d_ff)$", name) and not _LEFT.search(name):
            return value // factor if value >= 64 and value % factor == 0 else value
    return value


def _shallow(name: str, value: Any) -> Any:
    """Fewer layers and words alone."""
    if _is_row(value):
        return type(value)(min(v, 1) for v in value) if _DEPTHS.search(name) else value
    if isinstance(value, int) and re.search(r"(layers|depth|n_layer|experts)$|vocab|max_position|n_positions", name):
        return _fixed(name, value)
    return value
