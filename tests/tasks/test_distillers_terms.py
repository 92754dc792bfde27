"""Guides of 3-D detectors: 0 at a match, their formulas another way, and gradients that reach whom they should."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.errors import RequestError
from lightloom.data.multicamera import Views
from lightloom.learn import DistillationConfig, DistillationModel, DistillationObjective
from lightloom.learn.distil import gaussian_heatmap
from lightloom.tasks.detection3d.detector import Detector3D, Detector3DOutput
from lightloom.tasks.detection3d.distillers import DistillerConfig, FocalConfig, HeatmapConfig, build_distiller
from lightloom.tasks.detection3d.distillers.bev_adapters import MaskedGenerator, UpsamplingAdapter, standard
from lightloom.tasks.detection3d.distillers.masks import Objects, bev_mask
from lightloom.tasks.detection3d.distillers.recording import SamplingRecorder, sampled_values
from lightloom.tasks.detection3d.losses import detection_loss
from lightloom.tasks.detection3d.sizes import Detector3DConfig

AREA = (-8.0, -8.0, -2.0, 8.0, 8.0, 2.0)
EXPERT = Detector3DConfig(
    channels=16, heads=2, queries=7, decoder_layers=2, feedforward=16, dropout=0.0, first=0, levels=2, cameras=2,
    rows=8, columns=8, encoder_layers=1, pillars=2, points=2, temporal=False, history=1, area=AREA,
)  # fmt: skip
STUDENT = EXPERT.replace(channels=8, rows=4, columns=4, shrink=2)
PLAIN = DistillationConfig(features=0.0)
FRAME = (32, 48)


class Body(nn.Module):
    channels, strides = (6, 9), (4, 8)

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 6, 4, 4), nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 9, 2, 2)

    def forward(self, images: Tensor) -> list[Tensor]:
        one = self.norm(self.first(images)).relu()
        return [one, self.second(one).relu()]


def detector(config: Detector3DConfig, seed: int, classes: int = 3) -> Detector3D:
    torch.manual_seed(seed)
    return Detector3D(Body(), classes, config)


def views(samples: int = 2) -> Views:
    """One camera ahead and one behind, 90 degrees wide."""
    matrices = []
    for sign in (1.0, -1.0):
        turned = torch.tensor([[0, -sign, 0], [0, 0, -1.0], [sign, 0, 0]])
        intrinsic = torch.tensor([[24.0, 0, 24], [0, 24, 16], [0, 0, 1]])
        matrix = torch.eye(4)
        matrix[:3, :3] = intrinsic @ turned
        matrices.append(matrix)
    images = torch.rand(samples, 1, 2, 3, *FRAME, generator=torch.Generator().manual_seed(4))
    project = torch.stack(matrices).expand(samples, 1, 2, 4, 4)
    extent = torch.tensor([48.0, 32.0]).expand(samples, 1, 2, 2)
    return Views(images, project, extent, torch.eye(4).expand(samples, 1, 4, 4), torch.zeros(samples, 1).bool())


def targets(none: bool = False) -> Tensor:
    padding = [0.0] * 9 + [-1.0]
    boxes = [[4.0, 1.0, 0.2, 2.0, 4.0, 1.5, 0.3, 1.0, math.nan, 0], [-5.0, -2.0, 0, 1.0, 1.0, 1.8, 0, 0, 0, 2]]
    return torch.tensor([[padding] * 2] * 2 if none else [[*boxes], [boxes[1], padding]])


VIEWS, TARGETS, NONE = views(), targets(), targets(none=True)


def both(
    config: DistillerConfig, student: Detector3DConfig = STUDENT, expert: Detector3DConfig = EXPERT
) -> tuple[Any, Detector3D, Detector3D]:
    one, other = detector(student, 0), detector(expert, 1)
    return build_distiller(config, one, other, VIEWS), one, other.eval().requires_grad_(False)


def focal(**given: Any) -> DistillerConfig:
    return DistillerConfig(kind="fd3d", fd3d=FocalConfig(**given))


def alone(name: str, **more: Any) -> DistillerConfig:
    return focal(**{part: float(part == name) for part in ("head", "pv", "bev", "focal")}, **more)


def known_of(expert: Detector3D) -> Detector3DOutput:
    with torch.no_grad():
        return expert(VIEWS)


def mirror_of(distiller: nn.Module) -> None:
    """Make the adapters and the restoring network of a distiller do nothing."""
    for name, module in distiller.named_modules():
        if name.startswith("adapters.convolutions.") or name == "restore.last":
            nn.init.dirac_(module.weight)
            nn.init.zeros_(module.bias)


def numbers(made: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(term.detach()) for name, term in made.items()}


# ---- heatmap


def test_the_heatmap_term_is_the_published_sum() -> None:
    """0.1 x sum over samples, channels and cells of (m S - m T)^2 / sum of m, with the mask drawn on cells of 0.8 m."""
    distiller, student, expert = both(DistillerConfig(kind="heatmap"))
    known, learned = known_of(expert), student(VIEWS)
    restored = distiller.restore(learned.bev).detach()
    heat = gaussian_heatmap(TARGETS, AREA, (20, 20))
    total = weight = 0.0
    for b in range(2):
        for i in range(8):
            for j in range(8):
                m = float(heat[b, 0, 20 * i // 8, 20 * j // 8])  # nearest: the cell at the same share of the side
                weight += m
                total += sum((m * float(restored[b, c, i, j] - known.bev[b, c, i, j])) ** 2 for c in range(16))
    assert weight > 1
    assert numbers(distiller(known, learned, VIEWS, TARGETS))["heatmap"] == pytest.approx(
        0.1 * total / weight, rel=1e-4
    )


@pytest.mark.parametrize("form", ["l2", "kl"])
def test_the_heatmap_term_is_zero_at_a_match_and_without_boxes(form: str) -> None:
    distiller, student, expert = both(DistillerConfig(kind="heatmap", heatmap=HeatmapConfig(form=form)), EXPERT)
    mirror_of(distiller)
    known = known_of(expert)
    assert numbers(distiller(known, known, VIEWS, TARGETS))["heatmap"] == pytest.approx(0, abs=1e-9)
    learned = student(VIEWS)
    assert numbers(distiller(known, learned, VIEWS, TARGETS))["heatmap"] > 0.001
    nothing = distiller(known, learned, VIEWS, NONE)["heatmap"]
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert not any(parameter.grad.any() for parameter in distiller.parameters())


def test_a_normalised_teacher_may_have_any_scale() -> None:
    distiller, student, expert = both(DistillerConfig(kind="heatmap", heatmap=HeatmapConfig(normalise=True)))
    known, learned = known_of(expert), student(VIEWS)
    other = known._replace(bev=known.bev * torch.linspace(5, 90, 16)[:, None, None] + 7)
    one, same = (numbers(distiller(teacher, learned, VIEWS, TARGETS))["heatmap"] for teacher in (known, other))
    assert one == pytest.approx(same, rel=1e-2)


def test_the_restoring_network_doubles_as_often_as_it_takes() -> None:
    teacher = torch.randn(2, 6, 12, 20)
    for shape, kinds in (
        ((6, 10), ["ConvTranspose2d", "BatchNorm2d", "ReLU"]),
        ((3, 5), ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 2),
        ((12, 20), []),
        ((8, 14), []),
        ((24, 40), []),
    ):
        student = torch.randn(2, 4, *shape)
        restore = UpsamplingAdapter(student, teacher)
        assert [type(step).__name__ for step in restore.doublings] == kinds
        assert restore(student).shape == teacher.shape
    one = UpsamplingAdapter(torch.randn(1, 4, 6, 10), teacher).doublings[0]
    assert (one.kernel_size, one.stride, one.padding, one.bias) == ((4, 4), (2, 2), (1, 1), None)


# ---- focal distillation


def test_the_head_begins_as_the_teachers_decoder() -> None:
    distiller, student, expert = both(focal())
    made = distiller(known_of(expert), student(VIEWS), VIEWS, TARGETS)
    assert set(made) == {"head", "pv", "bev", "focal"}
    assert float(made["head"].detach()) == pytest.approx(float(expert.loss(known_of(expert), TARGETS)))


@pytest.mark.parametrize("kind", ["bevformer", "detr3d"])
def test_focal_distillation_is_zero_at_a_match_alone(kind: str) -> None:
    config = EXPERT.replace(kind=kind)
    distiller, student, expert = both(alone("focal"), config, config)
    mirror_of(distiller)
    known = known_of(expert)
    made = distiller(known, known, VIEWS, TARGETS)
    assert set(made) == {"focal"}
    assert numbers(made)["focal"] == pytest.approx(0, abs=1e-9)
    assert numbers(distiller(known, student(VIEWS), VIEWS, TARGETS))["focal"] > 0.01


class Exact(nn.Module):
    """A generator that knows what its teacher's map looks like in the units of the term."""

    def forward(self, maps: Tensor) -> Tensor:
        return standard(maps)


