"""A student and its teacher in training: who learns, when, and that a resumed training ends in the same bits."""

import copy
import inspect
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.errors import RequestError
from lightloom.data import ImageSet, load
from lightloom.learn import (
    DistillationConfig,
    DistillationModel,
    DistillationObjective,
    Session,
    TrainConfig,
    TrainingData,
    fit,
)
from lightloom.learn.distil import StageLayers
from lightloom.tasks.classification import Classify

ALL = DistillationConfig(features=1.0, attention=1.0, channels=1.0, logits=1.0, boxes=1.0)
IMAGES = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(3))
LABELS = torch.tensor([0, 1, 2, 0])


class Answer(NamedTuple):
    features: tuple[Tensor, ...]
    logits: tuple[Tensor, ...]
    boxes: tuple[Tensor, ...]
    centerness: tuple[Tensor, ...]


class Dense(nn.Module):
    """Two stages and a head on both, in the form of a dense detector."""

    def __init__(self, width: int, seed: int = 0, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Conv2d(width, classes + 5, 1)
        self.classes = classes

    def forward(self, images: Tensor) -> Answer:
        one = self.first(images)
        features = (one, self.second(one))
        made = [self.head(self.norm(x)).split((self.classes, 4, 1), dim=1) for x in features]
        logits, sides, centres = zip(*made, strict=True)
        return Answer(features, logits, tuple(side.exp() for side in sides), centres)


class Anywhere:
    """The best score of each class over the map, as an objective for `Dense`."""

    metric = "accuracy"
    higher_is_better = True

    def loss(self, outputs: Answer, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.logits[0].amax((2, 3)), targets)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, images: ImageSet) -> dict[str, float]:
        was_training = model.training
        outputs = model.eval()(images.images)
        model.train(was_training)
        right = outputs.logits[0].amax((2, 3)).argmax(1) == images.labels
        return {"loss": float(self.loss(outputs, images.labels)), "accuracy": float(right.double().mean())}


def distillation_model(config: DistillationConfig = ALL, **more: Any) -> DistillationModel:
    return DistillationModel(Dense(4), Dense(6, seed=1), IMAGES, config, **more)


def bits(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def identity(pair: DistillationModel) -> DistillationModel:
    for convolution in pair.adapters.convolutions:
        width = convolution.weight.shape[0]
        with torch.no_grad():
            convolution.weight.copy_(torch.eye(width)[:, :, None, None])
            convolution.bias.zero_()
    return pair


def test_a_student_that_is_its_teacher_pays_nothing() -> None:
    teacher = Dense(4)
    pair = identity(DistillationModel(copy.deepcopy(teacher), teacher, IMAGES, ALL)).eval()
    made = DistillationObjective(Anywhere(), ALL).terms(pair(IMAGES))
    assert {name: float(term.detach()) for name, term in made.items()} == dict.fromkeys(ALL.terms, 0.0)
    assert len(made) == 5


def test_gradients_reach_student_and_adapters_alone() -> None:
    pair = distillation_model()
    distil = DistillationObjective(Anywhere(), ALL)
    before = bits(pair.teacher)
    pair.train()
    pair.teacher.train()  # what a careless caller may do
    optimizer = torch.optim.AdamW(pair.parameters(), lr=0.1)
    outputs = pair(IMAGES)
    distil.loss(outputs, LABELS).backward()
    optimizer.step()
    assert all(parameter.grad is not None for parameter in pair.parameters())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in pair.teacher.parameters())
    assert not any(feature.requires_grad for feature in outputs.teacher.features)
    assert same(before, bits(pair.teacher)), "running statistics count too"
    assert not pair.teacher.training


def test_the_teacher_is_at_the_side_not_inside() -> None:
    pair = distillation_model()
    assert {name.split(".")[0] for name in pair.state_dict()} == {"student", "adapters"}
    assert not any(module is pair.teacher for module in pair.modules())
    pair.double()
    assert {parameter.dtype for parameter in pair.teacher.parameters()} == {torch.float64}
    assert pair(IMAGES.double()).teacher.features[0].dtype == torch.float64


def test_making_a_pupil_leaves_the_student_as_it_was() -> None:
    student = Dense(4).train()
    student.norm.eval()
    before = bits(student)
    DistillationModel(student, Dense(6, seed=1), IMAGES, ALL)
    assert same(before, bits(student))
    assert student.first.training and not student.norm.training


def test_the_loss_is_the_sum_it_says() -> None:
    config = ALL.replace(features=0.3, logits=2.0, boxes=0.0, schedule="linear")
    pair = distillation_model(config)
    distil = DistillationObjective(Anywhere(), config)
    outputs = pair(IMAGES)
    made = distil.terms(outputs)
    own = Anywhere().loss(outputs.student, LABELS)
    distil.prepare(pair, 0.25)
    expected = own + 0.75 * (0.3 * made["features"] + made["attention"] + made["channels"] + 2 * made["logits"])
    assert float(distil.loss(outputs, LABELS).detach()) == pytest.approx(float(expected.detach()))
    assert "boxes" not in made


