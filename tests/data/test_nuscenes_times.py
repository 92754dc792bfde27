"""Times of own data and of tables: the unit is told by their size, or refused; velocities are right or said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lightloom.common.errors import RequestError
from lightloom.data.multicamera import load_multicamera
from lightloom.data.nuscenes import Sample, convert_own, read_samples, read_tables, times
from lightloom.data.nuscenes.times import UNITS, Clock, as_number, clock_of

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
SPEED = 4.0  # m/s of the car, along x
AHEAD = [0.5, -0.5, 0.5, -0.5]
CAMERA = {
    "name": "CAM_FRONT", "width": 32, "height": 24, "fx": 20, "fy": 20, "cx": 16, "cy": 12,
    "translation": [1.7, 0, 1.5], "rotation": AHEAD,
}  # fmt: skip


def described(at: Sequence[Any], seconds: Sequence[float], *, identity: Any = 7, scenes: int = 1) -> dict[str, Any]:
    """A car that drives with `SPEED`, at `seconds`, which the description calls `at`."""
    frames = [
        {
            "time": time,
            "images": {"CAM_FRONT": "image.png"},
            "boxes": [
                {"class": "car", "center": [10 + SPEED * second, 1, 1], "size": [2, 4, 2], "yaw": 0}
                | ({} if identity is None else {"id": identity})
            ],
        }
        for time, second in zip(at, seconds, strict=True)
    ]
    return {"cameras": [CAMERA], "scenes": [{"name": f"s{number}", "frames": frames} for number in range(scenes)]}


def converted(given: dict[str, Any], root: Path) -> tuple[tuple[Sample, ...], list[dict[str, str]]]:
    """The moments of the description's scenes, and its problems."""
    Image.new("RGB", (32, 24)).save(root / "image.png")
    (root / "own.json").write_text(json.dumps(given))
    convert_own(root / "own.json", root)
    tables = read_tables(root, "v1.0-own")
    problems = json.loads((root / "v1.0-own" / "problems.json").read_text())
    return read_samples(tables, [scene["name"] for scene in given["scenes"]]), problems


@pytest.mark.parametrize("start", [0, 1_532_402_927, 1_700_000_000])
@pytest.mark.parametrize("step", [0.5, 0.1])
@pytest.mark.parametrize("unit", UNITS)
def test_each_unit_is_told_by_its_size(unit: str, step: float, start: int, tmp_path: Path) -> None:
    seconds = [step * number for number in range(4)]
    at = [round((start + second) * PER_SECOND[unit]) if unit != "s" else start + second for second in seconds]
    samples, problems = converted(described(at, seconds), tmp_path)
    assert [sample.timestamp for sample in samples] == pytest.approx(
        [(start + second) * 1e6 for second in seconds], abs=1
    )
    np.testing.assert_allclose([sample.boxes.velocities[0] for sample in samples], [[SPEED, 0]] * 4, rtol=1e-5)
    assert [problem["kind"] for problem in problems] == ([] if unit == "s" else ["unit of times"])


@settings(deadline=None, max_examples=300)
@given(
    unit=st.sampled_from(UNITS),
    start=st.sampled_from([0, 3, 1_150_000_000, 1_750_000_000]),
    rate=st.floats(0.2, 60),
    count=st.integers(2, 30),
)
def test_a_drive_is_never_taken_for_one_of_another_speed(unit: Any, start: int, rate: float, count: int) -> None:
    """Whatever the unit, the start and the rate: the right unit, or a refusal that names the key which settles it."""
    at: list[int | float] = [start + number / rate for number in range(count)]
    if unit != "s":
        at = [round(each * PER_SECOND[unit]) for each in at]
    try:
        assert clock_of({"s": at}, None, None).unit == unit
    except RequestError as error:
        assert "`times_in`" in str(error)
        assert start == 0 or start == 3 or rate > 90, "clocks are always told"
        assert unit == "ms" or start == 3, (unit, rate)


@pytest.mark.parametrize("step", [1e-3, 1000])
def test_what_is_no_drive_is_refused_with_the_key_too(step: float, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"Scene `s0`.*microseconds, and samples would be .* which is no drive"):
        converted(described([0, step, 2 * step], [0, 0.5, 1]) | {"times_in": "s"}, tmp_path)
    assert not (tmp_path / "v1.0-own").exists()


