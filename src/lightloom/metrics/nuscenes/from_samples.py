"""From the moments of a nuScenes set to what an evaluation compares, all in the global frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lightloom.data.nuscenes import CLASSES
from lightloom.data.nuscenes.boxes import heading
from lightloom.data.nuscenes.samples import Sample
from lightloom.metrics.nuscenes.boxes import Array, Integers, Names, Racks, Results, Truth
from lightloom.metrics.nuscenes.rules import likely_attributes


class Reference(NamedTuple):
    """What found boxes are compared with; a sample is a place in the moments."""

    truth: Truth
    ego: Array
    """Positions of the vehicle in m [samples, 3]."""
    racks: Racks
    tokens: tuple[str, ...]
    """Tokens of the samples."""


def ground_truth(samples: Sequence[Sample]) -> Reference:
    """What was there at some moments, in the global frame."""
    boxes = [sample.boxes for sample in samples]
    racks = [sample.racks for sample in samples]
    truth = Truth(
        sample=_places([len(own) for own in boxes]),
        centers=_rows([own.centers for own in boxes], 3),
        sizes=_rows([own.sizes for own in boxes], 3),
        yaws=np.concatenate([np.empty(0), *(own.yaws for own in boxes)]),
        velocities=_rows([own.velocities for own in boxes], 2),
        labels=np.concatenate([np.empty(0, dtype=np.int64), *(own.labels for own in boxes)]),
        attributes=np.array([name for own in boxes for name in own.attributes], dtype=np.str_),
        points=np.concatenate([np.empty(0, dtype=np.int64), *(own.points for own in boxes)]),
    )
    hidden = Racks(
        sample=_places([len(own) for own in racks]),
        centers=_rows([own.centers for own in racks], 3),
        sizes=_rows([own.sizes for own in racks], 3),
        rotations=_rows([own.rotations for own in racks], 4),
    )
    ego = _rows([sample.ego.translation[None] for sample in samples], 3)
    return Reference(truth, ego, hidden, tuple(sample.token for sample in samples))


def global_results(
    samples: Sequence[Sample],
    boxes: Sequence[Array],
    scores: Sequence[Array],
    labels: Sequence[Integers],
    attributes: Sequence[Names] | None = None,
    classes: Sequence[str] = CLASSES,
) -> Results:
    """What a detector found at some moments, brought from their ego frames to the global one.

    Args:
        samples: In the order of the other arguments.
        boxes: Of each moment, [n, 9]: x, y, z, width, length, height in m, yaw in rad, vx, vy in m/s.
        scores: Of each moment, [n].
        labels: Of each moment, [n]: places in `classes`.
        attributes: Of each moment, [n]; None gives each box the likely one of its class and speed.
        classes: Names of nuScenes detection classes.

    Raises:
        ValueError: The numbers of moments or of boxes differ, or a box is none.
    """
    in_global = [_to_global(sample, own) for sample, own in zip(samples, boxes, strict=True)]
    all_boxes = _rows(in_global, 9)
    all_labels = np.concatenate([np.empty(0, dtype=np.int64), *labels]).astype(np.int64)
    if attributes is None:
        names = likely_attributes(all_labels, all_boxes[:, 7:], classes)
    else:
        names = np.concatenate([np.empty(0, dtype=np.str_), *attributes])
    return Results(
        sample=_places([len(own) for own in in_global]),
        centers=all_boxes[:, :3],
        sizes=all_boxes[:, 3:6],
        yaws=all_boxes[:, 6],
        velocities=all_boxes[:, 7:],
        labels=all_labels,
        attributes=names,
        scores=np.concatenate([np.empty(0), *scores]).astype(np.float64),
    )


def _to_global(sample: Sample, boxes: Array) -> Array:
    """Boxes [n, 9] of the moment's ego frame, in the global one: where they point and go, seen from above."""
    values = np.asarray(boxes, dtype=np.float64)
    turn = sample.ego.rotation
    ahead = np.stack([np.cos(values[:, 6]), np.sin(values[:, 6])], axis=1) @ turn[:2, :2].T
    velocities = values[:, 7:9] @ turn[:2, :2].T
    return np.concatenate(
        [sample.ego.to_parent(values[:, :3]), values[:, 3:6], heading(ahead)[:, None], velocities], axis=1
    )


def _places(counts: Sequence[int]) -> Integers:
    """[sum of counts]: 0 as often as the first count, 1 as often as the second, ..."""
    return np.repeat(np.arange(len(counts)), counts).astype(np.int64)


def _rows(parts: Sequence[Array], width: int) -> Array:
    """Rows of all parts, [n, width]; also where there is no part."""
    return np.concatenate([np.empty((0, width)), *parts]).astype(np.float64)
