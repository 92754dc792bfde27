"""Several processes of one run, as `accelerate launch` starts them; one process where nothing was launched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def world() -> int:
    """How many processes work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


def on_cpu(device: str) -> bool:
    """Whether to work on the CPU: it was asked for, or there is nothing else."""
    import torch

    return device == "cpu" or not torch.accelerator.is_available()


def best_device(device: str) -> torch.device:
    """Where to work: an accelerator where there is one and it was not ruled out."""
    import torch

    found = None if on_cpu(device) else torch.accelerator.current_accelerator()
    return found or torch.device("cpu")


def wait(device: str) -> None:
    """Wait until every process is here. Does nothing where there is one."""
    if world() == 1:
        return
    from accelerate import PartialState

    PartialState(cpu=on_cpu(device)).wait_for_everyone()
