"""The orders in which PCM cores are written, as safetensors beside the weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from lightloom.common.errors import RequestError
from lightloom.common.folders import remove
from lightloom.common.marks import is_ours
from lightloom.learn.checkpoint import read_tensors, write_tensors
from lightloom.nn import PCMCore, cores
from lightloom.physics.pcm.schedule import Schedule


def save_orders(model: nn.Module, path: Path) -> None:
    """Write which column sits where, turn by turn, in every core that does not take them as they come.

    Where all do, a file of earlier orders is removed, or emptied where it lies in a folder without a mark.

    Args:
        model: With PCM layers.
        path: The file.
    """
    turns = {name: core.turns for name, core in cores(model, PCMCore).items() if core.turns is not None}
    if is_ours(path) and not turns:
        remove(path)
    elif turns or path.exists():
        write_tensors(path, turns, {} if turns else {"orders": "as they come"})  # the format takes no empty file


def load_orders(model: nn.Module, path: Path) -> None:
    """Let the cores of a model follow what `save_orders` wrote; their rows come with the weights.

    Args:
        model: With PCM layers; their weights are loaded already.
        path: The file.

    Raises:
        RequestError: The file is cut short, or its orders are of another model.
    """
    layers = cores(model, PCMCore)
    for name, turns in read_tensors(path)[0].items():
        if name not in layers:
            raise RequestError(f"`{path}` holds an order for `{name}`, which is no PCM layer of this network.")
        if turns.is_floating_point():
            raise RequestError(f"The order of `{name}` in `{path}` holds {turns.dtype} and no integers. Take another.")
        try:
            layers[name].place(Schedule(layers[name].array_rows, turns))
        except ValueError as error:
            raise RequestError(f"The order of `{name}` in `{path}` is for other weights: {error}") from None
