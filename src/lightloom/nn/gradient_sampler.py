"""Draws the parts of a training pass for one optical layer, new at every pass."""

from __future__ import annotations

from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.config import Section
from lightloom.nn import sparse_backward
from lightloom.nn.subspace_core import SubspaceCore
from lightloom.physics import blocks, sampling
from lightloom.physics.rounding import straight_through
from lightloom.physics.sampling import BlockMode, Norm, RankMode


class LayerSampling(Section):
    """Which part of one layer's training pass is measured; a sparsity is the share left out, 0 leaves all.

    A norm says how the kept part makes up for the rest: not at all, by 1 / density ("exp") or by 1 / sqrt(density)
    ("var"), density being that of the mask as drawn. Sampled at random with "exp", a gradient is unbiased. Names,
    modes and the defaults of the norms are L2ight's.
    """

    feedback: float = Field(0.0, ge=0, lt=1)
    """Sparsity over the blocks of W in the error that goes back."""
    feedback_mode: BlockMode = "topk"
    """topk keeps the strongest blocks, equally many per column; gtopk the strongest of all; uniform any."""
    feedback_norm: Norm = "exp"
    """Norm of the blocks that `feedback` keeps."""
    column: float = Field(0.0, ge=0, lt=1)
    """Sparsity over the output positions in the gradient of W."""
    column_norm: Norm = "none"
    """Norm of the output positions that `column` keeps."""
    spatial: float = Field(0.0, ge=0, lt=1)
    """Sparsity over the input pixels in the gradient of W."""
    spatial_norm: Norm = "none"
    """Norm of the input pixels that `spatial` keeps."""
    forward: float = Field(0.0, ge=0, lt=1)
    """Sparsity over the blocks of W in the training pass forwards, and the same blocks backwards."""
    forward_mode: BlockMode = "uniform"
    """Choice of the blocks in the forward pass, named as in `feedback_mode`; topk is balanced over rows."""
    forward_norm: Norm = "exp"
    """Norm of the blocks that `forward` keeps."""
    rank: int | None = Field(None, ge=1)
    """Singular values per block whose gradient is measured; None is all."""
    rank_mode: RankMode = "topk"
    """topk takes the largest singular values, uniform any."""
    rank_norm: Norm = "none"
    """Norm of the singular values that `rank` keeps."""
    rank_sign: bool = False
    """Keep only the sign of the singular values' gradient."""

    @property
    def samples(self) -> bool:
        """Whether anything is left out."""
        sparsities = (self.feedback, self.column, self.spatial, self.forward)
        return any(sparsities) or self.rank is not None or self.rank_sign

    @model_validator(mode="after")
    def _one_mask_over_blocks(self) -> Self:
        if self.forward and self.feedback:
            raise ValueError("`forward` already decides the blocks of the feedback; set `feedback` or `forward` to 0")
        return self


