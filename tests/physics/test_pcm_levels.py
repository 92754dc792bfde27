"""Levels against the published quantiser, computed slowly in double precision with logarithms and powers."""

import math

import pytest
import torch
from torch import Tensor

from lightloom.physics.pcm import MOST_LEVELS, PAD, from_levels, magnitudes, to_levels, transmissions

pytestmark = pytest.mark.usefixtures("backend")

BASE = 0.872


def table(bits: int) -> Tensor:
    return magnitudes(transmissions(2**bits, BASE))


def slow_level(value: float, steps: int) -> tuple[int, float]:
    """The nearer in transmission of both levels around log_base, signed, and by how much it is nearer."""
    floor = BASE**steps
    wanted = abs(value) * (1 - floor) + floor
    exact = math.log(wanted) / math.log(BASE)
    lower, upper = (min(max(round_to(exact), 0), steps) for round_to in (math.floor, math.ceil))
    apart = [abs(BASE**n - wanted) for n in (lower, upper)]
    nearest = lower if apart[0] < apart[1] else upper
    return int(math.copysign(steps - nearest, value)), abs(apart[0] - apart[1]) if lower != upper else 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bits", [3, 4, 5, 6])
def test_levels_are_those_of_the_published_quantiser(bits: int, dtype: torch.dtype) -> None:
    steps = 2**bits - 1
    values = torch.cat((2 * torch.rand(3000) - 1, 0.02 * torch.randn(1000), torch.tensor([0.0, -0.0, 1.0, -1.0])))
    values = values.to(dtype)
    levels = to_levels(values, table(bits))
    assert levels.dtype == torch.int8
    for value, level in zip(values.tolist(), levels.tolist(), strict=True):
        expected, margin = slow_level(value, steps)
        assert level == expected or margin < 1e-12, value


def test_magnitudes_are_the_published_ones() -> None:
    published = [0, 0.0216, 0.0463, 0.0747, 0.1072, 0.1446, 0.1874, 0.2364, 0.2927]
    published += [0.3573, 0.4313, 0.5162, 0.6135, 0.7252, 0.8532, 1]
    made = table(4)
    torch.testing.assert_close(made, torch.tensor(published, dtype=torch.float64), atol=5e-5, rtol=0)
    assert made[0] == 0 and made[-1] == 1
    assert transmissions(16, BASE)[-1] == pytest.approx(0.128158, abs=5e-7)


@pytest.mark.parametrize("bits", [3, 4, 5, 6])
def test_all_numbers_below_the_first_threshold_are_exactly_zero(bits: int) -> None:
    made = table(bits)
    threshold = float(made[1]) / 2
    last = int(torch.tensor(threshold).view(torch.int32))
    numbers = torch.arange(0, last - 1, 9973, dtype=torch.int32).view(torch.float32)  # of each binade the same share
    near = torch.arange(last - 500, last - 1, dtype=torch.int32).view(torch.float32)
    numbers = torch.cat((numbers, near))
    assert len(numbers) > 90_000 and float(numbers[-1]) < threshold
    for signed in (numbers, -numbers):
        levels = to_levels(signed, made)
        assert (levels == 0).all()
        assert (from_levels(levels, made) == 0.0).all()
    above = torch.arange(last + 1, last + 500, dtype=torch.int32).view(torch.float32)
    assert (to_levels(above, made) == 1).all() and (to_levels(-above, made) == -1).all()


def test_small_gaussian_weights_do_not_become_the_first_level() -> None:
    weights = (0.05 * torch.randn(100_000, generator=torch.Generator().manual_seed(1))).tanh()
    weights /= weights.abs().max()
    made = table(4)
    below = weights.abs() < float(made[1]) / 2
    assert (to_levels(weights, made)[below] == 0).all()
    # The published code computes the transmission of the darkest level twice. The one in single precision came out a
    # unit in the last place lower, was taken for a level beyond the darkest, and put to 0.
    dark = BASE**15
    wanted = weights.abs() * (1 - dark) + dark
    levels = torch.stack(((wanted.log() / math.log(BASE)).floor(), (wanted.log() / math.log(BASE)).ceil()))
    made_twice = torch.tensor(BASE) ** levels.clamp(0, 15)
    made_twice = torch.where(levels >= 15, torch.nextafter(torch.tensor(dark), torch.tensor(0.0)), made_twice)
    made_twice = torch.where(made_twice < dark, 0, made_twice)
    chosen = made_twice.gather(0, (made_twice - wanted).abs().argmin(0, keepdim=True))[0]
    wrong = below & ((chosen - dark).abs() > 1e-3)
    assert 0.03 < float(wrong.float().mean()) < 0.05


