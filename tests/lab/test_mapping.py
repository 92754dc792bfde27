"""Parallel mapping and the projection of singular values, against linear algebra and the hidden meshes."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lightloom.chips import MeshChip, preset
from lightloom.common.errors import RequestError
from lightloom.lab.mesh.instrument import BlockSettings, Instrument, SimulatedInstrument, specimen_instrument
from lightloom.lab.mesh.mapping import (
    Mapped,
    MappingLoss,
    ideal_settings,
    map_all,
    measured_meshes,
    parallel_mapping,
    project_sigma,
    published_plan,
    published_restart,
)
from lightloom.lab.zeroth_order import METHODS, Method


def chip_of(size: int, **changes: object) -> MeshChip:
    return preset("l2ight").replace(block_size=size, **changes)


def targets(blocks: int, size: int) -> Tensor:
    return torch.randn(blocks, size, size, dtype=torch.float64)


def realised(instrument: Instrument, mapped: Mapped) -> Tensor:
    instrument.program(mapped.settings)
    return instrument.matrices() * mapped.gain.view(-1, 1, 1)


def distances(made: Tensor, wanted: Tensor) -> Tensor:
    return (made - wanted).square().sum((1, 2)) / wanted.square().sum((1, 2))


@pytest.mark.parametrize("size", [2, 3, 4, 7, 8])
@pytest.mark.parametrize("layout", ["rectangle", "triangle"])
@pytest.mark.parametrize("field", ["real", "complex"])
def test_a_perfect_chip_makes_the_target_with_phases_and_sigma_alone(size: int, layout: str, field: str) -> None:
    chip = chip_of(size, layout=layout, field=field).ideal()
    wanted = targets(6, size)
    wanted[0] = torch.eye(size)[torch.randperm(size)]
    wanted[1] = -wanted[1]  # both signs of the determinant
    wanted[2] = 0
    wanted[3, :, 0] = 0
    settings, gain = ideal_settings(chip, wanted)
    assert settings.sigma.abs().max() <= 1
    instrument = specimen_instrument(chip, 6)
    instrument.program(settings)
    made = instrument.matrices() * gain.view(-1, 1, 1)
    torch.testing.assert_close(made, wanted.to(made.dtype), rtol=0, atol=1e-7)  # cos(arccos) of small sigma rounds


def test_the_meshes_are_measured_up_to_signs_that_cancel() -> None:
    instrument = specimen_instrument(chip_of(6), 5, specimen=1)
    shape = (5, instrument.shifters)
    settings = BlockSettings(*(6 * torch.rand(shape, dtype=torch.float64) for _ in range(2)), torch.ones(5, 6).double())
    u, v = measured_meshes(instrument, settings)
    assert instrument.calls == 2
    instrument.program(settings)
    true_u, true_v = instrument._u.matrix(), instrument._v.matrix()
    signs = torch.sign((u * true_u).sum(1))
    torch.testing.assert_close(u * signs.unsqueeze(1), true_u, rtol=0, atol=1e-9)
    torch.testing.assert_close(v * signs.unsqueeze(2), true_v, rtol=0, atol=1e-9)


def scrambled(instrument: SimulatedInstrument, wanted: Tensor) -> Mapped:
    """Somewhere: right phases for a perfect chip, on this one."""
    settings, gain = ideal_settings(instrument.chip, wanted)
    objective = MappingLoss(instrument, wanted, settings.sigma, gain)
    loss = objective(torch.cat(settings[:2], dim=1), None)
    return Mapped(settings, gain, loss / objective.norm, 0, 0, ())


def test_projected_sigma_solves_the_least_squares_problem() -> None:
    instrument, wanted = specimen_instrument(chip_of(5, weight_bits=None, gamma_std=0.0), 4), targets(4, 5)
    start = scrambled(instrument, wanted)
    found = project_sigma(instrument, wanted, start)
    assert found.calls == 3
    instrument.program(start.settings)
    u, v = instrument._u.matrix(), instrument._v.matrix()
    for block in range(4):
        rank_one = torch.stack([torch.outer(u[block, :, j], v[block, j]).flatten() for j in range(5)], dim=1)
        best = torch.linalg.lstsq(rank_one, wanted[block].flatten().unsqueeze(1)).solution.squeeze(1)
        torch.testing.assert_close(found.settings.sigma[block] * found.gain[block], best, rtol=1e-7, atol=1e-9)
    assert (found.distance < start.distance).all()
    torch.testing.assert_close(distances(realised(instrument, found), wanted), found.distance, rtol=1e-9, atol=0)


def test_a_block_keeps_its_sigma_where_the_projection_measures_worse() -> None:
    # three bits of sigma: what is optimal before rounding need not be after it
    instrument, wanted = specimen_instrument(chip_of(4, weight_bits=3, phase_bias=0.0), 200), targets(200, 4)
    plan = published_plan(instrument.chip, epochs=6)
    start = parallel_mapping(instrument, wanted, plan, project=False)
    found = project_sigma(instrument, wanted, start)
    kept = (found.settings.sigma == start.settings.sigma).all(1)
    assert 0 < kept.sum() < 200
    assert torch.equal(found.distance[kept], start.distance[kept])
    assert (found.distance[~kept] < start.distance[~kept]).all()
    torch.testing.assert_close(distances(realised(instrument, found), wanted), found.distance, rtol=1e-9, atol=1e-12)


def test_pseudo_identities_of_any_sign_serve_as_well_as_exact_meshes() -> None:
    chip = chip_of(4, weight_bits=None, gamma_std=0.0, crosstalk=0.0, phase_bias=0.0)
    instrument, wanted = specimen_instrument(chip, 3), targets(3, 4)
    start = scrambled(instrument, wanted)
    start = replace(start, settings=start.settings._replace(u_phases=start.settings.u_phases + 0.3))
    opened = torch.ones(3, 4, dtype=torch.float64)
    turned = math.pi * torch.randint(2, (2, 3, instrument.shifters)).double()  # half turns: identities with signs
    identity = BlockSettings(turned[0], turned[1], opened)
    instrument.program(identity)
    assert (instrument.matrices().diagonal(dim1=1, dim2=2) < 0).any()
    through = project_sigma(instrument, wanted, replace(start, calls=0), identity)
    assert through.calls == 4
    exact = project_sigma(instrument, wanted, start)
    torch.testing.assert_close(through.settings.sigma, exact.settings.sigma, rtol=0, atol=1e-9)
    torch.testing.assert_close(through.distance, exact.distance, rtol=1e-9, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_mapping_comes_nearer_on_a_chip_with_errors(method: Method, on_bench) -> None:  # type: ignore[no-untyped-def]
    hidden, wanted = specimen_instrument(chip_of(3), 4, specimen=2), targets(4, 3)
    bench: Instrument = on_bench(hidden)
    epochs = 25
    plan = published_plan(hidden.chip, method, epochs=epochs)
    searched = parallel_mapping(bench, wanted, plan, project=False)
    assert searched.calls == bench.calls == 1 + epochs * 4 * 3
    start = distances(realised(hidden, scrambled(hidden, wanted)), wanted)
    factor = {"zcd": 0.2, "ztp": 0.2, "zgd": 0.7}[method]
    assert searched.distance.mean() < factor * start.mean()
    projected = project_sigma(bench, wanted, searched)
    assert (projected.distance <= searched.distance).all()
    assert projected.distance.mean() < searched.distance.mean()
    assert projected.calls == searched.calls + 3
    torch.testing.assert_close(distances(realised(hidden, projected), wanted), projected.distance, rtol=1e-9, atol=0)


def test_going_on_and_keeping_each_epoch() -> None:
    wanted = targets(2, 3)
    plan = replace(published_plan(chip_of(3), epochs=6), checked=True)
    whole = parallel_mapping(specimen_instrument(chip_of(3), 2), wanted, plan, project=False)
    kept: list[Mapped] = []
    bench = specimen_instrument(chip_of(3), 2)
    parallel_mapping(bench, wanted, replace(plan, epochs=2), project=False, each_epoch=kept.append)
    assert [found.epochs for found in kept] == [1, 2]
    resumed = parallel_mapping(bench, wanted, plan, project=False, after=kept[-1])
    assert resumed.calls == bench.calls == whole.calls + 1
    torch.testing.assert_close(resumed.distance, whole.distance, rtol=1e-6, atol=1e-9)


def test_a_restart_begins_where_the_distance_is_too_large() -> None:
    wanted = targets(2, 3)
    restart = published_restart(wanted)
    assert isinstance(restart.threshold, Tensor)
    torch.testing.assert_close(restart.threshold, 0.4 * wanted.square().mean((1, 2)))
    instrument = specimen_instrument(chip_of(3), 2)
    found = parallel_mapping(
        instrument, wanted, replace(published_plan(instrument.chip, epochs=2), restart=restart), project=False
    )
    assert found.calls in range(25, 28)


def test_blocks_of_two_sizes_run_side_by_side() -> None:
    wanted = [targets(2, 3), targets(5, 4)]
    benches = [specimen_instrument(chip_of(3), 2), specimen_instrument(chip_of(4), 5)]
    found = map_all(benches, wanted, published_plan(chip_of(3), epochs=2))
    assert [mapped.settings.sigma.shape for mapped in found] == [(2, 3), (5, 4)]


@pytest.mark.parametrize(
    ("wanted", "changes", "text"),
    [
        (torch.zeros(2, 3, 4), {}, "Targets have shape"),
        (torch.full((2, 3, 3), math.nan), {}, "NaN or Inf"),
        (torch.zeros(3, 3, 3), {}, "3 targets for the 2 blocks"),
        (torch.zeros(2, 4, 4), {"layout": "butterfly", "block_size": 4}, "no decomposition"),
    ],
)
def test_targets_that_do_not_fit_are_refused(wanted: Tensor, changes: dict[str, object], text: str) -> None:
    with pytest.raises(RequestError, match=text):
        parallel_mapping(specimen_instrument(chip_of(3).replace(**changes), 2), wanted)
