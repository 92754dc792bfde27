"""How a chip is run, and what stands around it: schedule, cores, memory, electronics, and assumptions as switches."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lightloom.chips.constants import Constant, derived, in_unit, reported
from lightloom.common.config import Section
from lightloom.cost.electronics import EDGE_PEAK, ElectronicProfile

Schedule = Literal["weight", "input", "output"]
"""What stays in place while the rest moves: a tile of weights, a block of inputs, or a block of outputs."""

SCHEDULES: tuple[Schedule, ...] = ("weight", "input", "output")

_LT = "Lightening-Transformer (HPCA 2024), hardware_simulator/params/device_params/default.yaml"
_LT_DOI = "10.48550/arXiv.2305.19533"

_PerByte = Annotated[Constant, in_unit("J/byte")]


class Memory(Section):
    """The memories around the chips, by what a byte takes."""

    buffer_size: int = Field(2 * 2**20, ge=1)
    """Bytes of the on-chip buffer. What a layer reads again and does not fit comes from DRAM each time. Default: 2 MB,
    assumed."""
    dram_energy: _PerByte = derived(
        31.2e-12,
        "J/byte",
        f"{_LT}: 62.4 pJ, read as per access of 2 bytes; SimPhony (DAC 2025) takes the same 62.4 pJ per byte",
        doi=_LT_DOI,
        confidence="C",
    )
    """Energy of a byte to or from DRAM."""
    dram_bandwidth: Annotated[Constant, in_unit("byte/s")] = reported(
        1e12, "byte/s", "SimPhony (DAC 2025): HBM, 1 TB/s", confidence="B"
    )
    """Bytes per second of DRAM."""
    buffer_energy: _PerByte = derived(
        1.655e-12 / 2, "J/byte", f"{_LT}: global buffer, 1.655 pJ per 2 bytes (CACTI, 32 KB banks)", doi=_LT_DOI
    )
    """Energy of a byte to or from the buffer."""
    register_energy: _PerByte = derived(
        0.073e-12 / 2, "J/byte", f"{_LT}: register file, 0.073 pJ per 2 bytes (CACTI)", doi=_LT_DOI
    )
    """Energy of a byte to or from a register."""
    buffer_area: Annotated[Constant, in_unit("m^2/byte")] = derived(
        8 * 0.07e-12 / 0.5,
        "m^2/byte",
        "Wu et al., IEDM 2013: SRAM cell of 0.07 um^2 in 16 nm; assumed: half of the area is cells",
        doi="10.1109/IEDM.2013.6724591",
    )
    """Area of a byte of the buffer."""


class System(Section):
    """Chips at work. What is assumed and changes a figure is a field here; every result lists its choices."""

    schedule: Schedule = "weight"
    """What is stationary."""
    cores: int | None = Field(None, ge=1)
    """Tensor cores of each chip, which its layers share; None is as many as the network needs, each layer its own."""
    inferences: int = Field(1, ge=1)
    """Inferences between two reconfigurations: every layer computes all of them before the next one begins."""
    memory: Memory = Memory()
    """What holds weights, activations and partial sums."""
    activation_bits: int = Field(8, ge=1, le=64)
    """Bits of an activation in memory, and of a value of electronics."""
    partial_bits: int = Field(16, ge=1, le=64)
    """Bits of a partial sum in memory."""
    electronics: ElectronicProfile = EDGE_PEAK
    """The machine that runs what is on no chip. Its peak is taken by default: the least that electronics takes."""
    programmed: bool = True
    """Whether tiles that all fit onto the cores were programmed long ago. False: once per `inferences`."""
    laser_levels: bool = False
    """Whether laser power grows with 2^bits of the output converters (CrossLight, DAC 2021; Lightening-Transformer).
    Off by default: a receiver's sensitivity is that of its bit rate and noise, and the factor is argued, not measured.
    It dwarfs all else at 8 bit, so the link budget gives the power both ways."""
    extinction: bool = False
    """Whether the laser makes up for the finite extinction of the modulators, by 1 / (1 - 10^(-ER/10)) (SimPhony)."""
    margin_db: float = Field(0.0, ge=0, le=60)
    """Spare loss in the link budget, dB."""
    gated: bool = True
    """Whether lasers and receivers are off while tiles are set. False: they stay on."""
    parallel_paths: int | None = Field(1, ge=1)
    """Optical paths of a diffractive layer that exist side by side: from 1, where all take turns on one modulator, one
    row of masks and one camera, to None, where each has its own."""
    adc_share: int = Field(1, ge=1, le=1024)
    """Detectors that take turns at one ADC: a symbol lasts as many times longer, and there are fewer ADCs."""
