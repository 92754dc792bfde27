"""Hybrid detectors from images to report: every recipe in a tiny form, teachers, resumption, and what gets refused."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from lightloom.cli import main
from lightloom.commands.detect import detect
from lightloom.common.errors import RequestError
from lightloom.config import Case
from lightloom.data.detection import DetectionSet, Record, shapes
from lightloom.data.detection.write import write_coco
from lightloom.nn.diffractive import DiffractiveConv2d
from lightloom.pipeline.cases import case_of, load_case
from lightloom.pipeline.comparison import trainings
from lightloom.pipeline.run import repeat, run
from lightloom.pipeline.run_folder import RunFolder
from lightloom.recipes import resolve
from lightloom.recipes.hybrid_cases import Ablation
from lightloom.tasks.detection2d.build import build_detector
from lightloom.tasks.detection2d.config import Detection2DConfig
from lightloom.tasks.detection2d.task import Detection2DTask

TINY = ["data.height=64", "data.width=64", "train.epochs=1", "device=cpu", "pictures=2"]
SHAPES = [*TINY, "data.count=10"]
GIVEN_SIZES = [*SHAPES, "model.backbone.name=regnetx-tiny", "model.head.channels=16", "model.head.convs=1"]


def tiny(*changes: str, recipe: str = "hybrid/shapes", cases: tuple[int, ...] = (0, 2)) -> Detection2DConfig:
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
    assert baseline["metric"]["name"] == "AP" and "AP" in baseline["metrics"]
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
    assert any(isinstance(part, DiffractiveConv2d) for part in trained.model.modules())
    assert tuple(trained.interface["classes"]) == Detection2DTask().data(training.config).classes
    with pytest.raises(RequestError, match="classes do not match"):
        load_case(RunFolder.open(done), training, {"classes": ["cat", "dog"]})
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
    assert [row["metrics"]["AP"] for row in rows(folder.path)] == [row["metrics"]["AP"] for row in rows(done)]


def test_stages_can_be_repeated(done: Path, tmp_path: Path) -> None:
    repeat(done, "evaluate", ["pictures=1"], out=tmp_path / "again")
    listed = json.loads((tmp_path / "again" / "detections.json").read_text())
    assert len(listed["images"]) == 1
    with pytest.raises(RequestError, match="compares trainings"):
        repeat(done, "calibrate")


def test_a_run_can_teach_another(done: Path, tmp_path: Path) -> None:
    config = tiny(f"distil.teacher={done}:electronic", "start=teacher", cases=(1,))
    run(config.replace(stages=("sweep",)), tmp_path / "student")
    assert rows(tmp_path / "student")[0]["teacher"] == f"{done}:electronic"


@pytest.mark.parametrize("teacher", ["electronik", "one optical stage, distilled"])
def test_a_teacher_comes_before_its_student(teacher: str, tmp_path: Path) -> None:
    config = tiny(cases=(0,))
    pupil = Case(name="pupil", changes=(f"distil.teacher={teacher}",))
    late = tiny().sweep.cases[1]
    cases = (*config.sweep.cases, pupil, late)
    with pytest.raises(RequestError, match=f"`pupil`.*`{teacher}` is no case that comes before"):
        run(config.replace(sweep=config.sweep.replace(cases=cases)), tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("model.head.levels=4", "Level|levels"),
        ("distil.stages=[4]", "[Ss]tage.*4"),
    ],
)
def test_a_teacher_that_does_not_match_is_refused_before_anything_is_trained(
    change: str, problem: str, tmp_path: Path
) -> None:
    config = tiny(cases=(0,))
    pupil = Case(name="pupil", changes=("distil.teacher=electronic", "distil.logits=1", change))
    cases = (*config.sweep.cases, pupil)
    with pytest.raises(RequestError, match=rf"`pupil`[\s\S]*({problem})"):
        run(config.replace(sweep=config.sweep.replace(cases=cases)), tmp_path / "run")
    assert not (tmp_path / "run" / "sweep.json").exists()


def test_detectors_of_transformers_learn_from_ours_with_light_inside(tmp_path: Path) -> None:
    config = tiny("data.width=96", "data.height=96", cases=(0,))
    taught = ("distil.teacher=electronic", "model.hybrid.stages=[3]", "model.kind=deformable-detr")
    cases = (*config.sweep.cases, Case(name="pupil", changes=taught))
    run(config.replace(sweep=config.sweep.replace(cases=cases)), tmp_path / "run")
    costs = json.loads((tmp_path / "run" / "hybrid.json").read_text())["cases"]
    assert costs[1]["optical_parameters"] > 0
    trained = load_case(RunFolder.open(tmp_path / "run"), case_of(RunFolder.open(tmp_path / "run"), "pupil"))
    assert any(isinstance(part, DiffractiveConv2d) for part in trained.model.modules())


def test_the_last_blocks_of_a_vit_can_be_light() -> None:
    config = resolve("hybrid/shapes", [*SHAPES, "backbone=vit-tiny"])
    detectors = [build_detector(training.config, 5) for training in trainings(config)]
    layers = [[part for part in each.modules() if isinstance(part, DiffractiveConv2d)] for each in detectors]
    assert [len(found) for found in layers] == [0, 1, 1]
    output = detectors[1](torch.rand(1, 3, 64, 64))
    assert output.shapes == [(16, 16), (8, 8), (4, 4), (2, 2)]
    with pytest.raises(RequestError, match="Blocks of a ViT"):
        build_detector(trainings(config)[1].config.replace(
            model=config.model.replace(hybrid=config.model.hybrid.replace(stages=(4, 5), blocks=2))
        ), 5)  # fmt: skip


@pytest.mark.parametrize(
    "ablation", [name for name in get_args(Ablation) if name not in ("none", "channels", "mixing")]
)
def test_ablations_of_the_published_forms_keep_the_published_width(ablation: str) -> None:
    for training in trainings(resolve("hybrid/coco", [f"ablation={ablation}"]))[1:]:
        assert training.config.model.hybrid.channels == (256,)
        assert training.config.model.hybrid.stages == (3,)


def test_a_network_of_light_alone_reads_digits(tmp_path: Path) -> None:
    config = resolve("hybrid/d2nn-mnist", ["quick=true", "data=digits", "mask=40", "train.epochs=2", "device=cpu"])
    names = ("5 layers", "masks off by 1 pixel")
    cases = tuple(case for case in config.sweep.cases if case.name in names)
    run(config.replace(sweep=config.sweep.replace(cases=cases)), tmp_path / "run")
    assert all(row["metrics"]["accuracy"] > 0.5 for row in rows(tmp_path / "run"))
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
    twelve_bits(images / "x.png", 3000)
    twelve_bits(images / "y.png", 30)
    out = tmp_path / "out"
    arguments = ["detect", str(images), "--model", str(done), "--out", str(out), "--threshold", "0", "--json"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as left:
        patch.setattr("sys.argv", ["lightloom", *arguments])
        main()
    assert left.value.code == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [image["annotated"] for image in told["images"]] == ["wide.jpg", "x.jpg", "y.jpg"]
    assert told["notes"] == ["2 images hold more than 8 bits: white is 4095, the least depth that holds all of them"]
    assert "torn.jpg" in told["failed"][0]["file"]
    with Image.open(out / "wide.jpg") as annotated:
        assert annotated.size == (90, 50)
    for box in (found["box"] for found in told["images"][0]["found"]):
        assert 0 <= box[0] < box[2] <= 90 and 0 <= box[1] < box[3] <= 50
    with pytest.raises(RequestError, match="no file"):
        detect([tmp_path / "nothing.png"], done, out)
    with pytest.raises(RequestError, match=r"0 \.\.\. 1"):
        detect([images], done, out, threshold=2)


def test_detect_spares_what_it_was_given(done: Path, tmp_path: Path) -> None:
    """Copies do not take the place of originals or of each other, and stand upright."""
    for name in ("a-2.png", "one/a.png", "two/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), "blue").save(tmp_path / name)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 20), "green").save(tmp_path / "turned.jpg", exif=exif)
    given = [tmp_path / name for name in ("a-2.png", "one/a.png", "two/a.png", "turned.jpg")]
    told = detect(given, done, tmp_path / "out", device="cpu")["images"]
    assert [image["annotated"] for image in told] == ["a-2.jpg", "a.jpg", "a-3.jpg", "turned.jpg"]
    with Image.open(tmp_path / "out" / "turned.jpg") as copy:
        assert copy.size == (20, 60) == (told[-1]["width"], told[-1]["height"])
    before = (tmp_path / "turned.jpg").read_bytes()
    with pytest.raises(RequestError, match="take the place"):
        detect(given, done, tmp_path)
    assert (tmp_path / "turned.jpg").read_bytes() == before
    with pytest.raises(RequestError, match="no device `banana`"):
        detect(given, done, tmp_path / "out", device="banana")


def own_data(root: Path, **parts: DetectionSet) -> list[str]:
    for split, part in parts.items():
        write_coco(part, root, split=split)
    return [f"data.name=coco:{root}", "data.count=1000"]


def without_boxes(part: DetectionSet) -> DetectionSet:
    none = torch.zeros(0, dtype=torch.int64)
    records = (
        Record(r.image, r.image_id, r.key, r.width, r.height, torch.zeros(0, 4), none, none.bool(), pixels=r.pixels)
        for r in part.records
    )
    return DetectionSet(part.name, part.classes, tuple(records))


def twelve_bits(path: Path, brightest: int) -> Path:
    """A gray picture of 64 x 64 in 16 bits, as scientific cameras write it."""
    Image.fromarray(np.linspace(0, brightest, 64 * 64).reshape(64, 64).astype(np.uint16)).save(path)
    return path


def test_a_torn_image_is_left_out_and_named_and_white_is_kept(tmp_path: Path) -> None:
    drawn = shapes(14, 64, 0)
    mine = own_data(tmp_path / "own", train=drawn.subset(range(10)), val=drawn.subset(range(10, 14)))
    torn, deep, *_ = sorted(path for path in (tmp_path / "own").rglob("*") if path.suffix in (".png", ".jpg"))
    twelve_bits(deep, 4000)
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    run(tiny(*mine, cases=(0,)), tmp_path / "run")
    problems = json.loads((tmp_path / "run" / "problems.json").read_text())
    assert [(problem["kind"], torn.name in problem["where"] + problem["what"]) for problem in problems] == [
        ("damaged image", True),
        ("white level", False),
    ]
    seen = detect([twelve_bits(tmp_path / "dim.png", 500)], tmp_path / "run", tmp_path / "out", device="cpu")
    assert seen["notes"] == [
        "1 images hold more than 8 bits: white is 4095, as in the images that the network learned from"
    ]
    with Image.open(tmp_path / "out" / "dim.jpg") as copy:
        assert 20 < np.asarray(copy)[-1].mean() < 45
    with pytest.raises(RequestError, match=torn.name):
        run(tiny(*mine, "data.on_invalid=fail", cases=(0,)), tmp_path / "strict")


def test_a_split_without_a_box_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    drawn = shapes(14, 64, 0)
    mine = own_data(tmp_path / "own", train=drawn.subset(range(10)), val=without_boxes(drawn.subset(range(10, 14))))
    with pytest.raises(RequestError, match="has a box"):
        run(tiny(*mine, cases=(0,)), tmp_path / "run")


def test_a_teacher_of_other_classes_is_refused_before_anything_is_trained(done: Path, tmp_path: Path) -> None:
    drawn = shapes(14, 64, 0)
    fewer = [DetectionSet(part.name, (*part.classes, "moon"), part.records) for part in (drawn, drawn)]
    mine = own_data(tmp_path / "own", train=fewer[0].subset(range(10)), val=fewer[1].subset(range(10, 14)))
    config = tiny(*mine, f"distil.teacher={done}:electronic", cases=(1,))
    with pytest.raises(RequestError, match="classes do not match"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run" / "sweep.json").exists()


def test_cases_look_at_the_same_scenes(tmp_path: Path) -> None:
    config = tiny(cases=(0,))
    cases = (*config.sweep.cases, Case(name="larger", changes=("data.height=96",)))
    with pytest.raises(RequestError, match=r"`larger`.*`data\.height`"):
        run(config.replace(sweep=config.sweep.replace(cases=cases)), tmp_path / "run")


def test_optical_stages_learn_their_norms_in_a_frozen_backbone() -> None:
    """What was there before is held, of a pretrained backbone its norms as well; what is new is not."""
    config = tiny("model.backbone.frozen=1", cases=(0, 1))
    detector = build_detector(trainings(config)[1].config, 5).train()
    stages = detector.backbone.stages
    assert not stages[0].training and all(not p.requires_grad for p in stages[0].parameters())
    norms = [part for part in stages[3].modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert norms and all(norm.training and norm.weight.requires_grad for norm in norms)


def test_a_repeated_sweep_forgets_what_it_replaces(done: Path, tmp_path: Path) -> None:
    copy = RunFolder.open(done).copy(tmp_path / "again")
    copy.forget_comparison()
    left = {path.name for path in copy.path.rglob("*") if path.is_file()}
    assert not left & {"sweep.json", "detections.json", "pr.json", "hybrid.json", "optics.safetensors"}
    assert not list(copy.path.glob("models/*"))


def test_other_runs_do_not_detect(tmp_path: Path) -> None:
    RunFolder.create(resolve("onchip/digits"), tmp_path / "digits")
    with pytest.raises(RequestError, match="does not detect objects"):
        detect([tmp_path], tmp_path / "digits", tmp_path / "out")
    with pytest.raises(RequestError, match=r"`reorder`.*leave it out"):
        resolve("hybrid/shapes", ["stages=[train,program,reorder]"])
    with pytest.raises(RequestError, match="goes on with what `program` leaves"):
        resolve("hybrid/shapes", ["stages=[train,calibrate]"])
