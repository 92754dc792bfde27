"""The cameras of the vehicle: where they sit, how wide they see, and how far off each scene mounts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from lightloom.common.seeds import named_seed
from lightloom.data.nuscenes.write import CameraSpec
from lightloom.data.toytown.config import ToytownConfig
from lightloom.data.toytown.solids import Array

_MOUNTS: Mapping[str, tuple[float, float, float, float]] = MappingProxyType(
    {
        "CAM_FRONT": (1.70, 0.02, 0.0, 70.0),
        "CAM_FRONT_RIGHT": (1.55, -0.50, -55.0, 70.0),
        "CAM_FRONT_LEFT": (1.55, 0.50, 55.0, 70.0),
        "CAM_BACK": (0.05, 0.0, 180.0, 110.0),
        "CAM_BACK_LEFT": (1.05, 0.48, 108.0, 70.0),
        "CAM_BACK_RIGHT": (1.05, -0.48, -110.0, 70.0),
    }
)
"""x and y in m, yaw and horizontal field of view in degrees: about those of nuScenes."""

_HEIGHT = 1.9  # m, higher than in nuScenes: what stands far off is then further apart in an image of few rows
_PITCH = 5.0  # degrees, downwards
_OFF = (1.5, 1.0, 0.08)  # spread of the mounting between scenes: yaw and pitch in degrees, height in m


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera on the vehicle.

    Attributes:
        channel: Name.
        width: Pixels.
        height: Likewise.
        intrinsic: [3, 3] in pixels; pixel i covers i to i + 1.
        rotation: [3, 3], camera (x right, y down, z forward) to ego frame.
        translation: [3] in m, in the ego frame.
    """

    channel: str
    width: int
    height: int
    intrinsic: Array
    rotation: Array
    translation: Array

    @property
    def rays(self) -> Array:
        """[3, 3]: homogeneous pixel (u, v, 1) to a direction in the ego frame, of length 1 along the optical axis."""
        return np.asarray(self.rotation @ np.linalg.inv(self.intrinsic), dtype=np.float64)

    def spec(self) -> CameraSpec:
        """The camera as the tables hold it."""
        return CameraSpec(
            channel=self.channel,
            width=self.width,
            height=self.height,
            intrinsic=self.intrinsic.tolist(),
            translation=self.translation.tolist(),
            rotation=quaternion(self.rotation),
        )


def make_rig(config: ToytownConfig, seed: int) -> tuple[Camera, ...]:
    """The cameras of one scene, mounted as the seed draws it.

    Args:
        config: Number and size of the images.
        seed: It draws mounting errors.
    """
    cameras = []
    for channel, (x, y, yaw, view) in _MOUNTS.items():
        draw = np.random.default_rng(named_seed(seed, channel))
        turn, dip, lift = (float(draw.uniform(-spread, spread)) for spread in _OFF)
        if channel in config.cameras:
            focal = config.width / 2 / np.tan(np.radians(view) / 2)
            cameras.append(
                Camera(
                    channel=channel,
                    width=config.width,
                    height=config.height,
                    intrinsic=np.array([[focal, 0, config.width / 2], [0, focal, config.height / 2], [0, 0, 1.0]]),
                    rotation=_looking(np.radians(yaw + turn), np.radians(_PITCH + dip)),
                    translation=np.array([x, y, _HEIGHT + lift]),
                )
            )
    return tuple(cameras)


def quaternion(rotation: Array) -> tuple[float, float, float, float]:
    """(w, x, y, z) of a rotation matrix, w >= 0 (Shepperd, 1978: the largest part is found first)."""
    m = rotation
    parts = np.array([m.trace(), m[0, 0], m[1, 1], m[2, 2]])
    largest = int(parts.argmax())
    if largest == 0:
        wxyz = np.array([1 + m.trace(), m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])
    else:
        i, j, k = np.roll((0, 1, 2), 1 - largest)
        wxyz = np.zeros(4)
        wxyz[0] = m[k, j] - m[j, k]
        wxyz[1 + i], wxyz[1 + j], wxyz[1 + k] = 1 + 2 * m[i, i] - m.trace(), m[j, i] + m[i, j], m[k, i] + m[i, k]
    wxyz = wxyz / np.linalg.norm(wxyz)
    w, x, y, z = (wxyz if wxyz[0] >= 0 else -wxyz).tolist()
    return w, x, y, z


def _looking(yaw: float, pitch: float) -> Array:
    """Camera to ego frame, for a camera that looks to `yaw` and `pitch` (rad) downwards."""
    ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    return np.stack([right, np.cross(ahead, right), ahead], axis=1)
