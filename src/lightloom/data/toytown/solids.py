"""Convex parts and what is built of them: every object of the town is a few parts with coloured faces.

A part is a loft between two rings of n corners: a ring below, a ring above, n sides and two caps, all planar. Frame of
an object: x forward, y left, z up, the origin on the ground under the middle of its box; metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Colour = tuple[float, float, float]
Span = tuple[float, float]

FACES = 10
"""Faces that a part has room for: eight sides and two caps."""
CORNERS = 16
"""Corners that a part has room for."""

_NEXT, _LAST = [1, 2, 0], [2, 0, 1]


class Part(NamedTuple):
    """A convex body."""

    corners: Array
    """[2 n, 3] in m: the ring below, then the ring above, both counter-clockwise seen from above."""
    colours: Array
    """[n + 2, 3], 0 ... 255: the sides, the lower cap, the upper cap. Side k stands on corners k and k + 1."""


@dataclass(frozen=True, eq=False)
class Solid:
    """Parts packed into arrays; a part with fewer faces is filled up with ones that every point is inside of.

    Attributes:
        corners: [parts, 16, 3] in m, the last one repeated.
        normals: [parts, 10, 3], outward, length 1; 0 for a filler.
        offsets: [parts, 10] in m: a point p is inside where normal . p <= offset; 1 for a filler.
        colours: [parts, 10, 3], 0 ... 255.
    """

    corners: Array
    normals: Array
    offsets: Array
    colours: Array

    def __len__(self) -> int:
        return len(self.corners)

    def placed(self, at: Array, yaw: float) -> Solid:
        """The same, turned about z by `yaw` (rad) and moved to `at`, (x, y) in m.

        Args:
            at: (x, y) in m.
            yaw: Turn about z in rad.
        """
        turn = np.array([[np.cos(yaw), np.sin(yaw), 0.0], [-np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
        shift = np.array([*at, 0.0])
        normals = self.normals @ turn
        return Solid(self.corners @ turn + shift, normals, self.offsets + normals @ shift, self.colours)


def solid(parts: Sequence[Part]) -> Solid:
    """Pack parts."""
    corners, normals = np.zeros((len(parts), CORNERS, 3)), np.zeros((len(parts), FACES, 3))
    offsets, colours = np.ones((len(parts), FACES)), np.zeros((len(parts), FACES, 3))
    for place, part in enumerate(parts):
        count, faces = len(part.corners), len(part.colours)
        corners[place, :count], corners[place, count:] = part.corners, part.corners[-1]
        normals[place, :faces], offsets[place, :faces] = _planes(part.corners)
        colours[place, :faces] = part.colours
    return Solid(corners, normals, offsets, colours)


def joined(solids: Sequence[Solid]) -> Solid:
    """The parts of several, in order; no part where there is none."""
    every = [solid(()), *solids]
    return Solid(
        np.concatenate([one.corners for one in every]),
        np.concatenate([one.normals for one in every]),
        np.concatenate([one.offsets for one in every]),
        np.concatenate([one.colours for one in every]),
    )


def block(x: Span, y: Span, z: Span, colour: Colour, *, top: tuple[Span, Span] | None = None, **faces: Colour) -> Part:
    """A box, or a tapered one.

    Args:
        x: From, to, in m.
        y: Likewise.
        z: Likewise.
        colour: Of every face, 0 ... 255.
        top: Spans of x and y of the upper face, where they differ.
        faces: Colours of single faces: `front` (+x), `back`, `left` (+y), `right`, `upper`, `lower`.
    """
    (xt, yt) = top or (x, y)
    ring = [(x[1], y[0], z[0]), (x[1], y[1], z[0]), (x[0], y[1], z[0]), (x[0], y[0], z[0])]
    above = [(xt[1], yt[0], z[1]), (xt[1], yt[1], z[1]), (xt[0], yt[1], z[1]), (xt[0], yt[0], z[1])]
    order = ("front", "left", "back", "right", "lower", "upper")
    return loft(ring, above, [faces.get(name, colour) for name in order])


def beam(start: Span, end: Span, thick: float, y: Span, colour: Colour) -> Part:
    """A bar across y between two points (x, z) of a side view, `thick` m high.

    Args:
        start: (x, z) of one end in m.
        end: (x, z) of the other end in m.
        thick: Height in m.
        y: From and to, across, in m.
        colour: Colour of all sides.
    """
    (x0, z0), (x1, z1) = start, end
    along = np.array([x1 - x0, z1 - z0]) / np.hypot(x1 - x0, z1 - z0)
    across = np.array([along[1], -along[0]]) * thick / 2
    flat = np.array([start, start, end, end]) + np.array([across, -across, -across, across])
    rings = [[(px, side, pz) for px, pz in flat] for side in (y[1], y[0])]
    return loft(rings[0], rings[1], [colour] * 6)


def wheel(x: float, radius: float, y: Span, colour: Colour, hub: Colour) -> Part:
    """A disc of eight sides that stands on the ground, its axis along y.

    Args:
        x: Of the axle, in m.
        radius: In m.
        y: From and to, across, in m.
        colour: Colour of the tyre.
        hub: Colour of the sides.
    """
    turns = (np.arange(8) + 0.5) * np.pi / 4
    reach = radius / np.cos(np.pi / 8)
    flat = np.stack([x + reach * np.cos(turns), radius + reach * np.sin(turns)], axis=1)
    rings = [[(px, side, pz) for px, pz in flat] for side in (y[1], y[0])]
    return loft(rings[0], rings[1], [colour] * 8 + [hub] * 2)


def round_block(
    middle: Span, radii: Span, z: Span, colour: Colour, *, front: Colour | None = None, upper: Colour | None = None
) -> Part:
    """An upright body of eight sides about (x, y) = `middle`: a cylinder, or with two radii (below, above) a cone.

    Args:
        middle: (x, y) of the axis in m.
        radii: Below and above, in m.
        z: From and to, in m.
        colour: Colour of the sides.
        front: Colour of the sides in front; None takes `colour`.
        upper: Colour of the upper cap; None takes `colour`.
    """
    turns = (np.arange(8) - 0.5) * np.pi / 4
    circle = np.stack([np.cos(turns), np.sin(turns)], axis=1) / np.cos(np.pi / 8)
    rings = [
        np.column_stack([np.array(middle) + circle * radius, np.full(8, height)])
        for radius, height in zip(radii, z, strict=True)
    ]
    colours = [colour] * 9 + [upper or colour]
    if front is not None:
        colours[0] = colours[1] = colours[7] = front
    return loft(rings[0], rings[1], colours)


def loft(below: ArrayLike, above: ArrayLike, colours: Sequence[Colour]) -> Part:
    """A part between two rings of n corners [n, 3]; colours of the n sides, the lower cap, the upper one.

    Args:
        below: Lower ring [n, 3] in m.
        above: Upper ring [n, 3] in m.
        colours: Colours of the n sides, the lower cap and the upper one.
    """
    rings = np.concatenate([np.asarray(below, dtype=np.float64), np.asarray(above, dtype=np.float64)])
    return Part(rings, np.asarray(colours, dtype=np.float64))


def _planes(corners: Array) -> tuple[Array, Array]:
    """Outward normals [n + 2, 3] and offsets [n + 2] of the faces of a part."""
    n = len(corners) // 2
    below, above = corners[:n], corners[n:]
    after_below, after_above = np.roll(below, -1, axis=0), np.roll(above, -1, axis=0)
    sides = _cross(after_above - below, above - after_below)
    caps = np.stack([_area(below), _area(above)])
    normals = np.concatenate([sides, caps])
    points = np.concatenate([(below + after_below + above + after_above) / 4, [below.mean(0), above.mean(0)]])
    inward = np.einsum("fk,fk->f", normals, points - corners.mean(axis=0)) < 0
    normals = np.where(inward[:, None], -normals, normals)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return normals, np.einsum("fk,fk->f", normals, points)


def _area(ring: Array) -> Array:
    """Twice the vector area of a planar polygon [n, 3]."""
    return np.asarray(_cross(ring - ring[0], np.roll(ring, -1, axis=0) - ring[0]).sum(axis=0), dtype=np.float64)


def _cross(a: Array, b: Array) -> Array:
    """Cross products [n, 3]; `numpy.cross` takes far longer for so few."""
    return a[:, _NEXT] * b[:, _LAST] - a[:, _LAST] * b[:, _NEXT]
