"""Devices around the optics of tensor cores, for the cost of a chip; each constant has its source."""

from __future__ import annotations

from typing import Annotated

from lightloom.chips.constants import (
    Constant,
    Decibel,
    Efficiency,
    Hertz,
    Joules,
    SquareMetres,
    Watts,
    derived,
    in_unit,
    reported,
)
from lightloom.common.config import Section

_LT = "Lightening-Transformer (HPCA 2024), hardware_simulator/params/device_params/default.yaml"
_LT_DOI = "10.48550/arXiv.2305.19533"
_SCATTER = "SCATTER (ICCAD 2024), configs/hardware/arch_config.yaml"
_SCATTER_DOI = "10.48550/arXiv.2407.05510"
_DAC = "8-bit 14 GS/s DAC in 16 nm, 50 mW, 11,000 um^2 (IEEE document 9162776)"
_ADC = "8-bit 10 GS/s time-domain SAR ADC in 14 nm, 14.8 mW, 2,850 um^2 (IEEE document 9731625)"


def second_hand(value: float, unit: str, what: str) -> Constant:
    """A figure of the published table of a photonic accelerator.

    Args:
        value: The figure.
        unit: Its unit.
        what: The device, as the table calls it.
    """
    return reported(value, unit, f"{_LT}: {what}", doi=_LT_DOI, confidence="B")


class Peripherals(Section):
    """Devices around the optics of a tensor core, the same for every technology."""

    coupling_loss: Decibel = reported(0.7, "dB", f"{_SCATTER}: chip coupling loss", doi=_SCATTER_DOI, confidence="B")
    """Loss from the laser's fibre into the chip."""
    modulator_energy: Annotated[Constant, in_unit("J/bit")] = second_hand(450e-15, "J/bit", "Mach-Zehnder modulator")
    """Energy of one input modulator per bit of its drive."""
    modulator_loss: Decibel = second_hand(1.2, "dB", "Mach-Zehnder modulator")
    """Optical loss of one input modulator."""
    modulator_extinction: Decibel = second_hand(10.0, "dB", "Mach-Zehnder modulator, extinction ratio")
    """Extinction of one input modulator, its brightest over its darkest; counted where a system says so."""
    modulator_area: SquareMetres = second_hand(260e-6 * 20e-6, "m^2", "Mach-Zehnder modulator of 260 x 20 um")
    """Chip area of one input modulator."""
    dac_energy: Joules = derived(50e-3 / 14e9, "J", f"{_DAC}; derived: 50 mW / 14 GS/s", confidence="A")
    """Energy of one 8-bit digital-to-analogue conversion."""
    dac_area: SquareMetres = reported(11000e-12, "m^2", _DAC)
    """Chip area of one digital-to-analogue converter."""
    adc_energy: Joules = derived(14.8e-3 / 10e9, "J", f"{_ADC}; derived: 14.8 mW / 10 GS/s", confidence="A")
    """Energy of one 8-bit analogue-to-digital conversion."""
    adc_area: SquareMetres = reported(2850e-12, "m^2", _ADC)
    """Chip area of one analogue-to-digital converter."""
    detector_power: Watts = second_hand(1.1e-3, "W", "photodetector")
    """Bias and receiver power of one photodetector while it is in use."""
    detector_area: SquareMetres = second_hand(4e-6 * 10e-6, "m^2", "photodetector of 4 x 10 um")
    """Chip area of one photodetector."""
    amplifier_power: Watts = second_hand(3e-3, "W", "transimpedance amplifier")
    """Power of one transimpedance amplifier while it is in use."""
    amplifier_area: SquareMetres = second_hand(50e-12, "m^2", "transimpedance amplifier, 50 um^2")
    """Chip area of one transimpedance amplifier."""
    integrator_power: Watts = reported(
        0.3e-3, "W", f"{_SCATTER}, and SimPhony (DAC 2025): integrator", doi=_SCATTER_DOI, confidence="B"
    )
    """Power of one analogue integrator while it adds up; in use where outputs are stationary."""
    integrator_area: SquareMetres = reported(
        560e-12, "m^2", f"{_SCATTER}, and SimPhony (DAC 2025): integrator, 560 um^2", doi=_SCATTER_DOI, confidence="B"
    )
    """Chip area of one analogue integrator."""
    detector_sensitivity: Annotated[Constant, in_unit("dBm")] = second_hand(-25.0, "dBm", "photodetector sensitivity")
    """Optical power that one detector needs per wavelength."""
    laser_efficiency: Efficiency = second_hand(0.2, "1", "laser wall-plug efficiency")
    """Light out of the laser over electricity into it."""
    laser_area: SquareMetres = second_hand(400e-6 * 300e-6, "m^2", "laser of 400 x 300 um")
    """Area of one laser."""
    symbol_rate: Hertz = second_hand(5e9, "Hz", "core clock of the DOTA-B configuration")
    """Input vectors per second and wavelength."""
