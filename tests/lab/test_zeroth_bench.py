"""The bench's plain loop agrees with the search (it refuses otherwise), and its figures are all there."""

import json

import torch

from lightloom.bench.mesh.zeroth_order import LoopChip, zeroth_order
from lightloom.chips import preset
from lightloom.lab.mesh.instrument import BlockSettings, SimulatedInstrument
from lightloom.physics import compiled, mesh


def test_every_figure_is_there() -> None:
    threads = torch.get_num_threads()
    figures = json.loads(json.dumps(zeroth_order(blocks=3, size=4, repeats=1)))
    for stage in ("ic", "pm"):
        for what in ("speedup", "evals_per_s", "loop_evals_per_s"):
            assert figures[f"{stage}_{what}"] > 0
    assert (figures["blocks"], figures["block_size"], figures["threads"]) == (3, 4, 1)
    assert figures["backend"] == compiled.backend()
    assert torch.get_num_threads() == threads


def test_the_loop_is_the_same_chip() -> None:
    chip = preset("l2ight").replace(block_size=5)
    errors = chip.specimen(3).mesh_errors("bench", (4,), mesh.phase_count(5, "rectangle", "real"))
    loop = LoopChip(chip, [None if error is None else error.double().numpy() for error in errors])
    settings = BlockSettings(*(9 * torch.randn(4, n, dtype=torch.float64) for n in (10, 10)), torch.rand(4, 5).double())
    instrument = SimulatedInstrument(chip, errors, 4)
    instrument.program(settings)
    u, v = loop.mesh(settings.u_phases.numpy(), 0), loop.mesh(settings.v_phases.numpy(), 1)
    looped = (u * loop.sigma(settings.sigma.numpy())[:, None]) @ v
    torch.testing.assert_close(instrument.matrices(), torch.from_numpy(looped), rtol=0, atol=1e-12)
