"""A section of a page: what a builder makes of a run folder, and the safe ways to write its body."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from lightloom.report.readers.run import Run
from lightloom.report.svg import Plot

_ANCHOR = re.compile(r"[a-z][a-z0-9-]*")
_FILE = re.compile(r"[\w][\w.-]*")


@dataclass(frozen=True)
class Section:
    """One section of a page.

    Attributes:
        title: The heading, as text.
        anchor: The id that the contents link to: lower-case letters, digits and hyphens, unique on the page.
        body: What stands below the heading. A plain text is escaped and becomes a paragraph; markup comes from
            `fill`, `figure` or `table`, which escape what they are given.
        lead: A sentence or two below the heading, as text.
        plots: Plots of the section; each is also written beside the page, as `plots/NAME.svg`.
        files: Other files that go beside the page into `plots`, by name.
        style: CSS classes of the section.
    """

    title: str
    anchor: str
    body: str | Markup = ""
    lead: str = ""
    plots: tuple[Plot, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    style: str = ""

    def __post_init__(self) -> None:
        """Refuse an anchor or the name of a file that could not stand in a page or in a folder."""
        if not _ANCHOR.fullmatch(self.anchor):
            raise ValueError(f"the anchor `{self.anchor}` of a section is not made of a-z, 0-9 and hyphens")
        for name in self.files:
            if not _FILE.fullmatch(name):
                raise ValueError(f"`{name}` is no plain name of a file; the section `{self.anchor}` cannot leave it")

    @property
    def markup(self) -> Markup:
        """The body as markup: a plain text is escaped."""
        if isinstance(self.body, Markup):
            return self.body
        return Markup("<p>{}</p>").format(self.body) if self.body else Markup("")


SectionBuilder = Callable[[Run], Iterable[Section]]
"""What makes the sections of one kind from all that a run folder says; none where it says nothing of that kind."""


def fill(template: str, /, **values: Any) -> Markup:
    """The markup of a Jinja template given as text; every value is escaped.

    Args:
        template: The template; it has the filters of the report, and its macros by `from "macros.html.j2" import`.
        values: What it names.
    """
    from lightloom.report.html_page import environment

    return Markup(environment().from_string(template).render(**values))


def fill_file(name: str, /, **values: Any) -> Markup:
    """The markup of a template of the report; every value is escaped.

    Args:
        name: File in `report/templates`.
        values: What it names.
    """
    from lightloom.report.html_page import environment

    return Markup(environment().get_template(name).render(**values))


def figure(plot: Plot) -> Markup:
    """The markup of one plot with its title and caption."""
    return fill('{% from "macros.html.j2" import figure %}{{ figure(plot) }}', plot=plot)


def table(caption: str, headings: Iterable[str], rows: Iterable[Iterable[object]]) -> Markup:
    """The markup of a table; a number sorts by its value and is rounded to three digits.

    Args:
        caption: What the table holds, as text.
        headings: One for each column.
        rows: One value for each column; a text, a number, or None.
    """
    return fill_file(
        "sections/table.html.j2", caption=caption, headings=list(headings), rows=[list(row) for row in rows]
    )


def paragraph(text: str) -> Markup:
    """The markup of one paragraph of plain text."""
    return Markup("<p>") + escape(text) + Markup("</p>")
