"""The task of foretelling a text, character by character."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.report import SectionBuilder
from lightloom.schemas import Metric
from lightloom.tasks.base import Files, Interface, Prediction, Task
from lightloom.tasks.language.config import LanguageConfig
from lightloom.tasks.language.gallery import TextGallery
from lightloom.tasks.language.model import CharacterTransformer
from lightloom.tasks.language.objective import NextCharacter
from lightloom.tasks.language.predict import continue_texts
from lightloom.tasks.language.section import text_sections
from lightloom.tasks.language.text import read_text
from lightloom.tasks.language.windows import TextSplits, split_text


class LanguageTask(Task[LanguageConfig]):
    """The next character of a text is foretold from those before it."""

    name = "language"
    title = "foretell a text, character by character"
    config = LanguageConfig
    metric = Metric(name="bits_per_character", percent=False, higher_is_better=False)
    samples = "windows"
    predicts = True

    def data(self, config: LanguageConfig) -> TextSplits:
        """Windows of the text, which must have the hash that the config names."""
        text = read_text(config.data.name)
        expected = config.data.sha256
        if expected is not None and text.sha256 != expected:
            raise RequestError(
                f"The {text.title} has the hash {text.sha256}, and `data.sha256` asks for {expected}; give the text "
                "that it is of, or leave `data.sha256` out."
            )
        return split_text(text.cut(config.data.limit), config.model.context)

    def interface(self, data: TextSplits) -> Interface:
        """The characters that the network knows, in the order of their numbers."""
        return {"characters": data.alphabet.characters}

    def chance(self, data: TextSplits) -> float:
        """Bits per character of a network to which all characters are equally likely."""
        return math.log2(len(data.alphabet))

    def model(self, config: LanguageConfig, interface: Interface, data: TextSplits | None = None) -> nn.Module:
        """A transformer of the sizes of the config, with first weights from its seed.

        Args:
            config: Config of the run, or of one case of it.
            interface: Shapes and classes of the data.
            data: What `data` has read.
        """
        torch.manual_seed(named_seed(config.seed, "model"))
        sizes = config.model
        return CharacterTransformer(
            len(interface["characters"]) + 1,
            context=sizes.context,
            width=sizes.width,
            heads=sizes.heads,
            depth=sizes.depth,
            dropout=sizes.dropout,
        )

    def objective(self, model: nn.Module, config: LanguageConfig) -> NextCharacter:
        """Cross entropy of the next character, and bits per character.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
        """
        return NextCharacter()

    def gallery(self, files: Files, config: LanguageConfig, data: TextSplits) -> TextGallery:
        """What each state of the network writes.

        Args:
            files: Where files of the run are written.
            config: Config of the run, or of one case of it.
            data: What `data` has read.
        """
        return TextGallery(files, config, data)

    def facts(self, data: TextSplits) -> dict[str, Any]:
        """What the text is, its hash, and what of it is learnt from."""
        return {
            "text": data.text.title,
            "sha256": data.text.sha256,
            "characters": len(data.text.characters),
            "alphabet": data.alphabet.characters,
            "unknown": data.unknown,
        }

    def sections(self) -> Sequence[SectionBuilder]:
        """What each state writes, and what a character costs."""
        return (text_sections,)

    def predict(
        self, model: nn.Module, config: LanguageConfig, interface: Interface, request: Prediction
    ) -> dict[str, Any]:
        """Texts that go on with prompts, see `continue_texts`.

        Args:
            model: The network or detector.
            config: Config of the run, or of one case of it.
            interface: Shapes and classes of the data.
            request: What the user gives, and where answers go.
        """
        return continue_texts(model, config, interface, request)
