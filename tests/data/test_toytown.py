from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import ConvexHull, Delaunay

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes.classes import CLASSES
from lightloom.data.nuscenes.geometry import Pose, rotation_matrix
from lightloom.data.nuscenes.samples import Sample, read_samples
from lightloom.data.nuscenes.splits import scene_splits
from lightloom.data.nuscenes.tables import Tables, read_tables
from lightloom.data.toytown import CHANNELS, VERSION, ToytownConfig, make_toytown, toytown
from lightloom.data.toytown.ground import paint_shadows, shadow
from lightloom.data.toytown.render import FINE, Picture, set_stage, take_picture
from lightloom.data.toytown.rig import Camera, make_rig, quaternion
from lightloom.data.toytown.road import Road
from lightloom.data.toytown.solids import Array, Part, block, solid
from lightloom.data.toytown.traffic import KINDS, RIDER_HEIGHT, along, build
from lightloom.data.toytown.world import STEP, Actor, World, make_world

SMALL = ToytownConfig(scenes=(2, 1, 1), frames=3, width=80, height=48, lidar=True)
REACH = SMALL.reach


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toytown(tmp_path_factory.mktemp("town"), SMALL, progress=False)


@pytest.fixture(scope="module")
def tables(root: Path) -> Tables:
    return read_tables(root, VERSION)


@pytest.fixture(scope="module")
def samples(tables: Tables) -> tuple[Sample, ...]:
    return read_samples(tables, [name for names in scene_splits(tables).values() for name in names])


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [make_world(0, "train", place, 6, 24.0, 1.0) for place in range(40)]


@pytest.fixture(scope="module")
def empty(worlds: list[World]) -> World:
    """A scene without anything in it."""
    return replace(worlds[0], actors=(), scenery=())


