"""Weights as pairs of phase-change cells: levels, what it costs to write them, and in which order to write them.

A matrix is cut into k x k blocks that one crossbar array after the other takes. A weight W+ - W- is a pair of cells of
L + 1 levels each; one of the two stands at its darkest level, so the pair has a signed level -L ... L and an exact
zero.
"""

from lightloom.physics.pcm.levels import MOST_LEVELS, PAD, from_levels, magnitudes, to_levels, transmissions

__all__ = [
    "MOST_LEVELS",
    "PAD",
    "from_levels",
    "magnitudes",
    "to_levels",
    "transmissions",
]
