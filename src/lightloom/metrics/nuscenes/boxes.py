"""Boxes of many samples in flat arrays: what was there, what was found, and the racks that hide bicycles."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Names = NDArray[np.str_]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Boxes:
    """What true and found boxes share; n boxes in no order of samples. All of a sample are in one frame, z up.

    Raises:
        ValueError: The arrays do not belong together, or hold numbers that no box has.
    """

    sample: Integers
    """[n]: the place of the box's sample."""
    centers: Array
    """[n, 3] in m: x, y, z of the middle of the box."""
    sizes: Array
    """[n, 3] in m: width, length, height."""
    yaws: Array
    """[n] in rad: the heading, counter-clockwise from x."""
    velocities: Array
    """[n, 2] in m/s: vx, vy; NaN where unknown."""
    labels: Integers
    """[n]: the place of the class."""
    attributes: Names
    """[n]: such as vehicle.moving; empty where there is none."""

    def __post_init__(self) -> None:
        count = len(self.sample)
        for name in (part.name for part in fields(self)):
            expected = (count, *_SHAPES.get(name, ()))
            if np.shape(getattr(self, name)) != expected:
                raise ValueError(f"{name} has the shape {np.shape(getattr(self, name))}, not {expected}")
        for name in ("centers", "sizes", "yaws"):
            if not np.all(np.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must be finite; box {_first(~np.isfinite(getattr(self, name)))} is not")
        if np.any(self.sizes <= 0):
            raise ValueError(f"sizes must be above 0; those of box {_first(self.sizes <= 0)} are not")
        if np.any(np.isinf(self.velocities)):
            raise ValueError(f"velocities are finite or NaN; that of box {_first(np.isinf(self.velocities))} is not")

    def __len__(self) -> int:
        return len(self.sample)

    def chosen(self, which: Mask | Integers) -> Self:
        """The boxes of a mask [n], or those at some places in their order."""
        return type(self)(*(getattr(self, part.name)[which] for part in fields(self)))


@dataclass(frozen=True, eq=False)
class Truth(_Boxes):
    """What was there."""

    points: Integers
    """[n]: LiDAR and radar points in the box; a box with 0 does not count, -1 where nobody counted them."""


@dataclass(frozen=True, eq=False)
class Results(_Boxes):
    """What was found.

    Of equal scores, the box that stands later in a results file goes first, as in the devkit: that of the later sample
    there, and of one sample that which comes later in these arrays.
    """

    scores: Array
    """[n]: 0 or above; the devkit takes a score of 0 for no recall at all in its errors."""
    rank: Integers = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """[n]: the place of the box's sample in the results file that it was read from; where none is given, `sample`."""

    def __post_init__(self) -> None:
        if not len(self.rank):
            object.__setattr__(self, "rank", self.sample)
        super().__post_init__()
        wrong = ~(np.isfinite(self.scores) & (self.scores >= 0))
        if np.any(wrong):
            raise ValueError(f"scores must be finite and not below 0; that of box {_first(wrong)} is not")

    def in_file_order(self) -> Results:
        """The boxes as a results file lists them: sample after sample, those of each in the order that they have."""
        return self.chosen(np.argsort(self.rank, kind="stable"))

    def best_first(self) -> Results:
        """The boxes by falling score; equal ones as the devkit has them, which reverses an ascending sort."""
        listed = self.in_file_order()
        return listed.chosen(np.argsort(listed.scores, kind="stable")[::-1])


@dataclass(frozen=True, eq=False)
class Racks:
    """Bicycle racks, in the frame of the boxes; bicycles and motorcycles in one do not count."""

    sample: Integers
    """[m]: the place of the rack's sample."""
    centers: Array
    """Centres of the racks in m [m, 3]."""
    sizes: Array
    """[m, 3] in m: width, length, height."""
    rotations: Array
    """[m, 4]: quaternions (w, x, y, z)."""


_SHAPES = {"centers": (3,), "sizes": (3,), "velocities": (2,)}


def _first(wrong: NDArray[Any]) -> int:
    return int(np.nonzero(wrong)[0][0])