@pytest.mark.parametrize("name", ["pv", "bev"])
def test_generative_distillation_is_zero_where_all_is_restored(name: str) -> None:
    distiller, _, expert = both(alone(name), EXPERT)
    mirror_of(distiller)
    known = known_of(expert)
    for part in (*distiller.in_views, *([distiller.on_ground] if distiller.on_ground is not None else [])):
        part.generator = Exact()
    assert numbers(distiller(known, known, VIEWS, TARGETS))[name] > 1e-3, "what was dropped is missing"
    distiller.eval()
    assert numbers(distiller(known, known, VIEWS, TARGETS)) == {name: pytest.approx(0, abs=1e-9)}


def test_only_cells_on_objects_are_dropped_and_about_as_many_as_asked_for() -> None:
    mask = bev_mask(Objects(TARGETS[..., :9], TARGETS[..., 9] >= 0), AREA, (64, 64))
    part = MaskedGenerator(3, 2, drop=0.65, background=0.1)
    given: list[Tensor] = []
    part.generator.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    torch.manual_seed(0)
    maps = torch.rand(2, 3, 64, 64) + 1
    part(maps, maps, mask)
    whole, on = given[0] == maps, mask.bool().expand_as(maps)
    assert whole[~on].all() and bool((given[0][~whole] == 0).all())
    assert torch.equal(whole.all(1), whole.any(1)), "all channels of a cell or none"
    assert 0.5 < float((~whole[on]).float().mean()) < 0.8
    part.eval()(maps, maps, mask)
    assert torch.equal(given[1], maps)


