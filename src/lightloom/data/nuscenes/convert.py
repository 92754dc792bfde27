"""Own multi-camera data, described in one file, as tables in the form of nuScenes.

The form of the description is in `lightloom.data.nuscenes.own`. Images stay where they are.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import write_json
from lightloom.common.progress import follow
from lightloom.data.nuscenes.boxes import LONGEST
from lightloom.data.nuscenes.description import read_description
from lightloom.data.nuscenes.geometry import Pose, quaternion
from lightloom.data.nuscenes.own import OwnBox, OwnCamera, OwnData, OwnFrame, OwnScene
from lightloom.data.nuscenes.specs import BoxSpec, CameraSpec, CaptureSpec, FrameSpec, SceneSpec
from lightloom.data.nuscenes.times import Clock, Number, check_capture, check_microseconds, clock_of, counts_frames
from lightloom.data.nuscenes.write import write_tables

if TYPE_CHECKING:
    from lightloom.data.detection.records import Problem

PROBLEMS = "problems.json"
"""Name of the file beside the tables that says what had to be assumed."""
_LOG = logging.getLogger("lightloom")

STILL = Pose(np.eye(3), np.zeros(3))
"""A vehicle whose frame is the global frame."""


def convert_own(description: Path, root: Path, version: str = "v1.0-own") -> Path:
    """Write the tables of own data, and beside them `problems.json`: what had to be assumed, and what stays unknown.

    Args:
        description: A JSON or YAML file in the form of `lightloom.data.nuscenes.own`.
        root: Folder that the image files in it are relative to; the tables go into a folder of it.
        version: Name of that folder.

    Returns:
        `root`.

    Raises:
        RequestError: The description is not right, the unit of its times is not clear, an image is missing, of another
            size than its camera, or not an image, or `root` cannot be written to; the scene, the frame and the field
            are named.
        WorkError: A file could not be written.
    """
    where = f"`{description}`"
    own_data = OwnData.parse(read_description(description), where=where)
    if own_data.boxes_in == "lidar" and own_data.lidar is None:
        raise RequestError(f"{where}: `boxes_in: lidar` needs the pose of the LiDAR in `lidar`.")
    drives = _drives(own_data)
    clock = clock_of(_times(drives), own_data.times_in, own_data.frame_rate)
    specs = [_scene(own_data, scene, frames, clock, root.expanduser()) for scene, frames in drives]
    for spec in specs:
        check_microseconds(f"Scene `{spec.name}`", [frame.timestamp for frame in spec.frames])
    write_tables(specs, root.expanduser(), version, own_data.splits)
    problems = [*_time_problems(own_data, drives, clock), *_velocity_problems(specs)]
    for problem in problems:
        _LOG.warning("%s: %s (%s).", problem.where, problem.what, problem.done)
    write_json(root.expanduser() / version / PROBLEMS, [problem._asdict() for problem in problems])
    return root


Drive = tuple[OwnScene, tuple[OwnFrame, ...]]


def _drives(own_data: OwnData) -> list[Drive]:
    drives: list[Drive] = []
    for number, raw in enumerate(own_data.scenes):
        scene = OwnScene.parse(raw, where=f"Scene {number}")
        frames = (OwnFrame.parse(each, where=_place(scene, count)) for count, each in enumerate(scene.frames))
        drives.append((scene, tuple(frames)))
    return drives


def _place(scene: OwnScene, count: int) -> str:
    return f"Scene `{scene.name}`, frame {count}"


def _times(drives: Sequence[Drive]) -> dict[str, list[Number]]:
    """Times of the frames of each scene; scenes of one name, which are refused later, apart."""
    named: dict[str, list[Number]] = {}
    for scene, frames in drives:
        named.setdefault(scene.name, [frame.time for frame in frames])
    return named


def _time_problems(own_data: OwnData, drives: Sequence[Drive], clock: Clock) -> list[Problem]:
    """What was assumed of times that say no unit themselves."""
    from lightloom.data.detection.records import Problem

    if own_data.times_in is not None or own_data.frame_rate is not None:
        return []
    if clock.unit != "s":
        return [Problem("unit of times", "all scenes", f"times are in {clock.unit}, by their size", "converted")]
    return [
        Problem(
            "unit of times",
            f"scene `{scene}`",
            f"times {times[0]}, {times[1]} ... may be numbers of frames, and are taken for seconds; if they are, give "
            "`frame_rate`, else `times_in: s`",
            "kept",
        )
        for scene, times in _times(drives).items()
        if counts_frames(times)
    ]


def _velocity_problems(scenes: Sequence[SceneSpec]) -> list[Problem]:
    """Said where no box of any scene will have a velocity."""
    from lightloom.data.detection.records import Problem

    every = [(frame.timestamp, box.instance) for scene in scenes for frame in scene.frames for box in frame.boxes]
    if not every or any(_has_velocity(scene) for scene in scenes):
        return []
    if all(len(list(samples)) == 1 for scene in scenes for samples in _samples_of(scene).values()):
        reason = "no object is there in two frames: give the boxes of one object the same `id` in all of its frames"
    else:
        reason = f"no object is there twice within {LONGEST} s: frames are too far apart, or `times_in` is another"
    what = f"the velocity of all {len(every)} boxes is unknown, since {reason}"
    return [Problem("unknown velocities", "all scenes", what, "kept")]


def _samples_of(scene: SceneSpec) -> dict[str, list[int]]:
    """Timestamps of each object, in the order of time."""
    samples: dict[str, list[int]] = {}
    for frame in scene.frames:
        for box in frame.boxes:
            samples.setdefault(box.instance, []).append(frame.timestamp)
    return samples


def _has_velocity(scene: SceneSpec) -> bool:
    """Whether two boxes of an object follow each other soon enough, see `boxes.velocity`."""
    return any(
        (after - before) * 1e-6 <= LONGEST
        for samples in _samples_of(scene).values()
        for before, after in pairwise(samples)
    )


def _scene(own_data: OwnData, scene: OwnScene, frames: Sequence[OwnFrame], clock: Clock, root: Path) -> SceneSpec:
    specs = []
    with follow(f"images of {scene.name}", len(frames)) as report:
        for count, frame in enumerate(frames):
            place = _place(scene, count)
            _check_files(place, frame, own_data.cameras, root)
            specs.append(_frame(place, frame, count, own_data, clock))
            report(count + 1, place)
    whole = SceneSpec(scene.name, tuple(map(_camera, own_data.cameras)), tuple(specs), scene.description)
    if own_data.lidar is None:
        return whole
    lidar = own_data.lidar.pose
    return replace(
        whole, lidar_translation=lidar.translation.tolist(), lidar_rotation=quaternion(lidar.rotation).tolist()
    )


def _camera(camera: OwnCamera) -> CameraSpec:
    return CameraSpec(
        camera.name,
        camera.width,
        camera.height,
        camera.camera_matrix.tolist(),
        camera.pose.translation.tolist(),
        quaternion(camera.pose.rotation).tolist(),
    )


def _check_files(place: str, frame: OwnFrame, cameras: Sequence[OwnCamera], root: Path) -> None:
    """See that the files of a frame are there, and that images have the size that their camera matrix is for."""
    by_name = {camera.name: camera for camera in cameras}
    for name, file in frame.images.items():
        if name not in by_name:
            raise RequestError(f"{place}: `images` names no camera with `{name}`. {nearest(name, by_name)}")
        path = _existing(f"{place}, image of `{name}`", root, file)
        width, height = by_name[name].width, by_name[name].height
        if (file_size := _image_size(place, path)) != (width, height):
            raise RequestError(
                f"{place}: `{path}` has {file_size[0]} x {file_size[1]} pixels and its camera `{name}` "
                f"{width} x {height}: "
                "give the size and the camera matrix of the images as they are."
            )
    if frame.lidar:
        _existing(f"{place}, `lidar`", root, frame.lidar)


def _existing(place: str, root: Path, file: str) -> Path:
    if not file or PurePath(file).is_absolute():
        raise RequestError(f"{place}: {file!r} should be the name of a file relative to `{root}`.")
    if not (root / file).is_file():
        raise RequestError(f"{place}: `{root / file}` is missing. File names are relative to `{root}`.")
    return root / file


def _image_size(place: str, path: Path) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise RequestError(f"{place}: `{path}` is no image that can be read: {error}.") from None


def _frame(place: str, frame: OwnFrame, number: int, own_data: OwnData, clock: Clock) -> FrameSpec:
    ego = frame.ego.pose if frame.ego is not None else STILL
    base = {
        "global": STILL,
        "ego": ego,
        "lidar": ego.compose(own_data.lidar.pose) if own_data.lidar is not None else ego,
    }[own_data.boxes_in]
    for name, capture in frame.captures.items():
        check_capture(f"{place}, capture of `{name}`", clock, frame.time, capture.time)
    boxes = (_box(f"{place}, box {order}", raw, f"{number}-{order}", base) for order, raw in enumerate(frame.boxes))
    return FrameSpec(
        timestamp=clock.microseconds(frame.time),
        ego_translation=ego.translation.tolist(),
        ego_rotation=quaternion(ego.rotation).tolist(),
        images=frame.images,
        boxes=tuple(boxes),
        lidar=frame.lidar,
        captures={
            name: CaptureSpec(
                clock.microseconds(capture.time),
                capture.pose.translation.tolist(),
                quaternion(capture.pose.rotation).tolist(),
            )
            for name, capture in frame.captures.items()
        },
    )


def _box(place: str, raw: Mapping[str, Any], alone: str, base: Pose) -> BoxSpec:
    """A box of the global frame; `alone` is the name of an object that has no id."""
    if not isinstance(raw.get("class"), str):
        raise RequestError(f"{place}: `class` should be a detection class such as car, got {raw.get('class')!r}.")
    box = OwnBox.parse({key: value for key, value in raw.items() if key != "class"}, where=place)
    return BoxSpec(
        instance=f"box {alone}" if box.id is None else f"id {box.id}",
        category=raw["class"],
        translation=base.to_parent(np.array(box.center)).tolist(),
        size=box.size,
        rotation=quaternion(base.rotation @ box.turn).tolist(),
        attribute=box.attribute,
        visibility=box.visibility,
        lidar_points=box.points,
    )
