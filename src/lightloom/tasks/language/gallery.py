"""What each state of a network writes, for the report."""

from __future__ import annotations

from torch import nn

from lightloom.common.errors import RequestError
from lightloom.common.files import read_json
from lightloom.schemas import Record, write
from lightloom.tasks.base import Files, Measured
from lightloom.tasks.language.config import LanguageConfig
from lightloom.tasks.language.generate import generate_text
from lightloom.tasks.language.windows import TextSplits

FILE = "text.json"
"""What a run that learns a text leaves for the report."""


class WrittenText(Record):
    """What one state of a network wrote."""

    state: str
    """The state of the network, or the case of a comparison."""
    text: str
    """What follows the prompt."""
    bits_per_character: float
    """How well this state foretells the test part."""


class TextFile(Record):
    """The whole of `text.json`."""

    title: str
    """What the text is that was learnt."""
    sha256: str
    """SHA-256 of the text."""
    characters: int
    """How long it is."""
    alphabet: int
    """How many different characters the training part has."""
    unknown: int
    """Characters of validation and test part that the training part does not have."""
    context: int
    """Characters that the network sees."""
    prompt: str
    """What was gone on with."""
    temperature: float
    """What the logits were divided by."""
    written: list[WrittenText]
    """One for each state, in order."""


class TextGallery:
    """Lets each network write, and keeps what it wrote.

    Args:
        files: Of the run.
        config: Of the run.
        data: What the network learnt from.

    Raises:
        RequestError: The network was trained on another text.
    """

    def __init__(self, files: Files, config: LanguageConfig, data: TextSplits) -> None:
        _check_text(files, data)
        self._files, self._config, self._data = files, config, data
        context = config.model.context
        self._prompt = config.generate.prompt or data.alphabet.decode(data.test.inputs[0][:context])
        self._written: list[WrittenText] = []

    def add(self, name: str, model: nn.Module, measured: Measured) -> None:
        """Let one network write.

        Args:
            name: What to call it.
            model: From numbers of characters to logits.
            measured: On the test part.
        """
        settings = self._config.generate
        text = generate_text(
            model,
            self._data.alphabet,
            self._prompt,
            length=settings.length,
            context=self._config.model.context,
            temperature=settings.temperature,
            seed=self._config.seed,
        )
        bits = measured.metrics["bits_per_character"]
        self._written.append(WrittenText(state=name, text=text, bits_per_character=bits))

    def write(self) -> None:
        """Write `text.json`."""
        data = self._data
        record = TextFile(
            title=data.text.title,
            sha256=data.text.sha256,
            characters=len(data.text.characters),
            alphabet=len(data.alphabet.characters),
            unknown=data.unknown,
            context=self._config.model.context,
            prompt=self._prompt,
            temperature=self._config.generate.temperature,
            written=self._written,
        )
        write(self._files.file(FILE), record)


def _check_text(files: Files, data: TextSplits) -> None:
    """Refuse to measure a network on another text than it learnt, as where a file was changed since."""
    notes = files.file("data.json")
    if not notes.exists():
        return
    learnt = read_json(notes).get("sha256")
    if learnt != data.text.sha256:
        raise RequestError(
            f"The {data.text.title} has the hash {data.text.sha256}, and the network of this run learnt a text with "
            f"the hash {learnt}, as `{notes}` notes. Give that text again, or begin a run of its own for this one."
        )
