"""The command line: verbs, arguments, exit codes. Everything heavy is imported inside a verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lightloom.answers import answer, show_detections, show_summary, show_yaml, table

app = typer.Typer(
    help="Put neural networks on photonic chips.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, the last line of stdout.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the run; the recipe's own by default.")]
Device = Annotated[str | None, typer.Option(help="`auto` takes a GPU where there is one; `cpu` never does.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write to.")]
Changes = Annotated[
    list[str] | None, typer.Argument(help="`key=value` changes, such as `train.epochs=5` or `chip=noems`.")
]
RunPath = Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")]


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="See `lightloom recipes`.")],
    changes: Changes = None,
    resume: Annotated[bool, typer.Option(help="Go on with the run in `--out`.")] = False,
    print_config: Annotated[bool, typer.Option(help="Print the resolved config and stop.")] = False,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the data sets; else `LIGHTLOOM_DATA`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe from data to report."""

    def work() -> dict[str, Any]:
        from lightloom.config import to_yaml
        from lightloom.recipes import resolve
        from lightloom.run import run as run_recipe

        extra = [f"data.root={data}"] if data is not None else []
        config = resolve(recipe, [*(changes or []), *extra, *_common(seed, device)])
        if print_config:
            typer.echo(to_yaml(config), nl=False)
            return {}
        return run_recipe(config, out, resume=resume)

    answer(work, as_json, show_summary)


def _stage_verb(stage: str, help_text: str) -> None:
    """Add a verb that repeats one stage of a run."""

    def verb(
        run: RunPath,
        changes: Changes = None,
        out: Out = None,
        seed: Seed = None,
        device: Device = None,
        as_json: AsJson = False,
    ) -> None:
        def work() -> dict[str, Any]:
            from lightloom.run import repeat

            return repeat(run, stage, [*(changes or []), *_common(seed, device)], out=out)

        answer(work, as_json, show_summary)

    app.command(stage, help=f"{help_text} Works on a run folder, or with `--out` on a copy of it.")(verb)


_stage_verb("train", "Train the electronic network again.")
_stage_verb("program", "Convert the trained network and program it onto a specimen again.")
_stage_verb("calibrate", "Identify the devices of the specimen, and program them for what they are.")
_stage_verb("map", "Look at the programmed blocks and correct them.")
_stage_verb("learn", "Learn on the chip again.")
_stage_verb("reorder", "Find the order in which PCM cells are written least, and count the writes.")
_stage_verb("sweep", "Train every case of a comparison again.")
_stage_verb("evaluate", "Measure every state of the network on the test images.")
_stage_verb("cost", "Count cores, calls, energy and time of one inference.")
_stage_verb("report", "Write the report.")


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="A recipe, or the folder of a run.", metavar="RECIPE|RUN")],
    changes: Changes = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Show what conversion does with each layer of a network; with `--out` keep the table as `layers.json` there."""

    def work() -> dict[str, Any]:
        from lightloom.preview import preview_conversion

        return preview_conversion(source, [*(changes or []), *_common(seed, device)], out)

    answer(
        work,
        as_json,
        lambda result: table(result["layers"], ("name", "kind", "shape", "blocks", "mzis", "cells", "reason")),
    )


@app.command()
def detect(
    given: Annotated[
        list[str],
        typer.Argument(
            help="Image files, or folders of them; of a multi-camera run, scenes or tokens of samples.",
            metavar="IMAGE|SCENE|SAMPLE...",
        ),
    ],
    model: Annotated[Path, typer.Option(help="Folder of a run that detects, such as of `hybrid/shapes`.")],
    case: Annotated[str, typer.Option(help="Which of its cases looks; the last one by default.")] = "",
    threshold: Annotated[float, typer.Option(help="Least score of what is shown.")] = 0.25,
    scenes: Annotated[
        str, typer.Option(help="Set with the scenes, such as `nuscenes:PATH`; that of the run by default.")
    ] = "",
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Find objects in images or around a vehicle: writes pictures and `detections.json`, else to `detections/`."""

    def work() -> dict[str, Any]:
        from lightloom.detecting import detect

        place = out or Path("detections")
        return detect(given, model, place, source=scenes, case=case, threshold=threshold, device=device or "auto")

    answer(work, as_json, show_detections)


@app.command()
def tables(
    description: Annotated[Path, typer.Argument(help="YAML or JSON: cameras, calibration, boxes per frame.")],
    out: Out = None,
    version: Annotated[str, typer.Option(help="Name of the folder of the tables.")] = "v1.0-own",
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Write own multi-camera data as nuScenes tables, beside the images: in the folder of the file, or in `--out`."""

    def work() -> dict[str, Any]:
        from lightloom.data.nuscenes import convert_own

        root = convert_own(description, out or description.parent, version)
        return {"root": str(root), "version": version, "scenes": f"nuscenes:{root}"}

    answer(work, as_json, show_yaml)


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
def bench(
    name: Annotated[
        str,
        typer.Argument(
            help="`mesh`, `layer`, `calibrate`, `map`, `zeroth-order`, `subspace`, `writes`, `reorder`, `pcm-train`, "
            "`absorber`, `optical-step` or `diffraction`."
        ),
    ],
    blocks: Annotated[int | None, typer.Option(help="Blocks measured side by side.")] = None,
    readout_std: Annotated[float | None, typer.Option(help="Readout noise, relative to full scale.")] = None,
    size: Annotated[int | None, typer.Option(help="Waveguides k of a block.")] = None,
    run: Annotated[Path | None, typer.Option(help="Folder of a run to measure on.")] = None,
    sharing: Annotated[str | None, typer.Option(help="Inputs: `row_private`, `column_shared`, `block_shared`.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of each training.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Measure one claim, as ratios or counts within one run."""

    def work() -> dict[str, Any]:
        from lightloom.bench import bench

        given = {"blocks": blocks, "readout_std": readout_std, "size": size}
        return bench(name, seed=seed, run=run, sharing=sharing, epochs=epochs, **given)

    answer(work, as_json, show_yaml, out)


@app.command()
def serve(
    chip: Annotated[str, typer.Argument(help="A preset, see `lightloom chips`.")] = "l2ight",
    blocks: Annotated[int, typer.Option(help="Blocks measured side by side.")] = 16,
    specimen: Annotated[int, typer.Option(help="Which manufactured chip.")] = 0,
    readout_std: Annotated[float, typer.Option(help="Readout noise, relative to full scale.")] = 0.001,
    host: Annotated[str, typer.Option(help="Address to listen at; any but this machine needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 8765,
    token: Annotated[str | None, typer.Option(envvar="LIGHTLOOM_TOKEN", help="What clients must send.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Offer a simulated specimen over HTTP, for `lightloom.lab.remote.RemoteInstrument`; stop it with Ctrl-C."""

    def work() -> dict[str, Any]:
        from lightloom.chips import MeshChip, preset
        from lightloom.serve import serve as offer

        offer(preset(chip, MeshChip), blocks, specimen, readout_std, host=host, port=port, token=token, seed=seed or 0)
        return {"chip": chip, "blocks": blocks, "specimen": specimen}

    answer(work, as_json, show_yaml, out)


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
        from lightloom.doctor import examine

        return examine(build_kernels=build_kernels)

    answer(work, as_json, show_yaml, out)


def main() -> None:
    """Entry point of the `lightloom` command."""
    app()


def _common(seed: int | None, device: str | None) -> list[str]:
    given = {"seed": seed, "device": device}
    return [f"{key}={value}" for key, value in given.items() if value is not None]
