"""Where things of each class are and how they move: a drawn track over the frames of a scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from lightloom.data.toytown import figures, vehicles
from lightloom.data.toytown.road import LANE, PARKING, Road
from lightloom.data.toytown.solids import Array, Part, Span

Builder = Callable[[np.random.Generator, float, float, float], list[Part]]


class Track(NamedTuple):
    """Places and headings of something at T moments, global."""

    xy: Array
    """Positions x, y in m [T, 2]."""
    yaw: Array
    """Headings in rad [T]."""


class Plan(NamedTuple):
    """How something was drawn to be."""

    track: Track
    attribute: str
    """What it is doing, in the words of nuScenes; empty for what does nothing."""
    speed: float
    """Speed in m/s."""
    ridden: bool
    """Whether somebody sits on it."""


@dataclass(frozen=True)
class Kind:
    """Sizes of a class in m, as spans, and how often it is tried for."""

    width: Span
    length: Span
    height: Span
    share: float


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "car": Kind((1.65, 2.1), (3.7, 5.1), (1.4, 1.95), 0.27),
        "truck": Kind((2.2, 2.8), (5.8, 9.0), (2.6, 3.7), 0.055),
        "construction_vehicle": Kind((2.3, 3.0), (5.0, 7.5), (2.5, 3.4), 0.055),
        "bus": Kind((2.5, 3.0), (8.5, 12.0), (2.9, 3.7), 0.055),
        "trailer": Kind((2.3, 2.8), (7.0, 11.0), (3.1, 4.0), 0.052),
        "barrier": Kind((1.8, 2.8), (0.45, 0.7), (0.8, 1.2), 0.055),
        "motorcycle": Kind((0.65, 0.95), (1.8, 2.4), (1.05, 1.35), 0.095),
        "bicycle": Kind((0.5, 0.75), (1.5, 2.0), (0.95, 1.25), 0.095),
        "pedestrian": Kind((0.5, 0.85), (0.45, 0.95), (1.2, 1.95), 0.18),
        "traffic_cone": Kind((0.45, 0.75), (0.45, 0.75), (0.85, 1.35), 0.05),
    }
)
"""Sizes are about those of nuScenes, spread so that an apparent size does not tell a distance; shares are ours."""

_SHARES: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "car": (0.45, 0.12, 0.33),
        "truck": (0.40, 0.12, 0.25),
        "bus": (0.50, 0.22, 0.10),
        "trailer": (0.25, 0.10, 0.25),
        "construction_vehicle": (0.20, 0.05, 0.25),
    }
)
"""Shares that move, that are stopped in a lane, that are parked at its side; the others are beyond the pavement."""

RIDER_HEIGHT: Span = (1.55, 1.95)
"""Height of a cycle with somebody on it, in m."""

_BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "car": vehicles.car,
        "truck": vehicles.truck,
        "construction_vehicle": vehicles.construction_vehicle,
        "bus": vehicles.bus,
        "trailer": vehicles.trailer,
        "barrier": figures.barrier,
        "pedestrian": figures.pedestrian,
        "traffic_cone": figures.traffic_cone,
    }
)


def build(kind: str, draw: np.random.Generator, size: tuple[float, float, float], ridden: bool) -> list[Part]:
    """The parts of a thing of width, length and height in m; they fill its box.

    Args:
        kind: Name of the class.
        draw: It draws colours and proportions.
        size: Width, length and height in m.
        ridden: With a rider, for what has two wheels.
    """
    if kind == "bicycle":
        return figures.bicycle(draw, *size, ridden)
    if kind == "motorcycle":
        return figures.motorcycle(draw, *size, ridden)
    return _BUILDERS[kind](draw, *size)


def along(road: Road, s: float, t: float, speed: float, turned: float, since: Array) -> Track:
    """Something that keeps to t of a road at `speed` m/s, from s at `since` = 0; it drives as the side of t asks.

    Args:
        road: Its road.
        s: In m.
        t: In m; lanes on the right lead to larger s, those on the left to smaller.
        speed: In m/s.
        turned: Added to its heading, rad.
        since: [T] in s.
    """
    way = -1.0 if t > 0 else 1.0
    places = s + way * speed * since / (1 - road.bend * t)
    x, y = road.place(places, np.full_like(places, t))
    return Track(np.stack([x, y], axis=1), road.direction(places) + (np.pi if t > 0 else 0.0) + turned)


def straight(x: float, y: float, yaw: float, speed: float, since: Array) -> Track:
    """Something that goes straight ahead, from (x, y) at `since` = 0.

    Args:
        x: Global x at time 0 in m.
        y: Global y at time 0 in m.
        yaw: Direction in rad.
        speed: In m/s.
        since: Times of the frames in s.
    """
    ahead = np.array([np.cos(yaw), np.sin(yaw)])
    return Track(np.array([x, y]) + speed * since[:, None] * ahead, np.full(len(since), yaw))


def plan(kind: str, draw: np.random.Generator, road: Road, s: float, reach: float, since: Array) -> Plan:
    """A way for a thing of a class to be about s of a road at `since` = 0, not much further than `reach` aside.

    Args:
        kind: Name of the class.
        draw: It draws place and speed.
        road: The road of the scene.
        s: Metres along the road.
        reach: Metres aside.
        since: Times of the frames in s.
    """
    if kind == "pedestrian":
        return _walk(draw, road, s, reach, since)
    if kind in ("bicycle", "motorcycle"):
        return _cycle(kind, draw, road, s, since)
    if kind in ("traffic_cone", "barrier"):
        t = _side(draw) * draw.uniform(road.kerb - 0.4, road.edge + 5)
        turned = draw.uniform(-0.3, 0.3) if draw.random() < 0.5 else np.pi / 2
        return _still(road, s, t, turned, since, "")
    return _drive(kind, draw, road, s, reach, since)


def _drive(kind: str, draw: np.random.Generator, road: Road, s: float, reach: float, since: Array) -> Plan:
    moving, stopped, strip = _SHARES[kind]
    chance, slow = draw.random(), kind == "construction_vehicle"
    if chance < moving:
        speed = draw.uniform(1.0, 2.5) if slow else draw.uniform(2.0, 9.0)
        return Plan(along(road, s, _lane(draw, road), speed, 0.0, since), "vehicle.moving", speed, False)
    if chance < moving + stopped:
        return Plan(along(road, s, _lane(draw, road), 0.0, draw.normal(0, 0.03), since), "vehicle.stopped", 0.0, False)
    if chance < moving + stopped + strip:
        t = _side(draw) * (road.kerb + PARKING / 2 + draw.uniform(-0.1, 0.1))
        return Plan(along(road, s, t, 0.0, draw.normal(0, 0.04), since), "vehicle.parked", 0.0, False)
    t = _side(draw) * _yard(draw, road, reach)
    turned = draw.uniform(-np.pi, np.pi) if slow else _aligned(draw)
    if slow and draw.random() < 0.4:
        return _ahead(road, s, t, turned, draw.uniform(0.8, 2.0), since, "vehicle.moving")
    return _still(road, s, t, turned, since, "vehicle.parked")


def _cycle(kind: str, draw: np.random.Generator, road: Road, s: float, since: Array) -> Plan:
    if draw.random() < 0.55:
        aside = kind == "bicycle" or draw.random() < 0.4
        t = _side(draw) * (road.kerb - (draw.uniform(0.5, 1.2) if aside else LANE / 2))
        speed = draw.uniform(2.0, 5.5) if kind == "bicycle" else draw.uniform(3.0, 9.0)
        return Plan(along(road, s, t, speed, 0.0, since), "cycle.with_rider", speed, True)
    t = _side(draw) * draw.uniform(road.kerb + 0.5, road.edge + 4)
    return _still(road, s, t, _aligned(draw), since, "cycle.without_rider")


def _walk(draw: np.random.Generator, road: Road, s: float, reach: float, since: Array) -> Plan:
    chance = draw.random()
    crosses = 0.65 <= chance < 0.85
    if crosses:
        t, turned = draw.uniform(-road.walk, road.walk), draw.choice((-1, 1)) * np.pi / 2 + draw.normal(0, 0.2)
    elif chance < 0.65:
        t, turned = _side(draw) * draw.uniform(road.walk, road.edge), draw.choice((0, np.pi)) + draw.normal(0, 0.15)
    else:
        t, turned = _side(draw) * _yard(draw, road, reach), draw.uniform(-np.pi, np.pi)
    if crosses or draw.random() < 0.65:
        return _ahead(road, s, t, float(turned), draw.uniform(0.8, 1.9), since, "pedestrian.moving")
    return _still(road, s, t, draw.uniform(-np.pi, np.pi), since, "pedestrian.standing")


def _ahead(road: Road, s: float, t: float, turned: float, speed: float, since: Array, attribute: str) -> Plan:
    """A way from a place beside the road straight ahead; `turned` (rad) is counted from the road."""
    x, y = (float(value) for value in road.place(np.array(s), np.array(t)))
    yaw = float(road.direction(np.array(s))) + turned
    return Plan(straight(x, y, yaw, speed, since), attribute, speed, False)


def _still(road: Road, s: float, t: float, turned: float, since: Array, attribute: str) -> Plan:
    return _ahead(road, s, t, turned, 0.0, since, attribute)


def _lane(draw: np.random.Generator, road: Road) -> float:
    """The t of the middle of a lane, either way, a little off."""
    return _side(draw) * (LANE * (int(draw.integers(road.lanes)) + 0.5) + draw.uniform(-0.25, 0.25))


def _yard(draw: np.random.Generator, road: Road, reach: float) -> float:
    """|t| beyond the pavement, rather near than far."""
    return road.edge + 1.5 + (reach - road.edge - 1.5) * float(draw.random() ** 1.5)


def _side(draw: np.random.Generator) -> float:
    return 1.0 if draw.random() < 0.5 else -1.0


def _aligned(draw: np.random.Generator) -> float:
    """Along or across, a little off."""
    return int(draw.integers(4)) * np.pi / 2 + float(draw.normal(0, 0.12))
