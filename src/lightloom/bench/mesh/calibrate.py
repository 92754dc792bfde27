"""Claim: a chip is calibrated by identification in a few tens of calls, where search takes tens of thousands."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightloom.chips import MeshChip, preset
from lightloom.common.progress import follow
from lightloom.lab.mesh.calibration import identity_calibration, published_plan
from lightloom.lab.mesh.identify import identify, settings_for_identity
from lightloom.lab.mesh.instrument import BlockSettings, SimulatedInstrument, specimen_instrument
from lightloom.lab.mesh.twin import DigitalTwin
from lightloom.physics import mesh


def calibrate(
    *,
    seed: int = 0,
    blocks: int = 64,
    readout_std: float = 0.0,
    size: int = 9,
    chip: str = "l2ight",
    search_epochs: int = 400,
) -> dict[str, Any]:
    """Identify a specimen and bring its meshes to signed identities; then search for the same as published.

    The errors are those of the true meshes, mean((|U| - 1)^2), as published for identity calibration; no algorithm
    sees them.

    Args:
        seed: Of the specimen, the readout noise and the random settings.
        blocks: Blocks calibrated side by side.
        readout_std: Readout noise, relative to full scale.
        size: Waveguides k.
        chip: Preset.
        search_epochs: Of the published search; 400 are published.

    Returns:
        `calls`, `mse_u`, `mse_v` with medians and maxima, `seconds`; the same for zeroth-order coordinate descent at
        its full length under `zcd_published`, and after one epoch, the least that it can be stopped at and still more
        calls than identification took, under `zcd_equal`.
    """
    design = preset(chip, MeshChip).replace(block_size=size)
    case = Case(design, blocks, seed, readout_std)
    return {
        **_identified(case),
        "zcd_equal": _searched(case, epochs=1),
        "zcd_published": _searched(case, epochs=search_epochs),
        "chip": chip,
        "block_size": size,
        "blocks": blocks,
        "readout_std": readout_std,
        "threads": torch.get_num_threads(),
    }


class Case(NamedTuple):
    """One specimen on the bench, made anew for each way."""

    chip: MeshChip
    blocks: int
    seed: int
    readout_std: float

    def instrument(self) -> SimulatedInstrument:
        """The specimen behind an instrument that has not been used."""
        return specimen_instrument(
            self.chip, self.blocks, specimen=self.seed, readout_std=self.readout_std, seed=self.seed
        )


def _searched(case: Case, *, epochs: int) -> dict[str, Any]:
    instrument = case.instrument()
    plan = published_plan(case.chip, epochs=epochs)
    started = time.perf_counter()
    with follow(f"zcd, {epochs} epochs", epochs) as report:
        result = identity_calibration(instrument, plan, each_epoch=lambda so_far: report(so_far.epochs, ""))
    return _judged(case, result.settings, instrument.calls, time.perf_counter() - started)


def _identified(case: Case) -> dict[str, Any]:
    instrument = case.instrument()
    started = time.perf_counter()
    identified = identify(instrument, seed=case.seed)
    figures = _judged(case, settings_for_identity(identified.twin), instrument.calls, time.perf_counter() - started)
    return {**figures, "phase_std": identified.phase_std}


def _judged(case: Case, settings: BlockSettings, calls: int, seconds: float) -> dict[str, Any]:
    """What the true devices make of settings that a calibration found."""
    figures: dict[str, Any] = {"calls": calls}
    truth = true_twin(case.chip, case.blocks, case.seed)
    for name, matrices in zip("uv", truth.meshes(settings), strict=True):
        error = identity_error(matrices)
        figures[f"mse_{name}"] = float(error.mean())
        figures[f"mse_{name}_median"] = float(error.median())
        figures[f"mse_{name}_max"] = float(error.max())
    return {**figures, "seconds": round(seconds, 2)}


def true_twin(chip: MeshChip, blocks: int, specimen: int) -> DigitalTwin:
    """What `specimen_instrument` hides, for judging results; no algorithm may see it.

    Args:
        chip: The design.
        blocks: Blocks on the instrument.
        specimen: Seed of the specimen.
    """
    nominal = DigitalTwin.nominal(chip, blocks)
    shifters = mesh.phase_count(chip.block_size, chip.layout, chip.field)
    errors = chip.specimen(specimen).mesh_errors("bench", (blocks,), shifters)

    def present(error: Tensor | None, otherwise: Tensor) -> Tensor:
        return otherwise if error is None else error.double()

    return DigitalTwin(
        chip,
        u_bias=present(errors.u_bias, nominal.u_bias),
        v_bias=present(errors.v_bias, nominal.v_bias),
        u_gamma=present(errors.u_gamma, nominal.u_gamma),
        v_gamma=present(errors.v_gamma, nominal.v_gamma),
        sigma_gamma=present(errors.sigma_gamma, nominal.sigma_gamma),
        coupling=nominal.coupling + chip.crosstalk,
    )


def identity_error(matrices: Tensor) -> Tensor:
    """Mean squared distance [...] of |matrices| [..., k, k] from the identity."""
    return (matrices.abs() - torch.eye(matrices.shape[-1]).to(matrices)).square().mean((-2, -1))
