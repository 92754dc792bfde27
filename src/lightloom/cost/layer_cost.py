"""One layer of a network on its chip, under a schedule: events, energy by part, and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightloom.chips import Chip
from lightloom.cost import energy, link, memory
from lightloom.cost.memory import Traffic
from lightloom.cost.schedule import Events, events
from lightloom.cost.system import System
from lightloom.cost.technology import Setting, cost_of
from lightloom.cost.workload import ChipLayer


@dataclass(frozen=True)
class LayerBill:
    """What one layer takes for a batch. Energies in J, times in s."""

    layer: ChipLayer
    cores: int
    """That it has for itself, or shares with other layers."""
    resident: bool
    """Its weights stay on its cores from batch to batch."""
    counted: Events
    setting: Setting
    parts: dict[str, float]
    """Without what holds phases."""
    compute: float
    fill: float
    """Of the converters."""
    settling: float
    stall: float
    """Waiting for DRAM."""
    traffic: Traffic

    @property
    def time(self) -> float:
        """All but waiting."""
        return self.compute + self.fill + self.settling

    @property
    def hold(self) -> float:
        """W that hold its phases while it works."""
        return self.setting.hold * (self.cores if self.resident else self.counted.busy)


def bills(layers: Sequence[ChipLayer], system: System) -> list[LayerBill]:
    """The bill of every layer."""
    tiles = tiles_of(layers)
    held = memory.fitting(tiles, system)
    return [_bill(layer, system, tiles[layer.chip], held) for layer in layers]


def tiles_of(layers: Sequence[ChipLayer]) -> dict[Chip, int]:
    """Tiles of each chip, of all its layers together; layers that share weights share their tiles."""
    tiles: dict[Chip, int] = {}
    for layer in layers:
        tiles[layer.chip] = tiles.get(layer.chip, 0) + (0 if layer.tied_to else layer.tiling.tiles)
    return tiles


def _bill(layer: ChipLayer, system: System, tiles: int, held: bool) -> LayerBill:
    shared, model = system.cores, cost_of(layer.chip)
    fits = not model.rewritten if shared is None else tiles <= shared
    resident = fits and system.schedule == "weight"
    cores = model.own_cores(layer.tiling) if shared is None else layer.tiling.tiles if resident else shared
    setting = model.setting(layer.tiling, layer.core)
    counted = _count(layer, system, cores, resident, setting)
    price = energy.core_price(layer.chip)
    symbol = price.symbol * system.adc_share
    compute, fill = counted.cycles * symbol, 2 * symbol * sum(layer.uses.values())
    settling = counted.steps * setting.time
    moved = memory.traffic(
        counted,
        layer.chip,
        system,
        tiles=layer.tiling.tiles,
        values_in=layer.values_in * system.inferences,
        values_out=layer.values_out * system.inferences,
        held=held,
    )
    stall = max(0.0, moved.dram / system.memory.dram_bandwidth.value - (compute + fill + settling))
    idle = 0.0 if system.gated else counted.busy * settling
    parts = _parts(layer, system, counted, setting, counted.calls * symbol, idle)
    parts["memory"] = sum(moved.energy(system).values())
    return LayerBill(layer, cores, resident, counted, setting, parts, compute, fill, settling, stall, moved)


def _count(layer: ChipLayer, system: System, cores: int, resident: bool, setting: Setting) -> Events:
    """Events of all uses of a layer; each use of it is a pass of its own."""
    model = cost_of(layer.chip)
    channels, sharing = model.channels, model.sharing
    total = Events(*[0] * len(Events._fields))
    for vectors, times in layer.uses.items():
        once = events(system.schedule, layer.tiling, vectors * system.inferences, channels, cores, sharing)
        added = (old + times * new for old, new in zip(total, once, strict=True))
        total = Events(*added)._replace(busy=max(total.busy, once.busy))
    if resident:
        first = not system.programmed and not layer.tied_to and total.calls > 0
        return total._replace(settings=layer.tiling.tiles if first else 0, steps=int(first))
    if setting.time == setting.write == setting.dac == 0:  # cells that hold what is written next are not written
        return total._replace(settings=0, steps=0)
    return total


def _parts(
    layer: ChipLayer, system: System, counted: Events, setting: Setting, core_time: float, idle: float
) -> dict[str, float]:
    """J by part; `core_time` and `idle` are in s, added up over cores."""
    price = energy.core_price(layer.chip)
    lit = core_time + idle
    light = price.light * link.laser_factor(layer.chip, system) * lit
    parts = {
        "cell writes": counted.settings * setting.write,
        "laser light": light,
        "weight DACs": counted.settings * setting.dac,
        "modulators and DACs": counted.inputs * price.modulate,
        "detectors and ADCs": price.receivers * price.receiver_power * lit + counted.outputs * price.read,
        "laser wall plug": light * (1 / price.laser_efficiency - 1),
    }
    if system.schedule == "output":
        held = core_time + counted.busy * counted.steps * setting.time
        parts["integrators"] = price.readings * layer.chip.devices.integrator_power.value * held
    return parts
