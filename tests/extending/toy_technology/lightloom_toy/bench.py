"""Its bench: an instrument that sees a core from outside, and what the instrument can tell of the gains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lightloom.common.seeds import named_generator, named_seed
from lightloom.lab.instrumented import InstrumentedCores
from lightloom_toy.core import ToyCore


class ToyInstrument:
    """One core on the bench: what was programmed comes out, times gains that nobody knows, and with noise."""

    def __init__(self, gains: Tensor, readout_std: float, seed: int) -> None:
        self._gains = gains
        self._readout_std = readout_std
        self._generator = named_generator(seed, "readout")
        self._settings = torch.zeros_like(gains)
        self.calls = 0
        """Number of measurements so far."""

    def program(self, settings: Tensor) -> None:
        """Set every multiplier."""
        self._settings = settings.clone()

    def measure(self) -> Tensor:
        """What every multiplier makes of a signal of 1."""
        self.calls += 1
        noise = torch.randn(self._gains.shape, generator=self._generator, dtype=self._gains.dtype)
        return self._settings * self._gains + self._readout_std * noise


@dataclass(frozen=True)
class ToyBench(InstrumentedCores):
    """One core and its instrument."""

    cores: dict[str, ToyCore]
    instrument: ToyInstrument

    @classmethod
    def connect(cls, cores: Mapping[str, ToyCore], *, readout_std: float, seed: int) -> list[Self]:
        """One instrument for each core, see `InstrumentedCores`."""
        benches = []
        for name, core in cores.items():
            gains = torch.ones_like(core.trims) if core.gains is None else core.gains
            benches.append(cls({name: core}, ToyInstrument(gains.double(), readout_std, named_seed(seed, name))))
        return benches

    @property
    def layer(self) -> str:
        """Name of the layer."""
        return next(iter(self.cores))

    @torch.no_grad()
    def trim(self, repeats: int = 8) -> float:
        """Take back the mean of several readings of the gains; gives their standard deviation."""
        core = self.cores[self.layer]
        self.instrument.program(torch.ones_like(core.trims).double())
        gains = torch.stack([self.instrument.measure() for _ in range(repeats)]).mean(0)
        core.trims.copy_(1 / gains)
        return float(gains.std())
