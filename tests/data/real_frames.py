"""Two real frames of nuScenes, as other projects ship them, in the form in which own data are described.

One has its boxes in the LiDAR's frame and its camera poses as matrices from LiDAR to camera, in gzipped JSON; the other
has its boxes in the ego frame and a vehicle pose for each camera, in YAML. Both name the boxes' sizes length first.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = {
    "A": (
        *("car", "truck", "trailer", "bus", "construction_vehicle"),
        *("bicycle", "motorcycle", "pedestrian", "traffic_cone", "barrier"),
    ),
    "B": (
        *("car", "truck", "construction_vehicle", "bus", "trailer"),
        *("barrier", "motorcycle", "bicycle", "pedestrian", "traffic_cone"),
    ),
}
"""The order of the classes in each frame."""

FRAMES = {"A": "frameA_ca9a282c", "B": "frameB_fd842039"}
SIZE = {"width": 1600, "height": 900}
SPLITS = {"val": ["real"]}

Description = dict[str, Any]


def describe(name: str, folder: Path) -> Description:
    """The description of a frame whose files are in a folder, under the names they come with."""
    return {"A": describe_a, "B": describe_b}[name](folder)


def publication(name: str, folder: Path) -> Description:
    """What a frame comes with."""
    if name == "A":
        content: Description = json.loads(gzip.decompress(next(folder.glob("*.json.gz")).read_bytes()))["data_list"][0]
        return content
    import yaml

    return dict(
        yaml.load((folder / "sample0000.yaml").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    )


def lidar_points(name: str, folder: Path) -> np.ndarray:
    """[n, 3] in m, in the LiDAR's frame."""
    file = next(folder.glob("*.bin"))
    return np.fromfile(file, dtype="<f4").reshape(-1, 5)[:, :3].astype(np.float64)


def describe_a(folder: Path) -> Description:
    """Boxes in the LiDAR's frame; where the vehicle was at each image follows from LiDAR to camera."""
    given = publication("A", folder)
    vehicle, lidar = np.array(given["ego2global"]), np.array(given["lidar_points"]["lidar2ego"])
    cameras, captures = [], {}
    for channel, camera in given["images"].items():
        mounted = np.array(camera["cam2ego"])
        then = vehicle @ lidar @ np.linalg.inv(camera["lidar2cam"]) @ np.linalg.inv(mounted)
        cameras.append({"name": channel, **SIZE, "intrinsic": camera["cam2img"], "matrix": _rows(mounted)})
        captures[channel] = {"time": camera["timestamp"], "matrix": _rows(then)}
    frame = {
        "time": given["timestamp"],
        "ego": {"matrix": _rows(vehicle)},
        "images": {channel: camera["img_path"] for channel, camera in given["images"].items()},
        "captures": captures,
        "lidar": given["lidar_points"]["lidar_path"],
        "boxes": [
            _box(row["bbox_3d"], CLASSES["A"][row["bbox_label_3d"]], order, row["num_lidar_pts"])
            for order, row in enumerate(given["instances"])
            if row["bbox_label_3d"] >= 0
        ],
    }
    return {
        "boxes_in": "lidar",
        "lidar": {"matrix": _rows(lidar)},
        "cameras": cameras,
        "scenes": [{"name": "real", "frames": [frame]}],
        "splits": SPLITS,
    }


def describe_b(folder: Path) -> Description:
    """Boxes in the ego frame; the vehicle's pose is given for each image."""
    given = publication("B", folder)
    boxes, labels = given["ann_infos"]
    cameras, captures = [], {}
    for channel, camera in given["cams"].items():
        mounted = {"translation": camera["sensor2ego_translation"], "rotation": camera["sensor2ego_rotation"]}
        cameras.append({"name": channel, **SIZE, "intrinsic": camera["cam_intrinsic"], **mounted})
        then = {"translation": camera["ego2global_translation"], "rotation": camera["ego2global_rotation"]}
        captures[channel] = {"time": camera["timestamp"] / 1e6, **then}
    frame = {
        "time": given["timestamp"] / 1e6,
        "ego": {"translation": given["ego2global_translation"], "rotation": given["ego2global_rotation"]},
        "images": {channel: f"imgs/{channel}.jpg" for channel in given["cams"]},
        "captures": captures,
        "lidar": "0.bin",
        "boxes": [
            _box(row, CLASSES["B"][label], order, given["num_lidar_pts"][order])
            for order, (row, label) in enumerate(zip(boxes, labels, strict=True))
        ],
    }
    return {
        "boxes_in": "ego",
        "lidar": {"translation": given["lidar2ego_translation"], "rotation": given["lidar2ego_rotation"]},
        "cameras": cameras,
        "scenes": [{"name": "real", "frames": [frame]}],
        "splits": SPLITS,
    }


def _box(row: list[float], name: str, order: int, points: int) -> Description:
    length, width, height = row[3:6]
    return {
        "class": name,
        "center": row[:3],
        "size": [width, length, height],
        "yaw": row[6],
        "id": order,
        "points": points,
    }


def _rows(matrix: np.ndarray) -> list[list[float]]:
    rows: list[list[float]] = matrix.tolist()
    rows[3] = [0.0, 0.0, 0.0, 1.0]  # single precision leaves something beside the 1
    return rows
