"""Files of a folder by their name without ending, whatever the case of the ending."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from unicodedata import normalize

IMAGE_ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif", ".jp2", ".ppm", ".pgm"}
    | {".avif", ".heic", ".heif", ".mpo", ".tga"}
)
"""Endings of image files, in small letters; one of a kind that PIL cannot read becomes a problem of its set."""


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have, as annotations may state, is none."""
    return os.path.isfile(path)  # noqa: PTH113, since that of paths raises OSError on names that are too long


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; as `is_file`."""
    return os.path.isdir(path)  # noqa: PTH112


def hidden(path: Path) -> bool:
    """Whether a file is none of the user's: names with a dot in front, and what macOS puts beside files."""
    return path.name.startswith(".") or "__MACOSX" in path.parts


def files_below(folder: Path, endings: Collection[str]) -> list[Path]:
    """The files with these endings (in small letters) in a folder and below, in the same order on every machine.

    Args:
        folder: Where to begin.
        endings: Endings with their dots, in small letters.
    """
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file()]
    return sorted((path for path in paths if not hidden(path)), key=lambda path: path.relative_to(folder).parts)


class Listing:
    """Looks files up by folder and name; each folder is read once."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[str]]] = {}

    def find(self, folder: Path, stem: str, endings: Collection[str]) -> Path | None:
        """The file of this name with one of these endings (in small letters), or None.

        Where several differ in the case of their ending, the one in small letters is taken.

        Args:
            folder: Where it is.
            stem: Its name without the ending.
            endings: With their dots.
        """
        names = [name for name in self._stems(folder).get(_composed(stem), []) if _ending(name).lower() in endings]
        return folder / min(names, key=lambda name: (_ending(name) != _ending(name).lower(), name)) if names else None

    def files(self, folder: Path, endings: Collection[str]) -> Iterator[Path]:
        """Every file of a folder with one of these endings, by name, without hidden ones.

        Args:
            folder: Where they are.
            endings: Endings with their dots, in small letters.
        """
        for names in self._stems(folder).values():
            for name in names:
                if _ending(name).lower() in endings and not hidden(folder / name):
                    yield folder / name

    def _stems(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._folders:
            stems: dict[str, list[str]] = {}
            if is_folder(folder):
                for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_file()):
                    stems.setdefault(_composed(name.removesuffix(_ending(name))), []).append(name)
            self._folders[folder] = stems
        return self._folders[folder]


def _ending(name: str) -> str:
    return os.path.splitext(name)[1]  # noqa: PTH122, since there is one for each file of a large set


def _composed(stem: str) -> str:
    """Some file systems take letters and their accents apart."""
    return stem if stem.isascii() else normalize("NFC", stem)
