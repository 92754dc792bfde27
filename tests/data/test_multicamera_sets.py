"""Multi-camera sets by name: their splits, and what is said of sets that cannot be."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from lightloom.common.errors import RequestError
from lightloom.data.multicamera import find_samples, load_multicamera
from lightloom.data.nuscenes import BoxSpec, CameraSpec, FrameSpec, SceneSpec, write_tables

CHANNELS = ("CAM_FRONT", "CAM_BACK")


def written(root: Path, splits: dict[str, Sequence[str]] | None, version: str = "v1.0-own") -> str:
    """Twelve scenes of one moment; no image is looked for. The name of the set."""
    turns = ((0.5, -0.5, 0.5, -0.5), (0.5, -0.5, -0.5, 0.5))
    lens = ((20.0, 0.0, 16.0), (0.0, 20.0, 8.0), (0.0, 0.0, 1.0))
    cameras = tuple(
        CameraSpec(name, 32, 16, lens, (0, 0, 1.5), turn) for name, turn in zip(CHANNELS, turns, strict=True)
    )
    box = BoxSpec("a", "car", (8.0, 0.0, 0.8), (1.9, 4.5, 1.6), (1.0, 0.0, 0.0, 0.0))
    images = {name: f"{name}.png" for name in CHANNELS}
    frames = (FrameSpec(1_000_000, (0, 0, 0), (1, 0, 0, 0), images, (box,)),)
    write_tables([SceneSpec(f"s{number:02}", cameras, frames) for number in range(12)], root, version, splits)
    return f"nuscenes:{root}"


def names(first: int, last: int) -> list[str]:
    return [f"s{number:02}" for number in range(first, last)]


def scenes(samples: Sequence[object]) -> list[str]:
    return [str(sample.scene) for sample in samples]  # type: ignore[attr-defined]


def test_named_splits_are_as_they_are_named(tmp_path: Path) -> None:
    splits = {"train": names(0, 8), "val": names(8, 10), "test": names(10, 12)}
    found = load_multicamera(written(tmp_path, splits))
    assert [scenes(part) for part in found[:3]] == list(splits.values())
    assert found.channels == CHANNELS


def test_of_two_splits_the_second_is_the_test(tmp_path: Path) -> None:
    name = written(tmp_path, {"train": names(0, 9), "val": names(9, 12)})
    found = load_multicamera(name)
    assert scenes(found.test) == names(9, 12)
    assert sorted(scenes(found.train) + scenes(found.validation)) == names(0, 9)
    assert len(found.validation) == 1
    # the seed moves what validates, and never the test
    others = [load_multicamera(name, seed=seed) for seed in range(1, 7)]
    assert len({scenes(other.validation)[0] for other in others}) > 1
    assert all(scenes(other.test) == names(9, 12) for other in others)


def test_a_set_without_splits_is_divided(tmp_path: Path) -> None:
    """As `lightloom tables` writes it where a description names no splits."""
    name = written(tmp_path, None)
    found = load_multicamera(name)
    parts = [scenes(part) for part in found[:3]]
    assert sorted(scene for part in parts for scene in part) == names(0, 12) and all(parts)
    assert parts[2] == scenes(load_multicamera(name, seed=5).test)


def test_a_limit_keeps_what_a_smaller_one_kept(tmp_path: Path) -> None:
    name = written(tmp_path, {"train": names(0, 8), "val": names(8, 10), "test": names(10, 12)})
    few, more = (load_multicamera(name, limit=limit) for limit in (2, 5))
    assert (len(few.train), len(more.train)) == (2, 5)
    assert set(scenes(few.train)) < set(scenes(more.train))
    assert scenes(few.test) == names(10, 12)


def test_cameras_are_those_that_were_asked_for_in_their_order(tmp_path: Path) -> None:
    name = written(tmp_path, None)
    samples, channels = find_samples(names(0, 2), name, cameras=("CAM_BACK", "CAM_FRONT"))
    assert scenes(samples) == names(0, 2) and channels == ("CAM_BACK", "CAM_FRONT")
    assert [camera.channel for camera in samples[0].cameras] == ["CAM_BACK", "CAM_FRONT"]


def test_a_sample_is_found_with_its_whole_scene(tmp_path: Path) -> None:
    name = written(tmp_path, None)
    every, _ = find_samples(names(0, 12), name)
    samples, _ = find_samples([every[-1].token], name, cameras=("CAM_OF_ANOTHER_SET",))
    assert scenes(samples) == [every[-1].scene]
    with pytest.raises(RequestError, match="`nobody` is no scene and no sample"):
        find_samples(["nobody"], name)


def test_what_is_asked_for_and_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTLOOM_DATA", raising=False)
    name = written(tmp_path / "set", None)
    with pytest.raises(RequestError, match=r"no multi-camera set `nuscene`.*`nuscenes`"):
        load_multicamera("nuscene")
    with pytest.raises(RequestError, match="needs the path"):
        load_multicamera("nuscenes:")
    with pytest.raises(RequestError, match="no folder that holds it is named"):
        load_multicamera("nuscenes")
    with pytest.raises(RequestError, match=f"`{tmp_path / 'nuscenes'}` is missing"):
        load_multicamera("nuscenes", tmp_path)
    with pytest.raises(RequestError, match=r"such as `v1\.0-mini/`: it has none"):
        load_multicamera(f"nuscenes:{tmp_path / 'nowhere'}")
    with pytest.raises(RequestError, match=r"`CAM_FORNT`.*`CAM_FRONT`"):
        load_multicamera(name, cameras=("CAM_FORNT",))
    with pytest.raises(RequestError, match="No camera was named"):
        load_multicamera(name, cameras=())
    with pytest.raises(RequestError, match="`limit` is 0"):
        load_multicamera(name, limit=0)


def test_of_several_versions_the_official_one_is_taken_or_one_is_asked_for(tmp_path: Path) -> None:
    name = written(tmp_path, None, "first")
    written(tmp_path, None, "second")
    with pytest.raises(RequestError, match="`first`, `second`; choose one"):
        load_multicamera(name)
    assert load_multicamera(name, version="second").train
    written(tmp_path, {"train": names(0, 6), "val": names(6, 12)}, "v1.0-mini")
    assert scenes(load_multicamera(name).test) == names(6, 12)


def test_splits_that_leave_nothing_to_learn_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no split to train on; it has `night`"):
        load_multicamera(written(tmp_path / "night", {"night": names(0, 12)}))
    with pytest.raises(RequestError, match="too few scenes"):
        load_multicamera(written(tmp_path / "few", {"train": names(0, 2)}))


def test_tables_without_a_camera_are_refused(tmp_path: Path) -> None:
    name = written(tmp_path, None)
    file = tmp_path / "v1.0-own" / "sensor.json"
    file.write_text(file.read_text().replace('"camera"', '"lidar"'))
    assert all(row["modality"] == "lidar" for row in json.loads(file.read_text()))
    with pytest.raises(RequestError, match="no camera to look through"):
        load_multicamera(name)
