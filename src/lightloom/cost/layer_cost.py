"""One layer of a network on its chip, under a schedule: events, energy by part, and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightloom.chips import Chip
from lightloom.cost import energy, link, memory
from lightloom.cost.memory import Traffic
from lightloom.cost.schedule import Events, count_events
from lightloom.cost.system import System
from lightloom.cost.technology import Setting, cost_of
from lightloom.cost.workload import ChipLayer


@dataclass(frozen=True)
class ScheduledLayer:
    """What one layer takes for a batch. Energies in J, times in s."""

    layer: ChipLayer
    """The layer, and its work in one inference."""
    cores: int
    """Number of cores that the layer has for itself, or shares with other layers."""
    resident: bool
    """Whether the weights stay on their cores from batch to batch."""
    events: Events
    """What happens on the cores."""
    setting: Setting
    """What setting one tile takes."""
    parts: dict[str, float]
    """Energy by kind of device, without what holds phases."""
    compute: float
    """Time in which light computes."""
    fill: float
    """Time that filling the converters takes."""
    settling: float
    """Time until all tiles are set."""
    stall: float
    """Time of waiting for DRAM."""
    traffic: Traffic
    """Bytes that the layer moves."""

    @property
    def time(self) -> float:
        """Time of the layer without waiting."""
        return self.compute + self.fill + self.settling

    @property
    def hold(self) -> float:
        """Power in W that holds its phases while it works."""
        return self.setting.hold * (self.cores if self.resident else self.events.busy)


def schedule_layers(layers: Sequence[ChipLayer], system: System) -> list[ScheduledLayer]:
    """What every layer takes for a batch.

    Args:
        layers: All layers of a network that are on chips.
        system: How the chips are run.
    """
    tiles = tiles_of(layers)
    buffered = memory.fitting(tiles, system)
    return [_scheduled(layer, system, tiles[layer.chip], buffered) for layer in layers]


def tiles_of(layers: Sequence[ChipLayer]) -> dict[Chip, int]:
    """Tiles of each chip, of all its layers together; layers that share weights share their tiles."""
    tiles: dict[Chip, int] = {}
    for layer in layers:
        tiles[layer.chip] = tiles.get(layer.chip, 0) + (0 if layer.tied_to else layer.tiling.tiles)
    return tiles


def _scheduled(layer: ChipLayer, system: System, tiles: int, buffered: bool) -> ScheduledLayer:
    shared, model = system.cores, cost_of(layer.chip)
    fits = not model.rewritten if shared is None else tiles <= shared
    resident = fits and system.schedule == "weight"
    cores = model.own_cores(layer.tiling) if shared is None else layer.tiling.tiles if resident else shared
    setting = model.setting(layer.tiling, layer.core)
    events = _count(layer, system, cores, resident, setting)
    price = energy.core_price(layer.chip)
    symbol = price.symbol * system.adc_share
    compute, fill = events.cycles * symbol, 2 * symbol * sum(layer.uses.values())
    settling = events.steps * setting.time
    traffic = memory.traffic(
        events,
        layer.chip,
        system,
        tiles=layer.tiling.tiles,
        values_in=layer.values_in * system.inferences,
        values_out=layer.values_out * system.inferences,
        buffered=buffered,
    )
    stall = max(0.0, traffic.dram / system.memory.dram_bandwidth.value - (compute + fill + settling))
    idle = 0.0 if system.gated else events.busy * settling
    parts = _parts(layer, system, events, setting, events.calls * symbol, idle)
    parts["memory"] = sum(traffic.energy(system).values())
    return ScheduledLayer(layer, cores, resident, events, setting, parts, compute, fill, settling, stall, traffic)


def _count(layer: ChipLayer, system: System, cores: int, resident: bool, setting: Setting) -> Events:
    """Events of all uses of a layer; each use of it is a pass of its own."""
    model = cost_of(layer.chip)
    channels, sharing = model.channels, model.sharing
    total = Events(*[0] * len(Events._fields))
    for vectors, times in layer.uses.items():
        once = count_events(system.schedule, layer.tiling, vectors * system.inferences, channels, cores, sharing)
        added = (old + times * new for old, new in zip(total, once, strict=True))
        total = Events(*added)._replace(busy=max(total.busy, once.busy))
    if resident:
        first = not system.programmed and not layer.tied_to and total.calls > 0
        return total._replace(settings=layer.tiling.tiles if first else 0, steps=int(first))
    if setting.time == setting.write == setting.dac == 0:  # cells that hold what is written next are not written
        return total._replace(settings=0, steps=0)
    return total


def _parts(
    layer: ChipLayer, system: System, events: Events, setting: Setting, core_time: float, idle: float
) -> dict[str, float]:
    """J by part; `core_time` and `idle` are in s, added up over cores."""
    price = energy.core_price(layer.chip)
    lit = core_time + idle
    light = price.light * link.laser_factor(layer.chip, system) * lit
    parts = {
        "cell writes": events.settings * setting.write,
        "laser light": light,
        "weight DACs": events.settings * setting.dac,
        "modulators and DACs": events.inputs * price.modulate,
        "detectors and ADCs": price.receivers * price.receiver_power * lit + events.outputs * price.read,
        "laser wall plug": light * (1 / price.laser_efficiency - 1),
    }
    if system.schedule == "output":
        integrating = core_time + events.busy * events.steps * setting.time
        parts["integrators"] = price.readings * layer.chip.devices.integrator_power.value * integrating
    return parts