@pytest.mark.parametrize(
    "at",
    [
        [0, 30, 60],  # a slow drive in s, or a fast one in ms
        [0, 0.0001, 0.0002],
        [0, 0.5, 1.0, 1500, 2000],
        [10.5, 500_000, 1_000_000],
        [1_700_000_000, 1_700_000_000_500, 1_700_000_001_000_000],
        [1_700_000_000_000, 1_700_500_000_000, 1_701_000_000_000],  # ns since a start, or ms since 1970
        [0, 1e13],
    ],
)
def test_times_that_are_mixed_or_fit_two_units_are_refused_with_the_mend(at: list[Any], tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"Scene `s0`.* not clear.*`times_in`: `s`, `ms`, `us`, `ns`.*`frame_rate`"):
        converted(described(at, range(len(at))), tmp_path)
    assert not (tmp_path / "v1.0-own").exists()


def test_scenes_of_different_units_are_refused(tmp_path: Path) -> None:
    given = described([0, 0.5], [0, 0.5], scenes=2)
    given["scenes"][1]["frames"] = described([0, 500], [0, 0.5])["scenes"][0]["frames"]
    with pytest.raises(RequestError, match=r"`s0` look like seconds .* `s1` like milliseconds"):
        converted(given, tmp_path)


@pytest.mark.parametrize(("unit", "step"), [("s", 30), ("ms", 30), ("us", 30_000), ("ns", 10**7)])
def test_the_key_settles_it(unit: str, step: int, tmp_path: Path) -> None:
    given = described([0, step, 2 * step], [0, 0.5, 1], identity=None) | {"times_in": unit}
    samples, _ = converted(given, tmp_path)
    assert [sample.timestamp for sample in samples] == [
        number * step * 10**6 // PER_SECOND[unit] for number in range(3)
    ]


def test_numbers_of_frames_have_a_rate(tmp_path: Path) -> None:
    samples, problems = converted(described(range(3), [0, 0.1, 0.2]) | {"frame_rate": 10}, tmp_path)
    np.testing.assert_allclose([sample.boxes.velocities[0, 0] for sample in samples], [SPEED] * 3)
    assert not problems
    _, problems = converted(described(range(3), range(3)), tmp_path)
    assert [problem["kind"] for problem in problems] == ["unit of times"]
    assert "may be numbers of frames" in problems[0]["what"] and "`frame_rate`" in problems[0]["what"]
    _, problems = converted(described(range(3), range(3)) | {"times_in": "s"}, tmp_path)
    assert not problems
    with pytest.raises(RequestError, match="give one of both"):
        converted(described([0, 1], [0, 1]) | {"times_in": "s", "frame_rate": 10}, tmp_path)


def test_captures_are_near_their_frame_and_have_its_unit(tmp_path: Path) -> None:
    pose = {"translation": [0, 0, 0], "rotation": [1, 0, 0, 0]}
    given = described([1_700_000_000_000, 1_700_000_000_500], [0, 0.5])
    frame = given["scenes"][0]["frames"][1]
    frame["captures"] = {"CAM_FRONT": {"time": 1_700_000_000_480, **pose}}
    samples, _ = converted(given, tmp_path)
    assert samples[1].cameras[0].timestamp == 1_700_000_000_480_000
    frame["captures"]["CAM_FRONT"]["time"] = 1_700_000_000.48
    with pytest.raises(RequestError, match=r"Scene `s0`, frame 1, capture of `CAM_FRONT`.* s away"):
        converted(given, tmp_path)


