"""Minibatches whose order is a pure function of seed and epoch: resumable, shared out over ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_generator


class Indexed(Protocol):
    """Samples that are taken by number: a tensor, or what reads a file when it is asked for."""

    @property
    def device(self) -> torch.device:
        """The device where the samples are, or arrive."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any:
        """The samples with these numbers, int64 [k]: a tensor on `device`, or whatever else a model takes."""
        ...


class Samples(Protocol):
    """Inputs and targets to learn from: of one image each, of one sequence, or of whatever a task is about."""

    @property
    def inputs(self) -> Indexed:
        """Inputs [n, ...]."""
        ...

    @property
    def targets(self) -> Tensor:
        """Targets [n, ...]."""
        ...

    def __len__(self) -> int: ...

    def to(self, device: torch.device) -> Samples:
        """The same on a device."""
        ...


class Batch(NamedTuple):
    """One rank's part of a global batch.

    Attributes:
        inputs: [local, ...], or whatever else the samples give.
        targets: [local, ...].
        loss_weight: Weight of the local mean loss: local * world / global, in samples. The mean over ranks of
            loss_weight x (mean over local samples), which is what data-parallel training computes, is the mean
            over the global batch. 1 on a single process; 0 where the sample only keeps the ranks in step.
    """

    inputs: Any
    targets: Tensor
    loss_weight: float


class Batches:
    """Minibatches of samples held in memory.

    Every global batch is dealt out like cards: rank r takes its samples r, r + world, r + 2 world, ... All
    ranks get the same number of batches. Where the last batch has fewer samples than there are ranks, a rank
    without one repeats the first sample with loss weight 0, so that collective operations stay in step.

    Args:
        inputs: Inputs [n, ...].
        targets: Targets [n, ...], on the same device or another.
        batch_size: Samples per global batch, over all ranks; the last batch of an epoch may be smaller.
        seed: The run's seed; the same on every rank.
        shuffle: A new order each epoch, or (for evaluation) the order of the set.
        rank: This process, 0 ... world - 1.
        world: Number of processes.

    Raises:
        RequestError: The set is empty, its two lengths differ, or a number is out of range.
    """

    def __init__(
        self,
        inputs: Indexed,
        targets: Tensor,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if len(inputs) != len(targets):
            raise RequestError(f"There are {len(inputs)} inputs and {len(targets)} targets; give as many of both.")
        if len(inputs) == 0:
            raise RequestError("There is no sample to make batches of; give at least one.")
        if batch_size < 1:
            raise RequestError(f"`batch_size` is {batch_size}; give at least 1.")
        if world < 1 or not 0 <= rank < world:
            raise RequestError(f"Rank {rank} of {world} does not exist; ranks are 0 ... `world` - 1.")
        self._inputs, self._targets = inputs, targets
        self._batch_size, self._seed, self._shuffle = batch_size, seed, shuffle
        self._rank, self._world = rank, world

    def __len__(self) -> int:
        """Batches per epoch, the same on every rank."""
        return -(-len(self._inputs) // self._batch_size)

    def order(self, epoch: int) -> Tensor:
        """Sample indices [n] in the order of an epoch, the same on every rank.

        Raises:
            RequestError: `epoch` is negative.
        """
        if epoch < 0:
            raise RequestError(f"`epoch` is {epoch}; epochs count from 0.")
        if not self._shuffle:
            return torch.arange(len(self._inputs))
        return torch.randperm(len(self._inputs), generator=named_generator(self._seed, "batches", epoch))

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch.

        Args:
            epoch: Counts from 0.
            start: First batch, 0 ... `len(self)`: where a run that was stopped goes on.

        Raises:
            RequestError: `epoch` or `start` is out of range; raised at once, not at the first batch.
        """
        order = self.order(epoch)
        if not 0 <= start <= len(self):
            raise RequestError(f"`start` is {start}; an epoch has {len(self)} batches: give 0 ... {len(self)}.")
        return (self._local(whole) for whole in torch.split(order, self._batch_size)[start:])

    def _local(self, whole: Tensor) -> Batch:
        """This rank's part of the global batch with the sample indices `whole`."""
        mine = whole[self._rank :: self._world]
        loss_weight = len(mine) * self._world / len(whole)
        if len(mine) == 0:
            mine = whole[:1]
        inputs = self._inputs[mine.to(self._inputs.device)]
        return Batch(inputs, self._targets[mine.to(self._targets.device)], loss_weight)
