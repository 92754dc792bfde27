"""What a bill rests on: the choices of its system, its assumptions, and every constant with its source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lightloom.chips import TECHNOLOGIES, Constant, DiffractiveChip, labels
from lightloom.cost import area, diffraction, energy, memory, total
from lightloom.cost.electronics import REFERENCES
from lightloom.cost.system import System
from lightloom.cost.technology import cost_of
from lightloom.cost.total import Total

_STAY = {
    "weight": "Weights stay: a core holds a tile while all vectors pass.",
    "input": "Inputs stay: a core holds a block of inputs while the tiles of its column pass.",
    "output": "Outputs stay: a core adds up a block of outputs, as charge, while the tiles of its row pass.",
}


def choices(system: System, *, resident: bool) -> list[str]:
    """The choices of a system in words.

    Args:
        system: How the chips are run.
        resident: Whether weights of any layer stay on their cores.
    """
    cores = (
        "Every layer has cores of its own."
        if system.cores is None
        else (f"All layers share {system.cores} cores of each chip.")
    )
    lines = [f"{_STAY[system.schedule]} {cores}"]
    if system.inferences > 1:
        lines.append(
            f"{system.inferences} inferences pass each layer before the next one begins; all wait for the last."
        )
    if resident:
        once = "long ago; that is not counted" if system.programmed else "once for each batch of inferences"
        lines.append(f"Tiles that stay on their cores were programmed {once}.")
    levels = "grows with the 2^bits levels of" if system.laser_levels else "does not grow with the bits of"
    lines.append(f"Laser power {levels} the output converters; the link budget gives it both ways.")
    dark = "let light through as far as their extinction says" if system.extinction else "are perfectly dark"
    lines.append(f"Modulators that should be dark {dark}.")
    if system.margin_db:
        lines.append(f"The link has a margin of {system.margin_db:g} dB.")
    meanwhile = "off" if system.gated else "on"
    lines.append(f"Lasers and receivers are on while their layer computes, and {meanwhile} while tiles are set.")
    if system.adc_share > 1:
        lines.append(f"{system.adc_share} detectors take turns at one ADC, and a symbol lasts as many times longer.")
    return lines


def constants(bill: Total) -> list[dict[str, Any]]:
    """The constants of every chip in use, of memory and of electronics, each once."""
    cores = labels(row.layer.chip for row in bill.layers)
    optics = {use.layer.chip.name: use.layer.chip for use in bill.workload.light}
    rows = [row for chip, label in cores.items() for row in rows_of(label, chip.devices)]
    rows += [row for label, chip in optics.items() for row in rows_of(label, chip.devices)]
    rows += rows_of("memory", bill.system.memory)
    for profile in {p.name: p for p in (bill.system.electronics, *REFERENCES)}.values():
        rows += rows_of(profile.name, profile)
    return rows


def rows_of(owner: str, described: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    """A row for each constant of a description.

    Args:
        owner: What the constants belong to.
        described: Fields and their values; what is no constant is left out.
    """
    return [
        {"chip": owner, "name": name, **constant.model_dump()}
        for name, constant in described
        if isinstance(constant, Constant)
    ]


def assumptions(bill: Total) -> list[str]:
    """What the figures rest on, choices of the system first."""
    return [
        *choices(bill.system, resident=any(row.resident for row in bill.layers)),
        *total.ASSUMPTIONS,
        *energy.ASSUMPTIONS,
        *of_technologies(bill),
        *of_light([use.layer.chip for use in bill.workload.light]),
        *memory.ASSUMPTIONS,
        *area.ASSUMPTIONS,
    ]


def of_technologies(bill: Total) -> list[str]:
    """The sentences of each technology in use, in the order of the table; what is expected, where a core is none."""
    lines: list[str] = []
    for name in TECHNOLOGIES:
        layers = [row.layer for row in bill.layers if row.layer.chip.technology == name]
        if layers:
            model = cost_of(layers[0].chip)
            lines += model.assumptions
            lines += model.expected_settings if any(layer.core is None for layer in layers) else ()
    return lines


def of_light(chips: Sequence[DiffractiveChip]) -> list[str]:
    """The sentences of diffractive layers on these chips; none where there are none."""
    if not chips:
        return []
    fields = any(chip.detector == "field" for chip in chips)
    return [*diffraction.ASSUMPTIONS, *((diffraction.HOMODYNE,) if fields else ())]
