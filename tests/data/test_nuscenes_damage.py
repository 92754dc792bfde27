"""Tables damaged field by field, and chains that run in rings: refused by name, and never anything else."""

from __future__ import annotations

import copy
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes import (
    TABLES,
    BoxSpec,
    CameraSpec,
    FrameSpec,
    SceneSpec,
    export_2d,
    read_samples,
    read_tables,
    write_tables,
)
from lightloom.data.nuscenes.chains import endless
from lightloom.metrics.nuscenes import ground_truth

LENS = ((20.0, 0.0, 16.0), (0.0, 20.0, 12.0), (0.0, 0.0, 1.0))
CAMERA = CameraSpec("CAM_FRONT", 32, 24, LENS, (1.7, 0.0, 1.5), (0.5, -0.5, 0.5, -0.5))
UPRIGHT = (1.0, 0.0, 0.0, 0.0)

Rows = dict[str, list[dict[str, Any]]]


def frame(number: int) -> FrameSpec:
    boxes = (
        BoxSpec("car", "car", (12.0 + number, 1.0, 0.8), (1.9, 4.6, 1.6), UPRIGHT, "vehicle.moving"),
        BoxSpec("rack", "static_object.bicycle_rack", (5.0, 5.0, 0.5), (1.0, 4.0, 1.0), UPRIGHT),
    )
    return FrameSpec(500_000 * number, (float(number), 0.0, 0.0), UPRIGHT, {"CAM_FRONT": f"{number}.jpg"}, boxes)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The records of two scenes of four samples."""
    frames = tuple(frame(number) for number in range(4))
    scenes = [SceneSpec(name, (CAMERA,), frames) for name in ("one", "two")]
    root = write_tables(scenes, tmp_path_factory.mktemp("set"), "v")
    return {name: json.loads((root / "v" / f"{name}.json").read_text()) for name in TABLES}


def written(rows: Rows, root: Path) -> Path:
    (root / "v").mkdir(exist_ok=True)
    for name, records in rows.items():
        (root / "v" / f"{name}.json").write_text(json.dumps(records))
    return root


def read_all(root: Path) -> None:
    """Everything that is made of tables before images are opened."""
    tables = read_tables(root, "v")
    samples = read_samples(tables, ["one", "two"], sweeps=2)
    reference = ground_truth(samples)
    for values in (reference.ego, *(sample.cameras[0].matrix for sample in samples)):
        assert np.isfinite(values).all()
    export_2d(root, "v", root / "out")


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Stop what never ends."""

    def stop(*_: Any) -> None:
        raise TimeoutError("still reading")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


DAMAGE: list[Any] = [
    *(None, "text", "", "\0", "x" * 300, [], {}, True, -1, 0, 1.5, 1e300, float("nan"), float("inf"), 10**400),
    *([None], ["x"], [float("nan")] * 3, [1e300] * 3, [1e300] * 4, [10**400] * 4, [0] * 4, [5, 0, 0, 0]),
    *([[1e300, 0, 0], [0, 1e300, 0], [0, 0, 1]], [[0] * 3] * 3, [[1, 0, 0], [0, float("nan"), 0], [0, 0, 1]]),
]
FIELDS = {
    "category": "token name",
    "attribute": "token name",
    "visibility": "token level",
    "instance": "token category_token",
    "sensor": "token channel modality",
    "calibrated_sensor": "token sensor_token translation rotation camera_intrinsic",
    "ego_pose": "token timestamp translation rotation",
    "log": "token logfile",
    "scene": "token log_token name first_sample_token last_sample_token",
    "sample": "token timestamp scene_token prev next",
    "sample_data": "token sample_token ego_pose_token calibrated_sensor_token filename timestamp is_key_frame width "
    "height prev next",
    "sample_annotation": "token sample_token instance_token visibility_token attribute_tokens translation size "
    "rotation prev next num_lidar_pts num_radar_pts",
    "map": "token log_tokens filename",
}
EACH = [(table, field) for table, fields in FIELDS.items() for field in fields.split()]
USED = {"translation", "rotation", "size", "camera_intrinsic", "width", "height", "num_lidar_pts", "num_radar_pts"}


@pytest.mark.parametrize(("table", "field"), EACH, ids=lambda part: str(part))
def test_damage_anywhere_is_refused_or_harmless(rows: Rows, table: str, field: str, tmp_path: Path) -> None:
    """The value of a field in the first record replaced by others; numbers that are used are always refused."""
    root = written(rows, tmp_path)
    file = root / "v" / f"{table}.json"
    for value in DAMAGE:
        broken = copy.deepcopy(rows[table])
        broken[0][field] = value
        file.write_text(json.dumps(broken))
        with at_most(20):
            try:
                read_all(root)
            except RequestError as error:
                assert len(str(error)) < 1000
                continue
        fits = {"width": [True], "height": [True], "num_lidar_pts": [0], "num_radar_pts": [0]}.get(field, [])
        assert field not in USED or value in fits, value


