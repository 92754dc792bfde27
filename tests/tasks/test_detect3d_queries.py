"""Queries that start where the ground shows something, and what the cells of the ground cost."""

import math

import pytest
import torch
from torch import Tensor, nn

from lightloom.tasks.detection3d.decoder import Decoder
from lightloom.tasks.detection3d.losses import decoded_loss, detection_loss, heat_loss
from lightloom.tasks.detection3d.queries import BEVQueries
from lightloom.tasks.detection3d.sizes import Detector3DConfig

AREA = (-10.0, -6.0, -3.0, 10.0, 6.0, 1.0)  # cells of 2 m
CONFIG = Detector3DConfig(
    channels=8, heads=2, queries=5, start="ground", decoder_layers=2, feedforward=16, rows=6, columns=10, area=AREA,
    dropout=0.0,
)  # fmt: skip


def stirred() -> BEVQueries:
    queries = BEVQueries(CONFIG, 3)
    for part in queries.parameters():
        nn.init.normal_(part, std=0.4)
    return queries


def test_queries_start_at_the_cells_that_look_most_like_a_box() -> None:
    queries, bev = stirred(), torch.randn(2, 8, 6, 10)
    start = queries(bev)
    assert start.heat is not None and start.heat.shape == (2, 3, 6, 10)
    for sample in range(2):
        cells = sorted(
            ((float(start.heat[sample, :, i, j].detach().max()), i, j) for i in range(6) for j in range(10)),
            reverse=True,
        )[:5]
        for query, (_, i, j) in enumerate(cells):
            wanted = torch.tensor([(j + 0.5) / 10, (i + 0.5) / 6, 0.5])
            torch.testing.assert_close(start.references[sample, query], wanted)
            torch.testing.assert_close(start.query[sample, query], queries.content(bev[sample, :, i, j]))


def test_no_gradient_goes_through_the_choice() -> None:
    queries, bev = stirred(), torch.randn(2, 8, 6, 10)
    start = queries(bev)
    (start.query.sum() + start.position.sum()).backward()
    assert all(part.grad is None for part in queries.heat.parameters())
    assert queries.content.weight.grad is not None


def test_a_map_with_few_cells_gives_few_queries() -> None:
    decoded = Decoder(CONFIG, 3)(torch.randn(1, 8, 2, 2))
    assert decoded.codes.shape == (2, 1, 4, 10)


def boxes() -> Tensor:
    """In two samples: two boxes, and one within and one beyond the area."""
    made = torch.zeros(2, 3, 10)
    made[..., 3:6] = 1
    made[..., 9] = -1
    made[0, 0, [0, 1, 9]] = torch.tensor([-9.5, -5.5, 1.0])
    made[0, 1, [0, 1, 9]] = torch.tensor([4.1, 0.1, 0.0])
    made[1, 0, [0, 1, 9]] = torch.tensor([9.9, 5.9, 2.0])
    made[1, 1, [0, 1, 9]] = torch.tensor([11.0, 0.0, 2.0])
    return made


def test_cells_cost_as_a_loop_says() -> None:
    heat = torch.randn(2, 3, 6, 10)
    hot = {(0, 1, 0, 0), (0, 0, 3, 7), (1, 2, 5, 9)}  # sample, class, row, column
    total = 0.0
    for place in ((s, c, i, j) for s in range(2) for c in range(3) for i in range(6) for j in range(10)):
        chance = float(heat[place].sigmoid())
        if place in hot:
            total -= 0.25 * (1 - chance) ** 2 * math.log(chance)
        else:
            total -= 0.75 * chance**2 * math.log(1 - chance)
    assert float(heat_loss(heat, boxes(), CONFIG)) == pytest.approx(total / 4, rel=1e-4)


def test_the_loss_has_a_part_for_the_cells_where_they_decide() -> None:
    decoder, targets = Decoder(CONFIG.replace(heat=0.5), 3), boxes()
    decoded = decoder(torch.randn(2, 8, 6, 10))
    assert decoded.heat is not None
    terms = decoded_loss(decoded, targets, decoder.config)
    assert list(terms) == ["classes", "boxes", "heat"]
    torch.testing.assert_close(terms["heat"], 0.5 * heat_loss(decoded.heat, targets, CONFIG))
    alone = decoded_loss(decoded._replace(heat=None), targets, decoder.config)
    plain = detection_loss(decoded.class_logits, decoded.codes, targets, CONFIG)
    assert all(torch.equal(alone[name], plain[name]) for name in plain) and len(alone) == 2


def test_cameras_have_no_ground_to_start_from() -> None:
    with pytest.raises(ValueError, match="take kind `bevformer`"):
        Detector3DConfig(kind="detr3d", start="ground")
