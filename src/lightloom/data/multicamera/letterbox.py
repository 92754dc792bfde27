"""Moments of several cameras as a set to train on: framed images, projections, history, and boxes as padded targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.data.detection.letterbox import GRAY, MOST_IN_MEMORY, LazyImages, decoded
from lightloom.data.detection.records import Record
from lightloom.data.multicamera.views import Views
from lightloom.data.nuscenes.samples import CameraView, Sample

BEVRange = tuple[float, float, float, float, float, float]
"""x, y, z from, x, y, z to, in metres of the ego frame."""

TARGET = 10
"""Numbers of a target: centre, size (w, l, h), yaw, velocity (x, y), label."""


@dataclass(frozen=True, eq=False)
class MultiCameraSet:
    """What a 3-D detector trains on; `images` gives the `Views` of any moments.

    Attributes:
        pixels: uint8 [images, 3, H, W], RGB, held in memory or decoded when indexed.
        places: int64 [n, N]: which image each camera gave at each moment; -1 for none.
        project: float32 [n, N, 4, 4], ego frame to pixels of the frame.
        extent: float32 [n, N, 2]: width and height of the image within the frame.
        before: int64 [n]: the moment before in the same scene; -1 for none.
        motion: float32 [n, 4, 4]: ego frame of the moment to that of the moment before.
        labels: float32 [n, most, 10]: boxes in the ego frame (x, y, z, w, l, h, yaw, vx, vy, label); label -1 where
            there is none; NaN where a velocity is unknown.
        samples: Where they come from.
        channels: Names of the N cameras.
        history: Moments T of each view.
    """

    pixels: Tensor | LazyImages
    places: Tensor
    project: Tensor
    extent: Tensor
    before: Tensor
    motion: Tensor
    labels: Tensor
    samples: tuple[Sample, ...]
    channels: tuple[str, ...]
    history: int

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def images(self) -> Windows:
        """The views, by the number of their last moment."""
        return Windows(self)

    @property
    def inputs(self) -> Windows:
        """What a network is given: the views."""
        return self.images

    @property
    def targets(self) -> Tensor:
        """What it is to answer: the labels."""
        return self.labels

    def to(self, device: torch.device) -> MultiCameraSet:
        """The same set on a device."""
        names = ("pixels", "places", "project", "extent", "before", "motion", "labels")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


class Windows:
    """The last `history` moments up to any one of a set.

    Args:
        source: The set.
    """

    def __init__(self, source: MultiCameraSet) -> None:
        self._source = source

    @property
    def device(self) -> torch.device:
        """The device where views arrive."""
        return self._source.labels.device

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: Any) -> Views:
        """The views of moments, int64 [k]. Where a scene begins, its first moment stands for those before it."""
        source = self._source
        now = torch.as_tensor(index, device=self.device)
        samples, linked = [now], [source.before[now] >= 0]
        for _ in range(source.history - 1):
            earlier = source.before[samples[-1]]
            samples.append(torch.where(earlier >= 0, earlier, samples[-1]))
            linked.append(source.before[samples[-1]] >= 0)
        window = torch.stack(samples[::-1], 1)
        follows = torch.stack(linked[::-1], 1)
        follows[:, 0] = False  # what came before the window is not there
        motion = torch.where(follows[..., None, None], source.motion[window], torch.eye(4, device=self.device))
        return Views(
            self._pixels(source.places[window]), source.project[window], source.extent[window], motion, follows
        )

    def _pixels(self, places: Tensor) -> Tensor:
        pixels = self._source.pixels
        image_numbers, where = torch.unique(places.clamp(min=0), return_inverse=True)
        images = pixels[image_numbers.to(pixels.device)].to(self.device)[where]
        gray = torch.tensor(GRAY, dtype=torch.uint8, device=self.device).view(3, 1, 1)
        absent = (places < 0)[..., None, None, None]
        return torch.where(absent, gray, images) if bool(absent.any()) else images


def letterbox_samples(
    samples: Sequence[Sample],
    channels: Sequence[str],
    size: tuple[int, int],
    *,
    area: BEVRange,
    history: int = 1,
    least_points: int = 1,
    memory: bool | None = None,
) -> MultiCameraSet:
    """Bring every image into a frame of one size, and the boxes into the ego frame.

    An image keeps its ratio of sides: it is made as large as fits and put into the top left corner; the projection to
    pixels follows.

    Args:
        samples: In the order of scenes and time.
        channels: Cameras that are looked through, in this order; at a sample without one its image is gray.
        size: Height and width of the frame in pixels.
        area: Boxes with their centre outside are no targets.
        history: Samples of each view, the last one included.
        least_points: Boxes with fewer points of lidar and radar on them are no targets, as published.
        memory: Hold the images in memory, or decode them when indexed; by default held up to 1.5 GB.

    Raises:
        RequestError: There is no sample or no camera, or a number is out of range.
        WorkError: A file cannot be decoded; it is named.
    """
    height, width = size
    if not samples or not channels:
        raise RequestError(f"There are {len(samples)} samples and {len(channels)} cameras; give at least one of both.")
    if min(height, width, history) < 1:
        raise RequestError(f"The frame is {height} x {width}, the history {history}; give at least 1 of each.")
    by_sample = [[next((c for c in sample.cameras if c.channel == channel), None) for channel in channels]
            for sample in samples]  # fmt: skip
    cameras = [camera for camera in chain.from_iterable(by_sample) if camera is not None]
    records = [_record(number, camera) for number, camera in enumerate(cameras)]
    in_memory = memory if memory is not None else len(records) * 3 * height * width <= MOST_IN_MEMORY
    numbers = iter(range(len(cameras)))
    looks = [[_look(camera, height, width) for camera in row] for row in by_sample]
    before = _before(samples)
    return MultiCameraSet(
        pixels=decoded(records, height, width, "Reading images") if in_memory else LazyImages(records, height, width),
        places=torch.tensor([[-1 if camera is None else next(numbers) for camera in row] for row in by_sample]),
        project=_tensor([[project for project, _ in row] for row in looks]),
        extent=_tensor([[extent for _, extent in row] for row in looks]),
        before=torch.tensor(before),
        motion=_tensor([_motion(samples, number, earlier) for number, earlier in enumerate(before)]),
        labels=_targets(samples, area, least_points),
        samples=tuple(samples),
        channels=tuple(channels),
        history=history,
    )


def _record(number: int, camera: CameraView) -> Record:
    none = torch.zeros(0, dtype=torch.int64)
    return Record(
        camera.file, number + 1, camera.token, camera.width, camera.height, torch.zeros(0, 4), none, none.bool()
    )


def _look(camera: CameraView | None, height: int, width: int) -> tuple[np.ndarray, tuple[float, float]]:
    """Projection to pixels of the frame, and the size of the image in it."""
    if camera is None:
        return np.eye(4), (0.0, 0.0)
    scale = min(height / camera.height, width / camera.width)
    size = (min(max(round(camera.width * scale), 1), width), min(max(round(camera.height * scale), 1), height))
    stretch = np.diag([size[0] / camera.width, size[1] / camera.height, 1.0, 1.0])
    return stretch @ camera.matrix, (float(size[0]), float(size[1]))


def _before(samples: Sequence[Sample]) -> list[int]:
    places = {sample.token: number for number, sample in enumerate(samples)}
    return [places.get(sample.previous, -1) for sample in samples]


def _motion(samples: Sequence[Sample], number: int, before: int) -> np.ndarray:
    """Points of the ego frame of a moment in that of the moment before, [4, 4]."""
    transform = np.eye(4)
    if before >= 0:
        now, earlier = samples[number].ego, samples[before].ego
        transform[:3, :3] = earlier.rotation.T @ now.rotation
        transform[:3, 3] = earlier.to_child(now.translation)
    return transform


def _targets(samples: Sequence[Sample], area: BEVRange, least_points: int) -> Tensor:
    rows = [_boxes(sample, area, least_points) for sample in samples]
    targets = torch.zeros(len(rows), max(1, *(len(row) for row in rows)), TARGET)
    targets[..., -1] = -1
    for place, row in zip(targets, rows, strict=True):
        place[: len(row)] = torch.from_numpy(row)
    return targets


def _boxes(sample: Sample, area: BEVRange, least_points: int) -> np.ndarray:
    """The targets of a moment, float64 [n, 10]."""
    centers, sizes, yaws, velocities = sample.boxes.to_frame(sample.ego)
    labels = sample.boxes.labels
    rows = np.concatenate([centers, sizes, yaws[:, None], velocities, labels[:, None]], axis=1)
    inside = ((centers > np.array(area[:3])) & (centers < np.array(area[3:]))).all(axis=1)
    return np.asarray(rows[inside & (sample.boxes.points >= least_points)], dtype=np.float64)


def _tensor(rows: Any) -> Tensor:
    return torch.from_numpy(np.asarray(rows, dtype=np.float32))
