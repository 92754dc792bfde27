"""Verbs that say what there is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lightloom.cli.app import AsJson, Device, Out, Seed, verb
from lightloom.cli.output import answer, show_yaml, table


@verb()
def recipes(out: Out = None, seed: Seed = None, device: Device = None, as_json: AsJson = False) -> None:
    """List the recipes.

    Args:
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.recipes import describe

        return {"recipes": describe()}

    answer(work, as_json, lambda result: table(result["recipes"], ("name", "what", "switches")), out)


@verb()
def chips(
    name: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """List the chips, absorbers and diffractive optics, or show one with its constants and their sources.

    Args:
        name: Name of a chip to show whole; None lists all.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.chips import ABSORBERS, DIFFRACTIVE, PRESETS, AbsorberChip, Chip, DiffractiveChip
        from lightloom.common.errors import RequestError, nearest

        hardware: dict[str, Chip | AbsorberChip | DiffractiveChip] = {**PRESETS, **ABSORBERS, **DIFFRACTIVE}
        if name is None:
            columns = {chip.technology: list(chip.summary_fields) for chip in hardware.values()}
            rows = [chip.model_dump(mode="json", exclude=chip.idle | chip.details) for chip in hardware.values()]
            return {"chips": rows, "columns": columns}
        if name not in hardware:
            raise RequestError(f"There is no chip `{name}`. {nearest(name, hardware)}")
        return hardware[name].model_dump(mode="json", exclude=hardware[name].idle)

    def show(result: dict[str, Any]) -> None:
        if "chips" not in result:
            show_yaml(result)
            return
        for technology, names in result["columns"].items():
            typer.echo(f"{technology}:")
            unused = dict.fromkeys(names, "-")
            table([unused | chip for chip in result["chips"] if chip["technology"] == technology], names)

    answer(work, as_json, show, out)


@verb()
def doctor(
    build_kernels: Annotated[bool, typer.Option(help="Compile the fast mesh kernels; needs a C++ compiler.")] = False,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Check what is installed, and build the optional kernels.

    Args:
        build_kernels: Compile the fast mesh kernels.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.commands.doctor import examine

        return examine(build_kernels=build_kernels)

    answer(work, as_json, show_yaml, out)
