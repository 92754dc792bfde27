"""Identity calibration, judged by the meshes that the instrument hides."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lightloom.chips import MeshChip, preset
from lightloom.common.errors import WorkError
from lightloom.lab.mesh.calibration import (
    Calibrated,
    IdentityLoss,
    calibrate_all,
    identity_calibration,
    published_plan,
)
from lightloom.lab.mesh.instrument import BlockSettings, Instrument, SimulatedInstrument, specimen_instrument
from lightloom.lab.zeroth_order import METHODS, Method
from lightloom.physics import mesh, phases


def chip_of(size: int, **changes: object) -> MeshChip:
    return preset("l2ight").replace(block_size=size, **changes)


def hidden_meshes(instrument: SimulatedInstrument, settings: BlockSettings) -> tuple[Tensor, Tensor]:
    chip, errors = instrument.chip, instrument._errors
    near = mesh.neighbours(chip.block_size, chip.layout, chip.field)
    u, v = (
        mesh.build(
            phases.realise(
                commanded,
                phases.Drive(bits=chip.weight_bits, coupling=chip.crosstalk, neighbours=near),
                phases.Imperfections(gamma, bias),
            ),
            chip.block_size,
            field=chip.field,
        )
        for commanded, gamma, bias in (
            (settings.u_phases, errors.u_gamma, errors.u_bias),
            (settings.v_phases, errors.v_gamma, errors.v_bias),
        )
    )
    return u, v


def identity_error(matrix: Tensor) -> float:
    return (matrix.abs() - torch.eye(matrix.shape[-1], dtype=torch.float64)).square().mean().item()


@pytest.mark.parametrize("field", ["real", "complex"])
def test_the_loss_is_the_published_one(field: str) -> None:
    chip = chip_of(4, field=field, gamma_std=0.0, weight_bits=None)
    instrument = specimen_instrument(chip, 3)
    wanted = torch.randn(3, 2 * instrument.shifters, dtype=torch.float64)
    loss = IdentityLoss(instrument)
    measured = loss(wanted, None)
    u, v = hidden_meshes(instrument, loss.settings(wanted))
    sigma = torch.diag(torch.linspace(0.1, 1, 4, dtype=torch.float64)).to(u.dtype)
    deviation = u @ sigma @ v @ torch.linalg.inv(sigma) - torch.eye(4)
    torch.testing.assert_close(measured, deviation.abs().square().mean((1, 2)), rtol=1e-12, atol=0)
    assert instrument.calls == 1


def test_a_perfect_chip_is_calibrated_from_the_start() -> None:
    instrument = specimen_instrument(chip_of(5).ideal(), 2)
    found = identity_calibration(instrument, published_plan(instrument.chip, epochs=1))
    assert found.loss.max() < 1e-24
    assert not found.settings.u_phases.any() and not found.settings.v_phases.any()


@pytest.mark.parametrize("method", METHODS)
def test_both_meshes_become_signed_identities(method: Method, on_bench) -> None:  # type: ignore[no-untyped-def]
    hidden = specimen_instrument(chip_of(3), 4, specimen=2)
    bench: Instrument = on_bench(hidden)
    epochs = 40
    found = identity_calibration(bench, published_plan(hidden.chip, method, epochs=epochs))
    assert found.calls == bench.calls == hidden.calls == 1 + epochs * 4 * hidden.shifters
    if method == "zgd":  # published as the worst of the three: it goes down, and no further
        assert found.history[-1] < 0.8 * found.history[0]
    else:
        before = hidden_meshes(hidden, BlockSettings(*(torch.zeros(4, 3).double() for _ in range(2)), torch.ones(4, 3)))
        after = hidden_meshes(hidden, found.settings)
        for matrix, first in zip(after, before, strict=True):
            assert identity_error(matrix) < 0.05 < 0.2 < identity_error(first)
    again = IdentityLoss(bench)(torch.cat(found.settings[:2], dim=1), None)
    torch.testing.assert_close(again, found.loss, rtol=1e-9, atol=1e-12)


def test_restarts_cost_the_calls_they_take() -> None:
    instrument = specimen_instrument(chip_of(3), 4, specimen=2)
    plan = published_plan(instrument.chip, epochs=5, adaptive=True)
    found = identity_calibration(instrument, plan)
    assert 0 < instrument.calls - (1 + 5 * 12) <= 5
    assert found.calls == instrument.calls


def test_blocks_of_two_sizes_run_side_by_side() -> None:
    plan = published_plan(chip_of(3), epochs=3)
    benches = [specimen_instrument(chip_of(size), blocks) for size, blocks in ((3, 2), (4, 5))]
    for size, blocks, found in zip((3, 4), (2, 5), calibrate_all(benches, plan), strict=True):
        assert found.settings.sigma.shape == (blocks, size)
        assert found.calls == 1 + 3 * 2 * size * (size - 1)
        alone = identity_calibration(specimen_instrument(chip_of(size), blocks), plan)
        assert torch.equal(alone.settings.u_phases, found.settings.u_phases)


class Dying(SimulatedInstrument):
    """Fails for good after some calls."""

    life = 50

    def matrices(self) -> Tensor:
        if self.calls >= self.life:
            raise WorkError("the laser is off")
        return super().matrices()


def test_what_was_found_before_a_failure_is_kept_and_goes_on() -> None:
    chip = chip_of(3)
    errors = chip.specimen(2).mesh_errors("bench", (4,), 3)
    plan = replace(published_plan(chip, epochs=8), checked=True)
    kept: list[Calibrated] = []
    with pytest.raises(WorkError, match="the laser is off"):
        identity_calibration(Dying(chip, errors, 4), plan, each_epoch=kept.append)
    assert [found.calls for found in kept] == [13, 25, 37, 49]
    whole = identity_calibration(SimulatedInstrument(chip, errors, 4), plan)
    resumed = identity_calibration(SimulatedInstrument(chip, errors, 4), plan, after=kept[-1])
    assert resumed.calls == whole.calls + 1  # it measures where it stands once more
    assert resumed.epochs == whole.epochs == 8
    torch.testing.assert_close(resumed.loss, whole.loss, rtol=1e-6, atol=1e-9)
