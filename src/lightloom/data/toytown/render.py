"""Pictures of the town by exact casting of rays, four to a pixel.

The inverse depth at which a ray meets a plane is an affine function of its pixel: (normal . ray) / (offset - normal .
eye). A ray enters a convex part where the inverse depth is the least over the planes that face the eye, and leaves it
where it is the greatest over the others; so a part costs a few sums of a row and a column, and no division at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightloom.data.toytown.ground import Floats, hazed, paint_ground, paint_shadows, shadow
from lightloom.data.toytown.rig import Camera
from lightloom.data.toytown.solids import FACES, Array, Solid, joined
from lightloom.data.toytown.world import Actor, World

FINE = 2
"""Rays along each side of a pixel."""

_NEAR = 0.1  # m along the optical axis: nothing comes nearer to a camera, which sits well inside the vehicle
_AMBIENT, _FROM_ABOVE, _SUNLIT = 0.60, 0.10, 0.46  # light on a face from all round, from above, from the sun
_LEAST = 1e-3  # 1/m: what is further off is not drawn


class Picture(NamedTuple):
    """What a camera sees."""

    pixels: NDArray[np.uint8]
    """Colours of the pixels [H, W, 3], RGB."""
    seen_pixels: NDArray[np.int64]
    """[actors]: rays that end on each."""
    whole: NDArray[np.int64]
    """[actors]: rays that would, were nothing in front."""


class _Canvas(NamedTuple):
    """What is nearest along each ray, so far."""

    inverse: Floats
    """[rows, columns] in 1/m: inverse depth; 0 for ground and sky."""
    face: NDArray[np.int32]
    """[rows, columns]: part times `FACES` plus face; -1 for ground and sky."""


class Stage(NamedTuple):
    """The parts of all actors of a frame, in the global frame."""

    parts: Solid
    owner: NDArray[np.int64]
    """[parts]: place of the actor."""
    labelled: int
    """Actors that are told apart; behind them come those that are scenery."""
    shadows: tuple[Array, ...]
    """Outlines [n, 2] of shadows on the ground."""


def set_stage(world: World, frame: int, actors: Sequence[Actor]) -> Stage:
    """The actors and all scenery, where they are in a frame, lit by the sun.

    Args:
        world: The scene.
        frame: Number of the frame.
        actors: Things that move or stand.
    """
    cast = [*actors, *world.scenery]
    bodies = [one.body.placed(one.xy[frame], float(one.yaw[frame])) for one in cast]
    owner = np.repeat(np.arange(len(cast)), [len(body) for body in bodies])
    parts = joined(bodies)
    sunlit = np.clip(parts.normals @ world.sun, 0, 1)
    shade = (_AMBIENT + _FROM_ABOVE * parts.normals[..., 2] + _SUNLIT * sunlit) * world.light
    lit = replace(parts, colours=np.clip(parts.colours * shade[..., None], 0, 255))
    shadows = tuple(shadow(_footprint(one, frame), one.size[2], world.sun) for one in actors)
    return Stage(lit, owner, len(actors), shadows)


def take_picture(world: World, frame: int, stage: Stage, camera: Camera) -> Picture:
    """What one camera sees in a frame.

    Args:
        world: The scene.
        frame: Its place.
        stage: Of the same frame.
        camera: Of the vehicle.
    """
    (x, y), yaw = world.ego.xy[frame], float(world.ego.yaw[frame])
    cos, sin = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    eye, rays = turn @ camera.translation + np.array([x, y, 0.0]), turn @ camera.rays
    ground = paint_ground(camera, world.road, float(x), float(y), yaw, world.light)
    paint_shadows(ground, eye, rays, stage.shadows)
    canvas = _Canvas(
        np.zeros((camera.height * FINE, camera.width * FINE), np.float32),
        np.full((camera.height * FINE, camera.width * FINE), -1, np.int32),
    )
    whole = _cast(canvas, stage, eye, rays)
    hit = canvas.face >= 0
    seen_pixels = np.bincount(stage.owner[canvas.face[hit] // FACES], minlength=stage.owner.max(initial=0) + 1)
    distance = np.linalg.norm(stage.parts.corners.mean(axis=1) - eye, axis=1)
    colours = hazed(stage.parts.colours, distance[:, None]).reshape(-1, 3).astype(np.float32)
    pixels = _develop(ground, canvas.face, hit, colours)
    return Picture(pixels, seen_pixels[: stage.labelled], whole[: stage.labelled])


def _cast(canvas: _Canvas, stage: Stage, eye: Array, rays: Array) -> NDArray[np.int64]:
    """Draw all parts; how many rays would end on each actor were it alone."""
    parts, whole = stage.parts, np.zeros(stage.owner.max(initial=0) + 1, np.int64)
    room = parts.offsets - parts.normals @ eye  # below 0 where a plane faces the eye
    fine = np.diag([1 / FINE, 1 / FINE, 1.0])
    planes = (parts.normals @ rays @ fine / np.where(np.abs(room) < 1e-9, 1e-9, room)[..., None]).astype(np.float32)
    facing, sides = room < 0, np.count_nonzero(parts.normals.any(axis=2), axis=1)
    spans = _spans((parts.corners - eye) @ np.linalg.inv(rays @ fine).T, canvas.inverse.shape)
    visible = (spans[:, 0] < spans[:, 2]) & (spans[:, 1] < spans[:, 3]) & facing.any(axis=1)
    for actor in np.unique(stage.owner[visible]):
        mine = np.flatnonzero(visible & (stage.owner == actor))
        left, top = spans[mine, :2].min(axis=0)
        right, bottom = spans[mine, 2:].max(axis=0)
        alone = np.zeros((bottom - top, right - left), bool)
        for part in mine:
            x0, y0, x1, y1 = spans[part]
            real = sides[part]
            hit = _draw(canvas, planes[part, :real], facing[part, :real], int(part), (x0, y0, x1, y1))
            alone[y0 - top : y1 - top, x0 - left : x1 - left] |= hit
        whole[actor] = np.count_nonzero(alone)
    return whole


def _draw(
    canvas: _Canvas, planes: Floats, facing: NDArray[np.bool_], part: int, span: tuple[int, int, int, int]
) -> NDArray[np.bool_]:
    """Draw a part into the part of the canvas that it can be in; where it would be seen, were it alone."""
    x0, y0, x1, y1 = span
    u = np.arange(x0, x1, dtype=np.float32) + np.float32(0.5)
    v = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5)
    rows, columns = planes[:, 1, None, None] * v + planes[:, 2, None, None], planes[:, 0, None] * u
    faces = np.flatnonzero(facing)
    first = rows[faces[0]] + columns[faces[0]]
    name = np.full(first.shape, part * FACES + faces[0], np.int32)
    for face in faces[1:]:
        inverse = rows[face] + columns[face]
        np.copyto(name, np.int32(part * FACES + face), where=inverse < first)
        np.minimum(first, inverse, out=first)
    last = np.full(first.shape, _LEAST, np.float32)
    for face in np.flatnonzero(~facing):
        np.maximum(last, rows[face] + columns[face], out=last)
    hit: NDArray[np.bool_] = first > last
    nearest = hit & (first > canvas.inverse[y0:y1, x0:x1])
    np.copyto(canvas.inverse[y0:y1, x0:x1], first, where=nearest)
    np.copyto(canvas.face[y0:y1, x0:x1], name, where=nearest)
    return hit


def _spans(corners: Array, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Left, top, right, bottom of the pixels that parts can be in: corners [parts, n, 3] as (u d, v d, d)."""
    limit = np.array([shape[1], shape[0]])
    spans = np.zeros((len(corners), 4), np.int64)  # of parts behind the eye
    whole = corners[..., 2].min(axis=1) >= _NEAR
    cut = ~whole & (corners[..., 2].max(axis=1) > _NEAR)
    for selected, points in ((whole, corners[whole]), (cut, _cut(corners[cut]))):
        flat = points[..., :2] / points[..., 2:]
        low, high = np.clip(np.floor(flat.min(axis=1)), 0, limit), np.clip(np.ceil(flat.max(axis=1)), 0, limit)
        spans[selected] = np.concatenate([low, high], axis=1)
    return spans


