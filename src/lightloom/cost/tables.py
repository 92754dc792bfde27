"""The tables of a bill: what a `Cost` shows of a network under one schedule."""

from __future__ import annotations

from typing import Any

from lightloom.chips import Chip, labels
from lightloom.cost import area as areas
from lightloom.cost import link
from lightloom.cost.diffraction import LightCost, LightUse
from lightloom.cost.electronics import REFERENCES
from lightloom.cost.layer_cost import ScheduledLayer
from lightloom.cost.memory import Traffic
from lightloom.cost.technology import HELD, WAITING, cost_of
from lightloom.cost.total import Total
from lightloom.nn import Counts, counts_of


def layer_rows(total: Total) -> list[dict[str, Any]]:
    """The fields of a `LayerCost` for every layer."""
    chips = labels(row.layer.chip for row in total.layers)
    rows = [_layer_row(total, row, chips[row.layer.chip]) for row in total.layers]
    return rows + [_light_row(use, cost) for use, cost in zip(total.workload.light, total.light, strict=True)]


def _light_row(use: LightUse, cost: LightCost) -> dict[str, Any]:
    return {
        "name": use.name,
        "calls": cost.frames,
        "cores": -(-use.layer.optical_paths * len(use.maps) // max(1, cost.frames)),
        "mzis": 0,
        "cells": 0,
        "energy_j": sum(cost.parts.values()),
        "latency_s": cost.time,
        "chip": use.layer.chip.name,
        "parts": {part: joules for part, joules in cost.parts.items() if joules},
    }


def _layer_row(total: Total, row: ScheduledLayer, chip: str) -> dict[str, Any]:
    layer, batch = row.layer, total.system.inferences
    hardware = _hardware(row)
    holding = {HELD: total.held[layer.name], WAITING: total.waiting[layer.name]}
    parts = {part: joules / batch for part, joules in (holding | row.parts).items() if joules}
    share = min(1.0, row.cores / max(1, hardware.cores))
    return {
        "name": layer.name,
        "calls": round(row.events.calls / batch),
        "cores": row.events.busy or row.cores,
        "mzis": round(hardware.mzis * share),
        "cells": round(hardware.cells * share),
        "energy_j": sum(parts.values()),
        "latency_s": row.time + row.stall,
        "chip": chip,
        "tied_to": layer.tied_to,
        "vectors": layer.vectors,
        "macs": layer.macs,
        "rounds": row.events.rounds,
        "reconfigurations": row.events.settings / batch,
        "reconfiguration_s": row.settling,
        "parts": parts,
    }


def _hardware(row: ScheduledLayer) -> Counts:
    """Cores of a layer's own, and the devices in them."""
    tiling = row.layer.tiling
    return counts_of(row.layer.chip, tiling.rows, tiling.columns, tiling.groups)


def cores_by_chip(total: Total) -> dict[Chip, int]:
    """The number of cores of each chip."""
    cores: dict[Chip, int] = {}
    for row in total.layers:
        own = 0 if row.layer.tied_to else row.cores
        cores[row.layer.chip] = cores.get(row.layer.chip, 0) + own
    return cores if total.system.cores is None else dict.fromkeys(cores, total.system.cores)


def lit_by_chip(total: Total) -> dict[Chip, int]:
    """The most cores of each chip that have light at the same time."""
    lit: dict[Chip, int] = {}
    for row in total.layers:
        lit[row.layer.chip] = max(lit.get(row.layer.chip, 0), row.events.busy)
    return lit


def area(total: Total) -> dict[str, float]:
    """Area in m^2 by kind of device."""
    return areas.areas(cores_by_chip(total), lit_by_chip(total), total.system)


def counts(total: Total) -> dict[str, int]:
    """Cores, devices in them, and calls of one inference."""
    by_chip = cores_by_chip(total)
    if total.system.cores is None:
        hardware = [(1, _hardware(row)) for row in total.layers if not row.layer.tied_to]
    else:
        hardware = [(count, counts_of(chip, chip.block_size, chip.block_size)) for chip, count in by_chip.items()]
    return {
        "cores": sum(by_chip.values()),
        "mzis": sum(count * counts.mzis for count, counts in hardware),
        "cells": sum(count * counts.cells for count, counts in hardware),
        "calls": round(sum(row.events.calls for row in total.layers) / total.system.inferences),
        "macs": sum(layer.macs for layer in total.workload.layers),
        "parameters": total.workload.parameters,
    }


def summary(total: Total) -> dict[str, float]:
    """The figures that schedules are compared by."""
    widest = total.boundaries[-1]
    return {
        "energy_j": widest.energy,
        "latency_s": widest.latency,
        "throughput_per_s": total.system.inferences / widest.latency if widest.latency else 0.0,
        "reconfigurations": reconfiguration(total)["times"],
    }


def reconfiguration(total: Total) -> dict[str, float]:
    """Tiles set per inference, the time that all wait for them, and the energy it takes, held phases included."""
    batch = total.system.inferences
    joules = sum(
        row.events.settings * (row.setting.dac + row.setting.write) + row.hold * row.settling for row in total.layers
    )
    return {
        "times": sum(row.events.settings for row in total.layers) / batch,
        "time_s": sum(row.settling for row in total.layers),
        "energy_j": joules / batch,
    }


def _moved(total: Total) -> Traffic:
    batch = total.system.inferences
    return sum((row.traffic * (1 / batch) for row in total.layers), total.around)


def memory_rows(total: Total) -> dict[str, dict[str, float]]:
    """Bytes and J per inference by memory, and what the bytes are."""
    moved = _moved(total)
    electronics = total.around.buffer
    contents = {
        "weights": moved.weights,
        "inputs": moved.inputs,
        "partial sums": moved.partial_sums,
        "outputs": moved.outputs,
        "electronics": electronics,
    }
    by_memory = {"DRAM": moved.dram, "buffer": moved.buffer, "registers": moved.registers}
    return {"bytes": by_memory, "energy_j": moved.energy(total.system), "contents": contents}


def converters(total: Total) -> dict[str, float]:
    """Conversions per inference."""
    batch = total.system.inferences
    settings = sum(row.events.settings * cost_of(row.layer.chip).settings for row in total.layers)
    return {
        "dac": sum(row.events.inputs for row in total.layers) / batch,
        "adc": sum(row.events.outputs for row in total.layers) / batch,
        "settings": settings / batch,
    }


def electronics(total: Total) -> dict[str, Any]:
    """What is on no chip, for one inference; the memory that it moves stands apart."""
    return {
        "macs": total.workload.macs,
        "values": total.workload.values,
        "energy_j": total.electronic.energy_j,
        "memory_j": sum(total.around.energy(total.system).values()),
        "latency_s": total.electronic.latency_s,
        "profile": total.system.electronics.name,
    }


def references(total: Total) -> list[dict[str, Any]]:
    """The whole network on each machine; ratios above 1 say that the chips take less."""
    workload, system, widest = total.workload, total.system, total.boundaries[-1]
    operations = workload.macs + workload.values + sum(layer.macs for layer in workload.layers)
    read = (workload.parameters + workload.values_in + workload.values_out) * system.activation_bits / 8
    rows = []
    for profile in REFERENCES:
        electronic = profile.run(operations, read)
        time = widest.latency / system.inferences
        rows.append(
            {
                "name": profile.name,
                "energy_j": electronic.energy_j,
                "latency_s": electronic.latency_s,
                "ratio_energy": electronic.energy_j / widest.energy if widest.energy else 0.0,
                "ratio_latency": electronic.latency_s / time if time else 0.0,
            }
        )
    return rows


def link_budgets(total: Total) -> list[dict[str, Any]]:
    """The walk from laser to detector on each chip."""
    lit = lit_by_chip(total)
    return [link.budget(chip, total.system, lit[chip]) | {"chip": label} for chip, label in labels(lit).items()]
