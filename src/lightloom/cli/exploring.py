"""Verbs on finished work: sweeps over chips, single layers, exports, and two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lightloom.cli.app import AsJson, Changes, Device, Out, RunPath, Seed, Source, common, verb
from lightloom.cli.output import answer, show_bill, show_sweep, show_yaml

Images = Annotated[int | None, typer.Option(help="How many of the test images are looked at; all by default.")]
Biased = Annotated[
    bool, typer.Option("--biased", help="Keep the unknown phase bias of meshes; else calibration has found it.")
]


@verb()
def explore(
    source: Source,
    changes: Changes = None,
    over: Annotated[
        list[str] | None,
        typer.Option(help="What to vary, such as `chip.block_size=4,8,16` or `system.schedule=weight,output`; repeat."),
    ] = None,
    specimens: Annotated[int, typer.Option(help="Manufactured chips per point.")] = 64,
    images: Images = None,
    threshold: Annotated[
        float | None, typer.Option(help="Accuracy of a good specimen; a point below the electronic one by default.")
    ] = None,
    objectives: Annotated[
        str, typer.Option(help="What the Pareto front judges by, with commas between.")
    ] = "accuracy,energy_j,latency_s,area_m2",
    boundary: Annotated[
        str | None, typer.Option(help="Of energy and latency, such as `with converters`; the widest by default.")
    ] = None,
    biased: Biased = False,
    limit: Annotated[int | None, typer.Option(help="Measure at most so many points, drawn at random.")] = None,
    workers: Annotated[int, typer.Option(help="Processes on this machine; needs the extra `cluster`.")] = 0,
    scheduler: Annotated[str | None, typer.Option(help="Address of a running Dask scheduler instead.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Sweep over chips: accuracy of many specimens against energy, time and area, with the Pareto front.

    A folder given by `--out` in which a sweep was begun goes on from there.

    Args:
        source: A recipe, or the folder of a run.
        changes: `key=value` changes of the config.
        over: Fields to vary, each as `key=value,value`.
        specimens: Manufactured chips per point.
        images: Number of test images to look at; all by default.
        threshold: Accuracy of a good specimen; a point below the electronic one by default.
        objectives: Measures that the Pareto front judges by, with commas between.
        boundary: Boundary of energy and latency; the widest by default.
        biased: Keep the unknown phase bias of meshes.
        limit: Most points to measure, drawn at random.
        workers: Processes on this machine.
        scheduler: Address of a running Dask scheduler.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.commands.explore import explore_network
        from lightloom.explore import Engine

        return explore_network(
            source,
            [*(changes or []), *common(seed, device)],
            over=over or [],
            out=out,
            images=images,
            specimens=specimens,
            threshold=threshold,
            objectives=objectives.split(","),
            boundary=boundary,
            calibrated=not biased,
            limit=limit,
            engine=Engine(workers, scheduler),
        )

    answer(work, as_json, show_sweep)


@verb()
def sensitivity(
    source: Source,
    changes: Changes = None,
    budget: Annotated[float, typer.Option(help="Accuracy that the whole network may lose.")] = 0.01,
    specimens: Annotated[int, typer.Option(help="Manufactured chips per layer.")] = 8,
    images: Images = None,
    biased: Biased = False,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Put one layer at a time on the chip, and propose which to leave electronic.

    Args:
        source: A recipe, or the folder of a run.
        changes: `key=value` changes of the config.
        budget: Accuracy that the whole network may lose.
        specimens: Manufactured chips per layer.
        images: Number of test images to look at; all by default.
        biased: Keep the unknown phase bias of meshes.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.commands.explore import scan_layers

        overrides = [*(changes or []), *common(seed, device)]
        return scan_layers(
            source, overrides, out=out, images=images, calibrated=not biased, budget=budget, specimens=specimens
        )

    answer(work, as_json, lambda result: typer.echo(f"{result['text']}\nreport       {result['report']}"))


@verb()
def estimate(
    network: Annotated[
        str,
        typer.Argument(
            help="`resnet-50`, `regnet`, `convnextv2-tiny`, `vit-base`, `swin-tiny`, `bert-base`, `gpt2`, or the "
            "`config.json` of a model of `transformers`.",
        ),
    ],
    changes: Annotated[
        list[str] | None, typer.Argument(help="Of `chip`, `system`, `places`, `electronic`: `system.cores=64`.")
    ] = None,
    tokens: Annotated[int, typer.Option(help="Length of a text.")] = 128,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Count what a well-known network would take on a chip; nothing is trained or programmed.

    Args:
        network: Name of a network, or the `config.json` of a model of `transformers`.
        changes: Changes of `chip`, `system`, `places` and `electronic`, as `key=value`.
        tokens: Length of a text in tokens.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.commands.estimate import estimate as count

        return count(network, changes or [], tokens=tokens, out=out)

    answer(work, as_json, show_bill)


@verb()
def export(
    run: RunPath,
    formats: Annotated[
        str,
        typer.Option(
            help="`folder`, `onnx`, `settings`; of meshes `netlist`, `phases`; of crossbars `pcm`; by commas."
        ),
    ] = "folder",
    state: Annotated[str, typer.Option(help="As which stage left it, such as `mapped`; the last by default.")] = "",
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Write the network of a run as files that are read elsewhere, by default to `export/` in its folder.

    Args:
        run: Folder of a run.
        formats: Formats to write, with commas between.
        state: Stage whose network is written; the last by default.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.commands.export import export_run

        return export_run(run, formats.split(","), out, state=state)

    answer(work, as_json, show_yaml)


@verb()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")],
    second: Annotated[Path, typer.Argument(help="Folder of another.", metavar="RUN")],
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("comparison.html"),
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Put two runs side by side on one page: settings, accuracy, cost, layers, learning.

    Args:
        first: Folder of a run.
        second: Folder of another run.
        out: Page to write.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.report import compare as side_by_side

        return {"comparison": str(side_by_side(first, second, out))}

    answer(work, as_json, show_yaml)
