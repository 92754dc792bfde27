"""Detectors of `transformers`: losses, boxes, optical stages, checkpoints, and where new weights start."""

import functools
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError
from lightloom.nn.backbones import HybridConfig, replace_stages
from lightloom.tasks.detection2d.transformers import (
    Family,
    SetOutput,
    TransformersDetector,
    build_transformers_detector,
)

transformers = pytest.importorskip("transformers", reason="these detectors are built by `transformers`")

FAMILIES: tuple[Family, ...] = ("rt-detr-v2", "d-fine", "deformable-detr")
CHIP = DiffractiveChip(name="small", grid=12, mask=6, layers=1)
pytestmark = pytest.mark.filterwarnings("ignore:Chip `small` has a way")  # its grid is small to be quick
FRAME = (96, 96)


@functools.cache
def scene() -> tuple[Tensor, Tensor]:
    """Two images, of which the second has no object."""
    images = torch.randint(0, 256, (2, 3, *FRAME), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    targets = torch.zeros(2, 3, 5)
    targets[..., 4] = -1
    targets[0, 0] = torch.tensor([10.0, 20, 40, 60, 2])
    targets[0, 2] = torch.tensor([50.0, 5, 90, 30, 0])
    return images, targets


@pytest.mark.parametrize("family", FAMILIES)
def test_an_optical_detector_learns_from_boxes(family: Family) -> None:
    torch.manual_seed(0)
    detector = build_transformers_detector(family, 3)
    replace_stages(
        detector.backbone,
        CHIP,
        HybridConfig(stages=(3,), channels=(4,), mixing="shared", fit="chip"),
        sample_shape=FRAME,
    )
    images, targets = scene()
    output = detector.train()(images, targets)
    assert output.loss is not None
    output.loss.backward()
    without = [name for name, part in detector.named_parameters() if part.requires_grad and part.grad is None]
    assert not without
    light = detector.backbone.get_submodule("encoder.stages.3.block0.path.optics")
    assert isinstance(light.chip, DiffractiveChip)
    assert light.turns.grad.abs().sum() > 0
    assert [tuple(made.shape[2:]) for made in output.features] == [(24, 24), (12, 12), (6, 6), (3, 3)]
    assert tuple(made.shape[1] for made in output.features) == detector.channels
    assert output.query_logits.shape == (2, 50, 3)
    assert detector(images, targets * 0 - 1).loss.isfinite()
    detector.eval()
    whole = detector(images[:1])
    assert whole.loss is None
    as_floats = detector(images[:1].float() / 255)
    torch.testing.assert_close(as_floats.query_logits, whole.query_logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_class_starts_with_a_score_of_one_percent(family: Family) -> None:
    torch.manual_seed(0)
    detector = build_transformers_detector(family, 3)
    for layer in detector.model.class_embed:
        torch.testing.assert_close(layer.bias.sigmoid(), torch.full((3,), 0.01))
    norms = [part for part in detector.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert norms
    assert all((part.weight == 1).all() for part in norms)
    assert all(part.requires_grad for part in detector.backbone.parameters())


def test_targets_become_shares_of_the_frame() -> None:
    detector = build_transformers_detector("deformable-detr", 3)
    given = {}
    detector.model.register_forward_pre_hook(lambda _, __, options: given.update(options), with_kwargs=True)
    images, targets = scene()
    detector(images[..., :48], targets)
    first, second = given["labels"]
    torch.testing.assert_close(first["class_labels"], torch.tensor([2, 0]))
    expected = torch.tensor([[25 / 48, 40 / 96, 30 / 48, 40 / 96], [70 / 48, 17.5 / 96, 40 / 48, 25 / 96]])
    torch.testing.assert_close(first["boxes"], expected)
    assert second["boxes"].shape == (0, 4)


def test_detections_are_the_best_pairs_of_query_and_class_cut_at_the_frame() -> None:
    detector = build_transformers_detector("deformable-detr", 2)
    chances = torch.tensor([[[0.9, 0.2], [0.1, 0.6], [0.05, 0.01]]])
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.9, 0.1, 0.4, 0.4], [0.5, 0.5, 0.1, 0.1]]])
    output = SetOutput(None, (), chances.logit(), boxes)
    (found,) = detector.detect(output, (100, 200), threshold=0.15)
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.6, 0.2]))
    assert found.labels.tolist() == [0, 1, 1]
    box = [80.0, 30.0, 120.0, 70.0]
    torch.testing.assert_close(found.boxes, torch.tensor([box, [140.0, 0.0, 200.0, 30.0], box]))
    assert len(detector.detect(output, (100, 200), most=2)[0].scores) == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_folder_is_read_again_with_its_classes_or_with_new_ones(family: Family, tmp_path: Path) -> None:
    detector = build_transformers_detector(family, 3).eval()
    detector.model.save_pretrained(tmp_path)
    images, _ = scene()
    with torch.no_grad():
        expected = detector(images)
        again = build_transformers_detector(family, 3, pretrained=str(tmp_path)).eval()
        torch.testing.assert_close(again(images).query_logits, expected.query_logits)
        with pytest.raises(RequestError, match="tells 3 classes apart and 5"):
            build_transformers_detector(family, 5, pretrained=str(tmp_path))
        other = build_transformers_detector(family, 5, pretrained=str(tmp_path), rehead=True).eval()
        made = other(images)
    assert made.query_logits.shape == (2, 50, 5)
    torch.testing.assert_close(made.features, expected.features)
    assert any(part.requires_grad for part in other.backbone.get_submodule("encoder.stages.1").parameters())


def test_weights_that_are_shared_can_be_written_as_safetensors() -> None:
    from safetensors.torch import load, save

    detector = build_transformers_detector("rt-detr-v2", 3)
    other = build_transformers_detector("rt-detr-v2", 3)
    other.load_state_dict(load(save(detector.state_dict())))
    for (name, one), two in zip(detector.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two), name


def test_wrong_requests_are_answered(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="Did you mean `rt-detr-v2`"):
        build_transformers_detector("rt-detr", 3)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="`tiny` or `published`"):
        build_transformers_detector("d-fine", 3, size="huge")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="There is no folder"):
        build_transformers_detector("d-fine", 3, pretrained="./nowhere")
    transformers.ResNetConfig().save_pretrained(tmp_path)
    with pytest.raises(RequestError, match="holds a `resnet`, not a `d_fine`"):
        build_transformers_detector("d-fine", 3, pretrained=str(tmp_path))
    detector: TransformersDetector = build_transformers_detector("rt-detr-v2", 3)
    with pytest.raises(RequestError, match="Images of 32 x 32 have 21 places for 50 queries"):
        detector(torch.rand(1, 3, 32, 32))


def test_images_are_standardised_as_the_published_weights_of_the_family_want() -> None:
    images = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    for family, expected in (("rt-detr-v2", 1.0), ("deformable-detr", (1 - 0.485) / 0.229)):
        detector = build_transformers_detector(family, 2)  # type: ignore[arg-type]
        assert math.isclose(float(detector.standardise(images)[0, 0, 0, 0]), expected, rel_tol=1e-6)
