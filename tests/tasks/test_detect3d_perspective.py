"""What camera maps say themselves: the loss of a loop, centres that no camera sees, and who learns from it."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.perspective import PerspectiveHead, PerspectiveOutput, perspective_loss

CLASSES, ROWS, COLUMNS, STRIDE = 3, 3, 5, 8  # the frame is 24 x 38: its last cells reach beyond it
FRAME = (24, 38)


def cameras() -> Tensor:
    """[2, 2, 4, 4]: one looks ahead and one back, a little higher in the second sample."""
    made = torch.zeros(2, 2, 4, 4)
    for sample in range(2):
        for number, way in enumerate((1.0, -1.0)):
            lens = torch.tensor([[12.0, 0, 19], [0, 12.0, 12], [0, 0, 1]])
            optical = torch.tensor([[0, -way, 0, 0], [0, 0, -1, 1.0 + 0.5 * sample], [way, 0, 0, 0]])
            made[sample, number, :3], made[sample, number, 3, 3] = lens @ optical, 1
    return made


def boxes(*centres: tuple[float, float, float, int]) -> Tensor:
    """[1, 5, 10]: at x, y, z, of a class; the rest is padding."""
    made = torch.zeros(1, 5, 10)
    made[..., 9] = -1
    for place, (x, y, z, label) in enumerate(centres):
        made[0, place, :3], made[0, place, 9] = torch.tensor([x, y, z]), label
        made[0, place, 7:9] = math.nan  # velocities are not looked at
    return made


def targets() -> Tensor:
    """Ahead, behind, beside where nobody looks, and two in one cell; the second sample has one box."""
    first = boxes((8.0, 1.0, 0.5, 0), (-6.0, -2.0, 0.8, 2), (0.5, 9.0, 0.5, 1), (8.2, 1.0, 0.5, 1))
    return torch.cat((first, boxes((5.0, -3.0, 1.0, 2))))


def perspective(extent: Tensor | None = None) -> PerspectiveOutput:
    torch.manual_seed(0)
    size = torch.tensor([FRAME[1], FRAME[0]]).float().expand(2, 2, 2) if extent is None else extent
    logits, depths = torch.randn(2, 2, CLASSES, ROWS, COLUMNS), torch.randn(2, 2, ROWS, COLUMNS)
    return PerspectiveOutput(logits.requires_grad_(), depths.requires_grad_(), cameras(), size, STRIDE)


def by_hand(output: PerspectiveOutput, given: Tensor) -> tuple[float, int]:
    """The loss in loops over numbers, and how many centres it found."""
    output = output._replace(logits=output.logits.detach(), depths=output.depths.detach())
    wanted: set[tuple[int, ...]] = set()
    off = mistaken = 0.0
    count = 0
    for sample in range(2):
        for number in range(2):
            for row in given[sample].tolist():
                u, v, d, _ = (output.project[sample, number] @ torch.tensor([*row[:3], 1.0])).tolist()
                width, height = output.extent[sample, number].tolist()
                if row[9] < 0 or d <= 1e-5 or not (0 < u / d < width and 0 < v / d < height):
                    continue
                i, j, label = int(v / d // STRIDE), int(u / d // STRIDE), int(row[9])
                logits = output.logits[sample, number, :, i, j].tolist()
                mistaken += math.log(sum(math.exp(each) for each in logits)) - logits[label]
                off += abs(float(output.depths[sample, number, i, j]) - math.log(d))
                wanted.add((sample, number, label, i, j))
                count += 1
    focal = 0.0
    for place in torch.cartesian_prod(*(torch.arange(size) for size in output.logits.shape)).tolist():
        chance = 1 / (1 + math.exp(-float(output.logits[tuple(place)])))
        right = tuple(place) in wanted
        focal -= 0.25 * (1 - chance) ** 2 * math.log(chance) if right else 0.75 * chance**2 * math.log(1 - chance)
    return (focal + mistaken + off) / max(count, 1), count


def test_the_loss_is_that_of_loops() -> None:
    expected, count = by_hand(perspective(), targets())
    assert count == 4  # the one beside is seen by nobody
    assert float(perspective_loss(perspective(), targets()).detach()) == pytest.approx(expected, rel=1e-5)


def test_an_absent_camera_is_asked_for_nothing_but_silence() -> None:
    extent = torch.tensor([FRAME[1], FRAME[0]]).float().repeat(2, 2, 1)
    extent[:, 1] = 0
    output = perspective(extent)
    expected, count = by_hand(output, targets())
    assert count == 3
    loss = perspective_loss(output, targets())
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert output.depths.grad is not None and not output.depths.grad[:, 1].any()


@pytest.mark.parametrize("given", [boxes(), boxes((0.5, 9.0, 0.5, 1))], ids=["no-boxes", "none-in-sight"])
def test_frames_in_which_nothing_is_seen_train(given: Tensor) -> None:
    output = perspective()
    loss = perspective_loss(output, given.repeat(2, 1, 1))
    chances = output.logits.detach().sigmoid()
    silence = 0.75 * chances**2 * F.softplus(output.logits.detach())
    assert float(loss.detach()) == pytest.approx(float(silence.sum()), rel=1e-5)
    loss.backward()
    assert output.depths.grad is not None and not output.depths.grad.any()


def test_what_is_said_right_costs_next_to_nothing() -> None:
    alone = boxes((8.0, 1.0, 0.5, 0)).repeat(2, 1, 1)
    output = perspective()
    logits, depths = torch.full_like(output.logits, -12), torch.zeros_like(output.depths)
    for sample in range(2):
        u, v, d, _ = (output.project[sample, 0] @ torch.tensor([8.0, 1.0, 0.5, 1.0])).tolist()
        i, j = int(v / d // STRIDE), int(u / d // STRIDE)
        logits[sample, 0, 0, i, j], depths[sample, 0, i, j] = 12, math.log(8.0)
    assert float(perspective_loss(output._replace(logits=logits, depths=depths), alone)) < 1e-4


def test_every_weight_of_the_head_learns_and_so_do_the_maps() -> None:
    head, maps = PerspectiveHead(4, CLASSES), torch.randn(4, 4, ROWS, COLUMNS, requires_grad=True)
    extent = torch.tensor([FRAME[1], FRAME[0]]).float().expand(2, 2, 2)
    output = head(CameraMaps((maps, maps[..., :2, :3]), (STRIDE, 2 * STRIDE), cameras(), extent, FRAME))
    assert output.logits.shape == (2, 2, CLASSES, ROWS, COLUMNS) and output.depths.shape == (2, 2, ROWS, COLUMNS)
    assert output.stride == STRIDE
    # camera n of sample b is image 2 b + n
    torch.testing.assert_close(output.depths[1, 0], head.measure(head.hidden(maps[2:3]))[0, 0])
    perspective_loss(output, targets()).backward()
    assert maps.grad is not None and maps.grad.any()
    assert all(part.grad is not None and part.grad.any() for part in head.parameters())
