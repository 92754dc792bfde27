"""Weight matrices as blocks of U Sigma V, and the in-situ gradient of Sigma.

A matrix is cut into k x k blocks, padded with zeros at its lower and right edge: [groups, rows, columns] becomes
[groups, p, q, k, k] with p = ceil(rows / k), q = ceil(columns / k). A layer with groups holds one matrix per group.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightloom.physics.blocks import kernels


def grid(rows: int, columns: int, size: int) -> tuple[int, int]:
    """Number of `size` x `size` blocks (p, q) that cover a `rows` x `columns` matrix."""
    return -(-rows // size), -(-columns // size)


def to_blocks(matrix: Tensor, size: int) -> Tensor:
    """Cut [..., rows, columns] into [..., p, q, size, size], padded with zeros."""
    rows, columns = matrix.shape[-2:]
    p, q = grid(rows, columns, size)
    if (p * size, q * size) != (rows, columns):
        matrix = torch.nn.functional.pad(matrix, (0, q * size - columns, 0, p * size - rows))
    return matrix.reshape(*matrix.shape[:-2], p, size, q, size).transpose(-3, -2)


def from_blocks(blocks: Tensor, rows: int, columns: int) -> Tensor:
    """Join [..., p, q, k, k] into [..., rows, columns]; the padding is cut off."""
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
    """
    made = sigma if realised is None else realised
    matrix: Tensor = _Assemble.apply(u, sigma, v, made.detach(), rows, columns)  # type: ignore[no-untyped-call]
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


class _Assemble(torch.autograd.Function):
    """W = U diag(made) V, block by block, with the gradient of `made` given to sigma."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, sigma: Tensor, v: Tensor, made: Tensor, rows: int, columns: int) -> Tensor:
        ctx.save_for_backward(u, made, v)
        if kernels.usable(u):
            return kernels.assemble(u, made, v, rows, columns)
        return from_blocks((u * made.unsqueeze(-2)) @ v, rows, columns).reshape(-1, columns)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None, None]:
        u, made, v = ctx.saved_tensors
        needs_u, needs_sigma, needs_v = ctx.needs_input_grad[:3]
        grad = grad.reshape(u.shape[0], -1, grad.shape[-1])
        if not (needs_u or needs_v) and kernels.usable(u):
            return None, kernels.sigma_slope(u, v, grad), None, None, None, None
        blocks = to_blocks(grad, u.shape[-1])
        through_v = blocks @ v.mH
        # no tensor here is larger than the weight: U^T dW V^T itself is never formed, only its diagonal
        grad_sigma = (through_v * u.conj()).sum(-2).real.to(made.dtype) if needs_sigma else None
        grad_u = through_v * made.unsqueeze(-2) if needs_u else None
        grad_v = made.unsqueeze(-1) * (u.mH @ blocks) if needs_v else None
        return grad_u, grad_sigma, grad_v, None, None, None
