"""What counts in the nuScenes detection task, and the attributes of its classes.

Source: the configuration `detection_cvpr_2019` and the filters of the nuScenes devkit 1.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightloom.data.nuscenes.geometry import rotation_matrix
from lightloom.metrics.nuscenes.boxes import Array, Integers, Mask, Names, Racks

RANGES = {
    "car": 50.0,
    "truck": 50.0,
    "bus": 50.0,
    "trailer": 50.0,
    "construction_vehicle": 50.0,
    "pedestrian": 40.0,
    "motorcycle": 40.0,
    "bicycle": 40.0,
    "traffic_cone": 30.0,
    "barrier": 30.0,
}
"""Boxes of a class count up to this distance from the vehicle, in m over ground."""

DISTANCES = (0.5, 1.0, 2.0, 4.0)
"""A found box may match a true one whose centre is closer than this, in m over ground; AP is the mean over all four."""

ERROR_DISTANCE = 2.0
"""The one of `DISTANCES` whose matches the errors are measured on."""

MOST_BOXES = 500
"""Boxes that a results file may have in a sample."""

RACKED = ("bicycle", "motorcycle")
"""Classes that racks hide."""

MOVING_SPEED = 0.2
"""Speed in m/s beyond which something moves. Source: the usual rule of published detectors."""

_MOVING_AND_STILL = {
    "car": ("vehicle.moving", "vehicle.parked"),
    "truck": ("vehicle.moving", "vehicle.parked"),
    "construction_vehicle": ("vehicle.moving", "vehicle.parked"),
    "bus": ("vehicle.moving", "vehicle.stopped"),
    "trailer": ("vehicle.moving", "vehicle.parked"),
    "motorcycle": ("cycle.with_rider", "cycle.without_rider"),
    "bicycle": ("cycle.with_rider", "cycle.without_rider"),
    "pedestrian": ("pedestrian.moving", "pedestrian.standing"),
    "barrier": ("", ""),
    "traffic_cone": ("", ""),
}


def likely_attributes(labels: Integers, velocities: Array, classes: Sequence[str]) -> Names:
    """The attribute that a box's class and speed make likely, for detectors that predict none.

    Args:
        labels: [n], places in `classes`.
        velocities: [n, 2] in m/s; unknown ones (NaN) count as standing still.
        classes: Names of nuScenes detection classes.

    Returns:
        [n]: names of `ATTRIBUTES`; empty for barriers and cones.
    """
    moving = np.hypot(velocities[:, 0], velocities[:, 1]) > MOVING_SPEED
    by_class = np.array([_MOVING_AND_STILL[name][::-1] for name in classes], dtype=np.str_).reshape(-1, 2)
    return by_class[labels, moving.astype(np.int64)]


def in_range(sample: Integers, centers: Array, labels: Integers, ego: Array, classes: Sequence[str]) -> Mask:
    """Whether boxes [n] are closer to their sample's vehicle than the range of their class.

    Args:
        sample: [n], places in `ego`.
        centers: [n, 3] in m.
        labels: [n], places in `classes`.
        ego: [samples, 3] in m: where the vehicle is.
        classes: Names that `RANGES` has.
    """
    away = centers[:, :2] - ego[sample, :2]
    reach = np.array([RANGES[name] for name in classes])
    return np.asarray(np.sqrt((away**2).sum(1)) < reach[labels])


def in_racks(sample: Integers, centers: Array, labels: Integers, racks: Racks, classes: Sequence[str]) -> Mask:
    """Whether boxes [n] are bicycles or motorcycles with their centre in a rack of their sample, faces included.

    Args:
        sample: [n].
        centers: [n, 3] in m.
        labels: [n], places in `classes`.
        racks: Racks of all samples.
        classes: Names of the classes.
    """
    hidden = np.zeros(len(sample), dtype=np.bool_)
    places = np.flatnonzero(np.isin(labels, [classes.index(name) for name in RACKED if name in classes]))
    places = places[np.argsort(sample[places], kind="stable")]
    starts = np.searchsorted(sample[places], racks.sample, side="left")
    ends = np.searchsorted(sample[places], racks.sample, side="right")
    half = racks.sizes[:, [1, 0, 2]] / 2  # length lies along the rack's own x
    for rack in np.flatnonzero(ends > starts):
        near = places[starts[rack] : ends[rack]]
        own = (centers[near] - racks.centers[rack]) @ rotation_matrix(racks.rotations[rack])
        hidden[near] |= np.all(np.abs(own) <= half[rack], axis=1)
    return hidden