def test_cells_beside_objects_count_as_much_as_they_should() -> None:
    mask, there = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    mask[..., 1, 1] = 1
    there[..., 3] = 0
    part = MaskedGenerator(2, 0, drop=0.0, background=0.25).eval()
    teacher, student = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4)
    part.generator = nn.Identity()
    apart = (student - standard(teacher)).square().mean(1)[0]
    rest = apart[:, :3].sum() - apart[1, 1]
    expected = float((apart[1, 1] + 0.25 * rest) / (1 + 0.25 * 11))
    assert float(part(teacher, student, mask, there)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["pv", "bev", "focal"])
def test_terms_do_not_depend_on_the_scale_of_the_teacher(name: str) -> None:
    distiller, student, expert = both(alone(name, queries=False))
    known, learned = known_of(expert), student(VIEWS)
    distiller.eval()
    louder = known._replace(bev=known.bev * 50, features=tuple(level * 50 for level in known.features))
    one = numbers(distiller(known, learned, VIEWS, TARGETS))[name]
    other = numbers(distiller(louder, learned, VIEWS, TARGETS))[name]
    assert 0.1 < one < 4 and 0.1 < other < 4
    if name != "focal":  # queries aim elsewhere on another map
        assert other == pytest.approx(one, rel=1e-3)


def test_pairs_are_what_the_layers_see_by_the_same_aim() -> None:
    expert = detector(EXPERT, 1)
    for layer in expert.decoder.layers:
        nn.init.normal_(layer.cross.attention.values.bias)
    bev, seen, recorded = torch.randn(2, 16, 8, 8), [], SamplingRecorder()

    def look(number: int, attention: Any, sampling: Any) -> None:
        seen.append(attention.attend(bev, sampling))
        recorded(number, attention, sampling)

    expert.decoder(bev, look)
    assert len(recorded) == 2
    torch.testing.assert_close(sampled_values(recorded, bev), torch.stack(seen))


