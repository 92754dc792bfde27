"""Pulses, energy, time and life of phase-change cells, counted once more cell by cell."""

import math

import pytest
import torch

from lightloom.physics.pcm import wear
from lightloom.physics.pcm.writes import Writes, count

MODELS = ("per_level", "per_cell", "erase_write")
A_J, C_J, A_S, C_S = 9.0, 40.0, 0.5, 20.0


def one_cell(*levels: int) -> torch.Tensor:
    return torch.tensor(levels, dtype=torch.int8).view(1, 1, -1, 1)


def by_hand(sequence: torch.Tensor, model: str) -> tuple[torch.Tensor, float, float]:
    """Pulses [A, 2, k, k], energy and time of an inference that starts erased, one cell and turn after the other."""
    arrays, size, turns, _ = sequence.shape
    pulses, energy, time = torch.zeros(arrays, 2, size, size, dtype=torch.float64), 0.0, 0.0
    heights = torch.zeros(arrays, 2, size, size, dtype=torch.int64)
    for turn in range(turns):
        slowest = 0.0
        for a, sign, i, j in torch.cartesian_prod(*map(torch.arange, heights.shape)).tolist():
            s = int(sequence[a, i, turn, j])
            height = max(s, 0) if sign == 0 else max(-s, 0)
            change, heights[a, sign, i, j] = height - int(heights[a, sign, i, j]), height
            if not change:
                continue
            up, down = max(change, 0), max(-change, 0)
            if model == "per_cell":
                up, down = int(up > 0), int(down > 0)
            elif model == "erase_write":
                up, down = int(height > 0), 1
            pulses[a, sign, i, j] += up + down
            energy += up * A_J + down * C_J
            slowest = max(slowest, A_S + C_S if model == "erase_write" else up * A_S + down * C_S)
        time += slowest
    return pulses, energy, time


@pytest.mark.parametrize("model", MODELS)
def test_every_model_against_one_cell_after_the_other(model: str) -> None:
    sequence = torch.randint(-4, 5, (2, 3, 6, 3), dtype=torch.int8)
    writes = count(sequence)
    pulses, energy, time = by_hand(sequence, model)
    assert torch.equal(wear.pulses(writes, model), pulses)
    assert wear.energy(writes, model, A_J, C_J) == pytest.approx(energy)
    assert wear.latency(writes, model, A_S, C_S) == pytest.approx(time)


@pytest.mark.parametrize(
    ("model", "pulses", "energy", "time"),
    [
        # positive cell 0 3 1 0 2, negative cell 0 0 0 4 0
        ("per_level", [8, 8], 9 * (5 + 4) + 40 * (3 + 4), 1.5 + 40 + 20 + 80),
        ("per_cell", [4, 2], 9 * (2 + 1) + 40 * (2 + 1), 0.5 + 20 + 20 + 20),
        ("erase_write", [7, 3], 9 * (3 + 1) + 40 * (4 + 2), 4 * 20.5),
    ],
)
def test_two_cells_in_numbers(model: str, pulses: list[int], energy: float, time: float) -> None:
    writes = count(one_cell(3, 1, -4, 2))
    assert wear.pulses(writes, model).flatten().tolist() == pulses
    assert wear.energy(writes, model, A_J, C_J) == energy
    assert wear.latency(writes, model, A_S, C_S) == time


def test_the_negative_array_is_counted_with_its_own_changes_and_the_right_constants() -> None:
    rising = count(one_cell(3, 1, -4))
    assert wear.energy(rising, "per_level", A_J, C_J) == 9 * (3 + 4) + 40 * 3
    # with the two constants of the negative array swapped, as published, its 4 levels up would take 40 each
    assert wear.energy(rising, "per_level", A_J, C_J) != 9 * 3 + 40 * (3 + 4)
    # and with the changes of the positive array read in its place, the way back from -4 would take no time
    assert wear.latency(count(one_cell(-4, 0)), "per_level", A_S, C_S) == 4 * 0.5 + 4 * 20


def test_inferences_that_alternate_share_what_both_passes_write() -> None:
    writes = count(one_cell(0, 5, 0, 2), "alternate")
    # there 0 5 0 2 and back: 7 up and 5 down, then 5 up and 7 down
    assert wear.pulses(writes, "per_level").sum() == 12
    assert wear.energy(writes, "per_level", A_J, C_J) == (9 * 12 + 40 * 12) / 2
    assert wear.latency(writes, "per_level", A_S, C_S) == (2.5 + 100 + 1 + 40 + 2.5 + 100) / 2


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ValueError, match="`per_row` is no way of writing; known: per_level"):
        wear.pulses(count(one_cell(1)), "per_row")


def test_the_published_worst_cell_lives_as_long_as_its_endurance_allows() -> None:
    # 401 writes per inference at worst, 19 after write-aware training and reordering; GSST endures 67,000
    assert wear.lifetime(torch.tensor([19.0, 401.0]), 67e3) == pytest.approx(167.08, abs=0.01)
    assert wear.lifetime(torch.tensor([19.0, 2.0]), 67e3) == pytest.approx(3526.3, abs=0.1)


def test_life_ends_with_the_first_cell_or_with_a_share_of_them() -> None:
    pulses = torch.arange(100, dtype=torch.float64).view(10, 10)  # one cell is never written
    assert wear.lifetime(pulses, 990) == 10
    assert wear.lifetime(pulses, 990, share=0.01) == 10
    assert wear.lifetime(pulses, 990, share=0.99) == 990
    assert wear.lifetime(pulses, 990, share=1.0) == math.inf
    shares = [wear.lifetime(pulses, 990, share=share / 100) for share in range(101)]
    assert shares == sorted(shares)
    endurance = torch.full((10, 10), 990.0)
    endurance[0, 1] = 3
    assert wear.lifetime(pulses, endurance) == 3


def test_cells_that_are_never_written_live_for_ever() -> None:
    assert wear.lifetime(torch.zeros(2, 3), 5e3) == math.inf
    assert wear.years(math.inf, 1e3) == math.inf


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_impossible_shares_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="0 <= share <= 1"):
        wear.lifetime(torch.ones(3), 1.0, share)


def test_years_at_a_rate() -> None:
    assert wear.years(365.25 * 86400 * 30, 30.0) == pytest.approx(1)
    with pytest.raises(ValueError, match="above 0 Hz, got 0"):
        wear.years(1.0, 0)


def test_the_counts_are_named_for_what_they_are() -> None:
    """`wear` reads the fields that stand for a change upwards as amorphising: one level up on one cell."""
    one, none = torch.ones(1, 2, 1, 1, dtype=torch.int32), torch.zeros(1, 2, 1, 1, dtype=torch.int32)
    up, down = torch.ones(1, dtype=torch.int32), torch.zeros(1, dtype=torch.int32)
    writes = Writes(one, none, one, none, none, up, down, 1)
    assert wear.energy(writes, "per_level", A_J, C_J) == 2 * A_J
    assert wear.latency(writes, "per_level", A_S, C_S) == A_S
