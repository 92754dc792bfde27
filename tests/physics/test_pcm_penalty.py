"""The write-aware penalty against loops over cells and turns, and its gradient against finite differences."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.pcm import magnitudes, transmissions
from lightloom.physics.pcm.penalty import Penalty, penalty, slopes, write
from lightloom.physics.pcm.quantise import quantise

pytestmark = pytest.mark.usefixtures("backend")

BASE, LEVELS, STEPS = 0.872, 16, 15
GROUPS, ROWS, COLUMNS, SIZE = 2, 5, 11, 3
KINDS = [
    *[(reference, norm, "erased") for reference in ("row_mean", "global_mean", "erased") for norm in ("l1", "l2")],
    *[("previous", norm, start) for norm in ("l1", "l2") for start in ("erased", "repeat", "alternate")],
]
ORDERS = ["natural", "shared", "private"]


def table() -> Tensor:
    return magnitudes(transmissions(LEVELS, BASE))


def order(kind: str, seed: int = 0) -> dict[str, Tensor]:
    """A random order of the matrix [GROUPS * ROWS, COLUMNS]; places that hold nothing come anywhere."""
    if kind == "natural":
        return {}
    generator = torch.Generator().manual_seed(seed)

    def shuffled(number: int, places: int, first: int = 0) -> Tensor:
        placed = torch.cat((torch.arange(number) + first, torch.full((places - number,), -1)))
        return placed[torch.randperm(places, generator=generator)].int()

    p, q = -(-ROWS // SIZE), -(-COLUMNS // SIZE)
    rows = torch.stack([shuffled(ROWS, p * SIZE, group * ROWS) for group in range(GROUPS)])
    lines = GROUPS * p * (SIZE if kind == "private" else 1)
    columns = torch.stack([shuffled(COLUMNS, q * SIZE) for _ in range(lines)])
    return {"rows": rows.view(-1, SIZE), "columns": columns.view(GROUPS * p, -1, q, SIZE)}


def aim(kind: tuple[str, str, str], layout: str) -> Penalty:
    reference, norm, start = kind
    return Penalty(SIZE, GROUPS, reference, norm, start, **order(layout))  # type: ignore[arg-type]


def cells(asked: Penalty) -> list[list[list[tuple[int, int]]]]:
    """Places in the matrix that each pair of cells of each array takes, turn by turn: [A][k * k][turns]."""
    found: list[list[list[tuple[int, int]]]] = []
    p, q = -(-ROWS // SIZE), -(-COLUMNS // SIZE)
    for array in range(GROUPS * p):
        found.append([])
        for i in range(SIZE):
            for j in range(SIZE):
                if asked.rows is None or asked.columns is None:
                    inner = array % p * SIZE + i
                    row = array // p * ROWS + inner if inner < ROWS else -1
                    taken = [t * SIZE + j if t * SIZE + j < COLUMNS else -1 for t in range(q)]
                else:
                    row = int(asked.rows[array, i])
                    line = asked.columns[array, i if asked.columns.shape[1] > 1 else 0]
                    taken = line[:, j].tolist()
                found[-1].append([(row, column) for column in taken if row >= 0 and column >= 0])
    return found


def slow(values: Tensor, asked: Penalty, fixed: Tensor | None = None) -> float:
    """The penalty of c = `values`, by its definition; means are those of `fixed`."""
    c = values.tolist()
    still = c if fixed is None else fixed.tolist()
    arrays = cells(asked)
    assert sorted(place for array in arrays for cell in array for place in cell) == sorted(
        (row, column) for row in range(GROUPS * ROWS) for column in range(COLUMNS)
    )
    total = 0.0
    for array in arrays:
        for number, cell in enumerate(array):
            alike = [cell] if asked.reference == "row_mean" else [other[number] for other in arrays]
            held = [still[row][column] for taken in alike for row, column in taken]
            before: float | None = {"erased": 0.0, "alternate": None}.get(asked.start)
            if asked.start == "repeat" and cell:
                before = c[cell[-1][0]][cell[-1][1]]
            for row, column in cell:
                now = c[row][column]
                reference: float | None = {"erased": 0.0, "previous": before}.get(
                    asked.reference, sum(held) / len(held)
                )
                difference = 0.0 if reference is None else now - reference
                total += difference**2 if asked.norm == "l2" else abs(difference)
                before = now
    return total / values.numel()


@pytest.mark.parametrize("layout", ORDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_value_is_that_of_a_loop_over_cells_and_turns(kind: tuple[str, str, str], layout: str) -> None:
    asked = aim(kind, layout)
    matrix = torch.randn(GROUPS * ROWS, COLUMNS)
    written = write(matrix, table(), asked)
    assert torch.equal(written.levels, quantise(matrix, table()).levels)
    assert torch.equal(written.weight, quantise(matrix, table()).weight)
    assert written.penalty.item() == pytest.approx(slow(written.levels.double() / STEPS, asked), rel=1e-5)


@pytest.mark.parametrize("layout", ORDERS)
@pytest.mark.parametrize("start", ["erased", "repeat", "alternate"])
def test_previous_counts_the_levels_that_are_written(start: str, layout: str) -> None:
    asked = aim(("previous", "l1", start), layout)
    matrix = torch.randn(GROUPS * ROWS, COLUMNS, dtype=torch.float64)
    value, levels = penalty(matrix, table(), asked), quantise(matrix, table()).levels
    count = 0
    for array in cells(asked):
        for cell in array:
            states = [int(levels[place]) for place in cell]
            first = {"erased": [0], "repeat": states[-1:], "alternate": states[:1]}[start]
            count += sum(abs(now - was) for was, now in pairwise(first + states))
    assert value.item() * STEPS * matrix.numel() == pytest.approx(count, rel=1e-12)


def on_levels(gain: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """A matrix whose weights all lie on levels, and its levels s / L as they pass smoothly on (a constant)."""
    generator = torch.Generator().manual_seed(3)
    levels = torch.randint(-STEPS, STEPS + 1, (GROUPS * ROWS, COLUMNS), generator=generator)
    levels[0, 0] = STEPS
    x = levels.sign() * table()[levels.abs()]
    largest, dark = 0.8 * gain, BASE**STEPS

    def smooth(matrix: Tensor) -> Tensor:
        u = gain * torch.tanh(matrix / gain)
        y = u.abs() / largest * (1 - dark) + dark
        return u.sign() * (STEPS - y.log() / math.log(BASE)) / STEPS

    return gain * torch.atanh(x * largest / gain), smooth


@pytest.mark.parametrize("layout", ORDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_agrees_with_finite_differences_of_smooth_levels(kind: tuple[str, str, str], layout: str) -> None:
    asked, gain, step = aim(kind, layout), 1.4, 1e-6
    matrix, smooth = on_levels(gain)
    fixed = smooth(matrix)
    value = penalty(matrix.requires_grad_(), table(), asked, torch.tensor(gain, dtype=torch.float64))
    assert value.item() == pytest.approx(slow(fixed, asked), rel=1e-9)
    (found,) = torch.autograd.grad(value, matrix)
    for row, column in [(0, 0), (3, 7), (4, 10), (5, 0), (7, 4), (9, 10)]:
        ends = []
        for sign in (1, -1):
            moved = matrix.detach().clone()
            moved[row, column] += sign * step
            ends.append(slow(smooth(moved), asked, fixed))
        assert float(found[row, column]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-7)


@pytest.mark.parametrize("layout", ORDERS)
def test_a_weight_between_levels_has_the_published_slope_there(layout: str) -> None:
    matrix = torch.randn(GROUPS * ROWS, COLUMNS, dtype=torch.float64, requires_grad=True)
    asked, dark = aim(("erased", "l2", "erased"), layout), BASE**STEPS
    written = write(matrix, table(), asked)
    (found,) = torch.autograd.grad(written.penalty, matrix)
    u = torch.tanh(matrix.detach())
    largest = u.abs().max()
    x = u.abs() / largest
    slope = (1 - dark) / ((x * (1 - dark) + dark) * -math.log(BASE) * STEPS) / largest * (1 - u**2)
    torch.testing.assert_close(found, 2 * written.levels / STEPS * slope / matrix.numel())


def test_slopes_of_equal_steps_are_constant_and_of_measured_ones_lie_between_both_sides() -> None:
    straight = slopes(magnitudes(torch.linspace(0.9, 0.3, 8, dtype=torch.float64)))
    torch.testing.assert_close(straight[0], torch.full((8,), 1 / 7, dtype=torch.float64))
    torch.testing.assert_close(straight[1], torch.zeros(8, dtype=torch.float64))
    torch.testing.assert_close(slopes(torch.tensor([0.0, 1.0]))[0], torch.ones(2, dtype=torch.float64))
    measured = magnitudes(torch.tensor([0.95, 0.8, 0.76, 0.5, 0.45, 0.2], dtype=torch.float64))
    offset, growth = slopes(measured)
    tangents, gaps = offset + growth * measured, measured.diff()
    assert (tangents > 0).all()
    assert (tangents[1:-1] > torch.minimum(gaps[1:], gaps[:-1])).all()
    assert (tangents[1:-1] < torch.maximum(gaps[1:], gaps[:-1])).all()
    for end in (measured - 0.5 * gaps[[0, 0, 1, 2, 3, 4]], measured + 0.5 * gaps[[0, 1, 2, 3, 4, 4]]):
        assert (offset + growth * end.clamp(0, 1) > 0).all()  # as far as a level is the nearest


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("layout", ORDERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("kernels")
def test_both_backends_give_the_same(
    kind: tuple[str, str, str], layout: str, dtype: torch.dtype, tolerance: float
) -> None:
    asked = aim(kind, layout)
    matrix = torch.randn(GROUPS * ROWS, COLUMNS, dtype=dtype, requires_grad=True)
    upstream = torch.randn(GROUPS * ROWS, COLUMNS, dtype=dtype)
    results: list[tuple[Any, Tensor]] = []
    for name in ("torch", "compiled"):
        with compiled.use(name):
            written = write(matrix, table(), asked, torch.tensor(0.8))
            loss = (written.weight * upstream).sum() + 30 * written.penalty
            results.append((written, torch.autograd.grad(loss, matrix)[0]))
    (plain, slope), (fast, fast_slope) = results
    assert torch.equal(plain.levels, fast.levels) and torch.equal(plain.weight, fast.weight)
    torch.testing.assert_close(plain.penalty, fast.penalty, rtol=tolerance, atol=0)
    torch.testing.assert_close(slope, fast_slope, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", [1, 4, 16, 64])
def test_blocks_of_any_size_and_gradients_of_weight_and_penalty_add_up(size: int) -> None:
    matrix = torch.randn(40, 130, dtype=torch.float64, requires_grad=True)
    asked = Penalty(size, reference="previous", start="repeat")
    written = write(matrix, table(), asked)
    (weight,) = torch.autograd.grad(written.weight.sum(), matrix, retain_graph=True)
    (level,) = torch.autograd.grad(written.penalty, matrix, retain_graph=True)
    (both,) = torch.autograd.grad(written.weight.sum() + 3 * written.penalty, matrix)
    torch.testing.assert_close(both, weight + 3 * level)
    torch.testing.assert_close(weight, 1 - matrix.detach().tanh() ** 2)
    c = torch.nn.functional.pad(written.levels.double() / STEPS, (0, -130 % size)).view(40, -1, size)
    last = c[:, -1].clone()
    last[:, 130 % size or size :] = c[:, -2, 130 % size or size :] if 130 % size else 0
    before = torch.cat((last[:, None], c[:, :-1]), 1)
    real = torch.nn.functional.pad(torch.ones(40, 130), (0, -130 % size)).view(40, -1, size)
    assert written.penalty.item() == pytest.approx(float(((c - before) ** 2 * real).sum()) / matrix.numel())


@pytest.mark.parametrize("kind", KINDS)
def test_a_matrix_of_zeros_costs_nothing_and_stays_finite(kind: tuple[str, str, str]) -> None:
    matrix = torch.zeros(GROUPS * ROWS, COLUMNS, requires_grad=True)
    value = penalty(matrix, table(), aim(kind, "natural"))
    (found,) = torch.autograd.grad(value, matrix)
    assert value.item() == 0 and torch.equal(found, torch.zeros_like(matrix))


def broken(field: str, kind: str) -> dict[str, Any]:
    """An order with one thing wrong."""
    fields: dict[str, Any] = {name: tensor.clone() for name, tensor in order("private").items()}
    if kind == "missing":
        fields[field] = None
    elif kind == "dtype":
        fields[field] = fields[field].long()
    elif kind == "shape":
        fields[field] = fields[field][:-1]
    else:
        used = (fields[field] >= 0).nonzero()[0].tolist()
        fields[field][tuple(used)] = {"left out": -1, "beyond": 1000}[kind]
    return fields


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reference": "median"}, "reference .* not 'median'"),
        ({"norm": "l3"}, "norm .* not 'l3'"),
        ({"start": "warm"}, "start .* not 'warm'"),
        ({"size": 0}, "blocks of 0"),
        ({"groups": 3}, "3 groups"),
        (broken("rows", "missing"), "give both"),
        (broken("columns", "missing"), "give both"),
        (broken("rows", "dtype"), "int32"),
        (broken("columns", "dtype"), "int32"),
        (broken("rows", "shape"), r"rows \[4, 3\]"),
        (broken("columns", "shape"), r"columns \[4, 1 or 3, 4, 3\]"),
        (broken("rows", "left out"), "each of the 10 rows"),
        (broken("rows", "beyond"), "each of the 10 rows"),
        (broken("columns", "left out"), "each of the 110 weights"),
        (broken("columns", "beyond"), "1000|each of the 110 weights"),
    ],
)
def test_a_penalty_that_does_not_fit_is_refused(change: dict[str, Any], reason: str) -> None:
    asked = Penalty(SIZE, GROUPS)._replace(**change)
    with pytest.raises(ValueError, match=reason):
        write(torch.randn(GROUPS * ROWS, COLUMNS), table(), asked)


def test_a_matrix_of_other_dimensions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got the shape \[4, 4, 4\]"):
        penalty(torch.randn(4, 4, 4), table(), Penalty(2))