class Sampler(nn.Module):
    """Takes the place of the dense product of an optical layer in training.

    Args:
        settings: What to sample.
        identities: Measured pseudo-identities (I_U, I_V) [groups, p, q, k, k] of the layer's core: what its meshes
            make when they are set to the identity. The gradient of sigma is then measured through U I_V and I_U V,
            as on the chip (L2ight, section 3.4); None is a perfect identity.
    """

    identity_u: Tensor | None
    identity_v: Tensor | None

    def __init__(self, settings: LayerSampling, identities: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__()
        self.settings = settings
        made_u, made_v = (None, None) if identities is None else identities
        # they belong to the hardware and are measured anew: never saved with the weights
        self.register_buffer("identity_u", made_u, persistent=False)
        self.register_buffer("identity_v", made_v, persistent=False)

    def linear(self, core: SubspaceCore, x: Tensor, bias: Tensor | None) -> Tensor:
        """Apply `torch.nn.functional.linear` with the gradients sampled: [..., outputs].

        Args:
            core: Holds the weight.
            x: Signals [..., inputs].
            bias: Added; None adds nothing.
        """
        weight = self.weight(core)
        inputs, gain = None, 1.0
        settings, size = self.settings, core.chip.block_size
        sparsity = 1 - (1 - settings.spatial) * (1 - settings.column)
        if sparsity > 0:
            # a vector has no pixels: each example leaves out slices of k inputs of its own
            inputs = sampling.uniform((x.numel() // x.shape[-1], core.blocks[2]), sparsity)
            gain = sampling.factor(inputs, settings.spatial_norm if settings.spatial else settings.column_norm)
            inputs = inputs.to(x.device)
        parts = self._parts(core)._replace(inputs=inputs, gain=gain, block_size=size)
        if dense(parts):
            return F.linear(x, weight, bias)
        x, weight, bias = _autocast(x, weight, bias)
        return sparse_backward.linear(x, weight, bias, parts)

    def conv2d(self, core: SubspaceCore, x: Tensor, bias: Tensor | None, geometry: sparse_backward.Geometry) -> Tensor:
        """Apply `torch.nn.functional.conv2d` with the gradients sampled: [batch, outputs, h', w'].

        Args:
            core: Holds the kernels.
            x: Images [batch, channels, h, w].
            bias: Added; None adds nothing.
            geometry: Of the convolution.
        """
        weight = self.weight(core).view(core.groups * core.rows, -1, *geometry.kernel)
        settings = self.settings
        size = (x.shape[2], x.shape[3])
        columns, column_gain = _drawn(_positions(size, geometry), settings.column, settings.column_norm)
        pixels, pixel_gain = _drawn(size[0] * size[1], settings.spatial, settings.spatial_norm)
        parts = self._parts(core)._replace(
            columns=None if columns is None else columns.to(x.device),
            inputs=None if pixels is None else pixels.to(x.device),
            gain=column_gain * pixel_gain,
        )
        if dense(parts):
            return F.conv2d(x, weight, bias, *geometry[1:])
        x, weight, bias = _autocast(x, weight, bias)
        return sparse_backward.conv2d(x, weight, bias, geometry, parts)

    def weight(self, core: SubspaceCore) -> Tensor:
        """The effective matrix, its gradient to sigma measured through the pseudo-identities and sampled ranks."""
        settings = self.settings
        reached = core.sigma.requires_grad and core.mode == "usv"
        if not reached or (settings.rank is None and not settings.rank_sign and self.identity_u is None):
            return core.weight()
        u, v = core.meshes()
        if self.identity_u is not None and self.identity_v is not None:
            u, v = u @ self.identity_v, self.identity_u @ v
        measured = blocks.assemble(u, self._ranked(core.sigma), v, core.rows, core.columns)
        with torch.no_grad():
            exact = core.weight()
        return straight_through(exact, measured.real if measured.is_complex() else measured)

    def _ranked(self, sigma: Tensor) -> Tensor:
        settings = self.settings
        factors = torch.ones_like(sigma)
        if settings.rank is not None:
            mask = sampling.ranks(sigma.detach(), settings.rank, settings.rank_mode)
            factors = mask.to(sigma.dtype) * sampling.factor(mask, settings.rank_norm)
        ranked: Tensor = _Ranked.apply(sigma, factors, settings.rank_sign)  # type: ignore[no-untyped-call]
        return ranked

    def _parts(self, core: SubspaceCore) -> sparse_backward.Parts:
        settings = self.settings
        parts = sparse_backward.Parts(block_size=core.chip.block_size)
        if settings.forward:
            mask = sampling.blocks(block_norms(core), settings.forward, settings.forward_mode, dim=-1)
            return parts._replace(forward=_factors(mask, settings.forward_norm, core))
        if settings.feedback:
            mask = sampling.blocks(block_norms(core), settings.feedback, settings.feedback_mode)
            return parts._replace(feedback=_factors(mask, settings.feedback_norm, core))
        return parts

    def extra_repr(self) -> str:
        """What is sampled, for printing a model."""
        defaults = LayerSampling()
        changed = {name: value for name, value in self.settings if value != getattr(defaults, name, None)}
        return ", ".join(f"{name}={value}" for name, value in changed.items())


def block_norms(core: SubspaceCore) -> Tensor:
    """Frobenius norms [groups, p, q] of the blocks, as the controller knows them: orthogonal meshes leave |sigma|."""
    scattered = core.sigma.detach().unsqueeze(-1)
    if core.matrix is not None:
        matrix = core.matrix.detach().view(core.groups, core.rows, core.columns)
        scattered = blocks.to_blocks(matrix, core.chip.block_size)
    norms: Tensor = torch.linalg.vector_norm(scattered, dim=(-2, -1))
    return norms


def dense(parts: sparse_backward.Parts) -> bool:
    """Whether nothing is left out."""
    return all(mask is None for mask in (parts.forward, parts.feedback, parts.columns, parts.inputs))


class _Ranked(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a factor per singular value, or only the sign of it."""

    @staticmethod
    def forward(ctx: Any, sigma: Tensor, factors: Tensor, sign: bool) -> Tensor:
        ctx.sign = sign
        ctx.save_for_backward(factors)
        return sigma.view_as(sigma)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (factors,) = ctx.saved_tensors
        (grad,) = grads
        return factors * (grad.sign() if ctx.sign else grad), None, None


def _drawn(count: int, sparsity: float, norm: Norm) -> tuple[Tensor | None, float]:
    if sparsity == 0:
        return None, 1.0
    mask = sampling.uniform((count,), sparsity)
    return mask, sampling.factor(mask, norm)


def _factors(mask: Tensor, norm: Norm, core: SubspaceCore) -> Tensor:
    return mask.to(core.sigma.dtype) * sampling.factor(mask, norm)


def _positions(size: tuple[int, int], geometry: sparse_backward.Geometry) -> int:
    return sampling.windows(size, geometry.kernel, geometry.stride, geometry.padding, geometry.dilation).shape[1]


def _autocast(*tensors: Any) -> tuple[Any, ...]:
    """What autocast would do to a torch layer: a function with a backward of its own has to be given it."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(None if tensor is None else tensor.to(dtype) for tensor in tensors)
