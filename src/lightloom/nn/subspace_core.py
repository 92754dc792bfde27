"""Tensor cores whose blocks are products U diag(sigma) V, so that a chip can learn in the subspace of sigma."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from lightloom.nn.core import TensorCore


class SubspaceCore(TensorCore):
    """A tensor core with singular values of its own, whose gradient the chip itself can measure (L2ight, NeurIPS 2021).

    In mode "usv" only `sigma` trains.
    """

    sigma: nn.Parameter
    """The commanded singular values [groups, p, q, k], signed."""

    @abstractmethod
    def meshes(self) -> tuple[Tensor, Tensor]:
        """U and V [groups, p, q, k, k] as the devices make them; they are the caller's own."""