def test_only_the_stages_that_are_asked_for_count() -> None:
    parts = []
    for stages in ((0,), (1,), None):
        config = DistillationConfig(features=0.0, attention=1.0, stages=stages)
        outputs = distillation_model(config).eval()(IMAGES)
        parts.append(float(DistillationObjective(Anywhere(), config).terms(outputs)["attention"].detach()))
    assert parts[2] == pytest.approx(parts[0] + parts[1])
    assert min(parts[:2]) > 0


def test_where_the_teacher_sees_nothing_the_heads_learn_nothing() -> None:
    config = DistillationConfig(features=0.0, logits=1.0, boxes=1.0, threshold=0.5)
    pair = distillation_model(config)
    with torch.no_grad():
        pair.teacher.head.bias[:3] -= 50
    DistillationObjective(Anywhere(), config).loss(pair(IMAGES), LABELS)
    made = DistillationObjective(Anywhere(), config).terms(pair(IMAGES))
    sum(made.values()).backward()
    assert all(float(term.detach()) == 0 for term in made.values())
    assert all(not parameter.grad.any() for parameter in pair.student.parameters())


@pytest.mark.parametrize(
    ("schedule", "strategy", "expected"),
    [
        ("constant", "single", [1.0, 1.0, 1.0, 1.0]),
        ("linear", "single", [1.0, 0.75, 0.5, 0.25]),
        ("cosine", "single", [1.0, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5]),
        ("constant", "two", [1.0, 1.0, 0.0, 0.0]),
        ("linear", "two", [1.0, 0.5, 0.0, 0.0]),
        ("cosine", "two", [1.0, 0.5, 0.0, 0.0]),
    ],
)
def test_the_weight_follows_the_schedule(schedule: str, strategy: str, expected: list[float]) -> None:
    config = DistillationConfig(schedule=schedule, strategy=strategy)
    assert [config.weight(done) for done in (0.0, 0.25, 0.5, 0.75)] == pytest.approx(expected)


def test_a_third_of_the_epochs_is_a_third_in_floating_point() -> None:
    for epochs in range(1, 40):
        for first in range(1, epochs):
            config = DistillationConfig(strategy="two", alone=first * (1 / epochs))
            assert sum(config.is_alone(epoch / epochs) for epoch in range(epochs)) == first


TWO = DistillationConfig(features=1.0, logits=0.5, strategy="two")
STEADY = TrainConfig(epochs=4, batch_size=8, lr=0.01, schedule="constant", warmup=0.0, keep="last", weight_decay=0.1)


def dense_set(count: int = 24) -> ImageSet:
    draw = torch.Generator().manual_seed(5)
    labels = torch.arange(count) % 3
    return ImageSet(torch.randn(count, 1, 8, 8, generator=draw) + labels.view(-1, 1, 1, 1), labels)


def learn(
    pair: DistillationModel, folder: Path, config: TrainConfig = STEADY, distil: DistillationObjective | None = None
) -> DistillationObjective:
    distil = distil or DistillationObjective(Anywhere(), TWO, frozen=("norm", "head"))
    data = TrainingData(dense_set(), dense_set(9))
    fit(pair, data, distil, config, Session(folder, "distil", 0, "cpu"), prepare=distil.prepare)
    return distil


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_first_phase_moves_the_body_and_the_second_the_head(optimizer: str, tmp_path: Path) -> None:
    config = STEADY.replace(optimizer=optimizer)
    half = DistillationObjective(Anywhere(), TWO.replace(alone=0.99), frozen=("norm", "head"))
    pair = distillation_model(half.config)
    start = bits(pair)
    learn(pair, tmp_path / "first", config.replace(epochs=1), half)
    first = bits(pair)
    held = {name for name in start if torch.equal(start[name], first[name])}
    # weight decay and running statistics would have moved them too
    assert held == {name for name in start if name.startswith(("student.norm.", "student.head."))}

    pair = distillation_model(TWO)
    learn(pair, tmp_path / "both", config)
    assert all(not torch.equal(start[name], tensor) for name, tensor in bits(pair).items())
    assert all(parameter.requires_grad for parameter in pair.parameters())
    assert not pair.distils and not pair.frozen