def at_ego(world: World, frame: int, points: Array) -> Array:
    """Points [n, 3] of the ego frame, global."""
    yaw = float(world.ego.yaw[frame])
    turn = rotation_matrix([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
    return Pose(turn, np.array([*world.ego.xy[frame], 0.0])).to_parent(points)


def standing(world: World, part: Part, size: tuple[float, float, float], x: float, y: float, turned: float) -> Actor:
    """A thing at (x, y) of the ego frame of frame 0."""
    (place,) = at_ego(world, 0, np.array([[x, y, 0.0]]))
    yaw = np.array([world.ego.yaw[0] + turned])
    return Actor(f"thing-{x}-{y}", "car", size, "", 0.0, solid([part]), place[None, :2], yaw)


def seen_by(camera: Camera, world: World, actors: list[Actor], *, shadows: bool = False) -> Picture:
    stage = set_stage(world, 0, actors)
    return take_picture(world, 0, stage if shadows else stage._replace(shadows=()), camera)


def pixels_of(camera: Camera, corners: Array) -> Array:
    """Ego frame to pixels, by the textbook."""
    inside = (corners - camera.translation) @ camera.rotation
    flat = inside @ camera.intrinsic.T
    return np.asarray(flat[:, :2] / flat[:, 2:])


# shapes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ridden", [False, True])
def test_the_parts_of_a_thing_fill_its_box_and_no_more(kind: str, ridden: bool) -> None:
    for seed in range(6):
        draw = np.random.default_rng(seed)
        spans = KINDS[kind]
        ridden = ridden and kind in ("bicycle", "motorcycle")
        w, l, h = (float(draw.uniform(*span)) for span in (spans.width, spans.length, spans.height))  # noqa: E741
        h = float(draw.uniform(*RIDER_HEIGHT)) if ridden else h
        corners = solid(build(kind, draw, (w, l, h), ridden)).corners.reshape(-1, 3)
        assert np.allclose(corners.min(0), [-l / 2, -w / 2, 0], atol=0.02)
        assert np.allclose(corners.max(0), [l / 2, w / 2, h], atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_planes_hold_the_points_that_the_hull_of_the_corners_holds(kind: str) -> None:
    draw = np.random.default_rng(3)
    spans = KINDS[kind]
    size = (spans.width[1], spans.length[1], spans.height[1])
    body = solid(build(kind, draw, size, ridden=True)).placed(np.array([5.0, -3.0]), 0.7)
    for corners, normals, offsets in zip(body.corners, body.normals, body.offsets, strict=True):
        low, high = corners.min(0), corners.max(0)
        points = draw.uniform(low - 0.2 * (high - low), high + 0.2 * (high - low), (400, 3))
        held = (points @ normals.T <= offsets).all(axis=1)
        assert (held == (Delaunay(corners, qhull_options="QJ").find_simplex(points) >= 0)).mean() > 0.99
        length = np.linalg.norm(normals, axis=1)
        assert np.allclose(length[length > 0], 1)


# the road


@pytest.mark.parametrize("bend", [0.0, 1 / 50, -1 / 70])
def test_a_place_is_found_again_on_a_road(bend: float) -> None:
    road = Road(700.0, 900.0, 2.1, bend, 1, float("nan"), 0)
    s, t = np.random.default_rng(0).uniform([[-60], [-20]], [[60], [20]], (2, 200))
    assert np.allclose(road.locate(*road.place(s, t)), [s, t], atol=1e-8)
    ahead = np.stack(road.place(s + 1e-5, t)) - np.stack(road.place(s, t))
    assert np.allclose(np.angle(np.exp(1j * (np.arctan2(ahead[1], ahead[0]) - road.direction(s)))), 0, atol=1e-5)


@pytest.mark.parametrize("t", [-5.25, -1.75, 1.75])
def test_a_track_along_a_bend_has_the_speed_and_the_heading_of_its_motion(t: float) -> None:
    road = Road(0.0, 0.0, 0.3, 1 / 50, 2, float("nan"), 0)
    since = np.linspace(0, 3, 3001)
    track = along(road, 2.0, t, 7.0, 0.0, since)
    motion = np.diff(track.xy, axis=0) / np.diff(since)[:, None]
    assert np.allclose(np.linalg.norm(motion, axis=1), 7.0, rtol=1e-4)
    assert np.allclose(np.exp(1j * track.yaw[:-1]), (motion[:, 0] + 1j * motion[:, 1]) / 7.0, atol=1e-3)


# worlds


def test_no_two_things_are_ever_in_one_place(worlds: list[World]) -> None:
    grid = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 9), np.linspace(-0.5, 0.5, 9)), axis=-1).reshape(-1, 2)
    for world in worlds[:12]:
        for frame in range(6):
            tracks = [(a.xy[frame], float(a.yaw[frame]), a.size[1], a.size[0]) for a in world.actors]
            tracks.append((world.ego.xy[frame], float(world.ego.yaw[frame]), 4.5, 1.9))
            spots = [spot + turned(grid * size, yaw) for spot, yaw, *size in tracks]
            for mine, (centre, yaw, l, w) in enumerate(tracks):  # noqa: E741
                for other, points in enumerate(spots):
                    if mine != other:
                        inside = np.abs(turned(points - centre, -yaw)) <= [l / 2, w / 2]
                        assert not inside.all(axis=1).any()


def turned(points: Array, yaw: float) -> Array:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))


def test_every_class_is_common_enough_to_learn(worlds: list[World]) -> None:
    kinds = Counter(a.kind for world in worlds for frame in range(6) for a in world.within(frame, 24.0))
    assert 12 < kinds.total() / (6 * len(worlds)) < 18
    assert set(kinds) == set(CLASSES)
    assert min(kinds.values()) > 0.035 * kinds.total()
    assert max(kinds.values()) < 0.35 * kinds.total()


def test_density_changes_the_number_of_things() -> None:
    few, many = (
        sum(len(make_world(1, "train", place, 2, 24.0, density).within(0, 24.0)) for place in range(8))
        for density in (0.4, 1.2)
    )
    assert many > 2 * few


# pictures


@pytest.fixture(scope="module")
def camera() -> Camera:
    return make_rig(ToytownConfig(), 5)[0]


def test_quaternions_of_all_mountings_turn_as_the_matrices_do() -> None:
    for seed in range(5):
        for one in make_rig(ToytownConfig(), seed):
            assert np.allclose(rotation_matrix(quaternion(one.rotation)), one.rotation)
            assert np.allclose(one.rotation @ one.rotation.T, np.eye(3))
            assert np.linalg.det(one.rotation) == pytest.approx(1)
            assert one.rotation[2, 0] == 0 and one.rotation[2, 1] < -0.9  # level, the rows downwards
    half_turn = np.diag([-1.0, 1.0, -1.0])
    assert np.allclose(rotation_matrix(quaternion(half_turn)), half_turn)


