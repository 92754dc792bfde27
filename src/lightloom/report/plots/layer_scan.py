"""Which layers the chip hurts: a scan of them, one at a time, as a plot and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightloom.report import units
from lightloom.report.pages.key_figures import Card
from lightloom.report.plots.explore import BROAD
from lightloom.report.svg import COLOURS, Plot, mark, shown, sketch
from lightloom.schemas import LayerDrop, PlacedNetwork, Sensitivity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LAYERS = 32


def lost(value: float | None, scan: Sensitivity) -> str:
    """What is lost, in points of accuracy or as the score has it.

    Args:
        value: The drop; None gives a dash.
        scan: The scan, which says what the score is.
    """
    return units.points(value) if scan.of_accuracy else units.number(value)


def spread(value: float | None, scan: Sensitivity) -> str:
    """A standard deviation of what is lost.

    Args:
        value: The standard deviation; None gives a dash.
        scan: The scan, which says what the score is.
    """
    return lost(value, scan).removeprefix("+")


def reached(value: float | None, scan: Sensitivity) -> str:
    """An accuracy in percent, or a score as it is.

    Args:
        value: The score; None gives a dash.
        scan: The scan, which says what the score is.
    """
    return units.percent(value) if scan.of_accuracy else units.number(value)


def heading(scan: Sensitivity) -> str:
    """What is lost, with its unit."""
    return "Lost / points" if scan.of_accuracy else f"Lost {scan.measure}"


def story(scan: Sensitivity) -> str:
    """What the scan says, in words."""
    sentences = ["Each layer alone on the chip, all others electronic."]
    if scan.whole.score is not None:
        sentences.append(f"With every layer on it, {_level(scan.whole, scan)}.")
    if scan.proposal:
        dear = [row.share for row in scan.rows if row.name in scan.proposal and row.share is not None]
        share = f", {units.percent(sum(dear))} of the multiply-accumulates" if dear else ""
        sentences.append(f"Better left electronic: {listed(scan.proposal)}{share}.")
        if scan.proposed.score is not None:
            sentences.append(f"Without them on the chip, {_level(scan.proposed, scan)}.")
    elif scan.rows:
        sentences.append("No layer need stay electronic.")
    return " ".join(sentences)


def cards(scan: Sensitivity) -> list[Card]:
    """The key figures of a scan that stands alone."""
    figures = (
        ("Electronic", scan.electronic, scan.network),
        ("Every layer on the chip", scan.whole.score, scan.chip),
        ("As proposed", scan.proposed.score, _kept(len(scan.proposal))),
    )
    return [Card(name, reached(value, scan), note) for name, value, note in figures if value is not None]


def sensitivity_plot(scan: Sensitivity) -> Plot | None:
    """Bars of what each layer alone costs; those that should stay electronic in another colour, and named so."""
    rows = [row for row in scan.rows if row.drop is not None]
    worst = set(sorted(range(len(rows)), key=lambda index: -(rows[index].drop or 0.0))[:MOST_LAYERS])
    rows = [row for index, row in enumerate(rows) if index in worst]
    if not rows:
        return None
    from matplotlib.ticker import MaxNLocator

    ends = [(row.drop or 0.0) + side * (row.std or 0.0) for row in rows for side in (-1, 1)]
    low, high = min(*ends, 0.0), max(*ends, 0.0)
    room = (high - low) or 0.01
    with sketch(0.9 + 0.3 * len(rows), BROAD) as canvas:
        axes = canvas.axes
        for place, row in enumerate(rows):
            _bar(axes, place, row, scan)
        axes.axvline(0, color=COLOURS["muted"], linewidth=1)
        axes.set_xlim(low - 0.14 * room, high + 0.3 * room)
        axes.set_yticks(range(len(rows)), [shown(row.name, 30) for row in rows], color=COLOURS["ink"])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(lambda value, _: _tick(value, scan))
        axes.grid(visible=False, axis="y")
        axes.tick_params(length=0)
        unit = " / points" if scan.of_accuracy else ""
        axes.set_xlabel(f"{shown(scan.measure)} lost with this layer alone on the chip{unit}")
    words = "; ".join(f"{row.name} {lost(row.drop, scan)}" for row in rows)
    some = f"The {len(rows)} layers that lose most. " if len(rows) < len(scan.rows) else ""
    caption = f"{some}Thin lines are one standard deviation over specimens."
    return canvas.plot("sensitivity", "Layer by layer", caption, f"Bars of {scan.measure} lost by layer: {words}.")


def listed(names: list[str]) -> str:
    """Names as a sentence has them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _level(level: PlacedNetwork, scan: Sensitivity) -> str:
    drop = "" if level.drop is None else f" ({lost(-level.drop, scan)}{' points' if scan.of_accuracy else ''})"
    return f"it reaches {reached(level.score, scan)}{drop}"


def _kept(number: int) -> str:
    return f"{number} layer{'' if number == 1 else 's'} left electronic"


def _tick(value: float, scan: Sensitivity) -> str:
    """What is lost, with as many digits as ticks close together need."""
    if not scan.of_accuracy:
        return units.number(value)
    return f"{100 * value:+.4g}".replace("-", "\N{MINUS SIGN}") if abs(value) > 1e-12 else "0"


def _bar(axes: Axes, place: int, row: LayerDrop, scan: Sensitivity) -> None:
    drop, proposed = row.drop or 0.0, row.name in scan.proposal
    (bar,) = axes.barh([place], [drop], 0.62, color=COLOURS["programmed" if proposed else "accent-soft"])
    unit = " points" if scan.of_accuracy else ""
    lines = [row.name, f"{lost(drop, scan)}{f' ± {spread(row.std, scan)}' if row.std is not None else ''}{unit} lost"]
    if row.share is not None:
        lines.append(f"{units.percent(row.share)} of the multiply-accumulates")
    if row.energy_share is not None:
        lines.append(f"{units.percent(row.energy_share)} of the energy on the chip")
    mark(bar, "\n".join([*lines, *(["better left electronic"] if proposed else [])]))
    if proposed:
        text: dict[str, Any] = {"textcoords": "offset points", "va": "center", "size": 8.5}
        end = max(drop, 0.0) + (row.std or 0.0)
        axes.annotate("stay electronic", (end, place), (6, 0), color=COLOURS["programmed"], **text)
    if row.std:
        axes.hlines(place, drop - row.std, drop + row.std, color=COLOURS["ink"], linewidth=1.2)
