"""A text as numbers: its alphabet, its three parts, and windows of a fixed length to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.tasks.language.text import Text

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""Stands for every character that the training part does not have; its number is 0."""

VALIDATION_SHARE = TEST_SHARE = 0.1
"""Shares of the text: the last tenth is the test part, the one before it the validation part."""


class Alphabet:
    """The characters that a model knows, each with a number; 0 is `UNKNOWN`.

    Args:
        characters: Those from number 1 on, each once.

    Raises:
        RequestError: A character is there twice, or `UNKNOWN` is among them.
    """

    def __init__(self, characters: str) -> None:
        if len(set(characters)) != len(characters) or UNKNOWN in characters:
            raise RequestError(
                f"An alphabet has each character once and no {UNKNOWN!r}, which stands for all others; take "
                "`Alphabet.of(text)`."
            )
        self.characters = characters
        codes = _codes(characters)
        order = np.argsort(codes)
        self._codes, self._numbers = codes[order], order + 1

    @classmethod
    def of(cls, text: str) -> Alphabet:
        """The alphabet of a text, in the order of code points."""
        return cls("".join(sorted(set(text) - {UNKNOWN})))

    def __len__(self) -> int:
        """Numbers in use, that of `UNKNOWN` included."""
        return len(self.characters) + 1

    def encode(self, text: str) -> Tensor:
        """The numbers of the characters of a text, int64 [length]; 0 where the alphabet lacks one."""
        codes = _codes(text)
        if not len(self._codes):
            return torch.zeros(len(codes), dtype=torch.int64)
        places = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        return torch.from_numpy(np.where(self._codes[places] == codes, self._numbers[places], 0).astype(np.int64))

    def decode(self, numbers: Tensor) -> str:
        """The text of numbers [length]."""
        characters = UNKNOWN + self.characters
        return "".join(characters[number] for number in numbers.tolist())


def _codes(text: str) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Code points of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


@dataclass(frozen=True, eq=False)
class TextWindows:
    """Windows of a text, one after the other, and the character that follows each position.

    Attributes:
        inputs: Numbers of characters, int64 [windows, context].
        targets: The same one character later, int64 [windows, context].
    """

    inputs: Tensor
    targets: Tensor

    @classmethod
    def of(cls, numbers: Tensor, context: int) -> TextWindows:
        """Cut a text into windows; what is left at its end, less than one window, is not used.

        Args:
            numbers: Of its characters, int64 [length].
            context: Characters of a window.
        """
        count = max(len(numbers) - 1, 0) // context
        inputs, targets = numbers[: count * context], numbers[1 : count * context + 1]
        return cls(inputs.view(count, context), targets.view(count, context))

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> TextWindows:
        """The same windows on a device."""
        return TextWindows(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True, eq=False)
class TextSplits:
    """A text ready to learn from.

    Attributes:
        train: Windows of the first eight tenths.
        validation: Of the ninth.
        test: Of the last.
        alphabet: Of the training part.
        text: The whole.
        unknown: Characters of validation and test part that the training part does not have.
    """

    train: TextWindows
    validation: TextWindows
    test: TextWindows
    alphabet: Alphabet
    text: Text
    unknown: int


def split_text(text: Text, context: int) -> TextSplits:
    """Divide a text into three parts that follow each other, and each into windows.

    Args:
        text: The whole.
        context: Characters of a window.

    Raises:
        RequestError: A part is shorter than one window and the character after it.
    """
    characters = text.characters
    length = len(characters)
    first, second = round(length * (1 - VALIDATION_SHARE - TEST_SHARE)), round(length * (1 - TEST_SHARE))
    parts = characters[:first], characters[first:second], characters[second:]
    shortest = min(map(len, parts))
    if shortest < context + 1:
        raise RequestError(
            f"The {text.title} is too short: a tenth of its {length:,} characters is {shortest:,}, and a window takes "
            f"{context:,} and the one after it. Give a text of {round((context + 2) / TEST_SHARE):,} characters or "
            "more, or a smaller `model.context`."
        )
    alphabet = Alphabet.of(parts[0])
    numbers = [alphabet.encode(part) for part in parts]
    train, validation, test = (TextWindows.of(part, context) for part in numbers)
    unknown = sum(int((part == 0).sum()) for part in numbers[1:])
    return TextSplits(train, validation, test, alphabet, text, unknown)
