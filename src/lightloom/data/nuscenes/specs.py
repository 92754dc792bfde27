"""What a set in the form of nuScenes is made from: scenes, their cameras, their frames and the boxes in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Numbers = Sequence[float]


@dataclass(frozen=True)
class CameraSpec:
    """A camera as it is mounted on the vehicle of a scene."""

    channel: str
    """Name of the camera, such as CAM_FRONT."""
    width: int
    """Width of the image in pixels."""
    height: int
    """Height of the image in pixels."""
    intrinsic: Sequence[Numbers]
    """Camera matrix [3, 3] in pixels."""
    translation: Numbers
    """[3] in m: the camera in the ego frame."""
    rotation: Numbers
    """Quaternion (w, x, y, z): camera (x right, y down, z forward) to ego frame."""


@dataclass(frozen=True)
class BoxSpec:
    """One object in one frame, in the global frame."""

    instance: str
    """Name of the object, the same in all frames of its scene."""
    category: str
    """A category of nuScenes, such as vehicle.car, or a detection class, such as car."""
    translation: Numbers
    """[3] in m: the centre of gravity."""
    size: Numbers
    """Width, length, height in m."""
    rotation: Numbers
    """Quaternion (w, x, y, z): length along x, width along y."""
    attribute: str = ""
    """What the object is doing, such as vehicle.moving; empty for none."""
    visibility: str = "4"
    """Token of the part seen over all cameras: 1 to 4 for 0-40, 40-60, 60-80, 80-100 %; empty for unknown."""
    lidar_points: int = 1
    """Number of LiDAR points in the box. Boxes without any point, LiDAR or radar, are left out of scores."""
    radar_points: int = 0
    """Number of radar points in the box."""


@dataclass(frozen=True)
class CaptureSpec:
    """Time and place at which one camera took its image, where those are not the ones of the frame."""

    timestamp: int
    """Time of the image in microseconds."""
    ego_translation: Numbers
    """[3] in m: the vehicle in the global frame at that time."""
    ego_rotation: Numbers
    """Quaternion (w, x, y, z): ego frame at that time to global frame."""


@dataclass(frozen=True)
class FrameSpec:
    """A key frame: one moment of a scene."""

    timestamp: int
    """Time of the frame in microseconds; above that of the frame before."""
    ego_translation: Numbers
    """[3] in m: the vehicle in the global frame."""
    ego_rotation: Numbers
    """Quaternion (w, x, y, z): ego frame to global frame."""
    images: Mapping[str, str]
    """Image file by channel, relative to the root of the set; a camera without an image is left out."""
    boxes: tuple[BoxSpec, ...] = ()
    """Boxes of the objects in the frame."""
    lidar: str = ""
    """File of LiDAR points relative to the root; empty where there is none."""
    captures: Mapping[str, CaptureSpec] = field(default_factory=dict)
    """Captures by channel, for cameras that do not take their images at the moment of the frame."""


@dataclass(frozen=True)
class SceneSpec:
    """A drive: frames in the order of time, and the cameras that saw them."""

    name: str
    """Name of the scene, unlike those of the others."""
    cameras: tuple[CameraSpec, ...]
    """Cameras in the order in which they are written."""
    frames: tuple[FrameSpec, ...]
    """Frames in the order of time."""
    description: str = ""
    """Description of the scene for readers."""
    lidar_translation: Numbers = (0.94, 0.0, 1.84)
    """[3] in m: the LiDAR in the ego frame; about where nuScenes has it."""
    lidar_rotation: Numbers = (0.7071067811865476, 0.0, 0.0, -0.7071067811865476)
    """Quaternion (w, x, y, z): LiDAR (x right, y forward, z up) to ego frame."""
