"""Sets in COCO form as exporters leave them: file names, ids, headings, flags, and where the files are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from labelled import CORNERS, H, W, picture, text

from lightloom.common.errors import RequestError
from lightloom.data.detection import DetectionSet, ReadOptions, load_detection, read_coco

CAT = ({"id": 1, "name": "cat"},)


def content(names: dict[Any, str], categories: Any = CAT, **changes: Any) -> str:
    """A file with a box in each image; `changes` go into every annotation."""
    return json.dumps({
        "images": [{"id": key, "file_name": name, "width": W, "height": H} for key, name in names.items()],
        "categories": list(categories),
        "annotations": [
            {"id": number, "image_id": key, "category_id": 1, "bbox": [6, 4, 30, 20], **changes}
            for number, key in enumerate(names, 1)
        ],
    })  # fmt: skip


def read(root: Path, page: str, on_invalid: str = "fail") -> DetectionSet:
    picture(root / "images/a.png")
    return read_coco(text(root / "page.json", page), root / "images", on_invalid=on_invalid)  # type: ignore[arg-type]


def kinds(source: DetectionSet) -> list[tuple[str, str]]:
    return [(problem.kind, problem.done) for problem in source.problems]


PREFIXES = ("", "images/", "./", "train/", "images/train/", "../images/train/", "train2017/", "images\\",
            "images\\train\\", "C:\\Users\\me\\set\\images\\", "/home/me/set/train/", "upload/1/")  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "place", ["images", "images/train", "train", "train2017", "images/train2017", "JPEGImages", "."]
)
def test_a_file_name_may_begin_with_folders_in_any_way(tmp_path: Path, place: str, prefix: str) -> None:
    for number in range(1, 6):
        picture(tmp_path / place / f"{number}.png", (W, H))
    names = {number: f"{prefix}{number}.png" for number in range(1, 6)}
    text(tmp_path / "annotations/instances_train.json", content(names))
    splits = load_detection(f"coco:{tmp_path}", reading=ReadOptions(on_invalid="fail"))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [3, 1, 1]
    assert splits.train.box_count == 3
    assert {problem.kind for problem in splits.problems} <= {"moved images"}


@pytest.mark.parametrize(
    "file",
    ["annotations/instances_{}2017.json", "annotations/instances_{}2014.json", "annotations/instances_{}.json",
     "annotations/{}.json", "{}.json", "{}/_annotations.coco.json", "instances_{}.json", "annotations_{}.json"],
)  # fmt: skip
@pytest.mark.parametrize("year", ["", "2017", "2014"])
@pytest.mark.parametrize("home", ["{}", "images/{}"])
def test_files_of_each_split_are_found(tmp_path: Path, file: str, home: str, year: str) -> None:
    if (year not in file) or (year == "" and "20" in file):
        home, year = "{}", ""
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        names = {number: f"{split}{number}.png" for number in range(count)}
        for name in names.values():
            picture(tmp_path / (home.format(split) + year) / name, (W, H))
        text(tmp_path / file.format(split), content(names))
    splits = load_detection(f"coco:{tmp_path}", reading=ReadOptions(on_invalid="fail"))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [3, 2, 1]
    assert not splits.problems


def test_one_file_without_a_split_is_divided_and_said(tmp_path: Path) -> None:
    names = {number: f"{number:02d}.png" for number in range(10)}
    for name in names.values():
        picture(tmp_path / "images" / name, (W, H))
    text(tmp_path / "result.json", content(names))
    text(tmp_path / "package.json", "{}")
    splits = load_detection(f"coco:{tmp_path}")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [7, 1, 2]
    assert [problem.kind for problem in splits.problems] == ["no split", "drawn split"]
    (tmp_path / "images").rename(tmp_path / "default")
    (tmp_path / "images").mkdir()
    (tmp_path / "default").rename(tmp_path / "images/default")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "result.json").rename(tmp_path / "annotations/instances_default.json")
    assert len(load_detection(f"coco:{tmp_path}").train) == 7
    text(tmp_path / "second.json", content(names))
    with pytest.raises(RequestError, match=r"2 files of annotations.*default\.json.*second\.json"):
        load_detection(f"coco:{tmp_path}")


def test_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    picture(tmp_path / "images/other.png")
    with pytest.raises(RequestError, match=r"`lost/b\.png`, was looked for in `.*images`.*holds `other\.png`"):
        read_coco(text(tmp_path / "page.json", content({1: "lost/b.png"})), tmp_path / "images")
    text(tmp_path / "set/labels.csv", "")
    with pytest.raises(RequestError, match=r"instances_train2017\.json` is missing\. .*holds `labels\.csv`"):
        load_detection(f"coco:{tmp_path / 'set'}")


def test_names_that_no_file_can_have_and_two_for_one_file(tmp_path: Path) -> None:
    source = read(tmp_path, content({1: "a.png", 2: "x" * 5000, 3: "a\0b", 4: "", 5: "other/a.png"}), "skip")
    assert len(source) == 1
    assert sorted(kinds(source)) == [("duplicate image", "dropped")] + [("missing image", "dropped")] * 3


# categories


HEADING = {"id": 0, "name": "cat", "supercategory": "none"}


@pytest.mark.parametrize("heading", ["cat", "animals"])
def test_a_heading_is_no_class_and_is_said(tmp_path: Path, heading: str) -> None:
    categories = [{**HEADING, "name": heading}, {"id": 1, "name": "cat", "supercategory": heading}]
    source = read(tmp_path, content({1: "a.png"}, categories))
    assert source.classes == ("cat",) and source.records[0].labels.tolist() == [0]
    assert kinds(source) == [("heading category", "dropped")] and f"`{heading}`" in source.problems[0].what


def test_classes_without_annotations_stay_classes(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "person", "supercategory": "person"},
        {"id": 1, "name": "cat", "supercategory": "animal"},
        {"id": 2, "name": "dog", "supercategory": "none"},
    ]
    source = read(tmp_path, content({1: "a.png"}, categories))
    assert source.classes == ("person", "cat", "dog") and not source.problems


def test_a_doubled_class_is_named_with_its_ids(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 7, "name": "cat"}]
    with pytest.raises(RequestError, match=r"`cat` is there more than once.*`cat` has the ids 1, 7"):
        read(tmp_path, content({1: "a.png"}, categories))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"id": 1.5, "name": "cat"}, "category 1 lacks an integer `id`"),
        ({"id": "one", "name": "cat"}, "category 1 lacks an integer `id`"),
        ({"id": 1}, "category 1 lacks"),
        ({"id": 1, "name": ""}, "category 1 lacks"),
        ("cat", "category 1 lacks"),
    ],
)
def test_categories_that_are_none_are_refused(tmp_path: Path, entry: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        read(tmp_path, content({1: "a.png"}, [entry]))


# ids, flags and boxes


@pytest.mark.parametrize("image", [1, 1.0, "1"])
@pytest.mark.parametrize("owner", [1, 1.0, "1"])
@pytest.mark.parametrize("category", [1, 1.0, "1"])
@pytest.mark.parametrize("used", [1, 1.0, "1"])
def test_ids_are_the_same_however_a_table_wrote_them(
    tmp_path: Path, image: Any, owner: Any, category: Any, used: Any
) -> None:
    page = json.loads(content({1: "a.png"}, [{"id": category, "name": "cat"}], category_id=used, image_id=owner))
    page["images"][0]["id"] = image
    source = read(tmp_path, json.dumps(page), "skip")
    assert source.records[0].boxes.tolist() == [CORNERS] and source.records[0].key == "1"
    assert kinds(source) == ([("string id", "renumbered")] if image == "1" else [])


@pytest.mark.parametrize("value", [1.5, None, True, [1]])
def test_an_id_that_is_none_is_named_by_the_file(tmp_path: Path, value: Any) -> None:
    page = json.loads(content({1: "a.png"}))
    page["images"][0]["id"] = value
    with pytest.raises(RequestError, match=r"image 1 of its list, `a\.png`, has the id .*give a whole number"):
        read(tmp_path, json.dumps(page), "skip")


@pytest.mark.parametrize(
    ("value", "crowd"),
    [(0, False), (1, True), ("0", False), ("1", True), ("true", True), ("False", False), (True, True), (False, False),
     (0.0, False), (1.0, True), (None, False), ("", False)],
)  # fmt: skip
@pytest.mark.parametrize("key", ["iscrowd", "ignore", "difficult"])
def test_flags_may_be_words(tmp_path: Path, key: str, value: Any, crowd: bool) -> None:
    (record,) = read(tmp_path, content({1: "a.png"}, **{key: value})).records
    assert record.crowd.tolist() == [crowd and key == "iscrowd"]
    assert record.ignored.tolist() == [crowd and key != "iscrowd"]
    assert record.targets.tolist() == [not crowd]


@pytest.mark.parametrize(
    "change",
    [{"iscrowd": "maybe"}, {"iscrowd": 2}, {"bbox": "1234"}, {"bbox": [1, 2, 3]}, {"bbox": [True, 2, 3, 4]},
     {"bbox": [1, 2, None, 4]}, {"bbox": None}, {"bbox": []}, {"bbox": {"x": 1}}],
)  # fmt: skip
def test_what_is_no_flag_and_no_box_is_noted(tmp_path: Path, change: dict[str, Any]) -> None:
    page = json.loads(content({1: "a.png"}))
    page["annotations"].append({**page["annotations"][0], "id": 2, **change})
    source = read(tmp_path, json.dumps(page), "skip")
    assert source.box_count == 1 and kinds(source) == [("damaged annotation", "dropped")]
    assert "annotation 2" in source.problems[0].where


def test_a_set_that_loses_most_of_its_boxes_is_refused(tmp_path: Path) -> None:
    page = json.loads(content({1: "a.png"}))
    page["annotations"] += [{"id": n, "image_id": 77, "category_id": 1, "bbox": [1, 1, 5, n]} for n in range(2, 12)]
    with pytest.raises(RequestError, match=r"loses 10 of 11 boxes \(10 x unlisted image\).*there is no image 77"):
        read(tmp_path, json.dumps(page), "skip")
    assert len(read(tmp_path, json.dumps(page), "any").problems) == 10


@pytest.mark.parametrize("stated", [(W, H), (H, W)])
def test_the_stated_size_tells_whether_boxes_are_turned(tmp_path: Path, stated: tuple[int, int]) -> None:
    picture(tmp_path / "images/turned.jpg", orientation=6)
    page = json.loads(content({1: "turned.jpg"}))
    page["images"][0] |= {"width": float(stated[0]), "height": stated[1]}
    source = read(tmp_path, json.dumps(page))
    assert (source.records[0].width, source.records[0].height) == stated
    assert kinds(source) == [("orientation", "kept" if stated == (W, H) else "turned")]
