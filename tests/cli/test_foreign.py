"""What a verb did not write is as it was afterwards, whatever its name and place, also where the verb fails."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from lightloom.cli import app

runner = CliRunner()
SMALL = ["quick=true", "train.epochs=1", "learn.epochs=1", "data.limit=60", "model.width=2"]
LOOK = ["train.epochs=1", "data.limit=60", "model.width=2"]

# what verbs write, and what looks like it
NAMES = (
    *("config.yaml", "versions.json", "chip.json", "specimen.json", "stages.json", "metrics.jsonl"),
    *("layers.json", "cost.json", "result.json", "summary.json", "report.html", "compare.html"),
    *("comparison.html", "explore.json", "explore.csv", "sensitivity.json", "sensitivity-state.json"),
    *("detections.json", "results.json", "electronic.safetensors", "programmed.safetensors", "model.onnx"),
    *("phases.csv", "photo.jpg", "notes.txt", ".lightloom.lock", ".lightloom.holder", ".report.html.123.part"),
    *(".weights.part", "checkpoints/train-last.safetensors", "checkpoints/train-mine.safetensors"),
    *("checkpoints/months-of-work.pt", "models/detector.safetensors", "plots/states.svg", "plots/mine.svg"),
    *("points/1.json", "pictures/000.jpg", "results/mine.json", "network/config.yaml"),
    *("network/checkpoints/train-last.safetensors", "export/model/lightloom.json", "model/lightloom.json"),
    *("model/model.safetensors", "netlists/netlists.json", "levels/levels.json", "v1.0-own/scene.json"),
    *("v1.0-own/splits.json", "maps/empty.png", ".run.123.part/mine", ".model.123.old/mine"),
)


def plant(folder: Path) -> dict[Path, bytes]:
    """Foreign files under every name that is free in a folder; their bytes by path."""
    planted = {}
    for name in NAMES:
        path = folder / name
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"mine: {name}".encode())
        planted[path] = path.read_bytes()
    return planted


def untouched(planted: dict[Path, bytes]) -> None:
    assert {path: path.read_bytes() if path.is_file() else None for path in planted} == planted


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that is finished."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = runner.invoke(app, ["run", "onchip/digits", *SMALL, "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def description(tmp_path: Path) -> Path:
    """One camera, one frame, no box."""
    folder = tmp_path / "drive"
    folder.mkdir()
    Image.new("RGB", (64, 48)).save(folder / "front.png")
    matrix = [[50.0, 0.0, 32.0], [0.0, 50.0, 24.0], [0.0, 0.0, 1.0]]
    camera = {"name": "CAM_FRONT", "width": 64, "height": 48, "intrinsic": matrix}
    camera |= {"translation": [0, 0, 1.5], "rotation": [0.5, -0.5, 0.5, -0.5]}
    frame = {"time": 1.0, "images": {"CAM_FRONT": "front.png"}, "boxes": []}
    path = folder / "drive.yaml"
    path.write_text(yaml.safe_dump({"cameras": [camera], "scenes": [{"name": "one", "frames": [frame]}]}))
    return path


STAGES = ("train", "program", "calibrate", "map", "learn", "reorder", "sweep", "evaluate", "cost", "report")
FREE = ("bench", "chips", "convert", "detect", "doctor", "estimate", "export", "recipes", "runs", "serve", "tables")
VERBS = (*STAGES, *FREE, "compare", "explore", "run", "sensitivity")


def arguments(verb: str, run: Path, description: Path, tmp_path: Path) -> list[str]:
    """A short request of a verb, without `--out`."""
    if verb == "compare":
        other = tmp_path / "other"
        if not other.exists():
            shutil.copytree(run, other)
        return [verb, str(run), str(other)]
    given: dict[str, list[str]] = {
        "bench": ["convert"],
        "chips": [],
        "convert": ["onchip/digits", *LOOK],
        "detect": [str(description.parent / "front.png"), "--model", str(run)],
        "doctor": [],
        "estimate": ["bert-base"],
        "explore": [str(run), "--over", "chip.block_size=4", "--specimens", "1", "--images", "5"],
        "export": [str(run), "--formats", "folder,netlist,phases"],
        "recipes": [],
        "run": ["onchip/digits", *SMALL, "stages=[train]"],
        "sensitivity": [str(run), "--specimens", "1", "--images", "5"],
        "runs": [str(run.parent)],
        "serve": [],
        "tables": [str(description)],
    }
    return [verb, *given.get(verb, [str(run)])]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Benches and the server of chips, and what well-known networks cost, are no matter here."""
    monkeypatch.setattr("lightloom.bench.bench", lambda *_, **__: {"bench": "convert"})
    monkeypatch.setattr("lightloom.lab.server.serve", lambda *_, **__: None)
    monkeypatch.setattr("lightloom.commands.estimate.estimate", _estimate)
    yield


