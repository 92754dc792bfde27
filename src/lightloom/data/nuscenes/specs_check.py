"""Scenes checked before they are written: every refusal names the scene, the frame and the field."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lightloom.common.errors import RequestError, nearest
from lightloom.data.nuscenes.classes import ATTRIBUTES, VISIBILITIES, category_of
from lightloom.data.nuscenes.geometry import Array
from lightloom.data.nuscenes.specs import BoxSpec, CameraSpec, FrameSpec, Numbers, SceneSpec


def check_scenes(scenes: Sequence[SceneSpec]) -> None:
    """See that scenes can be written.

    Raises:
        RequestError: There is none, one is broken, or two have the same name.
    """
    if not scenes:
        raise RequestError("There is no scene to write.")
    names = [scene.name for scene in scenes]
    if twice := _repeated(names):
        raise RequestError(f"Two scenes have the name `{twice}`; give each its own.")
    for scene in scenes:
        _check_scene(scene)


def _check_scene(scene: SceneSpec) -> None:
    place = f"Scene `{scene.name}`"
    if not (scene.name and scene.frames and scene.cameras):
        raise RequestError(f"{place} needs a name, a camera and a frame at least.")
    channels = [camera.channel for camera in scene.cameras]
    if twice := _repeated(channels):
        raise RequestError(f"{place} has two cameras `{twice}`; give each its own name.")
    _check_pose(f"{place}, LiDAR", scene.lidar_translation, scene.lidar_rotation)
    for camera in scene.cameras:
        _check_camera(f"{place}, camera `{camera.channel}`", camera)
    for number, (before, after) in enumerate(pairwise(scene.frames), start=1):
        if after.timestamp <= before.timestamp:
            raise RequestError(
                f"{place}, frame {number}: `timestamp` {after.timestamp} is not above {before.timestamp}, that of the "
                "frame before; put the frames in the order of time."
            )
    kinds: dict[str, str] = {}
    for number, frame in enumerate(scene.frames):
        _check_frame(f"{place}, frame {number}", frame, channels, kinds)


def _check_camera(place: str, camera: CameraSpec) -> None:
    if not camera.channel or camera.channel == "LIDAR_TOP":
        raise RequestError(f"{place}: `channel` should be the name of a camera, such as CAM_FRONT.")
    if camera.width < 1 or camera.height < 1:
        raise RequestError(f"{place}: an image of {camera.width} x {camera.height} pixels is none.")
    matrix = _finite(place, "intrinsic", camera.intrinsic, (3, 3))
    if not (matrix[0, 0] > 0 and matrix[1, 1] > 0 and matrix[2].tolist() == [0.0, 0.0, 1.0]):
        raise RequestError(
            f"{place}: `intrinsic` should be [[fx, s, cx], [0, fy, cy], [0, 0, 1]] with fx and fy above 0, got "
            f"{matrix.tolist()}."
        )
    _check_pose(place, camera.translation, camera.rotation)


def _check_frame(place: str, frame: FrameSpec, channels: Sequence[str], kinds: dict[str, str]) -> None:
    """`kinds` has the category of every object of the scene up to now, and is added to."""
    _check_pose(f"{place}, ego pose", frame.ego_translation, frame.ego_rotation)
    if not frame.images:
        raise RequestError(f"{place} has no image; leave the frame out, or give one in `images`.")
    for channel, file in frame.images.items():
        if channel not in channels:
            raise RequestError(f"{place}: `images` names no camera with `{channel}`. {nearest(channel, channels)}")
        if not file:
            raise RequestError(f"{place}: the image of `{channel}` has no file name; leave the camera out.")
    for channel, capture in frame.captures.items():
        if channel not in channels:
            raise RequestError(f"{place}: `captures` names no camera with `{channel}`. {nearest(channel, channels)}")
        _check_pose(f"{place}, capture of `{channel}`", capture.ego_translation, capture.ego_rotation)
    if twice := _repeated([box.instance for box in frame.boxes]):
        raise RequestError(f"{place} has two boxes of the object `{twice}`; give each object its own name.")
    for box in frame.boxes:
        _check_box(f"{place}, object `{box.instance}`", box)
        category = category_of(box.category)
        if kinds.setdefault(box.instance, category) != category:
            raise RequestError(
                f"{place}: the object `{box.instance}` is `{category}` here and `{kinds[box.instance]}` before."
            )


def _check_box(place: str, box: BoxSpec) -> None:
    try:
        category_of(box.category)
    except RequestError as error:
        raise RequestError(f"{place}: {error}") from None
    if box.attribute and box.attribute not in ATTRIBUTES:
        raise RequestError(f"{place}: no attribute `{box.attribute}`. {nearest(box.attribute, ATTRIBUTES)}")
    if box.visibility not in VISIBILITIES:
        raise RequestError(f"{place}: no visibility `{box.visibility}`; choose 1, 2, 3, 4 or nothing.")
    if box.lidar_points < 0 or box.radar_points < 0:
        raise RequestError(f"{place}: a number of points below 0, {box.lidar_points} and {box.radar_points}.")
    _check_pose(place, box.translation, box.rotation)
    if _finite(place, "size", box.size, (3,)).min() <= 0:
        raise RequestError(f"{place}: `size` should be width, length and height above 0, got {list(box.size)}.")


def _check_pose(place: str, translation: Numbers, rotation: Numbers) -> None:
    _finite(place, "translation", translation, (3,))
    if abs(np.linalg.norm(_finite(place, "rotation", rotation, (4,))) - 1) > 1e-3:
        raise RequestError(
            f"{place}: `rotation` should be a quaternion (w, x, y, z) of length 1, got {list(rotation)}."
        )


def _finite(place: str, name: str, numbers: Numbers | Sequence[Numbers], shape: tuple[int, ...]) -> Array:
    try:
        values = np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.full(shape, np.nan)
    if values.shape != shape or not np.isfinite(values).all():
        form = " x ".join(map(str, shape))
        raise RequestError(f"{place}: `{name}` should be {form} finite numbers, got {list(numbers)}.")
    return values


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for place, name in enumerate(names) if name in names[:place]), None)
