"""What every page of a report stands in: one file with its own style and script, a table of contents, two themes.

`page(title, body)` makes a whole page of any body; `environment()` has the filters that its template may use.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

from lightloom.report import units
from lightloom.report.pages import pcm_writes
from lightloom.report.svg import DARK, LIGHT, Plot

if TYPE_CHECKING:
    from jinja2 import Environment

_HEAD = 2000  # bytes of a page within which it says what it is
_TEMPLATES = Path(__file__).parent / "templates"
_HEADING = re.compile(r'<h2 id="([\w-]+)">(.*?)</h2>', re.DOTALL)


class Heading(NamedTuple):
    """A section of the page: its id, and its text as it stands there."""

    id: str
    text: Markup


def page(title: str, body: str, kind: str = "report") -> str:
    """A whole page as HTML: nothing outside it is loaded, and it shows everything where scripts are off.

    Args:
        title: Of the window, as text.
        body: Markup with one `<main>` in it; every `<h2 id="...">` becomes an entry of the contents.
        kind: What the page says of itself, see `is_page`.
    """
    script = _script()
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            generator=_generator(kind),
            body=Markup(_anchored(body)),  # markup by contract: its template has escaped what is the user's
            contents=headings(body),
            light=LIGHT,
            dark=DARK,
            script=Markup(script),  # ours, and without an end tag in it
            policy=policy(script),
        )
    )


def is_page(path: Path, kind: str) -> bool:
    """Whether a file is a page of this kind that was made here.

    Args:
        path: The file.
        kind: What the page says of itself: `report` or `comparison`.
    """
    begun = f'<meta name="generator" content="{_generator(kind)}">'.encode()
    with path.open("rb") as stream:
        return begun in stream.read(_HEAD)


def _generator(kind: str) -> str:
    return f"Lightloom {kind}"


def policy(script: str) -> str:
    """The content security policy of a page: no network, no script but this one, pictures inside the file."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def headings(body: str) -> list[Heading]:
    """The sections of a body, in order."""
    return [Heading(match[1], Markup(match[2])) for match in _HEADING.finditer(body)]


def datum(value: object) -> Markup:
    """The attribute that a table is sorted by: ` data-value="..."` of a number or a mean, else nothing."""
    value = getattr(value, "mean", value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return Markup("")
    return Markup(f' data-value="{value:.12g}"')


def setting(value: object) -> str:
    """A value as `key=value` on the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@cache
def environment() -> Environment:
    """The templates of the report: everything is escaped, and a name that there is not is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {
        "si": units.si,
        "amount": units.amount,
        "db": units.db,
        "dbm": units.dbm,
        "constant": units.constant,
        "number": units.number,
        "percent": units.percent,
        "rounded": units.rounded,
        "points": units.points,
        "capital": units.capital,
        "count": units.count,
        "duration": units.duration,
        "factor": lambda value: f"{units.rounded(value)}{units.NO_BREAK}×" if value else units.ABSENT,
        "pulses": pcm_writes.pulses,
        "life": pcm_writes.life,
        "setting": setting,
        "plain": _plain,
        "datum": datum,
        "svg": _drawn,
    }
    return templates


def _plain(value: object) -> str:
    """A value of a table as text: a number to three digits, None as a dash."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return units.rounded(value)
    return units.ABSENT if value is None else str(value)


def _drawn(plot: Plot) -> Markup:
    return Markup(plot.inline())  # escaped by matplotlib and by `Plot.inline`


@cache
def _script() -> str:
    return (_TEMPLATES / "script.js").read_text(encoding="utf-8")


def _anchored(body: str) -> str:
    """Every section heading with a link to itself."""

    def link(match: re.Match[str]) -> str:
        name = escape(f"Link to {Markup(match[2]).striptags()}")
        return f'<div class="heading">{match[0]}<a href="#{match[1]}" aria-label="{name}">#</a></div>'

    return _HEADING.sub(link, body)