def test_the_first_phase_knows_nothing_of_the_task() -> None:
    pair = distillation_model(TWO)
    distil = DistillationObjective(Anywhere(), TWO, frozen=("head",))
    distil.prepare(pair, 0.0)
    pair.train()
    outputs = pair(IMAGES)
    losses = {float(distil.loss(outputs, targets).detach()) for targets in (LABELS, LABELS.flip(0), 2 - LABELS)}
    assert len(losses) == 1
    distil.loss(outputs, LABELS).backward()
    # what the head says of the teacher's objects still reaches the body through it
    assert pair.student.head.weight.grad is None and pair.student.first[0].weight.grad.any()

    distil.prepare(pair, 0.5)
    calls: list[int] = []
    pair.teacher.register_forward_hook(lambda *given: calls.append(1))
    outputs = pair(IMAGES)
    assert outputs.teacher is None and not calls
    assert float(distil.loss(outputs, LABELS).detach()) == float(Anywhere().loss(outputs.student, LABELS).detach())


@pytest.mark.parametrize("stopped", [1, 2, 3])
def test_a_stopped_training_resumes_to_the_same_bits(stopped: int, tmp_path: Path) -> None:
    """In the first phase, between the two, in the second; the parts come from a process that knows nothing of it."""
    config = STEADY.replace(schedule="steps")
    learn(distillation_model(TWO), tmp_path / "whole", config)
    distil = DistillationObjective(Anywhere(), TWO, frozen=("norm", "head"))
    prepare, calls = distil.prepare, iter(range(9))

    def until(model: nn.Module, done: float = 0.0) -> None:
        if next(calls) == stopped:
            raise KeyboardInterrupt
        prepare(model, done)

    distil.prepare = until  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        learn(distillation_model(TWO), tmp_path / "parts", config, distil)
    learn(DistillationModel(Dense(4, seed=7), Dense(6, seed=1), IMAGES, TWO), tmp_path / "parts", config)
    whole, parts = (load_file(tmp_path / name / "checkpoints/distil-last.safetensors") for name in ("whole", "parts"))
    assert same(whole, parts)


def test_the_same_pupil_can_be_trained_on() -> None:
    """Freezing leaves nothing behind that a later optimiser would trip over."""
    pair = distillation_model(TWO)
    distil = DistillationObjective(Anywhere(), TWO, frozen=("head",))
    distil.prepare(pair, 0.0)
    pair.train()
    assert not pair.student.head.training and pair.student.first.training
    pair.freeze(())
    assert pair.student.head.training
    assert all(parameter.requires_grad for parameter in pair.parameters())
    pair(IMAGES).student.logits[0].sum().backward()
    assert pair.student.head.weight.grad is not None


class Digits(nn.Module):
    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32 * width, 10))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images))


def test_a_small_student_learns_from_a_trained_teacher(tmp_path: Path) -> None:
    """Without a label: from what the teacher says of the images, and where in them it looks."""
    data = load("digits", seed=0, limit=400)
    config = TrainConfig(epochs=20, batch_size=25, lr=5e-3, keep="last")
    pictures = TrainingData(data.train, data.validation)
    teacher = Digits(16, seed=1)
    fit(teacher, pictures, Classify(), config.replace(epochs=4), Session(tmp_path, "teacher", 0, "cpu"))

    distillation = DistillationConfig(
        features=1.0, attention=1.0, logits=1.0, logits_temperature=2.0, strategy="two", alone=0.99
    )
    layers = ("body.1", "body.3")
    pair = DistillationModel(
        Digits(3, seed=2), teacher, data.train.images[:2], distillation, layers=StageLayers(layers, layers)
    )
    distil = DistillationObjective(Classify(), distillation)
    distil.prepare(pair, 0.0)

    def terms() -> dict[str, float]:
        with torch.no_grad():
            return {name: float(term) for name, term in distil.terms(pair(data.validation.images)).items()}

    before, ignorant = terms(), distil.evaluate(pair, data.validation)["accuracy"]
    fit(pair, pictures, distil, config, Session(tmp_path, "distil", 0, "cpu"), prepare=distil.prepare)
    after = terms()
    assert all(after[name] < 0.7 * before[name] for name in before)
    assert distil.evaluate(pair, data.validation)["accuracy"] > max(0.75, ignorant + 0.3)
    assert distil.evaluate(pair, data.validation) == Classify().evaluate(pair.student, data.validation)


def test_bfloat16_trains(tmp_path: Path) -> None:
    pair = distillation_model(ALL)
    learn(pair, tmp_path, STEADY.replace(epochs=1, precision="bfloat16"), DistillationObjective(Anywhere(), ALL))
    assert all(torch.isfinite(tensor).all() for tensor in pair.state_dict().values())


class Guided(Dense):
    takes_targets = True

    def forward(self, images: Tensor, targets: Tensor | None = None) -> Any:
        self.given = targets
        return super().forward(images)