def test_gradients_reach_student_and_guide_alone_and_the_teacher_stays() -> None:
    distiller, student, expert = both(focal())
    before = {name: tensor.clone() for name, tensor in expert.state_dict().items()}
    model = DistillationModel(student, expert, VIEWS, PLAIN, distiller=distiller)

    class Detect:
        metric = "loss"
        higher_is_better = False

        def loss(self, outputs: Any, wanted: Tensor) -> Tensor:
            return student.loss(outputs, wanted)

        def evaluate(self, model: nn.Module, images: Any) -> dict[str, float]:
            return {"loss": float(student.loss(model(images), TARGETS))}

    distil = DistillationObjective(Detect(), PLAIN)
    distil.prepare(model, 0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    distil.loss(model.train()(VIEWS, TARGETS), TARGETS).backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    # a camera's own weights learn nothing in a detector that has no use for them
    assert not [name for name in silent if name.startswith("distiller.")]
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)
    optimizer.step()
    assert all(parameter.grad is None for parameter in expert.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in expert.state_dict().items())


@pytest.mark.parametrize("name", ["pv", "bev", "focal"])
def test_what_the_student_learns_leaves_the_head_alone(name: str) -> None:
    """The head learns from boxes; a term that could move it would have it look where both maps are alike."""
    distiller, student, expert = both(focal())
    distiller(known_of(expert), student(VIEWS), VIEWS, TARGETS)[name].backward()
    assert all(parameter.grad is None for parameter in distiller.head.parameters())
    assert student.backbone.first.weight.grad.any()


def test_a_head_without_a_loss_stays_the_teachers() -> None:
    distiller, student, expert = both(focal(head=0.0), expert=EXPERT.replace(dropout=0.5))
    distiller.train()
    assert not distiller.head.training and distiller.on_ground.training
    assert not any(parameter.requires_grad for parameter in distiller.head.parameters())
    made = distiller(known_of(expert), student(VIEWS), VIEWS, TARGETS)
    assert set(made) == {"pv", "bev", "focal"}
    torch.testing.assert_close(distiller.head(known_of(expert).bev).codes, known_of(expert).codes)


@pytest.mark.parametrize("background", [0.0, 0.1])
def test_frames_without_boxes_are_no_trouble(background: float) -> None:
    distiller, student, expert = both(focal(background=background, score=0.9))
    made = distiller(known_of(expert), student(VIEWS), VIEWS, NONE)
    torch.stack(list(made.values())).sum().backward()
    assert all(math.isfinite(value) for value in numbers(made).values())
    assert (numbers(made)["bev"] == 0) == (numbers(made)["pv"] == 0) == (background == 0)
    assert all(
        torch.isfinite(parameter.grad).all() for parameter in distiller.parameters() if parameter.grad is not None
    )


def test_each_part_can_be_left_out() -> None:
    every = ("head", "pv", "bev", "focal")
    for name in every:
        distiller, student, expert = both(focal(**{name: 0.0}))
        made = distiller(known_of(expert), student(VIEWS), VIEWS, TARGETS)
        assert list(made) == [part for part in every if part != name]
    distiller = both(alone("bev", queries=False))[0]
    assert distiller.head is None and distiller.adapters is None and not distiller.in_views
    distiller = both(alone("pv"))[0]
    assert distiller.head is not None and distiller.restore is None and distiller.on_ground is None
    assert both(DistillerConfig())[0] is None


def test_masks_are_of_queries_truth_or_both() -> None:
    distiller, _, expert = both(focal(score=0.0))
    decoded = known_of(expert)
    assert distiller.objects(decoded, TARGETS).valid.sum(1).tolist() == [7 + 2, 7 + 1]
    assert distiller.objects(None, TARGETS).valid.sum(1).tolist() == [2, 1]
    assert both(focal(score=0.0, truth=False, top=3))[0].objects(decoded, TARGETS).boxes.shape == (2, 3, 9)
    with pytest.raises(RequestError, match="masks of `pv` and `bev` are of `queries`, `truth` or both"):
        DistillerConfig.parse({"fd3d": {"queries": False, "truth": False}})


def test_detr3d_learns_from_camera_maps() -> None:
    student, expert = (config.replace(kind="detr3d") for config in (STUDENT, EXPERT))
    distiller, one, other = both(focal(), student, expert)
    made = distiller(known_of(other), one(VIEWS), VIEWS, TARGETS)
    assert set(made) == {"head", "pv", "focal"} and distiller.restore is None
    made["focal"].backward()
    assert one.backbone.first.weight.grad.any()
    assert all(convolution.weight.grad.any() for convolution in distiller.adapters.convolutions)


