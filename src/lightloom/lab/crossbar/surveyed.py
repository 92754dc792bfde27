"""What a survey shows of the cells of a crossbar, in memory and on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from lightloom.chips import PCMErrors
from lightloom.common.errors import RequestError
from lightloom.common.files import write_bytes

_FAR = 2.5
"""Misfit from which the model of the cells is not believed."""


class Suspect(NamedTuple):
    """A pair of cells that behaves like none of the kinds known here."""

    array: int
    row: int
    slot: int
    misfit: float
    """Root mean square of what the fit leaves, in units of full scale."""


@dataclass(frozen=True)
class Surveyed:
    """What is known of the cells of a core. Where both cells of a pair are stuck, only their difference is."""

    absorption: Tensor
    """[A, 2, k, k] float64, over nominal."""
    stuck: Tensor
    """int8 [A, 2, k, k]: level n that, with `absorption`, transmits as the stuck cell; `HEALTHY` where it switches."""
    absorption_std: float
    """Standard error of the absorption of a cell that switches, the median."""
    readout: float
    """Standard deviation of one measured value, in units of full scale."""
    suspects: tuple[Suspect, ...]
    """Cells that behave oddly: at most 20, the worst first."""
    calls: int
    """Spent on the survey."""
    writes: Tensor
    """int32 [A, 2, k, k]: levels written by the survey."""
    misfit: float = 0.0
    """What the fit leaves over what noise and programming errors explain: near 1 or below, where cells are as known."""

    @property
    def caveat(self) -> str | None:
        """Why the stated accuracy does not hold, in a sentence or two; None where nothing speaks against it."""
        if self.misfit <= _FAR:
            return None
        return (
            f"The cells are not as designed: the fit leaves {self.misfit:.3g} times what noise and programming errors "
            f"explain. That absorptions are known to {self.absorption_std:.2g} does not hold. Check detectors that "
            "saturate, the transmissions of the levels, and drift."
        )

    @property
    def errors(self) -> PCMErrors:
        """The same as a description of hardware, for the models of `physics.pcm.errors`."""
        return PCMErrors(self.absorption, self.stuck)

    def save(self, path: Path) -> None:
        """Write everything to one safetensors file, whole."""
        import json

        from safetensors.torch import save

        tensors = {"absorption": self.absorption, "stuck": self.stuck, "writes": self.writes}
        notes = {
            "absorption_std": repr(self.absorption_std),
            "readout": repr(self.readout),
            "calls": repr(self.calls),
            "misfit": repr(self.misfit),
            "suspects": json.dumps([suspect._asdict() for suspect in self.suspects]),
        }
        write_bytes(path, save({name: t.contiguous() for name, t in tensors.items()}, metadata=notes))

    @staticmethod
    def load(path: Path) -> Surveyed:
        """Read what `save` wrote.

        Raises:
            RequestError: The file is missing, cut short, or holds something else.
        """
        import json

        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as opened:
                tensors = {name: opened.get_tensor(name) for name in ("absorption", "stuck", "writes")}
                notes = opened.metadata() or {}
            return Surveyed(
                **tensors,
                absorption_std=float(notes["absorption_std"]),
                readout=float(notes["readout"]),
                calls=int(notes["calls"]),
                misfit=float(notes.get("misfit", "0")),  # files of earlier versions have none
                suspects=tuple(Suspect(**suspect) for suspect in json.loads(notes["suspects"])),
            )
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise RequestError(f"`{path}` holds no survey of a crossbar: {error}.") from None
