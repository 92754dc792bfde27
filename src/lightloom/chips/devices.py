"""Device constants for the cost of a chip: each is a value, its unit, and where it comes from."""

from __future__ import annotations

from lightloom.common.config import Section


class Constant(Section):
    """A measured or derived figure of one device."""

    value: float
    """The figure, in `unit`."""
    unit: str
    """SI unit, or dB, dBm, or a plain ratio written as "1"."""
    source: str
    """Publication or repository that states the figure, and how it was derived where it was."""


_LT = "Lightening-Transformer (HPCA 2024), hardware_simulator/params/device_params/default.yaml"
_DAC = "8-bit 14 GS/s DAC in 16 nm, 50 mW (IEEE document 9162776); derived: 50 mW / 14 GS/s"
_ADC = "8-bit 10 GS/s time-domain SAR ADC in 14 nm, 14.8 mW (IEEE document 9731625); derived: 14.8 mW / 10 GS/s"


class _MZI(Section):
    """The interferometer that meshes are made of."""

    shifter_power: Constant
    """Electrical power that holds one phase shifter at a phase of pi."""
    shifter_time: Constant
    """Time until a newly driven phase shifter has settled."""
    mzi_loss: Constant
    """Optical loss of one MZI, couplers and shifter."""
    mzi_area: Constant
    """Chip area of one MZI."""


class _PCMCell(Section):
    """The cell that phase-change crossbars are made of.

    Energies and times are those of one step between neighbouring levels where the chip writes level by level, and of
    one pulse where it writes with single pulses.
    """

    amorphise_energy: Constant
    """Energy that makes a cell more transparent, by one level or with one pulse."""
    crystallise_energy: Constant
    """Energy that makes a cell darker, by one level or with one pulse."""
    amorphise_time: Constant
    """Time until a cell is more transparent, by one level or with one pulse."""
    crystallise_time: Constant
    """Time until a cell is darker, by one level or with one pulse."""
    endurance: Constant
    """Switching cycles after which a cell no longer switches."""
    cell_area: Constant
    """Chip area of one cell with its crossing."""
    cell_loss: Constant
    """Optical loss of a cell at its most transparent level."""
    crossing_loss: Constant = Constant(
        value=0.043, unit="dB", source="Johnson et al., Opt. Express 28, 12498 (2020): 43 +- 4 mdB per crossing"
    )
    """Optical loss of one waveguide crossing."""
    splitter_loss: Constant = Constant(value=0.1, unit="dB", source=f"{_LT}: Y branch")
    """Excess loss of one stage that splits light in two, or joins it."""


class Peripherals(Section):
    """Devices around the optics of a tensor core, the same for every technology."""

    coupling_loss: Constant = Constant(
        value=0.7,
        unit="dB",
        source="SCATTER (ICCAD 2024), configs/hardware/arch_config.yaml: chip coupling loss",
    )
    """Loss from the laser's fibre into the chip."""
    modulator_energy: Constant = Constant(value=450e-15, unit="J/bit", source=f"{_LT}: Mach-Zehnder modulator")
    """Energy of one input modulator per bit of its drive."""
    modulator_loss: Constant = Constant(value=1.2, unit="dB", source=f"{_LT}: Mach-Zehnder modulator")
    """Optical loss of one input modulator."""
    dac_energy: Constant = Constant(value=50e-3 / 14e9, unit="J", source=_DAC)
    """Energy of one 8-bit digital-to-analogue conversion."""
    adc_energy: Constant = Constant(value=14.8e-3 / 10e9, unit="J", source=_ADC)
    """Energy of one 8-bit analogue-to-digital conversion."""
    detector_power: Constant = Constant(value=1.1e-3, unit="W", source=f"{_LT}: photodetector")
    """Bias and receiver power of one photodetector while it is in use."""
    amplifier_power: Constant = Constant(value=3e-3, unit="W", source=f"{_LT}: transimpedance amplifier")
    """Power of one transimpedance amplifier while it is in use."""
    detector_sensitivity: Constant = Constant(value=-25.0, unit="dBm", source=f"{_LT}: photodetector sensitivity")
    """Optical power that one detector needs per wavelength."""
    laser_efficiency: Constant = Constant(value=0.2, unit="1", source=f"{_LT}: laser wall-plug efficiency")
    """Light out of the laser over electricity into it."""
    symbol_rate: Constant = Constant(value=5e9, unit="Hz", source=f"{_LT}: core clock of the DOTA-B configuration")
    """Input vectors per second and wavelength."""


# fields of the last base come first: what is inside a core stands before what is around it


class MeshDevices(Peripherals, _MZI):
    """Devices around and inside one MZI tensor core, as the cost model counts them."""


class PCMDevices(Peripherals, _PCMCell):
    """Devices around and inside one phase-change crossbar, as the cost model counts them."""
