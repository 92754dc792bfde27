"""Hybrid detectors from images to report: every recipe in a tiny form, teachers, resumption, and what gets refused."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from lightloom.cli import main
from lightloom.common.errors import RequestError
from lightloom.config import Case, RunConfig
from lightloom.data.detection import shapes
from lightloom.data.detection.write import write_coco, write_voc
from lightloom.detect_cases import case_of, load_case, scenes_of
from lightloom.detecting import detect_images
from lightloom.detectors import build_detector
from lightloom.folder import RunFolder
from lightloom.nn.diffractive import DiffractiveConv2d
from lightloom.recipes import resolve
from lightloom.recipes.hybrid_cases import Ablation
from lightloom.run import repeat, run
from lightloom.sweeps import trainings

TINY = ["detect.scenes.height=64", "detect.scenes.width=64", "train.epochs=1", "device=cpu", "detect.pictures=2"]
SHAPES = [*TINY, "detect.scenes.count=10"]
GIVEN_SIZES = [*SHAPES, "detect.backbone.name=regnetx-tiny", "detect.head.channels=16", "detect.head.convs=1"]


def tiny(*changes: str, recipe: str = "hybrid/shapes", cases: tuple[int, ...] = (0, 2)) -> RunConfig:
    config = resolve(recipe, [*GIVEN_SIZES, "optical=2", *changes])
    chosen = tuple(config.sweep.cases[place] for place in cases)
    baseline = config.sweep.baseline if 0 in cases else ""
    return config.replace(sweep=config.sweep.replace(cases=chosen, seeds=1, baseline=baseline))


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "sweep.json").read_text())
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: electronic, and distilled with one optical stage."""
    folder = tmp_path_factory.mktemp("hybrid") / "run"
    run(tiny(), folder)
    return folder


def test_a_run_leaves_what_its_report_shows(done: Path) -> None:
    baseline, distilled = rows(done)
    assert (baseline["case"], distilled["case"]) == ("electronic", "one optical stage, distilled")
    assert (baseline["teacher"], distilled["teacher"]) == ("", "electronic")
    assert baseline["measure"] == "AP" and baseline["accuracy"] == baseline["figures"]["AP"]
    listed = json.loads((done / "detections.json").read_text())
    assert [set(image["cases"]) for image in listed["images"]] == [{baseline["case"], distilled["case"]}] * 2
    assert all((done / image["file"]).is_file() for image in listed["images"])
    costs = {case["case"]: case for case in json.loads((done / "hybrid.json").read_text())["cases"]}
    assert costs["electronic"]["optical_parameters"] == 0 < costs[distilled["case"]]["optical_parameters"]
    assert costs[distilled["case"]]["published"]["macs"] < costs["electronic"]["published"]["macs"]
    page = (done / "report.html").read_text()
    assert "one optical stage, distilled" in page and "data:image/" in page
    summary = json.loads((done / "summary.json").read_text())
    assert [case["case"] for case in summary["sweep"]["cases"]] == [baseline["case"], distilled["case"]]


def test_weights_are_found_again_by_their_case(done: Path) -> None:
    training = case_of(RunFolder.open(done))
    trained = load_case(RunFolder.open(done), training)
    assert training.case.name == "one optical stage, distilled"
    assert any(isinstance(part, DiffractiveConv2d) for part in trained.detector.modules())
    assert trained.classes == scenes_of(training.config).classes
    with pytest.raises(RequestError, match="class list does not match"):
        load_case(RunFolder.open(done), training, ("cat", "dog"))
    with pytest.raises(RequestError, match=r"no case `electronics`.*`electronic`"):
        case_of(RunFolder.open(done), "electronics")


def test_a_killed_comparison_goes_on_to_the_same_weights(done: Path, tmp_path: Path) -> None:
    """Without its last case, as a kill leaves it, and again: the student of the kept teacher is the same."""
    folder = RunFolder.open(done).copy(tmp_path / "again")
    weights = sorted(folder.file("models").iterdir())
    student = next(path for path in weights if "distilled" in path.name)
    before = student.read_bytes()
    student.unlink()
    folder.file("sweep.json").write_text(json.dumps(rows(done)[:1]))
    for checkpoint in folder.file("checkpoints").glob("one-optical*"):
        checkpoint.unlink()
    folder.file("stages.json").write_text("{}")
    run(folder.config, folder.path, resume=True)
    assert student.read_bytes() == before
    assert [row["accuracy"] for row in rows(folder.path)] == [row["accuracy"] for row in rows(done)]


def test_stages_can_be_repeated(done: Path, tmp_path: Path) -> None:
    repeat(done, "evaluate", ["detect.pictures=1"], out=tmp_path / "again")
    listed = json.loads((tmp_path / "again" / "detections.json").read_text())
    assert len(listed["images"]) == 1
    with pytest.raises(RequestError, match="compares trainings"):
        repeat(done, "calibrate")


