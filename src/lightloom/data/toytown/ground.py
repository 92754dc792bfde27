"""What lies behind all things: the ground that a pixel looks at, shadows on it, and the sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lightloom.common.seeds import named_seed
from lightloom.data.nuscenes.geometry import convex_hull
from lightloom.data.toytown.rig import Camera
from lightloom.data.toytown.road import LANE, Road
from lightloom.data.toytown.solids import Array

Floats = NDArray[np.float32]

HAZE: tuple[float, float, float] = (206.0, 216.0, 226.0)
"""Colour of the far distance."""

_SKY = (124.0, 168.0, 226.0)
_FAR = 110.0  # m at which haze has taken all but 1/e of a colour
_ASPHALT, _STRIP, _PAVEMENT, _KERB = (
    (98.0, 100.0, 105.0),
    (88.0, 89.0, 94.0),
    (170.0, 163.0, 154.0),
    (196.0, 194.0, 190.0),
)
_LINE, _MIDDLE = (226.0, 226.0, 222.0), (216.0, 182.0, 70.0)
_YARDS = ((112.0, 142.0, 90.0), (164.0, 154.0, 134.0), (138.0, 139.0, 138.0))
_SHADE = 0.55  # light left in a shadow
_TALLEST = 4.0  # m: shadows of what is higher are no longer
_NEAR = 0.2  # m along the optical axis: shadows that come nearer are looked for in the whole image
_HORIZON = 0.004  # rays flatter than this see sky


def hazed(colours: Array, distance: Array) -> Array:
    """Colours [..., 3] as they look from `distance` [...] m away.

    Args:
        colours: [..., 3], 0 ... 255.
        distance: [...] in m.
    """
    remainder = np.exp(-distance / _FAR)[..., None]
    return np.asarray(colours * remainder + np.array(HAZE) * (1 - remainder), dtype=np.float64)


def paint_ground(camera: Camera, road: Road, x: float, y: float, yaw: float, light: float) -> Floats:
    """The empty town, seen by a camera of a vehicle at (x, y) with heading `yaw`.

    Args:
        camera: Of the vehicle.
        road: Of the scene.
        x: Global, m.
        y: Likewise.
        yaw: rad.
        light: Of the day, about 1.

    Returns:
        [H, W, 3], 0 ... 255.
    """
    cos, sin = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    rays = (turn @ camera.rays).astype(np.float32)
    u = np.arange(camera.width, dtype=np.float32) + np.float32(0.5)
    v = np.arange(camera.height, dtype=np.float32)[:, None] + np.float32(0.5)
    ahead, left, up = (rays[k, 0] * u + (rays[k, 1] * v + rays[k, 2]) for k in range(3))
    level = np.sqrt(ahead * ahead + left * left)
    height = np.clip(up / level * np.float32(2.2), 0, 1)[..., None]
    picture = np.array(HAZE, np.float32) * (1 - height) + np.array(_SKY, np.float32) * height
    top = int(np.flatnonzero((up < -_HORIZON).any(axis=1))[0])  # rows above see nothing but sky
    below = up[top:] < -_HORIZON
    depth = -np.float32(camera.translation[2]) / np.minimum(up[top:], np.float32(-_HORIZON))
    eye = turn @ camera.translation + np.array([x, y, 0.0])
    near = replace(road, x=road.x - eye[0], y=road.y - eye[1])  # float32 is fine enough close to 0
    s, t = near.locate(depth * ahead[top:], depth * left[top:])
    ground = _surface(near, s, t, _footprint(s), _footprint(t)) * np.float32(light)
    clear = np.exp(depth * level[top:] / np.float32(-_FAR))[..., None]
    ground = ground * clear + np.array(HAZE, np.float32) * (1 - clear)
    picture[top:] = np.where(below[..., None], ground, picture[top:])
    return np.asarray(picture, dtype=np.float32)


def shadow(corners: Array, tall: float, sun: Array) -> Array:
    """Outline [n, 2] in m of the shadow of an upright box on the ground, with the ground below the box.

    Args:
        corners: [4, 2] in m, of its footprint.
        tall: Its height in m.
        sun: [3], towards the sun.
    """
    return convex_hull(np.concatenate([corners, corners - sun[:2] / sun[2] * min(tall, _TALLEST)]))


def paint_shadows(picture: Floats, eye: Array, rays: Array, shadows: Sequence[Array]) -> None:
    """Darken a picture of the ground where things keep the sun off; in place.

    A shadow is convex, and so is its image: each of its edges and the eye span a plane, and the side of it that a
    pixel is on is an affine function of the pixel.

    Args:
        picture: [H, W, 3].
        eye: [3] in m, global.
        rays: [3, 3]: homogeneous pixel to a global direction.
        shadows: Outlines [n, 2] in m, global.
    """
    height, width = picture.shape[:2]
    to_pixels = np.linalg.inv(rays).T
    for shape in shadows:
        bottom = np.column_stack([shape, np.zeros(len(shape))]) - eye
        in_camera = bottom @ to_pixels
        if in_camera[:, 2].max() < _NEAR:
            continue
        x0, y0, x1, y1 = 0, 0, width, height
        if in_camera[:, 2].min() > _NEAR:
            flat = in_camera[:, :2] / in_camera[:, 2:]
            x0, y0 = np.clip(np.floor(flat.min(0)), 0, (width, height)).astype(int)
            x1, y1 = np.clip(np.ceil(flat.max(0)) + 1, 0, (width, height)).astype(int)
        if x0 >= x1 or y0 >= y1:
            continue
        ahead = np.roll(bottom, -1, axis=0)
        edges = np.cross(bottom, ahead) @ rays  # below 0 inside
        edges = (edges / np.linalg.norm(edges[:, :2], axis=1, keepdims=True)).astype(np.float32)
        u = np.arange(x0, x1, dtype=np.float32) + np.float32(0.5)
        v = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5)
        outside = edges[0, 0] * u + (edges[0, 1] * v + edges[0, 2])
        for edge in edges[1:]:
            np.maximum(outside, edge[0] * u + (edge[1] * v + edge[2]), out=outside)
        cover = np.clip(np.float32(0.5) - outside, 0, 1)
        picture[y0:y1, x0:x1] *= (1 - np.float32(1 - _SHADE) * cover)[..., None]


def _surface(road: Road, s: Floats, t: Floats, fs: Floats, ft: Floats) -> Floats:
    """Colours [..., 3] of places on the ground; `fs` and `ft` are the m along and across that a pixel takes in."""
    aside = np.abs(t)
    grain = _grain(s, t, np.maximum(fs, ft))
    picture = _blend(np.array(_YARDS[road.yard], np.float32), _PAVEMENT, _cover(aside, 0, road.edge, ft))
    picture = picture + (grain * np.where(aside > road.edge, np.float32(15), np.float32(7)))[..., None]
    joints = _stripes(s, 2.0, 0.1, fs) * _cover(aside, road.walk, road.edge, ft)
    picture = _blend(picture, (140.0, 134.0, 126.0), joints)
    paved = _cover(aside, 0, road.walk, ft)
    ground = _blend(np.array(_ASPHALT, np.float32), _STRIP, _cover(aside, road.kerb, road.walk, ft))
    ground = ground + (grain * np.float32(6))[..., None]
    ticks = _stripes(s, 6.5, 0.16, fs) * _cover(aside, road.kerb, road.walk, ft)
    lines = np.maximum(ticks, _cover(aside, road.kerb - 0.09, road.kerb + 0.09, ft))
    dashes = _stripes(s, 6.0, 3.0, fs)
    for lane in range(1, road.lanes):
        lines = np.maximum(lines, dashes * _cover(aside, lane * LANE - 0.08, lane * LANE + 0.08, ft))
    middle = _cover(aside, 0.08, 0.22, ft)
    kerb = _cover(aside, road.walk, road.walk + 0.22, ft)
    if np.isfinite(road.crossing):
        off = np.abs(s - np.float32(road.crossing))
        street = _cover(off, 0, 4.0, fs)
        zebra = _cover(off, 4.6, 7.2, fs) * _stripes(t, 1.1, 0.55, ft) * _cover(aside, 0, road.kerb, ft)
        lines = np.maximum(lines * (1 - _cover(off, 0, 7.6, fs)), zebra)
        middle, kerb = middle * (1 - _cover(off, 0, 7.5, fs)), kerb * (1 - street)
        paved = np.maximum(paved, street)
    picture = _blend(picture, ground, paved)
    return _blend(_blend(_blend(picture, _LINE, lines), _MIDDLE, middle), _KERB, kerb)


def _blend(below: Floats, above: Floats | tuple[float, float, float], share: Floats) -> Floats:
    return np.asarray(below + (np.asarray(above, np.float32) - below) * share[..., None], dtype=np.float32)


def _cover(at: Floats, start: float, end: float, wide: Floats) -> Floats:
    """Share of the span of `wide` m about `at` that lies between start and end."""
    half = wide / 2
    shared = np.minimum(at + half, np.float32(end)) - np.maximum(at - half, np.float32(start))
    return np.asarray(np.clip(shared / wide, 0, 1), dtype=np.float32)


def _stripes(at: Floats, period: float, line: float, wide: Floats) -> Floats:
    """Share of the span of `wide` m about `at` that stripes take: `line` m of every `period` m."""
    half = wide / np.float32(2)
    painted = _striped(at + half, period, line) - _striped(at - half, period, line)
    return np.asarray(np.clip(painted / wide, 0, 1), dtype=np.float32)


def _striped(at: Floats, period: float, line: float) -> Floats:
    """Metres of stripes from 0 to `at`."""
    whole = np.floor(at / np.float32(period))
    return np.asarray(
        whole * np.float32(line) + np.minimum(at - whole * np.float32(period), np.float32(line)), dtype=np.float32
    )


def _footprint(at: Floats) -> Floats:
    """Change of a coordinate over a pixel, at least 1 cm."""
    right = np.abs(np.diff(at, axis=1, append=at[:, -1:]))
    down = np.abs(np.diff(at, axis=0, append=at[-1:]))
    return np.asarray(np.maximum(right, down) + np.float32(0.01), dtype=np.float32)


def _grain(s: Floats, t: Floats, wide: Floats) -> Floats:
    """Spots of half a metre, -1 ... 1, that fade where a pixel takes in more than one."""
    tile = _tile()
    rows, columns = (
        np.floor(np.clip(at, -1e4, 1e4) * np.float32(2)).astype(np.int32) & (len(tile) - 1) for at in (s, t)
    )
    return np.asarray(tile[rows, columns] * np.clip(np.float32(0.8) / wide, 0, 1), dtype=np.float32)


@cache
def _tile() -> Floats:
    """[128, 128] of evenly distributed numbers between -1 and 1."""
    return np.random.default_rng(named_seed(0, "toytown", "grain")).uniform(-1, 1, (128, 128)).astype(np.float32)
