"""How the network was trained: its curves, and what light makes of gradients."""

from __future__ import annotations

from collections.abc import Iterator

from lightloom.report.pages import sweep_text
from lightloom.report.plots import absorber as absorber_plots
from lightloom.report.plots import angles as angle_plots
from lightloom.report.plots import states as state_plots
from lightloom.report.readers.run import Run
from lightloom.report.section import Section, fill_file


def learning_curves(run: Run) -> Iterator[Section]:
    """Loss and primary metric over epochs, of each stage that trains."""
    plots = tuple(state_plots.learning_plots(run))
    if not plots:
        return
    lead = "Training happens in electronics with every weight free."
    if "learned" in run.values:
        lead += " Then it goes on on the chip, where only that moves which its devices can set."
        if any(epoch.validation_writes is not None for epoch in run.epochs):
            lead += " The loss may also count what writing them takes."
    yield Section(
        "Learning curves", "curves", fill_file("sections/plots.html.j2", plots=plots, grid="two"), lead, plots
    )


def absorber(run: Run) -> Iterator[Section]:
    """The response of each absorber, and the gradients that light measures in it."""
    plots = tuple(absorber_plots.absorber_plots(run))
    if not plots:
        return
    lead = (
        "The absorber is what makes the network more than one matrix. Light that runs back through it measures "
        "gradients, though not quite the exact ones."
    )
    body = fill_file("sections/plots.html.j2", plots=plots, grid="two")
    yield Section("What the absorber does", "absorber", body, lead, plots)


def gradient_angles(run: Run) -> Iterator[Section]:
    """The angle between the gradients of light and the exact ones."""
    facts = sweep_text.angle_facts(run)
    if facts is None:
        return
    plots = tuple(angle_plots.angle_plots(run))
    lead = (
        "The angle between the gradient that light measures and the exact one, over the weights of each layer. Below "
        "90° a small step still brings the loss down."
    )
    body = fill_file("sections/angles.html.j2", angles=facts, plots=plots)
    yield Section("Gradients of light against exact ones", "angles", body, lead, plots)
