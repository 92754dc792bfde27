"""How much hardware and work a weight matrix takes: pure arithmetic, without a tensor core."""

from __future__ import annotations

from typing import NamedTuple

from lightloom.chips import Chip, MeshChip, PCMChip
from lightloom.common.arguments import checked
from lightloom.physics import blocks, mesh


class Counts(NamedTuple):
    """What one evaluation of a layer takes on its tensor cores."""

    cores: int
    """Tensor cores: of meshes one per block of the weight matrix, of PCM one per block row."""
    mzis: int
    """MZIs in them, attenuators of the singular values included."""
    shifters: int
    """Phase shifters in them."""
    calls: int
    """Evaluations of one core; of meshes with up to k input vectors, one per wavelength."""
    conversions_in: int
    """Values sent through an input modulator; padding is sent nowhere."""
    conversions_out: int
    """Values read from a detector; the sums over block columns are electronic."""
    cells: int = 0
    """PCM cells in the cores that hold a weight."""


@checked
def counts_of(chip: Chip, rows: int, columns: int, groups: int = 1, vectors: int = 1) -> Counts:
    """What a layer takes on a chip, known before anything is built or programmed.

    Args:
        chip: The hardware.
        rows: Rows of each group's matrix.
        columns: Columns of each group's matrix.
        groups: Number of matrices, as of a grouped convolution.
        vectors: Input vectors that are multiplied.
    """
    if isinstance(chip, MeshChip):
        return _of_meshes(chip, rows, columns, groups, vectors)
    return _of_crossbars(chip, rows, columns, groups, vectors)


def _of_meshes(chip: MeshChip, rows: int, columns: int, groups: int, vectors: int) -> Counts:
    size = chip.block_size
    p, q = blocks.grid(rows, columns, size)
    cores = groups * p * q
    return Counts(
        cores=cores,
        mzis=cores * (2 * mesh.mzi_count(size, chip.layout) + size),
        shifters=cores * (2 * mesh.phase_count(size, chip.layout, chip.field) + size),
        calls=cores * -(-vectors // size),
        conversions_in=vectors * groups * columns,
        conversions_out=vectors * groups * rows * q,
    )


def _of_crossbars(chip: PCMChip, rows: int, columns: int, groups: int, vectors: int) -> Counts:
    """Every vector passes at every turn."""
    p, turns = blocks.grid(rows, columns, chip.block_size)
    # a modulator sends one value at a time, to as many cells as share it
    feeds = {"row_private": rows, "column_shared": p, "block_shared": p}[chip.sharing]
    sent = 1 if chip.broadcast and chip.sharing != "row_private" else feeds
    return Counts(
        cores=groups * p,
        mzis=0,
        shifters=0,
        calls=groups * p * turns * vectors,
        conversions_in=vectors * groups * columns * sent,
        conversions_out=vectors * groups * rows * turns,
        cells=2 * min(groups * rows * columns, groups * rows * chip.block_size),
    )
