"""A start without guessing: turn the MZIs of one column at a time and see which planes of the output turn.

Let A be the matrix of a block with all attenuators open; it is orthogonal. Drive one MZI further by an angle t and
measure A' again: whatever its phase was, A' A^T turns one plane by t, spanned by what leaves the MZI's two waveguides,
and its sense tells the upper from the lower. MZIs of one column turn disjoint planes, so a column goes at once, each
MZI by an angle of its own, told apart by the eigenvalues cos t of the symmetric part.

A segment of waveguide between two MZIs lies in the planes of both, and apart from it the planes are orthogonal: the
light in it is the top eigenvector of the sum of two projectors, with a gap of 1. Between neighbouring segments lies one
rotation, so its phase is an angle between measured vectors. Nothing is divided and no pivot can vanish, whatever the
phases are: errors stay those of the readout, at any size. Attenuators at alternating signs, once, split the pairs
that two meshes share where they meet. What remains free is the common sign of U's and V's modes, which is no
property of the block.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.lab.mesh.identify.rotation_planes import Planes, find_planes, mend_planes
from lightloom.lab.mesh.identify.waveguide_graph import SegmentGraph, segment_graph
from lightloom.lab.mesh.instrument import BlockSettings
from lightloom.lab.mesh.twin import DigitalTwin, drive
from lightloom.physics import mesh


def told_apart(noise: float) -> int:
    """MZIs of one column that one call can tell apart: eigenvalues 1.9 / 8 apart stand clear of 1 % of noise."""
    return 16 if noise < 0.002 else 8


def turning_angles(chip: MeshChip, at_once: int = 8) -> Tensor:
    """How far each call turns each MZI of one mesh, [calls, n] in rad; 0 where it rests.

    More than `at_once` MZIs in a column take two calls or more, in which they share angles in different company.

    Args:
        chip: The design.
        at_once: MZIs of a column that one call tells apart.
    """
    columns = mesh.wiring(chip.block_size, chip.layout).columns
    plan: list[Tensor] = []
    for column in columns:
        rounds = 1
        while at_once**rounds < column.count:
            rounds += 1
        levels = math.ceil(column.count ** (1 / rounds) - 1e-9)
        place = torch.arange(column.count)
        for digit in range(rounds):
            level = torch.div(place, levels**digit, rounding_mode="floor") % levels
            angle = (1 - 1.9 * (level + 1) / levels).acos() if levels > 1 else torch.full((1,), 2.0)
            turn = torch.zeros(mesh.mzi_count(chip.block_size, chip.layout), dtype=torch.float64)
            # neighbours turn opposite ways, so that their heat mostly cancels in the columns beside
            turn[column.first : column.first + column.count] = angle * (1 - 2 * ((place + digit) % 2))
            plan.append(turn)
    return torch.stack(plan)


def start_settings(chip: MeshChip, blocks: int, at_once: int = 8) -> list[BlockSettings]:
    """The programs of the start: at rest, attenuators at alternating signs, then every column of U and of V turned.

    Args:
        chip: The design.
        blocks: How many blocks are measured side by side.
        at_once: MZIs of a column that one call tells apart.
    """
    turns = turning_angles(chip, at_once)
    rest = torch.full((blocks, turns.shape[1]), _at_rest(chip), dtype=torch.float64)
    ones = torch.ones(blocks, chip.block_size, dtype=torch.float64)
    turned = [drive(rest + turn, chip) for turn in turns]
    return [
        BlockSettings(rest, rest, ones),
        BlockSettings(rest, rest, ones * _alternating(chip.block_size)),
        *(BlockSettings(phases, rest, ones) for phases in turned),
        *(BlockSettings(rest, phases, ones) for phases in turned),
    ]


def start(chip: MeshChip, outputs: Tensor, *, at_once: int = 8, mirrored: bool = False) -> DigitalTwin:
    """The twin that the start's measurements show: biases within a few hundredths of a rad, the rest nominal.

    Args:
        chip: The design.
        outputs: [programs, blocks, k, k], the mean of what each of `start_settings` gave.
        at_once: With which those were made.
        mirrored: Behind an MZI that stands still, whose sense is unknown, give segments the other of two signs that are
            possible; only the fit can tell which is true.
    """
    turns, structure = turning_angles(chip, at_once), segment_graph(chip.block_size, chip.layout)
    matrices = outputs.transpose(0, 1)
    rest = _orthogonal(matrices[:, 0])
    rotations = matrices[:, 1:] @ rest.mT.unsqueeze(1)
    no_turn = torch.zeros_like(turns)
    angles = torch.cat([torch.cat([turns, no_turn]), torch.cat([no_turn, turns])], dim=1)
    planes = find_planes(rotations[:, 1:], angles)
    vectors = _segments(structure, planes.projectors, rotations[:, 0], rest)
    if planes.gamma.ne(1).any():
        planes = mend_planes(planes, vectors, rotations[:, 1:], angles, structure)
        vectors = _segments(structure, planes.projectors, rotations[:, 0], rest)
    vectors = _signed(structure, vectors, planes, mirrored)
    bias = _angles_between(structure, vectors) - planes.gamma * _at_rest(chip)
    twin, mzis = DigitalTwin.nominal(chip, len(rest)), turns.shape[1]
    gamma = planes.gamma
    return replace(twin, u_bias=bias[:, :mzis], v_bias=bias[:, mzis:], u_gamma=gamma[:, :mzis], v_gamma=gamma[:, mzis:])


def readout_noise(chip: MeshChip, outputs: Tensor) -> float:
    """Standard deviation of one measured value: how far blocks with open attenuators are from orthogonal.

    Args:
        chip: The design.
        outputs: [programs, blocks, k, k], one measurement of each of `start_settings`.
    """
    matrices = torch.cat([outputs[:1], outputs[2:]])
    size = chip.block_size
    gram = matrices @ matrices.mT
    gram = gram / gram.diagonal(dim1=-2, dim2=-1).mean((0, 1, 2))
    off = gram - torch.diag_embed(gram.diagonal(dim1=-2, dim2=-1))
    # an off-diagonal element is the sum of two projections of noise on unit rows
    return float(off.square().sum((-2, -1)).div(2 * size * (size - 1)).median().sqrt())


def _segments(structure: SegmentGraph, planes: Tensor, flipped: Tensor, rest: Tensor) -> Tensor:
    """The light in every segment as a vector at the outputs, [blocks, segments, k], up to its sign."""
    size = planes.shape[-1]
    padded = torch.cat([planes, torch.zeros_like(planes[:, :1])], dim=1)  # -1 finds nothing
    total = padded[:, structure.after] + padded[:, structure.before]
    mirror = (flipped + flipped.mT) / 2
    eye = torch.eye(size, dtype=planes.dtype)
    total[:, structure.middle] += (eye + _alternating(size).view(-1, 1, 1) * mirror.unsqueeze(1)) / 2
    vectors: Tensor = torch.linalg.eigh(total)[1][..., -1]
    vectors[:, :size] = eye
    vectors[:, structure.first] = rest.mT
    return vectors


def _signed(structure: SegmentGraph, vectors: Tensor, planes: Planes, mirrored: bool) -> Tensor:
    """The same vectors with signs in which every MZI turns its upper waveguide towards its lower one."""
    signed = vectors.clone()
    faults = [frozenset(row.nonzero().flatten().tolist()) for row in planes.still]
    for excluded in set(faults):
        blocks = torch.tensor([block for block, fault in enumerate(faults) if fault == excluded])
        ours, senses = signed[blocks], planes.senses[blocks]
        if mirrored:
            ours[:, sorted(structure.undecided(excluded) - structure.undecided())] *= -1
        for relation in structure.relations(excluded):
            upper, lower = ours[:, relation.upper], ours[:, relation.lower]
            sense = torch.einsum("bi,bij,bj->b", lower, senses[:, relation.mzi], upper)
            ours[:, relation.found] *= torch.where(sense < 0, -1.0, 1.0).unsqueeze(-1).to(ours)
        signed[blocks] = ours
    return signed


def _angles_between(structure: SegmentGraph, vectors: Tensor) -> Tensor:
    """The phase of every MZI, [blocks, mzis]: (y_a, y_b) = (x_a, x_b) R(phase), x behind it and y before."""
    x_a, x_b = vectors[:, structure.outputs].unbind(2)
    y_a, y_b = vectors[:, structure.inputs].unbind(2)
    cosine = (x_a * y_a).sum(-1) + (x_b * y_b).sum(-1)
    sine = (x_b * y_a).sum(-1) - (x_a * y_b).sum(-1)
    return torch.atan2(sine, cosine)


def _at_rest(chip: MeshChip) -> float:
    """Half of the drive's range, as near as its levels come: every turn stays within it, whichever way."""
    return float(drive(torch.tensor(math.pi, dtype=torch.float64), chip))


def _alternating(size: int) -> Tensor:
    """+1, -1, +1, ..., [k]."""
    return 1.0 - 2.0 * (torch.arange(size, dtype=torch.float64) % 2)


def _orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices."""
    u, _, v = torch.linalg.svd(matrices)
    nearest: Tensor = u @ v
    return nearest
