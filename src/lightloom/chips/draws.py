"""Where the hidden errors of devices come from: random numbers by the seed of a chip and the place of the devices.

What is drawn for one chip and for many at once is the same, to the last digit of single precision: there is one law for
each error (`chips/mesh/errors.py`, `chips/pcm/errors.py`), which asks `Draws` for its numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lightloom.common.seeds import named_generator, named_seed
from lightloom.physics import batched_random, phases

Place = tuple[str, ...]
"""The devices of a chip that a draw is for: name of the core and parts of it; each has a random stream of its own."""

# a seed names the same chip whatever torch's defaults are
_KIND: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}


class Draws(ABC):
    """Random numbers of the devices at one place, on the CPU; equal for equal seeds and places."""

    @abstractmethod
    def deviations(self, place: Place, shape: tuple[int, ...], std: float) -> Tensor:
        """True over nominal values, float32: 1 plus normal numbers that are cut at two standard deviations.

        Args:
            place: Which devices.
            shape: How many of them on one chip.
            std: Standard deviation before the cut.
        """

    @abstractmethod
    def uniform(self, place: Place, shape: tuple[int, ...]) -> Tensor:
        """Numbers from 0 to 1, float32.

        Args:
            place: Which devices.
            shape: How many of them on one chip.
        """

    @abstractmethod
    def integers(self, place: Place, shape: tuple[int, ...], count: int) -> Tensor:
        """Whole numbers from 0 to `count` - 1, int8, each as likely as another.

        Args:
            place: Which devices.
            shape: How many of them on one chip.
            count: How many values there are, at most 128.
        """


class OneChip(Draws):
    """Numbers of the shape that is asked for, of one chip.

    Args:
        seed: Which chip.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def deviations(self, place: Place, shape: tuple[int, ...], std: float) -> Tensor:
        """The numbers that `Draws` describes.

        Args:
            place: Which devices.
            shape: How many of them on one chip.
            std: Standard deviation before the cut.
        """
        return 1 + phases.truncated_noise(torch.empty(shape, **_KIND), std, generator=self._generator(place))

    def uniform(self, place: Place, shape: tuple[int, ...]) -> Tensor:
        """The numbers that `Draws` describes.

        Args:
            place: Which devices.
            shape: How many of them on one chip.
        """
        return torch.rand(shape, generator=self._generator(place), **_KIND)

    def integers(self, place: Place, shape: tuple[int, ...], count: int) -> Tensor:
        """The numbers that `Draws` describes.

        Args:
            place: Which devices.
            shape: How many of them on one chip.
            count: How many values there are, at most 128.
        """
        return torch.randint(count, shape, generator=self._generator(place), dtype=torch.int8)

    def _generator(self, place: Place) -> torch.Generator:
        return named_generator(self._seed, "specimen", *place)


class ManyChips(Draws):
    """Numbers [S, *shape] of the S chips with these seeds, drawn together.

    Args:
        seeds: Which chips.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = seeds

    def deviations(self, place: Place, shape: tuple[int, ...], std: float) -> Tensor:
        """The numbers that `Draws` describes.

        Args:
            place: Which devices.
            shape: How many of them on one chip.
            std: Standard deviation before the cut.
        """
        numbers = batched_random.truncated(self._streams(place), torch.Size(shape).numel(), std)
        return numbers.add_(1).view(len(self._seeds), *shape)

    def uniform(self, place: Place, shape: tuple[int, ...]) -> Tensor:
        """The numbers that `Draws` describes.

        Args:
            place: Which devices.
            shape: How many of them on one chip.
        """
        drawn = batched_random.uniform(self._streams(place), torch.Size(shape).numel())
        return drawn.view(len(self._seeds), *shape)

    def integers(self, place: Place, shape: tuple[int, ...], count: int) -> Tensor:
        """The numbers that `Draws` describes.

        Args:
            place: Which devices.
            shape: How many of them on one chip.
            count: How many values there are, at most 128.
        """
        return torch.stack([OneChip(seed).integers(place, shape, count) for seed in self._seeds])

    def _streams(self, place: Place) -> list[int]:
        return [named_seed(seed, "specimen", *place) for seed in self._seeds]
