"""The form in which own multi-camera data are described: one JSON or YAML file beside the images.

```yaml
boxes_in: ego                 # the frame that boxes are given in: ego, global or lidar
lidar: {translation: [0.9, 0, 1.8], rotation: [0.707107, 0, 0, -0.707107]}   # only where there is one
cameras:
  - {name: CAM_FRONT, width: 1600, height: 900, fx: 1266.4, fy: 1266.4, cx: 816.3, cy: 491.5,
     translation: [1.7, 0, 1.5], rotation: [0.5, -0.5, 0.5, -0.5]}
scenes:
  - name: drive-1
    frames:
      - time: 12.5
        ego: {translation: [100, 20, 0], rotation: [1, 0, 0, 0]}
        images: {CAM_FRONT: front/0001.jpg}
        boxes:
          - {class: car, center: [12, 1.5, 0.8], size: [1.9, 4.6, 1.6], yaw: 0.1, id: 7}
splits: {train: [drive-1]}
```

Lengths are in m, angles in rad. Times are in s, or in milliseconds, microseconds or nanoseconds, which are told by
their size; `times_in: s`, `ms`, `us` or `ns` at the top says which it is, and `frame_rate: 10` that times count
frames, of which there are 10 in a second. The ego frame has x forward, y left, z up; a camera has x to the right, y
down, z forward. A pose leads from what is placed to where it is placed: camera or LiDAR to ego frame, ego frame to
global frame.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from lightloom.common.config import Section
from lightloom.data.nuscenes.geometry import Array, Pose, rotation_matrix
from lightloom.data.nuscenes.times import Number, Unit, as_number


def _finite(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > LARGEST:  # what is too long for a float
        raise ValueError(f"should be finite and at most {LARGEST:g}")
    return value


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"should be text: put it in quotes, '{str(value)[:40]}'")
    return value


def _angle(value: Any) -> Any:
    if isinstance(value, int | float) and not abs(value) <= 2 * math.pi:
        raise ValueError("should be an angle in rad, from -2 pi to 2 pi; divide degrees by 57.29578")
    return value


def _identity(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise ValueError("should be text or a whole number, the same in all frames of the object")
    return value


LARGEST = 1e9
"""Largest value in m and in pixels: whatever is larger is no place on Earth and in no image."""

Real = Annotated[float, BeforeValidator(_finite), Field(ge=-LARGEST, le=LARGEST)]
Three = tuple[Real, Real, Real]
Four = tuple[Real, Real, Real, Real]
Positive = Annotated[float, BeforeValidator(_finite), Field(gt=0, le=LARGEST)]
Text = Annotated[str, BeforeValidator(_text)]
Time = Annotated[Number, BeforeValidator(as_number)]

NEARLY = 1e-3
"""How far a matrix may be from a rotation, and a quaternion from the length 1, for the rounding of a few digits."""


class Placed(Section):
    """The place of something: a translation with a rotation, or one matrix."""

    translation: Three | None = None
    """Origin of the frame in m."""
    rotation: Four | None = None
    """Quaternion (w, x, y, z)."""
    matrix: tuple[Four, Four, Four, Four] | None = None
    """4 x 4, row by row: the rotation, the translation in m, and 0, 0, 0, 1."""

    @model_validator(mode="after")
    def _one_pose(self) -> Self:
        apart = self.translation is not None and self.rotation is not None
        if (self.matrix is not None) == apart or (self.translation is None) != (self.rotation is None):
            raise ValueError("a pose is `translation` with `rotation`, or `matrix` alone")
        if self.matrix is not None and self.matrix[3] != (0.0, 0.0, 0.0, 1.0):
            raise ValueError("the last row of `matrix` should be 0, 0, 0, 1")
        if self.rotation is not None and abs(np.linalg.norm(self.rotation) - 1) > NEARLY:
            raise ValueError("`rotation` should be a quaternion (w, x, y, z) of length 1")
        turn = self.pose.rotation
        if np.abs(turn @ turn.T - np.eye(3)).max() > NEARLY or np.linalg.det(turn) < 0:
            raise ValueError("the first three rows and columns of `matrix` are not a rotation")
        return self

    @property
    def pose(self) -> Pose:
        """The pose as rotation matrix and translation."""
        if self.matrix is not None:
            whole = np.array(self.matrix, dtype=np.float64)
            return Pose(whole[:3, :3], whole[:3, 3])
        return Pose(rotation_matrix(self.rotation or ()), np.array(self.translation, dtype=np.float64))


class OwnCamera(Placed):
    """A camera on the vehicle; its pose is in the ego frame."""

    name: Text
    """Name of the camera, such as CAM_FRONT."""
    width: PositiveInt
    """Width of the image in pixels."""
    height: PositiveInt
    """Height of the image in pixels."""
    intrinsic: tuple[Three, Three, Three] | None = None
    """Camera matrix, row by row; or `fx`, `fy`, `cx` and `cy`."""
    fx: Positive | None = None
    """Focal length in pixels, to the right."""
    fy: Positive | None = None
    """Focal length in pixels, down."""
    cx: Real | None = None
    """Principal point in pixels, from the left."""
    cy: Real | None = None
    """Principal point in pixels, from the top."""

    @model_validator(mode="after")
    def _one_matrix(self) -> Self:
        value = [part is not None for part in (self.fx, self.fy, self.cx, self.cy)]
        if not (all(value) if self.intrinsic is None else not any(value)):
            raise ValueError("a camera has `intrinsic`, or `fx`, `fy`, `cx` and `cy`")
        return self

    @property
    def camera_matrix(self) -> Array:
        """[3, 3] in pixels."""
        if self.intrinsic is not None:
            return np.array(self.intrinsic, dtype=np.float64)
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)


class OwnCapture(Placed):
    """The time at which a camera took its image, and the pose of the vehicle in the global frame at that time."""

    time: Time
    """Time of the image in the unit of the frames' times."""


