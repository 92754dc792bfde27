"""Learning on the chip trains singular values and norms, and nothing else."""

from pathlib import Path

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.data import ImageSet
from lightloom.learn import Session, TrainConfig, TrainingData, fit, train_only_subspace
from lightloom.nn import convert, install
from lightloom.tasks.classification import Classify


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.LayerNorm(6 * 16),
        nn.Linear(96, 2),
    )


def test_only_singular_values_and_norms_train() -> None:
    model = convert(network(), chips.preset("l2ight"), mode="phase").model
    names = train_only_subspace(model)
    assert names == ["0.core.sigma", "1.weight", "1.bias", "4.weight", "4.bias", "5.core.sigma"]


def test_a_model_without_optics_is_refused() -> None:
    with pytest.raises(ValueError, match="no layer on meshes"):
        train_only_subspace(network())


def test_learning_on_a_specimen_finds_a_solution_and_leaves_the_meshes_alone(tmp_path: Path) -> None:
    chip = chips.preset("l2ight")
    model = convert(network(), chip).model
    install(model, chip.specimen(0))
    train_only_subspace(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    labels = torch.arange(60) % 2
    images = torch.randn(60, 1, 4, 4)
    images[:, 0, 0] += 3.0 * labels[:, None] - 1.5
    data = ImageSet(images, labels)
    config = TrainConfig(epochs=8, batch_size=20, lr=0.03)
    fit(model, TrainingData(data, data), Classify(), config, Session(tmp_path, "learn", 0, "cpu"))
    assert Classify().evaluate(model, data)["accuracy"] > 0.95
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in changed if "core" in name} == {"0.core.sigma", "5.core.sigma"}
    assert "5.bias" not in changed
