"""Verbs that say what there is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lightloom.cli.app import AsJson, Device, Out, Seed, app
from lightloom.cli.output import answer, show_yaml, table


@app.command()
def recipes(out: Out = None, seed: Seed = None, device: Device = None, as_json: AsJson = False) -> None:
    """List the recipes."""

    def work() -> dict[str, Any]:
        from lightloom.recipes import describe

        return {"recipes": describe()}

    answer(work, as_json, lambda result: table(result["recipes"], ("name", "what", "switches")), out)


@app.command()
def chips(
    name: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """List the chips, absorbers and diffractive optics, or show one with its constants and their sources."""

    def work() -> dict[str, Any]:
        from lightloom.chips import ABSORBERS, DIFFRACTIVE, PRESETS
        from lightloom.common.errors import RequestError, nearest

        if name is None:
            details = {"table", "wavelength", "saturation_irradiance"}
            cores = [chip.model_dump(mode="json", exclude={"devices"}) for chip in PRESETS.values()]
            activations = [chip.model_dump(mode="json", exclude=chip.idle | details) for chip in ABSORBERS.values()]
            layers = [chip.model_dump(mode="json", exclude={"devices"}) for chip in DIFFRACTIVE.values()]
            return {"chips": [*cores, *activations, *layers]}
        if name in ABSORBERS:
            return ABSORBERS[name].model_dump(mode="json", exclude=ABSORBERS[name].idle)
        others = PRESETS | DIFFRACTIVE
        if name in others:
            return others[name].model_dump(mode="json")
        raise RequestError(f"There is no chip `{name}`. {nearest(name, [*others, *ABSORBERS])}")

    shared = ("name", "block_size", "input_bits")
    columns = {
        "mesh": (*shared, "field", "layout", "weight_bits", "gamma_std", "crosstalk", "phase_bias"),
        "pcm": (*shared, "levels", "base", "write_model", "start", "sharing", "stuck_fraction"),
        "absorber": ("name", "form", "encoding", "optical_depth", "saturation_intensity", "broadening", "residual"),
        "diffractive": ("name", "wavelength", "pixel", "grid", "mask", "layers", "detector", "phase_bits"),
    }

    def show(result: dict[str, Any]) -> None:
        if "chips" not in result:
            show_yaml(result)
            return
        for technology, names in columns.items():
            typer.echo(f"{technology}:")
            unused = dict.fromkeys(names, "-")
            table([unused | chip for chip in result["chips"] if chip["technology"] == technology], names)

    answer(work, as_json, show, out)


@app.command()
def doctor(
    build_kernels: Annotated[bool, typer.Option(help="Compile the fast mesh kernels; needs a C++ compiler.")] = False,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Check what is installed, and build the optional kernels."""

    def work() -> dict[str, Any]:
        from lightloom.commands.doctor import examine

        return examine(build_kernels=build_kernels)

    answer(work, as_json, show_yaml, out)
