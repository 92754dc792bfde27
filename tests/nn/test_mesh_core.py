"""Mesh cores: programming, imperfections, gradients, and what is kept."""

import copy

import pytest
import torch

from lightloom import chips
from lightloom.nn import MeshCore
from lightloom.physics import mesh

L2IGHT = chips.preset("l2ight")
IDEAL = chips.preset("ideal")


def programmed(chip: chips.MeshChip, rows: int, columns: int, groups: int = 1) -> tuple[MeshCore, torch.Tensor]:
    core = MeshCore(chip, rows, columns, groups).double()
    target = torch.randn(groups * rows, columns, dtype=torch.float64)
    core.program(target)
    return core, target


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("layout", ["rectangle", "triangle"])
@pytest.mark.parametrize(("rows", "columns", "groups"), [(1, 1, 1), (9, 9, 1), (5, 20, 1), (31, 7, 3), (3, 9, 4)])
def test_an_ideal_chip_makes_any_matrix(
    field: mesh.Field, layout: mesh.Layout, rows: int, columns: int, groups: int
) -> None:
    core, target = programmed(IDEAL.replace(field=field, layout=layout), rows, columns, groups)
    torch.testing.assert_close(core.weight(), target, atol=1e-11, rtol=0)
    torch.testing.assert_close(core.ideal_weight(), target, atol=1e-11, rtol=0)


def test_blocks_of_zeros_and_identity_are_programmed_without_nan() -> None:
    core = MeshCore(L2IGHT, 18, 27)
    target = torch.zeros(18, 27)
    target[:9, :9] = torch.eye(9)
    core.program(target)
    core.install(L2IGHT.specimen(0))
    assert core.weight().isfinite().all()
    assert torch.equal(core.weight()[9:], torch.zeros(9, 27))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gamma_std": 0.0, "crosstalk": 0.0, "phase_bias": 0.0}, 9e-4),
        ({"crosstalk": 0.0, "phase_bias": 0.0}, 0.011),
        ({"gamma_std": 0.0, "phase_bias": 0.0}, 0.032),
        ({"phase_bias": 0.0}, 0.042),
        ({}, 1.9),
    ],
)
def test_error_after_ideal_programming_is_the_published_budget(changes: dict[str, float], expected: float) -> None:
    """k = 9: 8 bit 9e-4, + gamma .011, + crosstalk .032, both .042, + bias 1.8-2.0 (measured on the published code)."""
    chip = L2IGHT.replace(**changes)
    core, target = programmed(chip, 180, 180)
    core.install(chip.specimen(1))
    assert core.error(target) == pytest.approx(expected, rel=0.2)


def test_loss_scales_a_mesh_whose_paths_all_meet_as_many_mzis() -> None:
    """In a butterfly every path meets log2 k MZIs, so loss is a common factor."""
    chip = IDEAL.replace(layout="butterfly", block_size=8)
    lossless = MeshCore(chip, 8, 8).double()
    lossy = MeshCore(chip.replace(insertion_loss_db=0.5), 8, 8).double()
    lossless.sigma.data.uniform_(0.5, 1)
    lossy.load_state_dict(lossless.state_dict())
    torch.testing.assert_close(lossy.weight(), lossless.weight() * 10 ** (-0.5 * 6 / 20))


def test_a_layout_that_is_not_universal_takes_the_nearest_singular_values() -> None:
    core = MeshCore(IDEAL.replace(layout="butterfly", block_size=4), 4, 4).double()
    target = torch.randn(4, 4, dtype=torch.float64)
    core.program(target)
    u, v = (tensor.squeeze() for tensor in core.meshes())
    basis = torch.stack([torch.outer(u[:, s], v[s]).flatten() for s in range(4)], 1)
    solution = torch.linalg.lstsq(basis, target.flatten()).solution
    torch.testing.assert_close(core.sigma.detach().flatten(), solution)


