"""How a detector begins from its teacher, whatever it detects."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from lightloom.data import Samples

SAMPLE_SIZE = 2
"""Samples that a student and its teacher are shown, to see the shapes of their maps."""


def start_from(student: nn.Module, teacher: nn.Module) -> None:
    """Take what fits of the teacher's weights.

    Args:
        student: Changed in place.
        teacher: Its weights are taken where name and shape are the same.
    """
    own = student.state_dict()
    shared = {name: value for name, value in teacher.state_dict().items() if name in own}
    student.load_state_dict(own | {name: value for name, value in shared.items() if value.shape == own[name].shape})


def few(samples: Samples) -> object:
    """The first inputs of a set."""
    return samples.inputs[torch.arange(min(SAMPLE_SIZE, len(samples)))]


def evenly(count: int, most: int) -> list[int]:
    """Numbers of so many samples at most, evenly over a set.

    Args:
        count: Of the set.
        most: How many are taken at most.
    """
    copied = min(count, most)
    return [number * count // copied for number in range(copied)]


def first_difference(own: dict[str, object], first: dict[str, object], keys: Sequence[str] = ()) -> str | None:
    """The first key whose values differ; None where there is none.

    Args:
        own: Of one case.
        first: Of the first case.
        keys: Those that count; none given is all.
    """
    return next((key for key in keys or own if own[key] != first[key]), None)
