"""Several processes of one run, as `accelerate launch` starts them; one process where nothing was launched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lightloom.common.errors import RequestError

if TYPE_CHECKING:
    import torch

_DIGITS = 9  # of a number of processes


def world() -> int:
    """How many processes work together."""
    return _number("WORLD_SIZE", 1, least=1)


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return _number("RANK", 0, least=0) == 0


def _number(name: str, absent: int, *, least: int) -> int:
    """A whole number from the environment, as launchers set it."""
    text = os.environ.get(name, "").strip() or str(absent)
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS or int(text) < least:
        raise RequestError(
            f"The environment has `{name}={text}`, where launchers such as `accelerate launch` set a whole number of "
            f"{least} or more; take it away with `unset {name}` to work in one process."
        )
    return int(text)


def on_cpu(device: str) -> bool:
    """Whether to work on the CPU: it was asked for, or there is nothing else."""
    import torch

    return device == "cpu" or not torch.accelerator.is_available()


def best_device(device: str) -> torch.device:
    """The device to work on: an accelerator where there is one and it was not ruled out."""
    import torch

    accelerator = None if on_cpu(device) else torch.accelerator.current_accelerator()
    return accelerator or torch.device("cpu")


def wait(device: str) -> None:
    """Wait until every process is here. Does nothing where there is one."""
    if world() == 1:
        return
    from accelerate import PartialState

    PartialState(cpu=on_cpu(device)).wait_for_everyone()
