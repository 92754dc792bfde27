"""Multi-camera detectors from tables to report: recipes in a tiny form, distillers, optical students, `detect`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from lightloom import learn as learning
from lightloom.cli import main
from lightloom.commands.detect import detect
from lightloom.common.errors import RequestError
from lightloom.cost import hybrid_cost
from lightloom.data.multicamera import Views
from lightloom.data.nuscenes import read_samples, read_tables
from lightloom.data.toytown import VERSION, ToytownConfig, make_toytown
from lightloom.metrics.nuscenes import evaluate, ground_truth, read_results
from lightloom.nn import OpticalConv2d, optical_layers
from lightloom.nn.diffractive import DiffractiveConv2d
from lightloom.pipeline.cases import case_of, load_case
from lightloom.pipeline.comparison import trainings
from lightloom.pipeline.run import run
from lightloom.pipeline.run_folder import RunFolder
from lightloom.recipes import resolve
from lightloom.recipes.bev_cases import Ablation
from lightloom.tasks.detection3d import Detector3D
from lightloom.tasks.detection3d.build import build_detector3d
from lightloom.tasks.detection3d.config import Detection3DConfig
from lightloom.tasks.detection3d.task import Detection3DTask

CAMERAS = ("CAM_FRONT", "CAM_BACK", "CAM_FRONT_LEFT")
SMALL = ["channels=16", "heads=2", "queries=12", "decoder_layers=2", "encoder_layers=1", "feedforward=16", "rows=8"]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A town of four scenes, two moments each, seen by three cameras; one of them fails once."""
    root = tmp_path_factory.mktemp("town")
    config = ToytownConfig(scenes=(2, 1, 1), frames=2, cameras=CAMERAS, width=64, height=48)
    make_toytown(root, config, progress=False)
    file = root / VERSION / "sample_data.json"
    records = json.loads(file.read_text())
    failed = next(record for record in records if "CAM_BACK" in record["filename"] and not record["prev"])
    follower = next((record for record in records if record["prev"] == failed["token"]), None)
    if follower is not None:
        follower["prev"] = ""
    file.write_text(json.dumps([record for record in records if record is not failed]))
    return root


def tiny(town: Path, *changes: str, cases: tuple[int, ...] = (0, 1), recipe: str = "bev/toytown") -> Detection3DConfig:
    own = ["data.height=48", "data.width=64", f"data.name=nuscenes:{town}"]
    config = resolve(recipe, ["quick=true", *own, "pictures=1", "train.epochs=1", "threads=1", *changes])
    made = []
    for place in cases:
        case = config.sweep.cases[place]
        sizes = [f"model.detector.{change}" for change in SMALL]
        wide = 16 if case.name == "expert" else 8
        sizes[-1:] = [f"model.detector.{side}={wide}" for side in ("rows", "columns")]
        made.append(case.replace(changes=(*case.changes, *sizes, "train.epochs=1")))
    names = [case.name for case in made]
    baseline = config.sweep.baseline if config.sweep.baseline in names else ""
    return config.replace(sweep=config.sweep.replace(cases=tuple(made), baseline=baseline))


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "sweep.json").read_text())
    return found


