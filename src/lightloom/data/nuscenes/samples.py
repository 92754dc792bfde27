"""Moments of a drive: what each camera saw, how it projects, and the boxes that were there.

The ego frame of a moment (x forward, y left, z up, in m) is the vehicle's when the LiDAR made its key frame. A camera
takes its image a little earlier or later, somewhere else: its matrix leads through the vehicle's pose at that time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightloom.common.errors import RequestError, nearest
from lightloom.data.nuscenes.boxes import Boxes3D, read_boxes
from lightloom.data.nuscenes.chains import check_ends
from lightloom.data.nuscenes.fields import camera_matrix, checked_pose, file_name, key_frame, pixels, whole, wrong
from lightloom.data.nuscenes.geometry import Array, Pose
from lightloom.data.nuscenes.tables import Record, Tables, check_cameras
from lightloom.data.nuscenes.times import check_microseconds

LIDAR = "LIDAR_TOP"
NEAR = 10**8
"""us between a sample and its data; what is further away has another unit, or belongs elsewhere."""


@dataclass(frozen=True, eq=False)
class CameraView:
    """One image of one camera, and where points around the vehicle are in it."""

    channel: str
    """Name of the camera, such as CAM_FRONT."""
    token: str
    """Token of the image's record in `sample_data`."""
    file: Path
    """The image; not looked for."""
    width: int
    """Width of the image in pixels."""
    height: int
    """Height of the image in pixels."""
    intrinsic: Array
    """Camera matrix [3, 3] in pixels."""
    timestamp: int
    """Time of the image in microseconds."""
    matrix: Array
    """[4, 4]: homogeneous points in m of the ego frame of the moment, to (u d, v d, d, 1) with the pixel u, v and the
    depth d in m."""
    sweeps: tuple[CameraView, ...] = ()
    """Earlier images of the camera that are not key frames, the latest first; their matrices start from the ego frame
    of the same moment."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A key frame of all sensors: a sample of nuScenes."""

    token: str
    """Token of the moment's record in `sample`."""
    scene: str
    """Name of the scene."""
    timestamp: int
    """Time of the moment in microseconds."""
    ego: Pose
    """Pose of the vehicle in the global frame at the key frame of LIDAR_TOP, or of the first camera without one."""
    cameras: tuple[CameraView, ...]
    """Views of the cameras that gave an image; one at least."""
    boxes: Boxes3D
    """All annotated objects of the ten classes, in the global frame."""
    racks: Boxes3D
    """Bicycle racks, with the label -1."""
    previous: str
    """Token of the moment before it in its scene; empty for the first."""
    lidar: Path | None
    """File of LiDAR points, where it is there."""


def read_samples(
    tables: Tables, scenes: Sequence[str], channels: Sequence[str] | None = None, *, sweeps: int = 0
) -> tuple[Sample, ...]:
    """The moments of some scenes, in the order of `scenes` and of time.

    Args:
        tables: Of the set.
        scenes: Names of scenes.
        channels: Cameras, in the order in which they are wanted; None takes all, in the order of the tables. A camera
            without an image at some moment is left out of that moment.
        sweeps: How many earlier images to give with each camera.

    Raises:
        RequestError: A scene or a camera is not in the tables, no camera has an image at some moment, times are not in
            microseconds, a chain has no end, or a record has a value that is not possible; the token is named.
    """
    every = tables.cameras()
    selected = every if channels is None else tuple(channels)
    check_cameras(tables, selected)
    by_name = {str(scene["name"]): scene for scene in tables["scene"].values()}
    samples: list[Sample] = []
    for name in scenes:
        if name not in by_name:
            raise RequestError(f"No scene `{name}` in `{tables.folder}`. {nearest(name, by_name)}")
        previous, before = "", None
        for sample in _samples(tables, by_name[name]):
            if before is not None and sample["timestamp"] <= before["timestamp"]:
                expected = f"above that of the sample before it, `{before['token']}`, which is {before['timestamp']}"
                raise wrong(tables, "sample", sample, "timestamp", expected)
            before = sample
            samples.append(_sample(tables, name, sample, previous, (every, selected), sweeps))
            previous = samples[-1].token
    return tuple(samples)


