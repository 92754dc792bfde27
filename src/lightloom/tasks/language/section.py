"""What a report tells of a run that learns a text: what each state writes, and what a character costs."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from lightloom.report import Run, Section, fill, table, units
from lightloom.schemas import read
from lightloom.tasks.language.gallery import FILE, TextFile

_WRITTEN = """{% for row in written %}
<h3>{{ row.state }} <small>{{ "%.3f"|format(row.bits_per_character) }} bits per character</small></h3>
<pre class="text"><b>{{ prompt }}</b>{{ row.text }}</pre>
{% endfor %}"""


def text_sections(run: Run) -> Iterator[Section]:
    """The sections of a run whose folder has a `text.json`.

    Args:
        run: All that the run folder says.
    """
    text = read(run.folder / FILE, TextFile, None)
    if text is None:
        return
    lead = (
        f"Each state of the network goes on with the same {len(text.prompt)} characters (bold), the beginning of the "
        f"test part unless the run has a prompt of its own, at a temperature of {text.temperature:g} and with the same "
        "random numbers."
    )
    body = fill(_WRITTEN, written=text.written, prompt=text.prompt)
    yield Section("What it writes", "text", body + _facts(text), lead)
    if run.cost.boundaries:
        yield Section("What a character costs", "character", _cost(run, text.context), _cost_lead(text.context))


def _facts(text: TextFile) -> Markup:
    rows = [
        ("text", text.title),
        ("hash (SHA-256)", text.sha256),
        ("characters", f"{text.characters:,}"),
        ("different characters in the training part", text.alphabet),
        ("characters of validation and test part that it lacks", text.unknown),
    ]
    return table("The text", ("what", "value"), rows)


def _cost_lead(context: int) -> str:
    return (
        f"One inference is a window of {context} characters: all of them go through the network together, and it "
        "foretells the one after each. Reading a text therefore costs one inference for every "
        f"{context} characters. Writing takes a whole inference for every character, since nothing is kept between two."
    )


def _cost(run: Run, context: int) -> Markup:
    rows = [
        (
            boundary.name,
            units.si(boundary.energy_j, "J"),
            units.si(None if boundary.energy_j is None else boundary.energy_j / context, "J"),
            units.si(boundary.latency_s, "s"),
        )
        for boundary in run.cost.boundaries
    ]
    headings = ("boundary", "energy per character written", "energy per character read", "time per character written")
    return table("Energy and time of a character", headings, rows)
