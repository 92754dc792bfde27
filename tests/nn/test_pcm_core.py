"""PCM cores behind the same layers: levels, errors, orders, checkpoints."""

import copy
import itertools

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.learn import load_orders, load_weights, save_orders, save_weights
from lightloom.nn import OpticalConv2d, OpticalLinear, PCMCore, convert, cores, install, reorder, to_electronic
from lightloom.physics.pcm import schedule
from lightloom.physics.pcm.writes import count, total

ELIGHT = chips.preset("elight", chips.PCMChip)
SMALL = ELIGHT.replace(block_size=8)
EXACT = SMALL.replace(input_bits=None)


def core(chip: chips.PCMChip = SMALL, rows: int = 20, columns: int = 37, groups: int = 1) -> PCMCore:
    made = PCMCore(chip, rows, columns, groups)
    made.program(torch.randn(groups * rows, columns) * 0.1)
    return made


def test_weights_are_the_nearest_that_the_cells_can_make() -> None:
    """Against a search through all magnitudes."""
    target = torch.randn(20, 37, dtype=torch.float64)
    made = PCMCore(SMALL, 20, 37).double()
    made.program(target)
    t = 0.872 ** torch.arange(16, dtype=torch.float64)
    able = (t - t[-1]) / (t[0] - t[-1]) * target.abs().max()
    able = torch.cat([able, -able])
    nearest = able[(target.unsqueeze(-1) - able).abs().argmin(-1)]
    torch.testing.assert_close(made.weight(), nearest, rtol=0, atol=1e-9)
    assert torch.equal(made.levels().sign(), nearest.sign().to(torch.int8))


@pytest.mark.parametrize("size", [0.01, 1.0, 40.0])
def test_weights_of_any_size_can_be_programmed(size: float) -> None:
    plain = nn.Linear(30, 12)
    with torch.no_grad():
        plain.weight.mul_(size)
    optical = OpticalLinear.from_electronic(plain, ELIGHT)
    assert optical.core.error(plain.weight) < 0.02
    torch.testing.assert_close(optical.weight.abs().max(), plain.weight.abs().max(), rtol=1e-5, atol=0)


def test_a_matrix_of_zeros_stays_zero_and_trains() -> None:
    made = PCMCore(SMALL, 8, 8)
    made.program(torch.zeros(8, 8))
    assert made.weight().eq(0).all()
    made.weight().sum().backward()
    assert torch.isfinite(made.matrix.grad).all()  # type: ignore[arg-type]


def test_the_gradient_passes_the_rounding_and_the_errors_of_cells() -> None:
    chip = SMALL.replace(absorption_std=0.05, stuck_fraction=0.05, programming_std=0.01)
    layer = OpticalLinear(37, 20, chip=chip)
    install(layer, chip.specimen(0))
    made = layer.core
    assert isinstance(made, PCMCore)
    upstream = torch.randn(20, 37)
    (found,) = torch.autograd.grad((made.weight() * upstream).sum(), made.matrix)
    slope = 1 - torch.tanh(made.matrix.detach() / made.gain) ** 2
    torch.testing.assert_close(found, upstream * slope)


def test_stuck_cells_hold_back_every_weight_that_meets_them() -> None:
    chip = SMALL.replace(stuck_fraction=0.2)
    made = core(chip)
    before = made.weight().detach().clone()
    made.install(chip.specimen(3))
    errors = chip.specimen(3).pcm_errors("core", 3)
    assert errors.stuck is not None
    hit = (errors.stuck >= 0).any(1)[:, :, None, :].expand(3, 8, 5, 8)  # [A, k, Q, k]
    hit = schedule.matrix(hit, made.schedule, 20, 37)
    changed = (made.weight().detach() - before).abs() > 1e-6
    assert not (changed & ~hit).any()
    assert (changed & hit).sum() > 0.8 * hit.sum()  # a few are stuck where they should be
    made.install(None)
    assert torch.equal(made.weight(), before)


def test_noise_is_new_at_every_inference() -> None:
    made = core(SMALL.replace(read_noise_std=0.01))
    with torch.no_grad():
        assert not torch.equal(made.weight(), made.weight())
    still = core()
    with torch.no_grad():
        assert still.cached_weight() is still.cached_weight()


SHARINGS = ("row_private", "column_shared", "block_shared")


@pytest.mark.parametrize(
    ("sharing", "scope", "start"),
    list(itertools.product(SHARINGS, ("slot", "any"), ("erased", "repeat", "alternate"))),
)
def test_reordering_writes_less_and_computes_the_same(sharing: str, scope: str, start: str) -> None:
    """The weight to the bit; the schedule run turn by turn to the bit with integers, to rounding with floats."""
    made = core(SMALL.replace(sharing=sharing, scope=scope, start=start), rows=20, columns=37, groups=2)
    before = made.weight().detach().clone()
    plain = total(count(schedule.sequence(made.levels(), made.schedule), made.chip.start))
    made.place(reorder(made))
    assert total(count(schedule.sequence(made.levels(), made.schedule), made.chip.start)) <= plain
    assert torch.equal(made.weight(), before)

    integers = torch.randint(0, 16, (5, 2 * 37))
    levels = made.levels().long().view(2, 20, 37)
    wanted = torch.einsum("bgc,grc->bgr", integers.view(5, 2, 37), levels).flatten(1)
    held = schedule.sequence(made.levels(), made.schedule)
    assert torch.equal(schedule.multiply(held, made.schedule, integers, 2), wanted)

    x = torch.rand(5, 2 * 37, dtype=torch.float64)
    exact = torch.einsum("bgc,grc->bgr", x.view(5, 2, 37), before.double().view(2, 20, 37)).flatten(1)
    run = schedule.multiply(schedule.sequence(before.double(), made.schedule, empty=0), made.schedule, x, 2)
    torch.testing.assert_close(run, exact)