def _samples(tables: Tables, scene: Record) -> list[Record]:
    """Samples of a scene in their order; their times are those of a drive."""
    check_ends(tables, "sample", tables["sample"][scene["first_sample_token"]])
    samples = tables.samples(scene)
    for sample in samples:
        check_ends(tables, "sample", sample)
    times = [whole(tables, "sample", sample, "timestamp") for sample in samples]
    check_microseconds(f"Scene `{scene['name']}` in `{tables.folder / 'sample'}.json`", times)
    for sample, time in zip(samples, times, strict=True):
        for record in tables.of_sample("sample_data", sample["token"]):
            if abs(whole(tables, "sample_data", record, "timestamp") - time) > NEAR:
                expected = f"in microseconds, near {time}, that of its sample `{sample['token']}`"
                raise wrong(tables, "sample_data", record, "timestamp", expected)
    return samples


def _sample(
    tables: Tables,
    scene: str,
    sample: Record,
    previous: str,
    channels: tuple[Sequence[str], Sequence[str]],
    sweeps: int,
) -> Sample:
    """`channels`: all cameras of the tables, then the chosen ones: which are chosen does not move the ego frame."""
    every, selected = channels
    data: dict[str, Record] = {}
    for record in tables.of_sample("sample_data", sample["token"]):
        check_ends(tables, "sample_data", record)
        if not key_frame(tables, record):
            continue
        if (other := data.setdefault(tables.channel(record), record)) is not record:
            raise RequestError(
                f"The records `{other['token']}` and `{record['token']}` in `{tables.folder / 'sample_data'}.json` are "
                f"both the key frame of `{tables.channel(record)}` in one sample; leave one."
            )
    present = [channel for channel in selected if channel in data]
    if not present:
        raise RequestError(
            f"Sample `{sample['token']}` of scene `{scene}` in `{tables.folder}` has no image of "
            f"{', '.join(f'`{channel}`' for channel in selected)}. Leave the scene out, or choose other cameras."
        )
    leading = next(data[channel] for channel in (LIDAR, *every) if channel in data)
    ego = checked_pose(tables, "ego_pose", leading["ego_pose_token"])
    boxes, racks = read_boxes(tables, sample["token"])
    points = tables.root / file_name(tables, data[LIDAR]) if LIDAR in data else None
    return Sample(
        token=str(sample["token"]),
        scene=scene,
        timestamp=whole(tables, "sample", sample, "timestamp"),
        ego=ego,
        cameras=tuple(_key_view(tables, channel, data[channel], ego, sweeps) for channel in present),
        boxes=boxes,
        racks=racks,
        previous=previous,
        lidar=points if points is not None and points.is_file() else None,
    )


def _key_view(tables: Tables, channel: str, record: Record, ego: Pose, sweeps: int) -> CameraView:
    earlier: list[CameraView] = []
    before = record["prev"]
    while before and len(earlier) < sweeps:
        swept = tables["sample_data"][before]
        if tables.channel(swept) != channel:
            raise wrong(tables, "sample_data", record, "prev", f"a chain of `{channel}` alone, and leads to `{before}`")
        if not key_frame(tables, swept):
            earlier.append(_view(tables, channel, swept, ego, ()))
        before = swept["prev"]
    return _view(tables, channel, record, ego, tuple(earlier))


def _view(tables: Tables, channel: str, record: Record, ego: Pose, sweeps: tuple[CameraView, ...]) -> CameraView:
    mounted = tables["calibrated_sensor"][record["calibrated_sensor_token"]]
    sensor = checked_pose(tables, "calibrated_sensor", mounted["token"])
    then = checked_pose(tables, "ego_pose", record["ego_pose_token"])
    width, height = pixels(tables, record)
    intrinsic = camera_matrix(tables, mounted)
    return CameraView(
        channel=channel,
        token=str(record["token"]),
        file=tables.root / file_name(tables, record),
        width=width,
        height=height,
        intrinsic=intrinsic,
        timestamp=whole(tables, "sample_data", record, "timestamp"),
        matrix=projection(intrinsic, ego, then, sensor),
        sweeps=sweeps,
    )


def projection(intrinsic: Array, ego: Pose, then: Pose, sensor: Pose) -> Array:
    """The matrix from one ego frame to the pixels of a camera that was carried by another.

    Args:
        intrinsic: Camera matrix [3, 3] in pixels, its last row 0, 0, 1.
        ego: Of the vehicle in the global frame, where the points are given.
        then: Of the vehicle in the global frame, when the camera took its image.
        sensor: Of the camera in the ego frame.

    Returns:
        [4, 4]: (x, y, z, 1) in m to (u d, v d, d, 1).
    """
    to_camera = np.linalg.inv(sensor.matrix) @ np.linalg.inv(then.matrix) @ ego.matrix
    camera = np.eye(4)
    camera[:3, :3] = intrinsic
    return np.asarray(camera @ to_camera, dtype=np.float64)
