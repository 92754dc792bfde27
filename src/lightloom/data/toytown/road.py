"""A road that is straight or bends evenly: places along and beside it, and what the ground looks like there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lightloom.data.toytown.solids import Array

Real = TypeVar("Real", NDArray[np.float32], NDArray[np.float64])

LANE = 3.5
"""Width of a lane, m."""
PARKING = 2.7
"""Width of a strip of parking places, m."""
PAVEMENT = 3.4
"""Width of a pavement, m."""


@dataclass(frozen=True)
class Road:
    """A road, and the coordinates (s, t) of places on it: metres along its middle line, and metres to the left of that.

    One drives on the right, so lanes with t < 0 lead to larger s.

    Attributes:
        x: Of s = t = 0, global, m.
        y: Likewise.
        heading: Of the road there, rad.
        bend: Curvature, 1/m; to the left above 0.
        lanes: Each way.
        crossing: s of the middle of a street that crosses; NaN where there is none.
        yard: Ground beyond the pavements: 0 grass, 1 gravel, 2 slabs.
    """

    x: float
    y: float
    heading: float
    bend: float
    lanes: int
    crossing: float
    yard: int

    @property
    def kerb(self) -> float:
        """|t| of the outer edge of the lanes, where parking begins."""
        return LANE * self.lanes

    @property
    def walk(self) -> float:
        """|t| of the inner edge of the pavements."""
        return self.kerb + PARKING

    @property
    def edge(self) -> float:
        """|t| of the outer edge of the pavements, where the yards begin."""
        return self.walk + PAVEMENT

    def place(self, s: Array, t: Array) -> tuple[Array, Array]:
        """Global x and y of places, m.

        Args:
            s: Metres along the road.
            t: Metres to its left.
        """
        angle = self.bend * s
        if self.bend:
            along, left = (1 / self.bend - t) * np.sin(angle), 1 / self.bend - (1 / self.bend - t) * np.cos(angle)
        else:
            along, left = s, t
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        return self.x + cos * along - sin * left, self.y + sin * along + cos * left

    def direction(self, s: Array) -> Array:
        """Global heading of the road at s, rad."""
        return np.asarray(self.heading + self.bend * s, dtype=np.float64)

    def locate(self, x: Real, y: Real) -> tuple[Real, Real]:
        """Coordinates s and t of global points, in their own floating type; |s| stays below half a circle.

        Args:
            x: Global x in m.
            y: Global y in m.
        """
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        along = (cos * (x - self.x) + sin * (y - self.y)).astype(x.dtype)
        left = (cos * (y - self.y) - sin * (x - self.x)).astype(x.dtype)
        if not self.bend:
            return along, left
        side, radius = np.sign(self.bend), 1 / abs(self.bend)
        inward = radius - side * left
        s = radius * np.arctan2(along, inward)
        return s.astype(x.dtype), (side * (radius - np.hypot(along, inward))).astype(x.dtype)


def draw_road(draw: np.random.Generator) -> Road:
    """A road somewhere on the map: half of them bend, a third are crossed, most have one lane each way."""
    bend = 0.0 if draw.random() < 0.45 else float(draw.choice((-1, 1)) / draw.uniform(45, 110))
    crossing = float(draw.uniform(-10, 40)) if not bend and draw.random() < 0.6 else float("nan")
    return Road(
        x=float(draw.uniform(300, 1500)),
        y=float(draw.uniform(300, 1500)),
        heading=float(draw.uniform(-np.pi, np.pi)),
        bend=bend,
        lanes=1 if draw.random() < 0.65 else 2,
        crossing=crossing,
        yard=int(draw.integers(3)),
    )