def test_a_specimens_weights_stay_in_their_cells_when_reordered() -> None:
    chip = SMALL.replace(sharing="row_private", scope="any", stuck_fraction=0.05, absorption_std=0.05)
    made = core(chip)
    made.install(chip.specimen(0))
    before = made.weight().detach().clone()
    made.place(reorder(made))
    assert made.turns is not None
    assert torch.equal(made.weight(), before)


def test_a_schedule_that_leaves_out_a_weight_is_refused() -> None:
    made = core()
    plan = made.schedule
    columns = plan.columns.clone()
    columns[0, 0, 0, 0] = 5
    with pytest.raises(ValueError, match="not once"):
        made.place(plan._replace(columns=columns))


@pytest.mark.parametrize("groups", [1, 3])
def test_convolutions_and_back(groups: int) -> None:
    plain = nn.Conv2d(6, 9, 3, padding=1, groups=groups)
    optical = OpticalConv2d.from_electronic(plain, EXACT)
    back = optical.to_electronic()
    x = torch.rand(2, 6, 5, 5)
    torch.testing.assert_close(optical(x), back(x))
    assert optical.core.error(plain.weight.detach().flatten(1)) < 0.02


def test_inputs_take_all_levels_of_an_intensity() -> None:
    """4 bits: sixteenths of full scale less one, on either side of zero."""
    plain = nn.Linear(16, 16, bias=False)
    nn.init.eye_(plain.weight)
    optical = OpticalLinear.from_electronic(plain, SMALL)
    x = torch.linspace(-1, 1, 16)[None]
    torch.testing.assert_close(optical(x), torch.round(x * 15) / 15, rtol=0, atol=1e-6)


def test_the_electronic_twin_carries_the_effective_weight_over() -> None:
    layer = OpticalLinear(37, 20, chip=EXACT)
    made = layer.weight.detach().clone()
    layer.core.switch("weight")
    assert torch.equal(layer.weight, made)
    layer.core.switch("levels")
    torch.testing.assert_close(layer.weight, made, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="`levels`, `weight`"):
        layer.core.switch("usv")


def test_conversion_reports_cells() -> None:
    model = nn.Sequential(nn.Conv2d(1, 20, 3), nn.ReLU(), nn.Flatten(), nn.Linear(20 * 16, 10))
    conversion = convert(model, SMALL)
    conv, linear = conversion.layers
    assert (conv.blocks, conv.cells, conv.mzis) == ((1, 3, 2), 2 * 20 * 8, 0)
    assert linear.blocks == (1, 2, 40)
    assert 0 < conv.weight_error < 0.02
    x = torch.rand(1, 1, 6, 6)
    back = to_electronic(convert(model, EXACT).model)
    torch.testing.assert_close(back(x), convert(model, EXACT).model(x))


def test_checkpoints_hold_rows_and_orders_and_refuse_another_chip(tmp_path) -> None:
    chip = SMALL.replace(sharing="column_shared")
    model = convert(nn.Sequential(nn.Linear(37, 20), nn.Linear(20, 10)), chip).model
    for found in cores(model, PCMCore).values():
        found.place(reorder(found))
    save_weights(model, tmp_path / "weights.safetensors")
    save_orders(model, tmp_path / "orders.safetensors")
    again = convert(nn.Sequential(nn.Linear(37, 20), nn.Linear(20, 10)), chip).model
    load_weights(again, tmp_path / "weights.safetensors")
    load_orders(again, tmp_path / "orders.safetensors")
    for one, other in zip(cores(model, PCMCore).values(), cores(again, PCMCore).values(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.schedule, other.schedule, strict=True))
        assert torch.equal(one.levels(), other.levels())
    for change in ({"block_size": 10}, {"levels": 8}):
        stranger = convert(nn.Sequential(nn.Linear(37, 20), nn.Linear(20, 10)), chip.replace(**change)).model
        with pytest.raises(RequestError, match=r"arrays of 8 x 8 cells with 16 levels|another model"):
            load_weights(stranger, tmp_path / "weights.safetensors")


def test_a_model_without_orders_leaves_none(tmp_path) -> None:
    model, path = convert(nn.Linear(8, 8), SMALL).model, tmp_path / "orders.safetensors"
    save_orders(model, path)
    assert not path.exists()
    path.write_bytes(b"old")
    save_orders(model, path)
    load_orders(model, path)
    assert model.core.turns is None


def test_orders_of_another_model_are_refused(tmp_path) -> None:
    path = tmp_path / "orders.safetensors"
    model = convert(nn.Sequential(nn.Linear(37, 20)), SMALL).model
    (found,) = cores(model, PCMCore).values()
    found.place(reorder(found))
    save_orders(model, path)
    with pytest.raises(RequestError, match="no PCM layer"):
        load_orders(convert(nn.Linear(37, 20), SMALL).model, path)
    with pytest.raises(RequestError, match="other weights"):
        load_orders(convert(nn.Sequential(nn.Linear(20, 20)), SMALL).model, path)


def test_layers_are_copied_and_moved_whole() -> None:
    layer = OpticalLinear(37, 20, chip=SMALL)
    twin = copy.deepcopy(layer).double()
    torch.testing.assert_close(twin.weight.float(), layer.weight, rtol=0, atol=1e-6)
