"""Figures whose values follow from the rules, worked out by hand."""

from typing import Any

import numpy as np
import pytest

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes import CLASSES
from lightloom.metrics.nuscenes import METRICS, Racks, Results, Truth, evaluate, likely_attributes

CAR, BICYCLE, CONE, BARRIER = (CLASSES.index(name) for name in ("car", "bicycle", "traffic_cone", "barrier"))


def truth(labels: Any, centers: Any = None, **changes: Any) -> Truth:
    """One box in each sample, five metres ahead of the vehicle at 0."""
    labels = np.asarray(labels, dtype=np.int64)
    n = len(labels)
    given: dict[str, Any] = {
        "sample": np.arange(n),
        "centers": np.tile([5.0, 0.0, 0.0], (n, 1)) if centers is None else np.asarray(centers, dtype=float),
        "sizes": np.tile([2.0, 4.0, 1.5], (n, 1)),
        "yaws": np.zeros(n),
        "velocities": np.zeros((n, 2)),
        "labels": labels,
        "attributes": likely_attributes(labels, np.zeros((n, 2)), CLASSES),
        "points": np.ones(n, dtype=int),
    }
    return Truth(**(given | changes))


def found(true: Truth, **changes: Any) -> Results:
    given = {name: value for name, value in vars(true).items() if name != "points"}
    return Results(**(given | {"scores": np.linspace(0.9, 0.5, len(true))} | changes))


def ego(true: Truth) -> np.ndarray:
    return np.zeros((len(true), 3))


def one_of_each(times: int = 1) -> Truth:
    return truth(np.repeat(np.arange(10), times))


def test_all_found_is_one() -> None:
    true = one_of_each(3)
    metrics = evaluate(true, found(true), ego(true))
    assert metrics.means == pytest.approx(dict.fromkeys(METRICS, 0.0) | {"NDS": 1.0, "mAP": 1.0})
    assert metrics.present == CLASSES
    assert metrics.per_class == pytest.approx(dict.fromkeys(CLASSES, 1.0))


def test_boxes_beside_match_only_at_the_distances_beyond() -> None:
    true = one_of_each()
    metrics = evaluate(true, found(true, centers=true.centers + np.array([0, 1.5, 30.0])), ego(true))
    assert metrics.precisions["bus"] == {0.5: 0.0, 1.0: 0.0, 2.0: pytest.approx(1.0), 4.0: pytest.approx(1.0)}
    assert metrics.mATE == pytest.approx(1.5) and metrics.mASE == pytest.approx(0)
    assert pytest.approx((5 * 0.5 + 0 + 4) / 10) == metrics.NDS


def test_a_match_is_closer_than_its_distance() -> None:
    true = truth([CAR])
    metrics = evaluate(true, found(true, centers=true.centers + np.array([2.0, 0, 0])), ego(true))
    assert metrics.precisions["car"] == {0.5: 0.0, 1.0: 0.0, 2.0: 0.0, 4.0: pytest.approx(1.0)}
    assert metrics.errors["car"]["ATE"] == 1


def test_each_error_is_in_its_unit() -> None:
    true = one_of_each()
    wrong = found(
        true,
        sizes=true.sizes * (1, 0.5, 1),
        yaws=true.yaws + 2 * np.pi + np.pi + 0.3,
        velocities=true.velocities + np.array([3, 4]),
        attributes=np.full(10, "vehicle.stopped"),
    )
    metrics = evaluate(true, wrong, ego(true))
    car = {"ATE": 0, "ASE": 0.5, "AOE": np.pi - 0.3, "AVE": 5, "AAE": 1}
    assert metrics.errors["car"] == pytest.approx(car)
    nan = float("nan")
    assert metrics.errors["barrier"] == pytest.approx(car | {"AOE": 0.3, "AVE": nan, "AAE": nan}, nan_ok=True)
    senseless = {"AOE": nan, "AVE": nan, "AAE": nan}
    assert metrics.errors["traffic_cone"] == pytest.approx(car | senseless, nan_ok=True)
    assert metrics.mAAE == pytest.approx(7 / 8)  # a bus at rest is stopped
    assert metrics.mAOE == pytest.approx((8 * (np.pi - 0.3) + 0.3) / 9)
    assert pytest.approx((5 + 1 + 0.5 + 0 + 0 + 1 / 8) / 10) == metrics.NDS


def test_precision_of_one_right_box_after_a_wrong_one() -> None:
    true = truth([CAR])
    both = found(true).chosen(np.array([0, 0]))
    centers = both.centers + np.array([[20.0, 0, 0], [0, 0, 0]])
    ordered = Results(**(vars(both) | {"centers": centers, "scores": np.array([2.0, 1.0])}))
    metrics = evaluate(true, ordered, ego(true))
    assert metrics.precisions["car"] == pytest.approx(dict.fromkeys((0.5, 1.0, 2.0, 4.0), _rising_to_a_half()))


def _rising_to_a_half() -> float:
    """Precision rises in a line from 0 at recall 0 to 1/2 at recall 1; what lies above 0.1, over recalls above 0.1."""
    recalls = np.linspace(0, 1, 101)[11:]
    return float(np.mean(np.maximum(recalls / 2 - 0.1, 0)) / 0.9)


def test_of_equal_scores_the_later_box_goes_first() -> None:
    true = truth([CAR])
    twice = found(true).chosen(np.array([0, 0]))
    near = [[0.4, 0, 0], [0.1, 0, 0]]
    for offsets, error in ((near, 0.1), (near[::-1], 0.4)):
        metrics = evaluate(true, Results(**(vars(twice) | {"centers": twice.centers + offsets})), ego(true))
        assert metrics.errors["car"]["ATE"] == pytest.approx(error)