class OwnBox(Section):
    """One object in one frame; its key `class` is read before."""

    center: Three
    """Centre of gravity in m, in the frame that `boxes_in` names."""
    size: tuple[Positive, Positive, Positive]
    """Width, length, height in m."""
    yaw: Annotated[float, BeforeValidator(_angle)] | None = None
    """Yaw in rad, counter-clockwise about z; at 0 the length lies along x. Or `rotation`."""
    rotation: Four | None = None
    """Quaternion (w, x, y, z): length along x, width along y."""
    id: Annotated[str | int | None, BeforeValidator(_identity)] = None
    """Identity, the same for one object in all frames of its scene; without one, the box has no velocity."""
    attribute: Text = ""
    """What the object is doing, such as vehicle.moving."""
    visibility: Literal["", "1", "2", "3", "4"] = ""
    """0-40, 40-60, 60-80 or 80-100 % seen over all cameras; empty for unknown."""
    points: Annotated[int, Field(ge=0, le=10**9)] = 1
    """Number of LiDAR points in the box; boxes with 0 are not scored."""

    @model_validator(mode="after")
    def _one_heading(self) -> Self:
        if (self.yaw is None) == (self.rotation is None):
            raise ValueError("a box has `yaw` or `rotation`")
        if self.rotation is not None and abs(np.linalg.norm(self.rotation) - 1) > NEARLY:
            raise ValueError("`rotation` should be a quaternion (w, x, y, z) of length 1")
        return self

    @property
    def turn(self) -> Array:
        """[3, 3]: box to the frame that it is given in."""
        if self.rotation is not None:
            return rotation_matrix(self.rotation)
        half = (self.yaw or 0.0) / 2
        return rotation_matrix([np.cos(half), 0, 0, np.sin(half)])


class OwnFrame(Section):
    """One moment."""

    time: Time
    """Time of the frame in s, or as the module's text says; above that of the frame before."""
    ego: Placed | None = None
    """The vehicle in the global frame; without it, the ego frame is the global frame."""
    images: dict[Text, Text]
    """Image file by name of the camera, relative to the root; cameras without an image are left out."""
    captures: dict[Text, OwnCapture] = Field(default_factory=dict)
    """Captures by name of the camera, where it took its image at another time than that of the frame."""
    lidar: Text = ""
    """File of LiDAR points, relative to the root."""
    boxes: list[dict[str, Any]] = Field(default_factory=list)
    """Boxes, each with `class` and the keys of `OwnBox`."""


class OwnScene(Section):
    """A drive."""

    name: Text
    """Name of the scene, unlike those of the others."""
    description: Text = ""
    """Description of the scene for readers."""
    frames: list[dict[str, Any]]
    """Frames in the order of time, each with the keys of `OwnFrame`."""


class OwnData(Section):
    """The whole description."""

    cameras: list[OwnCamera]
    """Cameras of all scenes."""
    scenes: list[dict[str, Any]]
    """Scenes, each with the keys of `OwnScene`."""
    boxes_in: Literal["ego", "global", "lidar"] = "ego"
    """The frame in which boxes are given."""
    lidar: Placed | None = None
    """The LiDAR in the ego frame; needed where boxes are given in its frame."""
    times_in: Unit | None = None
    """Unit of all times; without it, it is told by their size."""
    frame_rate: Annotated[float, Field(ge=1e-3, le=1e6)] | None = None
    """Frames per second, where times count frames."""
    splits: dict[Text, list[Text]] | None = None
    """Names of scenes by split; without it, all are in the split `all`."""

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        if self.times_in is not None and self.frame_rate is not None:
            raise ValueError("times count frames, as `frame_rate` says, or have the unit `times_in`: give one of both")
        return self
