"""Weights and training state as safetensors: no code in them, written whole, checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import write_bytes


class Progress(NamedTuple):
    """Where a training stands."""

    epoch: int
    """Last epoch that is complete; 0 before the first."""
    best: float
    """Best value of the primary metric on the validation data so far."""
    best_epoch: int


def save_weights(model: nn.Module, path: Path, **notes: str) -> None:
    """Write parameters and persistent buffers of a model, and short notes about them.

    Args:
        model: Its `state_dict` is written.
        path: The file.
        **notes: Short texts by name.
    """
    write_tensors(path, model.state_dict(), notes)


def load_weights(model: nn.Module, path: Path) -> dict[str, str]:
    """Read what `save_weights` wrote into a model of the same shape; the chip's description is not touched.

    Args:
        model: Of the same architecture; changed in place.
        path: The file.

    Returns:
        The notes.

    Raises:
        RequestError: The file is missing, cut short, of another kind, or of another model, its numbers are of another
            type or not finite, or no chip can be told them; the first tensors that do not fit are named.
    """
    tensors, notes = read_tensors(path)
    _fill(model, tensors, path)
    return notes


def save_training(
    model: nn.Module, optimizer: torch.optim.Optimizer | None, progress: Progress, path: Path, setup: str = ""
) -> None:
    """Write model, optimiser and progress in one file, so that they always belong together.

    Args:
        model: As it is.
        optimizer: As it is; None where the training has none.
        progress: Where the training stands.
        path: The file.
        setup: What was trained on and how, as `lightloom.learn.setup.describe` gives it.
    """
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in (optimizer.state_dict()["state"] if optimizer else {}).items():
        tensors |= {f"optimizer/{index}/{key}": value for key, value in state.items() if isinstance(value, Tensor)}
    notes = {key: repr(value) for key, value in progress._asdict().items()}
    write_tensors(path, tensors, notes | ({"setup": setup} if setup else {}))


def load_training(model: nn.Module, optimizer: torch.optim.Optimizer | None, path: Path) -> Progress:
    """Read what `save_training` wrote, and return where the training stands.

    Args:
        model: Takes the weights.
        optimizer: Takes its state; None where the training has none.
        path: The file.

    Raises:
        RequestError: As `load_weights` says.
    """
    tensors, notes = read_tensors(path)
    prefix = "model/"
    _fill(model, {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}, path)
    if optimizer is not None:
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer/"):
                _, index, key = name.split("/", 2)
                state.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    return Progress(int(notes["epoch"]), float(notes["best"]), int(notes["best_epoch"]))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Write tensors and short notes about them; the same content gives the same bytes.

    Args:
        path: The file.
        tensors: What to write, by name; shared memory is copied.
        notes: Short texts by name; None writes none.
    """
    # safetensors orders equal content differently from run to run where the names come unsorted
    write_bytes(path, save(dict(sorted(_own(tensors).items())), metadata=dict(notes or {})))


def _own(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors with storage of their own, as the format wants them: shared ones are copied."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and notes.

    Raises:
        RequestError: The file is missing or cut short, or is of another kind.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, dict(opened.metadata() or {})  # noqa: SIM118
    except FileNotFoundError:
        raise RequestError(f"There is no file `{path}`.") from None
    except (SafetensorError, OSError) as error:
        raise RequestError(f"`{path}` is not a whole safetensors file: {error}.") from None


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    expected = model.state_dict()
    problems = [f"`{name}` is missing" for name in expected if name not in tensors]
    problems += [f"`{name}` is not in the model. {nearest(name, expected)}" for name in tensors if name not in expected]
    problems += [
        f"`{name}` has shape {tuple(tensors[name].shape)}, the model's has {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    if not problems:
        problems = _damage(model, tensors)
        if problems:
            raise RequestError(f"The weights in `{path}` cannot be taken: {'; '.join(problems[:3])}. Take others.")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise RequestError(f"`{path}` holds the weights of another model: {'; '.join(problems[:3])}{more}.")
    model.load_state_dict(dict(tensors))


def _damage(model: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Numbers of another kind than the model's, which would be rounded without a word, and such as are none."""
    buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    problems = []
    for name, own in model.state_dict().items():
        tensor = tensors[name]
        if tensor.dtype != own.dtype:
            problems.append(f"`{name}` is {tensor.dtype}, and the model's is {own.dtype}")
        elif tensor.is_floating_point() and bool(tensor.isnan().any()):
            problems.append(f"`{name}` holds NaN")
        elif (
            tensor.is_floating_point() and name not in buffers and bool(tensor.isinf().any())
        ):  # a buffer may be a mask
            problems.append(f"`{name}` holds Inf")
    return problems