def test_boxes_out_of_range_without_points_or_in_racks_do_not_count() -> None:
    centers = [[29.9, 0, 0], [30.1, 0, 0], [49.9, 0, 0], [0, 50.1, 0], [10, 0, 0], [5, 5, 1], [5, 5, 1]]
    labels = [CONE, BARRIER, CAR, CAR, CAR, BICYCLE, BICYCLE]
    true = truth(labels, centers, points=np.array([-1, 1, 1, 1, 0, 1, 1]))
    half = np.pi / 8  # a rack at 45 degrees, 4 long: its end is 2.83 m along x and y, the box 0.7 m before it
    rack = {"sizes": np.array([[1.0, 4.0, 2.1]]), "rotations": np.array([[np.cos(half), 0, 0, np.sin(half)]])}
    racks = Racks(np.array([5]), np.array([[4.3, 4.3, 0.0]]), **rack)
    metrics = evaluate(true, found(true), ego(true), racks)
    assert metrics.present == ("car", "bicycle", "traffic_cone")
    assert metrics.per_class["traffic_cone"] == pytest.approx(1)
    assert metrics.per_class["bicycle"] == pytest.approx(1)
    assert metrics.per_class["car"] < 1  # the box without points is no miss, but a wrong find
    low = Racks(np.array([5]), np.array([[4.3, 4.3, -0.1]]), **rack)
    below = evaluate(true, found(true).chosen(np.array([5, 6])), ego(true), low)
    assert below.per_class["bicycle"] == pytest.approx(1)
    missed = evaluate(true, found(true).chosen(np.array([6])), ego(true), low)
    assert missed.per_class["bicycle"] == pytest.approx(40 / 90)  # precision 1 up to recall 1/2, and nothing beyond


def test_absent_classes_are_zero_or_skipped() -> None:
    true = truth([CAR, CONE])
    zero = evaluate(true, found(true), ego(true))
    assert zero.mAP == pytest.approx(0.2)
    assert zero.mATE == pytest.approx(0.8) and zero.mAOE == pytest.approx(8 / 9)
    assert pytest.approx(1) == evaluate(true, found(true), ego(true), absent="skip").NDS
    cones = truth([CONE])
    only = evaluate(cones, found(cones), ego(cones), absent="skip")
    assert (only.mAP, only.mAOE) == (pytest.approx(1), 1.0)


def test_nothing_there_and_nothing_found() -> None:
    nothing = truth([])
    for absent in ("zero", "skip"):
        metrics = evaluate(nothing, found(nothing), np.zeros((2, 3)), absent=absent)
        assert metrics.means == dict.fromkeys(METRICS, 1.0) | {"NDS": 0.0, "mAP": 0.0}


def test_figures_do_not_depend_on_the_frame(sets: Any) -> None:
    given = sets.mixed()
    plain = evaluate(given.truth, given.found, given.ego)
    angle, shift = 1.1, np.array([300.0, -200.0, 5.0])
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    def moved(boxes: Any) -> Any:
        changes = {
            "centers": boxes.centers @ turn.T + shift,
            "yaws": boxes.yaws + angle,
            "velocities": boxes.velocities @ turn[:2, :2].T,
        }
        return type(boxes)(**(vars(boxes) | changes))

    elsewhere = evaluate(moved(given.truth), moved(given.found), given.ego @ turn.T + shift)
    assert elsewhere.means == pytest.approx(plain.means, abs=1e-9)


def test_classes_may_stand_in_another_order(sets: Any) -> None:
    given = sets.mixed()
    plain = evaluate(given.truth, given.found, given.ego, given.racks)
    turned = CLASSES[::-1]
    other = [type(boxes)(**(vars(boxes) | {"labels": 9 - boxes.labels})) for boxes in (given.truth, given.found)]
    assert evaluate(*other, given.ego, given.racks, classes=turned).means == pytest.approx(plain.means)
    with pytest.raises(RequestError, match=r"no class `cars`. Did you mean `car`"):
        evaluate(given.truth, given.found, given.ego, classes=("cars", *CLASSES[1:]))


def test_likely_attributes_follow_class_and_speed() -> None:
    labels = np.array(
        [CLASSES.index(name) for name in ("car", "bus", "bus", "pedestrian", "bicycle", "barrier", "car")]
    )
    velocities = np.array([[0.15, 0.15], [0, 0.2], [0.3, 0], [-1, 0], [0, 0], [9, 9], [np.nan, 0]])
    names = ["moving", "stopped", "moving", "moving", "without_rider", "", "parked"]
    assert [name.rpartition(".")[2] for name in likely_attributes(labels, velocities, CLASSES)] == names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": np.zeros((1, 3))}, "sizes must be above 0; those of box 0"),
        ({"centers": np.full((1, 3), np.nan)}, "centers must be finite; box 0"),
        ({"velocities": np.full((1, 2), np.inf)}, "velocities are finite or NaN"),
        ({"yaws": np.zeros(2)}, r"yaws has the shape \(2,\), not \(1,\)"),
        ({"scores": np.array([-0.1])}, "scores must be finite and not below 0; that of box 0"),
    ],
)
def test_boxes_that_are_none_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        found(truth([CAR]), **changes)


def test_labels_and_samples_out_of_range_are_refused() -> None:
    true = truth([CAR])
    with pytest.raises(ValueError, match=r"a label of the found boxes is not among 0 ... 9"):
        evaluate(true, found(true, labels=np.array([10])), ego(true))
    with pytest.raises(ValueError, match=r"a sample of the true boxes is not among 0 ... -1"):
        evaluate(true, found(true), np.zeros((0, 3)))
