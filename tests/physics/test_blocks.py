"""Blocks, and the in-situ gradient of singular values, against autograd of the full product."""

import pytest
import torch

from lightloom.physics import blocks


def parts(groups: int, rows: int, columns: int, size: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    p, q = blocks.grid(rows, columns, size)
    shapes = ((size, size), (size,), (size, size))
    return [torch.randn(groups, p, q, *shape, dtype=dtype) for shape in shapes]


def product(u: torch.Tensor, sigma: torch.Tensor, v: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Block by block, as the definition says."""
    groups, p, q, size, _ = u.shape
    joined = torch.zeros(groups, p * size, q * size, dtype=u.dtype)
    for g in range(groups):
        for i in range(p):
            for j in range(q):
                block = u[g, i, j] @ torch.diag(sigma[g, i, j]).to(u.dtype) @ v[g, i, j]
                joined[g, i * size : (i + 1) * size, j * size : (j + 1) * size] = block
    return joined[:, :rows, :columns].reshape(-1, columns)


CASES = [(1, 9, 9, 9), (1, 20, 31, 9), (3, 5, 7, 2), (2, 1, 1, 4), (1, 40, 17, 8), (1, 33, 65, 16), (1, 40, 40, 20)]


@pytest.mark.parametrize(("groups", "rows", "columns", "size"), CASES)
def test_assembled_weight_and_its_gradient(backend: None, groups: int, rows: int, columns: int, size: int) -> None:
    u, sigma, v = parts(groups, rows, columns, size)
    sigma.requires_grad_()
    made = blocks.assemble(u, sigma, v, rows, columns)
    expected = product(u, sigma, v, rows, columns)
    torch.testing.assert_close(made, expected)
    upstream = torch.randn_like(made)
    (slope,) = torch.autograd.grad(made, sigma, upstream)
    (truth,) = torch.autograd.grad(expected, sigma, upstream)
    torch.testing.assert_close(slope, truth)


def test_assembled_weight_in_single_precision_and_strided(backend: None) -> None:
    u, sigma, v = parts(1, 20, 31, 9, torch.float32)
    strided = u.transpose(-1, -2)
    made = blocks.assemble(strided, sigma, v, 20, 31)
    torch.testing.assert_close(made, product(strided, sigma, v, 20, 31), atol=1e-4, rtol=1e-4)


def test_values_that_are_not_finite_stay_in_their_block(backend: None) -> None:
    u, sigma, v = parts(1, 18, 27, 9)
    v[0, 1, 2] = float("nan")
    made = blocks.assemble(u, sigma, v, 18, 27)
    assert made[9:, 18:].isnan().all()
    assert made[:9].isfinite().all()
    assert made[9:, :18].isfinite().all()
    upstream = torch.randn(18, 27, dtype=torch.float64)
    upstream[0, 9] = float("nan")
    u, sigma, v = parts(1, 18, 27, 9)
    sigma.requires_grad_()
    (slope,) = torch.autograd.grad(blocks.assemble(u, sigma, v, 18, 27), sigma, upstream)
    assert slope[0, 0, 1].isnan().all()
    assert slope[0, 0, [0, 2]].isfinite().all()
    assert slope[0, 1].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gradients_of_all_three_factors(dtype: torch.dtype) -> None:
    u, sigma, v = parts(2, 5, 7, 3, dtype)
    sigma = sigma.real if dtype.is_complex else sigma
    inputs = [tensor.clone().requires_grad_() for tensor in (u, sigma, v)]
    assert torch.autograd.gradcheck(lambda u, s, v: blocks.assemble(u, s, v, 5, 7), inputs)


def test_in_situ_gradient_is_the_gradient_of_sigma() -> None:
    """sum over the batch of (U^T dy) * (V x) against autograd of y = W x with the full product."""
    u, sigma, v = parts(1, 18, 27, 9)
    sigma.requires_grad_()
    x, upstream = torch.randn(13, 27, dtype=torch.float64), torch.randn(13, 18, dtype=torch.float64)
    y = x @ product(u, sigma, v, 18, 27).T
    (truth,) = torch.autograd.grad(y, sigma, upstream)
    measured = blocks.subspace_gradient(upstream.reshape(13, 2, 9), x.reshape(13, 3, 9), u[0], v[0])
    torch.testing.assert_close(measured, truth[0])
    made = torch.nn.functional.linear(x, blocks.assemble(u, sigma, v, 18, 27))
    torch.testing.assert_close(torch.autograd.grad(made, sigma, upstream)[0], truth)


def test_backward_modifies_nothing() -> None:
    u, sigma, v = parts(1, 10, 10, 4)
    sigma.requires_grad_()
    made = blocks.assemble(u, sigma, v, 10, 10)
    upstream = torch.ones(10, 1, dtype=torch.float64).expand(10, 10)
    kept = [tensor.clone() for tensor in (u, v, upstream)]
    first = torch.autograd.grad(made, sigma, upstream, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(made, sigma, upstream)[0])
    assert all(torch.equal(a, b) for a, b in zip(kept, (u, v, upstream), strict=True))


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (8, 8), (3, 17)])
def test_cutting_and_joining_are_inverse(shape: tuple[int, int]) -> None:
    matrix = torch.randn(2, *shape)
    cut = blocks.to_blocks(matrix, 4)
    assert cut.shape == (2, -(-shape[0] // 4), -(-shape[1] // 4), 4, 4)
    assert torch.equal(blocks.from_blocks(cut, *shape), matrix)


def test_realised_values_are_made_and_commanded_ones_get_the_gradient(backend: None) -> None:
    u, sigma, v = parts(1, 18, 27, 9)
    sigma.requires_grad_()
    realised = torch.randn_like(sigma)
    made = blocks.assemble(u, sigma, v, 18, 27, realised=realised)
    torch.testing.assert_close(made, product(u, realised, v, 18, 27))
    (slope,) = torch.autograd.grad(made.square().sum(), sigma)
    truth = realised.clone().requires_grad_()
    torch.testing.assert_close(slope, torch.autograd.grad(product(u, truth, v, 18, 27).square().sum(), truth)[0])
