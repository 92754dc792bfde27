"""This model beside figures that others have published: the ratio is stated, and nothing is fitted to any of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from lightloom.chips import MeshChip, PCMChip, Peripherals, preset
from lightloom.cost import energy
from lightloom.cost.inference import Cost, estimate
from lightloom.cost.mesh.phases import setting_time
from lightloom.cost.system import System
from lightloom.cost.technology import DEFAULT_BITS

_PACE = "PACE, Nature 640, 361 (2025)"
_LT = "Lightening-Transformer, HPCA 2024"
_SIMPHONY = "SimPhony, DAC 2025"
_BENCH = "photonic-bench (2026)"


@dataclass(frozen=True)
class Compared:
    """One published figure, and the same by this model."""

    what: str
    source: str
    kind: Literal["measured", "model"]
    """What the published figure is."""
    unit: str
    published: float
    here: float
    note: str

    @property
    def ratio(self) -> float:
        """This model's over the published one."""
        return self.here / self.published

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the ratio."""
        return {**asdict(self), "ratio": self.ratio}


def compare() -> list[Compared]:
    """Every figure that this model can give for a published system."""
    return [*_converters(), *_lasers(), *_whole_core(), *_settling()]


def _converters() -> Iterator[Compared]:
    around, rate = _peripherals(), 5e9
    for bits, milliwatts, source in ((4, 2.0, _SIMPHONY), (4, 2.2, _LT)):
        here = around["dac_energy"] * energy.dac_scale(bits) * rate
        yield Compared(
            f"DAC, {bits} bit at 5 GS/s", source, "model", "W", milliwatts * 1e-3, here, "scaled from the same device"
        )
    adc = around["adc_energy"] * 4 / DEFAULT_BITS * rate
    yield Compared("ADC, 4 bit at 5 GS/s", _LT, "model", "W", 3.7e-3, adc, "scaled from the same device")
    yield Compared(
        "DAC, one conversion", _BENCH, "model", "J", 0.2e-12, around["dac_energy"], "theirs assumed, ours of 14 GS/s"
    )
    yield Compared(
        "ADC, one conversion", _BENCH, "model", "J", 0.5e-12, around["adc_energy"], "theirs assumed, ours of 10 GS/s"
    )


def _lasers() -> Iterator[Compared]:
    around = _peripherals()
    loss_db, split_db = 4.22, 21.6
    for bits, watts in ((4, 96e-3), (8, 1.54)):
        at_detector = 1e-3 * 10 ** ((around["detector_sensitivity"] + loss_db + split_db) / 10)
        here = at_detector / around["laser_efficiency"] * 2**bits
        yield Compared(
            f"laser of a 12 x 12 core, {bits} bit", _LT, "model", "W", watts, here, "their losses, with 2^bits levels"
        )


def _whole_core() -> Iterator[Compared]:
    """A crossbar of 64 x 64 at 1 GHz and 8 bit, weights in place: the nearest here to a core of another kind."""
    plain, levels = (_crossbar(System(cores=1, laser_levels=on)) for on in (False, True))
    yield Compared("64 x 64 at 1 GHz, throughput", _PACE, "measured", "TOPS", 8.19, _peak(plain), "two per cell")
    rows = (
        ("without lasers", 4.21, _without_lasers(plain), "detectors, converters, modulators"),
        ("with lasers, without levels", 2.38, plain.efficiency["with laser wall plug"], "`laser_levels` off"),
        ("with lasers, with levels", 2.38, levels.efficiency["with laser wall plug"], "`laser_levels` on"),
    )
    for what, published, here, note in rows:
        yield Compared(f"64 x 64 at 1 GHz, {what}", _PACE, "measured", "TOPS/W", published, here, note)
    lasers = 8.19 / 2.38 - 8.19 / 4.21
    for what, bill in (("without", plain), ("with", levels)):
        here = bill.link_budget[0]["total_laser_w"]
        note = "theirs derived: 8.19 TOPS over both efficiencies"
        yield Compared(f"64 x 64 at 1 GHz, lasers {what} levels", _PACE, "measured", "W", lasers, here, note)


def _settling() -> Iterator[Compared]:
    chip = preset("noems", MeshChip)
    cycles = setting_time(chip) * chip.devices.symbol_rate.value
    note = "settling of 2 us, and one symbol for each phase"
    yield Compared("cycles to set a mesh", _SIMPHONY, "model", "1", 10_000, cycles, note)


def _crossbar(system: System) -> Cost:
    chip = preset("gsse", PCMChip)
    rate = chip.devices.symbol_rate.model_copy(update={"value": 1e9})
    chip = chip.replace(
        block_size=64,
        input_bits=8,
        output_bits=8,
        sharing="column_shared",
        devices=chip.devices.replace(symbol_rate=rate),
    )
    vectors = torch.zeros(1, 100_000, 64, device="meta")  # so many that filling the converters takes no time
    return estimate(nn.Linear(64, 64, bias=False, device="meta"), vectors, chip=chip, system=system)


def _peak(bill: Cost) -> float:
    light = bill.boundaries[1]
    return 2 * bill.counts["macs"] / light.latency_s / 1e12


def _without_lasers(bill: Cost) -> float:
    joules = bill.boundaries[1].energy_j - bill.parts["laser light"]
    return 2 * bill.counts["macs"] / joules / 1e12


def _peripherals() -> dict[str, float]:
    return {name: constant.value for name, constant in Peripherals()}
