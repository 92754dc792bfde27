"""One scene of the town: the vehicle's drive, the things around it, none on top of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightloom.common.seeds import named_seed
from lightloom.data.toytown import figures
from lightloom.data.toytown.road import LANE, Road, draw_road
from lightloom.data.toytown.solids import Array, Solid, solid
from lightloom.data.toytown.traffic import KINDS, RIDER_HEIGHT, Plan, Track, along, build, plan, straight

Size = tuple[float, float, float]

STEP = 0.5
"""s between key frames."""

_EGO = (2.0, 4.8)  # m: width and length that the vehicle itself takes
_GAP = 0.35  # m left free around everything
_TRIES = 40  # places tried for one thing
_FINE = 2  # moments per frame at which things are kept apart
_SMALL = ("barrier", "motorcycle", "bicycle", "pedestrian", "traffic_cone")  # rather near than far, to be seen at all
_HOUSES, _TREES = 22, 20  # tried for
_MOST = 160  # things of a scene, whatever the density


@dataclass(frozen=True, eq=False)
class Actor:
    """A thing of one of the ten classes, or scenery.

    Attributes:
        name: Its own in the scene.
        kind: Detection class; empty for scenery.
        size: Width, length, height in m.
        attribute: What it is doing.
        speed: In m/s.
        body: Its parts, in its own frame.
        xy: [frames, 2] in m, global.
        yaw: [frames], rad.
    """

    name: str
    kind: str
    size: Size
    attribute: str
    speed: float
    body: Solid
    xy: Array
    yaw: Array


@dataclass(frozen=True, eq=False)
class World:
    """A scene.

    Attributes:
        road: What the ground follows.
        ego: The vehicle's track over the frames.
        actors: Things of the ten classes.
        scenery: Houses and trees.
        sun: [3], towards the sun, length 1.
        light: Of the day, about 1.
        rig: Seed of how the cameras are mounted.
    """

    road: Road
    ego: Track
    actors: tuple[Actor, ...]
    scenery: tuple[Actor, ...]
    sun: Array
    light: float
    rig: int

    def within(self, frame: int, reach: float) -> list[Actor]:
        """The things with |x| and |y| from the vehicle of at most `reach` m, in a frame.

        Args:
            frame: Number of the frame.
            reach: Metres.
        """
        return [actor for actor in self.actors if np.abs(_from_ego(self.ego, actor.xy)[frame]).max() <= reach]


def make_world(seed: int, split: str, place: int, frames: int, reach: float, density: float) -> World:
    """The scene `place` of a split; it depends on nothing but these.

    Args:
        seed: Seed of the town.
        split: Name of the split.
        place: Number of the scene in its split.
        frames: Number of frames.
        reach: Metres around the vehicle that have things in them.
        density: Factor of the number of things.
    """
    draw = np.random.default_rng(named_seed(seed, "toytown", split, place))
    road = draw_road(draw)
    times = np.arange(frames * _FINE, dtype=np.float64) * (STEP / _FINE)
    speed = 0.0 if draw.random() < 0.12 else float(draw.uniform(2.0, 9.0))
    lane = -LANE * (int(draw.integers(road.lanes)) + 0.5)
    ego = along(road, 0.0, lane, speed, 0.0, times)
    crowd = _Crowd(draw, road, ego, times, reach)
    crowd.fill(density * draw.uniform(11.0, 19.0))
    elevation, azimuth = draw.uniform(0.7, 1.1), draw.uniform(-np.pi, np.pi)
    sun = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    return World(
        road=road,
        ego=Track(ego.xy[::_FINE], ego.yaw[::_FINE]),
        actors=tuple(crowd.actors),
        scenery=tuple(_scenery(draw, crowd)),
        sun=np.array(sun),
        light=float(draw.uniform(0.88, 1.08)),
        rig=named_seed(seed, "toytown", split, place, "rig"),
    )


class _Crowd:
    """Things that are placed one after another, each where it meets no other at any moment."""

    def __init__(self, draw: np.random.Generator, road: Road, ego: Track, times: Array, reach: float) -> None:
        self.draw, self.road, self.ego, self.times, self.reach = draw, road, ego, times, reach
        self.actors: list[Actor] = []
        self._shapes, self._tracks, self._reaches = [_outlines(ego, _EGO)], [ego.xy], [float(np.hypot(*_EGO)) / 2]
        self.present = 0.0  # things within reach in a frame, on average

    def fill(self, quota: float) -> None:
        """Place things until as many as wanted are within reach."""
        names, shares = list(KINDS), np.array([kind.share for kind in KINDS.values()])
        for _ in range(_MOST):
            if self.present >= quota:
                return
            kind = names[int(self.draw.choice(len(names), p=shares / shares.sum()))]
            grown = self._place(kind)
            if grown is not None and kind in ("traffic_cone", "barrier"):
                self._row(grown, int(self.draw.integers(0, 3)))
            elif grown is not None and kind == "trailer":
                self._tow(grown)

    def _place(self, kind: str) -> Actor | None:
        for _ in range(_TRIES):
            now = int(self.draw.integers(len(self.times)))
            ego_s, _ = self.road.locate(*self.ego.xy[now : now + 1].T)
            off = self.draw.uniform(-0.97, 0.97)
            s = float(ego_s[0]) + off * (abs(off) ** 0.5 if kind in _SMALL else 1.0) * self.reach
            since = self.times - self.times[now]
            motion = plan(kind, self.draw, self.road, s, self.reach, since)
            if np.abs(_from_ego(self.ego, motion.track.xy)[now]).max() > self.reach * 0.97:
                continue
            actor = self._try(kind, self._size(kind, motion.ridden), motion)
            if actor is not None:
                return actor
        return None

    def _row(self, first: Actor, count: int) -> None:
        """More of the same beside it."""
        gap = first.size[0] + 0.75 if first.kind == "barrier" else self.draw.uniform(1.2, 2.6)
        yaw = float(first.yaw[0])
        step = np.array([-np.sin(yaw), np.cos(yaw)]) * gap * self.draw.choice((-1, 1))
        for place in range(1, count + 1):
            x, y = (first.xy[0] + place * step).tolist()
            track = straight(x, y, yaw + self.draw.normal(0, 0.08), 0.0, self.times)
            self._try(first.kind, self._size(first.kind, False), Plan(track, "", 0.0, False))

    def _tow(self, trailer: Actor) -> None:
        """A truck in front of a trailer that moves."""
        if trailer.attribute == "vehicle.moving":
            size = self._size("truck", False)
            (s,), (t,) = (place.tolist() for place in self.road.locate(*trailer.xy[:1].T))
            ahead = ((trailer.size[1] + size[1]) / 2 + 0.8) / (1 - self.road.bend * t)
            track = along(self.road, s + (-ahead if t > 0 else ahead), t, trailer.speed, 0.0, self.times)
            self._try("truck", size, Plan(track, "vehicle.moving", trailer.speed, False))

    def _try(self, kind: str, size: Size, motion: Plan) -> Actor | None:
        """The thing, where it meets no other."""
        track = motion.track
        wide = (size[0] + _GAP, size[1] + _GAP)
        if not self.free(track, wide):
            return None
        self._shapes.append(_outlines(track, wide))
        self._tracks.append(track.xy)
        self._reaches.append(float(np.hypot(*wide)) / 2)
        body = solid(build(kind, self.draw, size, motion.ridden))
        xy, yaw = track.xy[::_FINE], track.yaw[::_FINE]
        actor = Actor(f"{kind}-{len(self.actors)}", kind, size, motion.attribute, motion.speed, body, xy, yaw)
        self.actors.append(actor)
        self.present += float(np.mean(np.abs(_from_ego(self.ego, track.xy)).max(axis=1) <= self.reach))
        return actor

    def free(self, track: Track, size: tuple[float, float]) -> bool:
        """Whether something of this width and length would meet nothing."""
        apart = np.linalg.norm(np.stack(self._tracks) - track.xy, axis=2).min(axis=1)
        near = np.flatnonzero(apart < np.hypot(*size) / 2 + np.array(self._reaches))
        shape = _outlines(track, size) if len(near) else None
        return shape is None or not any(_touch(shape, self._shapes[place]) for place in near)

    def _size(self, kind: str, ridden: bool) -> Size:
        spans = KINDS[kind]
        height = RIDER_HEIGHT if ridden else spans.height
        w, l, h = (float(self.draw.uniform(*span)) for span in (spans.width, spans.length, height))  # noqa: E741
        return w, l, h


def _scenery(draw: np.random.Generator, crowd: _Crowd) -> list[Actor]:
    """Houses beyond reach, trees where there is room."""
    actors = []
    (end,) = crowd.road.locate(*crowd.ego.xy[-1:].T)[0].tolist()
    for place in range(_HOUSES + _TREES):
        far = place < _HOUSES
        spans = ((7, 11), (8, 14), (5, 9)) if far else ((2.2, 3.6), (0.5, 0.5), (4.5, 7.0))
        width, length, height = (float(draw.uniform(*span)) for span in spans)
        aside = crowd.reach + draw.uniform(11, 18) if far else draw.uniform(crowd.road.walk + 0.6, crowd.reach + 8)
        s = draw.uniform(-2.2 * crowd.reach, end + 2.2 * crowd.reach)
        x, y = crowd.road.place(np.array(s), np.array(aside if place % 2 else -aside))
        track = straight(float(x), float(y), float(crowd.road.direction(np.array(s))), 0.0, crowd.times)
        if far and np.abs(_from_ego(crowd.ego, track.xy)).max(axis=1).min() < crowd.reach + 7:
            continue
        if crowd.free(track, (width, length) if far else (0.6, 0.6)):
            body = solid((figures.house if far else figures.tree)(draw, width, length, height))
            xy, yaw = track.xy[::_FINE], track.yaw[::_FINE]
            actors.append(Actor(f"scenery-{place}", "", (width, length, height), "", 0.0, body, xy, yaw))
    return actors


def _from_ego(ego: Track, xy: Array) -> Array:
    """Points [T, 2], one for each moment, in the vehicle's frame of that moment."""
    cos, sin = np.cos(ego.yaw), np.sin(ego.yaw)
    dx, dy = (xy - ego.xy).T
    return np.stack([cos * dx + sin * dy, cos * dy - sin * dx], axis=1)


def _outlines(track: Track, size: tuple[float, float]) -> Array:
    """Corners [T, 4, 2] of a footprint of width and length, in order."""
    flat = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * np.array([size[1], size[0]]) / 2
    cos, sin = np.cos(track.yaw), np.sin(track.yaw)
    turn = np.stack([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)], axis=1)
    return np.asarray(flat @ turn + track.xy[:, None], dtype=np.float64)


def _touch(first: Array, second: Array) -> bool:
    """Whether two footprints [T, 4, 2] meet at any moment: no edge of either parts them (separating axes)."""
    apart = np.zeros(len(first), dtype=bool)
    for shape in (first, second):
        for edge in (shape[:, 1] - shape[:, 0], shape[:, 2] - shape[:, 1]):
            a, b = np.einsum("tk,tck->tc", edge, first), np.einsum("tk,tck->tc", edge, second)
            apart |= (a.min(1) > b.max(1)) | (b.min(1) > a.max(1))
    return bool((~apart).any())
