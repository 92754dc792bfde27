"""What decides the result of a measurement, as one short text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.data import Samples

VERSION = version("lightloom")
"""Another version may measure other numbers."""

_CHUNK = 256  # images read at once


def of_values(values: Any) -> str:
    """16 hexadecimal digits of plain values, as JSON holds them; the order of keys says nothing."""
    text = json.dumps(values, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def of_model(model: nn.Module) -> str:
    """16 hexadecimal digits of the layers of a model with their settings, and of every parameter and buffer."""
    return _of(str(model), *_tensors(model))


def of_samples(samples: Samples) -> str:
    """16 hexadecimal digits of every input and target."""
    return _of(str(len(samples)), *_inputs(samples), samples.targets)


def _tensors(model: nn.Module) -> Iterator[str | Tensor]:
    for name, tensor in model.state_dict(keep_vars=True).items():
        yield name
        yield tensor


def _inputs(samples: Samples) -> Iterator[Tensor]:
    for numbers in torch.split(torch.arange(len(samples)), _CHUNK):
        yield samples.inputs[numbers.to(samples.inputs.device)]


def _of(*parts: str | Tensor) -> str:
    checksum = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            checksum.update(f"{part.dtype} {tuple(part.shape)} ".encode())
            part = part.detach().cpu().contiguous().flatten().view(torch.uint8)  # any dtype, bfloat16 too
            checksum.update(part.numpy().tobytes())
        else:
            checksum.update(part.encode() + b"\0")
    return checksum.hexdigest()[:16]
