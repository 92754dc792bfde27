"""The ten classes of the nuScenes detection task, the categories that belong to each, and what objects may be doing.

The order is the one of published detector configurations; the nuScenes tools have another. Wherever classes meet they
are matched by name, so that no order is ever assumed.
"""

from __future__ import annotations

from lightloom.common.errors import RequestError, nearest

CLASSES = (
    "car",
    "truck",
    "construction_vehicle",
    "bus",
    "trailer",
    "barrier",
    "motorcycle",
    "bicycle",
    "pedestrian",
    "traffic_cone",
)
"""The detection classes; a class id is a place in this order."""

RACK = "static_object.bicycle_rack"
"""The category of bicycle racks: what stands in one is not scored."""

ATTRIBUTES = (
    "vehicle.moving",
    "vehicle.stopped",
    "vehicle.parked",
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "pedestrian.moving",
)
"""What an object may be doing; barriers and traffic cones do nothing."""

VISIBILITIES = ("", "1", "2", "3", "4")
"""Tokens of the visibility that an annotation may have: unknown, then 0-40, 40-60, 60-80, 80-100 %."""

_OF_CATEGORY = {
    "vehicle.car": "car",
    "vehicle.truck": "truck",
    "vehicle.construction": "construction_vehicle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.trailer": "trailer",
    "movable_object.barrier": "barrier",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.bicycle": "bicycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.trafficcone": "traffic_cone",
}

CATEGORIES = (
    *_OF_CATEGORY,
    "animal",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.stroller",
    "human.pedestrian.wheelchair",
    "movable_object.debris",
    "movable_object.pushable_pullable",
    RACK,
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
)
"""The 23 categories of nuScenes: first those that are detected, then the others."""

_GENERAL = {name: category for category, name in reversed(_OF_CATEGORY.items())} | {"bus": "vehicle.bus.rigid"}
"""The category to write for a class."""


def class_of(category: str) -> str | None:
    """The detection class of a category of the tables; None where the detection task leaves it out."""
    return _OF_CATEGORY.get(category)


def category_of(name: str) -> str:
    """The category to write for a detection class; a category is its own.

    Raises:
        RequestError: The name is neither.
    """
    if name in _GENERAL:
        return _GENERAL[name]
    if name not in CATEGORIES:
        raise RequestError(f"No class or category `{name}` in nuScenes. {nearest(name, (*CLASSES, *CATEGORIES))}")
    return name
