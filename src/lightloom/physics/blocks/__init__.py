"""Weight matrices as blocks of U Sigma V, and the in-situ gradient of Sigma.

A matrix is cut into k x k blocks, padded with zeros at its lower and right edge: [groups, rows, columns] becomes
[groups, p, q, k, k] with p = ceil(rows / k), q = ceil(columns / k). A layer with groups holds one matrix per group.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightloom.physics.blocks import kernels
from lightloom.physics.compiled.operators import Gradient, define, folded


def grid(rows: int, columns: int, size: int) -> tuple[int, int]:
    """Number of `size` x `size` blocks (p, q) that cover a `rows` x `columns` matrix.

    Args:
        rows: Rows of the matrix.
        columns: Columns of the matrix.
        size: Rows and columns of a block.
    """
    return -(-rows // size), -(-columns // size)


def to_blocks(matrix: Tensor, size: int) -> Tensor:
    """Cut [..., rows, columns] into [..., p, q, size, size], padded with zeros.

    Args:
        matrix: [..., rows, columns].
        size: Rows and columns of a block.
    """
    rows, columns = matrix.shape[-2:]
    p, q = grid(rows, columns, size)
    if (p * size, q * size) != (rows, columns):
        matrix = torch.nn.functional.pad(matrix, (0, q * size - columns, 0, p * size - rows))
    return matrix.reshape(*matrix.shape[:-2], p, size, q, size).transpose(-3, -2)


def from_blocks(blocks: Tensor, rows: int, columns: int) -> Tensor:
    """Join [..., p, q, k, k] into [..., rows, columns]; the padding is cut off.

    Args:
        blocks: [..., p, q, k, k].
        rows: Rows of the matrix, at most p k.
        columns: Columns of the matrix, at most q k.
    """
    joined = blocks.transpose(-3, -2).flatten(-4, -3).flatten(-2, -1)
    return joined[..., :rows, :columns]


def assemble(u: Tensor, sigma: Tensor, v: Tensor, rows: int, columns: int, *, realised: Tensor | None = None) -> Tensor:
    """The weight matrix of blocks W = U diag(sigma) V.

    Backward gives sigma the subspace gradient (`subspace_gradient`, here from dW = sum over the batch of dy x^T,
    which is the same number), and U and V theirs only where they are asked for.

    Args:
        u: [groups, p, q, k, k].
        sigma: [groups, p, q, k].
        v: [groups, p, q, k, k]; it is V, already conjugated: a block is U diag(sigma) V.
        rows: Rows of one group's matrix, at most p k.
        columns: Columns of one group's matrix, at most q k.
        realised: What the devices make of `sigma`, same shape: taken in its place forwards, while the gradient goes
            to `sigma` (straight-through).

    Returns:
        [groups * rows, columns].

    Raises:
        ValueError: The shapes do not fit each other, or the blocks do not cover the matrix.
    """
    effective = sigma if realised is None else realised
    _check(u, sigma, v, effective, rows, columns)
    matrix: Tensor = _assemble(u, sigma, v, effective.detach(), rows, columns)
    return matrix


def subspace_gradient(grad_output: Tensor, inputs: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Gradient of the singular values as the chip measures it: sum over the batch of (U^T dy) * (V x).

    Two passes of light and one product per output: V x forwards, U^T dy backwards (L2ight, section 3.4).

    Args:
        grad_output: [n, p, k] error signals at the outputs of the block rows.
        inputs: [n, q, k] inputs of the block columns.
        u: [p, q, k, k].
        v: [p, q, k, k].

    Returns:
        [p, q, k].
    """
    backward = torch.einsum("pqis,npi->npqs", u, grad_output)
    forward = torch.einsum("pqsj,nqj->npqs", v, inputs)
    return (backward * forward).sum(0)


