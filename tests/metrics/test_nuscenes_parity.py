"""The same metrics as the official devkit: those it once gave (golden.json), and those it gives now where it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightloom.data.nuscenes import CLASSES
from lightloom.data.nuscenes.samples import read_samples
from lightloom.data.nuscenes.tables import read_tables
from lightloom.data.nuscenes.write import BoxSpec, CameraSpec, FrameSpec, SceneSpec, write_tables
from lightloom.metrics.nuscenes import METRICS, NuScenesMetrics, evaluate, ground_truth, read_results, write_results

CLOSE = 1e-9
NAMES = ("mixed", "six classes", "ties", "scarce", "perfect")


def assert_same(ours: NuScenesMetrics, theirs: dict[str, Any]) -> None:
    for name in METRICS:
        assert ours.means[name] == pytest.approx(theirs[name], abs=CLOSE), name
    assert theirs["precisions"].keys() == ours.precisions.keys() == set(CLASSES)
    for name, values in theirs["precisions"].items():
        assert ours.precisions[name] == pytest.approx({float(at): value for at, value in values.items()}, abs=CLOSE)
        for error, value in theirs["errors"][name].items():
            expected = float("nan") if value is None else value
            assert ours.errors[name][error] == pytest.approx(expected, abs=CLOSE, nan_ok=True), (name, error)
    for key, values in theirs.get("curves", {}).items():
        name, at = key.split(":")
        np.testing.assert_allclose(ours.curves[name][float(at)], values, rtol=0, atol=CLOSE)


def metrics(given: Any) -> NuScenesMetrics:
    return evaluate(given.truth, given.found, given.ego, given.racks)


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_those_the_devkit_gave(name: str, sets: Any, golden: dict[str, Any]) -> None:
    assert_same(metrics(sets.synthetic()[name]), golden[name])


def test_figures_of_real_frames_are_those_the_devkit_gave(sets: Any, golden: dict[str, Any], real_data: Path) -> None:
    given = sets.mini_val(real_data)
    assert len(given.tokens) == 81 and len(given.racks.sample) == 54
    assert_same(metrics(given), golden["mini_val"])


def test_every_set_was_judged(sets: Any, golden: dict[str, Any]) -> None:
    assert set(NAMES) == sets.synthetic().keys() == golden.keys() - {"made", "mini_val"}


@pytest.mark.parametrize("name", NAMES)
def test_figures_and_curves_are_those_the_devkit_gives(name: str, sets: Any, judge: Any, tmp_path: Path) -> None:
    given = sets.synthetic()[name]
    (tmp_path / "boxes.json").write_text(json.dumps(sets.as_numbers(given)))
    assert_same(metrics(given), judge("boxes", tmp_path / "boxes.json"))


def test_figures_and_curves_of_real_frames_are_those_the_devkit_gives(
    sets: Any, judge: Any, real_data: Path, tmp_path: Path
) -> None:
    given = sets.mini_val(real_data)
    (tmp_path / "boxes.json").write_text(json.dumps(sets.as_numbers(given)))
    assert_same(metrics(given), judge("boxes", tmp_path / "boxes.json"))


CATEGORIES = ("car", "truck", "bus", "pedestrian", "bicycle", "motorcycle", "barrier", "traffic_cone", "animal")
ATTRIBUTES = {
    "car": "vehicle.moving",
    "truck": "vehicle.parked",
    "pedestrian": "pedestrian.sitting_lying_down",
    "bicycle": "cycle.without_rider",
}


def drive(number: int) -> SceneSpec:
    """Objects that come and go, tilted, some without a point; racks; a frame without any; a long pause."""
    draw = np.random.RandomState(number)
    times = np.cumsum([1_000_000, 500_000, 500_000, 500_000, 4_000_000, 500_000])
    frames = []
    starts, speeds = draw.uniform(-45, 45, (40, 2)), draw.normal(0, 2, (40, 2))
    turns = draw.normal(0, 1, (40, 4)) * (1, 0.03, 0.03, 1)
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    for moment, time in enumerate(times.tolist()):
        ego = np.array([600.0 + 4 * moment, 1600.0 - moment, 0.3])
        boxes = []
        for thing in range(0 if moment == 3 else 40):
            category = "static_object.bicycle_rack" if thing >= 36 else CATEGORIES[thing % len(CATEGORIES)]
            followed = 4 if thing == 36 else thing  # a rack that hides a bicycle, wherever that goes
            place = starts[followed] + speeds[followed] * time * 1e-6
            if thing < 36 and draw.rand() < 0.2:
                continue
            boxes.append(
                BoxSpec(
                    instance=f"thing {thing}",
                    category=category,
                    translation=(600.0 + place[0], 1600.0 + place[1], 0.8),
                    size=(6.0, 9.0, 3.0) if thing >= 36 else (1.0 + thing / 40, 2.0 + thing / 20, 1.5),
                    rotation=turns[thing].tolist(),
                    attribute=ATTRIBUTES.get(category, "") if draw.rand() < 0.9 else "",
                    lidar_points=int(draw.randint(0, 3)),
                    radar_points=int(draw.randint(0, 2)),
                )
            )
        half = 0.1 * moment
        ego_rotation = (float(np.cos(half)), 0.0, 0.0, float(np.sin(half)))
        images = {"CAM_FRONT": f"samples/{number}-{moment}.jpg"}
        frames.append(FrameSpec(int(time), ego.tolist(), ego_rotation, images, tuple(boxes)))
    intrinsic = ((100.0, 0.0, 80.0), (0.0, 100.0, 48.0), (0.0, 0.0, 1.0))
    camera = CameraSpec("CAM_FRONT", 160, 96, intrinsic, (1.0, 0.0, 1.5), (0.5, -0.5, 0.5, -0.5))
    return SceneSpec(f"drive {number}", (camera,), tuple(frames))


def test_a_whole_set_is_judged_as_the_devkit_judges_it(sets: Any, judge: Any, tmp_path: Path) -> None:
    root = write_tables([drive(number) for number in range(3)], tmp_path, "v1.0-drives", {"x": ["drive 0", "drive 2"]})
    reference = ground_truth(read_samples(read_tables(root, "v1.0-drives"), ["drive 0", "drive 2"]))
    assert np.isnan(reference.truth.velocities).any() and (reference.truth.points == 0).any()
    found = sets.perturbed(reference.truth, np.random.RandomState(9))
    write_results(tmp_path / "results.json", found, reference.tokens)
    theirs = judge("tables", root, "v1.0-drives", "x", tmp_path / "results.json")
    read = read_results(tmp_path / "results.json", reference.tokens)
    for boxes in (found, read):
        assert_same(evaluate(reference.truth, boxes, reference.ego, reference.racks), theirs)
    without = evaluate(reference.truth, found, reference.ego)
    assert without.per_class["bicycle"] != pytest.approx(theirs["precisions"]["bicycle"]), "racks should matter here"