@pytest.mark.parametrize("field", ["real", "complex"])
def test_phase_gradients_through_all_imperfections_match_finite_differences(field: mesh.Field) -> None:
    chip = L2IGHT.replace(block_size=3, weight_bits=None, field=field, insertion_loss_db=0.3)
    core, _ = programmed(chip, 4, 5)
    core.install(chip.specimen(0))
    core.switch("phase")
    with torch.no_grad():  # away from 0, where the heat of a wrapped phase jumps
        core.u_phases.uniform_(0.5, 5.5)
        core.v_phases.uniform_(0.5, 5.5)
    upstream = torch.randn(4, 5, dtype=torch.float64)
    (core.weight() * upstream).sum().backward()
    for parameter in (core.u_phases, core.v_phases):
        slopes = parameter.grad.flatten()
        for index in range(0, parameter.numel(), 5):
            values = []
            for step in (1e-6, -1e-6):
                moved = copy.deepcopy(core)
                getattr(moved, "u_phases" if parameter is core.u_phases else "v_phases").data.view(-1)[index] += step
                values.append((moved.weight().detach() * upstream).sum())
            assert float(slopes[index]) == pytest.approx(float((values[0] - values[1]) / 2e-6), abs=1e-6)


def test_modes_choose_what_trains_and_carry_the_weight_over() -> None:
    core, target = programmed(IDEAL, 12, 10)
    trains = {name for name, p in core.named_parameters() if p.requires_grad}
    assert trains == {"sigma"}
    core.switch("phase")
    assert {name for name, p in core.named_parameters() if p.requires_grad} == {"u_phases", "v_phases", "sigma"}
    core.switch("weight")
    assert {name for name, p in core.named_parameters() if p.requires_grad} == {"matrix"}
    torch.testing.assert_close(core.weight().detach(), target)
    with torch.no_grad():
        core.matrix.mul_(2)
    core.switch("usv")
    torch.testing.assert_close(core.weight().detach(), 2 * target)
    with pytest.raises(ValueError, match="`voltage`"):
        core.switch("voltage")  # type: ignore[arg-type]


def test_an_unchanged_weight_is_not_rebuilt_and_a_changed_one_is() -> None:
    core, _ = programmed(L2IGHT, 20, 20)
    with torch.no_grad():
        first = core.cached_weight()
        assert core.cached_weight() is first
        core.sigma.add_(0.1)
        second = core.cached_weight()
        assert second is not first
        core.install(L2IGHT.specimen(0))
        third = core.cached_weight()
        assert not torch.equal(second, third)
        core.u_phases.add_(0.3)
        assert not torch.equal(core.weight(), third)
    assert core.float().weight().dtype == torch.float32


def test_a_step_of_an_optimiser_rebuilds_the_weight_but_not_the_meshes() -> None:
    core, _ = programmed(L2IGHT, 20, 20)
    u, _ = core._cached_meshes()
    optimizer = torch.optim.AdamW([core.sigma], lr=0.1)
    before = core.weight()
    before.square().sum().backward()
    optimizer.step()
    assert not torch.equal(core.weight(), before)
    assert core._cached_meshes()[0] is u


def test_dynamic_noise_is_drawn_at_every_use() -> None:
    core, _ = programmed(IDEAL.replace(phase_noise_std=0.01), 9, 9)
    with torch.no_grad():
        assert not torch.equal(core.weight(), core.weight())


def test_hidden_errors_are_not_among_the_weights() -> None:
    """Loading weights never changes the chip."""
    one, _ = programmed(L2IGHT, 9, 18)
    one.install(L2IGHT.specimen(1))
    other = MeshCore(L2IGHT, 9, 18).double()
    other.install(L2IGHT.specimen(2))
    before = other.u_bias.clone()
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.u_bias, before)
    assert set(one.state_dict()) == {"u_phases", "v_phases", "sigma", "u_signs", "gain"}


def test_targets_that_cannot_be_are_refused_by_name() -> None:
    core = MeshCore(L2IGHT, 4, 5, name="head")
    with pytest.raises(ValueError, match=r"`head` takes a matrix of shape \(4, 5\), got \(5, 4\)"):
        core.program(torch.zeros(5, 4))
    with pytest.raises(ValueError, match="`head` holds NaN"):
        core.program(torch.full((4, 5), torch.nan))


def test_programming_leaves_the_target_alone() -> None:
    core = MeshCore(L2IGHT, 9, 9)
    target = torch.randn(9, 9)
    before = target.clone()
    core.program(target)
    assert torch.equal(target, before)


def test_counts_by_hand() -> None:
    core = MeshCore(L2IGHT, 20, 10, groups=2)  # 3 x 2 blocks of 9 per group
    counts = core.counts(vectors=20)
    assert counts.cores == 12
    assert counts.mzis == 12 * 81  # k^2: two meshes of k (k - 1) / 2 and k attenuators
    assert counts.calls == 12 * 3  # ceil(20 / 9)
    assert counts.conversions_in == 20 * 2 * 10
    assert counts.conversions_out == 20 * 2 * 20 * 2
