"""What a multiply-add costs on electronics: the machine that runs what is not optical."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from lightloom.chips.constants import Constant, Joules, derived, in_unit
from lightloom.common.config import Section


class ElectronicCost(NamedTuple):
    """Energy and time of some work on electronics."""

    energy_j: float
    """Energy in J."""
    latency_s: float
    """Time in s."""


class ElectronicProfile(Section):
    """A machine, by what one multiply-add takes on it, memory and everything else around it included."""

    name: str
    """What it is called beside its constants."""
    energy_per_mac: Joules
    """Energy of one multiply-add."""
    mac_rate: Annotated[Constant, in_unit("1/s")]
    """Multiply-adds per second."""
    bandwidth: Annotated[Constant, in_unit("byte/s")] | None = None
    """Bandwidth of its memory, where the rate is that of its arithmetic alone; None is a rate measured with memory."""

    def spend(self, macs: float) -> ElectronicCost:
        """What so many multiply-adds take, one after the other."""
        return ElectronicCost(macs * self.energy_per_mac.value, macs / self.mac_rate.value)

    def run(self, operations: float, read: float) -> ElectronicCost:
        """What a whole network takes that reads so many bytes of weights and activations from memory.

        Arithmetic and memory work at the same time, at the machine's full power; the slower one decides.

        Args:
            operations: Multiply-adds, and other results at the price of one.
            read: Bytes of weights and activations.
        """
        cost = self.spend(operations)
        if self.bandwidth is None:
            return cost
        waiting = read / self.bandwidth.value
        power = self.energy_per_mac.value * self.mac_rate.value
        return ElectronicCost(max(cost.energy_j, power * waiting), max(cost.latency_s, waiting))


_ANCHOR = "PHOENIX (2025), energy table: RegNetX-800MF at 416 x 608, batch 1, on a GPU"
_ANCHOR_MACS = 4.028e9
_ORIN = "NVIDIA, Jetson AGX Orin Series technical brief: 275 TOPS (int8, sparse) at 60 W"
_ORIN_RATE = 275e12 / 2 / 2
_EPYC = "AMD, EPYC 9654 data sheet: 96 cores, 2.4 GHz, 360 W, 12 channels of DDR5-4800"
_EPYC_RATE = 96 * 2.4e9 * 16


GPU_BATCH_1 = ElectronicProfile(
    name="GPU at batch 1",
    energy_per_mac=derived(492.28e-3 / _ANCHOR_MACS, "J", f"derived: 492.28 mJ over 4.028 G multiply-adds ({_ANCHOR})"),
    mac_rate=derived(_ANCHOR_MACS / 10.97e-3, "1/s", f"derived: 4.028 G multiply-adds in 10.97 ms ({_ANCHOR})"),
)
"""Measured on a whole backbone, one image at a time: what the published comparison rests on."""

EDGE_PEAK = ElectronicProfile(
    name="edge GPU at its peak",
    energy_per_mac=derived(60 / _ORIN_RATE, "J", f"derived: power over peak rate, dense is half of sparse ({_ORIN})"),
    mac_rate=derived(_ORIN_RATE, "1/s", f"derived: half of it is dense, two operations a multiply-add ({_ORIN})"),
    bandwidth=derived(204.8e9, "byte/s", "NVIDIA, Jetson AGX Orin Series technical brief: 204.8 GB/s", confidence="A"),
)
"""The peak of an edge computer with 8-bit integers, which no network reaches: the least that electronics takes."""

CPU_PEAK = ElectronicProfile(
    name="server CPU at its peak",
    energy_per_mac=derived(360 / _EPYC_RATE, "J", f"derived: power over peak rate ({_EPYC})"),
    mac_rate=derived(
        _EPYC_RATE,
        "1/s",
        f"derived: 16 multiply-adds of 32 bit per core and cycle, two vector units of 256 bit ({_EPYC})",
    ),
    bandwidth=derived(12 * 8 * 4.8e9, "byte/s", f"derived: 8 bytes per channel and transfer ({_EPYC})", confidence="A"),
)
"""The peak of a server's processor in single precision."""

REFERENCES = (EDGE_PEAK, GPU_BATCH_1, CPU_PEAK)
"""Machines that a whole network is compared with."""
