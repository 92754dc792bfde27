from __future__ import annotations

from typing import Any

import pytest
import torch

from lightloom.common.errors import RequestError
from lightloom.data import Batch, Batches

N = 53


def batches(*, batch_size: int = 8, seed: int = 3, rank: int = 0, world: int = 1, shuffle: bool = True) -> Batches:
    indices = torch.arange(N)
    return Batches(
        indices.double()[:, None],
        -indices,
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
        rank=rank,
        world=world,
    )


def everything(parts: list[Batch]) -> list[int]:
    return torch.cat([-part.targets for part in parts]).tolist()


def test_an_epoch_is_a_permutation() -> None:
    parts = list(batches().epoch(0))
    assert [len(part.targets) for part in parts] == [8] * 6 + [5]
    assert len(batches()) == 7
    assert sorted(everything(parts)) == list(range(N))
    assert everything(parts) != list(range(N))
    assert all(torch.equal(part.inputs[:, 0], -part.targets.double()) for part in parts)
    assert all(part.loss_weight == 1 for part in parts)


def test_order_depends_on_epoch_and_seed_and_nothing_else() -> None:
    walked = batches()
    first, second = everything(list(walked.epoch(0))), everything(list(walked.epoch(1)))
    assert first != second
    torch.manual_seed(99)
    assert everything(list(walked.epoch(0))) == first
    assert everything(list(batches().epoch(1))) == second
    assert everything(list(batches(batch_size=11).epoch(1))) == second
    assert everything(list(batches(seed=4).epoch(0))) != first


def test_without_shuffling_the_order_is_the_sets() -> None:
    assert everything(list(batches(shuffle=False).epoch(5))) == list(range(N))


def test_a_stopped_epoch_goes_on_where_it_was() -> None:
    whole = list(batches().epoch(2))
    for start in (0, 3, 7):
        rest = list(batches().epoch(2, start=start))
        assert [part.targets.tolist() for part in rest] == [part.targets.tolist() for part in whole[start:]]


# 13 leaves a last batch of one sample, 9 one of eight; 3 is smaller than the larger worlds.
@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [3, 9, 13, 100])
def test_ranks_share_out_every_global_batch(world: int, batch_size: int) -> None:
    whole = list(batches(batch_size=batch_size).epoch(1))
    ranks = [list(batches(batch_size=batch_size, rank=r, world=world).epoch(1)) for r in range(world)]
    assert {len(parts) for parts in ranks} == {len(whole)}
    for number, reference in enumerate(whole):
        parts = [rank[number] for rank in ranks]
        assert all(len(part.targets) >= 1 for part in parts)
        dealt = [target for part in parts if part.loss_weight for target in part.targets.tolist()]
        assert sorted(dealt) == sorted(reference.targets.tolist())
        for rank, part in enumerate(parts):
            if part.loss_weight:
                assert part.targets.tolist() == reference.targets[rank::world].tolist()


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [3, 9, 13])
def test_shares_reproduce_the_global_mean_loss_and_gradient(world: int, batch_size: int) -> None:
    weight = torch.tensor([[0.3]], dtype=torch.float64, requires_grad=True)

    def loss(part: Batch) -> torch.Tensor:
        return ((part.inputs @ weight).squeeze(1).sin() - part.targets).square().mean()

    ranks = [batches(batch_size=batch_size, rank=r, world=world).epoch(1) for r in range(world)]
    for reference, *parts in zip(batches(batch_size=batch_size).epoch(1), *ranks, strict=True):
        averaged = torch.stack([part.loss_weight * loss(part) for part in parts]).mean()
        torch.testing.assert_close(averaged, loss(reference), rtol=1e-13, atol=0)
        gradients = [torch.autograd.grad(value, weight)[0] for value in (averaged, loss(reference))]
        torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_a_rank_without_a_sample_keeps_step_at_no_weight() -> None:
    last = [list(batches(batch_size=13, rank=r, world=3).epoch(0))[-1] for r in range(3)]
    assert [part.loss_weight for part in last] == [3, 0, 0]  # 53 = 4 * 13 + 1
    assert last[1].targets.tolist() == last[0].targets.tolist()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 0}, "`batch_size` is 0"),
        ({"rank": 2, "world": 2}, "Rank 2 of 2"),
        ({"rank": -1}, "Rank -1 of 1"),
        ({"world": 0}, "of 0"),
    ],
)
def test_wrong_numbers_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        batches(**wrong)


def test_wrong_epochs_are_refused_at_once() -> None:
    with pytest.raises(RequestError, match="`epoch` is -1"):
        batches().epoch(-1)
    for start in (-1, 8):
        with pytest.raises(RequestError, match=f"`start` is {start}.* 7 batches"):
            batches().epoch(0, start=start)


def test_sets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RequestError, match="3 inputs and 2 targets"):
        Batches(torch.zeros(3, 1), torch.zeros(2), batch_size=1, seed=0)
    with pytest.raises(RequestError, match="no sample"):
        Batches(torch.zeros(0, 1), torch.zeros(0), batch_size=1, seed=0)