def _estimate(network: str, changes: list[str], *, tokens: int, out: Path | None) -> dict[str, object]:
    from lightloom.common.files import write_json
    from lightloom.common.marks import claim

    if out is not None:
        write_json(claim(out, "output") / "cost.json", {})
    return {}


def test_every_verb_is_looked_at() -> None:
    assert {command.name or command.callback.__name__ for command in app.registered_commands if command.callback} == {
        *VERBS
    }


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_changes_foreign_files_where_it_writes(
    verb: str, run: Path, description: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = arguments(verb, run, description, tmp_path)
    place = tmp_path / "place"
    planted = plant(place)
    (tmp_path / "link").symlink_to(place)
    (tmp_path / "file").write_text("mine")
    planted |= {tmp_path / "file": b"mine"}
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and ".lightloom" not in path.name}
    outs = [place, tmp_path / "link", tmp_path / "file", tmp_path / "file" / "below", place / "report.html"]
    for out in outs:
        for more in ([], ["--resume"]) if verb == "run" else ([],):
            result = runner.invoke(app, [*request, "--out", str(out), *more])
            assert isinstance(result.exception, SystemExit | None), result.exception
            assert result.exit_code in (0, 2), result.output
            untouched(planted)
            assert (tmp_path / "link").is_symlink()
    if verb in STAGES and verb != "report":  # as `report` they all go by one way
        return
    # where nothing is in the way it works, and what lies beside stays
    monkeypatch.chdir(tmp_path)
    if verb == "tables":
        shutil.copytree(description.parent, tmp_path / "fresh")
    beside = plant(tmp_path)
    result = runner.invoke(app, [*request, "--out", str(tmp_path / "fresh")])
    assert result.exit_code == 0 or verb == "detect", result.output
    untouched(planted | beside | before)
    if verb not in STAGES and verb != "run":  # once more, over what it wrote itself
        again = runner.invoke(app, [*request, "--out", str(tmp_path / "fresh")])
        assert again.exit_code == result.exit_code, again.output


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_writes_over_the_files_of_a_run(verb: str, run: Path, description: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and ".lightloom" not in path.name}
    if verb == "export":
        pytest.skip("an export goes into a folder of its own in a run")
    result = runner.invoke(app, [*arguments(verb, run, description, tmp_path), "--out", str(run)])
    assert result.exit_code == 2 or verb == "compare", result.output
    untouched(before)


@pytest.mark.parametrize("verb", ["program", "sweep", "report", "export", "cost"])
def test_foreign_files_in_the_folder_of_a_run_stay(verb: str, run: Path, description: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    planted = plant(copy)
    planted |= plant(tmp_path)
    if verb == "sweep":  # of this run nothing is compared; what its repetition forgets is forgotten all the same
        from lightloom.pipeline.run_folder import RunFolder

        RunFolder.open(copy).forget_comparison()
        assert not (copy / "checkpoints/train-last.safetensors").exists()
    runner.invoke(app, [verb, str(copy)])
    runner.invoke(app, ["run", "onchip/digits", *SMALL, "--out", str(copy), "--resume"])
    untouched(planted)


def test_a_run_of_an_earlier_version_is_opened_and_gone_on_with(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "old"
    shutil.copytree(run, copy)
    for path in copy.glob(".lightloom*"):
        path.unlink()
    planted = {copy / name: b"mine" for name in ("notes.txt", "checkpoints/mine.pt", "plots/mine.txt")}
    for path in planted:
        path.write_bytes(b"mine")
    result = runner.invoke(app, ["report", str(copy)])
    assert result.exit_code == 0, result.output
    result = runner.invoke(app, ["learn", str(copy), "learn.lr=1e-3"])
    assert result.exit_code == 0, result.output
    untouched(planted)


def test_a_foreign_config_makes_no_run(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("recipe: mine\n")
    (tmp_path / "versions.json").write_text("{}")
    planted = plant(tmp_path)
    planted |= {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for request in (["run", "onchip/digits", "--out", str(tmp_path), "--resume"], ["report", str(tmp_path)]):
        result = runner.invoke(app, request)
        assert result.exit_code == 2, result.output
        untouched(planted)
