"""Random input for a network of `transformers`, from the names that its forward takes."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.bench.tiny_configs import IMAGE, VOCABULARY

_BATCH, _LENGTH = 2, 7
_MOST = 60  # tries of one network
_ASIDE = {"labels", "kwargs", "args", "past_key_values", "use_cache", "return_dict", "output_attentions"}
_MAIN = ("input_ids", "pixel_values", "input_features", "input_values", "decoder_input_ids", "decoder_input_values")


def random_inputs(model: nn.Module) -> Iterator[dict[str, Any]]:
    """Keyword arguments that the network may take, the likeliest first.

    Args:
        model: A network of `transformers`.

    Yields:
        What its signature asks for, in every shape that is usual; the caller tries one after the other.
    """
    parameters = inspect.signature(model.forward).parameters
    required_names = [p.name for p in parameters.values() if p.default is p.empty and p.name not in _ASIDE]
    offered = [name for name in _MAIN if name in parameters]
    main = str(getattr(model, "main_input_name", "input_ids"))
    first = [main] if main in parameters and main not in required_names else []
    choices = [[*required_names, *(n for n in offered if n not in required_names)], [*required_names, *first]]
    choices += [[*required_names, *(n for n in [*first, name] if n not in required_names)] for name in offered]
    attempts: set[tuple[str, ...]] = set()
    count = 0
    for names in choices:
        names = list(dict.fromkeys(names))
        if tuple(names) in attempts or not names:
            continue
        attempts.add(tuple(names))
        options = [list(_shapes(name, model)) for name in names]
        for values in itertools.islice(itertools.product(*options), _MOST // 2):
            count += 1
            if count > _MOST:
                return
            yield dict(zip(names, values, strict=True))


def _shapes(name: str, model: nn.Module) -> Iterator[Any]:
    """Values for one argument."""
    config: Any = model.config
    length = _LENGTH
    if name in ("pixel_values", "pixel_values_videos", "pixel_values_for_video"):
        yield from _pictures(config, name)
    elif name == "input_features":
        yield from _spectra(config)
    elif name in ("input_values", "decoder_input_values", "audio_values", "raw_waveform", "waveform"):
        for shape in ((_BATCH, 1600), (_BATCH, 1, 1600), (_BATCH, 6400), (_BATCH, 40, 16), (_BATCH, 64, 128)):
            yield torch.randn(shape)
    elif name in ("bbox",):
        corner = torch.randint(0, 10, (_BATCH, length, 2))
        yield torch.cat([corner, corner + 5], -1)
    elif name in ("audio_codes", "codes"):
        yield torch.randint(0, 8, (_BATCH, int(_of(config, "num_quantizers", "num_codebooks") or 4), length))
    elif name.endswith("_ids") or name == "position_ids":
        high = min(int(_of(config, "vocab_size") or VOCABULARY), VOCABULARY) - 30
        words = torch.randint(3, max(high, 5), (_BATCH, length))
        words[:, -1] = int(_first(_of(config, "eos_token_id")) or 2) if name == "input_ids" else words[:, -1]
        yield words
        yield torch.randint(3, max(high, 5), (_BATCH, 32))
        yield torch.randint(0, 4, (_BATCH, length, int(_of(config, "num_codebooks") or 4)))
        yield torch.randint(0, 4, (_BATCH, int(_of(config, "num_codebooks") or 4), length))
    elif "mask" in name:
        yield torch.ones(_BATCH, length, dtype=torch.long)
        yield torch.zeros(_BATCH, (IMAGE // 8) ** 2, dtype=torch.bool)
        yield torch.ones(_BATCH, 1, length, length, dtype=torch.bool)
    elif name in ("hidden_states", "inputs_embeds", "encoder_hidden_states", "inputs", "query_embeds"):
        width = int(_of(config, "hidden_size", "d_model", "embed_dim", "dim") or 16)
        yield torch.randn(_BATCH, length, width)
        yield torch.randn(length * 4, width)
        yield torch.randint(0, 99, (_BATCH, length))
        yield torch.rand(_BATCH, 3, IMAGE, IMAGE)
    elif name in ("grid_thw", "image_grid_thw"):
        yield torch.tensor([[1, 4, 4]])
        yield torch.tensor([[1, 2, 2]])
    elif name in ("past_values", "time_series_values"):
        for steps in (int(_of(config, "context_length") or 32), 32, 64, 20):
            yield torch.randn(_BATCH, steps)
            yield torch.randn(_BATCH, steps, int(_of(config, "num_input_channels") or 1))
    else:
        yield torch.randn(_BATCH, length)
        yield torch.randn(_BATCH, length, 16)
        yield torch.rand(_BATCH, 3, IMAGE, IMAGE)


def _pictures(config: Any, name: str) -> Iterator[Tensor]:
    channels = int(_of(config, "num_channels", "in_channels", "in_chans") or 3)
    size = _first(_of(config, "image_size", "input_size")) or IMAGE
    frames = int(_of(config, "num_frames", "frames_per_clip") or 4)
    for side in dict.fromkeys((int(size), IMAGE, 64, 128, 224)):
        still, moving = (_BATCH, channels, side, side), (_BATCH, frames, channels, side, side)
        for shape in (moving, still) if "video" in name else (still, moving):
            yield torch.rand(shape)
    patch = int(_first(_of(config, "patch_size")) or 8)
    time = int(_of(config, "temporal_patch_size") or 1)
    yield torch.rand(16, channels * time * patch * patch)
    yield torch.rand(_BATCH, 16, channels * patch * patch)
    yield torch.rand(1, 1, channels, int(size), int(size))


def _spectra(config: Any) -> Iterator[Tensor]:
    bins = int(_of(config, "num_mel_bins", "feature_size", "input_dim", "input_feat_per_channel") or 16)
    places = int(_of(config, "max_source_positions") or 32)
    for shape in ((_BATCH, bins, 2 * places), (_BATCH, 64, bins), (_BATCH, bins, 64), (_BATCH, 1, 64, bins)):
        yield torch.randn(shape)


def _of(config: Any, *names: str) -> Any:
    """The first of these fields that is there, in the configuration or in one inside it."""
    inner = [value for value in vars(config).values() if hasattr(value, "model_type")]
    for place in (config, *inner):
        for name in names:
            value = getattr(place, name, None)
            if value is not None and not isinstance(value, str):
                return _first(value)
    return None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and value else value
