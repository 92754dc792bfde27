"""How much hardware and work a weight matrix takes on tensor cores."""

from __future__ import annotations

from typing import NamedTuple


class Counts(NamedTuple):
    """What one evaluation of a layer takes on its tensor cores."""

    cores: int
    """Number of tensor cores: of meshes one per block of the weight matrix, of PCM one per block row."""
    mzis: int
    """Number of MZIs in them, attenuators of the singular values included."""
    shifters: int
    """Number of phase shifters in them."""
    calls: int
    """Evaluations of one core; of meshes with up to k input vectors, one per wavelength."""
    conversions_in: int
    """Values sent through an input modulator; padding is sent nowhere."""
    conversions_out: int
    """Values read from a detector; the sums over block columns are electronic."""
    cells: int = 0
    """Number of PCM cells in the cores that hold a weight."""
