"""Which waveguide segments lie between which MZIs of a block U diag(sigma) V, read as one chain of columns."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from lightloom.physics import mesh
from lightloom.physics.mesh import Layout


@dataclass(frozen=True, eq=False)
class Relation:
    """The sign of one segment follows from the sign of another through the sense in which an MZI turns."""

    known: int
    """Segment whose sign is known before."""
    found: int
    """Segment whose sign follows."""
    upper: int
    """The one of the two on the MZI's upper waveguide."""
    lower: int
    """The other."""
    mzi: int
    """The MZI, in chain order."""


@dataclass(frozen=True, eq=False)
class SegmentGraph:
    """Segments of a chain, numbered from the outputs back to the inputs, and MZIs: U's in phase order, then V's."""

    outputs: Tensor
    """int64 [mzis, 2]: segments that leave each MZI, on its upper and lower waveguide."""
    inputs: Tensor
    """int64 [mzis, 2]: segments that enter each MZI."""
    after: Tensor
    """int64 [segments]: the MZI that a segment enters (towards the outputs), or -1 at the outputs of the block."""
    before: Tensor
    """int64 [segments]: the MZI that a segment leaves, or -1 at the inputs of the block."""
    middle: Tensor
    """int64 [k]: segments that hold an attenuator, by waveguide."""
    first: Tensor
    """int64 [k]: segments at the inputs of the block, by waveguide; those at its outputs are 0 ... k - 1."""
    mates: tuple[tuple[int, ...], ...]
    """The other MZIs in the column of each MZI."""
    beside: tuple[tuple[int, ...], ...]
    """The segments that pass the column of each MZI without an MZI."""

    def ends(self) -> list[int]:
        """Segments at the outputs and the inputs of the block, whose light is known with its sign."""
        return [*range(len(self.first)), *self.first.tolist()]

    def undecided(self, excluded: frozenset[int] = frozenset()) -> set[int]:
        """Segments whose sign is free: others follow from theirs, and nothing gives it."""
        decided = {relation.found for relation in self.relations(excluded)}
        return set(range(len(self.after))) - decided - set(self.ends())

    def relations(self, excluded: frozenset[int] = frozenset()) -> tuple[Relation, ...]:
        """Signs that follow from those of the ends, in an order in which each can be found.

        Args:
            excluded: MZIs that do not turn, so that they have no sense.
        """
        return _relations(self, excluded)


@lru_cache(maxsize=32)
def segment_graph(size: int, layout: Layout) -> SegmentGraph:
    """The chain of two meshes of this size and layout. Cached: treat the tensors as constants.

    Args:
        size: Waveguides k.
        layout: Layout of both meshes.
    """
    wiring = mesh.wiring(size, layout)
    current = list(range(size))
    after, before = [-1] * size, [-1] * size
    outputs, inputs = [[0, 0]] * (2 * wiring.mzis), [[0, 0]] * (2 * wiring.mzis)
    mates: list[tuple[int, ...]] = [()] * (2 * wiring.mzis)
    beside: list[tuple[int, ...]] = [()] * (2 * wiring.mzis)
    middle: list[int] = []
    for offset in (0, wiring.mzis):
        for column in reversed(wiring.columns):
            here = range(offset + column.first, offset + column.first + column.count)
            touched = {w for upper in column.upper_waveguides() for w in (upper, upper + column.stride)}
            for mzi in here:
                mates[mzi] = tuple(other for other in here if other != mzi)
                beside[mzi] = tuple(current[waveguide] for waveguide in range(size) if waveguide not in touched)
            for place, upper in enumerate(column.upper_waveguides()):
                mzi, pair = offset + column.first + place, (upper, upper + column.stride)
                outputs[mzi] = [current[waveguide] for waveguide in pair]
                for waveguide in pair:
                    before[current[waveguide]] = mzi
                    current[waveguide] = len(after)
                    after.append(mzi)
                    before.append(-1)
                inputs[mzi] = [current[waveguide] for waveguide in pair]
        middle = middle or list(current)
    return SegmentGraph(
        outputs=torch.tensor(outputs),
        inputs=torch.tensor(inputs),
        after=torch.tensor(after),
        before=torch.tensor(before),
        middle=torch.tensor(middle),
        first=torch.tensor(current),
        mates=tuple(mates),
        beside=tuple(beside),
    )


@lru_cache(maxsize=32)
def _relations(chain: SegmentGraph, excluded: frozenset[int]) -> tuple[Relation, ...]:
    """Breadth first from the ends; what they do not reach starts from a segment of its own, whose sign is free."""
    segments, ends = len(chain.after), chain.ends()
    edges: list[list[Relation]] = [[] for _ in range(segments)]
    for side in (chain.outputs, chain.inputs):
        for mzi, (upper, lower) in enumerate(side.tolist()):
            if mzi in excluded:
                continue
            edges[upper].append(Relation(upper, lower, upper, lower, mzi))
            edges[lower].append(Relation(lower, upper, upper, lower, mzi))
    relations: list[Relation] = []
    reached = set(ends)
    waiting = deque(ends)
    for root in range(segments + 1):
        while waiting:
            for relation in edges[waiting.popleft()]:
                if relation.found not in reached:
                    reached.add(relation.found)
                    relations.append(relation)
                    waiting.append(relation.found)
        if root < segments and root not in reached:
            reached.add(root)
            waiting.append(root)
    return tuple(relations)
