"""The file of a description: what YAML would turn into something else is refused, and damage never ends otherwise."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes import convert_own, read_samples, read_tables, scene_splits
from lightloom.data.nuscenes.description import read_description

TEXT = """\
cameras:
  - {name: CAM_FRONT, width: 32, height: 24, fx: 20, fy: 20.5, cx: 16, cy: 12,
     translation: [1.7, 0, 1.5], rotation: [0.5, -0.5, 0.5, -0.5]}
scenes:
  - name: drive-1
    frames:
      - time: 12.5
        images: {CAM_FRONT: image.png}
        boxes:
          - {class: car, center: [12, 1.5, -0.8], size: [1.9, 4.6, 1.6], yaw: 0.1, id: 7, points: 3}
splits: {train: [drive-1]}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Image.new("RGB", (32, 24)).save(tmp_path / "image.png")
    return tmp_path


def written(root: Path, text: str, name: str = "own.yaml") -> Path:
    (root / name).write_bytes(text.encode())
    return root / name


def test_a_description_is_read_as_yaml_reads_it(root: Path) -> None:
    file = written(root, TEXT)
    assert read_description(file) == yaml.safe_load(TEXT)
    assert read_description(written(root, "\ufeff" + TEXT)) == yaml.safe_load(TEXT), "a byte order mark is passed over"
    convert_own(file, root)
    assert len(read_samples(read_tables(root, "v1.0-own"), ["drive-1"])) == 1


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("0123", "the number 83, to the base 8"),
        ("-017", "the number -15, to the base 8"),
        ("1:30", "the number 90, to the base 60"),
        ("12:30:45", "the number 45045, to the base 60"),
        ("1:30.5", "the number 90.5, to the base 60"),
        ("0x1F", "the number 31, to the base 16"),
        ("0b101", "the number 5, to the base 2"),
        ("1_000", "the number 1000, passing over `_`"),
        ("1_0.5", "the number 10.5, passing over `_`"),
        ("2021-03-01", "a date"),
        ("2021-03-01 10:00:00", "a date"),
        ("no", "a truth value"),
        ("ON", "a truth value"),
    ],
)
@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("name: drive-1", 5),
        ("id: 7", 10),
        ("time: 12.5", 7),
        ("train: [drive-1", 11),
        ("name: CAM_FRONT", 2),
        ("cx: 16", 2),
    ],
)
def test_words_that_yaml_turns_into_others_are_explained(
    root: Path, place: str, line: int, word: str, kind: str
) -> None:
    front, _, old = place.rpartition("[") if "[" in place else place.rpartition(" ")
    text = TEXT.replace(place, f"{place.removesuffix(old)}{word}", 1)
    with pytest.raises(RequestError) as caught:
        convert_own(written(root, text), root)
    told = str(caught.value)
    assert f"own.yaml`, line {line}: YAML reads `{word}` as {kind}. Put it in quotes, '{word}'" in told
    assert not (root / "v1.0-own").exists() and front


@pytest.mark.parametrize("word", ["0123", "1:30", "7", "1.5", "true", "no", "2021-03-01", "null", "~"])
def test_keys_that_are_no_text_are_explained(root: Path, word: str) -> None:
    with pytest.raises(RequestError, match=r"line 8: YAML reads .* and keys are text\. Put it in quotes") as caught:
        convert_own(written(root, TEXT.replace("{CAM_FRONT:", f"{{{word}:")), root)
    assert f"'{word}'" in str(caught.value)


@pytest.mark.parametrize("word", ["0123", "1:30", "no", "7", "2021-03-01"])
def test_in_quotes_they_are_names(root: Path, word: str) -> None:
    text = TEXT.replace("CAM_FRONT", f"'{word}'").replace("drive-1", f'"{word}"').replace("id: 7", f"id: '{word}'")
    tables = read_tables(convert_own(written(root, text), root), "v1.0-own")
    assert tables.cameras() == (word,) and scene_splits(tables) == {"train": (word,)}


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("name: drive-1", "name: 83", "Scene 0.name"),
        ("name: CAM_FRONT", "name: 1.5", "cameras.0.name"),
        ("[drive-1]", "[1, 2]", "splits.train.0"),
        ("image.png", "12", "images.CAM_FRONT"),
    ],
)
@pytest.mark.parametrize("form", ["yaml", "json"])
def test_numbers_in_the_place_of_text_say_quotes(root: Path, old: str, new: str, field: str, form: str) -> None:
    text = TEXT.replace(old, new)
    text = text if form == "yaml" else json.dumps(yaml.safe_load(text))
    with pytest.raises(RequestError, match=f"{field}: should be text: put it in quotes"):
        convert_own(written(root, text, f"own.{form}"), root)


def test_a_key_that_is_there_twice_is_refused(root: Path) -> None:
    with pytest.raises(RequestError, match="line 9: the key `images` is there twice"):
        convert_own(written(root, TEXT.replace("        boxes:", "        images: {}\n        boxes:")), root)
    with pytest.raises(RequestError, match=r"own\.json`, the key `a` is there twice"):
        convert_own(written(root, '{"cameras": [{"a": 1, "a": 2}], "scenes": []}', "own.json"), root)


def test_an_angle_in_degrees_is_refused(root: Path) -> None:
    with pytest.raises(RequestError, match=r"yaw: should be an angle in rad.*divide degrees"):
        convert_own(written(root, TEXT.replace("yaw: 0.1", "yaw: 90")), root)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own.json", "[" * 100_000),
        ("own.json", '{"cameras": ' + "1" * 5000 + "}"),
        ("own.yaml", "cameras: " + "1" * 5000),
        ("own.yaml", "[" * 1000),
        ("own.yaml", "cameras: !!python/object:os.system {}"),
        ("own.yaml", "cameras: &a [*a, *b]"),
        ("own.yaml", ""),
    ],
)
def test_files_that_are_neither_are_refused(root: Path, name: str, text: str) -> None:
    with pytest.raises(RequestError, match=name.replace(".", r"\.")):
        convert_own(written(root, text, name), root)


DAMAGE: list[Any] = [None, "x", "", [], {}, -1, 0, True, 1.5, 1e300, float("nan"), 10**400, [1e300] * 3, [10**400] * 4]


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from _places(value, (*path, key))


PLACES = list(_places(yaml.safe_load(TEXT)))


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_damage_anywhere_is_refused_or_harmless(root: Path, path: tuple[Any, ...]) -> None:
    """Every value replaced by others: `RequestError` or tables that can be read, and nothing else."""
    for value in DAMAGE:
        given = copy.deepcopy(yaml.safe_load(TEXT))
        parent = given
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = value
        (root / "own.json").write_text(json.dumps(given))
        try:
            convert_own(root / "own.json", root)
        except RequestError:
            continue
        tables = read_tables(root, "v1.0-own")
        read_samples(tables, [str(scene["name"]) for scene in tables["scene"].values()])