def test_the_teacher_may_see_larger_views() -> None:
    def larger(given: Views) -> Views:
        images = F.interpolate(given.images.flatten(0, 2), scale_factor=2.0).view(2, 1, 2, 3, 64, 96)
        project = given.project * torch.tensor([2.0, 2, 1, 1])[:, None]
        return given._replace(images=images, project=project, extent=given.extent * 2)

    config = EXPERT.replace(kind="detr3d")
    one, other = detector(config, 0), detector(config, 1).eval()
    with torch.no_grad():
        known = other(larger(VIEWS))
    made, wrong = (
        numbers(build_distiller(focal(), one, other, VIEWS, *more)(known, one(VIEWS), VIEWS, TARGETS))
        for more in ((larger,), ())
    )
    # the head sees what the teacher's decoder saw: the calibration is that of the larger views
    expected = pytest.approx(float(other.loss(known, TARGETS)), rel=1e-5)
    assert made["head"] == expected and wrong["head"] != expected
    assert 0 < made["focal"] < 4 * FocalConfig().focal


def test_building_a_guide_leaves_both_detectors_as_they_were() -> None:
    student, expert = detector(STUDENT, 0).train(), detector(EXPERT, 1).train()
    student.neck.eval()
    before = [copy.deepcopy(model.state_dict()) for model in (student, expert)]
    distiller = build_distiller(focal(), student, expert, VIEWS)
    assert student.backbone.training and not student.neck.training and expert.training and distiller.training
    for model, tensors in zip((student, expert), before, strict=True):
        assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())
    own = {id(parameter) for model in (student, expert) for parameter in model.parameters()}
    assert not own & {id(parameter) for parameter in distiller.parameters()}
    assert all(parameter.requires_grad for parameter in distiller.parameters())


def test_detectors_that_cannot_be_compared_are_refused() -> None:
    images = EXPERT.replace(kind="detr3d")
    with pytest.raises(RequestError, match=r"Distiller `heatmap` .* student is `detr3d`, the teacher `bevformer`"):
        both(DistillerConfig(kind="heatmap"), images)
    with pytest.raises(RequestError, match="needs detectors of one kind; the student is `bevformer`, the teacher `det"):
        both(focal(), STUDENT, images)
    with pytest.raises(RequestError, match=r"covers \(-8\.0, .*, the teacher's \(-9\.0, .*same `area`"):
        both(focal(), STUDENT, EXPERT.replace(area=(-9.0, *AREA[1:])))
    with pytest.raises(RequestError, match="The student tells 4 classes apart, the teacher 3"):
        build_distiller(focal(), detector(STUDENT, 0, classes=4), detector(EXPERT, 1), VIEWS)


def test_the_heads_loss_is_that_of_a_detector() -> None:
    distiller, student, expert = both(focal(head=0.5))
    known = known_of(expert)
    parts = detection_loss(known.class_logits, known.codes, TARGETS, expert.config)
    made = numbers(distiller(known, student(VIEWS), VIEWS, TARGETS))
    assert made["head"] == pytest.approx(0.5 * sum(float(part) for part in parts.values()))


@pytest.mark.parametrize("kind", ["bevformer", "detr3d"])
def test_half_precision_changes_little(kind: str) -> None:
    student, expert = (config.replace(kind=kind) for config in (STUDENT, EXPERT))
    distiller, one, other = both(focal(drop=0.0), student, expert)
    exact = numbers(distiller(known_of(other), one(VIEWS), VIEWS, TARGETS))
    with torch.autocast("cpu", torch.bfloat16):
        made = distiller(known_of(other), one(VIEWS), VIEWS, TARGETS)
    assert {name: float(term.detach()) for name, term in made.items()} == pytest.approx(exact, rel=0.1)
    torch.stack(list(made.values())).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in one.parameters() if parameter.grad is not None)


def test_a_teacher_whose_queries_start_from_the_ground() -> None:
    """Its head pays for the heat of the ground as well."""
    distiller, student, expert = both(focal(), expert=EXPERT.replace(start="ground"))
    known = known_of(expert)
    made = distiller(known, student(VIEWS), VIEWS, TARGETS)
    assert set(expert.terms(known, TARGETS)) == {"classes", "boxes", "heat"}
    assert float(made["head"].detach()) == pytest.approx(float(expert.loss(known, TARGETS)))
    torch.stack(list(made.values())).sum().backward()
    assert all(parameter.grad is not None for parameter in distiller.head.parameters())