def _check(u: Tensor, sigma: Tensor, v: Tensor, effective: Tensor, rows: int, columns: int) -> None:
    square = u.ndim == 5 and u.shape[3] == u.shape[4]
    if not square or v.shape != u.shape or sigma.shape != u.shape[:4] or effective.shape != u.shape[:4]:
        raise ValueError(
            f"blocks are U and V [groups, p, q, k, k] and sigma [groups, p, q, k], got {list(u.shape)}, "
            f"{list(v.shape)} and {list(sigma.shape)}, realised as {list(effective.shape)}"
        )
    if not (rows <= u.shape[1] * u.shape[3] and columns <= u.shape[2] * u.shape[3]):
        raise ValueError(
            f"{u.shape[1]} x {u.shape[2]} blocks of {u.shape[3]} do not cover a matrix of {rows} x {columns}; "
            f"expected {grid(rows, columns, u.shape[3])}"
        )


def _plain(u: Tensor, sigma: Tensor, v: Tensor, effective: Tensor, rows: int, columns: int) -> Tensor:
    passing = effective.detach() + (sigma - sigma.detach()).to(effective.dtype)
    return from_blocks((u * passing.unsqueeze(-2)) @ v, rows, columns).reshape(-1, columns)


def _run(u: Tensor, sigma: Tensor, v: Tensor, effective: Tensor, rows: int, columns: int) -> Tensor:
    if kernels.usable(u, v, effective):
        return kernels.assemble(u, effective, v, rows, columns)
    return from_blocks((u * effective.unsqueeze(-2)) @ v, rows, columns).reshape(-1, columns).contiguous()


def _fake(u: Tensor, sigma: Tensor, v: Tensor, effective: Tensor, rows: int, columns: int) -> Tensor:
    dtype = torch.promote_types(torch.promote_types(u.dtype, effective.dtype), v.dtype)
    return u.new_empty(u.shape[0] * rows, columns, dtype=dtype)


def _pull(
    inputs: tuple[Any, ...], _: tuple[Tensor, ...] | None, grads: tuple[Tensor | None, ...], needs: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    u, sigma, v, effective, rows, columns = inputs
    needs_u, needs_sigma, needs_v = needs[:3]
    if grads[0] is None:
        return None, None, None
    grad = grads[0].reshape(u.shape[0], rows, columns)
    if not (needs_u or needs_v):
        return None, _slope(u, v, grad).to(sigma.dtype) if needs_sigma else None, None
    blocks = to_blocks(grad, u.shape[-1])
    through_v = blocks @ v.mH
    # no tensor here is larger than the weight: U^T dW V^T itself is never formed, only its diagonal
    grad_sigma = (through_v * u.conj()).sum(-2).real.to(sigma.dtype) if needs_sigma else None
    grad_u = through_v * effective.unsqueeze(-2) if needs_u else None
    grad_v = effective.unsqueeze(-1) * (u.mH @ blocks) if needs_v else None
    return grad_u, grad_sigma, grad_v


_assemble = define(
    "blocks_assemble(Tensor u, Tensor sigma, Tensor v, Tensor made, int rows, int columns) -> Tensor",
    _run,
    _fake,
    folded,
    Gradient(_plain, _pull),
)


def _run_slope(u: Tensor, v: Tensor, upstream: Tensor) -> Tensor:
    """diag(U^H dW V^H) of every block [groups, p, q, k], from dW [groups, rows, columns]."""
    if kernels.usable(u, v, upstream):
        return kernels.sigma_slope(u, v, upstream)
    return ((to_blocks(upstream, u.shape[-1]) @ v.mH) * u.conj()).sum(-2).real.contiguous()


def _fake_slope(u: Tensor, v: Tensor, upstream: Tensor) -> Tensor:
    return u.new_empty(u.shape[:-1], dtype=u.dtype.to_real())


_slope = define("blocks_slope(Tensor u, Tensor v, Tensor upstream) -> Tensor", _run_slope, _fake_slope, folded)