def test_a_block_covers_the_hull_of_its_projected_corners(empty: World, camera: Camera) -> None:
    size = (2.0, 4.0, 1.5)
    part = block((-2, 2), (-1, 1), (0, 1.5), (200.0, 10.0, 10.0))
    for x, y, turn in ((8, 0, 0.3), (12, 4, 1.2), (20, -5, 2.5)):
        picture = seen_by(camera, empty, [standing(empty, part, size, x, y, turn)])
        corners = turned(part.corners[:, :2], turn) + np.array([x, y])
        hull = ConvexHull(pixels_of(camera, np.column_stack([corners, part.corners[:, 2]])))
        border = hull.area  # of a plane figure, its circumference
        assert abs(picture.whole[0] / FINE**2 - hull.volume) < 0.1 * border
        assert picture.seen_pixels[0] == picture.whole[0]
        changed = np.abs(picture.pixels.astype(int) - seen_by(camera, empty, []).pixels).max(axis=2) > 8
        rows, columns = np.nonzero(changed)
        points = hull.points[hull.vertices]
        assert np.allclose([columns.min(), columns.max() + 1], [points[:, 0].min(), points[:, 0].max()], atol=1.01)
        assert np.allclose([rows.min(), rows.max() + 1], [points[:, 1].min(), points[:, 1].max()], atol=1.01)


@pytest.mark.parametrize("place", [2, 5])
@pytest.mark.parametrize("channel", CHANNELS)
def test_rays_end_on_the_part_that_slabs_find_first(worlds: list[World], place: int, channel: str) -> None:
    """Against distances of entry and exit in float64, one plane after the other, for every ray of a picture."""
    world = worlds[place]
    (camera,) = make_rig(ToytownConfig(width=64, height=40, cameras=(channel,)), world.rig)
    stage = set_stage(world, 2, world.within(2, 24.0))
    parts = stage.parts
    eye, origin = at_ego(world, 2, np.stack([camera.translation, np.zeros(3)]))
    u, v = np.meshgrid((np.arange(64 * FINE) + 0.5) / FINE, (np.arange(40 * FINE) + 0.5) / FINE)
    towards = np.stack([u, v, np.ones_like(u)], axis=-1) @ camera.rays.T
    rays = at_ego(world, 2, towards.reshape(-1, 3)) - origin
    best, owner = np.full(len(rays), np.inf), np.full(len(rays), -1)
    for normals, offsets, whose in zip(parts.normals, parts.offsets, stage.owner, strict=True):
        enter, leave, misses = np.full(len(rays), 1e-6), np.full(len(rays), np.inf), np.zeros(len(rays), bool)
        for normal, offset in zip(normals, offsets, strict=True):
            speed, room = rays @ normal, offset - normal @ eye
            with np.errstate(divide="ignore", invalid="ignore"):
                at = room / speed
            enter = np.where(speed < 0, np.maximum(enter, at), enter)
            leave = np.where(speed > 0, np.minimum(leave, at), leave)
            misses |= (speed == 0) & (room < 0)
        hit = ~misses & (enter < leave) & (enter < best)
        best, owner = np.where(hit, enter, best), np.where(hit, whose, owner)
    expected = np.bincount(owner[owner >= 0], minlength=stage.labelled)[: stage.labelled]
    assert expected.max() > 20
    assert np.abs(take_picture(world, 2, stage, camera).seen_pixels - expected).sum() <= 2


def test_what_stands_behind_a_wall_is_not_seen(empty: World, camera: Camera) -> None:
    wall = standing(empty, block((-0.2, 0.2), (-5, 5), (0, 4), (90.0,) * 3), (10.0, 0.4, 4.0), 8.0, 0.0, 0.0)
    thing = standing(empty, block((-1, 1), (-1, 1), (0, 1.5), (90.0,) * 3), (2.0, 2.0, 1.5), 16.0, 0.0, 0.0)
    hidden, free = seen_by(camera, empty, [wall, thing]), seen_by(camera, empty, [thing])
    assert hidden.seen_pixels[1] == 0
    assert hidden.whole[1] == free.whole[0] == free.seen_pixels[0] > 100


