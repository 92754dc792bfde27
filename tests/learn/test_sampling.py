"""Sampling of a whole model: the rules for layers, and which batches and examples are learned from."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.data import ImageSet
from lightloom.data.batches import Batch
from lightloom.learn import Session, TrainConfig, TrainingData, fit, train_only_subspace
from lightloom.learn.gradient_alignment import gradient_study, sparsity_sweep
from lightloom.learn.sampling import PRESETS, Sampling, attach, sample_batches, sampling_preset
from lightloom.nn import convert, install, optical_layers
from lightloom.tasks.classification import Classify

L2IGHT = chips.preset("l2ight")


def network() -> nn.Module:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(1, 18, 3, padding=1),
        nn.BatchNorm2d(18),
        nn.ReLU(),
        nn.Conv2d(18, 27, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(27 * 16, 3),
    )
    return convert(model, L2IGHT).model


def images(count: int = 48) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (count,), generator=generator)
    return ImageSet(torch.randn(count, 1, 4, 4, generator=generator) + labels.view(-1, 1, 1, 1), labels)


def test_each_kind_of_layer_follows_its_rule() -> None:
    model = network()
    attach(model, Sampling(feedback=0.6, column=0.5, spatial=0.3))
    first, middle, last = (layer.sampler for layer in optical_layers(model).values())
    assert first is None
    assert middle is not None and last is not None
    assert (middle.settings.feedback, middle.settings.column, middle.settings.spatial) == (0.6, 0.5, 0.3)
    assert (last.settings.feedback, last.settings.column, last.settings.spatial) == (0.0, 0.5, 0.3)
    attach(model, Sampling(column=0.5, first_column=True))
    first = next(iter(optical_layers(model).values())).sampler
    assert first is not None and first.settings.column == 0.5
    attach(model, Sampling())
    assert all(layer.sampler is None for layer in optical_layers(model).values())


def test_wrong_requests_are_refused_by_name() -> None:
    model = network()
    with pytest.raises(ValueError, match="no optical layer"):
        attach(nn.Linear(2, 2), Sampling())
    with pytest.raises(ValueError, match=r"`4`, which is no optical layer"):
        attach(model, Sampling(), {"4": (torch.eye(9), torch.eye(9))})
    with pytest.raises(ValueError, match=r"`3` have shape \(1, 3, 18, 9, 9\), got \(9, 9\)"):
        attach(model, Sampling(), {"3": (torch.eye(9), torch.eye(9))})
    with pytest.raises(ValueError, match=r"`rank` of 1 \.\.\. 9"):
        attach(model, Sampling(rank=10))
    with pytest.raises(RequestError, match="Did you mean `rad-vgg8`"):
        sampling_preset("rad-vgg")
    assert sampling_preset("rad-vgg8") is PRESETS["rad-vgg8"]


def test_every_preset_trains(tmp_path: Path) -> None:
    for name, sampling in PRESETS.items():
        model = network()
        train_only_subspace(model)
        attach(model, sampling)
        loss = Classify().loss(model(images().images), images().labels)
        torch.autograd.backward(loss)
        for parameter in (p for p in model.parameters() if p.requires_grad):
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def learned(folder: Path, epochs: int) -> dict[str, torch.Tensor]:
    model = network()
    install(model, L2IGHT.specimen(0))
    train_only_subspace(model)
    attach(model, Sampling(feedback=0.5, feedback_mode="uniform", column=0.5, spatial=0.2, rank=5, rank_mode="uniform"))
    config = TrainConfig(epochs=epochs, batch_size=16, lr=0.02, schedule="constant", warmup=0)
    fit(model, TrainingData(images(), images()), Classify(), config, Session(folder, "learn", 0, "cpu"))
    return load_file(folder / "checkpoints" / "learn-last.safetensors")


def test_a_resumed_training_draws_the_same_samples(tmp_path: Path) -> None:
    whole = learned(tmp_path / "whole", 3)
    learned(tmp_path / "parts", 1)
    parts = learned(tmp_path / "parts", 3)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def batches(count: int) -> list[tuple[int, Batch]]:
    return [(n, Batch(torch.full((4, 3), float(n)), torch.arange(4), 1.0)) for n in range(count)]


def test_dropped_batches_keep_the_numbers_of_the_others() -> None:
    kept = list(sample_batches(batches(2000), Sampling(smd=0.3), seed=0))
    assert abs(len(kept) / 2000 - 0.7) < 4 * math.sqrt(0.3 * 0.7 / 2000)
    assert all(float(batch.inputs[0, 0]) == number for number, batch in kept)
    assert [n for n, _ in kept] == [n for n, _ in sample_batches(batches(2000), Sampling(smd=0.3), seed=0)]
    assert [n for n, _ in kept] != [n for n, _ in sample_batches(batches(2000), Sampling(smd=0.3), seed=1)]
    assert len(list(sample_batches(batches(2), Sampling(smd=0.999), seed=0))) == 1
    assert len(list(sample_batches(batches(5), Sampling(), seed=0))) == 5


def test_examples_that_a_teacher_is_sure_of_are_left_out() -> None:
    class Teacher(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert not self.training
            return x

    teacher = Teacher().train()
    inputs = torch.diag(torch.tensor([5.0, 0.1, 3.0, 0.2]))
    given = [(0, Batch(inputs, torch.arange(4), 1.0))]
    ((_, kept),) = sample_batches(given, Sampling(information=0.5), 0, teacher)
    assert kept.targets.tolist() == [1, 3]
    assert torch.equal(kept.inputs, inputs[[1, 3]])
    assert teacher.training
    with pytest.raises(RequestError, match="needs a teacher"):
        sample_batches(given, Sampling(information=0.5), 0)


def test_gradient_study_by_hand_and_at_its_limits() -> None:
    model, data = network(), images()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    samplings = {"dense": Sampling(), "half": Sampling(rank=3), **sparsity_sweep("column", (0.2, 0.9))}
    rows = gradient_study(model, data.images, data.labels, Classify().loss, samplings, draws=3)
    assert [row["layer"] for row in rows[:4]] == ["0", "3", "6", "all"]
    figures = {(row["sampling"], row["layer"]): row for row in rows}
    assert figures["dense", "all"]["error"] == 0
    assert figures["dense", "all"]["similarity"] == pytest.approx(1, abs=1e-6)
    # part of the entries and nothing else: cos^2 = 1 - error, whichever part it is
    half = figures["half", "3"]
    assert math.cos(math.pi * (1 - half["similarity"])) ** 2 == pytest.approx(1 - half["error"])
    assert figures["column 0.2", "3"]["similarity"] > figures["column 0.9", "3"]["similarity"] > 0.5
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(layer.sampler is None for layer in optical_layers(model).values())