def test_halfway_the_smaller_level_is_taken() -> None:
    made = magnitudes(torch.tensor([1.0, 0.875, 0.75, 0.5], dtype=torch.float64))
    assert made.tolist() == [0, 0.5, 0.75, 1]
    halfway = torch.tensor([0.25, 0.625, 0.875])
    assert to_levels(halfway, made).tolist() == [0, 1, 2]
    assert to_levels(-halfway, made).tolist() == [0, -1, -2]
    above = torch.nextafter(halfway, torch.tensor(1.0))
    assert to_levels(above, made).tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [2, 3, 16, 17, 33, MOST_LEVELS])
def test_there_and_back(levels: int, dtype: torch.dtype) -> None:
    made = magnitudes(torch.linspace(0.9, 0.3, levels, dtype=torch.float64))
    steps = levels - 1
    signed = torch.arange(-steps, steps + 1, dtype=torch.int8)
    weights = from_levels(signed, made)
    torch.testing.assert_close(weights, signed.double() / steps)
    assert weights.dtype == torch.float64
    assert torch.equal(to_levels(weights.to(dtype), made), signed)
    assert torch.equal(to_levels(weights.to(dtype).expand(3, -1).T, made), signed.expand(3, -1).T)


def test_nothing_becomes_nothing() -> None:
    made = table(4)
    assert to_levels(torch.empty(0, 5), made).shape == (0, 5)
    assert from_levels(torch.empty(0, 5, dtype=torch.int8), made).shape == (0, 5)


@pytest.mark.parametrize("values", [[0.5, 1.001], [-1.5], [math.nan, 0.0], [math.inf]])
def test_values_beyond_the_largest_weight_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="divide them by their largest magnitude"):
        to_levels(torch.tensor(values), table(4))


@pytest.mark.parametrize("levels", [[16], [-16], [0, PAD], [127]])
def test_levels_of_other_cells_are_refused_and_never_wrap(levels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"within -15 \.\.\. 15"):
        from_levels(torch.tensor(levels, dtype=torch.int8), table(4))


def test_numbers_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(TypeError, match=r"got torch\.int8"):
        to_levels(torch.zeros(2, dtype=torch.int8), table(4))
    with pytest.raises(TypeError, match=r"got torch\.float32"):
        from_levels(torch.zeros(2), table(4))


@pytest.mark.parametrize("levels", [1, 0, -3, 65, 256])
def test_a_number_of_levels_out_of_range_is_refused(levels: int) -> None:
    with pytest.raises(ValueError, match=f"2 to 64 levels, got {levels}"):
        transmissions(levels, BASE)


@pytest.mark.parametrize("base", [0.0, 1.0, -0.5, 1.2, math.nan])
def test_a_base_out_of_range_is_refused(base: float) -> None:
    with pytest.raises(ValueError, match=f"base = {base}"):
        transmissions(16, base)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([1.0, 0.5, 0.5], "fall strictly"),
        ([0.2, 0.5, 1.0], "fall strictly"),
        ([1.0, math.nan, 0.5], "above 0 and at most 1"),
        ([1.0, 0.5, 0.0], "above 0 and at most 1"),
        ([80.0, 50.0, 20.0], "not dB or %"),
        ([0.9], "2 to 64 levels, got 1"),
        ([1 / (1 + n) for n in range(65)], "2 to 64 levels, got 65"),
    ],
)
def test_measured_transmissions_that_are_none_are_refused(given: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        magnitudes(torch.tensor(given, dtype=torch.float64))


@pytest.mark.parametrize("levels", [1, 65, 200])
def test_a_table_beyond_any_cell_is_refused_before_levels_wrap(levels: int) -> None:
    with pytest.raises(ValueError, match=f"2 to 64 levels, got {levels}"):
        to_levels(torch.ones(3), torch.linspace(0, 1, levels))


def test_a_table_of_tables_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got the shape \[2, 3\]"):
        magnitudes(torch.ones(2, 3))
