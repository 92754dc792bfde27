"""What a multiply-add costs on electronics: the machine that runs what is not optical."""

from __future__ import annotations

from typing import NamedTuple

from lightloom.chips.devices import Constant
from lightloom.common.config import Section


class Spent(NamedTuple):
    """Energy and time of some work."""

    energy_j: float
    latency_s: float


class ElectronicProfile(Section):
    """A machine, by what one multiply-add takes on it, memory and everything else around it included."""

    name: str
    """What it is called beside its constants."""
    energy_per_mac: Constant
    """Energy of one multiply-add."""
    mac_rate: Constant
    """Multiply-adds per second."""

    def spend(self, macs: float) -> Spent:
        """What so many multiply-adds take, one after the other."""
        return Spent(macs * self.energy_per_mac.value, macs / self.mac_rate.value)


_ANCHOR = "PHOENIX (2025), energy table: RegNetX-800MF at 416 x 608, batch 1, on a GPU"
_ANCHOR_MACS = 4.028e9
_ORIN = "NVIDIA, Jetson AGX Orin Series technical brief: 275 TOPS (int8, sparse) at 60 W"
_ORIN_RATE = 275e12 / 2 / 2

GPU_BATCH_1 = ElectronicProfile(
    name="GPU at batch 1",
    energy_per_mac=Constant(
        value=492.28e-3 / _ANCHOR_MACS, unit="J", source=f"derived: 492.28 mJ over 4.028 G multiply-adds ({_ANCHOR})"
    ),
    mac_rate=Constant(
        value=_ANCHOR_MACS / 10.97e-3, unit="1/s", source=f"derived: 4.028 G multiply-adds in 10.97 ms ({_ANCHOR})"
    ),
)
"""Measured on a whole backbone, one image at a time: what the published comparison rests on."""

EDGE_PEAK = ElectronicProfile(
    name="edge GPU at its peak",
    energy_per_mac=Constant(
        value=60 / _ORIN_RATE, unit="J", source=f"derived: power over peak rate, dense is half of sparse ({_ORIN})"
    ),
    mac_rate=Constant(
        value=_ORIN_RATE, unit="1/s", source=f"derived: half of it is dense, two operations a multiply-add ({_ORIN})"
    ),
)
"""The peak of an edge computer with 8-bit integers, which no network reaches: the least that electronics takes."""
