"""What the run is made of: its layers, and how it is repeated."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from lightloom.report.readers.run import Run, flatten
from lightloom.report.section import Section, fill_file


def layers(run: Run) -> Iterator[Section]:
    """What runs on a chip, what stays electronic, and why."""
    if not run.layers:
        return
    lead = (
        "What runs on the chip, what stays electronic, and why. The weight error is what is left of a weight after it "
        "is cut into blocks and represented by perfect devices: of turning it into phases, or of rounding it to levels."
    )
    body = fill_file("sections/layers.html.j2", layers=run.layers, devices=run.devices)
    yield Section("Layers", "layers", body, lead)


def run_again(run: Run) -> Iterator[Section]:
    """The command that repeats the run, and every setting of it."""
    repeat = command(run)
    if not (run.chip or run.specimen or run.config or repeat):
        return
    settings = list(flatten({key: value for key, value in run.config.items() if key != "chip" or not run.chip}))
    body = fill_file(
        "sections/again.html.j2",
        command=repeat,
        unchanged=bool(run.config) and not run.summary.overrides,
        seconds=run.summary.seconds,
        facts={
            f"Chip {run.chip.get('name', '')}".strip(): list(flatten(run.chip)),
            "Specimen": list(flatten(run.specimen)),
            f"Config ({len(settings)} settings)": settings,
        },
    )
    yield Section("Run it again", "again", body)


def command(run: Run) -> str:
    """The command line that repeats the run, as far as the folder knows it."""
    if not run.summary.recipe:
        return ""
    words = ["lightloom", "run", run.summary.recipe, *run.summary.overrides]
    if run.summary.seed is not None:
        words += ["--seed", str(run.summary.seed)]
    return shlex.join(words)
