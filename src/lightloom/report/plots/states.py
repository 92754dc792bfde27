"""The plots of a run, each from its figures alone: accuracy, learning curves, errors, energy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lightloom.report.readers.run import Epoch, Layer, Run
from lightloom.report.svg import COLOURS, Plot, drawing, mark, mark_points, shown, stage_roles, to_svg
from lightloom.report.units import number, percent, rounded, si

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 4.4  # inch; at 72 points per inch about the width of a phone, so that text keeps its size there
MOST_LAYERS = 16  # more bars than that are unreadable; the table beside the plot has every layer
_SAID: dict[str, Callable[[float | None], str]] = {
    "loss": number,
    "validation accuracy": percent,
    "levels written": rounded,
}


def accuracy_plot(run: Run) -> Plot | None:
    """Bars of accuracy by stage, with the level of a blind guess where it is known."""
    accuracy = {stage: value for stage, value in run.summary.accuracy.items() if value is not None}
    if not accuracy or run.compares:
        return None
    from matplotlib.figure import Figure

    roles = stage_roles(run.stages)
    with drawing():
        figure = Figure(figsize=(WIDTH, 1.25 + 0.4 * len(accuracy)))
        axes = figure.subplots()
        texts = [percent(value) for value in accuracy.values()]
        bars(axes, accuracy, texts, [COLOURS[roles[stage]] for stage in accuracy])
        axes.set(xlim=(0, 1.17), xlabel="accuracy / %")
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
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
        source = to_svg(figure)
    told = ", ".join(f"{stage} {text}" for stage, text in zip(accuracy, texts, strict=True))
    chance = f"The dashed line is a blind guess: {percent(run.chance)}." if run.chance is not None else ""
    label = f"Bars of accuracy by stage: {told}. {chance}".strip()
    return Plot("accuracy", "Accuracy after each stage", chance, label, source)


def learning_plots(run: Run) -> list[Plot]:
    """Loss and validation accuracy over epochs, for each stage that trains for two epochs or more."""
    plots = []
    for index, (stage, epochs) in enumerate(_trainings(run).items()):
        losses = {
            "training": [epoch.loss for epoch in epochs],
            "validation": [epoch.validation_loss for epoch in epochs],
        }
        accuracy = {"validation": [epoch.validation_accuracy for epoch in epochs]}
        plots += [
            _curves(f"loss-{index}", stage, "loss", epochs, losses),
            _curves(f"validation-{index}", stage, "validation accuracy", epochs, accuracy),
        ]
    return [plot for plot in plots if plot is not None]


def writes_plots(run: Run) -> list[Plot]:
    """Levels that one inference writes over epochs, for each stage that trains a PCM chip for two epochs or more."""
    plots = [
        _curves(
            f"writes-{index}",
            stage,
            "levels written",
            epochs,
            {"one inference": [epoch.validation_writes for epoch in epochs]},
        )
        for index, (stage, epochs) in enumerate(_trainings(run).items())
    ]
    caption = "Per inference, in the order that the training follows."
    return [replace(plot, caption=caption) for plot in plots if plot is not None]


def _trainings(run: Run) -> dict[str, list[Epoch]]:
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
    from matplotlib.figure import Figure

    stages = [stage for stage in run.stages if any(layer.errors.get(stage) for layer in layers)]
    roles = stage_roles(run.stages)
    with drawing():
        figure = Figure(figsize=(WIDTH, 1.35 + len(layers) * (0.2 + 0.17 * len(stages))))
        axes = figure.subplots()
        _grouped(axes, layers, {stage: COLOURS[roles[stage]] for stage in stages})
        figure.legend(loc="outside upper left", ncols=3, handlelength=1, columnspacing=1.2, borderpad=0)
        source = to_svg(figure)
    told = "; ".join(
        f"{layer.name}: " + ", ".join(f"{stage} {number(value)}" for stage, value in layer.errors.items())
        for layer in layers
    )
    kept = f" The first {len(layers)} layers on the chip." if layers != measured else ""
    caption = f"‖realised − target‖² / ‖target‖², on a logarithmic scale.{kept}"
    label = f"Bars of relative weight error by layer and stage: {told}."
    return Plot("errors", "Relative error of each layer", caption, label, source)


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
    known = {part: energy for part, energy in energies.items() if energy is not None}
    if not known:
        return None
    from matplotlib.figure import Figure

    texts = [si(energy, "J") for energy in known.values()]
    with drawing():
        figure = Figure(figsize=(WIDTH, 0.5 + 0.4 * len(known)))
        axes = figure.subplots()
        bars(axes, known, texts, [colour] * len(known))
        axes.set_xlim(0, (max(known.values()) or 1.0) * 1.35)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        source = to_svg(figure)
    told = ", ".join(f"{part} {text}" for part, text in zip(known, texts, strict=True))
    return Plot(name, title, "", f"{label}: {told}.", source)


def bars(axes: Axes, values: Mapping[str, float], texts: Sequence[str], colours: Sequence[str]) -> None:
    """Horizontal bars, first on top, each with its value at its end."""
    drawn = axes.barh(range(len(values)), list(values.values()), height=0.62, color=colours)
    for bar, name, text in zip(drawn, values, texts, strict=True):
        mark(bar, f"{name}: {text}")
    for row, (value, text) in enumerate(zip(values.values(), texts, strict=True)):
        axes.annotate(text, (value, row), (5, 0), textcoords="offset points", va="center", weight="bold")
    _name_rows(axes, list(values))


def _grouped(axes: Axes, layers: Sequence[Layer], colours: Mapping[str, str]) -> None:
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
        drawn = axes.barh(places, widths, height * 0.86, left=floor, color=colour, label=shown(stage))
        for bar, row, place, value in zip(drawn, rows, places, values, strict=True):
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
    quantity: str,
    epochs: Sequence[Epoch],
    series: Mapping[str, Sequence[float | None]],
) -> Plot | None:
    """Lines over epochs, named by a legend where there are two; a missing value leaves a gap, one epoch is no line."""
    known = {title: values for title, values in series.items() if any(value is not None for value in values)}
    if not known or len(epochs) < 2:
        return None
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    said = _SAID[quantity]
    steps = [epoch.epoch for epoch in epochs]
    with drawing():
        figure = Figure(figsize=(WIDTH, 2.7))
        axes = figure.subplots()
        styles = ((COLOURS["accent"], "-"), (COLOURS["other-1"], (0, (5, 2))))
        for (title, values), (colour, dashes) in zip(known.items(), styles, strict=False):
            heights = [float("nan") if value is None else value for value in values]
            axes.plot(steps, heights, color=colour, linestyle=dashes, label=title)
            said_at = [f"{title}, epoch {step}: {said(height)}" for step, height in zip(steps, heights, strict=True)]
            mark_points(axes, steps, heights, said_at, colour)
        axes.set(xlabel="epoch", ylabel=f"{quantity} / %" if said is percent else quantity)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.tick_params(length=0)
        if said is percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}")
            axes.set_ylim(top=min(axes.get_ylim()[1], 1.005))
        elif said is rounded:
            axes.yaxis.set_major_formatter(lambda value, _: rounded(value))
        if len(known) > 1:
            axes.legend(loc="best")
        source = to_svg(figure)
    told = ", ".join(_from_to(title, values, said) for title, values in known.items())
    label = f"Line of {quantity} over {len(epochs)} epochs of {stage}: {told}."
    return Plot(name, f"{quantity.capitalize()} by epoch: {stage}", "", label, source)


def _from_to(title: str, values: Sequence[float | None], said: Callable[[float | None], str]) -> str:
    known = [value for value in values if value is not None]
    return f"{title} from {said(known[0])} to {said(known[-1])}"
