import math

import pytest
import torch

from lightloom.bench.mesh.calibrate import true_twin
from lightloom.chips import MeshChip, preset
from lightloom.lab.mesh.identify.column_scan import readout_noise, start, start_settings, turning_angles
from lightloom.lab.mesh.identify.fit import _curvature, pack, production, unpack
from lightloom.lab.mesh.identify.jacobians import block_jacobian, drive_block_jacobian, drive_mesh_jacobian
from lightloom.lab.mesh.identify.rotation_planes import find_planes
from lightloom.lab.mesh.identify.waveguide_graph import segment_graph
from lightloom.lab.mesh.instrument import BlockSettings, specimen_instrument
from lightloom.lab.mesh.twin import DigitalTwin
from lightloom.physics import mesh


def published(size: int, layout: str = "rectangle") -> MeshChip:
    return preset("l2ight").replace(block_size=size, layout=layout)


def measured(chip: MeshChip, blocks: int, specimen: int, readout_std: float) -> torch.Tensor:
    instrument = specimen_instrument(chip, blocks, specimen=specimen, readout_std=readout_std)
    outputs = []
    for settings in start_settings(chip, blocks):
        instrument.program(settings)
        outputs.append(instrument.matrices())
    return torch.stack(outputs)


@pytest.mark.parametrize("layout", ["rectangle", "triangle"])
@pytest.mark.parametrize("size", [2, 3, 4, 5, 8, 9])
def test_without_imperfections_but_bias_the_start_is_exact(size: int, layout: str) -> None:
    chip = published(size, layout).replace(gamma_std=0.0, crosstalk=0.0)
    found, true = start(chip, measured(chip, 6, 1, 0.0)), true_twin(chip, 6, 1)
    shifters = found.u_bias.shape[-1]
    u, v = 6 * torch.rand(6, shifters, dtype=torch.float64), 6 * torch.rand(6, shifters, dtype=torch.float64)
    settings = BlockSettings(u, v, torch.linspace(-1, 1, size, dtype=torch.float64).expand(6, size))
    # anywhere else, not only where it was measured; the specimen's errors are single precision
    torch.testing.assert_close(found.matrices(settings), true.matrices(settings), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [4, 9])
def test_with_all_imperfections_and_noise_every_bias_is_found_nearly(size: int) -> None:
    chip = published(size)
    found, true = start(chip, measured(chip, 16, 2, 0.01)), true_twin(chip, 16, 2)
    settings = start_settings(chip, 16)[0]
    error = (found.matrices(settings) - true.matrices(settings)).square().mean((-2, -1)).sqrt()
    assert error.max() < 0.1  # elements are 0.33 and more


@pytest.mark.parametrize("size", [3, 8, 9, 20, 32])
def test_every_mzi_of_a_column_is_told_apart_by_its_turns(size: int) -> None:
    turns = turning_angles(published(size)).cos()
    for column in mesh.wiring(size, "rectangle").columns:
        here = turns[:, column.first : column.first + column.count].T
        apart = torch.cdist(here, here) + 9 * torch.eye(column.count)
        assert apart.min() > 0.2
        assert (1 - here).amax(1).min() > 0.2  # and from waveguides that pass by


def test_the_start_takes_two_calls_per_waveguide_and_two_more() -> None:
    assert [len(start_settings(published(size), 1)) for size in (4, 9, 16, 17)] == [10, 20, 34, 36]


@pytest.mark.parametrize("layout", ["rectangle", "triangle"])
def test_segments_join_what_the_wiring_joins(layout: str) -> None:
    chain, mzis = segment_graph(5, layout), mesh.mzi_count(5, layout)
    assert len(chain.after) == 5 + 4 * mzis
    for side, table in ((chain.before, chain.outputs), (chain.after, chain.inputs)):
        for mzi, pair in enumerate(table.tolist()):
            assert side[pair].tolist() == [mzi, mzi]
    assert (chain.after[:5] == -1).all() and (chain.before[chain.first] == -1).all()
    assert (chain.after[chain.middle] < mzis).all() and (chain.before[chain.middle] >= mzis).all()


