"""Verbs on objects: finding them, and writing scenes as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lightloom.cli.app import AsJson, Device, Out, Seed, verb
from lightloom.cli.output import answer, show_detections, show_yaml


@verb()
def detect(
    given: Annotated[
        list[str],
        typer.Argument(
            help="Image files, or folders of them; of a multi-camera run, scenes or tokens of samples; of a run that "
            "learns a text, prompts or text files.",
            metavar="IMAGE|SCENE|SAMPLE|PROMPT...",
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
    """Find objects in images or around a vehicle, or go on with a text: writes to `--out`, else to `detections/`.

    Args:
        given: Image files, or folders of them; scenes or tokens of samples; prompts or text files.
        model: Folder of a run that detects.
        case: Name of the case that looks; the last one by default.
        threshold: Least score of what is shown.
        scenes: Set with the scenes; that of the run by default.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.commands.detect import detect

        place = out or Path("detections")
        return detect(given, model, place, source=scenes, case=case, threshold=threshold, device=device or "auto")

    answer(work, as_json, show_detections)


@verb()
def tables(
    description: Annotated[Path, typer.Argument(help="YAML or JSON: cameras, calibration, boxes per frame.")],
    out: Out = None,
    version: Annotated[str, typer.Option(help="Name of the folder of the tables.")] = "v1.0-own",
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Write own multi-camera data as nuScenes tables, beside the images: in the folder of the file, or in `--out`.

    Args:
        description: YAML or JSON file with cameras, calibration and boxes per frame.
        out: Folder to write to.
        version: Name of the folder of the tables.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.common.files import read_json
        from lightloom.data.nuscenes import convert_own
        from lightloom.data.nuscenes.convert import PROBLEMS

        root = convert_own(description, out or description.parent, version)
        problems = read_json(root / version / PROBLEMS)
        return {"root": str(root), "version": version, "scenes": f"nuscenes:{root}", "problems": problems}

    answer(work, as_json, show_yaml)