@pytest.mark.parametrize("table", TABLES)
def test_what_is_no_record_is_refused(rows: Rows, table: str, tmp_path: Path) -> None:
    root = written(rows, tmp_path)
    file = root / "v" / f"{table}.json"
    for value in (None, 3, "x", [], {}):
        file.write_text(json.dumps([value, *rows[table][1:]]))
        with pytest.raises(RequestError, match=f"{table}"):
            read_all(root)
    for text in ("", "{", "3", "null", "[" * 100_000, '[{"token": ' + "1" * 5000 + "}]"):
        file.write_text(text)
        with pytest.raises(RequestError, match=rf"{table}\.json"):
            read_all(root)


# ---- chains ----


@pytest.mark.parametrize("field", ["prev", "next"])
@pytest.mark.parametrize("table", ["sample", "sample_data", "sample_annotation"])
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("sweeps", [0, 2])
def test_rings_end_in_a_refusal_that_names_the_record(
    rows: Rows, table: str, field: str, length: int, sweeps: int, tmp_path: Path
) -> None:
    broken = copy.deepcopy(rows)
    ring = broken[table][:length] if table == "sample" else _one_line(broken[table], length)
    for place, row in enumerate(ring):
        row[field] = ring[(place + 1) % length]["token"]
    tables = read_tables(written(broken, tmp_path), "v")
    with at_most(20), pytest.raises(RequestError, match=rf"`{field}` of record .*{table}\.json.* ring") as caught:
        read_samples(tables, ["one"], sweeps=sweeps)
    assert any(row["token"] in str(caught.value) for row in ring)
    assert len(read_samples(tables, ["two"], sweeps=sweeps)) == 4, "the other scene is whole"


def _one_line(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The first records of the first sensor or object."""
    key = "calibrated_sensor_token" if "filename" in rows[0] else "instance_token"
    return [row for row in rows if row[key] == rows[0][key]][:count]


@settings(deadline=None)
@given(links=st.lists(st.integers(-1, 11), min_size=1, max_size=12))
def test_what_never_ends_is_what_a_long_walk_does_not_end(links: list[int]) -> None:
    records = {str(place): {"to": str(link) if 0 <= link < len(links) else ""} for place, link in enumerate(links)}

    def walks_on(token: str) -> bool:
        for _ in range(len(records) + 1):
            if not token:
                return False
            token = records[token]["to"]
        return True

    assert endless(records, "to") == {token for token in records if walks_on(token)}


def test_links_to_other_objects_and_sensors_are_refused(rows: Rows, tmp_path: Path) -> None:
    broken = copy.deepcopy(rows)
    first, second = broken["sample_annotation"][:2]
    other = next(row for row in broken["sample_annotation"] if row["instance_token"] != first["instance_token"])
    second["prev"] = other["token"]
    with pytest.raises(RequestError, match=f"`{second['token']}` and `{other['token']}`.* different objects"):
        read_all(written(broken, tmp_path))
    broken = copy.deepcopy(rows)
    camera = [row for row in broken["sample_data"] if row["width"]][1]
    camera["prev"] = next(row["token"] for row in broken["sample_data"] if not row["width"])
    with pytest.raises(RequestError, match=f"`prev` of record `{camera['token']}`.* `CAM_FRONT` alone"):
        read_all(written(broken, tmp_path))


def test_two_key_frames_of_one_camera_are_refused(rows: Rows, tmp_path: Path) -> None:
    broken = copy.deepcopy(rows)
    first = broken["sample_data"][0]
    broken["sample_data"].append(first | {"token": "again", "prev": "", "next": ""})
    with pytest.raises(RequestError, match=f"`{first['token']}` and `again` .*both the key frame of `CAM_FRONT`"):
        read_all(written(broken, tmp_path))


def test_scenes_of_one_name_and_unknown_modalities_are_refused(rows: Rows, tmp_path: Path) -> None:
    for table, change, message in (
        ("scene", {"name": "one"}, "Two scenes .* have the name `one`"),
        ("sensor", {"modality": "Camera"}, r"`modality` of record .*`Camera`\. Did you mean `camera`"),
    ):
        broken = copy.deepcopy(rows)
        broken[table][-1].update(change)
        with pytest.raises(RequestError, match=message):
            read_all(written(broken, tmp_path))
