"""A run that learns to write: which text, which network, and what it is to write for the report."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lightloom.common.config import Section, at_most
from lightloom.config import RunConfig
from lightloom.tasks.language.text import EMBEDDED


class TextConfig(Section):
    """The text of a run."""

    name: str = Field(EMBEDDED, min_length=1)
    """The text: "pydoc", Python's own help, or the path of a file in UTF-8."""
    limit: int | None = Field(None, ge=1)
    """Read only so many characters from its beginning; None is all."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """Hash that the text must have, as `data.json` of a run notes it; None takes any."""


class TransformerConfig(Section):
    """The transformer of a run."""

    context: Annotated[int, at_most(4096, "attention takes the square of it in memory")] = Field(64, ge=1)
    """Characters that it sees."""
    width: Annotated[int, at_most(4096, "weights would not fit into memory")] = Field(96, ge=1)
    """Features of one position; its perceptrons have four times as many."""
    heads: Annotated[int, at_most(256, "a head would have less than one feature")] = Field(4, ge=1)
    """Attention heads; they divide `width`."""
    depth: Annotated[int, at_most(100, "weights would not fit into memory")] = Field(3, ge=1)
    """Number of decoder blocks."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of leaving out an attention weight, or an output of a block, in training."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"{self.heads} `heads` do not divide a `width` of {self.width}; change one so that they do"
            )
        return self


class GenerateConfig(Section):
    """What the network writes for the report, and for who asks it by `lightloom detect`."""

    prompt: str = ""
    """Text to go on with; "" is the beginning of the test part."""
    length: Annotated[int, at_most(100_000, "every character takes a pass through the network")] = Field(300, ge=0)
    """Characters to write."""
    temperature: Annotated[float, at_most(1e3, "every character would be as likely as any other")] = Field(0.8, ge=0)
    """Divides the logits: 0 always takes the likeliest character, 1 draws as the network expects."""


class LanguageConfig(RunConfig):
    """Everything that decides the outcome of a run that learns a text character by character."""

    task: Literal["language"] = "language"
    data: TextConfig = TextConfig()
    model: TransformerConfig = TransformerConfig()
    generate: GenerateConfig = GenerateConfig()
