"""The plots of any run: its primary metric by state, learning curves, errors of weights, energy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lightloom.report import metric_text
from lightloom.report.readers.run import Run
from lightloom.report.svg import COLOURS, Plot, mark, mark_points, shown, sketch, stage_roles
from lightloom.report.units import capital, number, rounded, si
from lightloom.schemas import EpochRow, LayerRow, Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LAYERS = 16  # more bars than that are unreadable; the table beside the plot has every layer


@dataclass(frozen=True)
class Quantity:
    """What goes along an axis: its name, the label of the axis, and how a value is written."""

    name: str
    label: str
    text: Callable[[float | None], str]
    percent: bool = False
    ticks: Callable[[float | None], str] | None = None


def metric_plot(run: Run) -> Plot | None:
    """Bars of the primary metric by state of the network, with the level of a blind guess where it is known."""
    values = {state: value for state, value in run.values.items() if value is not None}
    if not values or run.compares:
        return None

    roles, metric = stage_roles(run.stages), run.metric
    with sketch(1.25 + 0.4 * len(values)) as canvas:
        axes = canvas.axes
        texts = [metric_text.value(value, metric) for value in values.values()]
        bars(axes, values, texts, [COLOURS[roles[state]] for state in values])
        _metric_axis(axes, metric, [*values.values(), *([] if run.chance is None else [run.chance])])
        if run.chance is not None:
            axes.axvline(run.chance, color=COLOURS["muted"], linewidth=1.2, linestyle=(0, (4, 3)))
            axes.text(
                run.chance,
                1.0,
                " chance",
                transform=axes.get_xaxis_transform(),
                va="bottom",
                ha="center",
                color=COLOURS["muted"],
            )
    summary = ", ".join(f"{state} {text}" for state, text in zip(values, texts, strict=True))
    chance = f"The dashed line is a blind guess: {metric_text.value(run.chance, metric)}."
    caption = chance if run.chance is not None else ""
    label = f"Bars of {metric.words} by stage: {summary}. {caption}".strip()
    return canvas.plot("states", f"{metric_text.heading(metric)} after each stage", caption, label)


def _metric_axis(axes: Axes, metric: Metric, values: Sequence[float]) -> None:
    """All of a percentage, or from 0 to a little beyond the greatest value, with room for the texts."""
    axes.set(xlabel=metric_text.axis_label(metric))
    if metric.percent:
        axes.set_xlim(0, 1.17)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    else:
        axes.set_xlim(min(0.0, 1.25 * min(values)), 1.25 * max(0.0, *values) or 1.0)


def learning_plots(run: Run) -> list[Plot]:
    """Loss and primary metric over epochs, for each stage that trains for two epochs or more."""
    plots = []
    metric = run.metric
    loss = Quantity("loss", "loss", number)
    validation = Quantity(
        f"validation {metric.words}",
        metric_text.axis_label(metric, "validation"),
        lambda value: metric_text.value(value, metric),
        percent=metric.percent,
    )
    for index, (stage, epochs) in enumerate(_trainings(run).items()):
        losses = {
            "training": [epoch.loss for epoch in epochs],
            "validation": [epoch.validation_loss for epoch in epochs],
        }
        values = {"validation": [epoch.primary(metric.name) for epoch in epochs]}
        plots += [
            _curves(f"loss-{index}", stage, loss, epochs, losses),
            _curves(f"validation-{index}", stage, validation, epochs, values),
        ]
    return [plot for plot in plots if plot is not None]


def writes_plots(run: Run) -> list[Plot]:
    """Levels that one inference writes over epochs, for each stage that trains them for two epochs or more."""
    levels = Quantity("levels written", "levels written", rounded, ticks=rounded)
    plots = [
        _curves(
            f"writes-{index}", stage, levels, epochs, {"one inference": [epoch.validation_writes for epoch in epochs]}
        )
        for index, (stage, epochs) in enumerate(_trainings(run).items())
    ]
    caption = "Per inference, in the order that the training follows."
    return [replace(plot, caption=caption) for plot in plots if plot is not None]


def _trainings(run: Run) -> dict[str, list[EpochRow]]:
    """The epochs of each stage that trains; those of a comparison are no stages."""
    if run.compares:
        return {}
    stages = dict.fromkeys(epoch.stage for epoch in run.epochs)
    return {stage: [epoch for epoch in run.epochs if epoch.stage == stage] for stage in stages}


def error_plot(run: Run) -> Plot | None:
    """Relative weight error of each layer after each stage, on a logarithmic scale."""
    measured = [layer for layer in run.layers if any(layer.errors.values())]
    layers = measured[:MOST_LAYERS]
    if not layers:
        return None

    stages = [stage for stage in run.stages if any(layer.errors.get(stage) for layer in layers)]
    roles = stage_roles(run.stages)
    with sketch(1.35 + len(layers) * (0.2 + 0.17 * len(stages))) as canvas:
        axes = canvas.axes
        _grouped(axes, layers, {stage: COLOURS[roles[stage]] for stage in stages})
        canvas.figure.legend(loc="outside upper left", ncols=3, handlelength=1, columnspacing=1.2, borderpad=0)
    words = "; ".join(
        f"{layer.name}: " + ", ".join(f"{stage} {number(value)}" for stage, value in layer.errors.items())
        for layer in layers
    )
    note = f" The first {len(layers)} layers on the chip." if layers != measured else ""
    caption = f"‖realised − target‖² / ‖target‖², on a logarithmic scale.{note}"
    label = f"Bars of relative weight error by layer and stage: {words}."
    return canvas.plot("errors", "Relative error of each layer", caption, label)


def parts_plot(run: Run) -> Plot | None:
    """Energy of one inference by what spends it."""
    return _energies(
        "energy-parts",
        run.cost.parts,
        COLOURS["accent-soft"],
        "Energy by part",
        "Bars of energy per inference by part",
    )


def boundaries_plot(run: Run) -> Plot | None:
    """Energy of one inference by what is counted."""
    return _energies(
        "energy-boundaries",
        {boundary.name: boundary.energy_j for boundary in run.cost.boundaries},
        COLOURS["accent"],
        "Energy by boundary",
        "Bars of energy per inference by boundary",
    )


def _energies(name: str, energies: Mapping[str, float | None], colour: str, title: str, label: str) -> Plot | None:
    by_part = {part: energy for part, energy in energies.items() if energy is not None}
    if not by_part:
        return None

    texts = [si(energy, "J") for energy in by_part.values()]
    with sketch(0.5 + 0.4 * len(by_part)) as canvas:
        axes = canvas.axes
        bars(axes, by_part, texts, [colour] * len(by_part))
        axes.set_xlim(0, (max(by_part.values()) or 1.0) * 1.35)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
    words = ", ".join(f"{part} {text}" for part, text in zip(by_part, texts, strict=True))
    return canvas.plot(name, title, "", f"{label}: {words}.")


def bars(axes: Axes, values: Mapping[str, float], texts: Sequence[str], colours: Sequence[str]) -> None:
    """Horizontal bars, first on top, each with its value at its end.

    Args:
        axes: The axes.
        values: Length of each bar by name.
        texts: What stands at the end of each bar.
        colours: The colour of each bar.
    """
    container = axes.barh(range(len(values)), list(values.values()), height=0.62, color=colours)
    for bar, name, text in zip(container, values, texts, strict=True):
        mark(bar, f"{name}: {text}")
    for row, (value, text) in enumerate(zip(values.values(), texts, strict=True)):
        axes.annotate(text, (value, row), (5, 0), textcoords="offset points", va="center", weight="bold")
    _name_rows(axes, list(values))


def _grouped(axes: Axes, layers: Sequence[LayerRow], colours: Mapping[str, str]) -> None:
    """One group of bars a layer, one bar a stage; the axis starts at a decade well below the least error."""
    from matplotlib.ticker import LogLocator, NullFormatter

    height = 0.8 / len(colours)
    present = [value for layer in layers for value in layer.errors.values() if value]
    floor, most = 10.0 ** math.floor(math.log10(min(present) / 2)), max(present)
    axes.set_xscale("log")
    for index, (stage, colour) in enumerate(colours.items()):
        rows = [row for row, layer in enumerate(layers) if layer.errors.get(stage)]
        values = [layers[row].errors[stage] or floor for row in rows]
        places = [row + (index + 0.5) * height - 0.4 for row in rows]
        widths = [value - floor for value in values]
        container = axes.barh(places, widths, height * 0.86, left=floor, color=colour, label=shown(stage))
        for bar, row, place, value in zip(container, rows, places, values, strict=True):
            text = number(value, 2)
            mark(bar, f"{layers[row].name}\n{stage}: {number(value)}")
            axes.annotate(text, (value, place), (4, 0), textcoords="offset points", va="center", size=8.5)
    within_decades = (1.0,) if most > 10 * floor else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=within_decades, numticks=5))
    axes.xaxis.set_major_formatter(lambda value, _: number(value, 1))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(floor, most * (most / floor) ** 0.28)
    _name_rows(axes, [layer.name for layer in layers])


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [shown(name, 30) for name in names], color=COLOURS["ink"])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(length=0, which="both")
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_color(COLOURS["muted"])


def _curves(
    name: str,
    stage: str,
    quantity: Quantity,
    epochs: Sequence[EpochRow],
    series: Mapping[str, Sequence[float | None]],
) -> Plot | None:
    """Lines over epochs, named by a legend where there are two; a missing value leaves a gap, one epoch is no line."""
    lines_by_title = {title: values for title, values in series.items() if any(value is not None for value in values)}
    if not lines_by_title or len(epochs) < 2:
        return None
    from matplotlib.ticker import MaxNLocator

    steps = [epoch.epoch for epoch in epochs]
    with sketch(2.7) as canvas:
        axes = canvas.axes
        styles = ((COLOURS["accent"], "-"), (COLOURS["other-1"], (0, (5, 2))))
        for (title, values), (colour, dashes) in zip(lines_by_title.items(), styles, strict=False):
            heights = [float("nan") if value is None else value for value in values]
            axes.plot(steps, heights, color=colour, linestyle=dashes, label=title)
            said_at = [
                f"{title}, epoch {step}: {quantity.text(height)}" for step, height in zip(steps, heights, strict=True)
            ]
            mark_points(axes, steps, heights, said_at, colour)
        axes.set(xlabel="epoch", ylabel=quantity.label)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.tick_params(length=0)
        if quantity.percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}")
            axes.set_ylim(top=min(axes.get_ylim()[1], 1.005))
        elif quantity.ticks is not None:
            ticks = quantity.ticks
            axes.yaxis.set_major_formatter(lambda value, _: ticks(value))
        if len(lines_by_title) > 1:
            axes.legend(loc="best")
    words = ", ".join(_from_to(title, values, quantity.text) for title, values in lines_by_title.items())
    label = f"Line of {quantity.name} over {len(epochs)} epochs of {stage}: {words}."
    return canvas.plot(name, f"{capital(quantity.name)} by epoch: {stage}", "", label)


def _from_to(title: str, values: Sequence[float | None], text: Callable[[float | None], str]) -> str:
    numbers = [value for value in values if value is not None]
    return f"{title} from {text(numbers[0])} to {text(numbers[-1])}"
