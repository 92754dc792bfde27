"""Singular value decomposition of many small matrices, against LAPACK and against what defines it."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.blocks.singular import svd


@pytest.fixture(params=["torch", "compiled"], autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "compiled" and not compiled.available():
        pytest.skip("the kernels are not built")
    with compiled.use(request.param):
        yield request.param


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def check(matrices: Tensor) -> None:
    u, sigma, v = svd(matrices)
    largest = torch.linalg.svdvals(matrices)[..., :1]
    torch.testing.assert_close(sigma, torch.linalg.svdvals(matrices), rtol=0, atol=1e-13 * float(largest.max()))
    assert bool((sigma >= 0).all())
    assert bool((sigma.diff(dim=-1) <= 0).all())
    eye = torch.eye(matrices.shape[-1], dtype=torch.float64).expand_as(matrices)
    for factor in (u, v):
        torch.testing.assert_close(factor.mT @ factor, eye, rtol=0, atol=1e-13)
    # to rounding of each matrix by itself, not of the largest among them
    distance = ((u * sigma.unsqueeze(-2)) @ v - matrices).abs().amax((-2, -1))
    assert bool((distance <= 1e-13 * largest[..., 0]).all())
    chosen = u.gather(-2, u.abs().argmax(-2, keepdim=True))
    assert bool((chosen > 0).all())


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 9, 16, 32, 33])
def test_any_matrix_of_any_size(size: int) -> None:
    full = random(19, size, size)  # two vectors of eight lanes, and a rest
    check(full)
    check(full * 10.0 ** torch.arange(-9, 10).view(-1, 1, 1))
    thin = random(11, size, (size + 1) // 2)
    check(thin @ thin.mT)
    check(torch.linalg.qr(full).Q)
    check(torch.eye(size, dtype=torch.float64).expand(5, size, size))
    check(torch.zeros(9, size, size, dtype=torch.float64))
    check(torch.ones(3, size, size, dtype=torch.float64))
    check(full * torch.logspace(-20, 0, size, dtype=torch.float64))
    check(full.mT * torch.logspace(0, -20, size, dtype=torch.float64))


@pytest.mark.parametrize("kept", [(1, 8), (8, 1), (5, 8), (8, 3), (2, 2)])
def test_blocks_that_are_padded(kept: tuple[int, int]) -> None:
    matrices = torch.zeros(10, 8, 8, dtype=torch.float64)
    matrices[:, : kept[0], : kept[1]] = random(10, *kept)
    check(matrices)
    assert bool((svd(matrices).sigma[:, min(kept) :] < 1e-14).all())


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200, 1e307])
def test_numbers_at_the_ends_of_the_range(scale: float) -> None:
    matrices = random(9, 4, 4)
    torch.testing.assert_close(svd(matrices * scale).sigma / scale, svd(matrices).sigma, rtol=1e-10, atol=0)


def test_equal_singular_values_that_are_not_all_equal() -> None:
    left, right = torch.linalg.qr(random(12, 6, 6)).Q, torch.linalg.qr(random(13, 6, 6)).Q[1:]
    check((left * torch.tensor([3.0, 3.0, 1.0, 1.0, 1.0, 0.0], dtype=torch.float64)) @ right)


def test_a_result_depends_on_nothing_but_its_matrix() -> None:
    matrices = random(40, 8, 8)
    alone = [svd(matrix) for matrix in matrices]
    together = svd(matrices.reshape(4, 10, 8, 8))
    for number in range(3):
        torch.testing.assert_close(
            together[number].flatten(0, 1), torch.stack([made[number] for made in alone]), rtol=0, atol=0
        )


def test_both_ways_agree_where_the_answer_is_unique() -> None:
    matrices = random(30, 5, 5)
    with compiled.use("torch"):
        expected = svd(matrices)
    for made, known in zip(svd(matrices), expected, strict=True):
        torch.testing.assert_close(made, known, rtol=0, atol=1e-10)


def test_the_input_is_left_as_it_is_whatever_its_strides() -> None:
    matrices = random(4, 3, 6, 6).transpose(0, 1).mT
    before = matrices.clone()
    check(matrices)
    assert torch.equal(matrices, before)
    assert [tuple(tensor.shape) for tensor in svd(matrices[:0])] == [(0, 4, 6, 6), (0, 4, 6), (0, 4, 6, 6)]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    matrices = random(20, 4, 4)
    matrices[17, 2, 1] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        svd(matrices)


def test_other_shapes_and_types_are_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        svd(random(2, 3, 4))
    with pytest.raises(TypeError, match=r"float64, not torch\.float32"):
        svd(torch.eye(3))
