"""What three schedules of a matrix product do on a number of cores: pure counts, exact.

A layer has a matrix of rows x columns in each of its groups, cut into p x q tiles of size k, and takes N vectors, of
which `channels` pass a core at once: that is a chunk. All cores work at the same time; what they do between two
settings is a step.

    weight  A core holds a tile while all chunks pass. Tiles are taken down the columns of the matrix, so that cores
            side by side share their inputs. Products of one row that are detected at different times are partial sums.
    input   A core holds one chunk of one block of inputs, and the p tiles of its column pass.
    output  A core adds up one chunk of one block of outputs, and the q tiles of its row pass; light is detected at
            each, charge is added up, and it is read once.

Work is handed out in order, to every core in turn; a core that already holds the tile it needs is not set again.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lightloom.cost.system import Schedule

Sharing = Literal["cores", "core", "row"]
"""How far one modulated value reaches: to all cores that need it at the time; within a core; to one row of it."""


class Tiling(NamedTuple):
    """A layer, cut into tiles."""

    rows: int
    """Rows of each group's matrix."""
    columns: int
    """Columns of each group's matrix."""
    groups: int
    """Number of matrices."""
    size: int
    """Rows and columns k of a tile."""

    @property
    def down(self) -> int:
        """Number p of tiles in a column."""
        return -(-self.rows // self.size)

    @property
    def across(self) -> int:
        """Number q of tiles in a row."""
        return -(-self.columns // self.size)

    @property
    def tiles(self) -> int:
        """Number of tiles in all groups."""
        return self.groups * self.down * self.across


class Events(NamedTuple):
    """What happens while N vectors pass a layer. `steps` and `cycles` follow one another, all else is of all cores."""

    busy: int
    """Cores that have work."""
    rounds: int
    """Times that work is handed out to the cores."""
    steps: int
    """Times that all wait until cores are set."""
    settings: int
    """Tiles that are set."""
    cycles: int
    """Symbols."""
    calls: int
    """Evaluations of one core."""
    inputs: int
    """Values through modulators; padding is sent nowhere."""
    fetches: int
    """Values read to be sent; modulators of different rows of a core share what is read."""
    outputs: int
    """Values through analogue-to-digital converters."""
    partials: int
    """Partial sums written, and read again when the next one is there."""
    sums: int
    """Values added to others that are detected at the same time."""


def count_events(
    schedule: Schedule, tiling: Tiling, vectors: int, channels: int, cores: int, sharing: Sharing = "cores"
) -> Events:
    """Count what one layer does.

    Args:
        schedule: What is stationary.
        tiling: The layer.
        vectors: N.
        channels: Vectors that pass a core at once.
        cores: At work on the layer.
        sharing: How far a modulated value reaches.
    """
    if vectors < 0 or min(channels, cores) < 1:
        raise ValueError(f"vectors are 0 or more, channels and cores 1 or more; got {vectors}, {channels}, {cores}")
    if vectors == 0:
        return Events(*[0] * len(Events._fields))
    count = {"weight": _weight, "input": _input, "output": _output}[schedule]
    return count(tiling, vectors, channels, cores, sharing)


def _weight(tiling: Tiling, vectors: int, channels: int, cores: int, sharing: Sharing) -> Events:
    groups, p, q = tiling.groups, tiling.down, tiling.across
    chunks, rounds = -(-vectors // channels), -(-tiling.tiles // cores)
    whole = vectors * groups * tiling.columns
    inputs = fetches = whole * p
    if sharing == "cores":
        first = torch.arange(groups * q) * p
        touched = _rounds_of_run(first, p, cores).view(groups, q)
        inputs = fetches = vectors * int((touched * _sizes(tiling.columns, tiling.size)).sum())
    elif sharing == "row":
        inputs = whole * tiling.rows
    first = (torch.arange(groups) * p * q).unsqueeze(1) + torch.arange(p)
    times = _rounds_of_progression(first, p, q, cores) * _sizes(tiling.rows, tiling.size)
    outputs = vectors * groups * tiling.rows
    detected = vectors * int(times.sum())
    return Events(
        busy=min(cores, tiling.tiles),
        rounds=rounds,
        steps=rounds,
        settings=tiling.tiles,
        cycles=rounds * chunks,
        calls=tiling.tiles * chunks,
        inputs=inputs,
        fetches=fetches,
        outputs=outputs * q,
        partials=detected - outputs,
        sums=outputs * q - detected,
    )


def _input(tiling: Tiling, vectors: int, channels: int, cores: int, sharing: Sharing) -> Events:
    groups, p, q = tiling.groups, tiling.down, tiling.across
    chunks = -(-vectors // channels)
    blocks = groups * q * chunks
    rounds = -(-blocks // cores)
    whole = vectors * groups * tiling.columns
    copies = min(tiling.rows, tiling.size) if sharing == "row" else 1
    first = (torch.arange(groups) * q * chunks).unsqueeze(1) + torch.arange(chunks)
    times = _rounds_of_progression(first, chunks, q, cores) * _sizes(vectors, channels)
    outputs = vectors * groups * tiling.rows
    detected = tiling.rows * int(times.sum())
    return Events(
        busy=min(cores, blocks),
        rounds=rounds,
        steps=rounds * p if p > 1 else _changes(groups * q, chunks, cores),
        settings=blocks * p if p > 1 else groups * q * min(chunks, cores),
        cycles=rounds * p,
        calls=blocks * p,
        inputs=whole * copies,
        fetches=whole,
        outputs=outputs * q,
        partials=detected - outputs,
        sums=outputs * q - detected,
    )


def _output(tiling: Tiling, vectors: int, channels: int, cores: int, sharing: Sharing) -> Events:
    groups, p, q = tiling.groups, tiling.down, tiling.across
    chunks = -(-vectors // channels)
    blocks = chunks * groups * p
    rounds = -(-blocks // cores)
    whole = vectors * groups * tiling.columns
    inputs = fetches = whole * p
    if sharing == "cores":
        first = torch.arange(chunks * groups) * p
        touched = _rounds_of_run(first, p, cores).view(chunks, groups).sum(1)
        inputs = fetches = tiling.columns * int((touched * _sizes(vectors, channels)).sum())
    elif sharing == "row":
        inputs = whole * tiling.rows
    stays = q == 1 and cores % (groups * p) == 0
    return Events(
        busy=min(cores, blocks),
        rounds=rounds,
        steps=1 if stays else rounds * q,
        settings=min(cores, blocks) if stays else blocks * q,
        cycles=rounds * q,
        calls=blocks * q,
        inputs=inputs,
        fetches=fetches,
        outputs=vectors * groups * tiling.rows,
        partials=0,
        sums=0,
    )


def _sizes(whole: int, part: int) -> Tensor:
    """How `whole` falls into parts, the last of which may be smaller."""
    sizes = torch.full((-(-whole // part),), part)
    sizes[-1] = whole - part * (len(sizes) - 1)
    return sizes


def _rounds_of_run(first: Tensor, length: int, cores: int) -> Tensor:
    """Rounds in which places `first` ... `first + length - 1` get their turn."""
    return (first + length - 1) // cores - first // cores + 1


def _rounds_of_progression(first: Tensor, step: int, count: int, cores: int) -> Tensor:
    """Rounds in which places `first`, `first + step` ... get their turn, `count` of them."""
    if cores <= step:
        return torch.full_like(first, count)
    return (first + step * (count - 1)) // cores - first // cores + 1


def _changes(columns: int, chunks: int, cores: int) -> int:
    """Rounds in which any core goes on to another column, where each column has `chunks` blocks."""
    rounds = -(-columns * chunks // cores)
    if cores >= chunks:
        return rounds
    last = columns * chunks - 1
    starts = range(chunks, columns * chunks, chunks)
    return len({0, *(s // cores for s in starts), *(min(s + cores - 1, last) // cores for s in starts)})
