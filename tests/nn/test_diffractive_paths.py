"""Optical paths in blocks agree with light that is written out plane by plane, and so do their gradients."""

import math

import pytest
import torch
from torch import Tensor

from lightloom.nn.diffractive.paths import Optics, detected, plan
from lightloom.physics import diffraction
from lightloom.physics.diffraction import Detector, Grid


def ways(grid: Grid, layers: int) -> list[Tensor]:
    return [diffraction.transfer(grid, z, check="ignore") for z in (7e-5, *[1e-4] * layers)]


def optics(grid: Grid, mask: tuple[int, int], view: tuple[int, int], layers: int, **more: object) -> Optics:
    down, right = (v // 2 - m // 2 for v, m in zip(view, mask, strict=True))
    moved = diffraction.misalign(ways(grid, layers), [(down, right)] * layers)
    found = Optics(torch.stack([way.mT for way in moved]), mask, view, 1.0, "intensity", None)
    return found._replace(**more)  # type: ignore[arg-type]


def written_out(x: Tensor, turns: Tensor, grid: Grid, kind: Detector, amplitude: float = 1.0) -> Tensor:
    """[batch, outputs, inputs, h, w], by plain autograd on whole grids in double precision."""
    size = grid.rows, grid.columns
    first, *between = ways(grid, turns.shape[2])
    field = diffraction.propagate(diffraction.pad(x, *size), first).unsqueeze(1)
    for phases, way in zip(turns.unbind(2), between, strict=True):
        loss = diffraction.pad(torch.full_like(phases, amplitude), *size, 1.0)
        field = diffraction.propagate(field * diffraction.phase_mask(phases, *size) * loss, way)
    return diffraction.detect(diffraction.crop(field, *x.shape[-2:]), kind)


# rows, columns, mask, view, layers: even, odd, non-square, mixed, a view beyond the mask, a mask as large as the grid
SIZES = [
    (12, 12, (6, 6), (6, 6), 2),
    (13, 9, (5, 4), (6, 9), 3),
    (8, 15, (8, 15), (3, 2), 1),
    (11, 14, (4, 7), (9, 5), 2),
]


@pytest.mark.parametrize(("rows", "columns", "mask", "view", "layers"), SIZES)
@pytest.mark.parametrize("kind", ["intensity", "amplitude", "field"])
@pytest.mark.parametrize("memory_mb", [64.0, 1e-6])
def test_light_and_gradients_are_those_of_whole_planes(
    rows: int, columns: int, mask: tuple[int, int], view: tuple[int, int], layers: int, kind: Detector, memory_mb: float
) -> None:
    grid = Grid(rows, columns, 1.75e-6, 1.05e-6)
    x = torch.randn(2, 3, *view, dtype=torch.float64, requires_grad=True)
    turns = torch.rand(4, 3, layers, *mask, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    given = optics(grid, mask, view, layers, detector=kind, amplitude=0.9)
    y = detected(x, turns, weight, given, plan(x, 4, given, memory_mb))
    truth = (written_out(x, turns, grid, kind, 0.9) * weight[:, :, None, None]).sum(2)
    upstream = torch.randn_like(y)
    torch.testing.assert_close(y, truth, rtol=1e-10, atol=1e-10)
    found = torch.autograd.grad(y, (x, turns, weight), upstream)
    expected = torch.autograd.grad(truth, (x, turns, weight), upstream)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_single_precision_is_exact_to_a_few_roundings() -> None:
    grid, view = Grid(27, 22, 1.75e-6, 1.05e-6), (9, 14)
    x, turns, weight = torch.rand(2, 3, *view), 2 * torch.rand(2, 3, 2, 12, 11), torch.randn(2, 3)
    inputs = [value.requires_grad_() for value in (x, turns, weight)]
    exact = [value.detach().double().requires_grad_() for value in inputs]
    given = optics(grid, (12, 11), view, 2)
    single = given._replace(ways=given.ways.to(torch.complex64))
    y = detected(*inputs, single, plan(x, 2, single, 64.0))
    truth = (written_out(exact[0], exact[1], grid, "intensity") * exact[2][:, :, None, None]).sum(2)
    upstream = torch.randn_like(y)
    pairs = zip(
        (y, *torch.autograd.grad(y, inputs, upstream)),
        (truth, *torch.autograd.grad(truth, exact, upstream.double())),
        strict=True,
    )
    for found, expected in pairs:
        assert float((found - expected).detach().abs().max() / expected.detach().abs().max()) < 1e-5


def test_gradients_agree_with_finite_differences() -> None:
    given = optics(Grid(7, 6, 1.75e-6, 1.05e-6), (4, 3), (3, 4), 2)
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    turns = torch.rand(2, 2, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    blocks = plan(x, 2, given, 1e-6)
    assert torch.autograd.gradcheck(lambda *values: detected(*values, given, blocks), (x, turns, weight))


def test_inputs_may_share_their_masks_and_stay_apart() -> None:
    grid, view = Grid(10, 10, 1.75e-6, 1.05e-6), (4, 5)
    x = torch.randn(2, 3, *view, dtype=torch.float64, requires_grad=True)
    turns = torch.rand(1, 1, 2, 6, 6, dtype=torch.float64, requires_grad=True)
    given = optics(grid, (6, 6), view, 2)
    truth = written_out(x, turns.expand(-1, 3, -1, -1, -1), grid, "intensity")
    upstream = torch.randn_like(truth)
    expected = torch.autograd.grad(truth, (x, turns), upstream)
    for memory_mb in (64.0, 1e-6):
        y = detected(x, turns, None, given, plan(x, 1, given, memory_mb))
        torch.testing.assert_close(y, truth)
        torch.testing.assert_close(torch.autograd.grad(y, (x, turns), upstream), expected)


def test_dark_pixels_have_finite_gradients() -> None:
    given = optics(Grid(8, 8, 1.75e-6, 1.05e-6), (4, 4), (4, 4), 1, detector="amplitude")
    x, turns = torch.zeros(1, 1, 4, 4, requires_grad=True), torch.rand(1, 1, 1, 4, 4, requires_grad=True)
    given = given._replace(ways=given.ways.to(torch.complex64))
    detected(x, turns, None, given, plan(x, 1, given, 64.0)).sum().backward()
    assert x.grad is not None and turns.grad is not None
    assert torch.isfinite(x.grad).all() and torch.isfinite(turns.grad).all()


@pytest.mark.parametrize("memory_mb", [0.05, 0.3, 2.0, 9.0, 64.0])
def test_blocks_cover_every_path_once_within_the_bound(memory_mb: float) -> None:
    grid = Grid(32, 32, 1.75e-6, 1.05e-6)
    given = optics(grid, (16, 16), (16, 16), 2)
    x = torch.zeros(2, 12, 16, 16)
    found = plan(x, 10, given, memory_mb)
    paths = torch.zeros(10, 12, dtype=torch.int64)
    for block in found.blocks:
        paths[block.outputs, block.inputs] += 1
    assert (paths == 1).all()
    field = 2 * 32 * 32 * 16  # bytes of a path's field in complex128
    for block in found.blocks:
        high, wide = block.outputs.stop - block.outputs.start, block.inputs.stop - block.inputs.start
        spectra = field * wide * (3 * high + 1)  # a spectrum, the next, a transform; and what all outputs share
        assert spectra <= memory_mb * 2**20 or high * wide == 1
    kept = 2 * 10 * 12 * 3 * 16 * 16 * 16 if found.keep else 0
    assert kept <= memory_mb * 2**20
    assert len({block.seed for block in found.blocks}) == len(found.blocks)


def test_more_memory_makes_fewer_blocks_until_light_is_kept() -> None:
    given = optics(Grid(32, 32, 1.75e-6, 1.05e-6), (16, 16), (16, 16), 2)
    plans = [plan(torch.zeros(2, 4, 16, 16), 8, given, memory_mb) for memory_mb in (0.1, 0.5, 2.0, 64.0)]
    counts = [len(found.blocks) for found in plans]
    assert counts == sorted(counts, reverse=True) and counts[0] == 32 and counts[1] > counts[2]
    assert [plans[0].keep, plans[-1].keep] == [False, True]


@pytest.mark.parametrize("mixed", [False, True])
def test_second_derivatives_are_those_of_whole_planes(mixed: bool) -> None:
    grid = Grid(8, 7, 1.75e-6, 1.05e-6)
    given = optics(grid, (4, 3), (4, 5), 2)
    source = torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    phases = torch.rand(2, 2, 2, 4, 3, dtype=torch.float64)
    second = []
    for light in (
        lambda x, turns: detected(x, turns, None, given, plan(x, 2, given, 1e-6)),
        lambda x, turns: written_out(x, turns, grid, "intensity"),
    ):
        x = source.sin()
        turns = phases * x.mean() if mixed else phases.clone().requires_grad_()  # masks that depend on the light, too
        slopes = torch.autograd.grad(light(x, turns).square().sum(), (x, turns), create_graph=True)
        second.append(torch.autograd.grad(sum(slope.square().sum() for slope in slopes), source)[0])
    torch.testing.assert_close(*second)


def test_photons_are_the_same_on_the_way_back() -> None:
    given = optics(Grid(8, 8, 1.75e-6, 1.05e-6), (4, 4), (4, 4), 1, photons=20.0)
    x, turns = torch.rand(2, 3, 4, 4, dtype=torch.float64), torch.rand(5, 3, 1, 4, 4, dtype=torch.float64)
    weight = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    quiet = given._replace(photons=None)
    for memory_mb in (64.0, 1e-6):
        y = detected(x, turns, weight, given, plan(x, 5, given, memory_mb, seed=3))
        again = detected(x, turns, weight, given, plan(x, 5, given, memory_mb, seed=3))
        other = detected(x, turns, weight, given, plan(x, 5, given, memory_mb, seed=99))
        assert torch.equal(y, again) and not torch.allclose(y, other)
        upstream = torch.randn_like(y)
        (slope,) = torch.autograd.grad(y, weight, upstream)
        # the output is linear in the weights, so each draw that differed would show
        torch.testing.assert_close((slope * weight).sum(), (y * upstream).sum())
    # shot noise has the variance I / photons
    blocks = plan(x, 5, given, 64.0)
    draws = torch.stack(
        [detected(x, turns, None, given, blocks._replace(blocks=shifted(blocks.blocks, k))) for k in range(400)]
    )
    exact = detected(x, turns, None, quiet, blocks)
    assert float((draws.var(0) * 20 / exact).mean()) == pytest.approx(
        1.0, abs=4 * math.sqrt(2 / 400 / exact.numel()) + 0.02
    )


def shifted(blocks: tuple, by: int) -> tuple:  # type: ignore[type-arg]
    return tuple(block._replace(seed=1000 * by + block.seed) for block in blocks)
