"""A text as numbers: alphabet, three parts, windows."""

import pytest
import torch

from lightloom.common.errors import RequestError
from lightloom.tasks.language.text import Text
from lightloom.tasks.language.windows import UNKNOWN, Alphabet, TextWindows, split_text


def text(characters: str) -> Text:
    return Text(characters, "text of a test", "0" * 64)


def test_an_alphabet_numbers_characters_and_finds_them_again() -> None:
    alphabet = Alphabet.of("hello\N{GREEK SMALL LETTER PI}\N{FIRE}")
    assert alphabet.characters == "ehlo\N{GREEK SMALL LETTER PI}\N{FIRE}"
    assert len(alphabet) == 7
    numbers = alphabet.encode("hole\N{FIRE}x")
    assert numbers.tolist() == [2, 4, 3, 1, 6, 0]
    assert alphabet.decode(numbers) == "hole\N{FIRE}" + UNKNOWN


def test_characters_that_nobody_knows_are_0_at_both_ends_of_the_alphabet() -> None:
    alphabet = Alphabet.of("mno")
    assert alphabet.encode("aznm" + UNKNOWN).tolist() == [0, 0, 2, 1, 0]
    assert Alphabet("").encode("ab").tolist() == [0, 0]


def test_an_alphabet_has_each_character_once() -> None:
    for wrong in ("aa", "a" + UNKNOWN):
        with pytest.raises(RequestError, match=r"Alphabet\.of"):
            Alphabet(wrong)


def test_windows_follow_each_other_and_targets_are_one_later() -> None:
    windows = TextWindows.of(torch.arange(11), 3)
    assert windows.inputs.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert windows.targets.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert len(TextWindows.of(torch.arange(3), 3)) == 0
    assert len(TextWindows.of(torch.arange(0), 3)) == 0


def test_the_parts_of_a_text_follow_each_other_and_share_nothing() -> None:
    characters = "".join(chr(0x4E00 + place) for place in range(1000))
    splits = split_text(text(characters), 4)
    assert splits.alphabet.characters == characters[:800]
    assert splits.unknown == 200
    assert len(splits.train), len(splits.validation) == (199, 24)
    assert splits.alphabet.decode(splits.train.inputs.flatten()) == characters[:796]
    assert splits.alphabet.decode(splits.test.targets[0]) == UNKNOWN * 4


def test_validation_and_test_are_where_they_are_in_the_text() -> None:
    characters = "ab" * 400 + "a" * 100 + "b" * 100
    splits = split_text(text(characters), 9)
    assert splits.unknown == 0
    assert splits.alphabet.decode(splits.validation.inputs.flatten()) == "a" * 99
    assert splits.alphabet.decode(splits.test.targets.flatten()) == "b" * 99


def test_a_text_that_is_too_short_is_refused_with_the_length_that_would_do() -> None:
    with pytest.raises(RequestError, match=r"too short.*330 characters or more.*`model\.context`"):
        split_text(text("a" * 310), 31)
    assert len(split_text(text("a" * 330), 31).test) == 1
