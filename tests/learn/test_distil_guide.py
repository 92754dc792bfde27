"""A guide beside student and teacher: called with targets alone, trained with the student, paid in its loss."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.errors import RequestError
from lightloom.data import ImageSet
from lightloom.learn import Distil, DistilConfig, Pupil, Session, TrainConfig, TrainingData, fit

NONE = DistilConfig(features=0.0)
SOME = DistilConfig(features=0.5)
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


class Guide(nn.Module):
    """Asks the student's scores, through a matrix of its own, to be the teacher's."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.change = nn.Linear(3, 3)
        self.calls: list[tuple[Any, ...]] = []

    def forward(self, known: Answer, learned: Answer, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        self.calls.append((known, learned, inputs, targets))
        return {"scores": (self.change(learned.scores) - known.scores).square().mean(), "two": learned.scores.mean()}


def pupil(config: DistilConfig = NONE, guide: nn.Module | None = None) -> Pupil:
    return Pupil(Small(4, 0), Small(6, 1), IMAGES, config, guide=guide or Guide())


def test_a_guide_is_called_with_raw_outputs_and_only_with_targets() -> None:
    pair = pupil()
    assert pair.takes_targets
    assert not pair(IMAGES).guided and not pair.guide.calls
    outputs = pair(IMAGES, LABELS)
    known, learned, inputs, targets = pair.guide.calls[0]
    assert learned is outputs.student and inputs is IMAGES and targets is LABELS
    assert isinstance(known, Answer) and not known.scores.requires_grad and not known.features[0].requires_grad
    assert torch.equal(known.scores, pair.teacher(IMAGES).scores)
    assert set(outputs.guided) == {"scores", "two"}


def test_the_guide_is_trained_and_no_part_of_the_student() -> None:
    pair = pupil(SOME)
    assert {name.split(".")[0] for name in pair.state_dict()} == {"student", "adapters", "guide"}
    assert not any(isinstance(module, Guide) for module in pair.student.modules())
    distil = Distil(Scores(), SOME)
    before = {name: tensor.clone() for name, tensor in pair.teacher.state_dict().items()}
    distil.prepare(pair, 0.0)
    optimizer = torch.optim.SGD(pair.parameters(), lr=0.1)
    distil.loss(pair(IMAGES, LABELS), LABELS).backward()
    optimizer.step()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in pair.guide.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in pair.teacher.state_dict().items())


@pytest.mark.parametrize("config", [NONE, SOME], ids=["alone", "beside a term"])
@pytest.mark.parametrize("done", [0.0, 0.25])
def test_the_loss_adds_what_the_guide_says_times_the_weight_of_the_course(config: DistilConfig, done: float) -> None:
    config = config.replace(schedule="linear")
    pair, distil = pupil(config), Distil(Scores(), config)
    distil.prepare(pair, done)
    assert pair.distils
    outputs = pair(IMAGES, LABELS)
    pull = outputs.guided["scores"] + outputs.guided["two"]
    for name, term in distil.terms(outputs).items():
        pull = pull + getattr(config, name) * term
    expected = Scores().loss(outputs.student, LABELS) + (1 - done) * pull
    assert float(distil.loss(outputs, LABELS).detach()) == pytest.approx(float(expected.detach()))


def test_two_phases_have_the_guide_in_the_first() -> None:
    config = SOME.replace(strategy="two")
    pair, distil = pupil(config), Distil(Scores(), config)
    distil.prepare(pair, 0.0)
    outputs = pair(IMAGES, LABELS)
    expected = 0.5 * distil.terms(outputs)["features"] + outputs.guided["scores"] + outputs.guided["two"]
    assert float(distil.loss(outputs, LABELS).detach()) == pytest.approx(float(expected.detach()))
    pair.guide.calls.clear()
    distil.prepare(pair, 0.5)
    outputs = pair(IMAGES, LABELS)
    assert not outputs.guided and not pair.guide.calls
    assert torch.equal(distil.loss(outputs, LABELS), Scores().loss(outputs.student, LABELS))


def test_a_training_calls_the_guide_at_each_step_and_not_to_evaluate(tmp_path: Path) -> None:
    labels = torch.arange(12) % 3
    data = ImageSet(torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(5)), labels)
    pair, distil = pupil(), Distil(Scores(), NONE)
    start = pair.guide.change.weight.detach().clone()
    config = TrainConfig(epochs=2, batch_size=4, lr=0.01, keep="last")
    fit(pair, TrainingData(data, data), distil, config, Session(tmp_path, "guided", 0, "cpu"), prepare=distil.prepare)
    assert len(pair.guide.calls) == 6
    assert not torch.equal(start, pair.guide.change.weight)


def test_a_guide_may_not_hold_a_part_of_the_teacher() -> None:
    teacher, guide = Small(6, 1), Guide()
    guide.change = teacher.head
    with pytest.raises(RequestError, match=r"Teacher and guide share a parameter, `head\.weight` and `change\.weight`"):
        Pupil(Small(4, 0), teacher, IMAGES, NONE, guide=guide)
