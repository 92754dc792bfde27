"""What an export says of phase-change crossbars: their levels, and the order in which these are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.export.pcm.levels import pcm_levels
from lightloom.export.technology import ExportModel, Format, Selection
from lightloom.nn import Mode, PCMCore, TensorCore
from lightloom.physics.pcm import schedule


def _levels(model: nn.Module, path: Path, selection: Selection) -> dict[str, Any]:
    return {"layers": len(pcm_levels(model, path)["layers"])}


class PCMExport(ExportModel):
    """Crossbars in files: levels in the order in which they are written."""

    form: ClassVar[tuple[str, ...]] = ("block_size", "levels")
    order_form: ClassVar[tuple[str, ...]] = ("sharing", "scope", "broadcast")
    formats: ClassVar[Mapping[str, Format]] = {"pcm": Format("levels", "phase-change crossbars", _levels)}

    def order(self, core: TensorCore) -> dict[str, Tensor]:
        """Which column sits where, turn by turn, unless columns are taken as they come."""
        assert isinstance(core, PCMCore)
        return {} if core.turns is None else {"turns": core.turns}

    def follow(
        self, name: str, core: TensorCore, state: Mapping[str, Tensor], order: Mapping[str, Tensor]
    ) -> Callable[[], None]:
        """Check rows and columns against the matrix, and return what places them.

        Args:
            name: Name of the layer, for errors.
            core: The core, which is left as it is.
            state: The saved state of the core.
            order: The saved order; without one columns are taken as they come.

        Raises:
            RequestError: The order leaves out a weight or has one twice.
        """
        assert isinstance(core, PCMCore)
        rows = state.get("array_rows", core.array_rows.cpu())
        plan = schedule.Schedule(rows, order.get("turns", core.natural.columns))
        try:
            schedule.check(plan, *core.shape)
        except (ValueError, RuntimeError, IndexError) as error:
            raise RequestError(f"The saved order of layer `{name}` is none of its matrix: {error}") from None
        return lambda: core.place(plan)

    def state(self, core: TensorCore, mode: Mode) -> dict[str, Tensor]:
        """The state of a core, which has the same tensors in every mode.

        Args:
            core: The core.
            mode: One of its modes.
        """
        return core.state_dict()