def test_targets_are_handed_to_a_student_that_takes_them() -> None:
    student, teacher = Guided(4), Guided(6)
    pair = DistillationModel(student, teacher, IMAGES, ALL)
    assert pair.takes_targets and not distillation_model().takes_targets
    pair(IMAGES, LABELS)
    assert student.given is LABELS and teacher.given is None
    assert list(inspect.signature(pair.forward).parameters) == ["inputs", "targets"]


def test_the_teacher_may_see_another_image() -> None:
    def larger(images: Tensor) -> Tensor:
        return F.interpolate(images, scale_factor=2.0)

    pair = distillation_model(DistillationConfig(attention=1.0), for_teacher=larger)
    outputs = pair(IMAGES)
    assert [tuple(stage.student.shape[2:]) for stage in outputs.stages] == [(16, 16), (8, 8)]
    assert torch.equal(outputs.teacher.features[0], pair.teacher(larger(IMAGES)).features[0])
    with pytest.raises(RequestError, match=r"Level 0 has logits \(4, 3, 16, 16\) in the teacher and \(4, 3, 8, 8\)"):
        distillation_model(for_teacher=larger)


def test_what_does_not_fit_is_refused_when_the_pupil_is_made() -> None:
    student = Dense(4)
    with pytest.raises(RequestError, match=r"share a parameter, `first\.0\.weight`.*copy\.deepcopy"):
        DistillationModel(student, student, IMAGES, ALL)
    with pytest.raises(RequestError, match=r"Level 0 has logits \(4, 5, 8, 8\) in the teacher and \(4, 3, 8, 8\)"):
        DistillationModel(student, Dense(6, classes=5), IMAGES, ALL)
    with pytest.raises(RequestError, match="The teacher gives no features to compare; name the layers"):
        DistillationModel(Digits(2, 0), Digits(3, 0), IMAGES, DistillationConfig())
    with pytest.raises(RequestError, match="The student gives no features to compare"):
        DistillationModel(
            Digits(2, 0), Digits(3, 0), IMAGES, DistillationConfig(), layers=StageLayers(teacher=("body.1",))
        )
    with pytest.raises(RequestError, match="The teacher gives no boxes to compare"):
        DistillationModel(Digits(2, 0), Digits(3, 0), IMAGES, DistillationConfig(features=0.0, boxes=1.0))
    with pytest.raises(RequestError, match=r"no layer `body\.9`. Did you mean `body\.\d`"):
        DistillationModel(Digits(2, 0), Digits(3, 0), IMAGES, DistillationConfig(), layers=StageLayers(("body.9",)))
    with pytest.raises(RequestError, match="Layer `norm` did not run"):
        idle = nn.Sequential(nn.Conv2d(1, 1, 1))
        idle[0].add_module("norm", nn.ReLU())
        idle.add_module("norm", nn.ReLU())
        idle.forward = idle[0].forward
        DistillationModel(idle, Dense(6), IMAGES, DistillationConfig(), layers=StageLayers(("norm",)))


def test_what_does_not_fit_is_refused_when_training_begins() -> None:
    with pytest.raises(RequestError, match="`frozen` names `head`, which only strategy `two` freezes"):
        DistillationObjective(Anywhere(), ALL, frozen=("head",))
    with pytest.raises(RequestError, match="trains a `DistillationModel`, not a Dense"):
        DistillationObjective(Anywhere(), ALL).prepare(Dense(2), 0.0)
    with pytest.raises(RequestError, match="another config"):
        DistillationObjective(Anywhere(), ALL).prepare(distillation_model(TWO), 0.0)
    with pytest.raises(RequestError, match=r"no part `hea` to freeze\. Did you mean `head`"):
        DistillationObjective(Anywhere(), TWO, frozen=("hea",)).prepare(distillation_model(TWO), 0.0)
    with pytest.raises(ValueError, match=r"hand `prepare=objective\.prepare` to `fit`"):
        DistillationObjective(Anywhere(), TWO).loss(distillation_model(TWO)(IMAGES), LABELS)
    pair = distillation_model(ALL)
    pair.distils = False
    with pytest.raises(ValueError, match="no response of the teacher"):
        DistillationObjective(Anywhere(), ALL).terms(pair(IMAGES))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"features": 0, "strategy": "two"}, "nothing to train on first"),
        ({"stages": (1, 1)}, "different numbers counted from 0"),
        ({"stages": ()}, "at least one"),
        ({"stages": (-1,)}, "counted from 0"),
        ({"temperature": 0}, "greater than 0"),
        ({"feature": 1}, "Did you mean `features`"),
        ({"alone": 1}, "less than 1"),
    ],
)
def test_a_config_that_cannot_be_is_refused(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(RequestError, match=expected):
        DistillationConfig.parse(given)