@given(nanoseconds=st.integers(-(10**18), 18 * 10**17))
def test_no_digit_of_a_whole_number_is_lost(nanoseconds: int) -> None:
    assert abs(Clock("ns").microseconds(nanoseconds) * 1000 - nanoseconds) <= 500
    assert Clock("us").microseconds(nanoseconds) == nanoseconds
    assert as_number(str(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    "given", [None, True, [], {}, "noon", "2021-03-01", float("nan"), float("inf"), 10**400, "1:30"]
)
def test_what_is_no_time_is_refused(given: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="should be"):
        as_number(given)
    with pytest.raises(RequestError, match=r"Scene `s0`, frame 1\.time"):
        converted(described([0, given], [0, 1]), tmp_path)


# ---- velocities that cannot be known ----


@pytest.mark.parametrize(
    ("at", "identity", "reason"), [([0, 0.5], None, "the same `id`"), ([0, 2.0], 7, "twice within 1.5 s")]
)
def test_velocities_that_all_stay_unknown_are_said(at: list[float], identity: Any, reason: str, tmp_path: Path) -> None:
    samples, problems = converted(described(at, at, identity=identity, scenes=3), tmp_path)
    assert all(np.isnan(sample.boxes.velocities).all() for sample in samples)
    assert [problem["kind"] for problem in problems] == ["unknown velocities"]
    assert "all 6 boxes" in problems[0]["what"] and reason in problems[0]["what"]
    (problem,) = load_multicamera(f"nuscenes:{tmp_path}").problems
    assert problem.kind == "unknown velocities" and "all 6 boxes" in problem.what
    assert ("all more than 1.5 s away" in problem.what) == (identity is not None)


def test_velocities_that_are_known_are_no_problem(tmp_path: Path) -> None:
    converted(described([0, 0.5], [0, 0.5], scenes=3), tmp_path)
    assert load_multicamera(f"nuscenes:{tmp_path}").problems == ()


def test_boxes_of_categories_that_nuscenes_lacks_are_said(tmp_path: Path) -> None:
    converted(described([0, 0.5], [0, 0.5], scenes=3), tmp_path)
    file = tmp_path / "v1.0-own" / "category.json"
    file.write_text(file.read_text().replace('"vehicle.car"', '"vehicle.Car"'))
    (problem,) = load_multicamera(f"nuscenes:{tmp_path}").problems
    assert (problem.kind, problem.done) == ("unknown class", "dropped")
    assert "`vehicle.Car`" in problem.what and "6 boxes" in problem.what


# ---- tables ----


@pytest.mark.parametrize("start", [0, 1_532_402_927])
@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("ns", 10**9)])
def test_tables_of_another_unit_are_refused(unit: str, factor: int, start: int, tmp_path: Path) -> None:
    converted(described([0, 0.5, 1.0], [0, 0.5, 1.0]), tmp_path)
    for name in ("sample", "sample_data"):
        file = tmp_path / "v1.0-own" / f"{name}.json"
        rows = json.loads(file.read_text())
        for row in rows:
            row["timestamp"] = (start + row["timestamp"] / 1e6) * factor
            row["timestamp"] = round(row["timestamp"]) if unit != "s" else row["timestamp"]
        file.write_text(json.dumps(rows))
    with pytest.raises(RequestError, match=r"sample\.json.* (should be in microseconds|a whole number)"):
        read_samples(read_tables(tmp_path, "v1.0-own"), ["s0"])


def test_data_far_from_their_sample_are_refused(tmp_path: Path) -> None:
    converted(described([10, 10.5], [0, 0.5]), tmp_path)
    file = tmp_path / "v1.0-own" / "sample_data.json"
    rows = json.loads(file.read_text())
    rows[0]["timestamp"] *= 1000
    file.write_text(json.dumps(rows))
    with pytest.raises(
        RequestError, match=f"`timestamp` of record `{rows[0]['token']}`.*in microseconds, near 10000000"
    ):
        read_samples(read_tables(tmp_path, "v1.0-own"), ["s0"])


def test_samples_out_of_time_are_refused(tmp_path: Path) -> None:
    given = described([10, 10.5], [0, 0.5])
    for frame in given["scenes"][0]["frames"]:
        frame["boxes"] = []
    converted(given, tmp_path)
    file = tmp_path / "v1.0-own" / "sample.json"
    rows = json.loads(file.read_text())
    rows[1]["timestamp"] = rows[0]["timestamp"] - 100
    file.write_text(json.dumps(rows))
    with pytest.raises(RequestError, match=f"`timestamp` of record `{rows[1]['token']}`.* should be above that of"):
        read_samples(read_tables(tmp_path, "v1.0-own"), ["s0"])


def test_units_are_those_of_the_keys() -> None:
    assert set(UNITS) == PER_SECOND.keys() == times._PER_SECOND.keys()
