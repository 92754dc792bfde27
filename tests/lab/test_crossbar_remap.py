"""Matrices on aged cells: choices against brute force, and networks that work again."""

from itertools import permutations

import pytest
import torch
from torch import Tensor, nn

from lightloom import chips
from lightloom.chips import PCMChip
from lightloom.common.errors import RequestError
from lightloom.lab.crossbar import (
    InstrumentedCrossbar,
    Remapped,
    Surveyed,
    age,
    instruments_for,
    remap,
    store,
    survey,
    wear_rates,
)
from lightloom.lab.crossbar.remap import Freedom, choose, look_up
from lightloom.nn import PCMCore, convert, cores, install
from lightloom.physics import pcm
from lightloom.physics.pcm import schedule
from lightloom.physics.pcm.levels import signed
from lightloom.physics.pcm.order.sort import sort_cells

ELIGHT = chips.preset("elight", PCMChip).replace(block_size=4)
WAYS = [
    ("row_private", "slot", False),
    ("row_private", "any", False),
    ("column_shared", "slot", False),
    ("column_shared", "any", False),
    ("column_shared", "any", True),
    ("block_shared", "any", False),
]


def known(chip: PCMChip, arrays: int, seed: int = 0) -> Surveyed:
    """A survey without errors of its own."""
    drawn = chip.specimen(seed).pcm_errors("core", arrays)
    cells = (arrays, 2, chip.block_size, chip.block_size)
    absorption = torch.ones(cells) if drawn.absorption is None else drawn.absorption
    stuck = torch.full(cells, -1, dtype=torch.int8) if drawn.stuck is None else drawn.stuck
    return Surveyed(absorption.double(), stuck, 0.0, 0.0, (), 0, torch.zeros(cells, dtype=torch.int32))


def programmed(chip: PCMChip, rows: int, columns: int, groups: int = 1) -> PCMCore:
    core = PCMCore(chip, rows, columns, groups)
    core.program(torch.randn(groups * rows, columns))
    return core


def remapped(core: PCMCore, chip: PCMChip, cells: Surveyed, **asked: bool) -> Remapped:
    return remap(core.levels(), chip, cells, core.schedule, groups=core.groups, freedom=Freedom(**asked))


def test_signed_levels_reach_all_that_a_pair_with_a_stuck_cell_can_make() -> None:
    chip = ELIGHT.replace(levels=8, stuck_fraction=0.4)
    cells = known(chip, 3)
    table = chip.table()
    made = look_up(table, cells)
    wanted = signed(pcm.magnitudes(table))
    choice, error = choose(made, wanted)
    held = [
        torch.where(cells.stuck[:, s, ..., None] < 0, torch.arange(8), cells.stuck[:, s, ..., None]) for s in (0, 1)
    ]
    pairs = (table[held[0]][..., :, None] - table[held[1]][..., None, :]) / (table[0] - table[-1])  # any n with any n
    best = (pairs.flatten(3)[..., None] - wanted).abs().amin(3)
    broken = (cells.stuck >= 0).any(1)
    assert broken.any()
    torch.testing.assert_close(error[broken].sqrt(), best[broken].float(), atol=1e-6, rtol=0)
    asked = made.gather(3, choice.long() + 7)
    torch.testing.assert_close((asked - wanted.float()).square(), error, atol=1e-6, rtol=0)
    assert bool((choice[~broken] == torch.arange(-7, 8)).all())


def test_of_levels_that_make_the_same_the_one_with_the_fewest_writes_is_asked_for() -> None:
    cells = known(ELIGHT, 1)
    cells.stuck[:, 0] = 15  # dark: no positive weight can be made
    choice, _ = choose(look_up(ELIGHT.table(), cells), signed(pcm.magnitudes(ELIGHT.table())))
    assert bool((choice[..., 15:] == 0).all())
    assert bool((choice[..., :15] == torch.arange(-15, 0)).all())


