"""The searches, against objectives that are known in closed form."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from lightloom.common.errors import RequestError, WorkError
from lightloom.lab.zeroth_order import METHODS, Method, Restart, SearchPlan, Steps, minimise, published_steps

WIDE = torch.float64


class Bowl:
    """L = mean (phi - centre)^2 of every block, which notes what it was asked and checks what it was told."""

    def __init__(self, centre: Tensor) -> None:
        self.centre = centre
        self.asked: list[Tensor] = []
        self.told: list[list[int] | None] = []
        self.losses: list[Tensor] = []

    def __call__(self, phases: Tensor, changed: Sequence[int] | None, /) -> Tensor:
        if changed is not None:
            same = torch.ones(phases.shape[1], dtype=torch.bool)
            same[list(changed)] = False
            assert torch.equal(phases[:, same], self.asked[-1][:, same])
        self.asked.append(phases.clone())
        self.told.append(None if changed is None else list(changed))
        self.losses.append((phases - self.centre).square().mean(1))
        return self.losses[-1].clone()


def plan(method: Method = "zcd", epochs: int = 30, **changes: object) -> SearchPlan:
    values: dict[str, object] = {"steps": Steps(start=0.1, decay=0.9)}
    return SearchPlan(method, epochs, **(values | changes))  # type: ignore[arg-type]


def centres(blocks: int = 5, phases: int = 6) -> Tensor:
    return torch.rand(blocks, phases, dtype=WIDE) - 0.5


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_coordinate_descent_finds_the_bottom(checked: bool, shuffle: bool) -> None:
    bowl = Bowl(centres())
    found = minimise(bowl, torch.zeros(5, 6, dtype=WIDE), plan(epochs=60, checked=checked, shuffle=shuffle), groups=2)
    assert (found.phases - bowl.centre).abs().max() < 0.01
    assert found.history[-1] < 1e-4 < found.history[0]


def test_the_others_find_it_too() -> None:
    bowl = Bowl(centres())
    start = torch.zeros(5, 6, dtype=WIDE)
    assert (minimise(bowl, start, plan("ztp", 60)).phases - bowl.centre).abs().max() < 0.01
    steep = plan("zgd", 300, steps=Steps(start=4.0, decay=0.99))
    assert minimise(bowl, start, steep, groups=2).loss.max() < 0.01 * bowl.losses[0].min()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("restart", [None, Restart(threshold=0.02)])
def test_the_best_that_was_measured_is_kept_and_hints_are_true(
    method: Method, checked: bool, restart: Restart | None
) -> None:
    bowl, start = Bowl(centres()), torch.zeros(5, 6, dtype=WIDE)
    found = minimise(bowl, start, plan(method, 4, checked=checked, restart=restart), groups=2)
    torch.testing.assert_close((found.phases - bowl.centre).square().mean(1), found.loss, rtol=0, atol=1e-15)
    assert len(bowl.asked) == found.evaluations
    visited = torch.stack(bowl.losses)
    if method != "zgd":  # whose directions are probes, not places where it stands
        assert torch.equal(found.loss, visited.amin(0))
        assert sum(told is not None for told in bowl.told) >= 4 * 12
    assert (found.loss <= visited[0]).all()
    assert not start.any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("blocks", [1, 3])
def test_evaluations_are_the_published_number(method: Method, blocks: int) -> None:
    found = minimise(Bowl(centres(blocks, 8)), torch.zeros(blocks, 8, dtype=WIDE), plan(method, 3), groups=2)
    assert found.evaluations == 1 + 3 * 4 * 4  # 4 m per epoch for m phases of each mesh, and the start
    assert len(found.history) == 4 and found.epochs == 3


def test_published_descent_goes_to_minus_d_unasked_and_checked_does_not() -> None:
    for checked, second_start in ((False, -0.1), (True, 0.0)):
        bowl = Bowl(torch.zeros(1, 1, dtype=WIDE))
        minimise(bowl, torch.zeros(1, 1, dtype=WIDE), plan(epochs=2, checked=checked))
        places = [round(phases.item(), 6) for phases in bowl.asked]
        assert places[:3] == [0.0, 0.1, -0.1]
        assert places[3] == pytest.approx(second_start + 0.09)


def test_ternary_takes_the_best_of_three() -> None:
    bowl = Bowl(torch.tensor([[0.1], [-0.1], [0.01]], dtype=WIDE))
    found = minimise(bowl, torch.zeros(3, 1, dtype=WIDE), plan("ztp", 1))
    assert found.phases.flatten().tolist() == pytest.approx([0.1, -0.1, 0.0])


def test_blocks_decide_for_themselves() -> None:
    centre = centres(7)
    together = minimise(Bowl(centre), torch.zeros(7, 6, dtype=WIDE), plan(epochs=5), groups=2)
    for block in range(7):
        alone = minimise(Bowl(centre[block : block + 1]), torch.zeros(1, 6, dtype=WIDE), plan(epochs=5), groups=2)
        assert torch.equal(alone.phases[0], together.phases[block])


def test_both_groups_are_swept_in_one_random_order() -> None:
    bowl = Bowl(centres(2, 10))
    minimise(bowl, torch.zeros(2, 10, dtype=WIDE), plan(epochs=2), groups=2)
    orders = []
    for epoch in range(2):
        tried = bowl.asked[1 + 20 * epoch : 21 + 20 * epoch]
        before = [bowl.asked[20 * epoch], *tried]
        moved = [(after - here).abs().sum(0).argmax().item() for here, after in zip(before, tried, strict=False)]
        orders.append(moved[0::2])
        assert [index - 5 for index in moved[10::2]] == moved[0:10:2]
        assert sorted(moved[0:10:2]) == [0, 1, 2, 3, 4]
    assert orders[0] != orders[1]


def test_direction_estimate_is_the_slope_times_the_variance() -> None:
    slope = torch.tensor([1.0, -2.0], dtype=WIDE)
    blocks = 40_000
    found_at: list[Tensor] = []

    def linear(phases: Tensor, changed: Sequence[int] | None, /) -> Tensor:
        found_at.append(phases.clone())
        return phases @ slope

    minimise(linear, torch.zeros(blocks, 2, dtype=WIDE), plan("zgd", 1, steps=Steps(start=1.0)), groups=2)
    # one inner step: 1 start, 3 directions, then the new place -rate * 0.1^2 * slope on average
    torch.testing.assert_close(found_at[4].mean(0), -0.01 * slope, rtol=0, atol=6e-4)


def test_published_steps_reach_one_level_of_the_drive_at_epoch_140() -> None:
    steps = published_steps("zcd", 8)
    taken = steps.at(torch.tensor([0, 1, 139, 140, 400])).tolist()
    level = 2 * math.pi / 255
    assert taken == pytest.approx([0.1, 0.099, 0.1 * 0.99**139, level, level])
    assert taken[2] > level
    assert published_steps("zcd", None).floor == 0 and published_steps("zgd", 8).start == 1


def test_restart_nudges_stuck_blocks_alone_and_starts_their_schedule_again() -> None:
    bowl = Bowl(torch.tensor([[0.0], [5.0]], dtype=WIDE))
    minimise(bowl, torch.zeros(2, 1, dtype=WIDE), plan(epochs=2, checked=True, restart=Restart(threshold=1.0)))
    after_epoch, nudged, trial = bowl.asked[2], bowl.asked[3], bowl.asked[4]
    assert after_epoch[1].item() == pytest.approx(0.1)  # +d was right, and is measured twice
    assert nudged.flatten().tolist() == pytest.approx([0.0, 0.11])
    assert (trial - nudged).flatten().tolist() == pytest.approx([0.09, 0.1])


def test_going_on_is_as_good_as_not_stopping() -> None:
    centre, start = centres(), torch.zeros(5, 6, dtype=WIDE)
    whole = minimise(Bowl(centre), start, plan(epochs=8, checked=True), groups=2)
    first = minimise(Bowl(centre), start, plan(epochs=3, checked=True), groups=2)
    kept = []
    second = minimise(
        Bowl(centre), first.phases, plan(epochs=8, checked=True), groups=2, first_epoch=3, each_epoch=kept.append
    )
    assert torch.equal(second.phases, whole.phases)
    assert [found.epochs for found in kept] == [4, 5, 6, 7, 8]
    assert torch.equal(kept[-1].phases, second.phases)


def test_what_cannot_be_searched_is_refused() -> None:
    start = torch.zeros(2, 2, dtype=WIDE)
    with pytest.raises(WorkError, match="not finite in 1 of 2 blocks"):
        minimise(lambda phases, changed: torch.tensor([1.0, math.nan]), start, plan())
    with pytest.raises(RequestError, match=r"There is no search `zcdd`. Did you mean `zcd`"):
        minimise(Bowl(start), start, plan("zcdd"))  # type: ignore[arg-type]
