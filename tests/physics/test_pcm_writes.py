"""Writes against a machine of two cells that is told one level after the other."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.pcm.levels import PAD
from lightloom.physics.pcm.writes import Start, Writes, count, total, worst_cell, worst_pair

STARTS: tuple[Start, ...] = ("erased", "repeat", "alternate")


class Cell:
    """One cell: its state, and what it took to bring it there."""

    def __init__(self) -> None:
        self.state = 0
        self.written = [0, 0, 0, 0, 0]  # rises, falls, raised, lowered, cleared

    def write(self, level: int) -> int:
        change, self.state = level - self.state, level
        if change > 0:
            self.written[0] += change
            self.written[2] += 1
        elif change < 0:
            self.written[1] -= change
            self.written[3] += 1
            self.written[4] += level == 0
        return change


class Run(NamedTuple):
    written: list[list[int]]
    """Of the positive and the negative cell."""
    changes: list[tuple[int, int]]
    """Of both, for each moment."""


def run(levels: list[int], start: Start) -> Run:
    """One pair through its inferences."""
    there = [level for level in levels if level != PAD]
    plus, minus = Cell(), Cell()
    found = 0 if start == "erased" or not there else there[-1] if start == "repeat" else there[0]
    plus.state, minus.state = max(found, 0), max(-found, 0)
    moments = levels + levels[::-1] if start == "alternate" else levels
    changes = [(0, 0) if s == PAD else (plus.write(max(s, 0)), minus.write(max(-s, 0))) for s in moments]
    return Run([plus.written, minus.written], changes)


def levels_of(*shape: int, most: int = 15, empty: float = 0.0) -> Tensor:
    """Random levels with zeros among them and places that hold nothing."""
    levels = torch.randint(-most, most + 1, shape, dtype=torch.int8) * (torch.rand(shape) < 0.8)
    return torch.where(torch.rand(shape) < empty, PAD, levels)


def sequence_of(arrays: int, size: int, turns: int, *, most: int = 15, empty: float = 0.0) -> Tensor:
    return levels_of(arrays, size, turns, size, most=most, empty=empty)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("arrays", "size", "turns", "most", "empty"),
    [
        (2, 3, 1, 15, 0.0),
        (3, 4, 9, 15, 0.3),
        (1, 2, 270, 63, 0.1),
        (1, 5, 6, 1, 0.9),
        (1, 64, 3, 7, 0.2),
        (1, 67, 5, 3, 0),
    ],
)
@pytest.mark.usefixtures("backend")
def test_every_cell_is_counted_as_the_machine_does(
    start: Start, arrays: int, size: int, turns: int, most: int, empty: float
) -> None:
    sequence = sequence_of(arrays, size, turns, most=most, empty=empty)
    writes = count(sequence, start)
    assert writes.inferences == (2 if start == "alternate" else 1)
    cells = [run(line, start) for line in sequence.transpose(2, 3).flatten(0, 2).tolist()]
    expected = torch.tensor([cell.written for cell in cells], dtype=torch.int32)  # [cells, 2, 5]
    expected = expected.view(arrays, size, size, 2, 5).permute(4, 0, 3, 1, 2)
    for found, truth in zip(writes[:5], expected, strict=True):
        assert found.dtype == torch.int32 and torch.equal(found, truth)
    changes = torch.tensor([cell.changes for cell in cells])  # [cells, moments, 2]
    assert writes.highest_rise.tolist() == changes.clamp(min=0).amax((0, 2)).tolist()
    assert writes.highest_fall.tolist() == (-changes.clamp(max=0)).amax((0, 2)).tolist()


@pytest.mark.usefixtures("backend")
def test_both_cells_together_are_written_as_far_as_the_level_moves() -> None:
    sequence = sequence_of(2, 8, 20)
    moved = torch.cat([torch.zeros(2, 8, 1, 8), sequence.float()], 2).diff(dim=2).abs().sum(2)
    writes = count(sequence, "erased")
    assert torch.equal((writes.rises + writes.falls).sum(1), moved.int())
    assert total(writes) == int(moved.sum()) and worst_pair(writes) == int(moved.max())
    assert worst_cell(writes) == int((writes.rises + writes.falls).max()) < worst_pair(writes)


@pytest.mark.parametrize("start", ["repeat", "alternate"])
@pytest.mark.usefixtures("backend")
def test_a_cycle_rises_as_far_as_it_falls(start: Start) -> None:
    writes = count(sequence_of(2, 8, 30, empty=0.2), start)
    assert torch.equal(writes.rises, writes.falls) and writes.rises.any()
    energy = 9 * writes.rises.sum() + 40 * writes.falls.sum()
    assert int(energy) == 49 * int(writes.rises.sum()) and 49 * total(writes) * writes.inferences == 2 * int(energy)


@pytest.mark.usefixtures("backend")
def test_there_and_back_costs_what_lies_between_the_turns() -> None:
    sequence = sequence_of(1, 4, 7)
    between = sequence.int().diff(dim=2).abs().sum(2)
    writes = count(sequence, "alternate")
    assert total(writes) == int(between.sum()) and worst_pair(writes) == int(between.max())
    assert writes.highest_rise[0] == writes.highest_fall[0] == writes.highest_rise[7] == writes.highest_fall[7] == 0
    assert torch.equal(writes.highest_rise[1:7], writes.highest_fall[8:].flip(0))


@pytest.mark.usefixtures("backend")
def test_a_place_that_holds_nothing_costs_nothing() -> None:
    writes = count(torch.full((2, 3, 4, 3), PAD, dtype=torch.int8), "repeat")
    assert total(writes) == 0 and not any(field.any() for field in writes[:7])  # type: ignore[union-attr]


@pytest.mark.usefixtures("backend")
def test_a_strided_sequence_counts_the_same() -> None:
    sequence = sequence_of(4, 3, 6)
    for whole, part in zip(count(sequence[::2].contiguous()), count(sequence[::2]), strict=True):
        assert torch.equal(torch.as_tensor(whole), torch.as_tensor(part))


@pytest.mark.parametrize("start", STARTS)
def test_the_kernel_counts_as_torch_does(start: Start, kernels: None) -> None:
    sequence = sequence_of(9, 64, 70, most=63, empty=0.1)  # enough to be shared out among threads
    made: list[Writes] = []
    for name in ("compiled", "torch"):
        with compiled.use(name):  # type: ignore[arg-type]
            made.append(count(sequence, start))
    for found, truth in zip(*made, strict=True):
        assert torch.equal(torch.as_tensor(found), torch.as_tensor(truth))


@pytest.mark.parametrize("level", [64, -64, 127, -127])
@pytest.mark.usefixtures("backend")
def test_a_level_that_no_cell_has_is_refused(level: int) -> None:
    sequence = sequence_of(2, 3, 5)
    sequence[1, 2, 4, 2] = level
    with pytest.raises(ValueError, match="beyond -63 to 63"):
        count(sequence)


def test_what_is_no_sequence_is_refused() -> None:
    with pytest.raises(TypeError, match=r"int8, not torch\.float32"):
        count(torch.zeros(1, 2, 3, 2))
    with pytest.raises(TypeError, match=r"int8, not torch\.int16"):
        count(torch.zeros(1, 2, 3, 2, dtype=torch.int16))
    for shape in ((1, 2, 3), (1, 2, 3, 4), (1, 2, 0, 2)):
        with pytest.raises(ValueError, match="arrays, k, turns, k"):
            count(torch.zeros(shape, dtype=torch.int8))
    with pytest.raises(ValueError, match="erased, repeat, alternate, not 'again'"):
        count(torch.zeros(1, 2, 3, 2, dtype=torch.int8), "again")  # type: ignore[arg-type]
