"""One manufactured chip of meshes."""

from __future__ import annotations

from lightloom.chips.base import Specimen
from lightloom.chips.draws import OneChip
from lightloom.chips.mesh.errors import MeshErrors, draw
from lightloom.common.arguments import checked


class MeshSpecimen(Specimen):
    """A manufactured chip of meshes. See `chips.Specimen`."""

    @checked
    def mesh_errors(self, core: str, blocks: tuple[int, ...], shifters: int) -> MeshErrors:
        """Errors of one tensor core; the same at every call, and independent between cores.

        Args:
            core: Name of the core, its place on the chip.
            blocks: Leading dimensions: how many blocks it has.
            shifters: Phase shifters per mesh.
        """
        return draw(self.chip, OneChip(self.seed), core, blocks, shifters)
