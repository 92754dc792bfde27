"""From a matplotlib figure to SVG that follows the theme of the page.

A plot is drawn in sentinel colours, one for each role. In the page they become `var(--role)`, so that light
and dark are a matter of CSS; in a file of its own they become the light palette.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIGHT = {
    "page": "#f5f7f9",
    "ink": "#1b2430",
    "muted": "#566273",
    "line": "#dbe1e8",
    "surface": "#ffffff",
    "accent": "#0b69b3",
    "accent-soft": "#7fb0d8",
    "electronic": "#66758a",
    "programmed": "#c4501b",
    "calibrated": "#9a6d00",
    "mapped": "#8347a6",
    "learned": "#0b69b3",
    "reordered": "#4a7a1e",
    "other-0": "#0c7d6f",
    "other-1": "#ad3f68",
}
DARK = {
    "page": "#0f141b",
    "ink": "#e7ecf3",
    "muted": "#a3b0c0",
    "line": "#2d3847",
    "surface": "#18202b",
    "accent": "#62b4f2",
    "accent-soft": "#3a6f9c",
    "electronic": "#8d9cb1",
    "programmed": "#f0834f",
    "calibrated": "#e0b13f",
    "mapped": "#c79be0",
    "learned": "#62b4f2",
    "reordered": "#9fce63",
    "other-0": "#42c3b0",
    "other-1": "#ea88ad",
}
COLOURS = {role: f"#0{index:x}0f0{index:x}" for index, role in enumerate(LIGHT)}
"""The sentinel of each role: what plots draw with."""

WIDTH = 4.4
"""Width of a plot in inch; at 72 points per inch about that of a phone, so that text keeps its size there."""

MOST_MARKS = 40
"""Points of one line that are marked; of more, evenly spread ones are."""
MOST_CELLS = 300
"""Cells of one image that are marked; of a larger image none are, for the page would swell and a finger miss them."""

_KEPT = "\n\u00a0\u202f"  # not printable by the letter of Unicode, but between a number and its unit

_OF_STAGE = ("electronic", "programmed", "calibrated", "mapped", "learned", "reordered")
_SPARE = ("other-0", "other-1")
_FONT = "DejaVu Sans"
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lightloom",
    "font.family": _FONT,
    "font.size": 10,
    "text.parse_math": False,
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["line"],
    "axes.facecolor": "none",
    "axes.labelcolor": COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.8,
    "xtick.color": COLOURS["line"],
    "ytick.color": COLOURS["line"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "lines.linewidth": 2.0,
    "legend.frameon": False,
    "legend.labelcolor": COLOURS["ink"],
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Plot:
    """One drawn figure.

    Attributes:
        name: Unique on the page, `[a-z0-9-]`: names the file and prefixes every id inside.
        title: What it shows, in a few words.
        caption: How to read it, below the title; may be empty.
        label: What it shows, with its numbers, for those who do not see it.
        source: The SVG as matplotlib wrote it.
    """

    name: str
    title: str
    caption: str
    label: str
    source: str

    def standalone(self) -> str:
        """The file `plots/NAME.svg`: light palette on a surface of its own, in a font that every reader has."""
        body = _in_tags(self.source, lambda tag: _recolour(tag, LIGHT.__getitem__).replace(f"'{_FONT}'", _FONTS))
        named = f'role="img" aria-label="{escape(self.label)}"'
        return body.replace("<svg ", f'<svg {named} style="background: {LIGHT["surface"]}" ', 1)

    def inline(self) -> str:
        """An `<svg>` element for the page: CSS colours, ids of its own, a name for screen readers."""
        body = self.source[self.source.index("<svg") :]
        body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
        box = re.search(r'viewBox="([\d. ]+)"', body)
        if box is None:
            raise ValueError(f"the SVG of `{self.name}` has no viewBox; expected one as matplotlib writes")
        opening = f'<svg class="plot" viewBox="{box[1]}" role="img" aria-label="{escape(self.label)}">'
        inside = _in_tags(body[body.index(">") + 1 :], self._adopt)
        return opening + inside.strip()

    def _adopt(self, tag: str) -> str:
        tag = _recolour(tag, lambda role: f"var(--{role})")
        tag = tag.replace("xlink:href=", "href=")
        return re.sub(r'( id="| href="#|url\(#)', rf"\g<1>{self.name}-", tag)


def stage_roles(stages: tuple[str, ...]) -> dict[str, str]:
    """The role, and so the colour, of each stage: a known stage has the same one in every report."""
    unknown = [stage for stage in stages if stage not in _OF_STAGE]
    spare = {stage: _SPARE[index % len(_SPARE)] for index, stage in enumerate(unknown)}
    return {stage: spare.get(stage, stage) for stage in stages}


@contextmanager
def drawing() -> Iterator[None]:
    """The style that every plot is drawn in."""
    from matplotlib import rc_context

    with rc_context(_STYLE), warnings.catch_warnings():
        # The font only measures: a glyph that it lacks is drawn by the reader's browser.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@dataclass
class Canvas:
    """A figure that is being drawn; it is finished, and no longer changes, once its `with` block ends."""

    figure: Figure
    source: str = ""

    @property
    def axes(self) -> Axes:
        """The only axes of the figure, made when first asked for."""
        return self.figure.axes[0] if self.figure.axes else self.figure.subplots()

    def plot(self, name: str, title: str, caption: str, label: str) -> Plot:
        """The finished figure as a plot of the page.

        Args:
            name: Unique on the page, `[a-z0-9-]`.
            title: What it shows, in a few words.
            caption: How to read it; may be empty.
            label: What it shows, with its numbers.
        """
        return Plot(name, title, caption, label, self.source)


@contextmanager
def sketch(height: float, width: float = WIDTH) -> Iterator[Canvas]:
    """A figure in the style of the report; it is rendered at the end of the block.

    Args:
        height: Height in inch.
        width: Width in inch.
    """
    from matplotlib.figure import Figure

    with drawing():
        canvas = Canvas(Figure(figsize=(width, height)))
        yield canvas
        canvas.source = to_svg(canvas.figure)


def mark(artist: Artist, text: str, kind: str = "whole") -> None:
    """Give a part of a plot its name and value.

    Args:
        artist: A patch, a line or a collection; a bar chart is marked bar by bar: `for bar in axes.barh(...)`.
        text: What is shown, such as `learned: 97.2 %`; a line break starts a new line.
        kind: The CSS class beside `mark`: `whole`, `point` (seen only when pointed at) or `cell`.
    """
    artist.set_gid(f"mark-{kind}-{_printable(text).encode().hex()}")


def mark_points(axes: Axes, xs: Sequence[float], ys: Sequence[float], texts: Sequence[str], colour: str) -> None:
    """Marks along a line, unseen until pointed at.

    Args:
        axes: Where the line is.
        xs: Places in data coordinates.
        ys: Heights in data coordinates; one that is not finite gets no mark.
        texts: One for each place.
        colour: The sentinel colour of the line.
    """
    places = [place for place in zip(xs, ys, texts, strict=True) if math.isfinite(place[0] + place[1])]
    step = max(1, (len(places) - 1) / (MOST_MARKS - 1))
    spread = dict.fromkeys(round(index * step) for index in range(min(len(places), MOST_MARKS)))
    for x, y, text in (places[index] for index in spread):
        # The wide edge is what a finger hits; with no opacity it is there but unseen.
        (point,) = axes.plot([x], [y], "o", color=colour, markersize=5, markeredgewidth=10, alpha=0, scalex=False)
        mark(point, text, "point")


def mark_cells(axes: Axes, boxes: Iterable[tuple[float, float, float, float]], texts: Iterable[str]) -> None:
    """Marks over the cells of an image.

    Args:
        axes: Where the image is.
        boxes: Left, lower edge, width and height of each cell in data coordinates.
        texts: One for each cell.
    """
    from matplotlib.patches import Rectangle

    cells = list(zip(boxes, texts, strict=True))
    for (left, lower, width, height), text in cells if len(cells) <= MOST_CELLS else ():
        cell = Rectangle((left, lower), width, height, facecolor=COLOURS["ink"], alpha=0, linewidth=0)
        axes.add_artist(cell)
        mark(cell, text, "cell")


def to_svg(figure: Figure) -> str:
    """The figure as SVG text, the same bytes each time: without a date and with salted ids."""
    stream = StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return re.sub(r'<g id="mark-([a-z]+)-([0-9a-f]*)">', _titled, stream.getvalue())


def shown(name: str, length: int = 20) -> str:
    """A user's name as one printable line; of a long one the end stays, where layer names differ.

    Args:
        name: The name, as the user wrote it.
        length: Most letters of it that are shown.
    """
    line = _printable(name.replace("\n", "�"))
    return line if len(line) <= length else "…" + line[1 - length :]


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() or letter in _KEPT else "�" for letter in text)


def _titled(group: re.Match[str]) -> str:
    return f'<g class="mark {group[1]}"><title>{escape(bytes.fromhex(group[2]).decode())}</title>'


def _in_tags(svg: str, change: Callable[[str], str]) -> str:
    """`change` applied inside tags only: text is the user's and stays as it is."""
    return re.sub(r"<[^>]+>", lambda match: change(match[0]), svg)


def _recolour(tag: str, of_role: Callable[[str], str]) -> str:
    for role, sentinel in COLOURS.items():
        tag = tag.replace(sentinel, of_role(role))
    return tag
