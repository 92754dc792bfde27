"""Where the images and the label files of a set in the form of YOLO are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PureWindowsPath

from lightloom.common.errors import RequestError
from lightloom.data.detection.checks import Findings
from lightloom.data.detection.listing import IMAGE_ENDINGS, Listing, files_below, hidden, is_file, is_folder
from lightloom.data.detection.texts import read_lines, read_text
from lightloom.data.detection.yolo_settings import Settings
from lightloom.data.files import contents

SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
"""The splits, and what folders and keys call them."""

_TEXT = {".txt"}
_LISTS = ("classes", *(name for names in SPLITS.values() for name in names))


def named_splits(root: Path, settings: Settings) -> dict[str, bool]:
    """The splits that the yaml file or the usual folders name, and whether the images of each are there.

    Args:
        root: Folder of the set.
        settings: Content of its yaml file.
    """
    there = {split: bool(_usual(root, split)) for split in SPLITS}
    for split, names in SPLITS.items():
        words = [word for name in names for word in settings.words(name)]
        if words:
            there[split] = there[split] or any(_place(root, settings, word) is not None for word in words)
    return {split: is_there for split, is_there in there.items() if is_there or _words(settings, split)}


def split_images(root: Path, settings: Settings, split: str, findings: Findings) -> list[Path]:
    """The image files of a split, each once.

    They are where the yaml file says, one folder or list file or several, or else in the usual folders. Where a set
    names no split at all, its whole `images`, or itself, is `train`.

    Args:
        root: Folder of the set.
        settings: Its yaml file.
        split: `train`, `val`, `test`, or another name that the set uses.
        findings: Takes a note where images are read from another place than is written.

    Raises:
        RequestError: There are none; the message says where they were looked for.
    """
    places = _places(root, settings, split, findings)
    paths: dict[Path, None] = {}
    for place in places:
        for path in files_below(place, IMAGE_ENDINGS) if place.is_dir() else _listed(root, settings, place, findings):
            if path in paths:
                findings.note("duplicate image", f"`{path}`", f"it is twice in the split `{split}`", "dropped")
            paths[path] = None
    if not paths:
        listed = ", ".join(f"`{place}`" for place in places)
        raise RequestError(f"The split `{split}` has no image in {listed}. {contents(places[0])}")
    return list(paths)


class LabelFiles:
    """Finds the label file of each image.

    An image in `.../images/...` has it in `.../labels/...`, or beside itself, or in a folder `labels` beside it.

    Args:
        root: Folder of the set, in which a file of the same name and of no other image is looked for at last.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._listing = root, Listing()
        self._lost: dict[str, list[Path]] | None = None

    def find(self, image: Path, findings: Findings) -> Path | None:
        """The label file of an image, or None. One in an unusual place is noted, and read if there is only one.

        Args:
            image: The image.
            findings: The notes.
        """
        for folder in _label_folders(image.parent):
            path = self._listing.find(folder, image.stem, _TEXT)
            if path is not None:
                return path
        if self._lost is None:
            self._lost = {}
            for path in files_below(self._root, _TEXT):
                if not self._has_image(path) and _is_label(path):
                    self._lost.setdefault(path.stem, []).append(path)
        elsewhere = self._lost.get(image.stem, [])
        if len(elsewhere) == 1:
            findings.note(
                "moved labels", f"`{image}`", f"its labels are in `{elsewhere[0]}`, an unusual place", "mended"
            )
            return elsewhere[0]
        if elsewhere:
            listed = ", ".join(f"`{path}`" for path in elsewhere[:3])
            findings.note("unread labels", f"`{image}`", f"{listed} all have its name, none is beside it", "kept")
        return None

    def orphans(self, images: Iterable[Path], labels: set[Path]) -> Iterator[tuple[Path, str]]:
        """Label files that no image is read with, in the folders where labels were looked for, and why.

        Args:
            images: Images of all splits.
            labels: Label files that belong to them.
        """
        homes: dict[Path, set[Path]] = {}
        owners = set(images)
        for home in dict.fromkeys(image.parent for image in owners):
            for folder in _label_folders(home):
                homes.setdefault(folder, set()).add(home)
        for folder in sorted(homes):
            for path in sorted(self._listing.files(folder, _TEXT)):
                if path in labels:
                    continue
                beside = (self._listing.find(home, path.stem, IMAGE_ENDINGS) for home in homes[folder])
                image = next((image for image in beside if image is not None), None)
                if not _is_label(path):
                    continue
                if image is None and not self._has_image(path):
                    yield path, "no image has this name"
                elif image in owners:
                    yield path, f"other labels of `{image}` are read"

    def _has_image(self, path: Path) -> bool:
        folders = [Path(*path.parent.parts[:place], "images", *path.parent.parts[place + 1 :])
                   for place, part in enumerate(path.parent.parts) if part == "labels"]  # fmt: skip
        folders += [path.parent, path.parent.parent, path.parent.parent.parent / path.parent.name]
        return any(self._listing.find(folder, path.stem, IMAGE_ENDINGS) is not None for folder in folders)


