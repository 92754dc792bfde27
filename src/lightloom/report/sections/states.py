"""How good the network is: the primary metric of each state, or of each case of a comparison."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lightloom.report import metric_text
from lightloom.report.pages import sweep_text
from lightloom.report.plots import states as state_plots
from lightloom.report.plots.sweep import sweep_plots
from lightloom.report.readers.run import Run
from lightloom.report.section import Section, fill_file
from lightloom.report.svg import stage_roles
from lightloom.schemas import Metric, describe


@dataclass(frozen=True)
class Value:
    """A value of a table: its text, and the number that it is sorted by."""

    text: str
    amount: float | None


@dataclass(frozen=True)
class StateRow:
    """One state of the network in the table of states."""

    state: str
    role: str
    value: float | None
    text: str
    change: float | None
    change_text: str
    others: tuple[Value, ...]


@dataclass(frozen=True)
class Column:
    """Another metric of the table of states."""

    title: str
    metric: Metric


def states(run: Run) -> Iterator[Section]:
    """The primary metric of each state of the network, as a plot and with all other metrics as a table."""
    plot = state_plots.metric_plot(run)
    if plot is None:
        return
    metric, others = run.metric, _other_metrics(run)
    title = f"{metric_text.heading(metric)} by stage"
    body = fill_file(
        "sections/states.html.j2",
        title=title,
        plot=plot,
        name=metric_text.heading(metric),
        change_unit=metric_text.difference_unit(metric),
        others=others,
        bench_calls=run.summary.bench_calls,
        rows=_rows(run, others),
    )
    better = "" if metric.higher_is_better else " Less is better."
    lead = f"The same network, measured on the same test data after each stage of the run.{better}"
    yield Section(title, "states", body, lead, plots=(plot,))


def comparison(run: Run) -> Iterator[Section]:
    """Every case of a comparison, by what is varied, by metric and by class."""
    facts = sweep_text.facts(run)
    if facts is None:
        return
    plots = {plot.name: plot for plot in sweep_plots(run)}
    body = fill_file("sections/comparison.html.j2", compared=facts, plots=plots)
    yield Section("Comparison", "comparison", body, facts["lead"], plots=tuple(plots.values()))


def _other_metrics(run: Run) -> list[Column]:
    """Every metric beside the primary one that the run evaluated, in order of appearance."""
    if run.evaluation is None:
        return []
    names = dict.fromkeys(name for values in run.evaluation.states.values() for name in values)
    metrics = [describe(name, run.evaluation.others) for name in names if name != run.metric.name]
    units = ((metric, "%" if metric.percent else metric.unit) for metric in metrics)
    return [Column(f"{metric_text.heading(metric)}{f' / {unit}' if unit else ''}", metric) for metric, unit in units]


def _rows(run: Run, others: list[Column]) -> Iterator[StateRow]:
    roles, metric = stage_roles(run.stages), run.metric
    results = run.evaluation.states if run.evaluation is not None else {}
    first = next((value for value in run.values.values() if value is not None), None)
    for number, (state, value) in enumerate(run.values.items()):
        change = None if number == 0 or value is None or first is None else value - first
        beside = tuple(_value(results.get(state, {}).get(column.metric.name), column.metric) for column in others)
        text, change_text = metric_text.value(value, metric), metric_text.difference(change, metric)
        yield StateRow(state, roles[state], value, text, change, change_text, beside)


def _value(amount: float | None, metric: Metric) -> Value:
    return Value(metric_text.spread(amount, None, metric, unit=False), amount)
