"""Scenes written as the thirteen tables of nuScenes: for this library's readers and for those of others.

All tokens are hashes of names, so that the same scenes always give the same files. What other readers ask for is
there: a map whose mask exists, a LiDAR record in every frame (its file may be absent), all chains, and `splits.json`.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lightloom.common.files import make_folder, reserve, write_bytes, write_json, write_text
from lightloom.common.marks import claim
from lightloom.data.nuscenes.classes import ATTRIBUTES, CATEGORIES, category_of
from lightloom.data.nuscenes.specs import (
    BoxSpec,
    CameraSpec,
    CaptureSpec,
    FrameSpec,
    Numbers,
    SceneSpec,
)
from lightloom.data.nuscenes.specs_check import check_scenes
from lightloom.data.nuscenes.splits import check_splits
from lightloom.data.nuscenes.tables import TABLES, Record, Tables

__all__ = ["BoxSpec", "CameraSpec", "CaptureSpec", "FrameSpec", "SceneSpec", "token_of", "write_tables"]

LIDAR = "LIDAR_TOP"
MASK = "maps/empty.png"
"""A map of nothing, relative to the root: readers of others open one."""

_LEVELS = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}

Rows = dict[str, list[Record]]


def write_tables(
    scenes: Sequence[SceneSpec],
    root: Path,
    version: str,
    splits: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write scenes as a set in the form of nuScenes; images and LiDAR files are neither made nor looked for.

    Args:
        scenes: In the order in which they are written.
        root: Folder that the file names in the scenes start from; made where it is not there.
        version: Name of the folder of the tables in `root`; for the official tools of nuScenes any name will do.
        splits: Names of scenes by split, for `splits.json`; None puts all scenes in the split `all`.

    Returns:
        `root`.

    Raises:
        RequestError: A scene is not right (its name, the frame and the field are named), two scenes have one name, a
            split names a scene that is not there, or `root` cannot be written to or holds other tables there.
        WorkError: A file could not be written.
    """
    check_scenes(scenes)
    rows = table_rows(scenes)
    tables = Tables(root, version, {name: {row["token"]: row for row in rows[name]} for name in TABLES})
    scenes_by_split = {"all": tuple(scene.name for scene in scenes)} if splits is None else splits
    checked_splits = check_splits(tables, {split: tuple(names) for split, names in scenes_by_split.items()})
    claim(root, "tables")
    folder = make_folder(root / version)
    make_folder((root / MASK).parent)
    reserve(root / MASK, folder / "splits.json", *(folder / f"{name}.json" for name in TABLES))
    write_bytes(root / MASK, _empty_map())
    for name in TABLES:
        lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows[name])
        write_text(folder / f"{name}.json", f"[\n{lines}\n]\n")
    write_json(folder / "splits.json", checked_splits)
    return root


def token_of(*names: str | int) -> str:
    """The token of a record: 32 hexadecimal digits that its names alone decide.

    Args:
        names: Of the table, then those that tell its records apart: ("sample", scene, number of the frame).
    """
    return hashlib.blake2b(json.dumps(names).encode(), digest_size=16).hexdigest()


def table_rows(scenes: Sequence[SceneSpec]) -> Rows:
    """The records of all tables, of scenes that were checked."""
    rows: Rows = {name: [] for name in TABLES}
    rows["category"] = [_named("category", name) for name in CATEGORIES]
    rows["attribute"] = [_named("attribute", name) for name in ATTRIBUTES]
    rows["visibility"] = [
        {"token": token, "level": level, "description": f"{level[1:]} % seen over all cameras"}
        for token, level in _LEVELS.items()
    ]
    cameras = {camera.channel: None for scene in scenes for camera in scene.cameras}
    rows["sensor"] = [_sensor(channel, "camera") for channel in cameras] + [_sensor(LIDAR, "lidar")]
    log = {"token": token_of("log"), "logfile": "", "vehicle": "", "date_captured": "", "location": ""}
    rows["log"] = [log]
    rows["map"] = [
        {"token": token_of("map"), "log_tokens": [log["token"]], "category": "semantic_prior", "filename": MASK}
    ]
    for scene in scenes:
        _add_scene(rows, scene)
    return rows


