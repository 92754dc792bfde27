"""The matrix of a block and its derivative in every phase and every attenuator, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.lab.mesh.twin import DigitalTwin
from lightloom.physics import mesh


class _Mesh(NamedTuple):
    matrix: Tensor
    left: tuple[Tensor, Tensor]
    right: tuple[Tensor, Tensor]


def block_jacobian(twin: DigitalTwin, u_phases: Tensor, v_phases: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices of blocks U diag(cos angle) V, and their jacobian in what the devices realise; real meshes.

    A mesh is L R(theta) P for each of its phases: the derivative turns rows a, b of R(theta) P by a right angle, so it
    is the difference of two outer products, l_b r_a - l_a r_b. A sweep forward gives every r, a sweep back every l.

    Args:
        twin: Size, layout and loss.
        u_phases: [..., n], realised, rad.
        v_phases: [..., n], realised, rad.
        angles: [..., k], realised by the attenuators, rad.

    Returns:
        [..., k, k], and [..., 2 n + k, k, k] in 1/rad: phases of U, of V, angles.
    """
    u, v = _factors(u_phases, twin), _factors(v_phases, twin)
    scaled = u.matrix * angles.cos().unsqueeze(-2)
    behind = angles.cos().unsqueeze(-1) * v.matrix
    parts = [
        _outer(u.left[1], u.right[0] @ behind) - _outer(u.left[0], u.right[1] @ behind),
        _outer(v.left[1] @ scaled.mT, v.right[0]) - _outer(v.left[0] @ scaled.mT, v.right[1]),
        _outer(u.matrix.mT * -angles.sin().unsqueeze(-1), v.matrix),
    ]
    return scaled @ v.matrix, torch.cat(parts, dim=-3)


def mesh_jacobian(twin: DigitalTwin, realised: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix [..., k, k] of one mesh and its jacobian [..., n, k, k] in the realised phases [..., n].

    Args:
        twin: Size, layout and loss.
        realised: [..., n] in rad.
    """
    factors = _factors(realised, twin)
    return factors.matrix, _outer(factors.left[1], factors.right[0]) - _outer(factors.left[0], factors.right[1])


def drive_block_jacobian(twin: DigitalTwin, u_drive: Tensor, v_drive: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices of blocks and their Jacobian [..., 2 n + k, k, k] in the drive, whether it is on its levels or not.

    Args:
        twin: The devices.
        u_drive: [..., blocks, n], nominal phases of U in rad.
        v_drive: [..., blocks, n], nominal phases of V in rad.
        angles: [..., blocks, k], nominal angles of the attenuators in rad.
    """
    realised = (
        twin.realised(u_drive, twin.imperfections("u")),
        twin.realised(v_drive, twin.imperfections("v")),
        angles * twin.sigma_gamma,
    )
    matrices, jacobian = block_jacobian(twin, *realised)
    shifters = u_drive.shape[-1]
    in_u, in_v, in_angle = torch.split(jacobian, [shifters, shifters, angles.shape[-1]], dim=-3)
    parts = (
        in_heat(twin, in_u.flatten(-2)) * twin.u_gamma.unsqueeze(-1),
        in_heat(twin, in_v.flatten(-2)) * twin.v_gamma.unsqueeze(-1),
        in_angle.flatten(-2) * twin.sigma_gamma.unsqueeze(-1),
    )
    return matrices, torch.cat(parts, dim=-2).view_as(jacobian)


def drive_mesh_jacobian(twin: DigitalTwin, driven: Tensor, side: str) -> tuple[Tensor, Tensor]:
    """Matrix [..., k, k] of one mesh of the twin and its Jacobian [..., n, k, k] in the drive, in 1/rad.

    Args:
        twin: The devices.
        driven: [..., blocks, n], the nominal phases that the drive gives, in rad.
        side: Which mesh, "u" or "v".
    """
    faults = twin.imperfections(side)
    matrix, jacobian = mesh_jacobian(twin, twin.realised(driven, faults))
    assert faults.gamma is not None  # a twin knows it
    return matrix, (in_heat(twin, jacobian.flatten(-2)) * faults.gamma.unsqueeze(-1)).view_as(jacobian)


def in_heat(twin: DigitalTwin, jacobian: Tensor) -> Tensor:
    """Slopes in each heater's own heat, of which its neighbours get a share, from jacobian in phases [..., n, m].

    Args:
        twin: The devices, for layout and crosstalk.
        jacobian: [..., n, m], derivatives in the realised phases.
    """
    chip = twin.chip
    warming = mesh.warming_matrix(chip.block_size, chip.layout, "real")  # a product with it outruns a gather
    return jacobian + twin.coupling.unsqueeze(-1) * (warming.mT @ jacobian)


def _outer(left: Tensor, right: Tensor) -> Tensor:
    return left.unsqueeze(-1) * right.unsqueeze(-2)


def _factors(realised: Tensor, twin: DigitalTwin) -> _Mesh:
    """The mesh, and of each MZI the columns l_a, l_b in front of it and the rows r_a, r_b behind it, [..., n, k]."""
    size = twin.chip.block_size
    gain = 10 ** (-twin.chip.insertion_loss_db / 20)
    wiring = mesh.wiring(size, twin.chip.layout)
    cosine, sine = gain * realised.cos().unsqueeze(-1), gain * realised.sin().unsqueeze(-1)
    lead = realised.shape[:-1]
    upper, lower = wiring.upper.long(), wiring.lower.long()
    eye = torch.eye(size, dtype=realised.dtype).expand(*lead, size, size)

    def sweep(columns: list[slice], sign: int, *, note_first: bool) -> tuple[Tensor, Tensor, Tensor]:
        state = eye.clone()
        noted = (realised.new_empty(*lead, wiring.mzis, size), realised.new_empty(*lead, wiring.mzis, size))
        for here in columns:
            a, b = upper[here], lower[here]
            first, second = state[..., a, :], state[..., b, :]
            turned = (
                cosine[..., here, :] * first - sign * sine[..., here, :] * second,
                cosine[..., here, :] * second + sign * sine[..., here, :] * first,
            )
            state[..., a, :], state[..., b, :] = turned
            noted[0][..., here, :], noted[1][..., here, :] = (first, second) if note_first else turned
        return state, *noted

    columns = [slice(column.first, column.first + column.count) for column in wiring.columns]
    matrix, right_a, right_b = sweep(columns, 1, note_first=False)
    _, left_a, left_b = sweep(columns[::-1], -1, note_first=True)
    return _Mesh(matrix, (left_a, left_b), (right_a, right_b))
