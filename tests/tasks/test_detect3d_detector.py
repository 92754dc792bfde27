"""Whole detectors: samples and moments kept apart, any number of cameras, and boxes that are found."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.data.multicamera import Views
from lightloom.nn.backbones import SIZES as BACKBONES
from lightloom.tasks.detection3d import SIZES, Detector3D, Detector3DConfig, Detector3DOutput, detector_size

AREA = (-10.0, -10.0, -3.0, 10.0, 10.0, 1.0)
FRAME = (32, 48)
SMALL = Detector3DConfig(
    channels=16, heads=2, queries=12, decoder_layers=2, feedforward=32, first=0, levels=2, rows=8, columns=8,
    encoder_layers=1, pillars=2, points=4, ground_points=2, area=AREA, dropout=0.0, cameras=7, most=20,
)  # fmt: skip
BOTH = pytest.mark.parametrize("config", [SMALL, SMALL.replace(kind="detr3d")], ids=["bevformer", "detr3d"])
ALL = pytest.mark.parametrize(
    "config",
    [SMALL, SMALL.replace(start="ground"), SMALL.replace(kind="detr3d")],
    ids=["bevformer", "from-ground", "detr3d"],
)


class Backbone(nn.Module):
    """Two strided convolutions, with a norm that tells training from evaluation."""

    channels = (8, 16)
    strides = (4, 8)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 5, 4, 2), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        first = self.first(images)
        return first, self.second(first)


def projections(number: int, turn: float = 0.0) -> Tensor:
    """Cameras all around at a height of 1 m."""
    made = torch.zeros(number, 4, 4)
    for camera in range(number):
        yaw = 2 * math.pi * camera / number + turn
        c, s = math.cos(yaw), math.sin(yaw)
        optical = torch.tensor([[s, -c, 0.0, 0.0], [0.0, 0.0, -1.0, 1.0], [c, s, 0.0, 0.0]])
        made[camera, :3] = torch.tensor([[20.0, 0, FRAME[1] / 2], [0, 20.0, FRAME[0] / 2], [0, 0, 1]]) @ optical
        made[camera, 3, 3] = 1
    return made


def views(samples: int = 2, moments: int = 2, number: int = 4) -> Views:
    """Noise, seen from a vehicle that drives ahead."""
    motion = torch.eye(4).repeat(samples, moments, 1, 1)
    motion[:, 1:, 0, 3] = 1.5
    linked = torch.ones(samples, moments, dtype=torch.bool)
    linked[:, 0] = False
    turned = torch.stack([projections(number, 0.3 * sample) for sample in range(samples)])
    return Views(
        torch.rand(samples, moments, number, 3, *FRAME),
        turned.unsqueeze(1).repeat(1, moments, 1, 1, 1),
        torch.tensor([FRAME[1], FRAME[0]]).float().repeat(samples, moments, number, 1),
        motion,
        linked,
    )


def part(given: Views, sample: int) -> Views:
    return Views(*(each[sample : sample + 1] for each in given))


def build(config: Detector3DConfig = SMALL, classes: int = 3) -> Detector3D:
    detector = Detector3D(Backbone(), classes, config).eval()
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
    return detector


def same(one: Detector3DOutput, other: Detector3DOutput) -> bool:
    said = ("class_logits", "codes", "references")
    return all(torch.allclose(getattr(one, name), getattr(other, name), atol=1e-4, rtol=1e-4) for name in said)


@BOTH
def test_what_comes_out(config: Detector3DConfig) -> None:
    detector, given = build(config), views()
    output = detector(given)
    assert [tuple(level.shape) for level in output.features] == [(8, 16, 8, 12), (8, 16, 4, 6)]
    assert (output.bev is None) == (config.kind == "detr3d")
    assert output.bev is None or output.bev.shape == (2, 16, 8, 8)
    assert output.class_logits.shape == (2, 2, 12, 3) and output.codes.shape == (2, 2, 12, 10)
    (first, second) = detector.detect(output)
    assert first.boxes.shape == (20, 9) and first.scores.shape == second.labels.shape == (20,)
    assert all(hasattr(detector, name) for name in detector.head_modules)
    whole = sum(p.numel() for p in detector.parameters())
    assert whole == sum(
        p.numel() for name in ("backbone", *detector.head_modules) for p in getattr(detector, name).parameters()
    )


@BOTH
def test_a_batch_of_two_is_two_batches_of_one(config: Detector3DConfig) -> None:
    detector, given = build(config), views(moments=3)
    given.extent[1, :, 2] = torch.tensor([30.0, 20.0])
    given.linked[1, 2] = False
    both = detector(given)
    for sample in range(2):
        alone = detector(part(given, sample))
        assert torch.allclose(both.codes[:, sample], alone.codes[:, 0], atol=1e-4, rtol=1e-4)
        assert torch.allclose(both.class_logits[:, sample], alone.class_logits[:, 0], atol=1e-4, rtol=1e-4)


@BOTH
def test_the_same_weights_take_one_to_seven_cameras(config: Detector3DConfig) -> None:
    detector = build(config)
    for number in range(1, 8):
        assert detector(views(1, number=number)).codes.isfinite().all()
    with pytest.raises(RequestError, match="8 cameras are given to a detector with weights for 7"):
        detector(views(1, number=8))


@BOTH
def test_an_absent_camera_is_one_that_was_left_out(config: Detector3DConfig) -> None:
    detector, given = build(config), views()
    given.extent[:, :, 3] = 0
    fewer = given._replace(**{name: getattr(given, name)[:, :, :3] for name in ("images", "project", "extent")})
    assert same(detector(given), detector(fewer))
    nowhere = given._replace(extent=torch.zeros_like(given.extent))
    assert detector(nowhere).codes.isfinite().all()


@BOTH
def test_bytes_and_shares_are_the_same_images(config: Detector3DConfig) -> None:
    detector, given = build(config), views()
    pixels = (given.images * 255).round()
    one = detector(given._replace(images=pixels.to(torch.uint8)))
    assert same(one, detector(given._replace(images=pixels / 255)))


@BOTH
def test_shrinking_is_averaging_the_images_first(config: Detector3DConfig) -> None:
    detector, small = build(config), views()
    detector.config = config.replace(shrink=2)
    images = small.images.repeat_interleave(2, -1).repeat_interleave(2, -2)
    larger = small.project.clone()
    larger[..., :2, :] *= 2
    given = small._replace(images=images, project=larger, extent=small.extent * 2)
    shrunk = detector(given)
    again = detector.cameras(shrunk.features, given)
    detector.config = config
    assert same(shrunk, detector(small))
    looked = detector.camera_maps(small, -1)
    assert again.frame == looked.frame and torch.equal(again.extent, looked.extent)
    torch.testing.assert_close(again.project, looked.project)


def test_the_past_is_seen_in_turn_and_warped() -> None:
    """Three moments by hand, each with the map of the one before."""
    detector, given = build(), views(moments=3)
    assert detector.encoder is not None
    from lightloom.tasks.detection3d.encoder import PreviousBEV

    with torch.no_grad():
        bev = detector.encoder(detector.camera_maps(given, 0))
        for moment in (1, 2):
            before = PreviousBEV(bev, given.motion[:, moment], given.linked[:, moment])
            bev = detector.encoder(detector.camera_maps(given, moment), before)
        torch.testing.assert_close(detector(given).bev, bev)


def test_only_linked_moments_count() -> None:
    detector, given = build(), views(moments=3)
    cut = given._replace(linked=given.linked.clone())
    cut.linked[:, 1] = False  # the first moment is of another scene
    other = cut._replace(images=cut.images.clone())
    other.images[:, 0] = 0.5
    assert same(detector(cut), detector(other))
    assert not same(detector(cut), detector(given))
    last = Views(*(each[:, 2:] for each in given))
    last.linked[:] = False
    cut.linked[:, 2] = False
    assert same(detector(cut), detector(last))
    detector.config = SMALL.replace(temporal=False)
    assert same(detector(given), detector(last))


def test_the_past_gets_no_gradients_and_no_training() -> None:
    detector, given = build().train(), views()
    norm = detector.backbone.first[1]
    norm.momentum = 1.0  # holds the mean of the last batch alone
    frozen = detector.decoder.layers[0]
    frozen.eval()
    detector(given)
    after_both = norm.running_mean.clone()
    detector(Views(*(each[:, 1:] for each in given)))
    torch.testing.assert_close(norm.running_mean, after_both)
    assert norm.training and detector.training and not frozen.training
    given.images.requires_grad_()
    output = detector(given)
    output.codes.sum().backward()
    assert given.images.grad is not None
    assert given.images.grad[:, 1].any() and not given.images.grad[:, 0].any()


@ALL
def test_every_weight_learns(config: Detector3DConfig) -> None:
    detector, given = build(config).train(), views(number=7)
    for weights in detector.parameters():
        if not weights.any():
            nn.init.normal_(weights, std=0.02)  # zero at the start: nothing comes through in the first step
    boxes = torch.zeros(2, 3, 10)
    boxes[..., :2] = torch.rand(2, 3, 2) * 10
    boxes[..., 3:6] = 1
    detector.loss(detector(given), boxes).backward()
    for name, weights in detector.named_parameters():
        assert weights.grad is not None and weights.grad.isfinite().all() and weights.grad.any(), name


@ALL
def test_frames_without_boxes_train(config: Detector3DConfig) -> None:
    detector, given = build(config).train(), views()
    nothing = torch.zeros(2, 4, 10)
    nothing[..., 9] = -1
    loss = detector.loss(detector(given), nothing)
    loss.backward()
    assert loss.detach().isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in detector.parameters())


def blobs(count: int) -> tuple[Views, Tensor]:
    """Moments with two coloured squares on the ground, as large as 2 m look, and their boxes."""
    given = views(count, 1)
    images = torch.full_like(given.images, 0.4)
    boxes = torch.zeros(count, 2, 10)
    boxes[..., 3:6], boxes[..., 9] = 2.0, torch.tensor([0.0, 1.0])
    angles, far = torch.rand(count, 2) * 2 * math.pi, 3 + 5 * torch.rand(count, 2)
    boxes[..., 0], boxes[..., 1] = angles.cos() * far, angles.sin() * far
    rows, columns = torch.meshgrid(torch.arange(FRAME[0]) + 0.5, torch.arange(FRAME[1]) + 0.5, indexing="ij")
    for moment in range(count):
        for camera in range(4):
            for box, colour in zip(boxes[moment], (0, 2), strict=True):
                point = torch.cat((box[:3], torch.ones(1)))
                u, v, depth = (given.project[moment, 0, camera] @ point)[:3].tolist()
                if depth > 0.5:
                    near = ((columns - u / depth).abs() < 20 / depth) & ((rows - v / depth).abs() < 20 / depth)
                    images[moment, 0, camera, :, near] = 0.0
                    images[moment, 0, camera, colour, near] = 1.0
    return given._replace(images=images), boxes


@ALL
def test_coloured_blobs_are_found_after_a_short_training(config: Detector3DConfig) -> None:
    given, boxes = blobs(32)
    detector = build(config).train()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3)
    losses = []
    for step in range(120):
        few = torch.arange(8) + 8 * (step % 4)
        loss = detector.loss(detector(Views(*(each[few] for each in given))), boxes[few])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.4 * losses[0]
    found = detector.eval().detect(detector(given))
    near = [
        float((each.boxes[each.labels == label][:3, :2] - box[:2]).norm(dim=1).min()) < 2.0
        for each, truth in zip(found, boxes, strict=True) for label, box in enumerate(truth)
    ]  # fmt: skip
    assert sum(near) / len(near) > 0.6


def test_a_pyramid_that_does_not_fit_the_backbone_is_refused() -> None:
    with pytest.raises(RequestError, match=r"start at stage 2; the backbone has the stages 0 \.\.\. 1"):
        Detector3D(Backbone(), 3, SMALL.replace(first=2))
    with pytest.raises(RequestError, match="2 stages make at least as many levels"):
        Detector3D(Backbone(), 3, SMALL.replace(levels=1))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"heads": 3}, "do not share out among 3 heads"),
        ({"points": 5}, "5 points do not share out among 2 pillars"),
        ({"area": (0, 0, 0, 0, 1, 1)}, "has nothing in it"),
        ({"row": 8}, "Did you mean `rows`"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises((ValidationError, RequestError), match=reason):
        Detector3DConfig(**{**SMALL.model_dump(), **changes})


def test_named_sizes_are_there_with_their_backbones() -> None:
    assert all(size.backbone in BACKBONES and size.source for size in SIZES.values())
    assert detector_size("base") == Detector3DConfig()
    with pytest.raises(RequestError, match=r"no detector `bse`\. Did you mean `base`"):
        detector_size("bse")
