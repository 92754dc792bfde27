"""A LiDAR on the roof: a point for each ray that ends on a thing or on the ground."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightloom.data.toytown.render import Stage
from lightloom.data.toytown.solids import Array
from lightloom.data.toytown.world import World

MOUNT = (0.94, 0.0, 1.84)
"""m: where it sits, in the ego frame; its own frame has x to the right, y ahead, z up."""

_BEAMS, _TURNS = 32, 720  # rays up and down, rays round
_ELEVATION = (-30.0, 10.0)  # degrees, of the lowest and the highest beam
_RANGE = 60.0  # m
_CLOSE = 1.0  # m: a part that comes this near is looked for all round
_BRIGHT = 255.0


class Scan(NamedTuple):
    """One turn."""

    points: NDArray[np.float32]
    """[n, 5]: x, y, z in m in the frame of the LiDAR, brightness 0 ... 255, number of the beam from below: the form of
    nuScenes."""
    hits: NDArray[np.int64]
    """[actors]: points on each."""


def scan(world: World, frame: int, stage: Stage) -> Scan:
    """What a LiDAR measures, without noise, all at once.

    Args:
        world: The scene.
        frame: Its place.
        stage: Of the same frame.
    """
    yaw = float(world.ego.yaw[frame])
    cos, sin = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    eye = turn @ np.array(MOUNT) + np.array([*world.ego.xy[frame], 0.0])
    own = _directions()
    rays = own @ turn.T
    inverse = np.maximum(-rays[..., 2] / eye[2], 1 / _RANGE)  # of the ground, 1/m
    nearest, brightness = np.full(inverse.shape, -1), np.full(inverse.shape, 0.3 * _BRIGHT)
    parts = stage.parts
    room = parts.offsets - parts.normals @ eye
    for part in np.flatnonzero((room < 0).any(axis=1)):
        columns = _columns((parts.corners[part] - eye) @ turn)
        slopes = rays[columns] @ parts.normals[part].T / np.where(np.abs(room[part]) < 1e-9, 1e-9, room[part])
        facing = room[part] < 0
        enter = np.where(facing, slopes, np.inf).min(axis=-1)
        leave = np.where(facing, -np.inf, slopes).max(axis=-1, initial=0.0)
        hit = (enter > leave) & (enter > inverse[columns])
        inverse[columns] = np.where(hit, enter, inverse[columns])
        nearest[columns] = np.where(hit, stage.owner[part], nearest[columns])
        brightness[columns] = np.where(hit, parts.colours[part].mean(), brightness[columns])
    back = inverse > 1 / _RANGE
    forward, left, up = np.moveaxis(own / inverse[..., None], -1, 0)
    beam = np.broadcast_to(np.arange(_BEAMS), inverse.shape)
    points = np.stack([-left, forward, up, brightness, beam], axis=-1)[back].astype(np.float32)
    labels = nearest[back & (nearest >= 0) & (nearest < stage.labelled)]
    return Scan(points, np.bincount(labels, minlength=stage.labelled))


def _directions() -> Array:
    """[turns, beams, 3], length 1, in the ego frame; the first turn looks ahead, the next ones to its left."""
    low, high = np.radians(_ELEVATION)
    rise = np.linspace(low, high, _BEAMS)
    angle = np.arange(_TURNS)[:, None] * (2 * np.pi / _TURNS)
    flat = np.cos(rise) * np.stack([np.cos(angle), np.sin(angle)])
    return np.stack([*flat, np.broadcast_to(np.sin(rise), flat[0].shape)], axis=-1)


def _columns(corners: Array) -> NDArray[np.int64]:
    """The turns that can meet a part with corners [n, 3], seen from the LiDAR."""
    x, y = corners[:, 0], corners[:, 1]
    middle = np.arctan2(y.mean(), x.mean())
    off = np.angle(np.exp(1j * (np.arctan2(y, x) - middle)))
    if np.hypot(x, y).min() < _CLOSE or np.ptp(off) > np.pi / 2:
        return np.arange(_TURNS)
    step = 2 * np.pi / _TURNS
    first, last = np.floor((middle + off.min()) / step), np.ceil((middle + off.max()) / step)
    return np.arange(int(first), int(last) + 1) % _TURNS
