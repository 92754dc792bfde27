"""The page: a run and its plots, told in order and put into the template."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from lightloom.report import units
from lightloom.report.html_page import environment, page
from lightloom.report.pages import pcm_writes, sweep_text
from lightloom.report.pages.hybrid_section import Hybrids
from lightloom.report.pages.key_figures import cards
from lightloom.report.pages.layer_costs import bill
from lightloom.report.pictures.multi_camera import Surround
from lightloom.report.plots import (
    absorber,
    angles,
    costs,
    layer_costs,
    mesh_drawing,
    phase_maps,
    precision_recall,
    states,
    sweep,
    wear,
)
from lightloom.report.readers.run import Run, flatten
from lightloom.report.svg import Plot, stage_roles

_ON = {
    "programmed": "when programmed onto",
    "calibrated": "after calibrating",
    "mapped": "after mapping onto",
}


def draw(run: Run) -> dict[str, Plot]:
    """Every plot that the run has the figures for, by name, in the order of the page."""
    drawn = [
        states.accuracy_plot(run),
        *sweep.sweep_plots(run),
        *precision_recall.precision_plots(run),
        *precision_recall.precision3d_plots(run),
        *costs.cost_plots(run),
        *states.learning_plots(run),
        *absorber.absorber_plots(run),
        *angles.angle_plots(run),
        *(mesh_drawing.mesh_plots(run) or phase_maps.phase_plots(run)),
        wear.levels_plot(run),
        *states.writes_plots(run),
        *wear.wear_plots(run),
        states.error_plot(run),
        states.parts_plot(run),
        states.boundaries_plot(run),
        *layer_costs.bill_plots(run.cost),
    ]
    return {plot.name: plot for plot in drawn if plot is not None}


def render(run: Run, drawn: Mapping[str, Plot], hybrid: Hybrids | None, around: Surround | None) -> str:
    """The whole page as HTML: nothing outside it is loaded, and every text of the user is escaped."""
    settings = list(flatten({key: value for key, value in run.config.items() if key != "chip" or not run.chip}))
    title = run.summary.recipe or "A run"
    body = (
        environment()
        .get_template("run.html.j2")
        .render(
            run=run,
            title=title,
            story=story(run),
            cards=[*(sweep_text.cards(run.sweep) if run.sweep else []), *cards(run)],
            command=command(run),
            bill=bill(run.cost),
            plots=drawn,
            hybrid=hybrid,
            around=around,
            groups={
                "curves": [plot for name, plot in drawn.items() if name.startswith(("loss-", "validation-"))],
                "absorber": [plot for name, plot in drawn.items() if name.startswith(("response-", "gradients-"))],
                "angles": [plot for name, plot in drawn.items() if name.startswith("angle")],
                "phases": [plot for name, plot in drawn.items() if name.startswith("phases-")],
                "meshes": [plot for name, plot in drawn.items() if name.startswith("mesh-")],
                "precision": [plot for name, plot in drawn.items() if name.startswith("precision-")],
                "precision3d": [plot for name, plot in drawn.items() if name.startswith("precision3d-")],
                "costs": [plot for name, plot in drawn.items() if name.startswith("cost-")],
                "energy": [plot for name, plot in drawn.items() if name.startswith("energy-")],
                "bill": [plot for name, plot in drawn.items() if name.startswith("bill-")],
                "link": [plot for name, plot in drawn.items() if name.startswith("link-")],
            },
            compared=sweep_text.facts(run),
            angles=sweep_text.angle_facts(run),
            writes=_writes(run, drawn),
            stage_roles=stage_roles(_states(run)),
            facts={
                f"Chip {run.chip.get('name', '')}".strip(): list(flatten(run.chip)),
                "Specimen": list(flatten(run.specimen)),
                f"Config ({len(settings)} settings)": settings,
            },
            error_stages=[stage for stage in run.stages if any(stage in layer.errors for layer in run.layers)],
        )
    )
    return page(title, body)


def story(run: Run) -> str:
    """The run in one sentence: the accuracy of each stage in order, or the best case of a comparison."""
    if run.compares:
        return sweep_text.story(run.sweep) if run.sweep else ""
    seed = run.specimen.get("seed")
    chip = "the chip" if seed is None else f"specimen {seed}"
    told: list[str] = []
    before = None
    for stage, value in run.summary.accuracy.items():
        if value is None:
            continue
        unchanged = stage == "reordered" and value == before
        told.append("unchanged by reordering" if unchanged else f"{units.percent(value)} {_place(stage, chip, run)}")
        before = value
    return ", ".join(told) + "." if told else ""


def _place(stage: str, chip: str, run: Run) -> str:
    if stage == "electronic":
        return "electronic"
    if stage == "learned":
        return "after training through the levels of the chip" if run.on_pcm else "after learning on the chip"
    if stage == "reordered":
        return "after reordering the writes"
    return f"{_ON[stage]} {chip}" if stage in _ON else f"after stage “{stage}”"


def _states(run: Run) -> tuple[str, ...]:
    """Every state of the network that the page shows in a colour."""
    written = [case.state for case in run.writes.cases] if run.writes else []
    return tuple(dict.fromkeys([*run.stages, *written]))


def _writes(run: Run, drawn: Mapping[str, Plot]) -> dict[str, Any] | None:
    """What the section on writes tells, None where nothing was counted."""
    if run.writes is None:
        return None
    return {
        "story": pcm_writes.story(run.writes),
        "notes": pcm_writes.notes(run.writes, run.chip),
        "cards": pcm_writes.cards(run.writes),
        "storage": pcm_writes.storage(run.writes),
        "failures": list(pcm_writes.failures(run.writes, run.cost.counts.get("cells"))),
        "rows": pcm_writes.rows(run.writes),
        "reduction": pcm_writes.reduction,
        "plots": [plot for name, plot in drawn.items() if name.startswith(("writes", "wear"))],
    }


def command(run: Run) -> str:
    """The command line that repeats the run, as far as the folder knows it."""
    if not run.summary.recipe:
        return ""
    words = ["lightloom", "run", run.summary.recipe, *run.summary.overrides]
    if run.summary.seed is not None:
        words += ["--seed", str(run.summary.seed)]
    return shlex.join(words)
