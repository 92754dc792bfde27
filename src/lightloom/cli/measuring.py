"""Verbs that measure claims, and that offer a chip to be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lightloom.cli.app import AsJson, Device, Out, Seed, verb
from lightloom.cli.output import answer, show_yaml


@verb()
def bench(
    name: Annotated[
        str,
        typer.Argument(
            help="`mesh`, `layer`, `calibrate`, `map`, `zeroth-order`, `subspace`, `writes`, `reorder`, `pcm-train`, "
            "`absorber`, `optical-step`, `diffraction`, `detect3d`, `convert`, `architectures`, `cost` or `yield`."
        ),
    ],
    blocks: Annotated[int | None, typer.Option(help="Blocks measured side by side.")] = None,
    readout_std: Annotated[float | None, typer.Option(help="Readout noise, relative to full scale.")] = None,
    size: Annotated[int | None, typer.Option(help="Waveguides k of a block.")] = None,
    run: Annotated[Path | None, typer.Option(help="Folder of a run to measure on.")] = None,
    sharing: Annotated[str | None, typer.Option(help="Inputs: `row_private`, `column_shared`, `block_shared`.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of each training.")] = None,
    chip: Annotated[str | None, typer.Option(help="Preset that networks would go on.")] = None,
    specimens: Annotated[int | None, typer.Option(help="Manufactured chips simulated together.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Measure one claim, as ratios or counts within one run.

    Args:
        name: Name of the benchmark.
        blocks: Blocks measured side by side.
        readout_std: Readout noise, relative to full scale.
        size: Waveguides of a block.
        run: Folder of a run to measure on.
        sharing: How inputs are shared: "row_private", "column_shared" or "block_shared".
        epochs: Epochs of each training.
        chip: Preset of the chip that networks would go on.
        specimens: Manufactured chips simulated together.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.bench import bench

        settings = {"blocks": blocks, "readout_std": readout_std, "size": size, "chip": chip, "specimens": specimens}
        return bench(name, seed=seed, run=run, sharing=sharing, epochs=epochs, **settings)

    answer(work, as_json, show_yaml, out)


@verb()
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
    """Offer a simulated specimen over HTTP, for `lightloom.lab.remote.RemoteInstrument`; stop it with Ctrl-C.

    Args:
        chip: Preset of the chip.
        blocks: Blocks measured side by side.
        specimen: Number of the manufactured chip.
        readout_std: Readout noise, relative to full scale.
        host: Address to listen at; any but this machine needs a token.
        port: Port to listen at; 0 takes a free one.
        token: Token that clients must send.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.chips import MeshChip, preset
        from lightloom.lab.server import Address
        from lightloom.lab.server import serve as offer

        address = Address(host, port, token)
        offer(preset(chip, MeshChip), blocks, specimen, readout_std, seed=seed or 0, address=address)
        return {"chip": chip, "blocks": blocks, "specimen": specimen}

    answer(work, as_json, show_yaml, out)
