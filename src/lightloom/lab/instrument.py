"""What an experimenter can do with a chip: program it, send light in, read what comes out, and count the calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.chips import MeshChip, MeshErrors
from lightloom.common.seeds import named_generator
from lightloom.physics import mesh, phases


class Settings(NamedTuple):
    """What the controller asks of a batch of blocks, each U diag(sigma) V."""

    u_phases: Tensor
    """[blocks, n], rad."""
    v_phases: Tensor
    """[blocks, n], rad."""
    sigma: Tensor
    """[blocks, k], signed, in [-1, 1]: the transmission of each attenuator."""


class Instrument(ABC):
    """A batch of tensor cores of one chip, all programmed and measured side by side.

    One call is one evaluation of every block with up to k input vectors (one per wavelength), the accounting of the
    published calibrations.

    Args:
        chip: The design, which is public: size, field, layout, drive resolution, nominal constants. The errors of
            the devices are not.
        blocks: How many blocks are measured side by side.
    """

    def __init__(self, chip: MeshChip, blocks: int) -> None:
        self.chip = chip
        self.blocks = blocks
        self.calls = 0
        """Calls so far; each counts once however many blocks it serves."""

    @property
    def size(self) -> int:
        """Waveguides k of a block."""
        return self.chip.block_size

    @property
    def shifters(self) -> int:
        """Phase shifters n of one mesh."""
        return mesh.phase_count(self.size, self.chip.layout, self.chip.field)

    @abstractmethod
    def program(self, settings: Settings) -> None:
        """Drive every device; what was asked for is rounded by the drive."""

    @abstractmethod
    def measure(self, inputs: Tensor) -> Tensor:
        """Outputs [blocks, k, m] of every block for m input vectors [blocks, k, m], or [k, m] for all the same.

        Counts ceil(m / k) calls.
        """

    def matrices(self) -> Tensor:
        """The matrices [blocks, k, k] that the blocks make now: one call, light into one waveguide per wavelength."""
        return self.measure(torch.eye(self.size, dtype=torch.float64))


class SimulatedInstrument(Instrument):
    """A specimen whose errors are hidden behind the same interface, with readout noise and drive quantisation.

    Args:
        chip: The design.
        errors: Of each device, [blocks, n] and [blocks, k]; None where the chip has no such error.
        blocks: How many blocks.
        readout_std: Standard deviation of each measured value, relative to full scale: light of amplitude 1 that
            comes out whole. 0 is a perfect receiver.
        seed: Of the readout noise.
    """

    def __init__(
        self, chip: MeshChip, errors: MeshErrors, blocks: int, *, readout_std: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__(chip, blocks)
        if readout_std < 0:
            raise ValueError(f"`readout_std` is {readout_std}; a standard deviation is at least 0")
        self._errors = MeshErrors(*(None if error is None else error.double() for error in errors))
        self._readout_std = readout_std
        self._generator = named_generator(seed, "readout")
        self._neighbours = mesh.neighbours(self.size, chip.layout, chip.field)
        self._matrices = torch.zeros(blocks, self.size, self.size, dtype=torch.float64)

    @torch.no_grad()
    def program(self, settings: Settings) -> None:
        """Drive every device of the specimen."""
        expected = ((self.blocks, self.shifters), (self.blocks, self.shifters), (self.blocks, self.size))
        for name, tensor, shape in zip(Settings._fields, settings, expected, strict=True):
            if tuple(tensor.shape) != shape:
                raise ValueError(f"`{name}` has shape {tuple(tensor.shape)}; this instrument takes {shape}")
            if not torch.isfinite(tensor).all():
                raise ValueError(f"`{name}` holds NaN or Inf; a drive takes finite values")
        if settings.sigma.abs().max() > 1 + 1e-9:
            raise ValueError("an attenuator transmits between -1 and 1; scale `sigma` and keep the gain outside")
        errors, chip = self._errors, self.chip
        u = self._mesh(settings.u_phases.double(), errors.u_gamma, errors.u_bias)
        v = self._mesh(settings.v_phases.double(), errors.v_gamma, errors.v_bias)
        angle = phases.quantise(settings.sigma.double().clamp(-1, 1).acos(), chip.weight_bits, span=torch.pi)
        angle = angle if errors.sigma_gamma is None else angle * errors.sigma_gamma
        self._matrices = (u * angle.cos().unsqueeze(-2)) @ v

    def _mesh(self, commanded: Tensor, gamma_ratio: Tensor | None, bias: Tensor | None) -> Tensor:
        chip = self.chip
        realised = phases.realise(
            commanded,
            bits=chip.weight_bits,
            dac=chip.dac,
            gamma_ratio=gamma_ratio,
            coupling=chip.crosstalk,
            neighbours=self._neighbours,
            bias=bias,
            noise_std=chip.phase_noise_std,
        )
        return mesh.build(realised, self.size, layout=chip.layout, field=chip.field, loss_db=chip.insertion_loss_db)

    @torch.no_grad()
    def measure(self, inputs: Tensor) -> Tensor:
        """Send light through every block and read it with noise."""
        if inputs.shape[-2] != self.size or inputs.ndim not in (2, 3):
            raise ValueError(
                f"inputs have shape {tuple(inputs.shape)}; expected [blocks, {self.size}, m] or [{self.size}, m]"
            )
        self.calls += -(-inputs.shape[-1] // self.size)
        outputs = self._matrices @ inputs.to(self._matrices.dtype)
        if self._readout_std == 0:
            return outputs
        noise = torch.randn(outputs.shape, generator=self._generator, dtype=torch.float64)
        if outputs.is_complex():
            noise = torch.complex(noise, torch.randn(outputs.shape, generator=self._generator, dtype=torch.float64))
        return outputs + self._readout_std * noise


def specimen_instrument(
    chip: MeshChip, blocks: int, *, specimen: int = 0, readout_std: float = 0.0, seed: int = 0
) -> SimulatedInstrument:
    """A simulated bench with `blocks` free-standing blocks of one specimen, for benches and tests."""
    shifters = mesh.phase_count(chip.block_size, chip.layout, chip.field)
    errors = chip.specimen(specimen).mesh_errors("bench", (blocks,), shifters)
    return SimulatedInstrument(chip, errors, blocks, readout_std=readout_std, seed=seed)
