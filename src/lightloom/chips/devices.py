"""Device constants for the cost of a chip: each is a value, its unit, and where it comes from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from lightloom.common.config import Section

_RATES = ("Hz", "1/s", "byte/s")
_DECIBEL = 300.0  # of one device

Status = Literal["reported", "derived", "assumed"]
Confidence = Literal["A", "B", "C"]


class Constant(Section):
    """A measured or derived figure of one device."""

    value: float
    """The figure, in `unit`; only a level in dBm may be negative."""
    unit: str
    """SI unit, or dB, dBm, or a plain ratio written as "1"."""
    source: str
    """Publication or repository that states the figure, and how it was derived where it was."""
    doi: str = ""
    """Of the publication, where it has one."""
    status: Status = "assumed"
    """reported: the source states the figure for such a device; derived: it follows from figures of the source;
    assumed: it is taken from something else, or from nothing."""
    confidence: Confidence = "C"
    """A: measured, in the publication of the device or on its data sheet; B: second hand, such as the table of a
    simulator, or derived from an A; C: a guess, or of another device."""

    @model_validator(mode="after")
    def _not_negative(self) -> Self:
        if self.value < 0 and self.unit != "dBm":
            raise ValueError(f"{self.value:g} {self.unit} is negative; give 0 or more")
        if self.unit in _RATES and self.value == 0:
            raise ValueError(f"a rate of 0 {self.unit} would take for ever; give one above 0")
        if self.unit in ("dB", "dBm") and abs(self.value) > _DECIBEL:
            raise ValueError(f"{self.value:g} {self.unit} is beyond {_DECIBEL:g}, where no photon is left")
        return self


def in_unit(unit: str) -> AfterValidator:
    """Of a field: refuse constants of another unit, since values are never converted."""

    def check(given: Constant) -> Constant:
        if given.unit != unit:
            raise ValueError(f"the unit is `{given.unit}`; convert the value and give it in `{unit}`")
        return given

    return AfterValidator(check)


def _is_efficiency(given: Constant) -> Constant:
    if not 0 < given.value <= 1:
        raise ValueError(f"an efficiency of {given.value:g}; give one above 0, and at most 1")
    return given


Efficiency = Annotated[Constant, in_unit("1"), AfterValidator(_is_efficiency)]
Watts = Annotated[Constant, in_unit("W")]
Joules = Annotated[Constant, in_unit("J")]
Seconds = Annotated[Constant, in_unit("s")]
Hertz = Annotated[Constant, in_unit("Hz")]
Decibel = Annotated[Constant, in_unit("dB")]
SquareMetres = Annotated[Constant, in_unit("m^2")]
Ratio = Annotated[Constant, in_unit("1")]

_LT = "Lightening-Transformer (HPCA 2024), hardware_simulator/params/device_params/default.yaml"
_LT_DOI = "10.48550/arXiv.2305.19533"
_SCATTER = "SCATTER (ICCAD 2024), configs/hardware/arch_config.yaml"
_SCATTER_DOI = "10.48550/arXiv.2407.05510"
_DAC = "8-bit 14 GS/s DAC in 16 nm, 50 mW, 11,000 um^2 (IEEE document 9162776)"
_ADC = "8-bit 10 GS/s time-domain SAR ADC in 14 nm, 14.8 mW, 2,850 um^2 (IEEE document 9731625)"


def second_hand(value: float, unit: str, what: str) -> Constant:
    """A figure of the published table of a photonic accelerator."""
    return Constant(value=value, unit=unit, source=f"{_LT}: {what}", doi=_LT_DOI, status="reported", confidence="B")


class Peripherals(Section):
    """Devices around the optics of a tensor core, the same for every technology."""

    coupling_loss: Decibel = Constant(
        value=0.7,
        unit="dB",
        source=f"{_SCATTER}: chip coupling loss",
        doi=_SCATTER_DOI,
        status="reported",
        confidence="B",
    )
    """Loss from the laser's fibre into the chip."""
    modulator_energy: Annotated[Constant, in_unit("J/bit")] = second_hand(450e-15, "J/bit", "Mach-Zehnder modulator")
    """Energy of one input modulator per bit of its drive."""
    modulator_loss: Decibel = second_hand(1.2, "dB", "Mach-Zehnder modulator")
    """Optical loss of one input modulator."""
    modulator_extinction: Decibel = second_hand(10.0, "dB", "Mach-Zehnder modulator, extinction ratio")
    """Its brightest over its darkest; counted where a system says so."""
    modulator_area: SquareMetres = second_hand(260e-6 * 20e-6, "m^2", "Mach-Zehnder modulator of 260 x 20 um")
    """Chip area of one input modulator."""
    dac_energy: Joules = Constant(
        value=50e-3 / 14e9, unit="J", source=f"{_DAC}; derived: 50 mW / 14 GS/s", status="derived", confidence="A"
    )
    """Energy of one 8-bit digital-to-analogue conversion."""
    dac_area: SquareMetres = Constant(value=11000e-12, unit="m^2", source=_DAC, status="reported", confidence="A")
    """Chip area of one digital-to-analogue converter."""
    adc_energy: Joules = Constant(
        value=14.8e-3 / 10e9, unit="J", source=f"{_ADC}; derived: 14.8 mW / 10 GS/s", status="derived", confidence="A"
    )
    """Energy of one 8-bit analogue-to-digital conversion."""
    adc_area: SquareMetres = Constant(value=2850e-12, unit="m^2", source=_ADC, status="reported", confidence="A")
    """Chip area of one analogue-to-digital converter."""
    detector_power: Watts = second_hand(1.1e-3, "W", "photodetector")
    """Bias and receiver power of one photodetector while it is in use."""
    detector_area: SquareMetres = second_hand(4e-6 * 10e-6, "m^2", "photodetector of 4 x 10 um")
    """Chip area of one photodetector."""
    amplifier_power: Watts = second_hand(3e-3, "W", "transimpedance amplifier")
    """Power of one transimpedance amplifier while it is in use."""
    amplifier_area: SquareMetres = second_hand(50e-12, "m^2", "transimpedance amplifier, 50 um^2")
    """Chip area of one transimpedance amplifier."""
    integrator_power: Watts = Constant(
        value=0.3e-3,
        unit="W",
        source=f"{_SCATTER}, and SimPhony (DAC 2025): integrator",
        doi=_SCATTER_DOI,
        status="reported",
        confidence="B",
    )
    """Power of one analogue integrator while it adds up; in use where outputs are stationary."""
    integrator_area: SquareMetres = Constant(
        value=560e-12,
        unit="m^2",
        source=f"{_SCATTER}, and SimPhony (DAC 2025): integrator, 560 um^2",
        doi=_SCATTER_DOI,
        status="reported",
        confidence="B",
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
