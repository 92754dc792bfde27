"""Rotations, frames, boxes and projections, as nuScenes has them; float64 throughout.

A rotation is a quaternion (w, x, y, z). A pose takes points of a child frame to its parent: of a sensor to the vehicle
(ego), of the vehicle to the map (global). A camera looks along +z, with x to the right and y down. Source: nuScenes
schema documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Pose(NamedTuple):
    """The place and direction of a frame in its parent."""

    rotation: Array
    """Rotation matrix [3, 3], child to parent."""
    translation: Array
    """[3] in m: the child's origin in the parent."""

    @property
    def matrix(self) -> Array:
        """[4, 4]: homogeneous points of the child frame, to the parent."""
        whole = np.eye(4)
        whole[:3, :3], whole[:3, 3] = self.rotation, self.translation
        return whole

    def compose(self, inner: Pose) -> Pose:
        """The pose in this one's parent of what `inner` places in this one's child frame."""
        return Pose(self.rotation @ inner.rotation, self.to_parent(inner.translation))

    def to_parent(self, points: Array) -> Array:
        """Points [..., 3] of the child frame, in the parent."""
        return points @ self.rotation.T + self.translation

    def to_child(self, points: Array) -> Array:
        """Points [..., 3] of the parent frame, in the child."""
        return (points - self.translation) @ self.rotation


def pose(record: Mapping[str, Any]) -> Pose:
    """The pose in a record of `ego_pose` or `calibrated_sensor`."""
    return Pose(rotation_matrix(record["rotation"]), np.asarray(record["translation"], dtype=np.float64))


def rotation_matrix(quaternion: ArrayLike) -> Array:
    """Rotation matrices of quaternions (w, x, y, z) of any length but 0.

    Args:
        quaternion: [..., 4].

    Returns:
        [..., 3, 3]; v' = R v.

    Raises:
        ValueError: There are not four numbers, or the length is 0 or not finite.
    """
    parts = np.asarray(quaternion, dtype=np.float64)
    if parts.shape[-1:] != (4,):
        raise ValueError(f"a quaternion has the four parts w, x, y, z; got the shape {parts.shape}")
    length = np.linalg.norm(parts, axis=-1, keepdims=True)
    if not np.all(np.isfinite(length) & (length > 0)):
        raise ValueError(f"a quaternion of length {float(length.min())} is no rotation")
    w, x, y, z = np.moveaxis(parts / length, -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quaternion(rotation: ArrayLike) -> Array:
    """Quaternions (w, x, y, z) of rotation matrices, of length 1 and with w of at least 0.

    Args:
        rotation: [..., 3, 3]; what is not quite a rotation gives the nearest one.

    Returns:
        [..., 4].

    Raises:
        ValueError: A matrix turns left into right, or has another shape.
    """
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_matrix(np.asarray(rotation, dtype=np.float64))
    return np.asarray(turned.as_quat(canonical=True, scalar_first=True), dtype=np.float64)


def box_corners(translation: ArrayLike, size: ArrayLike, rotation: ArrayLike) -> Array:
    """The corners of a box, in the frame that its centre is given in.

    Args:
        translation: Centre [3] in m.
        size: Width, length, height in m; length lies along the box's own x axis, width along y, height along z.
        rotation: Quaternion (w, x, y, z) of the box.

    Returns:
        [8, 3] in m: the four corners at the front (+x), then the four at the back.

    Raises:
        ValueError: A size is negative or not finite.
    """
    width, length, height = np.asarray(size, dtype=np.float64)
    if not (min(width, length, height) >= 0 and np.isfinite(width + length + height)):
        raise ValueError(f"a box of width {width:g}, length {length:g}, height {height:g} is none")
    signs = np.array([(x, y, z) for x in (1, -1) for y in (1, -1) for z in (1, -1)], dtype=np.float64)
    return Pose(rotation_matrix(rotation), np.asarray(translation, dtype=np.float64)).to_parent(
        signs * np.array([length, width, height]) / 2
    )


def project(points: Array, intrinsic: ArrayLike) -> Array:
    """Pixels at which a pinhole camera sees points.

    Args:
        points: [..., 3] in m in the camera's frame, all in front of it.
        intrinsic: Camera matrix [3, 3].

    Returns:
        [..., 2] in pixels: x to the right, y down.

    Raises:
        ValueError: A point is not in front of the camera, or the matrix has another shape.
    """
    matrix = np.asarray(intrinsic, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise ValueError(f"a camera matrix is 3 x 3; got the shape {matrix.shape}")
    if not np.all(points[..., 2] > 0):
        raise ValueError("points at a depth of 0 or behind the camera have no image; leave them out first")
    projected = points @ matrix.T
    return np.asarray(projected[..., :2] / projected[..., 2:], dtype=np.float64)


def global_to_sensor(points: Array, ego: Pose, sensor: Pose) -> Array:
    """Points [..., 3] of the map, as a sensor of a vehicle sees them.

    Args:
        points: In m, in the global frame.
        ego: Pose of the vehicle on the map, at the time of the sensor.
        sensor: Pose of the sensor on the vehicle.
    """
    return sensor.to_child(ego.to_child(points))


def convex_hull(points: Array) -> Array:
    """The convex hull of points in a plane, by Andrew's monotone chain.

    Args:
        points: [n, 2].

    Returns:
        Its corners [m, 2], counter-clockwise where y points up, none on a straight edge; one or two where all points
        coincide or lie on a line.
    """
    ordered: list[Sequence[float]] = [*sorted({(float(x), float(y)) for x, y in points})]
    if len(ordered) < 3:
        return np.array(ordered, dtype=np.float64).reshape(-1, 2)
    chains = []
    for run in (ordered, ordered[::-1]):
        chain: list[Sequence[float]] = []
        for point in run:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        chains += chain[:-1]
    return np.array(chains, dtype=np.float64)


def clip(polygon: Array, width: float, height: float) -> Array:
    """The part of a convex polygon inside 0 <= x <= width, 0 <= y <= height (Sutherland and Hodgman, 1974).

    Args:
        polygon: Corners [n, 2] in order.
        width: Of the canvas.
        height: Of the canvas.

    Returns:
        Corners [m, 2] in order; none where nothing of it is inside.
    """
    for axis, sign, bound in ((0, 1.0, 0.0), (0, -1.0, -width), (1, 1.0, 0.0), (1, -1.0, -height)):
        inside: list[Array] = []
        for start, end in zip(np.roll(polygon, 1, axis=0), polygon, strict=True):
            before, after = sign * start[axis] - bound, sign * end[axis] - bound
            if before * after < 0:
                inside.append(start + (end - start) * (before / (before - after)))
            if after >= 0:
                inside.append(end)
        polygon = np.array(inside, dtype=np.float64).reshape(-1, 2)
    return polygon


def _turn(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> float:
    """Twice the signed area of a triangle: above 0 where it turns to the left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
