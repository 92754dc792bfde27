"""What an experimenter can do with crossbars of phase-change cells, and what it costs: calls, and writes that wear."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lightloom.chips import PCMChip, PCMErrors
from lightloom.common.seeds import named_generator
from lightloom.physics.pcm.errors import steps_of


class CrossbarInstrument(ABC):
    """All arrays of a tensor core, written and measured side by side.

    One call is one evaluation of every array with up to k input vectors, as on a mesh. Unlike a mesh a crossbar wears
    while it is measured, so the levels written are counted too. It starts erased: every cell fully crystallised.

    Args:
        chip: The design, which is public: size, levels, nominal transmissions. The errors of the cells are not.
        arrays: How many arrays A are measured side by side.
    """

    def __init__(self, chip: PCMChip, arrays: int) -> None:
        if arrays < 1:
            raise ValueError(f"an instrument holds one array or more, got {arrays}")
        self.chip = chip
        self.arrays = arrays
        self.calls = 0
        """Calls so far; each counts once however many arrays it serves."""
        self.steps = torch.full(self.cells, chip.levels - 1, dtype=torch.int8)
        """Crystallised steps asked for last, int8 [A, 2, k, k]."""
        self.writes = torch.zeros(self.cells, dtype=torch.int32)
        """Levels written so far, up and down, int32 [A, 2, k, k]; also those that a stuck cell did not follow."""

    @property
    def size(self) -> int:
        """Rows and slots k of an array."""
        return self.chip.block_size

    @property
    def cells(self) -> tuple[int, int, int, int]:
        """Shape of a tensor of cells: array, sign (positive first), row, slot."""
        return self.arrays, 2, self.size, self.size

    def program(self, steps: Tensor) -> None:
        """Write every cell whose level is another than it was; the others are left alone.

        Args:
            steps: int8 [A, 2, k, k] crystallised steps n, 0 (brightest) to L.

        Raises:
            TypeError: They are not int8.
            ValueError: The shape is another, or a step is out of range.
        """
        if steps.dtype != torch.int8:
            raise TypeError(f"steps are int8, got {steps.dtype}")
        if tuple(steps.shape) != self.cells:
            raise ValueError(f"steps have the shape {tuple(steps.shape)}; this instrument takes {self.cells}")
        least, most = (int(end) for end in steps.aminmax())
        if least < 0 or most >= self.chip.levels:
            raise ValueError(f"steps are from 0 to {self.chip.levels - 1}, got {least} ... {most}")
        self.writes += (steps.int() - self.steps.int()).abs()
        self.steps = steps.clone()
        self._write(steps)

    def program_pairs(self, levels: Tensor) -> None:
        """Program the cells by the signed level -L ... L of each pair, int8 [A, k, k]."""
        self.program(torch.stack([steps_of(levels, sign, self.chip.levels - 1) for sign in (0, 1)], 1))

    def measure(self, inputs: Tensor) -> Tensor:
        """What the pairs of detectors show, for m vectors of light: (T+ - T-) inputs / (t[0] - t[L]).

        Counts ceil(m / k) calls.

        Args:
            inputs: [k, m], or [A, k, m] where each array has its own: powers over that of a full modulator.

        Returns:
            [A, k, m] float64.

        Raises:
            ValueError: The shape is another, or a power is not within [0, 1].
        """
        if inputs.ndim not in (2, 3) or inputs.shape[-2] != self.size or inputs.shape[:-2] not in ((), (self.arrays,)):
            raise ValueError(
                f"inputs have the shape {tuple(inputs.shape)}; expected ({self.size}, m) or "
                f"({self.arrays}, {self.size}, m)"
            )
        if not bool(((inputs >= 0) & (inputs <= 1)).all()):
            raise ValueError("a modulator lets pass a share of the light, from 0 to 1; send signs one after the other")
        self.calls += -(-inputs.shape[-1] // self.size)
        return self._read(inputs.double())

    @abstractmethod
    def _write(self, steps: Tensor) -> None:
        """Bring the cells to these steps [A, 2, k, k]."""

    @abstractmethod
    def _read(self, inputs: Tensor) -> Tensor:
        """[A, k, m] as `measure` gives it."""


class SimulatedCrossbar(CrossbarInstrument):
    """A specimen whose errors are hidden behind the same interface. Read with light, soon: cells do not drift.

    Args:
        chip: The design; its programming error is new at every write, its read noise at every use.
        errors: Of each cell, [A, 2, k, k]; None where the chip has no such error.
        arrays: How many arrays.
        readout_std: Standard deviation of each measured value: 1 is what the largest weight makes of a full input. 0 is
            a perfect receiver.
        seed: Of everything that is new at a write or a reading.
    """

    def __init__(
        self, chip: PCMChip, errors: PCMErrors, arrays: int, *, readout_std: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__(chip, arrays)
        if not readout_std >= 0:
            raise ValueError(f"`readout_std` is {readout_std}; a standard deviation is at least 0")
        for name, error in zip(PCMErrors._fields, errors, strict=True):
            if error is not None and tuple(error.shape) != self.cells:
                raise ValueError(
                    f"`{name}` has the shape {tuple(error.shape)}; {arrays} arrays have cells {self.cells}"
                )
        self._absorption = None if errors.absorption is None else errors.absorption.detach().cpu().double()
        self._stuck = None if errors.stuck is None else errors.stuck.cpu()
        self._readout_std = readout_std
        self._generator = named_generator(seed, "crossbar")
        self._table = chip.table()
        self._full_scale = float(self._table[0] - self._table[-1])
        self._held = self._follow(self.steps)
        self._written = self._draw(self.cells)
        self._weights = self._meet()

    def _write(self, steps: Tensor) -> None:
        followed = self._follow(steps)
        if self.chip.programming_std:
            self._written = torch.where(followed != self._held, self._draw(self.cells), self._written)
        self._held = followed
        self._weights = self._meet()

    def _read(self, inputs: Tensor) -> Tensor:
        outputs = self._weights @ inputs
        # the noise of 2 k cells adds up in a detector pair: one draw with the variance of their sum
        variance = 2 * self.chip.read_noise_std**2 * inputs.square().sum(-2, keepdim=True) + self._readout_std**2
        return outputs + variance.sqrt() * self._draw(outputs.shape) if bool(variance.any()) else outputs

    def _follow(self, steps: Tensor) -> Tensor:
        return steps if self._stuck is None else torch.where(self._stuck < 0, steps, self._stuck)

    def _meet(self) -> Tensor:
        """Weights [A, k, k] that the light meets, the largest nominal one 1."""
        transmissions = self._table[self._held.int()]
        if self._absorption is not None:
            transmissions = transmissions**self._absorption
        error = self._full_scale * self.chip.programming_std * self._written
        transmissions = (transmissions + error).clamp(min=0)
        return (transmissions[:, 0] - transmissions[:, 1]) / self._full_scale

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self._generator, dtype=torch.float64)
