"""Every measurement that was made, kept for the fit and for a session that goes on later."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.common.errors import RequestError, WorkError
from lightloom.common.files import write_bytes
from lightloom.lab.mesh.instrument import BlockSettings, Instrument
from lightloom.lab.mesh.readings import read_matrices
from lightloom.lab.readings import ReadingError


class Repeatability(NamedTuple):
    """Readout noise as it shows where the same settings are measured again, without any model of the chip."""

    std: float
    """Standard deviation of one measured value, relative to full scale."""
    freedom: int
    """Degrees of freedom that it was estimated from."""


@dataclass
class Measurements:
    """Settings that were programmed and the matrices that came back, in order."""

    settings: list[BlockSettings] = field(default_factory=list)
    """Settings of each measurement, [blocks, n] and [blocks, k]."""
    outputs: list[Tensor] = field(default_factory=list)
    """Matrices that each measurement gave, [blocks, k, k]."""

    def __len__(self) -> int:
        return len(self.outputs)

    def first(self, count: int) -> Measurements:
        """The first `count` measurements, in a list of their own."""
        return Measurements(self.settings[:count], self.outputs[:count])

    def measure(self, instrument: Instrument, settings: BlockSettings) -> Tensor:
        """Program, measure once, keep.

        Args:
            instrument: The chip.
            settings: What it is programmed to.

        Raises:
            WorkError: The instrument gave something else than finite matrices; it is not kept.
        """
        instrument.program(settings)
        try:
            measured = read_matrices(instrument)
        except ReadingError as error:
            raise WorkError(f"Measurement {len(self)} failed: {error}. What was measured before is kept.") from error
        self.settings[len(self.outputs) :] = [settings]  # a stop between these two leaves settings without outputs
        self.outputs.append(measured)
        return measured

    def repeatability(self) -> Repeatability | None:
        """How far measurements of the same settings lie apart; None where nothing was measured twice."""
        alike: dict[bytes, list[Tensor]] = {}
        for settings, outputs in zip(self.settings, self.outputs, strict=True):
            key = sha256(b"".join(part.contiguous().numpy().tobytes() for part in settings)).digest()
            alike.setdefault(key, []).append(outputs)
        squares, freedom = 0.0, 0
        for group in alike.values():
            if len(group) > 1:
                values = torch.stack(group)
                squares += float((values - values.mean(0)).square().sum())
                freedom += values[1:].numel()
        return Repeatability(math.sqrt(squares / freedom), freedom) if freedom else None

    def stacked(self, blocks: Tensor | None = None) -> tuple[BlockSettings, Tensor]:
        """All settings [measurements, blocks, n] and outputs [measurements, blocks, k, k], of all or some blocks."""
        parts = (torch.stack(part) for part in zip(*self.settings, strict=True))
        settings, outputs = BlockSettings(*parts), torch.stack(self.outputs)
        if blocks is None:
            return settings, outputs
        return BlockSettings(*(part[:, blocks] for part in settings)), outputs[:, blocks]

    def save(self, path: Path) -> None:
        """Write everything to one safetensors file, whole."""
        from safetensors.torch import save

        settings, outputs = self.first(len(self)).stacked()
        write_bytes(path, save({**{k: v.contiguous() for k, v in settings._asdict().items()}, "outputs": outputs}))

    @staticmethod
    def load(path: Path) -> Measurements:
        """Read what `save` wrote.

        Raises:
            RequestError: The file is missing or holds something else.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            tensors = load(path.read_bytes())
            settings, outputs = [tensors[name] for name in BlockSettings._fields], tensors["outputs"]
        except (OSError, SafetensorError, KeyError) as error:
            raise RequestError(f"`{path}` holds no measurements of a chip: {error}.") from None
        for name, tensor in tensors.items():
            kind = torch.float64 if name != "outputs" or not tensor.is_complex() else torch.complex128
            if tensor.dtype != kind or not bool(torch.isfinite(tensor).all()) or len(tensor) != len(outputs):
                raise RequestError(
                    f"`{name}` in `{path}` is {tensor.dtype} {tuple(tensor.shape)}, or not finite; expected {kind} and "
                    f"one for each of {len(outputs)} measurements. Remove the file to measure again."
                )
        return Measurements([BlockSettings(*parts) for parts in zip(*settings, strict=True)], list(outputs))
