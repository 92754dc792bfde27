"""The page of a run: its story in one sentence, its key figures, and its sections in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lightloom.report import metric_text
from lightloom.report.html_page import environment, page
from lightloom.report.pages import sweep_text
from lightloom.report.pages.key_figures import cards
from lightloom.report.readers.run import Run
from lightloom.report.section import Section, SectionBuilder
from lightloom.report.sections import FIRST, REST

_REACHED = {
    "electronic": "electronic",
    "programmed": "when programmed onto {chip}",
    "calibrated": "after calibrating {chip}",
    "mapped": "after mapping onto {chip}",
    "learned": "after learning on the chip",
    "reordered": "after reordering the writes",
}


def build_sections(run: Run, builders: Sequence[SectionBuilder] = ()) -> list[Section]:
    """Every section that the run has something to show in, in order.

    Args:
        run: All that the run folder says.
        builders: The builders of sections of the task's own, which come after those that say how good the network is.

    Raises:
        ValueError: Two sections have one anchor, or two plots or files of them one name.
    """
    sections = [section for build in (*FIRST, *builders, *REST) for section in build(run)]
    for kind, names in (("anchor", [section.anchor for section in sections]), ("file", list(_names(sections)))):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two sections of a report have the {kind} `{twice[0]}`; give each a name of its own")
    return sections


def render(run: Run, sections: Sequence[Section]) -> str:
    """The whole page as HTML: nothing outside it is loaded, and every text of the user is escaped.

    Args:
        run: All that the run folder says.
        sections: What the page shows, in order.
    """
    title = run.summary.recipe or "A run"
    figures = [*(sweep_text.cards(run.sweep) if run.sweep else []), *cards(run)]
    template = environment().get_template("run.html.j2")
    return page(title, template.render(run=run, title=title, story=story(run), cards=figures, sections=sections))


def story(run: Run) -> str:
    """The run in one sentence: the metric of each state in order, or the best case of a comparison."""
    if run.compares:
        return sweep_text.story(run.sweep) if run.sweep else ""
    seed = run.specimen.get("seed")
    chip = "the chip" if seed is None else f"specimen {seed}"
    parts: list[str] = []
    before = None
    for state, value in run.values.items():
        if value is None:
            continue
        text = f"{metric_text.value(value, run.metric)} {_reached(state, chip)}"
        parts.append("unchanged by reordering" if state == "reordered" and value == before else text)
        before = value
    if not parts:
        return ""
    sentence = metric_text.name_before(run.metric) + ", ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _reached(state: str, chip: str) -> str:
    return _REACHED[state].format(chip=chip) if state in _REACHED else f"after stage “{state}”"


def _names(sections: Sequence[Section]) -> Iterator[str]:
    for section in sections:
        yield from (f"{plot.name}.svg" for plot in section.plots)
        yield from section.files
