"""Texts foretold character by character."""

from lightloom.tasks.language.generate import generate_text
from lightloom.tasks.language.model import CharacterTransformer
from lightloom.tasks.language.objective import NextCharacter
from lightloom.tasks.language.text import Text, read_text
from lightloom.tasks.language.windows import Alphabet, TextSplits, TextWindows, split_text

__all__ = [
    "Alphabet",
    "CharacterTransformer",
    "NextCharacter",
    "Text",
    "TextSplits",
    "TextWindows",
    "generate_text",
    "read_text",
    "split_text",
]