def test_shadows_lie_where_the_sun_throws_them(empty: World, camera: Camera) -> None:
    """Every pixel's place on the ground is in the shadow, or is not."""
    sun = np.array([-0.3, 0.5, 0.8])
    corners = np.array([[10.0, 1.0], [10.0, -1.0], [8.0, -1.0], [8.0, 1.0]])
    outline = shadow(corners, 2.0, sun)
    assert np.allclose(sorted(map(tuple, outline)), sorted(
        [(10.0, 1.0), (8.0, 1.0), (8.0, -1.0), (8.75, -2.25), (10.75, -2.25), (10.75, -0.25)]
    ))  # fmt: skip
    picture = np.full((camera.height, camera.width, 3), 100, np.float32)
    paint_shadows(picture, camera.translation, camera.rays, [outline])
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ camera.rays.T
    with np.errstate(divide="ignore"):
        depth = np.where(rays[..., 2] < 0, -camera.translation[2] / rays[..., 2], np.nan)
    ground = camera.translation[:2] + depth[..., None] * rays[..., :2]
    inside = Delaunay(outline).find_simplex(ground) >= 0
    assert inside.sum() > 100
    assert ((picture[..., 0] < 77.5) == inside).mean() > 0.999
    assert (picture[~inside] == 100).mean() > 0.98


def test_the_ground_stays_where_it_is_while_the_vehicle_drives(empty: World) -> None:
    """A line across the road comes nearer by as much as the vehicle drives."""
    straight_on = replace(empty, road=Road(0.0, 0.0, 0.0, 0.0, 1, 20.0, 0))
    (camera,) = (one for one in make_rig(ToytownConfig(width=320, height=192), 1) if one.channel == "CAM_FRONT")
    for x in (0.0, 5.0):
        track = empty.ego._replace(xy=np.array([[x, -1.75]]), yaw=np.zeros(1))
        pixels = seen_by(camera, replace(straight_on, ego=track), []).pixels.astype(int)
        zebra = np.array([[20 - 5.9 - x, t + 1.75, 0.0] for t in (-0.825, -1.375)])  # a stripe and a gap
        (u0, v0), (u1, v1) = pixels_of(camera, zebra).astype(int)
        assert pixels[v0, u0].mean() > pixels[v1, u1].mean() + 60


# the set


def test_it_reads_as_a_set_of_nuscenes(root: Path, tables: Tables, samples: tuple[Sample, ...]) -> None:
    assert scene_splits(tables) == {"train": ("train-0000", "train-0001"), "val": ("val-0000",), "test": ("test-0000",)}
    assert len(samples) == 12
    assert Counter(len(sample.cameras) for sample in samples) == {6: 12}
    assert {camera.channel for camera in samples[0].cameras} == set(CHANNELS)
    for camera in samples[0].cameras:
        with Image.open(camera.file) as image:
            assert (image.size, image.format) == ((80, 48), "JPEG")
    assert [bool(sample.previous) for sample in samples[:4]] == [False, True, True, False]


def test_boxes_lie_within_reach_on_the_ground(samples: tuple[Sample, ...]) -> None:
    for sample in samples:
        centres, sizes, _, _ = sample.boxes.to_frame(sample.ego)
        assert np.abs(centres[:, :2]).max() <= REACH
        assert np.allclose(centres[:, 2], sizes[:, 2] / 2)


def test_what_moves_says_so(samples: tuple[Sample, ...]) -> None:
    met = Counter()
    for sample in samples:
        for velocity, attribute in zip(sample.boxes.velocities, sample.boxes.attributes, strict=True):
            speed = np.linalg.norm(velocity)
            if attribute and np.isfinite(speed):
                moves = attribute.endswith((".moving", ".with_rider"))
                assert (speed > 0.5) if moves else (speed < 1e-3)
                met[moves] += 1
    assert min(met[True], met[False]) > 20


