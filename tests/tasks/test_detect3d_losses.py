"""Which prediction answers for which box, what that costs, and which boxes come out."""

import math
from itertools import permutations

import pytest
import torch
from torch import Tensor

from lightloom.tasks.detection3d.decode import decode
from lightloom.tasks.detection3d.geometry import decode_boxes, encode_boxes
from lightloom.tasks.detection3d.losses import detection_loss, focal
from lightloom.tasks.detection3d.matching import class_cost, match
from lightloom.tasks.detection3d.sizes import Detector3DConfig

LAYERS, SAMPLES, QUERIES, CLASSES = 2, 3, 6, 4
CONFIG = Detector3DConfig()


def predictions() -> tuple[Tensor, Tensor]:
    return torch.randn(LAYERS, SAMPLES, QUERIES, CLASSES), torch.randn(LAYERS, SAMPLES, QUERIES, 10)


def targets(counts: tuple[int, ...] = (3, 0, 2), most: int = 4) -> Tensor:
    """Padded with boxes that must not count."""
    padded = torch.randn(len(counts), most, 10)
    padded[..., 3:6] = padded[..., 3:6].abs() + 0.5
    padded[..., 9] = torch.randint(0, CLASSES, (len(counts), most)).float()
    for sample, count in enumerate(counts):
        padded[sample, count:] = 0
        padded[sample, count:, 9] = -1
    return padded


def focal_by_hand(chance: float, wanted: bool) -> float:
    if wanted:
        return -0.25 * (1 - chance) ** 2 * math.log(chance)
    return -0.75 * chance**2 * math.log(1 - chance)


def test_the_class_cost_is_written_out() -> None:
    logits, labels = torch.randn(QUERIES, CLASSES), torch.tensor([2, 0])
    cost = class_cost(logits, labels)
    for query in range(QUERIES):
        for place, label in enumerate(labels.tolist()):
            chance = float(logits[query, label].sigmoid())
            wanted = focal_by_hand(chance, True) - focal_by_hand(chance, False)
            assert float(cost[query, place]) == pytest.approx(wanted, rel=1e-4)


def test_focal_loss_is_written_out() -> None:
    logits = torch.tensor([-3.0, 0.0, 2.0])
    for wanted in (0.0, 1.0):
        by_hand = [focal_by_hand(float(logit.sigmoid()), bool(wanted)) for logit in logits]
        torch.testing.assert_close(focal(logits, torch.full((3,), wanted)), torch.tensor(by_hand))


def test_no_other_assignment_is_cheaper() -> None:
    (logits, codes), boxes = predictions(), targets()
    matched = match(logits, codes, boxes, focal=2.0, box=0.25)
    wanted = encode_boxes(boxes[..., :9])
    for layer in range(LAYERS):
        for sample, count in enumerate((3, 0, 2)):
            labels = boxes[sample, :count, 9].long()
            apart = (codes[layer, sample, :, None, :8] - wanted[sample, None, :count, :8]).abs().sum(-1)
            cost = 2.0 * class_cost(logits[layer, sample], labels) + 0.25 * apart
            cheapest = min(
                sum(float(cost[query, box]) for box, query in enumerate(order))
                for order in permutations(range(QUERIES), count)
            )
            ours = matched.problem == layer * SAMPLES + sample
            assert sorted(matched.box[ours].tolist()) == list(range(count))
            assert len(set(matched.query[ours].tolist())) == count
            assert float(cost[matched.query[ours], matched.box[ours]].sum()) == pytest.approx(cheapest, abs=1e-4)


def test_velocities_decide_no_match() -> None:
    (logits, codes), boxes = predictions(), targets()
    other = boxes.clone()
    other[..., 7:9] = math.nan
    first, second = (match(logits, codes, each, focal=2.0, box=0.25) for each in (boxes, other))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def test_the_loss_is_that_of_a_loop() -> None:
    (logits, codes), boxes = predictions(), targets()
    boxes[0, 1, 7:9] = math.nan
    matched = match(logits, codes, boxes, focal=2.0, box=0.25)
    terms = detection_loss(logits, codes, boxes, CONFIG)
    answers = {(int(problem), int(query)): int(box) for problem, query, box in zip(*matched, strict=True)}
    classes = off = 0.0
    for problem in range(LAYERS * SAMPLES):
        layer, sample = divmod(problem, SAMPLES)
        for query in range(QUERIES):
            box = answers.get((problem, query))
            label = -1 if box is None else int(boxes[sample, box, 9])
            for number in range(CLASSES):
                chance = float(logits[layer, sample, query, number].sigmoid())
                classes += focal_by_hand(chance, number == label)
            if box is not None:
                code = encode_boxes(boxes[sample, box, :9])
                for place in range(10):
                    weight = 0.2 if place > 7 else 1.0
                    if not code[place].isnan():
                        off += weight * abs(float(codes[layer, sample, query, place] - code[place]))
    # five boxes in the batch
    assert float(terms["classes"]) == pytest.approx(2.0 * classes / 5, rel=1e-4)
    assert float(terms["boxes"]) == pytest.approx(0.25 * off / 5, rel=1e-4)