def _add_scene(rows: Rows, scene: SceneSpec) -> None:
    samples = [token_of("sample", scene.name, number) for number in range(len(scene.frames))]
    rows["scene"].append(
        {
            "token": token_of("scene", scene.name),
            "log_token": token_of("log"),
            "nbr_samples": len(samples),
            "first_sample_token": samples[0],
            "last_sample_token": samples[-1],
            "name": scene.name,
            "description": scene.description,
        }
    )
    for camera in scene.cameras:
        rows["calibrated_sensor"].append(_mounted(scene, camera.channel, camera.translation, camera.rotation, camera))
    rows["calibrated_sensor"].append(_mounted(scene, LIDAR, scene.lidar_translation, scene.lidar_rotation, None))
    data: dict[str, list[Record]] = defaultdict(list)
    annotations: dict[str, list[Record]] = defaultdict(list)
    frames: list[Record] = []
    categories: dict[str, str] = {}
    for number, frame in enumerate(scene.frames):
        sample = {"token": samples[number], "timestamp": frame.timestamp, "scene_token": token_of("scene", scene.name)}
        frames.append(sample)
        rows["ego_pose"] += _poses(scene, number)
        for row in _frame_data(scene, number):
            data[row["calibrated_sensor_token"]].append(row)
        for box in frame.boxes:
            annotations[box.instance].append(_annotation(scene, number, box))
            categories[box.instance] = category_of(box.category)
    rows["sample"] += _chained(frames)
    for chain in data.values():
        rows["sample_data"] += _chained(chain)
    for instance, chain in annotations.items():
        rows["sample_annotation"] += _chained(chain)
        rows["instance"].append(_instance(scene, instance, categories[instance], chain))


def _poses(scene: SceneSpec, number: int) -> list[Record]:
    """Poses of the frame, and of the cameras that were somewhere else."""
    frame = scene.frames[number]
    whole = CaptureSpec(frame.timestamp, frame.ego_translation, frame.ego_rotation)
    return [
        {
            "token": token_of("ego_pose", scene.name, number, channel),
            "timestamp": at.timestamp,
            "rotation": _floats(at.ego_rotation),
            "translation": _floats(at.ego_translation),
        }
        for channel, at in {"": whole, **frame.captures}.items()
    ]


def _frame_data(scene: SceneSpec, number: int) -> list[Record]:
    """Records of `sample_data` of one frame, not yet chained."""
    frame = scene.frames[number]
    absent = f"samples/{LIDAR}/{token_of('lidar', scene.name, number)}.pcd.bin"
    rows = [
        _data(scene, number, camera.channel, frame.images[camera.channel], (camera.width, camera.height))
        for camera in scene.cameras
        if camera.channel in frame.images
    ]
    return [*rows, _data(scene, number, LIDAR, frame.lidar or absent, (0, 0))]


def _data(scene: SceneSpec, number: int, channel: str, file: str, size: tuple[int, int]) -> Record:
    capture = scene.frames[number].captures.get(channel)
    return {
        "token": token_of("sample_data", scene.name, number, channel),
        "sample_token": token_of("sample", scene.name, number),
        "ego_pose_token": token_of("ego_pose", scene.name, number, channel if capture else ""),
        "calibrated_sensor_token": token_of("calibrated_sensor", scene.name, channel),
        "timestamp": capture.timestamp if capture else scene.frames[number].timestamp,
        "fileformat": "pcd" if channel == LIDAR else PurePosixPath(file).suffix.lstrip("."),
        "is_key_frame": True,
        "height": size[1],
        "width": size[0],
        "filename": file,
    }


def _annotation(scene: SceneSpec, number: int, box: BoxSpec) -> Record:
    return {
        "token": token_of("sample_annotation", scene.name, number, box.instance),
        "sample_token": token_of("sample", scene.name, number),
        "instance_token": token_of("instance", scene.name, box.instance),
        "visibility_token": box.visibility,
        "attribute_tokens": [token_of("attribute", box.attribute)] if box.attribute else [],
        "translation": _floats(box.translation),
        "size": _floats(box.size),
        "rotation": _floats(box.rotation),
        "num_lidar_pts": int(box.lidar_points),
        "num_radar_pts": int(box.radar_points),
    }


def _instance(scene: SceneSpec, name: str, category: str, chain: Sequence[Record]) -> Record:
    return {
        "token": token_of("instance", scene.name, name),
        "category_token": token_of("category", category),
        "nbr_annotations": len(chain),
        "first_annotation_token": chain[0]["token"],
        "last_annotation_token": chain[-1]["token"],
    }


def _mounted(
    scene: SceneSpec, channel: str, translation: Numbers, rotation: Numbers, camera: CameraSpec | None
) -> Record:
    return {
        "token": token_of("calibrated_sensor", scene.name, channel),
        "sensor_token": token_of("sensor", channel),
        "translation": _floats(translation),
        "rotation": _floats(rotation),
        "camera_intrinsic": [_floats(row) for row in camera.intrinsic] if camera else [],
    }


def _chained(rows: Sequence[Record]) -> list[Record]:
    """The same records in the same order, each with the tokens of those before and after it."""
    tokens = ["", *(str(row["token"]) for row in rows), ""]
    return [row | {"prev": tokens[place], "next": tokens[place + 2]} for place, row in enumerate(rows)]


def _named(table: str, name: str) -> Record:
    return {"token": token_of(table, name), "name": name, "description": ""}


def _sensor(channel: str, modality: str) -> Record:
    return {"token": token_of("sensor", channel), "channel": channel, "modality": modality}


def _floats(values: Any) -> list[float]:
    return [float(value) for value in values]


def _empty_map() -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.new("L", (8, 8)).save(content, format="PNG")
    return content.getvalue()
