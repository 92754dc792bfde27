"""A backbone that learns more slowly than what stands on it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lightloom.data import ImageSet
from lightloom.learn import Session, TrainConfig, TrainingData, fit
from lightloom.tasks.classification import Classify

CONFIG = TrainConfig(epochs=1, batch_size=8, optimizer="sgd", lr=0.1, weight_decay=0.0, schedule="constant", warmup=0)


class Net(nn.Module):
    """Two layers and a single number; a name that only begins like a backbone's belongs to none."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.backbone, self.head = nn.Linear(4, 5), nn.Linear(5, 3)
        self.backbone_scale, self.depth = nn.Parameter(torch.ones(5)), nn.Parameter(torch.tensor(0.5))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.tanh(self.backbone(images.flatten(1))) * self.backbone_scale * self.depth)
        return logits


class Wrapped(nn.Module):
    """The same within something else."""

    def __init__(self) -> None:
        super().__init__()
        self.student = Net()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.student(images)
        return logits


def images() -> ImageSet:
    draw = torch.Generator().manual_seed(0)
    return ImageSet(torch.randn(8, 1, 2, 2, generator=draw), torch.randint(3, (8,), generator=draw))


def trained(folder: Path, model: nn.Module, config: TrainConfig) -> nn.Module:
    folder.mkdir(exist_ok=True)
    fit(model, TrainingData(images(), images()), Classify(), config, Session(folder, "train", 0, "cpu"))
    return model


def moves(folder: Path, model: nn.Module, factor: float) -> dict[str, Tensor]:
    """How far each parameter goes in one step."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trained(folder, model, CONFIG.replace(backbone_factor=factor))
    return {name: parameter.detach() - before[name] for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("kind", [Net, Wrapped])
def test_a_step_of_the_backbone_is_a_share_of_what_it_was(kind: type[nn.Module], tmp_path: Path) -> None:
    whole, slow = moves(tmp_path / "whole", kind(), 1.0), moves(tmp_path / "slow", kind(), 0.1)
    assert all(step.any() for step in whole.values())
    for name, step in whole.items():
        share = 0.1 if "backbone" in name.split(".") else 1.0
        torch.testing.assert_close(slow[name], share * step, rtol=1e-3, atol=1e-7)
    assert any("backbone" in name.split(".") for name in whole)


def test_it_follows_the_schedule_and_a_resumed_training_keeps_it(tmp_path: Path) -> None:
    config = CONFIG.replace(epochs=4, schedule="cosine", backbone_factor=0.1, optimizer="adamw", weight_decay=0.1)
    whole = trained(tmp_path / "whole", Net(), config).state_dict()

    class Killed(BaseException):
        pass

    class Stopped(Classify):
        def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls > 3:  # in the second epoch or the third
                raise Killed
            return super().loss(outputs, targets)

    (tmp_path / "killed").mkdir()
    session = Session(tmp_path / "killed", "train", 0, "cpu")
    with pytest.raises(Killed):
        fit(Net(), TrainingData(images(), images()), Stopped(), config, session)
    assert (tmp_path / "killed" / "checkpoints" / "train-last.safetensors").exists()
    resumed = trained(tmp_path / "killed", Net(), config).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_frozen_backbone_has_no_group(tmp_path: Path) -> None:
    model = Net()
    model.backbone.requires_grad_(False)
    steps = moves(tmp_path, model, 0.1)
    assert {name for name, step in steps.items() if not step.any()} == {"backbone.weight", "backbone.bias"}
