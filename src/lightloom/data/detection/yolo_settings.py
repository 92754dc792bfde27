"""What a set in the form of YOLO says of itself: the yaml file with its names, its splits and its keypoints."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lightloom.common.errors import RequestError
from lightloom.data.detection.checks import match_classes
from lightloom.data.detection.listing import hidden
from lightloom.data.detection.texts import read_lines, read_text
from lightloom.data.detection.yolo_rows import KeyPoints

_USUAL = ("data.yaml", "data.yml")
_NOTHING = ("", "~", "null", "none")
_LISTS = ("classes.txt", "labels/classes.txt", "images/classes.txt", "labels/*/classes.txt", "*/labels/classes.txt",
          "*/classes.txt", "*.names")  # fmt: skip


class Settings(NamedTuple):
    """A yaml file, every value of it as it is written: a word, a list or a mapping of words."""

    file: Path | None
    page: dict[str, Any]

    def words(self, key: str) -> list[str]:
        """What stands under a key, one word or a list of them; nothing where it is empty or not there."""
        value = self.page.get(key)
        words = value if isinstance(value, list) else [value]
        return [word.strip() for word in words if isinstance(word, str) and word.strip().lower() not in _NOTHING]

    def key_points(self) -> KeyPoints | None:
        """What `kpt_shape` says. Raises `RequestError` where that is not a count and 2 or 3."""
        words = self.words("kpt_shape")
        if not words:
            return None
        if len(words) != 2 or not all(word.isdecimal() for word in words) or words[1] not in ("2", "3"):
            raise RequestError(
                f"`{self.file}`: `kpt_shape` is [{', '.join(words)}]; give the number of keypoints, and 2 (x, y) or 3 "
                "(with visibility): [17, 3]."
            )
        return KeyPoints(int(words[0]), int(words[1])) if int(words[0]) else None


class _Words(yaml.BaseLoader):
    """Leaves `yes`, `010` and `1.0` the words that they are, and refuses a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` is there twice", key.start_mark)
            keys.add(str(key.value))
        return super().construct_mapping(node, deep)


def read_settings(root: Path) -> Settings:
    """The yaml file of a set: `data.yaml`, or else the one that has `names`; an empty page where there is none.

    Raises:
        RequestError: The file does not parse, or there are several that say different things.
    """
    files = sorted(path for path in root.iterdir() if path.suffix.lower() in (".yaml", ".yml") and path.is_file())
    files = [path for path in files if not hidden(path)]
    usual = next((path for path in files if path.name.lower() in _USUAL), None)
    if usual is not None:
        return Settings(usual, _parsed(usual))
    pages: list[Settings] = []
    broken: RequestError | None = None
    for path in files:
        try:
            page = _parsed(path)
        except RequestError as error:
            broken = broken or error
            continue
        if "names" in page:
            pages.append(Settings(path, page))
    if any(one.page != pages[0].page for one in pages):
        raise RequestError(
            f"`{root}` has {len(pages)} yaml files with `names`: {', '.join(f'`{one.file}`' for one in pages)}. "
            "Name the one that describes the set `data.yaml`."
        )
    if broken is not None and not pages and not _class_lists(root):
        raise broken
    return pages[0] if pages else Settings(None, {})


def class_names(root: Path, settings: Settings, expected: Sequence[str] | None) -> tuple[str, ...]:
    """Class names in the order of the labels, from the yaml file, a `classes.txt` or a `*.names`, or as asked for.

    Args:
        root: Folder of the set.
        settings: Its yaml file.
        expected: What they must be; None takes what is there.

    Raises:
        RequestError: There are none, two lists differ, a name is doubled or missing, or they are not those asked for.
    """
    names = settings.page.get("names")
    if isinstance(names, dict):
        names = _numbered(names, settings.file)
    if isinstance(names, list):
        words = [name.strip() if isinstance(name, str) else "" for name in names]
        if not all(words):
            raise RequestError(f"`{settings.file}`: class {words.index('')} of `names` is no name; give it one.")
        return match_classes(words, expected, str(settings.file))
    if isinstance(names, str) and names.strip():
        raise RequestError(f"`{settings.file}`: `names` is `{names[:40]}`; give a list: `names: [cat, dog]`.")
    lists = {path: [line for line in read_lines(path) if line] for path in _class_lists(root)}
    if lists:
        (path, words), *others = lists.items()
        for other, listed in others:
            if listed != words:
                raise RequestError(f"`{path}` and `{other}` list different classes; keep the one that is right.")
        return match_classes(words, expected, str(path))
    if expected is None:
        raise RequestError(
            f"`{root}` has no class list; give `classes`, or `names` in a yaml file in it, or a `classes.txt`."
        )
    return match_classes(list(expected), None, "classes")


def _numbered(names: dict[str, Any], file: Path | None) -> list[Any]:
    try:
        labels = {int(float(label)): name for label, name in names.items() if float(label).is_integer()}
    except ValueError:
        labels = {}
    if len(labels) < len(names) or sorted(labels) != list(range(len(names))):
        raise RequestError(f"`{file}`: number the `names` 0 ... {len(names) - 1}, each once.")
    return [labels[label] for label in range(len(labels))]


def _class_lists(root: Path) -> list[Path]:
    return [path for form in _LISTS for path in sorted(root.glob(form)) if path.is_file() and not hidden(path)]


def _parsed(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        page = yaml.load(text, _Words)  # which makes words, lists and mappings only
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RequestError(f"`{path}`, line {line}: not YAML: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise RequestError(f"`{path}` is not YAML: {error}.") from None
    if not isinstance(page, dict):
        raise RequestError(f"`{path}` holds no keys; give `names`, and where the images are.")
    return page
