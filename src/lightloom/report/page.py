"""The page: a run and its plots, told in order and put into the template."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from lightloom.report import phasemaps, plots, units
from lightloom.report.read import Run, flatten
from lightloom.report.svg import DARK, LIGHT, Plot, stage_roles

_ON = {
    "programmed": "when programmed onto",
    "calibrated": "after calibrating",
    "mapped": "after mapping onto",
}


@dataclass(frozen=True)
class Card:
    """One key figure."""

    label: str
    value: str
    note: str


def draw(run: Run) -> dict[str, Plot]:
    """Every plot that the run has the figures for, by name, in the order of the page."""
    drawn = [
        plots.accuracy_plot(run),
        *plots.learning_plots(run),
        *phasemaps.phase_plots(run),
        plots.error_plot(run),
        plots.parts_plot(run),
        plots.boundaries_plot(run),
    ]
    return {plot.name: plot for plot in drawn if plot is not None}


def render(run: Run, drawn: Mapping[str, Plot]) -> str:
    """The whole page as HTML: nothing outside it is loaded, and every text of the user is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    settings = list(flatten({key: value for key, value in run.config.items() if key != "chip" or not run.chip}))
    environment.filters |= {
        "si": units.si,
        "constant": units.constant,
        "number": units.number,
        "percent": units.percent,
        "points": units.points,
        "count": units.count,
        "duration": units.duration,
        "setting": setting,
        "svg": lambda plot: Markup(plot.inline()),  # escaped by matplotlib and by `Plot.inline`
    }
    return environment.get_template("template.html.j2").render(
        run=run,
        title=run.summary.recipe or "A run",
        story=story(run),
        cards=cards(run),
        command=command(run),
        light=LIGHT,
        dark=DARK,
        plots=drawn,
        groups={
            "curves": [plot for name, plot in drawn.items() if name.startswith(("loss-", "validation-"))],
            "phases": [plot for name, plot in drawn.items() if name.startswith("phases-")],
            "energy": [plot for name, plot in drawn.items() if name.startswith("energy-")],
        },
        stage_roles=stage_roles(run.stages),
        facts={
            f"Chip {run.chip.get('name', '')}".strip(): list(flatten(run.chip)),
            "Specimen": list(flatten(run.specimen)),
            f"Config ({len(settings)} settings)": settings,
        },
        error_stages=[stage for stage in run.stages if any(stage in layer.errors for layer in run.layers)],
    )


def story(run: Run) -> str:
    """The run in one sentence: the accuracy of each stage, in order."""
    seed = run.specimen.get("seed")
    chip = "the chip" if seed is None else f"specimen {seed}"
    told = [
        f"{units.percent(value)} {_place(stage, chip)}"
        for stage, value in run.summary.accuracy.items()
        if value is not None
    ]
    return ", ".join(told) + "." if told else ""


def _place(stage: str, chip: str) -> str:
    if stage == "electronic":
        return "electronic"
    if stage == "learned":
        return "after learning on the chip"
    return f"{_ON[stage]} {chip}" if stage in _ON else f"after stage “{stage}”"


def cards(run: Run) -> list[Card]:
    """The key figures: accuracy, chip calls, energy with its boundary, latency."""
    summary, cost = run.summary, run.cost
    widest = cost.boundaries[-1] if cost.boundaries else None
    energy = widest.energy_j if widest else summary.energy_j
    latency = widest.latency_s if widest else summary.latency_s
    inside = f"boundary: {widest.name}" if widest else "boundary not recorded"
    calls = summary.chip_calls if summary.chip_calls is not None else cost.counts.get("calls")
    learning = summary.learning.chip_calls
    found = _accuracy_card(run)
    if calls is not None:
        note = f"and {units.count(learning)} spent once, on learning" if learning else ""
        found.append(Card("Chip calls per inference", units.count(calls), note))
    if energy is not None:
        found.append(Card("Energy per inference", units.si(energy, "J"), inside))
    if latency is not None:
        found.append(Card("Latency per inference", units.si(latency, "s"), inside))
    return found


def _accuracy_card(run: Run) -> list[Card]:
    known = {stage: value for stage, value in run.summary.accuracy.items() if value is not None}
    if not known:
        return []
    last, reached = list(known.items())[-1]
    lost = known.get("electronic", 0.0) - known.get("programmed", 1.0)
    if lost <= 0 or reached <= known["programmed"]:
        return [Card("Accuracy", units.percent(reached), last)]
    regained = f"{100 * (reached - known['programmed']):.1f}{units.NO_BREAK}points"
    note = f"of the {100 * lost:.1f} lost when programmed; now {units.percent(reached)}"
    return [Card("Accuracy recovered", regained, note)]


def command(run: Run) -> str:
    """The command line that repeats the run, as far as the folder knows it."""
    if not run.summary.recipe:
        return ""
    words = ["lightloom", "run", run.summary.recipe, *run.summary.overrides]
    if run.summary.seed is not None:
        words += ["--seed", str(run.summary.seed)]
    return shlex.join(words)


def setting(value: object) -> str:
    """A value as `key=value` on the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
