"""A distiller beside student and teacher: called with targets alone, trained with the student, paid in its loss."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.errors import RequestError
from lightloom.data import ImageSet
from lightloom.learn import (
    DistillationConfig,
    DistillationModel,
    DistillationObjective,
    Session,
    TrainConfig,
    TrainingData,
    fit,
)

NONE = DistillationConfig(features=0.0)
SOME = DistillationConfig(features=0.5)
IMAGES = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(3))
LABELS = torch.tensor([0, 1, 2, 0])


class Answer(NamedTuple):
    features: tuple[Tensor, ...]
    scores: Tensor


class Small(nn.Module):
    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body, self.head = nn.Conv2d(1, width, 3, padding=1), nn.Linear(width, 3)

    def forward(self, images: Tensor) -> Answer:
        features = self.body(images).relu()
        return Answer((features,), self.head(features.mean((2, 3))))


class Scores:
    metric = "accuracy"
    higher_is_better = True

    def loss(self, outputs: Answer, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.scores, targets)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, images: ImageSet) -> dict[str, float]:
        scores = model.eval()(images.images).scores
        loss = F.cross_entropy(scores, images.labels)
        return {"loss": float(loss), "accuracy": float((scores.argmax(1) == images.labels).double().mean())}


class Distiller(nn.Module):
    """Asks the student's scores, through a matrix of its own, to be the teacher's."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.change = nn.Linear(3, 3)
        self.calls: list[tuple[Any, ...]] = []

    def forward(self, teacher: Answer, student: Answer, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        self.calls.append((teacher, student, inputs, targets))
        return {"scores": (self.change(student.scores) - teacher.scores).square().mean(), "two": student.scores.mean()}


def distillation_model(config: DistillationConfig = NONE, distiller: nn.Module | None = None) -> DistillationModel:
    return DistillationModel(Small(4, 0), Small(6, 1), IMAGES, config, distiller=distiller or Distiller())


def test_a_distiller_is_called_with_raw_outputs_and_only_with_targets() -> None:
    pair = distillation_model()
    assert pair.takes_targets
    assert not pair(IMAGES).distiller_terms and not pair.distiller.calls
    outputs = pair(IMAGES, LABELS)
    teacher, student, inputs, targets = pair.distiller.calls[0]
    assert student is outputs.student and inputs is IMAGES and targets is LABELS
    assert isinstance(teacher, Answer) and not teacher.scores.requires_grad and not teacher.features[0].requires_grad
    assert torch.equal(teacher.scores, pair.teacher(IMAGES).scores)
    assert set(outputs.distiller_terms) == {"scores", "two"}


def test_the_distiller_is_trained_and_no_part_of_the_student() -> None:
    pair = distillation_model(SOME)
    assert {name.split(".")[0] for name in pair.state_dict()} == {"student", "adapters", "distiller"}
    assert not any(isinstance(module, Distiller) for module in pair.student.modules())
    distil = DistillationObjective(Scores(), SOME)
    before = {name: tensor.clone() for name, tensor in pair.teacher.state_dict().items()}
    distil.prepare(pair, 0.0)
    optimizer = torch.optim.SGD(pair.parameters(), lr=0.1)
    distil.loss(pair(IMAGES, LABELS), LABELS).backward()
    optimizer.step()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in pair.distiller.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in pair.teacher.state_dict().items())


@pytest.mark.parametrize("config", [NONE, SOME], ids=["alone", "beside a term"])
@pytest.mark.parametrize("done", [0.0, 0.25])
def test_the_loss_adds_what_the_distiller_says_times_its_weight(config: DistillationConfig, done: float) -> None:
    config = config.replace(schedule="linear")
    pair, distil = distillation_model(config), DistillationObjective(Scores(), config)
    distil.prepare(pair, done)
    assert pair.distils
    outputs = pair(IMAGES, LABELS)
    pull = sum(outputs.distiller_terms.values())
    for name, term in distil.terms(outputs).items():
        pull = pull + getattr(config, name) * term
    expected = Scores().loss(outputs.student, LABELS) + (1 - done) * pull
    assert float(distil.loss(outputs, LABELS).detach()) == pytest.approx(float(expected.detach()))


def test_two_phases_have_the_distiller_in_the_first() -> None:
    config = SOME.replace(strategy="two")
    pair, distil = distillation_model(config), DistillationObjective(Scores(), config)
    distil.prepare(pair, 0.0)
    outputs = pair(IMAGES, LABELS)
    expected = 0.5 * distil.terms(outputs)["features"] + sum(outputs.distiller_terms.values())
    assert float(distil.loss(outputs, LABELS).detach()) == pytest.approx(float(expected.detach()))
    pair.distiller.calls.clear()
    distil.prepare(pair, 0.5)
    outputs = pair(IMAGES, LABELS)
    assert not outputs.distiller_terms and not pair.distiller.calls
    assert torch.equal(distil.loss(outputs, LABELS), Scores().loss(outputs.student, LABELS))


def test_a_training_calls_the_distiller_at_each_step_and_not_to_evaluate(tmp_path: Path) -> None:
    labels = torch.arange(12) % 3
    data = ImageSet(torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(5)), labels)
    pair, distil = distillation_model(), DistillationObjective(Scores(), NONE)
    start = pair.distiller.change.weight.detach().clone()
    config = TrainConfig(epochs=2, batch_size=4, lr=0.01, keep="last")
    fit(pair, TrainingData(data, data), distil, config, Session(tmp_path, "distil", 0, "cpu"), prepare=distil.prepare)
    assert len(pair.distiller.calls) == 6
    assert not torch.equal(start, pair.distiller.change.weight)


def test_a_distiller_may_not_hold_a_part_of_the_teacher() -> None:
    teacher, distiller = Small(6, 1), Distiller()
    distiller.change = teacher.head
    with pytest.raises(RequestError, match=r"distiller share a parameter, `head\.weight` and `change\.weight`"):
        DistillationModel(Small(4, 0), teacher, IMAGES, NONE, distiller=distiller)
