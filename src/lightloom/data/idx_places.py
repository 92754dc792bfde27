"""Where the four IDX files of a set are in a user's folder, however they were unpacked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

_TORCHVISION = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST", "emnist_balanced": "EMNIST"}


def idx_folders(folder: Path) -> list[Path]:
    """The folders in which the files of a set may be, as far as they are there, the likeliest first.

    That is the one of its name, also written otherwise (`MNIST`, `fashion-mnist`), and `raw` in it, as torchvision
    leaves it.

    Args:
        folder: Of the set, in the folder that holds those of all sets.
    """
    names = {_plain(folder.name), _plain(_TORCHVISION.get(folder.name, folder.name))}
    above = folder.parent
    siblings = sorted(path for path in above.iterdir() if _plain(path.name) in names) if above.is_dir() else []
    inside = folder / _TORCHVISION.get(folder.name, "raw")
    homes = [folder, inside, *siblings, *([above] if _plain(above.name) in names else [])]
    every = [place for home in homes for place in (home, home / "raw")]
    return list(dict.fromkeys(place for place in every if place.is_dir()))


def idx_files(folder: Path, names: Sequence[str]) -> list[Path | None]:
    """The files with these names (without `.gz`) in one folder, each compressed or not; None for each that is missing.

    Unpackers write `train-images.idx3-ubyte` for `train-images-idx3-ubyte`, or a folder of the name around the file.

    Args:
        folder: Where they are.
        names: As the set's archive has them.
    """
    return [next((path for path in _spellings(folder, name) if path.is_file()), None) for name in names]


def _spellings(folder: Path, name: str) -> Iterator[Path]:
    for stem in (name, name.replace("-idx", ".idx")):
        for place in (folder, folder / name, folder / stem):
            yield place / f"{stem}.gz"
            yield place / stem
            yield place / f"{stem}.gz.gz"


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())
