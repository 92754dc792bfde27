"""Write-aware training: what is paid is what the schedule writes, and training writes less."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lightloom import chips
from lightloom.data import load
from lightloom.learn import Session, TrainConfig, TrainingData, WriteAware, WriteAwareObjective, fit, for_sharing
from lightloom.learn.pcm.write_aware import levels_written
from lightloom.nn import PCMCore, convert, cores
from lightloom.tasks.classification import Classify

CHIP = chips.preset("elight", chips.PCMChip).replace(block_size=8, sharing="column_shared")
DATA = load("digits", seed=0, limit=300)
SCHEDULE = TrainConfig(epochs=3, batch_size=50, optimizer="sgd", nesterov=True, lr=0.02, keep="last")


def network(chip: chips.PCMChip = CHIP, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 20, bias=False), nn.ReLU(), nn.Linear(20, 10, bias=False))
    return convert(model, chip).model


def train(model: nn.Module, writes: WriteAware, folder: Path, config: TrainConfig = SCHEDULE) -> WriteAwareObjective:
    task = WriteAwareObjective(Classify(), model, writes)
    data = TrainingData(DATA.train, DATA.validation)
    fit(model, data, task, config, Session(folder, "learn", 0, "cpu"), prepare=task.prepare)
    return task


@pytest.mark.parametrize("start", ["erased", "repeat", "alternate"])
@pytest.mark.parametrize("sharing", ["row_private", "column_shared", "block_shared"])
def test_the_penalty_is_the_share_of_levels_that_the_order_writes(sharing: str, start: str) -> None:
    model = network(CHIP.replace(sharing=sharing, start=start)).train()
    task = WriteAwareObjective(
        Classify(), model, WriteAware(strength=3.0, reference="previous", norm="l1", balance="cells")
    )
    task.prepare(model)
    images, targets = DATA.train.images[:7], DATA.train.labels[:7]
    outputs = model(images)
    plain = Classify().loss(outputs, targets)
    paid = float((task.loss(outputs, targets) - plain).detach())
    weights = sum(core.matrix.numel() for core in task.cores.values())
    written = sum(levels_written(core) for core in task.cores.values())
    assert paid == pytest.approx(3.0 * written / weights / 15, rel=1e-4)


def test_layers_count_alike_where_asked() -> None:
    model = network().train()
    task = WriteAwareObjective(Classify(), model, WriteAware(strength=1.0, reference="erased", norm="l1"))
    task.prepare(model)
    outputs = model(DATA.train.images[:7])
    plain = Classify().loss(outputs, DATA.train.labels[:7])
    paid = float((task.loss(outputs, DATA.train.labels[:7]) - plain).detach())
    wanted = sum(float(core.levels().abs().float().mean()) / 15 for core in task.cores.values())
    assert paid == pytest.approx(wanted, rel=1e-4)


def test_evaluation_pays_nothing_and_tells_the_writes() -> None:
    model = network()
    task = WriteAwareObjective(Classify(), model, for_sharing("row_private", 1.0))
    task.prepare(model)
    figures = task.evaluate(model, DATA.validation)
    assert figures["writes"] == sum(levels_written(core) for core in cores(model, PCMCore).values())
    assert all(core.paid is None for core in task.cores.values())


@pytest.mark.parametrize("sharing", ["row_private", "column_shared"])
def test_paying_for_writes_spares_them(sharing: str, tmp_path: Path) -> None:
    chip = CHIP.replace(sharing=sharing)
    written = {}
    for name, writes in (("plain", WriteAware()), ("aware", for_sharing(sharing, 30.0))):
        model = network(chip)
        task = train(model, writes, tmp_path / name)
        task.config = for_sharing(sharing, 30.0)
        task.prepare(model)
        written[name] = task.evaluate(model, DATA.validation)["writes"]
    assert written["aware"] < 0.7 * written["plain"]


def test_a_stopped_training_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """The order that is paid for follows from the weights, so it need not be saved."""
    steady, writes = SCHEDULE.replace(schedule="constant", warmup=0.0), for_sharing("column_shared", 30.0)
    train(network(), writes, tmp_path / "whole", steady)
    train(network(), writes, tmp_path / "parts", steady.replace(epochs=1))
    train(network(seed=9), writes, tmp_path / "parts", steady)
    whole, parts = (
        load_file(tmp_path / folder / "checkpoints" / "learn-last.safetensors") for folder in ("whole", "parts")
    )
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())


def test_the_last_epoch_is_kept_where_asked(tmp_path: Path) -> None:
    model = network()
    train(model, for_sharing("column_shared", 30.0), tmp_path)
    last = load_file(tmp_path / "checkpoints" / "learn-last.safetensors")
    assert torch.equal(cores(model, PCMCore)["1"].matrix, last["model/1.core.matrix"])


def test_a_model_without_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="no layer on a PCM chip"):
        WriteAwareObjective(Classify(), nn.Linear(2, 2), WriteAware())


def test_the_strength_falls_to_nothing_over_the_last_part() -> None:
    model = network()
    task = WriteAwareObjective(Classify(), model, WriteAware(strength=8.0, release=0.5))
    strengths = []
    for done in (0.0, 0.25, 0.5, 0.75, 1.0):
        task.prepare(model, done)
        strengths.append(task.strength)
    assert strengths == [8.0, 8.0, 8.0, 4.0, 0.0]
    steady = WriteAwareObjective(Classify(), model, WriteAware(strength=8.0))
    steady.prepare(model, 0.99)
    assert steady.strength == 8.0
