"""Boxes of equal scores: which goes first decides metrics, and it is the order of the results file, reversed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightloom.metrics.nuscenes import METRICS, Results, Truth, evaluate, read_results, write_results

ORDERS = ("listed", "shuffled", "reversed", "samples shuffled")


def boxes(kind: type, sample: list[int], x: list[float], **more: Any) -> Any:
    """Cars of sample 0, 1, ... at places along x."""
    count = len(sample)
    return kind(
        sample=np.array(sample),
        centers=np.array([[place, 0.0, 0.0] for place in x]),
        sizes=np.ones((count, 3)),
        yaws=np.zeros(count),
        velocities=np.zeros((count, 2)),
        labels=np.zeros(count, dtype=np.int64),
        attributes=np.full(count, "vehicle.moving"),
        **more,
    )


TRUTH = boxes(Truth, [0, 1], [5.0, 5.0], points=np.ones(2, dtype=np.int64))
HIT_AND_MISS = boxes(Results, [0, 1], [5.0, 25.0], scores=np.array([0.5, 0.5]))
EGO = np.zeros((2, 3))
MISS_FIRST = sum((i - 10) / 100 for i in range(11, 51)) / 90 / 0.9
"""AP of a miss before a hit: precision rises from 0 to 1 / 2 as recall does; 0.1 of it does not count."""
HIT_FIRST = (39 * 0.9 + 0.4) / 90 / 0.9
"""AP of a hit before a miss: precision is 1 up to the recall 1 / 2, where it falls to 1 / 2."""


def precision_of(found: Results) -> float:
    return evaluate(TRUTH, found, EGO).per_class["car"]


def test_the_box_of_the_later_sample_goes_first() -> None:
    assert precision_of(HIT_AND_MISS) == pytest.approx(MISS_FIRST, abs=1e-12)
    swapped = boxes(Results, [0, 1], [25.0, 5.0], scores=np.array([0.5, 0.5]))
    assert precision_of(swapped) == pytest.approx(HIT_FIRST, abs=1e-12)


def test_of_one_sample_the_later_box_goes_first() -> None:
    for places, expected in (([5.0, 25.0], MISS_FIRST), ([25.0, 5.0], HIT_FIRST)):
        found = boxes(Results, [0, 0], places, scores=np.array([0.5, 0.5]))
        assert precision_of(found) == pytest.approx(expected, abs=1e-12)


def test_the_order_of_arrays_that_mix_samples_is_that_of_the_samples() -> None:
    assert precision_of(HIT_AND_MISS.chosen(np.array([1, 0]))) == pytest.approx(MISS_FIRST, abs=1e-12)


@pytest.mark.parametrize(("tokens", "expected"), [(("a", "b"), MISS_FIRST), (("b", "a"), HIT_FIRST)])
def test_the_order_of_samples_in_a_file_counts_and_survives(
    tokens: tuple[str, str], expected: float, tmp_path: Path
) -> None:
    """Sample 0 is `a`; the file lists the samples as `tokens` does."""
    write_results(tmp_path / "first.json", HIT_AND_MISS, ("a", "b"))
    content = json.loads((tmp_path / "first.json").read_text())
    content["results"] = {token: content["results"][token] for token in tokens}
    (tmp_path / "other.json").write_text(json.dumps(content))
    read = read_results(tmp_path / "other.json", ("a", "b"))
    assert precision_of(read) == pytest.approx(expected, abs=1e-12)
    write_results(tmp_path / "again.json", read, ("a", "b"))
    assert list(json.loads((tmp_path / "again.json").read_text())["results"]) == list(tokens)
    assert precision_of(read_results(tmp_path / "again.json", ("a", "b"))) == pytest.approx(expected, abs=1e-12)


def test_samples_without_a_box_keep_their_places(tmp_path: Path) -> None:
    found = boxes(Results, [3, 1], [0.0, 0.0], scores=np.ones(2), rank=np.array([0, 1]))
    write_results(tmp_path / "results.json", found, "abcde")
    assert "".join(json.loads((tmp_path / "results.json").read_text())["results"]) == "adcbe"


def reordered(found: Results, order: str, draw: np.random.RandomState, samples: int) -> tuple[Results, list[int]]:
    """The same boxes in another order, and the order of samples in their file."""
    every, ranks = np.arange(len(found)), np.arange(samples)
    if order == "samples shuffled":
        draw.shuffle(ranks)
        return Results(**(vars(found) | {"rank": np.argsort(ranks)[found.sample]})), ranks.tolist()
    turned = {"listed": every, "shuffled": draw.permutation(len(found)), "reversed": every[::-1]}[order]
    return found.chosen(turned), ranks.tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("order", ORDERS)
def test_what_was_written_and_read_has_the_same_figures(sets: Any, order: str, seed: int, tmp_path: Path) -> None:
    given = sets.ties(seed)
    found, _ = reordered(given.found, order, np.random.RandomState(seed), len(given.tokens))
    write_results(tmp_path / "results.json", found, given.tokens)
    read = read_results(tmp_path / "results.json", given.tokens)
    ours, again = (evaluate(given.truth, each, given.ego, given.racks) for each in (found, read))
    assert ours.precisions == again.precisions
    for name in METRICS:
        assert again.means[name] == pytest.approx(ours.means[name], abs=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_ties_are_those_of_the_devkit_to_the_last_digit(sets: Any, judge: Any, order: str, tmp_path: Path) -> None:
    for seed in range(2):
        given = sets.ties(seed)
        found, ranks = reordered(given.found, order, np.random.RandomState(seed), len(given.tokens))
        numbers = sets.as_numbers(given._replace(found=found))
        listed = {given.tokens[place]: numbers[given.tokens[place]] for place in ranks}
        (tmp_path / "boxes.json").write_text(json.dumps(listed))
        ours = evaluate(given.truth, found, given.ego, given.racks)
        theirs = judge("boxes", tmp_path / "boxes.json")
        for key, values in theirs["curves"].items():
            name, distance = key.split(":")
            assert ours.curves[name][float(distance)].tolist() == values, key
        for name in METRICS:
            assert ours.means[name] == pytest.approx(theirs[name], abs=1e-15), name
