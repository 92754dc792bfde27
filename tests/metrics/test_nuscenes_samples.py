"""Moments of a set as what an evaluation compares, and found boxes brought to the global frame."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from lightloom.data.nuscenes import CLASSES
from lightloom.data.nuscenes.boxes import Boxes3D
from lightloom.data.nuscenes.geometry import Pose, rotation_matrix
from lightloom.data.nuscenes.samples import Sample
from lightloom.metrics.nuscenes import evaluate, global_results, ground_truth

EGO = Pose(rotation_matrix([0.9, 0.02, -0.01, -0.4]), np.array([600.0, 1600.0, 1.0]))


def boxes(count: int) -> Boxes3D:
    draw = np.random.RandomState(count)
    names = tuple(f"thing {number}" for number in range(count))
    return Boxes3D(
        centers=EGO.to_parent(draw.uniform(-20, 20, (count, 3)) * (1, 1, 0.05)),
        sizes=draw.uniform(1, 4, (count, 3)),
        rotations=draw.normal(0, 1, (count, 4)) * (1, 0.02, 0.02, 1),
        velocities=draw.normal(0, 1, (count, 2)),
        labels=np.arange(count) % 10,
        attributes=("",) * count,
        points=np.ones(count, dtype=np.int64),
        visibilities=("4",) * count,
        tokens=names,
        instances=names,
    )


def moment(token: str, count: int, racks: int = 0) -> Sample:
    return Sample(token, "drive", 0, EGO, (), boxes(count), boxes(racks), "", None)


def test_moments_become_flat_arrays() -> None:
    samples = (moment("a", 3), moment("b", 0, racks=2), moment("c", 12))
    truth, ego, racks, tokens = ground_truth(samples)
    assert tokens == ("a", "b", "c") and truth.sample.tolist() == [0] * 3 + [2] * 12
    assert racks.sample.tolist() == [1, 1] and racks.rotations.shape == (2, 4)
    np.testing.assert_array_equal(ego, np.tile(EGO.translation, (3, 1)))
    np.testing.assert_array_equal(truth.centers[3:], samples[2].boxes.centers)
    np.testing.assert_array_equal(truth.yaws[3:], samples[2].boxes.yaws)


def test_no_moments_at_all() -> None:
    reference = ground_truth(())
    assert len(reference.truth) == 0 and reference.ego.shape == (0, 3) and reference.racks.sizes.shape == (0, 3)


def test_boxes_found_in_ego_frames_are_found() -> None:
    samples = (moment("a", 12), moment("b", 0), moment("c", 20))
    seen = [own.boxes.to_frame(own.ego) for own in samples]
    rows = [np.column_stack([own.centers, own.sizes, own.yaws, own.velocities]) for own in seen]
    labels = [own.boxes.labels for own in samples]
    found = global_results(samples, rows, [np.linspace(1, 0.5, len(own)) for own in labels], labels)
    truth, ego, racks, _ = ground_truth(samples)
    np.testing.assert_allclose(found.centers, truth.centers, atol=1e-9)
    # a vehicle that is not level sees headings and speeds a little differently than a map does
    np.testing.assert_allclose(np.exp(1j * found.yaws), np.exp(1j * truth.yaws), atol=0.01)
    np.testing.assert_allclose(found.velocities, truth.velocities, atol=0.01)
    assert (found.attributes[truth.labels == CLASSES.index("barrier")] == "").all()
    metrics = evaluate(truth, found, ego, racks)
    assert metrics.mAP == pytest.approx(1) and metrics.mATE == pytest.approx(0, abs=1e-9)
    assert metrics.mAOE < 0.01 and metrics.mAVE < 0.01


def test_a_level_turn_is_exact() -> None:
    turned = Pose(rotation_matrix([np.cos(0.35), 0, 0, np.sin(0.35)]), np.array([10.0, -5.0, 2.0]))
    own = dataclasses.replace(moment("a", 0), ego=turned)
    box = np.array([[1.0, 0.0, 0.5, 2.0, 4.0, 1.5, 0.2, 3.0, 0.0]])
    found = global_results((own,), [box], [np.array([0.4])], [np.array([0])], [np.array(["vehicle.stopped"])])
    expected = (10 + np.cos(0.7), -5 + np.sin(0.7), 2.5)
    np.testing.assert_allclose(found.centers, [expected], atol=1e-12)
    assert found.yaws == pytest.approx(0.9)
    np.testing.assert_allclose(found.velocities, [[3 * np.cos(0.7), 3 * np.sin(0.7)]], atol=1e-12)
    assert found.attributes.tolist() == ["vehicle.stopped"]


def test_as_many_lists_as_moments() -> None:
    empty: list[Any] = [np.empty((0, 9))]
    with pytest.raises(ValueError, match=r"shorter|longer"):
        global_results((moment("a", 0), moment("b", 0)), empty, [np.empty(0)], [np.empty(0, dtype=int)])