def _label_folders(folder: Path) -> list[Path]:
    """Folders where the labels of the images in a folder may be, the most usual first."""
    parts = folder.parts
    places = [place for place in range(len(parts) - 1, -1, -1) if parts[place].lower() == "images"]
    swapped = [Path(*parts[:place], "labels", *parts[place + 1 :]) for place in places]
    return list(dict.fromkeys([*swapped, folder, folder / "labels", folder.parent / "labels" / folder.name]))


def _is_label(path: Path) -> bool:
    """Whether a text file looks like labels, as read-me files and lists of images do not."""
    if path.stem.lower() in _LISTS or hidden(path):
        return False
    try:
        words = read_text(path).split(maxsplit=1)
    except RequestError:
        return True  # whoever reads it says what is wrong
    return not words or re.fullmatch(r"[-+.\d][-+.\deE,]*", words[0]) is not None


def _words(settings: Settings, split: str) -> list[str]:
    return next((words for name in SPLITS.get(split, (split,)) if (words := settings.words(name))), [])


def _places(root: Path, settings: Settings, split: str, findings: Findings) -> list[Path]:
    """Folders or list files of a split, as written or as usual. Raises `RequestError` where there is none."""
    words, usual = _words(settings, split), _usual(root, split)
    where = f"`{settings.file}`, `{split}`"
    places: list[Path] = []
    for word in words:
        place = _place(root, settings, word)
        if place is None and len(words) == 1 and usual is not None:
            place = usual
        if place is None:
            looked = ", ".join(f"`{tried}`" for tried in dict.fromkeys(_tries(root, settings, word)))
            raise RequestError(f"{where} names `{word}`, which is neither of {looked}. {contents(root)}")
        if place not in _tries(root, settings, word):
            findings.remark("moved images", where, f"there is no `{word}`; `{place}` is read in its place", "mended")
        places.append(place)
    if places:
        return list(dict.fromkeys(places))
    if usual is not None:
        return [usual]
    if split == "train" and not named_splits(root, settings):
        whole = next((place for place in (root / "images", root) if place.is_dir() and _holds_images(place)), None)
        if whole is not None:
            findings.remark("no split", f"`{root}`", f"no split is named, so all images of `{whole}` are one", "kept")
            return [whole]
    raise RequestError(
        f"The images of the split `{split}` were looked for in `{root / 'images' / split}`, "
        f"`{root / split / 'images'}`, `{root / split}`, `{root / split}.txt`, and by `{split}` of "
        f"{f'`{settings.file}`' if settings.file else 'a yaml file with `names`, which there is none of'}; "
        f"there are none. {contents(root)}"
    )


def _tries(root: Path, settings: Settings, word: str) -> list[Path]:
    """Places where a folder or list that the yaml file names may be."""
    bases = [root, *(root / _slashes(base) for base in settings.words("path")[:1])]
    word = _slashes(word)
    # some exporters write `../train/images` and mean `train/images`
    return [bases[-1] / word, root / word, root / re.sub(r"^(\.\./)+", "", word)]


def _place(root: Path, settings: Settings, word: str) -> Path | None:
    """The first of them that is there, or what is left in this folder of a path of another machine."""
    tails = [root.joinpath(*parts) for parts in _tails(_slashes(word)) if len(parts) > 1]
    return next(
        (place for place in (*_tries(root, settings, word), *tails) if is_file(place) or is_folder(place)), None
    )


def _usual(root: Path, split: str) -> Path | None:
    """The usual place of a split's images, or None."""
    for name in SPLITS.get(split, (split,)):
        years = sorted(root.glob(f"images/{name}[12][09][0-9][0-9]"))
        for place in (root / "images" / name, root / name / "images", *years, root / name):
            if place.is_dir() and _holds_images(place):
                return place
        if (root / f"{name}.txt").is_file():
            return root / f"{name}.txt"
    return None


def _holds_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_ENDINGS and not hidden(path) for path in folder.rglob("*"))


def _listed(root: Path, settings: Settings, place: Path, findings: Findings) -> list[Path]:
    """The images that a list file names; a missing one stays, to be noted when it is opened."""
    paths, relocated = [], list[tuple[str, Path]]()
    for line in filter(None, read_lines(place)):
        name = _slashes(line)
        bases = [place.parent, *(root / _slashes(base) for base in settings.words("path")[:1]), root]
        path = next((base / name for base in bases if is_file(base / name)), None)
        if path is None:
            path = next((root.joinpath(*parts) for parts in _tails(name) if is_file(root.joinpath(*parts))), None)
            relocated += [] if path is None else [(line, path)]
        paths.append(path or place.parent / name)
    if relocated:
        what = (
            f"{len(relocated)} images are not where it says; "
            f"of the first, `{relocated[0][0]}`, `{relocated[0][1]}` is read"
        )
        findings.remark("moved images", f"`{place}`", what, "mended")
    return paths


def _slashes(word: str) -> str:
    return PureWindowsPath(word).as_posix() if "\\" in word else word


def _tails(word: str) -> Iterator[tuple[str, ...]]:
    """The ends of a path, the longest first."""
    parts = [part for part in word.split("/") if part not in ("", ".", "..") and not part.endswith(":")]
    for place in range(len(parts)):
        yield tuple(parts[place:])
