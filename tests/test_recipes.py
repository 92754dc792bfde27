"""Every recipe: its published schedule, its quick form, and a tiny form of it from files to report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lightloom.common.errors import RequestError
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.run import run
from lightloom.pipeline.run_folder import RunFolder
from lightloom.recipes import RECIPES, resolve
from lightloom.tasks.classification.config import ClassificationConfig

PUBLISHED = sorted(set(RECIPES) - {"onchip/digits", "pcm/digits"})
L2IGHT = [recipe for recipe in PUBLISHED if recipe.startswith("onchip/")]
ELIGHT = [recipe for recipe in PUBLISHED if recipe.startswith("pcm/")]


def shrunk(recipe: str, root: Path, width: int = 3) -> list[str]:
    changes = ["quick=true", f"data.root={root}", f"model.width={width}", "train.epochs=1", "learn.epochs=1"]
    return [*changes, "train.batch_size=16", "learn.batch_size=16", "device=cpu", "data.limit=32"]


@pytest.mark.parametrize("recipe", L2IGHT)
def test_full_forms_have_the_published_schedule_of_l2ight(recipe: str) -> None:
    config = resolve(recipe)
    assert config.recipe == recipe
    for training in (config.train, config.learn):
        assert (training.batch_size, training.optimizer, training.schedule) == (32, "adamw", "cosine")
        assert training.warmup == 0
    small = recipe == "onchip/mnist-cnn"
    assert (config.train.epochs, config.train.lr) == (200, 2e-3)
    assert (config.learn.epochs, config.learn.lr) == ((10, 1e-4) if small else (20, 2e-4))
    assert config.train.weight_decay == (0 if recipe == "onchip/fmnist-cnn" else 0.01)
    assert config.learn.weight_decay == 0.01
    assert config.data.limit is None
    assert config.model.width is None
    assert config.chip.block_size == 9


@pytest.mark.parametrize("recipe", ELIGHT)
def test_full_forms_have_the_published_schedule_of_elight(recipe: str) -> None:
    config = resolve(recipe)
    for training in (config.train, config.learn):
        assert (training.epochs, training.batch_size, training.optimizer, training.nesterov) == (200, 64, "sgd", True)
        assert (training.lr, training.weight_decay, training.milestones) == (0.02, 1e-4, (82, 122))
        rates = [training.learning_rate(step, 200) for step in (0, 81, 82, 121, 122, 199)]
        assert rates == pytest.approx([0.02, 0.02, 0.002, 0.002, 0.0002, 0.0002])
    assert config.learn.keep == "last"
    assert (config.chip.block_size, config.chip.levels, config.chip.input_bits) == (64, 16, 4)
    assert resolve(recipe, ["bits=5"]).chip.levels == 32
    assert resolve(recipe, ["sharing=block_shared"]).writes.reference == "previous"


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_quick_forms_do_less(recipe: str) -> None:
    full, quick = resolve(recipe), resolve(recipe, ["quick=true"])
    assert quick.train.epochs < full.train.epochs
    assert quick.learn.epochs <= full.learn.epochs
    assert quick.data.name == full.data.name
    if not isinstance(full, ClassificationConfig):
        return
    assert quick.model.name == full.model.name
    assert quick.data.limit is not None or quick.data.name == "digits"


def test_switches_choose_what_follows_from_them() -> None:
    assert resolve("onchip/cifar10-vgg8").data.augment
    assert not resolve("onchip/cifar10-vgg8", ["data=svhn"]).data.augment
    assert resolve("onchip/cifar10-resnet18", ["data=svhn"]).learn.lr == 1e-4
    assert resolve("onchip/cifar10-vgg8", ["data=cifar10_jpeg"]).data.name == "cifar10_jpeg"
    moved = resolve("onchip/transfer", ["data=tinyimagenet", "to=svhn", "transfer.limit=7"])
    assert moved.transfer is not None
    assert (moved.data.name, moved.data.size, moved.data.augment) == ("tinyimagenet", 32, True)
    assert (moved.transfer.name, moved.transfer.limit, moved.transfer.augment) == ("svhn", 7, False)
    with pytest.raises(RequestError, match="no data set `cifar1000`"):
        resolve("onchip/transfer", ["to=cifar1000"])


@pytest.mark.parametrize("recipe", ELIGHT)
@pytest.mark.usefixtures("small_datasets")
def test_a_tiny_form_on_cells_runs_from_files_to_report(recipe: str, small_files: Path, tmp_path: Path) -> None:
    stuck = ["chip.block_size=16", "chip.stuck_fraction=0.05"]
    stages = "stages=[train,program,calibrate,map,learn,reorder,evaluate,cost,report]"
    summary = run(resolve(recipe, [*shrunk(recipe, small_files), *stuck, stages]), tmp_path / "run")
    assert list(summary["values"]) == ["electronic", "programmed", "calibrated", "mapped", "learned", "reordered"]
    assert summary["values"]["learned"] == summary["values"]["reordered"]
    rows = [row for row in json.loads((tmp_path / "run/layers.json").read_text()) if row["converted"]]
    assert all(row["errors"]["mapped"] < row["errors"]["programmed"] for row in rows)
    cases = json.loads((tmp_path / "run/writes.json").read_text())["cases"]
    assert [(case["state"], case["order"]) for case in cases] == [
        ("programmed", "as it comes"),
        ("programmed", "reordered"),
        ("learned", "as it comes"),
        ("learned", "reordered"),
    ]
    assert cases[1]["levels"] < cases[0]["levels"]
    assert cases[3]["levels"] < cases[2]["levels"]
    assert (tmp_path / "run/report.html").exists()


@pytest.mark.parametrize("recipe", sorted(set(L2IGHT) - {"onchip/transfer"}))
@pytest.mark.usefixtures("small_datasets")
def test_a_tiny_form_runs_from_files_to_report(recipe: str, small_files: Path, tmp_path: Path) -> None:
    config = resolve(recipe, [*shrunk(recipe, small_files), "data.augment=true"])
    summary = run(config, tmp_path / "run")
    assert list(summary["values"]) == ["electronic", "programmed", "calibrated", "mapped", "learned"]
    rows = json.loads((tmp_path / "run/layers.json").read_text())
    assert all(row["errors"]["mapped"] < 0.01 < row["errors"]["programmed"] for row in rows if row["converted"])
    assert summary["metric"]["chance"] == 0.1
    assert (tmp_path / "run/report.html").exists()
    stages = [json.loads(line)["stage"] for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert stages == ["train", "learn"]
    if recipe == "onchip/mnist-cnn":
        assert RunContext(RunFolder.open(tmp_path / "run")).data.shape == (1, 16, 16)


@pytest.mark.usefixtures("small_datasets")
def test_a_transfer_keeps_the_meshes_and_learns_a_new_head(small_files: Path, tmp_path: Path) -> None:
    changes = [*shrunk("onchip/transfer", small_files), "transfer.limit=32"]
    summary = run(resolve("onchip/transfer", changes), tmp_path / "run")
    assert summary["metric"]["chance"] == 0.1
    electronic, mapped, learned = (
        load_file(tmp_path / "run" / f"{state}.safetensors") for state in ("electronic", "mapped", "learned")
    )
    assert electronic["head.weight"].shape == (100, 24)
    assert learned["head.bias"].shape == (10,)
    for name in mapped:
        if "phases" in name:
            assert torch.equal(mapped[name], learned[name])
    assert not torch.equal(mapped["head.core.sigma"], learned["head.core.sigma"])
    work = RunContext(RunFolder.open(tmp_path / "run"))
    assert (work.data.name, work.chip_data.name) == ("cifar100", "cifar10")
    # what was trained on the first set is what is on the chip, up to the new head
    optical, trained = work.network("programmed"), work.network("electronic")
    with torch.no_grad():
        wanted = trained.get_parameter("conv2.weight").flatten(1)
        assert float((optical.conv2.core.ideal_weight() - wanted).norm() / wanted.norm()) < 1e-4


@pytest.mark.usefixtures("small_datasets")
def test_a_transfer_between_images_of_other_shapes_says_how_to_mend_it(small_files: Path, tmp_path: Path) -> None:
    changes = [*shrunk("onchip/transfer", small_files), "transfer.size=16"]
    with pytest.raises(RequestError, match=r"`cifar10` have the shape \(3, 16, 16\).*`transfer\.size=N`"):
        run(resolve("onchip/transfer", changes), tmp_path / "run")
