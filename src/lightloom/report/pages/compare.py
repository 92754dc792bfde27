"""Two runs on one page: what differs in how they were made, and in what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightloom.common.errors import RequestError
from lightloom.report import metric_text, units
from lightloom.report.html_page import environment, page
from lightloom.report.pages import compare_tables as tables
from lightloom.report.pages.compare_tables import Table
from lightloom.report.plots import compare as compare_plots
from lightloom.report.readers.run import Run
from lightloom.report.svg import Plot


@dataclass(frozen=True)
class Section:
    """One section of the page."""

    id: str
    heading: str
    lead: str
    plots: tuple[Plot, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Side:
    """One of the two runs, as the head of the page names it."""

    called: str
    folder: str
    facts: tuple[tuple[str, str], ...]


def render(one: Run, other: Run, folders: tuple[Path, Path]) -> str:
    """The whole page as HTML.

    Args:
        one: Run A.
        other: Run B.
        folders: The folders of both.

    Raises:
        RequestError: The two runs have nothing in common that could be compared.
    """
    parts = sections(one, other)
    if not _shared(parts):
        raise RequestError(
            f"`{folders[0]}` and `{folders[1]}` have no figure in common: no metric, cost, layer or training of one "
            "is in the other. Compare runs of recipes that share at least one."
        )
    sides = [_side(name, run, path) for name, run, path in zip("AB", (one, other), folders, strict=True)]
    body = environment().get_template("compare.html.j2").render(sides=sides, story=story(one, other), sections=parts)
    return page(f"{sides[0].folder} and {sides[1].folder}", body, "comparison")


def sections(one: Run, other: Run) -> list[Section]:
    """The sections that there is something to show in, in order.

    Args:
        one: Run A.
        other: Run B.
    """
    plots = [
        Section(
            "h-settings",
            "What differs in the settings",
            "Fields of config, chip and specimen that are the same in both are left out.",
            (),
            (tables.settings(one, other), tables.own_settings(one, other)),
        ),
        Section(
            "h-metric",
            metric_text.heading(one.metric),
            "On the test data of each run, after each stage or for each case.",
            _drawn(compare_plots.metric_bars(one, other)),
            (tables.metric(one, other),),
        ),
        Section(
            "h-curves",
            "Learning curves",
            "Stages that both runs trained.",
            tuple(compare_plots.curves(one, other)),
            (),
        ),
        Section(
            "h-cost",
            "Cost of one inference",
            "An energy means nothing without its boundary: only like is set beside like.",
            _drawn(compare_plots.energy_bars(one, other)),
            tuple(table(one, other) for table in (tables.energies, tables.latencies, tables.parts, tables.totals)),
        ),
        Section(
            "h-layers",
            "Layers",
            "Layers are matched by name.",
            (),
            tuple(table(one, other) for table in (tables.layer_energies, tables.layer_errors, tables.places)),
        ),
        Section("h-versions", "Versions and hardware", "", (), (tables.versions(one, other),)),
    ]
    filled = (
        Section(each.id, each.heading, each.lead, each.plots, tuple(table for table in each.tables if table.rows))
        for each in plots
    )
    return [section for section in filled if section.plots or section.tables]


def story(one: Run, other: Run) -> str:
    """The comparison in a sentence or two.

    Args:
        one: Run A.
        other: Run B.
    """
    sentences = []
    metric, (left, right) = one.metric, tables.metric_values(one, other)
    if shared := [name for name in left if name in right]:
        last = shared[-1]
        change = f"{metric_text.difference(right[last] - left[last], metric)} {metric_text.difference_unit(metric)}"
        values = (metric_text.value(run[last], metric) for run in (left, right))
        sentences.append(
            f"{metric_text.heading(metric)} ({last}): {next(values)} in A, {next(values)} in B ({change.strip()})."
        )
    cost, beside = tables.by_boundary(one), tables.by_boundary(other)
    if both := [name for name in cost if name in beside]:
        widest = both[-1]
        ratio = tables.ratio(cost[widest], beside[widest]).text
        energies = f"{units.si(cost[widest], 'J')} in A, {units.si(beside[widest], 'J')} in B ({ratio})"
        sentences.append(f"Energy per inference, {widest}: {energies}.")
    return " ".join(sentences)


def _shared(parts: list[Section]) -> bool:
    """Whether a figure of one run stands beside one of the other; settings and versions alone are no result."""
    results = (section for section in parts if section.id not in ("h-settings", "h-versions"))
    return any(
        section.plots
        or any(units.ABSENT not in (row.one.text, row.other.text) for table in section.tables for row in table.rows)
        for section in results
    )


def _drawn(plot: Plot | None) -> tuple[Plot, ...]:
    return (plot,) if plot is not None else ()


def _side(title: str, run: Run, folder: Path) -> Side:
    facts = {
        "recipe": run.summary.recipe,
        "seed": "" if run.summary.seed is None else str(run.summary.seed),
        "chip": str(run.chip.get("name", "")),
        "changed": " ".join(run.summary.overrides),
        "date": str(run.versions.get("date", "")),
    }
    return Side(title, folder.resolve().name, tuple((name, value) for name, value in facts.items() if value))