def test_a_dead_heater_is_seen_not_to_turn() -> None:
    size, angle = 4, torch.tensor([[1.0, 2.2]], dtype=torch.float64)
    turned = torch.eye(size, dtype=torch.float64)
    turned[:2, :2] = torch.tensor([[math.cos(1.0), -math.sin(1.0)], [math.sin(1.0), math.cos(1.0)]])
    planes = find_planes(turned.view(1, 1, size, size), angle)
    assert planes.gamma.tolist() == [[1.0, 0.0]]
    torch.testing.assert_close(planes.projectors[0, 0], torch.diag(torch.tensor([1.0, 1.0, 0.0, 0.0]).double()))


def test_readout_noise_is_seen_without_a_model() -> None:
    chip = published(9)
    assert readout_noise(chip, measured(chip, 8, 0, 0.01)) == pytest.approx(0.01, rel=0.1)
    assert readout_noise(chip, measured(chip, 8, 0, 0.0)) < 1e-12


def test_slopes_of_a_block_are_the_derivatives_of_its_matrix() -> None:
    chip = published(4).replace(insertion_loss_db=0.2)
    twin = true_twin(chip, 1, 0)
    parts = [torch.rand(1, count, dtype=torch.float64) * 3 for count in (6, 6, 4)]

    def made(u: torch.Tensor, v: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        return (twin.build(u) * angles.cos().unsqueeze(-2)) @ twin.build(v)

    jacobian = torch.autograd.functional.jacobian(made, tuple(parts))
    expected = torch.cat([part.squeeze(-2).squeeze(0).permute(2, 0, 1) for part in jacobian])
    matrices, jacobian = block_jacobian(twin, *parts)
    torch.testing.assert_close(matrices, made(*parts))
    torch.testing.assert_close(jacobian[0], expected)


def test_tangents_see_gamma_and_crosstalk() -> None:
    chip = published(5).replace(crosstalk=0.05)
    twin = true_twin(chip, 1, 3)
    drives, step = 1 + torch.rand(1, 10, dtype=torch.float64), 1e-6
    ahead, behind = drives.clone(), drives.clone()
    ahead[0, 4] += step
    behind[0, 4] -= step
    slope = drive_mesh_jacobian(twin, drives, "u")[1][0, 4]
    made = [drive_mesh_jacobian(twin, at, "u")[0][0] for at in (ahead, behind)]
    torch.testing.assert_close(slope, (made[0] - made[1]) / (2 * step), rtol=0, atol=1e-8)
    angles = torch.rand(1, 5, dtype=torch.float64)
    in_block = drive_block_jacobian(twin, drives, drives, angles)[1][0, 4]
    blocks = [drive_block_jacobian(twin, at, drives, angles)[0][0] for at in (ahead, behind)]
    torch.testing.assert_close(in_block, (blocks[0] - blocks[1]) / (2 * step), rtol=0, atol=1e-8)


def test_curvature_is_the_square_of_the_jacobian() -> None:
    chip = published(4)
    twin = unpack(pack(DigitalTwin.nominal(chip, 2)) + 0.1 * torch.randn(2, 29, dtype=torch.float64), chip)
    shape = (3, 2)
    settings = BlockSettings(*(2 * torch.rand(*shape, count, dtype=torch.float64) for count in (6, 6, 4)))
    settings = settings._replace(sigma=settings.sigma - 1)
    jacobian = torch.autograd.functional.jacobian(lambda x: unpack(x, chip).matrices(settings), pack(twin))
    prior = production(chip, 2)
    found = _curvature(pack(twin), chip, settings, 0.5, prior) - torch.diag_embed(prior.weight)
    for block in range(2):
        flat = jacobian[:, block, :, :, block].reshape(-1, 29)
        torch.testing.assert_close(found[block], flat.T @ flat / 0.25, rtol=1e-9, atol=1e-6)
