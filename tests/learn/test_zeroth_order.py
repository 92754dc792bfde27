"""Training without gradients lowers the loss, sees the whole data, and resumes bit for bit."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lightloom import chips
from lightloom.data import Batches, ImageSet
from lightloom.learn import Session, TrainingData
from lightloom.learn.mesh.zeroth_order import ZerothConfig, _Search, fit_zeroth
from lightloom.nn import MeshCore, convert, cores, install, switch
from lightloom.tasks.classification import Classify

L2IGHT = chips.preset("l2ight")
FLOPS = ZerothConfig(method="flops", epochs=12, batch_size=20, lr=0.2, samples=4)
MIXED = ZerothConfig(method="mixedtrn", epochs=5, batch_size=20, kept=0.5, skipped=0.8, step=0.1)


def images(count: int = 60) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    return ImageSet(torch.randn(count, 1, 2, 2, generator=generator) + 3.0 * labels.view(-1, 1, 1, 1) - 1.5, labels)


def network(*, norm: bool = False) -> nn.Module:
    torch.manual_seed(1)
    layers = [
        nn.Flatten(),
        nn.Linear(4, 6),
        *([nn.BatchNorm1d(6)] if norm else []),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(6, 2),
    ]
    model = convert(nn.Sequential(*layers), L2IGHT.replace(block_size=4)).model
    install(model, L2IGHT.replace(block_size=4).specimen(0))
    return model


def train(model: nn.Module, config: ZerothConfig, folder: Path) -> None:
    fit_zeroth(model, TrainingData(images(), images()), Classify(), config, Session(folder, "zeroth", 0, "cpu"))


@pytest.mark.parametrize("config", [FLOPS, MIXED], ids=["flops", "mixedtrn"])
def test_the_loss_falls(config: ZerothConfig, tmp_path: Path) -> None:
    model = network()
    before = Classify().evaluate(model, images())["loss"]
    train(model, config, tmp_path)
    assert Classify().evaluate(model, images())["loss"] < 0.6 * before
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, config.epochs + 1))
    if config is FLOPS:
        assert {line["evaluations"] for line in lines} == {3 * 5}  # three batches, the start and four directions


@pytest.mark.parametrize("config", [FLOPS, MIXED], ids=["flops", "mixedtrn"])
def test_a_stopped_training_goes_on_where_it_was(config: ZerothConfig, tmp_path: Path) -> None:
    longer = config.replace(epochs=3)
    train(network(), longer, tmp_path / "whole")
    train(network(), config.replace(epochs=1), tmp_path / "parts")
    train(network(), longer, tmp_path / "parts")
    whole, parts = (
        load_file(tmp_path / name / "checkpoints" / "zeroth-last.safetensors") for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_every_image_is_seen_in_every_epoch(tmp_path: Path) -> None:
    class Watching(Classify):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Tensor] = []

        def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
            self.seen.append(targets)
            return super().loss(outputs, targets)

    data = ImageSet(images().images, torch.arange(60))
    task = Watching()
    model = convert(nn.Sequential(nn.Flatten(), nn.Linear(4, 60)), L2IGHT.replace(block_size=4)).model
    config = ZerothConfig(epochs=1, batch_size=20, lr=0.1)
    fit_zeroth(model, TrainingData(data, data), task, config, Session(tmp_path, "zeroth", 0, "cpu"))
    assert torch.cat(task.seen).unique().tolist() == list(range(60))


def test_flops_estimates_the_gradient_of_the_loss() -> None:
    """The mean over many directions points along the true gradient of phases and scaled singular values."""
    model = network().eval()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    switch(model, "phase")
    for core in cores(model, MeshCore).values():
        for phases in (core.u_phases, core.v_phases):
            phases.data.clamp_(0.2, 6.0)  # below 0 a drive starts again at a full turn: the loss has a jump there
    config = ZerothConfig(std=0.02, samples=2000, lr=1e-3, batch_size=60)
    search = _Search(model, Classify(), config, 0)
    task, data = Classify(), images()
    # a drive of 8 bit moves in steps: its staircase has no slope, so the truth is that of an exact one
    for core in search.cores:
        core.chip = core.chip.replace(weight_bits=None)
    scales = [scale.detach().clone() for scale in search._scales()]
    exact = torch.autograd.grad(task.loss(model(data.images), data.labels), search.settings)
    scaled = torch.cat([(g * scale).flatten() for g, scale in zip(exact, scales, strict=True)])
    before = [setting.detach().clone() for setting in search.settings]
    search.epoch(Batches(data.images, data.labels, batch_size=60, seed=0), 1)
    moved = [(a - b.detach()) / scale for a, b, scale in zip(before, search.settings, scales, strict=True)]
    step = torch.cat([move.flatten() for move in moved])
    cosine = float(nn.functional.cosine_similarity(step, scaled, dim=0))
    # n coordinates, m directions: cos = 1 / sqrt(1 + (n + 1) / m)
    assert cosine > 0.9 / math.sqrt(1 + (len(step) + 1) / 2000)


def test_mixedtrn_changes_singular_values_and_the_chosen_phases_alone(tmp_path: Path) -> None:
    model = network()
    search = _Search(model, Classify(), MIXED.replace(skipped=0.0), 0)
    before = [setting.detach().clone() for setting in search.settings]
    search.epoch(Batches(images().images, images().labels, batch_size=60, seed=0), 1)
    changed = [a.flatten() != b.flatten() for a, b in zip(before, search.settings, strict=True)]
    assert all(not (change & ~kept).any() for change, kept in zip(changed, search.kept, strict=True))
    assert all(change.any() for change in changed)
    assert all(kept.all() for kept in search.kept[2::3])


def test_statistics_of_norms_follow_the_data_and_not_the_tries() -> None:
    model = network(norm=True)
    norm = model[2]
    data = images()
    expected = 0.9 * norm.running_mean + 0.1 * model[1](data.images.flatten(1)).mean(0).detach()
    _Search(model, Classify(), FLOPS, 0).epoch(Batches(data.images, data.labels, batch_size=60, seed=0), 1)
    torch.testing.assert_close(norm.running_mean, expected)
    assert norm.momentum == 0.1


def test_what_cannot_be_searched_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no layer on meshes"):
        train(nn.Sequential(nn.Linear(4, 2)), FLOPS, tmp_path)
    model = network()
    switch(model, "weight")
    with pytest.raises(ValueError, match="mode `weight`"):
        train(model, FLOPS, tmp_path)
