"""Meshes of Mach-Zehnder interferometers (MZIs): from phases to the matrix they make, and back.

A mesh on k waveguides is a list of columns of MZIs. Each MZI joins two waveguides (a, b) and turns their
fields by

    T(theta, phi) = [[e^{i phi} cos theta, -sin theta],
                     [e^{i phi} sin theta,  cos theta]]

(Clements et al., Optica 3, 1460 (2016)). theta is the rotation angle, half of a physical MZI's internal
differential phase; phi is its external phase; global phases are absorbed. The whole mesh makes

    M = D C_last ... C_1 C_0

where C_l is column l and D the output diagonal. There are two fields:

* ``"real"``: phi = 0, one phase per MZI, D holds signs (+1 or -1). M is orthogonal.
* ``"complex"``: theta and phi per MZI, D holds e^{i output phase}. M is unitary.

and three layouts:

* ``"rectangle"`` (Clements et al. 2016): k columns; column l joins (r, r + 1) for r = l mod 2, l mod 2 + 2,
  ...
* ``"triangle"`` (Reck et al., Phys. Rev. Lett. 73, 58 (1994)): 2k - 3 columns; the waveguides (r, r + 1) are
  joined in columns r, r + 2, ..., 2(k - 2) - r.
* ``"butterfly"``: k a power of two; log2 k columns of k/2 MZIs with strides 1, 2, 4, ... Not universal.

Phases are one flat last dimension, column 0 from top to bottom, then column 1, and so on: ``[..., m]`` for a
real mesh of m MZIs, ``[..., 2 m + k]`` for a complex one (every theta, then every phi, then the output
phases), in radians.
"""

from lightloom.physics.mesh.decomposition import MeshPhases, decompose, signs_to_input
from lightloom.physics.mesh.heaters import heater_positions, neighbours, warming_matrix
from lightloom.physics.mesh.layouts import (
    FIELDS,
    LAYOUTS,
    UNIVERSAL_LAYOUTS,
    Column,
    Field,
    Layout,
    Wiring,
    depth,
    mzi_count,
    phase_count,
    wiring,
)
from lightloom.physics.mesh.propagation import build

__all__ = [
    "FIELDS",
    "LAYOUTS",
    "UNIVERSAL_LAYOUTS",
    "Column",
    "Field",
    "Layout",
    "MeshPhases",
    "Wiring",
    "build",
    "decompose",
    "depth",
    "heater_positions",
    "mzi_count",
    "neighbours",
    "phase_count",
    "signs_to_input",
    "warming_matrix",
    "wiring",
]
