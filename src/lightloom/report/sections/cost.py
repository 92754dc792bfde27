"""What one inference takes: energy, time and area, and the light from laser to detector."""

from __future__ import annotations

from collections.abc import Iterator

from lightloom.report.pages.layer_costs import bill
from lightloom.report.plots import costs as hybrid_plots
from lightloom.report.plots import layer_costs, states
from lightloom.report.readers.run import Run
from lightloom.report.section import Section, fill_file


def cost(run: Run) -> Iterator[Section]:
    """The cost of one inference by boundary, part and layer, and the link budget of each chip."""
    if not (run.cost.boundaries or run.cost.parts or run.cost.layers):
        return
    all_plots = [states.parts_plot(run), states.boundaries_plot(run), *layer_costs.bill_plots(run.cost)]
    plots = [plot for plot in all_plots if plot is not None]
    link = [plot for plot in plots if plot.name.startswith("link-")]
    plots = [plot for plot in plots if plot not in link]
    tables = bill(run.cost)
    devices = list(dict.fromkeys(kind for layer in run.cost.layers for kind in layer.counts))
    body = fill_file("sections/cost.html.j2", cost=run.cost, bill=tables, plots=plots, devices=devices)
    lead = "An energy means nothing without its boundary, so each is given with what it counts."
    yield Section("Cost of one inference", "cost", body, lead, tuple(plots), style="drawn")
    if tables.walks:
        lead = "The longest path through a core, step by step: every loss is light that the laser must have sent."
        body = fill_file("sections/link.html.j2", bill=tables, plots=link)
        yield Section("From laser to detector", "link", body, lead, tuple(link), style="drawn")


def hybrid_cost(run: Run) -> Iterator[Section]:
    """The cost of networks with optical stages in two accounts."""
    costs = hybrid_plots.costs(run)
    if costs is None:
        return
    plots = tuple(hybrid_plots.cost_plots(run))
    lead = (
        "Publications count the electronic stages that remain, and light as nothing. The whole also counts what makes "
        "the light, shapes it and reads it, and the electronics after it."
    )
    body = fill_file("sections/hybrid_cost.html.j2", costs=costs, plots=plots, constants=run.hybrid.constants)
    yield Section("Cost of one image, in two accounts", "hybrid", body, lead, plots)