@pytest.fixture(scope="module")
def done(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished run of every case."""
    folder = tmp_path_factory.mktemp("bev") / "run"
    run(tiny(town, cases=(0, 1, 2, 3, 4, 5)), folder)
    yield folder


def test_a_run_leaves_what_its_report_shows(done: Path) -> None:
    found = rows(done)
    names = [row["case"] for row in found]
    assert names == ["expert", "student", "HeatmapDistiller", "FD3D", "optical student", "optical student, FD3D"]
    assert [row["teacher"] for row in found] == ["", "", "expert", "expert", "", "expert"]
    assert all(row["metric"]["name"] == "NDS" and "NDS" in row["metrics"] for row in found)
    listed = json.loads((done / "detections3d.json").read_text())
    assert [set(frame["cases"]) for frame in listed["frames"]] == [set(names)]
    assert all((done / camera["file"]).is_file() for frame in listed["frames"] for camera in frame["cameras"])
    costs = {case["case"]: case for case in json.loads((done / "hybrid.json").read_text())["cases"]}
    assert costs["student"]["optical_parameters"] == 0 < costs["optical student"]["optical_parameters"]
    page = (done / "report.html").read_text()
    assert "optical student, FD3D" in page and "data:image/" in page and "NDS" in page


def test_results_files_give_the_figures_of_the_table(done: Path, town: Path) -> None:
    """The official files, read back and evaluated from the tables alone, agree with what the run says."""
    samples = read_samples(read_tables(town, VERSION), ["test-0000"])
    reference = ground_truth(samples)
    for row in rows(done):
        path = done / "results" / f"{learning.file_name(row['case'])}.json"
        figures = evaluate(reference.truth, read_results(path, reference.tokens), reference.ego, reference.racks)
        assert figures.means == pytest.approx(row["metrics"], abs=1e-9)


def test_weights_are_found_again_by_their_case(done: Path) -> None:
    training = case_of(RunFolder.open(done), "optical student")
    trained = load_case(RunFolder.open(done), training)
    assert any(isinstance(part, DiffractiveConv2d) for part in trained.model.modules())
    assert tuple(trained.interface["classes"]) == Detection3DTask().data(training.config).classes


def test_a_killed_comparison_goes_on_to_the_same_weights(done: Path, tmp_path: Path) -> None:
    folder = RunFolder.open(done).copy(tmp_path / "again")
    student = next(path for path in folder.file("models").iterdir() if path.name.startswith("FD3D"))
    before = student.read_bytes()
    student.unlink()
    kept = [row for row in rows(done) if row["case"] != "FD3D"]
    folder.file("sweep.json").write_text(json.dumps(kept))
    for checkpoint in folder.file("checkpoints").glob("FD3D*"):
        checkpoint.unlink()
    folder.file("stages.json").write_text("{}")
    run(folder.config, folder.path, resume=True)
    assert student.read_bytes() == before


def test_detect_looks_at_scenes_and_samples(
    done: Path, town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = read_samples(read_tables(town, VERSION), ["test-0000"])[1].token
    asked = ["detect", sample, "--model", str(done), "--out", str(tmp_path / "one"), "--threshold", "0"]
    monkeypatch.setattr("sys.argv", ["lightloom", *asked])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    told = json.loads((tmp_path / "one" / "detections.json").read_text())
    (image,) = told["images"]
    assert (image["file"], image["scene"]) == (sample, "test-0000")
    assert all((tmp_path / "one" / name).is_file() for name in image["annotated"])
    assert len(image["annotated"]) == len(CAMERAS) + 1 and image["found"]
    results = json.loads((tmp_path / "one" / "results.json").read_text())
    assert list(results["results"]) == [sample] and results["meta"]["use_camera"]
    both = detect(["test-0000"], done, tmp_path / "two", source=f"nuscenes:{town}", case="student")
    assert [image["scene"] for image in both["images"]] == ["test-0000"] * 2


@pytest.mark.parametrize(
    ("given", "error"),
    [(["test-0001"], "no scene and no sample"), (["test-0000", "nobody"], "`nobody` is no scene")],
)
def test_detect_names_what_is_not_there(done: Path, tmp_path: Path, given: list[str], error: str) -> None:
    with pytest.raises(RequestError, match=error):
        detect(given, done, tmp_path / "out")


def test_more_cameras_than_the_detector_saw_are_refused(done: Path, town: Path) -> None:
    training = case_of(RunFolder.open(done), "student")
    config = training.config
    few = config.replace(model=config.model.replace(detector=config.model.detector.replace(cameras=2)))
    detector = build_detector3d(few, 10)
    views = Detection3DTask().data(config).test.inputs[torch.tensor([0])]
    with pytest.raises(RequestError, match="3 cameras"):
        detector(views)


@pytest.mark.parametrize("technology", ["mesh", "pcm"])
def test_students_can_stand_on_tensor_cores(town: Path, technology: str) -> None:
    config = trainings(tiny(town, f"technology={technology}", cases=(0, 1, 4, 5)))[2].config
    detector = build_detector3d(config, 10)
    layers = [name for name, part in detector.named_modules() if isinstance(part, OpticalConv2d)]
    assert layers and all(name.startswith("backbone.stages.3.") for name in layers)
    output = detector(Detection3DTask().data(config).train.inputs[torch.tensor([0])])
    detector.loss(output, Detection3DTask().data(config).train.labels[[0]]).backward()
    core = next(part for part in detector.modules() if isinstance(part, OpticalConv2d))
    assert any(parameter.grad is not None for parameter in core.parameters())


def weights(detector: Detector3D) -> torch.Tensor:
    return torch.cat([layer.weight.detach().flatten() for layer in optical_layers(detector).values()])


@pytest.mark.parametrize(
    ("changes", "alike"),
    [
        (("technology=mesh",), False),
        (("technology=pcm",), True),  # the chip of the recipe has no hidden errors
        (("technology=pcm", "chip.stuck_fraction=0.1"), False),
        (("technology=pcm", "chip.absorption_std=0.1"), False),
    ],
)
def test_detectors_are_made_of_the_devices_of_their_specimen(town: Path, changes: tuple[str, ...], alike: bool) -> None:
    """Where the chip has hidden errors, one specimen is not another; what it is stands in the cost."""
    technology, *own = changes
    config = tiny(town, technology, cases=(4,))
    case = config.sweep.cases[0]
    case = case.replace(changes=(*case.changes, *own))
    config = config.replace(sweep=config.sweep.replace(cases=(case,), baseline=""))
    three, seven, again = (
        build_detector3d(trainings(config.replace(specimen=seed))[0].config, 10) for seed in (3, 7, 3)
    )
    assert torch.equal(weights(three), weights(again))
    assert torch.equal(weights(three), weights(seven)) == alike
    views = Detection3DTask().data(trainings(config)[0].config).test.inputs[torch.tensor([0])]
    told = " ".join(hybrid_cost(three, Views(*(part[:1, -1:] for part in views))).assumptions)
    assert ("specimens are alike" in told) == alike and ("specimen 3" in told) != alike


@pytest.mark.parametrize("ablation", [name for name in get_args(Ablation) if name != "none"])
def test_ablations_resolve(ablation: str) -> None:
    cases = resolve("bev/toytown", [f"ablation={ablation}"])
    assert len(trainings(cases)) > 3


@pytest.mark.parametrize("recipe", ["bev/nuscenes-tiny", "bev/nuscenes-small", "bev/nuscenes-base"])
def test_published_recipes_resolve_and_name_missing_data(recipe: str, tmp_path: Path) -> None:
    config = resolve(recipe, [f"data.root={tmp_path}"])
    assert trainings(config)[0].config.model.detector.rows == 200
    with pytest.raises(RequestError, match="nuscenes"):
        run(config, tmp_path / "run")


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `v1.0-mini.tgz` leaves it: the official version and names of scenes, and no `splits.json`."""
    root = tmp_path_factory.mktemp("data") / "nuscenes"
    config = ToytownConfig(scenes=(8, 1, 1), frames=1, cameras=CAMERAS, width=64, height=48, seed=1)
    make_toytown(root, config, progress=False)
    folder = root / "v1.0-mini"
    (root / VERSION).rename(folder)
    (folder / "splits.json").unlink()
    scenes = json.loads((folder / "scene.json").read_text())
    official = (61, 553, 655, 757, 796, 1077, 1094, 1100, 103, 916)
    for scene, number in zip(scenes, official, strict=True):
        scene["name"] = f"scene-{number:04}"
    (folder / "scene.json").write_text(json.dumps(scenes))
    return root


def test_v1_mini_as_downloaded_runs(mini: Path, tmp_path: Path) -> None:
    config = tiny(mini, f"data.root={mini.parent}", recipe="bev/nuscenes-tiny", cases=(0, 3))
    named = config.data.replace(name="nuscenes")
    run(config.replace(stages=("sweep",), data=named), tmp_path / "run")
    assert [row["case"] for row in rows(tmp_path / "run")] == ["expert", "FD3D"]
    assert np.isfinite([row["metrics"]["NDS"] for row in rows(tmp_path / "run")]).all()
    test = Detection3DTask().data(RunFolder.open(tmp_path / "run").config).test
    assert {moment.scene for moment in test.samples} == {"scene-0103", "scene-0916"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (["guide.kind=fd3d"], "needs a teacher"),
        (["model.hybrid.stages=[3]", "model.converted=[stages.3.*]"], "one of the two"),
        (["model.detector=tiney"], "`tiny`"),
        (["data.name=nuscene"], "There is no multi-camera set `nuscene`"),
    ],
)
def test_configs_that_cannot_be(changes: list[str], error: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=error):
        run(resolve("bev/toytown", ["quick=true", *changes]), tmp_path / "run")
