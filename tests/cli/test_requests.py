"""Bad requests get a clear answer, exit code 2 (or 1 where the work fails), and break nothing."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lightloom.cli import app

runner = CliRunner()


def refused(*arguments: str | Path) -> str:
    result = runner.invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == 2, result.output
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["exit_code"] == 2
    assert answer["error"] in result.stderr
    return str(answer["error"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "onchip/digit"], "Did you mean `onchip/digits`?"),
        (["run", "onchip/digits", "train.epoch=3"], "Did you mean `train.epochs`?"),
        (["run", "onchip/digits", "gamma_std=3"], "Did you mean `chip.gamma_std`?"),
        (["run", "onchip/digits", "chip=neoms"], "Did you mean `noems`?"),
        (["run", "onchip/digits", "chip.weight_bits=0"], "chip.weight_bits"),
        (["run", "onchip/digits", "chip.gamma_std=-1"], "chip.gamma_std"),
        (["run", "onchip/digits", "chip.block_size=1"], "chip.block_size"),
        (["run", "onchip/digits", "train.lr=fast"], "train.lr"),
        (["run", "onchip/digits", "train=3"], "`train.epochs`"),
        (["run", "onchip/digits", "train.lr"], "key=value"),
        (["run", "onchip/digits", "train.lr=[1"], "not YAML"),
        (["run", "onchip/digits", "data=mnits"], "Did you mean `mnist`?"),
        (["run", "onchip/digits", "data.name=mnits"], "Did you mean `mnist`?"),
        (["run", "onchip/digits", "model.name=cnm"], "Did you mean `cnn`?"),
        (["run", "onchip/digits", "electronic=[haed]", "--out", "OUT"], "No layer is called `haed`"),
        (["run", "onchip/digits", "--resume"], "--out FOLDER"),
        (["run", "onchip/digits", "chip.field=complex"], "leave it out with `stages=["),
        (["bench", "mesh", "--readout-std", "0.1"], "does not vary `readout_std`"),
        (["run", "onchip/digits", "--device", "tpu"], "device"),
        (["learn", "nowhere"], "run folder"),
        (["chips", "l2igth"], "Did you mean `l2ight`?"),
        (["bench", "mehs"], "Did you mean `mesh`?"),
        (["convert", "onchip/digitz"], "Did you mean `onchip/digits`?"),
    ],
)
def test_the_answer_names_the_thing_and_the_mend(arguments: list[str], says: str, tmp_path: Path) -> None:
    if "OUT" in arguments:  # this one is found out only when the network is converted
        arguments = [str(tmp_path / "run") if a == "OUT" else a for a in arguments]
        arguments += ["train.epochs=1", "data.limit=20", "model.width=2"]
    assert says in refused(*arguments)


def test_a_folder_in_use_or_not_writable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "--resume" in refused("run", "onchip/digits", "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert "Cannot write" in refused("run", "onchip/digits", "--out", tmp_path / "notes.txt" / "run")
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        assert "Cannot write" in refused("run", "onchip/digits", "--out", tmp_path / "locked" / "run")


def test_a_run_is_not_resumed_with_another_config(tmp_path: Path) -> None:
    small = ["stages=[train]", "train.epochs=1", "data.limit=20", "model.width=2"]
    assert runner.invoke(app, ["run", "onchip/digits", *small, "--out", str(tmp_path / "run")]).exit_code == 0
    said = refused("run", "onchip/digits", *small, "train.lr=0.5", "--seed", "4", "--out", tmp_path / "run", "--resume")
    assert "`seed`, `train.lr`" in said
    assert "`program`" in refused("learn", tmp_path / "run", "stages=[train,program,learn]")


def test_a_swapped_weights_file_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    small = ["stages=[train,program]", "train.epochs=1", "data.limit=20", "model.width=2"]
    assert runner.invoke(app, ["run", "onchip/digits", *small, "--out", str(run)]).exit_code == 0
    (run / "electronic.safetensors").write_bytes((run / "programmed.safetensors").read_bytes())
    assert "another model" in refused("program", run)


def test_diverging_training_fails_with_1_and_keeps_what_was_written(tmp_path: Path) -> None:
    run = tmp_path / "run"
    wild = ["train.epochs=2", "train.lr=1e30", "train.optimizer=sgd", "data.limit=200", "model.width=2"]
    result = runner.invoke(app, ["run", "onchip/digits", *wild, "--out", str(run), "--json"])
    assert result.exit_code == 1
    assert "First bad tensor" in json.loads(result.stdout.splitlines()[-1])["error"]
    assert (run / "config.yaml").exists()


def test_listing_verbs_answer_in_json_and_in_words(tmp_path: Path) -> None:
    for verb, key in (("recipes", "recipes"), ("chips", "chips"), ("doctor", "advice")):
        words = runner.invoke(app, [verb])
        assert words.exit_code == 0
        assert words.stdout.strip()
        data = runner.invoke(app, [verb, "--json", "--out", str(tmp_path / verb)])
        assert key in json.loads(data.stdout)
        assert key in json.loads((tmp_path / verb / "result.json").read_text())
    chip = runner.invoke(app, ["chips", "noems", "--json"])
    assert json.loads(chip.stdout)["devices"]["shifter_time"]["source"]


def test_the_resolved_config_is_printed_and_reads_back(tmp_path: Path) -> None:
    from lightloom.recipes import resolve
    from lightloom.tasks import read_config

    printed = runner.invoke(app, ["run", "onchip/digits", "chip=noems", "chip.crosstalk=0.01", "--print-config"])
    path = tmp_path / "config.yaml"
    path.write_text(printed.stdout)
    assert read_config(path) == resolve("onchip/digits", ["chip=noems", "chip.crosstalk=0.01"])
    assert read_config(path).chip.crosstalk == 0.01
