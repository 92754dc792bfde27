"""What happened on the chip: phases of meshes, writes of cells, and errors of weights."""

from __future__ import annotations

from collections.abc import Iterator

from lightloom.report.pages import pcm_writes
from lightloom.report.plots import mesh_drawing, phase_maps, states, wear
from lightloom.report.readers.run import Run
from lightloom.report.section import Section, fill_file
from lightloom.report.svg import stage_roles


def phases(run: Run) -> Iterator[Section]:
    """The phases of meshes, drawn where they stand on the chip."""
    drawings = tuple(mesh_drawing.mesh_plots(run))
    if drawings:
        lead = (
            "The first block of a layer: light enters on the left, passes the mesh V, an attenuator on every "
            "waveguide, and the mesh U. A disc is a phase shifter where it stands on the chip, in the colour of its "
            "phase, and the larger the more power holds it. Its right half is what the chip makes of it. Point at one "
            "for its figures."
        )
        body = fill_file("sections/mesh.html.j2", plots=drawings)
        yield Section("Phases on the mesh", "phases", body, lead, drawings, style="drawn")
        return
    maps = tuple(phase_maps.phase_plots(run))
    if maps:
        lead = (
            "Light enters on the left. Each tile is a phase shifter where it stands on the chip: its row is a "
            "waveguide, its column a step along the light. What the chip realises differs from what it is told."
        )
        body = fill_file("sections/plots.html.j2", plots=maps, grid="three")
        yield Section("Phases on the mesh", "phases", body, lead, maps)


def writes(run: Run) -> Iterator[Section]:
    """What writing the cells of a chip takes, and how long they last."""
    if run.writes is None:
        return
    all_plots = [wear.levels_plot(run), *states.writes_plots(run), *wear.wear_plots(run)]
    plots = tuple(plot for plot in all_plots if plot is not None)
    texts = {
        "notes": pcm_writes.notes(run.writes, run.chip),
        "cards": pcm_writes.cards(run.writes),
        "storage": pcm_writes.storage(run.writes),
        "failures": list(pcm_writes.failures(run.writes, run.cost.counts.get("cells"))),
        "rows": pcm_writes.rows(run.writes),
        "reduction": pcm_writes.reduction,
        "plots": plots,
    }
    names = dict.fromkeys([*run.stages, *(case.state for case in run.writes.cases)])
    body = fill_file(
        "sections/writes.html.j2",
        writes=texts,
        first=run.writes.first,
        last=run.writes.last,
        cases=run.writes.cases,
        inferences=run.writes.inferences,
        stage_roles=stage_roles(tuple(names)),
    )
    yield Section("What writing takes", "writes", body, pcm_writes.story(run.writes), plots)


def weight_errors(run: Run) -> Iterator[Section]:
    """How far the matrix of each layer lies from the one it should be, in every state."""
    plot = states.error_plot(run)
    if plot is None:
        return
    measured = [stage for stage in run.stages if any(stage in layer.errors for layer in run.layers)]
    lead = "How far the matrix that a layer makes of light lies from the one it should be."
    if "learned" in measured:
        lead += " Learning need not bring it down: it looks for any weights that do the task."
    body = fill_file("sections/errors.html.j2", plot=plot, stages=measured, layers=run.layers)
    yield Section("Error of the weights", "errors", body, lead, (plot,))
