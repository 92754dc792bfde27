"""What a training was begun with, so that it goes on with the same or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lightloom.common.config import Section
from lightloom.common.errors import RequestError
from lightloom.data import Samples

_LOOKED_AT = 32
"""Samples that are looked at where they are read only when they are asked for; of tensors every number is."""


def describe(
    train: Samples,
    validation: Samples,
    config: Section,
    seed: int,
    *,
    metric: str,
    free: Set[str] = frozenset(),
) -> str:
    """Data, settings and seed of a training as one line of JSON.

    Args:
        train: Training samples.
        validation: Those that decide which epoch is best.
        config: Of the training.
        seed: Of the run.
        metric: Name of the primary metric, by which epochs are compared.
        free: Fields of the config that decide no epoch but how many there are.
    """
    data = {"training data": _fingerprint(train), "validation data": _fingerprint(validation)}
    settings = {**config.model_dump(mode="json", exclude=set(free)), "seed": seed, "metric": metric}
    return json.dumps({"data": data, "config": settings}, sort_keys=True)


def check_setup(path: Path, setup: str) -> None:
    """Refuse to go on with a training that was begun with something else.

    Args:
        path: Its last checkpoint; one of an earlier version says nothing of this, and is taken as it is.
        setup: What it is to go on with.

    Raises:
        RequestError: Data or settings differ; they are named.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            before = (opened.metadata() or {}).get("setup")
    except (SafetensorError, OSError) as error:
        raise RequestError(f"`{path}` is not a whole safetensors file: {error}.") from None
    if before is None:
        return
    differences = list(_differences(json.loads(before), json.loads(setup)))
    if differences:
        raise RequestError(
            f"The training in `{path}` was begun with other values: {'; '.join(differences)}. Go on with the same, or "
            "give this training another folder or another stage."
        )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"the {name} differ" for name, value in now["data"].items() if before["data"].get(name) != value)
    for key, value in now["config"].items():
        if before["config"].get(key, value) != value:
            yield f"`{key}` was {before['config'][key]} and is {value}"


def _fingerprint(samples: Samples) -> str:
    digest = hashlib.sha256(str(len(samples)).encode())
    inputs = samples.inputs
    if not isinstance(inputs, Tensor):
        count = len(inputs)
        places = torch.arange(min(count, _LOOKED_AT)) * count // max(min(count, _LOOKED_AT), 1)
        inputs = inputs[places.to(inputs.device)]
    for tensor in _tensors((inputs, samples.targets)):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of what samples give: one, or several in a tuple."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _tensors(part)
