"""Own multi-camera data, described in one file, as tables in the form of nuScenes.

The form of the description is in `lightloom.data.nuscenes.own`. Images stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import read_json
from lightloom.common.progress import follow
from lightloom.data.nuscenes.geometry import Pose, quaternion
from lightloom.data.nuscenes.own import OwnBox, OwnCamera, OwnData, OwnFrame, OwnScene
from lightloom.data.nuscenes.specs import BoxSpec, CameraSpec, CaptureSpec, FrameSpec, SceneSpec
from lightloom.data.nuscenes.write import write_tables

STILL = Pose(np.eye(3), np.zeros(3))
"""A vehicle whose frame is the global frame."""


def convert_own(description: Path, root: Path, version: str = "v1.0-own") -> Path:
    """Write the tables of own data.

    Args:
        description: A JSON or YAML file in the form of `lightloom.data.nuscenes.own`.
        root: Folder that the image files in it are relative to; the tables go into a folder of it.
        version: Name of that folder.

    Returns:
        `root`.

    Raises:
        RequestError: The description is not right, an image is missing, of another size than its camera, or not an
            image, or `root` cannot be written to; the scene, the frame and the field are named.
        WorkError: A file could not be written.
    """
    given = OwnData.parse(_read(description), where=f"`{description}`")
    if given.boxes_in == "lidar" and given.lidar is None:
        raise RequestError(f"`{description}`: `boxes_in: lidar` needs the pose of the LiDAR in `lidar`.")
    scenes = [_scene(given, number, raw, root.expanduser()) for number, raw in enumerate(given.scenes)]
    return write_tables(scenes, root.expanduser(), version, given.splits)


def _read(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise RequestError(f"The description `{file}` is missing.")
    content = read_json(file) if file.suffix == ".json" else _read_yaml(file)
    if not isinstance(content, dict):
        raise RequestError(f"`{file}` should hold `cameras` and `scenes` at its top.")
    return content


def _read_yaml(file: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"`{file}` is not YAML: {error}.") from None


def _scene(given: OwnData, number: int, raw: Mapping[str, Any], root: Path) -> SceneSpec:
    scene = OwnScene.parse(raw, where=f"Scene {number}")
    frames = []
    with follow(f"images of {scene.name}", len(scene.frames)) as report:
        for count, raw_frame in enumerate(scene.frames):
            place = f"Scene `{scene.name}`, frame {count}"
            frame = OwnFrame.parse(raw_frame, where=place)
            _check_files(place, frame, given.cameras, root)
            frames.append(_frame(place, frame, count, given))
            report(count + 1, place)
    whole = SceneSpec(scene.name, tuple(map(_camera, given.cameras)), tuple(frames), scene.description)
    if given.lidar is None:
        return whole
    lidar = given.lidar.pose
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
        if (found := _image_size(place, path)) != (width, height):
            raise RequestError(
                f"{place}: `{path}` has {found[0]} x {found[1]} pixels and its camera `{name}` {width} x {height}: "
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


def _frame(place: str, frame: OwnFrame, number: int, given: OwnData) -> FrameSpec:
    ego = frame.ego.pose if frame.ego is not None else STILL
    base = {
        "global": STILL,
        "ego": ego,
        "lidar": ego.compose(given.lidar.pose) if given.lidar is not None else ego,
    }[given.boxes_in]
    boxes = (_box(f"{place}, box {order}", raw, f"{number}-{order}", base) for order, raw in enumerate(frame.boxes))
    return FrameSpec(
        timestamp=_microseconds(frame.time),
        ego_translation=ego.translation.tolist(),
        ego_rotation=quaternion(ego.rotation).tolist(),
        images=frame.images,
        boxes=tuple(boxes),
        lidar=frame.lidar,
        captures={
            name: CaptureSpec(
                _microseconds(capture.time),
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


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
