"""Which part of a gradient is measured: masks over blocks, positions, pixels, singular values and examples.

Source: Gu et al., "L2ight", NeurIPS 2021, sections 3.4 and 4; RAD and SWAT-U as compared there. A sparsity s is the
share left out, a density 1 - s the share kept. Every draw comes from torch's global generator of the CPU, so that it
is the same on every device. A random mask is never empty: where the draw was, one element, any with equal chance, is
kept, so that a mask divided by its own density has mean 1 in every element.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightloom.physics.execution import constant

BlockMode = Literal["topk", "gtopk", "uniform"]
RankMode = Literal["topk", "uniform"]
Norm = Literal["none", "exp", "var"]


def factor(mask: Tensor, norm: Norm) -> float:
    """What the kept part is multiplied by: 1 ("none"), 1 / density ("exp") or 1 / sqrt(density) ("var").

    Args:
        mask: Any shape, with at least one element kept.
        norm: "exp" keeps the mean of a random mask, "var" its power.
    """
    if norm == "none":
        return 1.0
    density = float(mask.double().mean())
    return 1 / density if norm == "exp" else density**-0.5


def uniform(shape: tuple[int, ...], sparsity: float) -> Tensor:
    """A random mask: each element is kept with chance 1 - sparsity, independently of the others.

    With norm "exp" what is sampled with it is unbiased.

    Args:
        shape: Shape of the mask.
        sparsity: Share of the elements that is dropped, 0 ... 1.

    Returns:
        Bool [*shape] on the CPU, at least one element of it true.
    """
    mask = torch.rand(shape) >= sparsity
    if not mask.any():
        mask.view(-1)[torch.randint(mask.numel(), ())] = True
    return mask


def topk(norms: Tensor, sparsity: float, dim: int = -2) -> Tensor:
    """The strongest blocks along `dim`, equally many everywhere: no row of the chip adds longer than another.

    Biased, whatever the norm: what is left out is always the same and never has its turn. Measured at s = 0.6 on a 3x3
    convolution as torch draws it (18 to 36 channels, k = 9, `bench subspace`): relative bias of dx 0.68 with norm
    "none", and 0.98, so no better, with "exp", since the strongest blocks carry more than their share. That of
    `uniform` with "exp" is 0.

    Args:
        norms: [groups, p, q] Frobenius norms of the blocks.
        sparsity: Share of blocks left out.
        dim: -2 balances the columns q of W, for W^T dy; -1 the rows p, for W x.

    Returns:
        Bool [groups, p, q].
    """
    count = kept_count(norms.shape[dim], sparsity)
    indices = norms.topk(count, dim, sorted=False).indices
    return torch.zeros_like(norms, dtype=torch.bool).scatter_(dim, indices, True)


def gtopk(norms: Tensor, sparsity: float) -> Tensor:
    """The strongest blocks of the whole matrix [groups, p, q]; unbalanced, and biased as `topk` (0.76 as measured).

    Args:
        norms: [groups, p, q], of the blocks.
        sparsity: Share of the blocks that is dropped, 0 ... 1.
    """
    return topk(norms.reshape(1, -1), sparsity, dim=-1).view_as(norms)


def blocks(norms: Tensor, sparsity: float, mode: BlockMode, dim: int = -2) -> Tensor:
    """The mask over blocks of `topk`, `gtopk` or `uniform` for blocks of these norms [groups, p, q].

    Args:
        norms: [groups, p, q], of the blocks.
        sparsity: Share of the blocks that is dropped, 0 ... 1.
        mode: Which of the three.
        dim: Dimension along which `topk` balances the blocks.

    Raises:
        ValueError: The mode is unknown.
    """
    if mode == "topk":
        return topk(norms, sparsity, dim)
    if mode == "gtopk":
        return gtopk(norms, sparsity)
    if mode == "uniform":
        return uniform(tuple(norms.shape), sparsity).to(norms.device)
    raise ValueError(f"blocks are sampled by `topk`, `gtopk` or `uniform`, got `{mode}`")


def ranks(sigma: Tensor, kept: int, mode: RankMode) -> Tensor:
    """Which `kept` singular values of every block have their gradient measured.

    Args:
        sigma: [..., k].
        kept: 1 ... k.
        mode: "topk" takes the largest in magnitude (biased), "uniform" any, as many in each block.

    Returns:
        Bool [..., k].

    Raises:
        ValueError: `kept` is out of range.
    """
    if not 1 <= kept <= sigma.shape[-1]:
        raise ValueError(f"a block has {sigma.shape[-1]} singular values; keep 1 ... {sigma.shape[-1]}, got {kept}")
    scores = sigma.abs() if mode == "topk" else torch.rand(sigma.shape).to(sigma.device)
    return torch.zeros_like(sigma, dtype=torch.bool).scatter_(-1, scores.topk(kept, -1).indices, True)


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of the class probabilities behind [n, classes] logits: [n]."""
    logarithms = logits.log_softmax(-1)
    return -(logarithms.exp() * logarithms).sum(-1)


def uncertain(logits: Tensor, sparsity: float) -> Tensor:
    """Examples that a teacher is unsure of: those whose entropy exceeds the s-quantile of the batch.

    Args:
        logits: [n, classes] of the teacher.
        sparsity: s.

    Returns:
        Bool [n]; where all are equally unsure, and none is above, all are kept.
    """
    unsure = entropy(logits.double())
    mask = unsure > unsure.quantile(sparsity)
    return mask if mask.any() else torch.ones_like(mask)


def kept_count(count: int, sparsity: float) -> int:
    """How many of `count` things are kept: the nearest number to the density's share, at least one.

    Args:
        count: How many there are.
        sparsity: Share that is dropped, 0 ... 1.
    """
    return max(1, round(count * (1 - sparsity)))


@constant(maxsize=64)
def windows(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> NDArray[np.int64]:
    """Which pixel each kernel element meets at each output position of a convolution.

    Args:
        size: Height and width of the input.
        kernel: As `kernel_size` of `torch.nn.Conv2d`; the others as there.
        stride: Steps.
        padding: Widths at both ends.
        dilation: Steps between kernel elements.

    Returns:
        int64 [kernel elements, output positions] on the CPU, all in row-major order: the number of a pixel, or h * w
        for the padding.
    """
    axes, inside = [], []
    for length, taps, step, pad, spread in zip(size, kernel, stride, padding, dilation, strict=True):
        outputs = (length + 2 * pad - spread * (taps - 1) - 1) // step + 1
        place = np.arange(taps)[:, None] * spread + np.arange(outputs) * step - pad
        axes.append(place)
        inside.append((place >= 0) & (place < length))
    rows, columns = axes[0][:, None, :, None], axes[1][None, :, None, :]
    within = inside[0][:, None, :, None] & inside[1][None, :, None, :]
    pixels = np.where(within, rows * size[1] + columns, size[0] * size[1])
    return pixels.astype(np.int64).reshape(kernel[0] * kernel[1], -1)
