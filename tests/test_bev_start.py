"""First weights from a teacher, `lightloom tables`, and names of cameras that are no names of files."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from lightloom.cli import main
from lightloom.common.errors import RequestError
from lightloom.data.multicamera import load_multicamera
from lightloom.data.nuscenes import BoxSpec, CameraSpec, FrameSpec, SceneSpec, read_samples, read_tables, write_tables
from lightloom.pipeline.comparison import trainings
from lightloom.pipeline.stages.sweep import rehearse
from lightloom.recipes import resolve
from lightloom.tasks.detection3d import Detector3D
from lightloom.tasks.detection3d.build import build_detector3d
from lightloom.tasks.detection3d.config import Detection3DConfig
from lightloom.tasks.detection3d.pictures import camera_pictures
from lightloom.tasks.detection3d.task import _take_first_weights

SMALL = ("channels=16", "heads=2", "queries=12", "decoder_layers=2", "encoder_layers=1", "feedforward=16")
LENS = ((40.0, 0.0, 32.0), (0.0, 40.0, 24.0), (0.0, 0.0, 1.0))
AHEAD = (0.5, -0.5, 0.5, -0.5)


def drives(root: Path, channel: str = "CAM_FRONT") -> str:
    """Three scenes of one moment, with a car ahead."""
    scenes = []
    for number in range(3):
        file = f"{number}.png"
        root.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (90, 60 * number, 30)).save(root / file)
        box = BoxSpec("a", "car", (8.0, 0.5, 0.8), (1.9, 4.5, 1.6), (1.0, 0.0, 0.0, 0.0))
        frame = FrameSpec(1_000_000, (0, 0, 0), (1, 0, 0, 0), {channel: file}, (box,))
        scenes.append(SceneSpec(f"s{number}", (CameraSpec(channel, 64, 48, LENS, (0, 0, 1.5), AHEAD),), (frame,)))
    write_tables(scenes, root, "v1.0-own")
    return f"nuscenes:{root}"


def taught(name: str, *student: str) -> Detection3DConfig:
    """Expert and FD3D of the recipe, as small as they can be; `student` changes the second."""
    own = ["quick=true", f"data.name={name}", "data.height=48", "data.width=64"]
    config = resolve("bev/toytown", own)
    sizes = tuple(f"model.detector.{change}" for change in SMALL)
    cells = ("model.detector.rows=8", "model.detector.columns=8")
    cases = [case.replace(changes=(*case.changes, *sizes, *cells)) for case in config.sweep.cases]
    second = cases[3].replace(changes=(*cases[3].changes, *student))
    return config.replace(sweep=config.sweep.replace(cases=(cases[0], second), baseline=""))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Detector3D, Detector3D, str]:
    """Student and expert with weights of their own, and how the student starts."""
    expert, student = (training.config for training in trainings(taught(drives(tmp_path))))
    detectors = build_detector3d(student, 10), build_detector3d(expert, 10)
    with torch.no_grad():
        for parameter in detectors[1].parameters():
            parameter.add_(torch.randn_like(parameter))
    return *detectors, student.start


def test_a_decoder_starts_from_the_teachers_and_nothing_else_does(pair: tuple[Detector3D, Detector3D, str]) -> None:
    student, expert, start = pair
    assert start == "head"
    before = {name: value.clone() for name, value in student.state_dict().items()}
    _take_first_weights(student, expert, start)
    known, after = expert.state_dict(), student.state_dict()
    for name, value in after.items():
        source = known if name.startswith("decoder.") else before
        assert torch.equal(value, source[name]), name
    assert any(not torch.equal(value, after[name]) for name, value in before.items())
    with torch.no_grad():  # a copy, and not the teacher's own
        next(iter(student.decoder.parameters())).zero_()
    assert next(iter(expert.decoder.parameters())).any()


def test_a_start_from_the_teacher_takes_what_fits_and_scratch_nothing(
    pair: tuple[Detector3D, Detector3D, str],
) -> None:
    student, expert, _ = pair
    before = {name: value.clone() for name, value in student.state_dict().items()}
    _take_first_weights(student, expert, "scratch")
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    _take_first_weights(student, expert, "teacher")
    known = expert.state_dict()
    for name, value in student.state_dict().items():
        fits = name in known and known[name].shape == value.shape
        assert torch.equal(value, known[name] if fits else before[name]), name


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("model.detector.channels=8", "`detector.channels` is 8 here and 16 there"),
        ("model.detector=detr3d-toy", "`detector.kind` is detr3d here and bevformer there"),
    ],
)
def test_a_decoder_that_fits_nowhere_is_refused_before_anything_is_trained(
    change: str, error: str, tmp_path: Path
) -> None:
    config = taught(drives(tmp_path), change, "model.detector.cameras=2", "guide.kind=none")
    config = config.replace(
        sweep=config.sweep.replace(
            cases=tuple(
                case.replace(changes=(*case.changes, "model.detector.history=2")) for case in config.sweep.cases
            )
        )
    )
    with pytest.raises(RequestError, match=error):
        rehearse(config)


def description(root: Path) -> Path:
    """Three drives of one moment; a car ahead, a little to the left."""
    camera = {
        "name": "CAM_FRONT", "width": 64, "height": 48, "fx": 40, "fy": 40, "cx": 32, "cy": 24,
        "translation": [0, 0, 1.5], "rotation": list(AHEAD),
    }  # fmt: skip
    scenes = []
    for number in range(3):
        Image.new("RGB", (64, 48)).save(root / f"{number}.png")
        box = {"class": "car", "center": [8, 0.5, 0.8], "size": [1.9, 4.5, 1.6], "yaw": 0.25}
        frame = {"time": 1, "images": {"CAM_FRONT": f"{number}.png"}, "boxes": [box]}
        scenes.append({"name": f"drive-{number}", "frames": [frame]})
    file = root / "drive.yaml"
    file.write_text(yaml.safe_dump({"cameras": [camera], "scenes": scenes}))
    return file


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["lightloom", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_tables_writes_a_set_beside_the_description_that_can_be_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "tables", str(description(tmp_path)), "--json") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["version"] == "v1.0-own" and (tmp_path / "v1.0-own" / "sample_annotation.json").is_file()
    assert [problem["kind"] for problem in told["problems"]] == ["unknown velocities"]
    found = load_multicamera(told["scenes"])
    assert sorted(sample.scene for part in found[:3] for sample in part) == ["drive-0", "drive-1", "drive-2"]
    boxes = found.test[0].boxes.to_frame(found.test[0].ego)
    assert boxes.centers[0] == pytest.approx([8, 0.5, 0.8]) and boxes.yaws[0] == pytest.approx(0.25)
    # 8 m ahead and 0.5 m to the left, 0.7 m below the camera
    (camera,) = found.test[0].cameras
    u, v, d, _ = camera.matrix @ [*boxes.centers[0], 1]
    assert (u / d, v / d) == pytest.approx((32 - 40 * 0.5 / 8, 24 + 40 * 0.7 / 8))


def test_tables_takes_another_folder_and_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = description(tmp_path)
    images = tmp_path / "elsewhere"
    images.mkdir()
    for number in range(3):
        (tmp_path / f"{number}.png").rename(images / f"{number}.png")
    assert called(monkeypatch, "tables", str(file), "--out", str(images), "--version", "v2") == 0
    assert [part.name for part in images.iterdir() if part.is_dir() and part.name != "maps"] == ["v2"]


def test_tables_names_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "tables", str(tmp_path / "nothing.yaml")) == 2
    assert "is missing" in capsys.readouterr().err
    file = description(tmp_path)
    given = yaml.safe_load(file.read_text())
    given["scenes"][1]["frames"][0]["boxes"][0]["center"][0] = math.nan
    file.write_text(yaml.safe_dump(given))
    assert called(monkeypatch, "tables", str(file)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "drive-1" in said and "center" in said
    assert not (tmp_path / "v1.0-own").exists()


def test_a_camera_may_have_any_name(tmp_path: Path) -> None:
    drives(tmp_path / "set", channel="../../front left")
    (sample,) = read_samples(read_tables(tmp_path / "set", "v1.0-own"), ["s1"])
    folder = tmp_path / "a" / "b" / "run"
    folder.mkdir(parents=True)
    run: Any = SimpleNamespace(file=lambda name: folder / name)
    (listed,) = camera_pictures(run, 0, sample, ["../../front left"])
    assert listed["channel"] == "../../front left"
    assert [part.parent for part in tmp_path.rglob("*.jpg")] == [folder / "pictures"]
    assert (folder / listed["file"]).is_file()