def _cut(corners: Array) -> Array:
    """The corners [parts, n, 3] of what is left of parts in front of the near plane, [parts, n^2, 3], some repeated."""
    start, end = corners[:, :, None], corners[:, None]
    crosses = (start[..., 2] >= _NEAR) & (end[..., 2] < _NEAR)
    rise = np.where(crosses, start[..., 2] - end[..., 2], 1.0)
    share = np.where(crosses, (start[..., 2] - _NEAR) / rise, 0.0)[..., None]
    points = (start + share * (end - start)).reshape(len(corners), corners.shape[1] ** 2, 3)
    ahead = np.take_along_axis(points, points[..., 2].argmax(axis=1)[:, None, None], axis=1)  # some corner in front
    return np.asarray(np.where(points[..., 2:] >= _NEAR * (1 - 1e-9), points, ahead), dtype=np.float64)


def _develop(ground: Floats, face: NDArray[np.int32], hit: NDArray[np.bool_], colours: Floats) -> NDArray[np.uint8]:
    """Mean over the rays of each pixel, uint8 [H, W, 3]."""
    height, width = ground.shape[:2]
    fine = np.concatenate([colours, np.zeros((1, 3), np.float32)])[face]  # the last row is that of -1
    things = sum(fine[k::FINE, m::FINE] for k in range(FINE) for m in range(FINE))
    remainder = np.float32(1) - hit.reshape(height, FINE, width, FINE).mean(axis=(1, 3), dtype=np.float32)
    picture = things / np.float32(FINE**2) + ground * remainder[..., None]
    return np.asarray(np.clip(picture, 0, 255) + np.float32(0.5), dtype=np.uint8)


def _footprint(actor: Actor, frame: int) -> Array:
    """Corners [4, 2] in m, global."""
    width, length, _ = actor.size
    flat = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * np.array([length, width]) / 2
    cos, sin = np.cos(actor.yaw[frame]), np.sin(actor.yaw[frame])
    return np.asarray(flat @ np.array([[cos, sin], [-sin, cos]]) + actor.xy[frame], dtype=np.float64)
