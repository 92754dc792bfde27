"""Which plane of the output each MZI turns, and which MZIs do not turn as they are told."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.lab.mesh.identify.waveguide_graph import SegmentGraph

_MISFIT = 0.1
"""An eigenvalue this far from the cosine of the turn is not that of a working device, nor of its column's next."""
_STILL = 0.3
"""A turn whose sine is below this leaves its sense open."""


class Planes(NamedTuple):
    """What the turned columns show of every MZI."""

    projectors: Tensor
    """[blocks, mzis, k, k], on the plane that the MZI turns."""
    senses: Tensor
    """[blocks, mzis, k, k], skew: l_b . sense . l_a is positive for upper and lower waveguide a and b."""
    gamma: Tensor
    """[blocks, mzis]: 1 for those that turn as they should, the share of the turn that is seen for the others."""
    still: Tensor
    """bool [blocks, mzis]: turns too little to show a sense."""


def find_planes(rotations: Tensor, angles: Tensor) -> Planes:
    """The plane of every MZI, for whichever turned as told; the others have a gamma of 0 and a plane that is wrong.

    Args:
        rotations: [blocks, calls, k, k], A' A^T of each call of turned MZIs.
        angles: [calls, mzis], by how much each was turned, rad.
    """
    symmetric, skew = (rotations + rotations.mT) / 2, (rotations - rotations.mT) / 2
    eye = torch.eye(rotations.shape[-1], dtype=rotations.dtype)
    projectors, senses, gammas = [], [], []
    for mzi in range(angles.shape[1]):
        calls = angles[:, mzi].nonzero().flatten()
        angle = angles[calls, mzi].view(-1, 1, 1)
        off = symmetric[:, calls] - angle.cos() * eye
        values, vectors = torch.linalg.eigh((off @ off).sum(1))
        projectors.append(vectors[..., :2] @ vectors[..., :2].mT)
        senses.append((skew[:, calls] * angle.sin().sign()).sum(1))
        gammas.append(torch.where(values[:, :2].mean(-1) > len(calls) * _MISFIT**2, 0.0, 1.0))
    gamma = torch.stack(gammas, 1).to(rotations)
    return Planes(torch.stack(projectors, 1), torch.stack(senses, 1), gamma, gamma.eq(0))


def mend_planes(planes: Planes, vectors: Tensor, rotations: Tensor, angles: Tensor, structure: SegmentGraph) -> Planes:
    """The same with the planes of faulty MZIs: what the rest of their column leaves over, and how much that turned.

    Args:
        planes: From `find_planes`.
        vectors: [blocks, segments, k], light in every segment as far as sound planes tell.
        rotations: As `find_planes`.
        angles: As `find_planes`.
        structure: The chain.
    """
    projectors, gamma, still = planes.projectors.clone(), planes.gamma.clone(), planes.still.clone()
    eye = torch.eye(rotations.shape[-1], dtype=rotations.dtype)
    for block, mzi in still.nonzero().tolist():
        straight = vectors[block, list(structure.beside[mzi])]
        excluded = planes.projectors[block, list(structure.mates[mzi])].sum(0) + straight.mT @ straight
        plane = torch.linalg.eigh(eye - excluded)[1][:, -2:]
        projectors[block, mzi] = plane @ plane.mT
        call = int(angles[:, mzi].abs().argmax())
        inside = plane.mT @ rotations[block, call] @ plane
        turned = torch.atan2((inside[0, 1] - inside[1, 0]).abs(), inside.trace())
        gamma[block, mzi] = turned / angles[call, mzi].abs()
        still[block, mzi] = turned.sin() < _STILL
    return Planes(projectors, planes.senses, gamma, still)
