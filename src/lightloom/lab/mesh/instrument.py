"""What an experimenter can do with a chip: program it, send light in, read what comes out, and count the calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.chips import MeshChip, MeshErrors
from lightloom.common.seeds import named_generator, named_seed
from lightloom.physics import attenuators, mesh, phases
from lightloom.physics import blocks as block_product


class BlockSettings(NamedTuple):
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
    def program(self, settings: BlockSettings) -> None:
        """Drive every device; what was asked for is rounded by the drive."""

    def reprogram(self, settings: BlockSettings, u_changed: Sequence[int] = (), v_changed: Sequence[int] = ()) -> None:
        """Program settings of which only some phases differ from what was programmed last.

        A search that moves one phase at a time says so here; an instrument may then leave the other devices alone.

        Args:
            settings: All of them, as for `program`.
            u_changed: Indices of the phases of U that may differ from the last ones, in every block.
            v_changed: The same for V.
        """
        self.program(settings)

    @abstractmethod
    def measure(self, inputs: Tensor) -> Tensor:
        """Outputs [blocks, k, m] of every block for m input vectors [blocks, k, m], or [k, m] for all the same.

        Counts ceil(m / k) calls.
        """

    def matrices(self) -> Tensor:
        """The matrices [blocks, k, k] that the blocks make now: one call, light into one waveguide per wavelength."""
        return self.measure(torch.eye(self.size, dtype=torch.float64))

    def skip(self, count: int) -> None:
        """Go on behind `count` measurements of an earlier session, each one `program` and one `matrices`.

        What is new at every reading of a real chip is new without this; a simulated one passes over the noise that
        those measurements have had.
        """
        if count < 0:
            raise ValueError(f"{count} measurements cannot be passed over; give 0 or more")


class SimulatedInstrument(Instrument):
    """A specimen whose errors are hidden behind the same interface, with readout noise and drive quantisation.

    Args:
        chip: The design.
        errors: Of each device, [blocks, n] and [blocks, k]; None where the chip has no such error.
        blocks: How many blocks.
        readout_std: Standard deviation of each measured value, relative to full scale: light of amplitude 1 that
            comes out whole. 0 is a perfect receiver.
        seed: Of the readout noise, and of phases that change from one use to the next.
    """

    def __init__(
        self, chip: MeshChip, errors: MeshErrors, blocks: int, *, readout_std: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__(chip, blocks)
        if readout_std < 0:
            raise ValueError(f"`readout_std` is {readout_std}; a standard deviation is at least 0")
        errors = errors.map(Tensor.double)
        self._errors = errors
        self._readout_std = readout_std
        self._generator = named_generator(seed, "readout")
        self._seed = seed
        self._drives = 0
        self._u = _HiddenMesh(chip, errors.of("u"))
        self._v = _HiddenMesh(chip, errors.of("v"))
        self._sigma = torch.zeros(blocks, self.size, dtype=torch.float64)
        self._matrices: Tensor | None = torch.zeros(self.size, blocks, self.size, dtype=torch.float64)

    @torch.no_grad()
    def program(self, settings: BlockSettings) -> None:
        """Drive every device of the specimen."""
        expected = ((self.blocks, self.shifters), (self.blocks, self.shifters), (self.blocks, self.size))
        for name, tensor, shape in zip(BlockSettings._fields, settings, expected, strict=True):
            if tuple(tensor.shape) != shape:
                raise ValueError(f"`{name}` has shape {tuple(tensor.shape)}; this instrument takes {shape}")
            if not torch.isfinite(tensor).all():
                raise ValueError(f"`{name}` holds NaN or Inf; a drive takes finite values")
        if settings.sigma.abs().max() > 1 + 1e-9:
            raise ValueError("an attenuator transmits between -1 and 1; scale `sigma` and keep the gain outside")
        with self._drive_noise():
            self._u.drive(settings.u_phases.double())
            self._v.drive(settings.v_phases.double())
        angle = settings.sigma.double().clamp(-1, 1).acos()
        gamma = self._errors.of("sigma").gamma
        self._sigma = attenuators.realise(angle, bits=self.chip.weight_bits, gamma_ratio=gamma).cos()
        self._matrices = None

    @torch.no_grad()
    def reprogram(self, settings: BlockSettings, u_changed: Sequence[int] = (), v_changed: Sequence[int] = ()) -> None:
        """Drive the named shifters and nothing else; the matrices are those that `program` would give, to rounding.

        Args:
            settings: What the controller asks for.
            u_changed: Indices of the phases of U that may differ from the last ones.
            v_changed: Indices of the phases of V that may.
        """
        if self._u.state is None or self.chip.phase_noise_std > 0:  # nothing to change yet, or noise on every phase
            self.program(settings)
            return
        for hidden, commanded, changed in (
            (self._u, settings.u_phases, u_changed),
            (self._v, settings.v_phases, v_changed),
        ):
            for index in changed:
                hidden.drive_one(index, commanded[:, index].double())
        self._matrices = None

    @torch.no_grad()
    def measure(self, inputs: Tensor) -> Tensor:
        """Send light through every block and read it with noise."""
        if inputs.shape[-2] != self.size or inputs.ndim not in (2, 3):
            raise ValueError(
                f"inputs have shape {tuple(inputs.shape)}; expected [blocks, {self.size}, m] or [{self.size}, m]"
            )
        self.calls += -(-inputs.shape[-1] // self.size)
        matrices = self._meet().transpose(0, 1)
        return self._read(matrices @ inputs.to(matrices.dtype))

    @torch.no_grad()
    def matrices(self) -> Tensor:
        """Measure the matrices with light into one waveguide per wavelength."""
        self.calls += 1
        return self._read(self._meet().transpose(0, 1).clone(memory_format=torch.contiguous_format))

    def skip(self, count: int) -> None:
        """Pass over the noise of `count` measurements; calls are not counted."""
        self._drives += count
        complex_valued = self.chip.field == "complex"
        for _ in range(count if self._readout_std else 0):
            self._noise(torch.Size((self.blocks, self.size, self.size)), complex_valued)

    @contextmanager
    def _drive_noise(self) -> Iterator[None]:
        """Phases that change from one use to the next do so by seed and number of the drive, whatever went before."""
        self._drives += 1
        if not self.chip.phase_noise_std:
            yield
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(named_seed(self._seed, "drive", self._drives))
            yield

    def _meet(self) -> Tensor:
        """The matrices that light meets, side by side [k, blocks, k], made only when something was driven since."""
        if self._matrices is None:
            u, v = self._u.matrix(), self._v.matrix()
            # the blocks as one row of a weight matrix: a single product of the whole batch
            u, sigma, v = u[None, None], self._sigma[None, None], v[None, None]
            joined = block_product.assemble(u, sigma, v, self.size, self.blocks * self.size)
            self._matrices = joined.view(self.size, self.blocks, self.size)
        return self._matrices

    def _read(self, outputs: Tensor) -> Tensor:
        if self._readout_std == 0:
            return outputs
        return outputs + self._readout_std * self._noise(outputs.shape, outputs.is_complex())

    def _noise(self, shape: torch.Size, complex_valued: bool) -> Tensor:
        noise = torch.randn(shape, generator=self._generator, dtype=torch.float64)
        if complex_valued:
            noise = torch.complex(noise, torch.randn(shape, generator=self._generator, dtype=torch.float64))
        return noise


class _HiddenMesh:
    """One side of a specimen's blocks: its errors, the phases that its devices are at, the matrices they make."""

    def __init__(self, chip: MeshChip, errors: phases.Imperfections) -> None:
        self._chip, self._errors = chip, errors
        self._drive = chip.drive(mesh.neighbours(chip.block_size, chip.layout, chip.field))
        self.state: phases.ShifterState | None = None
        self._matrix: Tensor | None = None

    def drive(self, commanded: Tensor) -> None:
        """Drive every shifter, to [blocks, n] rad."""
        self.state = phases.move_all(commanded, self._drive, self._errors)
        self._matrix = None

    def drive_one(self, index: int, commanded: Tensor) -> None:
        """Drive one shifter of every block, to [blocks] rad: it and, by crosstalk, its neighbours move.

        Args:
            index: Which shifter.
            commanded: [blocks] in rad.
        """
        assert self.state is not None  # `drive` comes first
        phases.move_one(self.state, index, commanded, self._drive, self._errors)
        self._matrix = None

    def matrix(self) -> Tensor:
        """[blocks, k, k], made again only when something was driven."""
        if self._matrix is None:
            assert self.state is not None  # `drive` comes first
            chip = self._chip
            self._matrix = mesh.build(
                self.state.realised,
                chip.block_size,
                layout=chip.layout,
                field=chip.field,
                loss_db=chip.insertion_loss_db,
            )
        return self._matrix


def specimen_instrument(
    chip: MeshChip, blocks: int, *, specimen: int = 0, readout_std: float = 0.0, seed: int = 0
) -> SimulatedInstrument:
    """A simulated bench with `blocks` free-standing blocks of one specimen, for benches and tests.

    Args:
        chip: The design.
        blocks: How many blocks.
        specimen: Seed of the manufactured chip.
        readout_std: Noise of each measured value, relative to full scale.
        seed: Number that the noise follows from.
    """
    shifters = mesh.phase_count(chip.block_size, chip.layout, chip.field)
    errors = chip.specimen(specimen).mesh_errors("bench", (blocks,), shifters)
    return SimulatedInstrument(chip, errors, blocks, readout_std=readout_std, seed=seed)