def test_points_of_the_lidar_lie_on_things_or_on_the_ground(root: Path, samples: tuple[Sample, ...]) -> None:
    for sample in samples[::4]:
        assert sample.lidar is not None
        cloud = np.fromfile(sample.lidar, np.float32).reshape(-1, 5).astype(np.float64)
        ego = np.column_stack([cloud[:, 1] + 0.94, -cloud[:, 0], cloud[:, 2] + 1.84])
        assert len(cloud) > 10_000
        assert ego[:, 2].min() > -1e-3
        centres, sizes, yaws, _ = sample.boxes.to_frame(sample.ego)
        for centre, (w, l, h), yaw, count in zip(centres, sizes, yaws, sample.boxes.points, strict=True):  # noqa: E741
            near = ego[(np.linalg.norm(ego - centre, axis=1) < 12)] - centre
            flat = np.abs(np.column_stack([turned(near[:, :2], -yaw), near[:, 2]]))
            assert (flat <= np.array([l, w, h]) / 2 + 1e-3).all(axis=1).sum() >= count
            # the ground under a box is at its lower face, hence what is well above it
            assert ((flat <= np.array([l, w, h]) / 2 - [0, 0, 0.01]).all(axis=1)).sum() <= count + 3


def test_without_a_lidar_the_points_are_pixels(tmp_path: Path) -> None:
    config = SMALL.replace(lidar=False, scenes=(1, 0, 0), frames=1)
    (sample,) = read_samples(read_tables(make_toytown(tmp_path, config, progress=False), VERSION), ["train-0000"])
    assert not (tmp_path / "samples" / "LIDAR_TOP").exists()
    assert all(level == "1" for level, n in zip(sample.boxes.visibilities, sample.boxes.points, strict=True) if n == 0)
    assert 0 < sample.boxes.points.max() < 6 * 80 * 48
    world = make_world(0, "train", 0, 1, REACH, 1.0)
    stage = set_stage(world, 0, world.within(0, REACH))
    seen = sum(take_picture(world, 0, stage, camera).seen_pixels for camera in make_rig(config, world.rig))
    assert sample.boxes.points.tolist() == (np.asarray(seen) // 4).tolist()


def digests(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_larger_town_contains_a_smaller_one_and_a_seed_decides_it(root: Path, tmp_path: Path) -> None:
    fewer = SMALL.replace(scenes=(1, 0, 1))
    small = digests(make_toytown(tmp_path / "a", fewer, progress=False))
    whole = digests(root)
    images = {name for name in small if name.startswith("samples")}
    assert len(images) == 2 * 3 * 7
    assert all(small[name] == whole[name] for name in images)
    again = digests(make_toytown(tmp_path / "b", fewer, progress=False))
    assert again == small
    other = digests(make_toytown(tmp_path / "c", fewer.replace(seed=1), progress=False))
    assert all(other[name] != small[name] for name in images)


def test_two_at_once_make_one_town_and_the_next_finds_it(tmp_path: Path) -> None:
    config = SMALL.replace(scenes=(1, 0, 0), frames=1, cameras=("CAM_BACK",))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: toytown(config, tmp_path), range(2))
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    stamp = (first / VERSION / "sample.json").stat().st_mtime_ns
    assert toytown(config, tmp_path) == first
    assert (first / VERSION / "sample.json").stat().st_mtime_ns == stamp
    assert toytown(config.replace(seed=3), tmp_path) != first
    (sample,) = read_samples(read_tables(first, VERSION), ["train-0000"])
    assert [camera.channel for camera in sample.cameras] == ["CAM_BACK"]


def test_a_town_that_failed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object, **named: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("lightloom.data.toytown.make.write_tables", broken)
    with pytest.raises(KeyboardInterrupt):
        toytown(SMALL.replace(scenes=(1, 0, 0), frames=1, cameras=("CAM_BACK",)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"cameras": ("CAM_UP",)}, "CAM_FRONT_RIGHT"),
        ({"cameras": ("CAM_BACK", "CAM_BACK")}, "each once"),
        ({"scenes": (0, 1, 1)}, "at least 1 scene"),
        ({"reach": 3.0}, "reach"),
        ({"scene": (1, 1, 1)}, "Did you mean `scenes`"),
    ],
)
def test_wrong_requests_are_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(RequestError, match=text):
        ToytownConfig.parse(change)


def test_frames_are_half_a_second_apart(samples: tuple[Sample, ...]) -> None:
    assert samples[1].timestamp - samples[0].timestamp == STEP * 1e6