def test_rows_are_placed_as_well_as_any_permutation_places_them() -> None:
    chip = ELIGHT.replace(stuck_fraction=0.15, absorption_std=0.1)
    core, cells = programmed(chip, 3, 7), known(chip, 1)
    got = remapped(core, chip, cells, levels=False)
    made, wanted = look_up(chip.table(), cells), signed(pcm.magnitudes(chip.table())).float()
    errors = []
    for rows in permutations(range(4), 3):  # one array row is spare
        seat = made[0][list(rows)].repeat(1, 2, 1)[:, :7]  # columns 4 ... 6 sit in slots 0 ... 2 again
        index = core.levels().long() + 15
        errors.append(float((seat.gather(2, index.unsqueeze(2)).squeeze(2) - wanted[index]).square().sum()))
    power = float(wanted[core.levels().long() + 15].square().sum())
    assert got.after == pytest.approx(min(errors) / power, rel=1e-5)
    assert got.before == pytest.approx(errors[0] / power, rel=1e-5)


@pytest.mark.parametrize(("sharing", "scope", "broadcast"), WAYS)
@pytest.mark.parametrize("groups", [1, 3])
def test_the_core_makes_what_was_expected(sharing: str, scope: str, broadcast: bool, groups: int) -> None:
    chip = ELIGHT.replace(sharing=sharing, scope=scope, broadcast=broadcast, stuck_fraction=0.05, absorption_std=0.03)
    core = programmed(chip, 10, 14, groups)
    wanted = core.ideal_weight().detach()
    core.install(chip.specimen(2))
    cells = known(chip, len(core.array_rows), 2)
    assert core.error(wanted) == pytest.approx(remapped(core, chip, cells).before, rel=1e-4)
    found = remapped(core, chip, cells, slots=True)
    store(core, found)
    assert torch.equal(core.levels(), found.levels)
    assert core.error(wanted) == pytest.approx(found.after, rel=1e-4)
    assert found.after < 0.5 * found.before


@pytest.mark.parametrize(("sharing", "scope", "broadcast"), WAYS)
def test_slots_move_as_far_as_inputs_are_shared(sharing: str, scope: str, broadcast: bool) -> None:
    chip = ELIGHT.replace(sharing=sharing, scope=scope, broadcast=broadcast, stuck_fraction=0.1)
    core = programmed(chip, 8, 12)
    columns = remapped(core, chip, known(chip, 2), slots=True).schedule.columns
    assert torch.equal(columns.sort(3).values, core.schedule.columns.expand_as(columns))  # all in their turns
    assert not torch.equal(columns, core.schedule.columns.expand_as(columns))
    assert columns.shape[1] == (4 if sharing == "row_private" else 1)
    order = columns % 4
    fixed = scope == "slot" or sharing == "block_shared"
    assert fixed == torch.equal(order, order[:, :, :1].expand_as(order))
    assert broadcast == torch.equal(columns[0], columns[1])


def test_every_choice_helps_and_together_they_help_most() -> None:
    chip = ELIGHT.replace(block_size=16, stuck_fraction=0.03, scope="any")
    core = programmed(chip, 40, 60)
    cells = known(chip, 3)
    rows = remapped(core, chip, cells, levels=False).after
    levels = remapped(core, chip, cells, rows=False).after
    both = remapped(core, chip, cells)
    slots = remapped(core, chip, cells, slots=True).after
    assert rows < 0.8 * both.before and levels < 0.4 * both.before
    assert both.after < 0.5 * levels and slots < 0.2 * both.after


def test_on_healthy_cells_levels_stay_and_nothing_is_missed() -> None:
    core = programmed(ELIGHT, 6, 9)
    found = remapped(core, ELIGHT, known(ELIGHT, 2))
    assert torch.equal(found.levels, core.levels())
    assert found.before == found.after < 1e-13  # single precision


def test_a_core_keeps_its_scale_where_its_largest_weight_is_lost() -> None:
    core = PCMCore(ELIGHT, 4, 4)
    core.program(torch.full((4, 4), 0.1).index_put((torch.tensor(0), torch.tensor(0)), torch.tensor(1.0)))
    cells = known(ELIGHT, 1)
    cells.stuck[:, 0] = 10  # 15 can be made nowhere
    before = core.scale()
    found = remapped(core, ELIGHT, cells)
    assert int(found.levels.abs().max()) == 15
    store(core, found)
    torch.testing.assert_close(core.scale(), before)


def test_reordering_afterwards_leaves_every_weight_in_its_cell() -> None:
    chip = ELIGHT.replace(stuck_fraction=0.1, scope="any")
    core = programmed(chip, 6, 18)
    cells = known(chip, 2)
    found = remapped(core, chip, cells, slots=True)
    sorted_cells = sort_cells(found.levels, found.schedule, scope="slot")
    sits = (found.schedule.rows >= 0)[:, :, None, None]
    slots = [plan.columns.masked_fill(~sits, -1).sort(2).values for plan in (found.schedule, sorted_cells)]
    assert torch.equal(*slots)


