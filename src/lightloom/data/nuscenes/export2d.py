"""nuScenes boxes as a camera sees them: one COCO file per split.

The rule is the published one for 2-D detection on nuScenes: of every box, the corners in front of the camera are
projected, their convex hull is cut at the edges of the image, and the axis-aligned extent of what is left is the box.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lightloom.common.errors import RequestError
from lightloom.common.files import reserve, write_text
from lightloom.common.marks import claim
from lightloom.common.progress import follow
from lightloom.data.nuscenes.classes import CLASSES, VISIBILITIES, class_of
from lightloom.data.nuscenes.fields import camera_matrix, check_box, checked_pose, file_name, key_frame, pixels
from lightloom.data.nuscenes.geometry import Array, box_corners, clip, convex_hull, global_to_sensor, project
from lightloom.data.nuscenes.splits import check_splits, scene_splits
from lightloom.data.nuscenes.tables import Record, Tables, check_cameras, read_tables

Box = tuple[float, float, float, float]


def export_2d(
    root: Path,
    version: str,
    out: Path,
    *,
    cameras: Sequence[str] = ("CAM_FRONT",),
    splits: Mapping[str, Sequence[str]] | None = None,
    visibilities: Sequence[str] = VISIBILITIES,
) -> dict[str, Path]:
    """Write the boxes of a nuScenes set as COCO files, one per split.

    File names stay relative to `root`. Image and annotation ids are integers from 1 up; `tokens` of the file maps an
    image id to the token of its `sample_data`. A category id is a place in `CLASSES`; key frames without any box are
    kept.

    Args:
        root: Folder of the set.
        version: Folder of its tables, such as v1.0-mini.
        out: Folder for the files `<split>.json`; made where it is not there.
        cameras: Channels whose key frames are taken.
        splits: Names of scenes by split; None takes those of `scene_splits`.
        visibilities: Tokens of `VISIBILITIES` that an annotation may have; all by default, as published.

    Returns:
        The file of each split.

    Raises:
        RequestError: The tables are broken, a camera or a scene is not in them, or `out` cannot be written to.
        WorkError: A file could not be written.
    """
    tables = read_tables(root, version)
    check_cameras(tables, cameras)
    for token in visibilities:
        if token not in VISIBILITIES:
            raise RequestError(f"No visibility `{token}`; choose among {', '.join(map(repr, VISIBILITIES))}.")
    scenes_by_split = (
        scene_splits(tables) if splits is None else {name: tuple(scenes) for name, scenes in splits.items()}
    )
    scenes_by_split = check_splits(tables, scenes_by_split)
    folder = claim(out, "boxes")
    reserve(*(folder / f"{split}.json" for split in scenes_by_split))
    files = {}
    for split, scenes in scenes_by_split.items():
        files[split] = folder / f"{split}.json"
        frames = list(key_frames(tables, scenes, cameras))
        write_text(files[split], json.dumps(coco(tables, split, frames, visibilities), allow_nan=False) + "\n")
    return files


def key_frames(tables: Tables, scenes: Iterable[str], cameras: Sequence[str]) -> Iterator[Record]:
    """Records of `sample_data` of the cameras' key frames: by scene, then by time, then in the order of `cameras`.

    Args:
        tables: The tables of the set.
        scenes: Names of scenes.
        cameras: Channels of the cameras.
    """
    by_name = {scene["name"]: scene for scene in tables["scene"].values()}
    for name in scenes:
        for sample in tables.samples(by_name[name]):
            data = [row for row in tables.of_sample("sample_data", sample["token"]) if key_frame(tables, row)]
            by_channel = {tables.channel(record): record for record in data}
            yield from (by_channel[camera] for camera in cameras if camera in by_channel)


def coco(tables: Tables, split: str, frames: Sequence[Record], visibilities: Sequence[str]) -> dict[str, Any]:
    """The content of the COCO file of one split.

    Args:
        tables: The tables of the set.
        split: Name of the split.
        frames: Records of `sample_data`, one an image.
        visibilities: Tokens of `visibility` whose annotations count.
    """
    annotations: list[dict[str, Any]] = []
    with follow(f"boxes of {split}", len(frames)) as report:
        for number, frame in enumerate(frames, start=1):
            for annotation, label, box in seen_boxes(tables, frame, visibilities):
                annotations.append(_coco_box(len(annotations) + 1, number, annotation, label, box))
            report(number, str(frame["filename"]))
    return {
        "info": {"description": f"nuScenes {tables.version}, {split}: 3-D boxes as seen in the images"},
        "images": [_coco_image(tables, number, frame) for number, frame in enumerate(frames, start=1)],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES)],
        "tokens": {str(number): frame["token"] for number, frame in enumerate(frames, start=1)},
    }


def _coco_image(tables: Tables, number: int, frame: Record) -> dict[str, Any]:
    width, height = pixels(tables, frame)
    return {
        "id": number,
        "file_name": file_name(tables, frame),
        "width": width,
        "height": height,
        "token": frame["token"],
        "sample_token": frame["sample_token"],
        "camera": tables.channel(frame),
    }


def _coco_box(number: int, image: int, annotation: Record, label: int, box: Box) -> dict[str, Any]:
    left, top, right, bottom = box
    return {
        "id": number,
        "image_id": image,
        "category_id": label,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "iscrowd": 0,
        "token": annotation["token"],
        "visibility": annotation["visibility_token"],
    }


def seen_boxes(tables: Tables, frame: Record, visibilities: Sequence[str]) -> Iterator[tuple[Record, int, Box]]:
    """Annotations that a camera sees, each with its class and its box (x0, y0, x1, y1) in pixels.

    Args:
        tables: The tables of the set.
        frame: The record of `sample_data` of an image.
        visibilities: Tokens of `visibility` whose annotations count.
    """
    calibrated = tables["calibrated_sensor"][frame["calibrated_sensor_token"]]
    ego = checked_pose(tables, "ego_pose", frame["ego_pose_token"])
    sensor = checked_pose(tables, "calibrated_sensor", calibrated["token"])
    intrinsic, (width, height) = camera_matrix(tables, calibrated), pixels(tables, frame)
    for annotation in tables.of_sample("sample_annotation", frame["sample_token"]):
        name = class_of(tables.category(annotation))
        if name is None or annotation["visibility_token"] not in visibilities:
            continue
        check_box(tables, annotation)
        corners = box_corners(annotation["translation"], annotation["size"], annotation["rotation"])
        points = global_to_sensor(corners, ego, sensor)
        if box := box_2d(points, intrinsic, width, height):
            yield annotation, CLASSES.index(name), box


def box_2d(corners: Array, intrinsic: ArrayLike, width: int, height: int) -> Box | None:
    """The extent of a box in an image, by the published rule.

    Where a box reaches behind the camera its corners there are left out, so that the extent is that of its other
    corners alone.

    Args:
        corners: Of the box [8, 3] in m, in the camera's frame.
        intrinsic: Camera matrix [3, 3].
        width: Of the image in pixels.
        height: Of the image in pixels.

    Returns:
        (x0, y0, x1, y1) in pixels with exclusive far edges; None where the centre lies behind the camera, or the hull
        misses the image or only touches it.
    """
    if corners[:, 2].mean() <= 0:
        return None
    hull = clip(convex_hull(project(corners[corners[:, 2] > 0], intrinsic)), width, height)
    if not len(hull):
        return None
    (left, top), (right, bottom) = np.min(hull, axis=0).tolist(), np.max(hull, axis=0).tolist()
    return (left, top, right, bottom) if right > left and bottom > top else None
