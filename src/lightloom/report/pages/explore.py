"""The page of an exploration: which designs are worth building, told from its folder alone."""

from __future__ import annotations

from pathlib import Path

from lightloom.report import units
from lightloom.report.pages.key_figures import Card
from lightloom.report.plots import explore as explore_plots
from lightloom.report.plots import layer_scan, pareto
from lightloom.report.readers.exploration import read_exploration, read_sensitivity
from lightloom.report.svg import Plot
from lightloom.schemas import DesignRow, Exploration, Sensitivity

ENOUGH = 0.9
"""Share of specimens that must be good in a design that is called worth building."""
_OBJECTIVES = {
    "accuracy": "accuracy",
    "low": "5th percentile",
    "yield": "yield",
    "std": "spread",
    "energy_j": "energy",
    "latency_s": "latency",
    "throughput_per_s": "throughput",
    "area_m2": "area",
}


def write_explore_report(folder: Path) -> Path:
    """Write `report.html`, and its plots into `plots`, into the folder of an exploration.

    Args:
        folder: Holds `explore.json`, or `sensitivity.json` where layers were scanned, or both. Nothing outside it is
            read.

    Returns:
        The path of the page.

    Raises:
        RequestError: The folder holds no exploration, or one of its files is unreadable.
        WorkError: The disk refuses the page.
    """
    from lightloom.common.files import make_folder, write_text

    exploration, scan = read_exploration(folder), read_sensitivity(folder)
    plots = draw(exploration, scan)
    html = render(exploration, scan, plots)
    if plots:
        make_folder(folder / "plots")
    for plot in plots.values():
        write_text(folder / "plots" / f"{plot.name}.svg", plot.standalone())
    write_text(folder / "report.html", html)
    return folder / "report.html"


def draw(exploration: Exploration, scan: Sensitivity) -> dict[str, Plot]:
    """Every plot that there are figures for, by name, in the order of the page.

    Args:
        exploration: The exploration.
        scan: The scan of layers.
    """
    plots = [
        *pareto.trade_plots(exploration),
        explore_plots.spread_plot(exploration),
        *explore_plots.effect_plots(exploration),
        layer_scan.sensitivity_plot(scan),
    ]
    return {plot.name: plot for plot in plots if plot is not None}


def render(exploration: Exploration, scan: Sensitivity, drawn: dict[str, Plot]) -> str:
    """The whole page as HTML: nothing outside it is loaded, and every text of the user is escaped.

    Args:
        exploration: The exploration.
        scan: The scan of layers.
        drawn: Every plot by name.
    """
    from lightloom.report.html_page import environment, page

    title = exploration.source or scan.source or exploration.network or "An exploration"
    alone = not exploration.points and bool(scan.rows)
    varied = [axis for axis in exploration.axes if len(explore_plots.values_of(axis, exploration.points)) > 1]
    body = (
        environment()
        .get_template("explore.html.j2")
        .render(
            exploration=exploration,
            scan=scan,
            title=title,
            story=layer_scan.story(scan) if alone else story(exploration),
            cards=layer_scan.cards(scan) if alone else cards(exploration),
            objectives=layer_scan.listed(
                [_OBJECTIVES.get(name, name) for name in exploration.objectives] or ["every objective"]
            ),
            trades=[plot for name, plot in drawn.items() if name.startswith("trade-")],
            spread=drawn.get("specimens"),
            effects=[plot for name, plot in drawn.items() if name.startswith("effect-")],
            sensitivity=drawn.get("sensitivity"),
            layers=layer_scan,
            alone=alone,
            points=pareto.ranked(exploration),
            numbers=pareto.numbers(exploration),
            numbered=0 < len(exploration.front) <= pareto.MOST_NUMBERED,
            technologies=len({point.technology for point in exploration.points}) > 1,
            axes=varied,
            spread_of=spread_of,
            notes=list(dict.fromkeys([*exploration.notes, *exploration.assumptions, *scan.assumptions])),
        )
    )
    return page(title, body)


def most_accurate(exploration: Exploration) -> DesignRow | None:
    """The design with the greatest mean accuracy; of equal ones that with the least energy."""
    points = [point for point in exploration.points if point.accuracy is not None]
    return max(points, key=lambda point: (point.accuracy or 0.0, -(point.energy_j or float("inf"))), default=None)


def frugal(exploration: Exploration) -> DesignRow | None:
    """The design with the least energy of those whose specimens are good in `ENOUGH` of all cases."""
    points = [point for point in exploration.points if (point.good or 0.0) >= ENOUGH and point.energy_j is not None]
    return min(points, key=lambda point: (point.energy_j or 0.0, -(point.accuracy or 0.0)), default=None)


def story(exploration: Exploration) -> str:
    """What was looked at, which design is best, which is the least that works, and what the front is."""
    if not exploration.points:
        return "No design could be measured." if exploration.failed else ""
    each = f", {exploration.specimens} specimens each" if exploration.specimens else ""
    of = f" of {exploration.network}" if exploration.network else ""
    sentences = [f"{_counted(len(exploration.points), 'design')}{of}{each}."]
    best, least = most_accurate(exploration), frugal(exploration)
    if best is not None and best.accuracy is not None:
        beside = (
            f"; electronics reaches {units.percent(exploration.electronic)}"
            if exploration.electronic is not None
            else ""
        )
        sentences.append(f"The most accurate, {best.name}, reaches {spread_of(best)}{_at(best)}{beside}.")
    if least is not None and least is not best:
        sentences.append(f"{least.name} takes the least energy{_at(least)} of those that {_works(exploration)}.")
    elif least is None and exploration.threshold is not None:
        sentences.append(f"None has nine of ten specimens reach {units.percent(exploration.threshold)}.")
    if front := exploration.front:
        what = "is" if len(front) == 1 else "are"
        sentences.append(
            f"{_counted(len(front), 'design')} {what} on the front, beaten by no other in everything that counts."
        )
    return " ".join(sentences)


def cards(exploration: Exploration) -> list[Card]:
    """The key figures: best accuracy, least energy that works, best yield, size of the front."""
    items: list[Card] = []
    best, least = most_accurate(exploration), frugal(exploration)
    if best is not None:
        items.append(Card("Best accuracy", units.percent(best.accuracy), best.name))
    if least is not None:
        note = f"{least.name}; yield {units.percent(least.good)}"
        items.append(Card("Least energy that works", units.si(least.energy_j, "J"), note))
    goods = [point for point in exploration.points if point.good is not None]
    if goods and exploration.threshold is not None:
        top = max(goods, key=lambda point: point.good or 0.0)
        items.append(
            Card("Best yield", units.percent(top.good), f"specimens from {units.percent(exploration.threshold)} on")
        )
    if exploration.points:
        items.append(
            Card("On the front", str(len(exploration.front)), f"of {_counted(len(exploration.points), 'design')}")
        )
    return items


def spread_of(point: DesignRow) -> str:
    """Mean accuracy of a design and its standard deviation over specimens."""
    return units.ABSENT if point.accuracy is None else units.plus_minus(point.accuracy, point.std)


def _at(point: DesignRow) -> str:
    return f" at {units.si(point.energy_j, 'J')}" if point.energy_j is not None else ""


def _works(exploration: Exploration) -> str:
    return f"have nine of ten specimens reach {units.percent(exploration.threshold)}"


def _counted(number: int, what: str) -> str:
    return f"{units.count(number)} {what}{'' if number == 1 else 's'}"
