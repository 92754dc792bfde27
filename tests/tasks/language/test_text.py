"""Texts: the embedded one, files of all kinds, and each way in which a file can be wrong."""

import hashlib
from pathlib import Path

import pytest

from lightloom.common.errors import RequestError
from lightloom.tasks.language.text import embedded_text, read_text


def test_the_embedded_text_is_the_same_every_time_and_says_no_paragraph_twice() -> None:
    text = embedded_text()
    assert text == embedded_text() == read_text("pydoc")
    assert text.sha256 == hashlib.sha256(text.characters.encode()).hexdigest()
    assert len(text.characters) > 100_000
    blank_lines = [" ".join(paragraph.split()) for paragraph in text.characters.split("\n\n")]
    assert len(set(blank_lines)) == len(blank_lines)


def test_a_file_is_read_as_it_is_and_its_hash_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "poem.txt"
    path.write_bytes("\ufeffeins\r\nzw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf\rdrei\n".encode())
    text = read_text(str(path))
    assert text.characters == "eins\nzw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf\ndrei\n"
    assert text.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert text.title == "file `poem.txt`"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"caf\xe9 au lait", r"not text in UTF-8: byte 3 is wrong \(e9 20"),
        (b"ELF\0\0\1", "its character 3 is NUL"),
    ],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=words):
        read_text(str(path))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"There is no text .*`pydoc`"):
        read_text(str(tmp_path / "pydok"))
    with pytest.raises(RequestError, match="is no file"):
        read_text(str(tmp_path))
    with pytest.raises(RequestError, match="cannot be read"):
        read_text("a" * 5000)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate((1 << 28) + 1)
    with pytest.raises(RequestError, match="268,435,457 bytes"):
        read_text(str(path))