def test_a_run_can_teach_another(done: Path, tmp_path: Path) -> None:
    config = tiny(f"detect.distil.teacher={done}:electronic", "detect.start=teacher", cases=(1,))
    run(config.replace(stages=("sweep",)), tmp_path / "student")
    assert rows(tmp_path / "student")[0]["teacher"] == f"{done}:electronic"


@pytest.mark.parametrize("teacher", ["electronik", "one optical stage, distilled"])
def test_a_teacher_comes_before_its_student(teacher: str, tmp_path: Path) -> None:
    config = tiny(cases=(0,))
    pupil = Case(name="pupil", changes=(f"detect.distil.teacher={teacher}",))
    late = tiny().sweep.cases[1]
    cases = (*config.sweep.cases, pupil, late)
    with pytest.raises(RequestError, match=f"`pupil`.*`{teacher}` is no case that comes before"):
        run(config.replace(sweep=config.sweep.replace(cases=cases)), tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("detect.head.levels=4", "Level|levels"),
        ("detect.distil.stages=[4]", "[Ss]tage.*4"),
        ("detect.scenes.name=bccd", "bccd"),
    ],
)
def test_a_teacher_that_does_not_match_is_refused_before_anything_is_trained(
    change: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIGHTLOOM_DATA", raising=False)
    config = tiny(cases=(0,))
    pupil = Case(name="pupil", changes=("detect.distil.teacher=electronic", "detect.distil.logits=1", change))
    cases = (*config.sweep.cases, pupil)
    with pytest.raises(RequestError, match=rf"`pupil`[\s\S]*({problem})"):
        run(config.replace(sweep=config.sweep.replace(cases=cases)), tmp_path / "run")
    assert not (tmp_path / "run" / "sweep.json").exists()


def test_detectors_of_transformers_learn_from_ours_with_light_inside(tmp_path: Path) -> None:
    config = tiny("detect.scenes.width=96", "detect.scenes.height=96", cases=(0,))
    taught = ("detect.distil.teacher=electronic", "detect.hybrid.stages=[3]", "detect.kind=deformable-detr")
    cases = (*config.sweep.cases, Case(name="pupil", changes=taught))
    run(config.replace(sweep=config.sweep.replace(cases=cases)), tmp_path / "run")
    costs = json.loads((tmp_path / "run" / "hybrid.json").read_text())["cases"]
    assert costs[1]["optical_parameters"] > 0
    trained = load_case(RunFolder.open(tmp_path / "run"), case_of(RunFolder.open(tmp_path / "run"), "pupil"))
    assert any(isinstance(part, DiffractiveConv2d) for part in trained.detector.modules())


def test_the_last_blocks_of_a_vit_can_be_light() -> None:
    names = ["detect.backbone.name=vit-tiny", "detect.head.first=0", "detect.head.levels=4"]
    config = tiny(*names, cases=(0,))
    count = len(build_detector(config, 5).backbone.stages)
    light = config.replace(detect=config.detect.replace(
        hybrid=config.detect.hybrid.replace(stages=(count - 2, count - 1), channels=(32, 32))
    ))  # fmt: skip
    detector = build_detector(light, 5)
    assert sum(isinstance(part, DiffractiveConv2d) for part in detector.modules()) == 1
    output = detector(torch.rand(1, 3, 64, 64))
    assert output.shapes == [(16, 16), (8, 8), (4, 4), (2, 2)]


def test_a_map_larger_than_the_grid_names_the_case_and_the_stage(tmp_path: Path) -> None:
    config = tiny("detect.hybrid.fit=chip", "optics.diffraction.grid=6", "optics.diffraction.mask=4", cases=(0, 3))
    with pytest.raises(RequestError, match=r"`two optical stages`.*[Ss]tage 2") as refused:
        run(config, tmp_path / "run")
    assert "6" in str(refused.value)


@pytest.mark.parametrize("ablation", [name for name in get_args(Ablation) if name != "none"])
def test_every_ablation_can_be_built_and_looked_through(ablation: str) -> None:
    config = resolve("hybrid/shapes", [*SHAPES, f"ablation={ablation}"])
    for training in trainings(config):
        detector = build_detector(training.config, 5)
        output = detector(torch.rand(2, 3, 64, 64))
        assert all(torch.isfinite(level).all() for level in output.logits)
    assert len(config.sweep.cases) > 3


@pytest.mark.parametrize("wrong", ["ablation=nonlinearities", "optical=4", "mixing=dens"])
def test_switches_know_their_values(wrong: str) -> None:
    with pytest.raises(RequestError, match=r"nonlinearity|`3`|dense"):
        resolve("hybrid/shapes", [wrong])


def test_the_published_forms_have_the_published_sizes() -> None:
    config = resolve("hybrid/coco", ["pretrained=null", "optical=3"])
    assert (config.train.optimizer, config.train.lr, config.train.milestones) == ("sgd", 0.01, (8, 11))
    assert config.detect.head.channels == 256 and config.detect.head.levels == 5
    last = trainings(config)[-1].config
    assert last.detect.hybrid.mixing == "dense"
    with torch.device("meta"):
        phases = [
            part.optical_parameters
            for part in build_detector(trainings(config)[1].config.replace(recipe="one"), 80).modules()
            if isinstance(part, DiffractiveConv2d)
        ]
    assert phases == [2 * 288 * 256 * 40 * 40]
    assert last.detect.hybrid.channels == (96, 96, 96)


def test_recipes_read_real_files(tmp_path: Path) -> None:
    """BCCD as VOC, COCO and nuScenes as COCO json, each from files of its own layout."""
    drawn = shapes(12, 64, 0)
    cells = ("RBC", "WBC", "Platelets")
    few = [drawn.subset(range(place, place + 4)) for place in (0, 4, 8)]
    for split, part in zip(("train", "val", "test"), few, strict=True):
        kept = [record.labels < len(cells) for record in part.records]
        records = tuple(
            type(record)(record.image, record.image_id, record.key, record.width, record.height, record.boxes[keep],
                         record.labels[keep], record.crowd[keep], pixels=record.pixels)
            for record, keep in zip(part.records, kept, strict=True)
        )  # fmt: skip
        write_voc(type(part)("cells", cells, records), tmp_path / "bccd", split=split)
        write_coco(part, tmp_path / "coco", split=split)
        write_coco(part, tmp_path / "nuscenes2d", split=split)
    for recipe in ("hybrid/bccd", "hybrid/coco", "hybrid/nuscenes2d"):
        config = tiny("quick=true", f"data.root={tmp_path}", recipe=recipe, cases=(0,))
        out = tmp_path / recipe.replace("/", "-")
        run(config, out)
        assert rows(out)[0]["measure"] == "AP" and (out / "report.html").exists()


def test_a_network_of_light_alone_reads_digits(tmp_path: Path) -> None:
    config = resolve("hybrid/d2nn-mnist", ["quick=true", "data=digits", "mask=40", "train.epochs=2", "device=cpu"])
    names = ("5 layers", "masks off by 1 pixel")
    cases = tuple(case for case in config.sweep.cases if case.name in names)
    run(config.replace(sweep=config.sweep.replace(cases=cases)), tmp_path / "run")
    assert all(row["accuracy"] > 0.5 for row in rows(tmp_path / "run"))
    with safe_open(tmp_path / "run" / "optics.safetensors", "pt") as stored:
        light = stored.get_tensor("5 layers|network|light")
    power = light.sum((-2, -1))
    torch.testing.assert_close(power, power[:1].expand_as(power), rtol=1e-4, atol=0)
    assert "In the optics" in (tmp_path / "run" / "report.html").read_text()


def test_masks_that_stand_off_are_those_of_the_specimen() -> None:
    off = tiny("optics.diffraction.misalignment_std=1", cases=(0, 1))
    detectors = [
        build_detector(trainings(off.replace(specimen=specimen))[1].config, 5).eval() for specimen in (0, 0, 1)
    ]
    with torch.no_grad():
        one, same, other = (detector(torch.full((1, 3, 64, 64), 0.5)).logits[-1] for detector in detectors)
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_detect_writes_pictures_and_says_what_could_not_be_read(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (90, 50), "red").save(images / "wide.png")
    (images / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    out = tmp_path / "out"
    arguments = ["detect", str(images), "--model", str(done), "--out", str(out), "--threshold", "0", "--json"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
        patch.setattr("sys.argv", ["lightloom", *arguments])
        main()
    assert left.value.code == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [image["annotated"] for image in told["images"]] == ["wide.jpg"]
    assert "torn.jpg" in told["failed"][0]["file"]
    with Image.open(out / "wide.jpg") as annotated:
        assert annotated.size == (90, 50)
    for box in (found["box"] for found in told["images"][0]["found"]):
        assert 0 <= box[0] <= box[2] <= 90.5 and 0 <= box[1] <= box[3] <= 64 / (64 / 90)
    with pytest.raises(RequestError, match="no file"):
        detect_images([tmp_path / "nothing.png"], done, out)
    with pytest.raises(RequestError, match=r"0 \.\.\. 1"):
        detect_images([images], done, out, threshold=2)


def test_other_runs_do_not_detect(tmp_path: Path) -> None:
    RunFolder.create(resolve("onchip/digits"), tmp_path / "digits")
    with pytest.raises(RequestError, match="does not detect objects"):
        detect_images([tmp_path], tmp_path / "digits", tmp_path / "out")
    with pytest.raises(RequestError, match="no stage of theirs"):
        resolve("hybrid/shapes", ["stages=[train]"])
