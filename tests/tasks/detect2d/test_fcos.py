"""FCOS: what each point answers for, what it costs, and that a detector finds what its targets say."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.errors import RequestError
from lightloom.tasks.detection2d import Detection2DObjective, Detector, FCOSConfig
from lightloom.tasks.detection2d.fcos import points, reach_of
from lightloom.tasks.detection2d.targets import (
    Assigned,
    assign,
    centerness,
    fcos_loss,
    focal_loss,
    overlap_loss,
)

SMALL = FCOSConfig(channels=16, convs=1, groups=4, levels=3, reach=4.0)


class Backbone(nn.Module):
    """Four strided convolutions."""

    channels = (8, 8, 16, 16)
    strides = (4, 8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(into, out, stride, stride)
            for into, out, stride in ((3, 8, 4), (8, 8, 2), (8, 16, 2), (16, 16, 2))
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for conv in self.convs:
            images = conv(images).relu()
            maps.append(images)
        return tuple(maps)


def detector(config: FCOSConfig = SMALL) -> Detector:
    torch.manual_seed(0)
    return Detector(Backbone(), 3, config)


def padded(*boxes: tuple[float, float, float, float, int], most: int = 4) -> Tensor:
    targets = torch.zeros(1, most, 5)
    targets[..., 4] = -1
    for row, box in enumerate(boxes):
        targets[0, row] = torch.tensor(box)
    return targets


def place(
    x: float, y: float, stride: float, reach: tuple[float, float], targets: Tensor, centre: float | None = None
) -> Assigned:
    where = torch.tensor([[x, y]])
    return assign(where, torch.tensor([stride]), torch.tensor([reach]), targets, centre)


def test_points_are_in_the_middle_of_their_cells() -> None:
    assert points((2, 3), 8, torch.device("cpu")).tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


def test_the_published_ranges() -> None:
    wanted = [(-1, 64), (64, 128), (128, 256), (256, 512), (512, math.inf)]
    assert reach_of((8, 16, 32, 64, 128), 8.0) == wanted


def test_a_point_measures_to_the_edges_of_the_smallest_box_around_it() -> None:
    found = place(50, 40, 8, (-1, 100), padded((0, 0, 90, 90, 0), (40, 30, 70, 60, 2), (41, 31, 69, 59, -1)))
    assert found.labels.tolist() == [[2]]
    assert found.distances.tolist() == [[[10, 10, 20, 20]]]


def test_a_point_on_an_edge_or_out_of_reach_sees_background() -> None:
    box = padded((40, 30, 70, 60, 1))
    assert place(40, 40, 8, (-1, 100), box).labels.item() == -1
    assert place(50, 40, 8, (-1, 19.9), box).labels.item() == -1
    assert place(50, 40, 8, (20, 100), box).labels.item() == 1, "the ends of a range belong to it"
    assert place(50, 40, 8, (20.1, 100), box).labels.item() == -1


def test_only_points_near_the_centre_answer_where_that_is_asked() -> None:
    box = padded((0, 0, 80, 80, 1))
    assert place(28, 40, 8, (-1, 100), box, centre=1.5).labels.item() == -1
    assert place(29, 40, 8, (-1, 100), box, centre=1.5).labels.item() == 1


def test_an_image_without_objects_is_background_and_costs_no_boxes() -> None:
    model = detector()
    output = model(torch.rand(1, 3, 64, 64))
    for targets in (padded(), torch.zeros(1, 0, 5)):
        terms = model.terms(output, targets)
        assert terms["boxes"].item() == 0 and terms["centres"].item() == 0
        torch.stack(list(terms.values())).sum().backward(retain_graph=True)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_centerness() -> None:
    assert centerness(torch.tensor([5.0, 5, 5, 5])).item() == 1
    assert centerness(torch.tensor([1.0, 2, 4, 8])).item() == pytest.approx(math.sqrt(1 / 4 * 2 / 8))


def test_focal_loss_written_out() -> None:
    logits, labels = torch.tensor([[0.3, -1.0], [2.0, 0.1]]), torch.tensor([1, -1])
    expected = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        for place_, logit in enumerate(row):
            p = 1 / (1 + math.exp(-logit))
            expected -= 0.25 * (1 - p) ** 2 * math.log(p) if place_ == label else 0.75 * p**2 * math.log(1 - p)
    assert focal_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_overlap_losses_written_out() -> None:
    found, wanted = torch.tensor([[10.0, 10, 10, 10]]), torch.tensor([[5.0, 10, 15, 10]])
    iou, around = 300 / 500, 500.0
    assert overlap_loss(found, wanted, "log").item() == pytest.approx(-math.log(iou))
    assert overlap_loss(found, wanted, "giou").item() == pytest.approx(1 - iou + (around - 500) / around)
    assert overlap_loss(wanted, wanted, "giou").item() == 0


def test_boxes_weigh_as_much_as_they_are_central() -> None:
    """The mean of -log IoU weighted by centerness, by hand."""
    wanted = torch.tensor([[[4.0, 4, 4, 4], [1, 4, 7, 4]]])
    found = torch.tensor([[[4.0, 4, 4, 4], [2, 8, 14, 8]]])
    loss = fcos_loss(torch.zeros(1, 2, 3), found, torch.zeros(1, 2), Assigned(torch.tensor([[0, 1]]), wanted), SMALL)
    weight = math.sqrt(1 / 7)
    assert loss["boxes"].item() == pytest.approx(weight * math.log(4) / (1 + weight), rel=1e-5)
    assert loss["centres"].item() == pytest.approx(math.log(2), rel=1e-5)


def test_perfect_answers_are_decoded_to_the_boxes_they_were_made_from() -> None:
    """Targets written into the outputs of the head come back as detections."""
    model = detector(SMALL.replace(centre=None, reach=4.0))
    boxes = padded((8, 12, 40, 44, 2), (60, 60, 76, 90, 0), (50, 4, 90, 40, 1))
    output = model(torch.rand(1, 3, 96, 96))
    places, strides, reach = model.places(output.shapes)
    assigned = assign(places, strides, reach, boxes)
    sizes = [rows * columns for rows, columns in output.shapes]
    cut = zip(assigned.labels.split(sizes, 1), assigned.distances.split(sizes, 1), output.shapes, strict=True)
    logits, distances, centres = [], [], []
    for labels, far, (rows, columns) in cut:
        sure = F.one_hot(labels.clamp(min=0), 3) * (labels >= 0)[..., None]
        logits.append((20.0 * sure - 10).transpose(1, 2).reshape(1, 3, rows, columns))
        distances.append(far.transpose(1, 2).reshape(1, 4, rows, columns))
        central = centerness(far.clamp(min=1e-3)).reshape(1, 1, rows, columns)
        centres.append(torch.logit(central, eps=1e-4))
    perfect = output._replace(logits=tuple(logits), boxes=tuple(distances), objectness=tuple(centres))
    found = model.detect(perfect, (96, 96))[0]
    assert sorted(zip(found.labels.tolist(), found.boxes.tolist(), strict=True)) == [
        (0, [60, 60, 76, 90]),
        (1, [50, 4, 90, 40]),
        (2, [8, 12, 40, 44]),
    ]


def test_detections_stay_in_the_frame_and_within_their_number() -> None:
    model = detector(SMALL.replace(score=0.0, most=7))
    found = model.detect(model(torch.rand(2, 3, 64, 64)), (64, 64))
    assert [len(each.boxes) for each in found] == [7, 7]
    for each in found:
        assert each.boxes.min() >= 0 and each.boxes.max() <= 64
        assert (each.scores.diff() <= 0).all()


def test_bytes_and_shares_of_white_are_the_same_image() -> None:
    image = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8)
    model = detector()
    torch.testing.assert_close(model.standardise(image), model.standardise(image / 255))


def test_a_pyramid_without_a_place_is_refused() -> None:
    with pytest.raises(RequestError, match=r"stages 0 \.\.\. 3"):
        detector(SMALL.replace(first=4))
    with pytest.raises(RequestError, match="raise it, or `first`"):
        detector(SMALL.replace(levels=2))


def test_levels_beyond_the_backbone_go_on_halving() -> None:
    model = detector(SMALL.replace(levels=5))
    output = model(torch.rand(1, 3, 128, 96))
    assert model.strides == (8, 16, 32, 64, 128)
    assert output.shapes == [(16, 12), (8, 6), (4, 3), (2, 2), (1, 1)]


def test_a_detector_learns_one_image_by_heart() -> None:
    model = detector(SMALL.replace(centre=1.5, by_stride=True, overlap="giou"))
    task, image = Detection2DObjective(model), torch.rand(1, 3, 64, 64)
    targets = padded((8, 8, 40, 40, 1), (36, 36, 60, 56, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = task.loss(model(image), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = model.detect(model(image), (64, 64))[0].above(0.4)
    assert sorted(found.labels.tolist()) == [1, 2]
    expected = targets[0, [0, 1], :4][found.labels - 1]
    torch.testing.assert_close(found.boxes, expected, atol=4, rtol=0)