def test_what_does_not_fit_is_refused() -> None:
    core = programmed(ELIGHT, 6, 9)
    with pytest.raises(ValueError, match="survey is of cells"):
        remapped(core, ELIGHT, known(ELIGHT, 3))
    with pytest.raises(ValueError, match="within -7"):
        remapped(core, ELIGHT.replace(levels=8), known(ELIGHT, 2))
    own = sort_cells(core.levels(), core.schedule)
    with pytest.raises(ValueError, match="remap first"):
        remap(core.levels(), ELIGHT, known(ELIGHT, 2), own)


# networks


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """Two layers on crossbars that read handwritten digits, and the digits."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    model = convert(model, ELIGHT.replace(block_size=16)).model
    optimiser = torch.optim.Adam(model.parameters(), 2e-2)
    for _ in range(80):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return model.eval(), x, y


def copy_of(trained: tuple[nn.Module, Tensor, Tensor]) -> nn.Module:
    import copy

    return copy.deepcopy(trained[0])


def test_a_network_on_stuck_cells_works_again_after_survey_and_remapping(
    trained: tuple[nn.Module, Tensor, Tensor],
) -> None:
    _, x, y = trained
    model = copy_of(trained)
    healthy = accuracy(model, x, y)
    chip = next(iter(cores(model, PCMCore).values())).chip.replace(stuck_fraction=0.1, absorption_std=0.02)
    for core in cores(model, PCMCore).values():
        core.chip = chip  # trained as if every cell were as designed
    install(model, chip.specimen(1))
    broken = accuracy(model, x, y)
    for bench in instruments_for(model, InstrumentedCrossbar, readout_std=0.005):
        surveyed = survey(bench.instrument)
        wanted = bench.core.ideal_weight()
        found = bench.remap(surveyed)
        bench.store(found)
        assert bench.core.error(wanted) == pytest.approx(found.after, rel=0.1)
    mended = accuracy(model, x, y)
    assert healthy > 0.93 and broken < healthy - 0.15
    assert mended > healthy - 0.02


def test_use_wears_a_chip_and_its_network_is_moved_onto_what_is_left(
    trained: tuple[nn.Module, Tensor, Tensor],
) -> None:
    _, x, y = trained
    model = copy_of(trained)
    healthy = accuracy(model, x, y)
    chip = next(iter(cores(model, PCMCore).values())).chip
    rates = wear_rates(model)
    for core in cores(model, PCMCore).values():
        turns = schedule.sequence(core.levels(), core.schedule, empty=0).int()  # only whole rows are empty
        assert float(rates[core.name].sum()) == float(turns.diff(dim=2, prepend=0 * turns[:, :, :1]).abs().sum())
    worst = max(float(rate.max()) for rate in rates.values())
    inferences = 1.5 * chip.devices.endurance.value / worst
    aged = age(model, chip.specimen(3), inferences)
    stuck = torch.cat([core.stuck.flatten() >= 0 for core in cores(model, PCMCore).values() if core.stuck is not None])
    assert 0 < aged.dead == int(stuck.sum()) < 0.2 * len(stuck)
    assert aged.first_failure < inferences
    worn = accuracy(model, x, y)
    for bench in instruments_for(model, InstrumentedCrossbar):
        bench.store(bench.remap(survey(bench.instrument)))
    assert worn < healthy - 0.1
    assert accuracy(model, x, y) > worn + 0.1


def test_writes_of_a_survey_wear_as_well(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    model = copy_of(trained)
    chip = next(iter(cores(model, PCMCore).values())).chip
    spent = {name: torch.full_like(rate, 3 * chip.devices.endurance.value) for name, rate in wear_rates(model).items()}
    assert age(model, chip.specimen(0), 0).dead == 0
    age(model, chip.specimen(0), 0, spent=spent)
    stuck = torch.cat([core.stuck.flatten() for core in cores(model, PCMCore).values() if core.stuck is not None])
    assert float((stuck >= 0).float().mean()) > 0.99


def test_a_model_without_crossbars_is_refused() -> None:
    with pytest.raises(RequestError, match="nothing to put on the bench"):
        instruments_for(nn.Linear(2, 2), InstrumentedCrossbar)