def test_unknown_velocities_give_no_gradient_and_no_nan() -> None:
    (logits, codes), boxes = predictions(), targets()
    boxes[..., 7:9] = math.nan
    codes.requires_grad_()
    detection_loss(logits, codes, boxes, CONFIG)["boxes"].backward()
    assert codes.grad is not None and codes.grad.isfinite().all()
    assert codes.grad[..., :8].any() and not codes.grad[..., 8:].any()


def test_frames_without_boxes_cost_their_false_alarms_alone() -> None:
    (logits, codes), boxes = predictions(), targets((0, 0, 0))
    codes.requires_grad_()
    terms = detection_loss(logits, codes, boxes, CONFIG)
    assert not terms["boxes"].detach().any()
    torch.testing.assert_close(terms["classes"], 2 * focal(logits, torch.zeros_like(logits)).sum())
    (terms["boxes"] + terms["classes"]).backward()
    assert codes.grad is not None and not codes.grad.any()


def test_padding_counts_for_nothing() -> None:
    (logits, codes), boxes = predictions(), targets()
    wider = torch.cat((boxes, torch.zeros(SAMPLES, 5, 10)), 1)
    wider[:, 4:, 9] = -1
    for one, other in zip(*(detection_loss(logits, codes, b, CONFIG).values() for b in (boxes, wider)), strict=True):
        torch.testing.assert_close(one, other)


def test_what_is_said_right_costs_next_to_nothing() -> None:
    boxes = targets()
    logits, codes = torch.full((LAYERS, SAMPLES, QUERIES, CLASSES), -12.0), torch.randn(LAYERS, SAMPLES, QUERIES, 10)
    for sample, count in enumerate((3, 0, 2)):
        for box in range(count):
            query = QUERIES - 1 - box
            logits[:, sample, query, int(boxes[sample, box, 9])] = 12
            codes[:, sample, query] = encode_boxes(boxes[sample, box, :9])
    assert float(sum(detection_loss(logits, codes, boxes, CONFIG).values())) < 1e-6


def test_a_prediction_that_is_not_finite_makes_a_loss_that_is_not() -> None:
    (logits, codes), boxes = predictions(), targets()
    logits[0, 0, 1], codes[0, 0, 2] = math.nan, math.inf
    assert not torch.stack(list(detection_loss(logits, codes, boxes, CONFIG).values())).sum().isfinite()


def test_the_best_pairs_of_query_and_class_come_out() -> None:
    logits, codes = torch.randn(2, QUERIES, CLASSES), torch.randn(2, QUERIES, 10)
    for sample, found in enumerate(decode(logits, codes, most=7, score=0.0)):
        pairs = sorted(
            ((float(logits[sample, q, c].sigmoid()), q, c) for q in range(QUERIES) for c in range(CLASSES)),
            reverse=True,
        )[:7]
        torch.testing.assert_close(found.scores, torch.tensor([score for score, _, _ in pairs]))
        assert found.labels.tolist() == [label for _, _, label in pairs]
        torch.testing.assert_close(found.boxes, decode_boxes(codes[sample][[query for _, query, _ in pairs]]))


def test_low_scores_are_left_out_and_few_queries_give_few_boxes() -> None:
    logits, codes = torch.randn(1, QUERIES, CLASSES), torch.randn(1, QUERIES, 10)
    (all_of_them,) = decode(logits, codes, most=300, score=0.0)
    assert len(all_of_them.scores) == QUERIES * CLASSES
    (few,) = decode(logits, codes, most=300, score=0.5)
    assert len(few.scores) == int((logits > 0).sum())
    (none,) = decode(logits - 50, codes, most=300, score=0.5)
    assert none.boxes.shape == (0, 9) and none.labels.dtype == torch.long
