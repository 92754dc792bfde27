"""Sets in VOC form as labelling tools leave them: lists, folders, objects, difficult ones, turned pictures."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from labelled import BOX, CORNERS, H, W, page, picture, text, voc

from lightloom.common.errors import RequestError
from lightloom.data.detection import DetectionSet, letterbox, load_detection, read_voc

CAT = f"<name>cat</name>{BOX}"


def kinds(read: DetectionSet) -> list[tuple[str, str]]:
    return [(problem.kind, problem.done) for problem in read.problems]


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("a", "a"), ("a", "a.png"), ("a", "a.PNG"), ("a", "a.xml"), ("a", "JPEGImages/a.png"), ("a", "./a.png"),
        ("a", "./JPEGImages/a.png ./Annotations/a.xml"), ("a", "a  1"), ("a", "a -1"), ("a", "  a\t0 "),
        ("IMG 0001", "IMG 0001"), ("IMG 0001", "IMG 0001.png"), ("IMG 0001", "IMG 0001  1"), ("photo (2)", "photo (2)"),
        ("a 1", "a 1"), ("v1.2", "v1.2"), ("v1.2", "v1.2.png"), ("a.png", "a.png"), ("Füchse", "Fu\u0308chse"),
        ("sub/a", "sub/a"), ("sub/a", "sub\\a.png"),
    ],
)  # fmt: skip
def test_a_line_of_a_list_names_the_file_that_is_there(tmp_path: Path, key: str, line: str) -> None:
    voc(tmp_path, key, listed=f"{line}\n\n")
    read = read_voc(tmp_path, "train", on_invalid="fail")
    assert [record.key for record in read.records] == [key] and not read.problems
    assert read.records[0].boxes.tolist() == [CORNERS]


def test_a_line_that_names_nothing_says_what_was_looked_for(tmp_path: Path) -> None:
    voc(tmp_path, "a", listed="a\nIMG 0002\n")
    read = read_voc(tmp_path, "train")
    assert kinds(read) == [("missing annotation", "dropped")]
    assert "Annotations/IMG 0002.xml`" in read.problems[0].what and "train.txt`, line 2" in read.problems[0].where
    text(tmp_path / "ImageSets/Main/train.txt", "IMG 0002\n")
    with pytest.raises(RequestError, match=r"no usable image\. The first: .*IMG 0002\.xml"):
        read_voc(tmp_path, "train", classes=("cat",))


def test_files_that_no_list_names_are_not_read_and_said(tmp_path: Path) -> None:
    voc(tmp_path, *"abcde")
    text(tmp_path / "Annotations/._a.xml", b"\x00\x05\x16\x07" + bytes(40))
    text(tmp_path / "Annotations/old.xml", page("<name>zebra</name>" + BOX))
    assert read_voc(tmp_path, "train", on_invalid="fail").classes == ("cat",)
    (problem,) = load_detection(f"voc:{tmp_path}").problems
    assert (problem.kind, problem.done) == ("unlisted annotation", "dropped") and "old.xml" in problem.what


FOLDERS = {
    "Annotations and JPEGImages": ("Annotations", "JPEGImages"),
    "annotations and images": ("annotations", "images"),
    "annots": ("annots", "images"),
    "beside": ("images", "images"),
    "here": (".", "."),
    "xml": ("xml", "imgs"),
}


@pytest.mark.parametrize("where", FOLDERS)
def test_folders_of_labelimg_are_divided_the_same_everywhere(tmp_path: Path, where: str) -> None:
    pages, images = FOLDERS[where]

    def keys(root: Path) -> list[list[str]]:
        for number in range(20):
            picture(root / images / f"{number:02d}.JPG", (W, H))
            text(root / pages / f"{number:02d}.XML", page(CAT, size=(W, H), name=f"{number:02d}.jpg"))
        picture(root / images / "bare.jpg")
        splits = load_detection(f"voc:{root}")
        told = {problem.kind: problem.what for problem in splits.problems}
        assert list(told) == ["no annotation", "no split", "drawn split"]
        assert "1 images have no annotation file" in told["no annotation"]
        assert "4 images were drawn for the test" in told["drawn split"] and "13 are left" in told["drawn split"]
        assert all(record.boxes.tolist() == [CORNERS] for record in splits.train.records)
        return [[record.key for record in part.records] for part in (splits.train, splits.validation, splits.test)]

    one, two = keys(tmp_path / "one"), keys(tmp_path / "two" / "deeper")
    assert one == two and sorted(chain(*one)) == [f"{number:02d}" for number in range(20)]
    assert one[2] == ["00", "02", "03", "05"]  # on every machine


@pytest.mark.parametrize("pages", ["{split}", "annotations/{split}", "{split}/annotations"])
@pytest.mark.parametrize("images", ["{split}", "images/{split}", "{split}/images"])
def test_splits_may_be_folders(tmp_path: Path, pages: str, images: str) -> None:
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        for number in range(count):
            picture(tmp_path / images.format(split=split) / f"{number}.jpg")
            text(tmp_path / pages.format(split=split) / f"{number}.xml", page(CAT))
    splits = load_detection(f"voc:{tmp_path}")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [3, 2, 1]
    assert not splits.problems


def test_the_only_list_is_that_to_learn_from(tmp_path: Path) -> None:
    voc(tmp_path, *"abcdef")
    (tmp_path / "ImageSets/Main/train.txt").rename(tmp_path / "ImageSets/Main/default.txt")
    splits = load_detection(f"voc:{tmp_path}")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [4, 1, 1]
    assert [problem.kind for problem in splits.problems] == ["no split", "drawn split"]
    text(tmp_path / "ImageSets/Main/other.txt", "a\n")
    with pytest.raises(RequestError, match=r"no split `train`; it has the lists `default`, `other`"):
        load_detection(f"voc:{tmp_path}")


def test_lists_may_lie_beside_the_folders(tmp_path: Path) -> None:
    voc(tmp_path, *"abcd")
    (tmp_path / "ImageSets/Main/train.txt").unlink()
    text(tmp_path / "train.txt", "./JPEGImages/a.png ./Annotations/a.xml\nJPEGImages/b.png Annotations/b.xml\n")
    text(tmp_path / "val.txt", "c\nd\n")
    text(tmp_path / "labels.txt", "cat\n")
    splits = load_detection(f"voc:{tmp_path}")
    assert {record.key for record in splits.test.records} == {"c", "d"} and not splits.problems


def test_what_is_no_set_is_told_with_what_is_there(tmp_path: Path) -> None:
    text(tmp_path / "set/notes.md", "")
    with pytest.raises(RequestError, match=r"no annotation file.*holds `notes\.md`"):
        load_detection(f"voc:{tmp_path / 'set'}")
    voc(tmp_path / "set", "a")
    text(tmp_path / "set/Annotations/a.xml", "<annotations><image/></annotations>")
    with pytest.raises(RequestError, match=r"no usable image.*its root is `<annotations>`"):
        read_voc(tmp_path / "set", "train", classes=("cat",))


# objects


def objects(root: Path, *contents: str, on_invalid: str = "skip") -> DetectionSet:
    voc(root, "a")
    text(root / "Annotations/a.xml", page(*contents))
    return read_voc(root, "train", classes=("cat",), on_invalid=on_invalid)  # type: ignore[arg-type]


def test_every_box_of_an_object_is_one(tmp_path: Path) -> None:
    second = BOX.replace("6", "7")
    read = objects(tmp_path, f"<name>cat</name>{BOX}{second}", CAT.replace("4", "5"))
    assert len(read.records[0].boxes) == 3 and kinds(read) == [("several boxes", "mended")]
    inside = BOX.replace("</bndbox>", "<xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>")
    read = objects(tmp_path, f"<name>cat</name>{inside}")
    assert read.records[0].boxes.tolist() == [CORNERS, [1, 2, 3, 4]] and kinds(read) == [("several boxes", "mended")]
    part = f"<part><name>head</name>{second}</part>"
    assert objects(tmp_path, CAT + part, on_invalid="fail").records[0].boxes.tolist() == [CORNERS]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<name>cat</name>", "no `<bndbox>`"),
        (BOX, "no `<name>`"),
        (f"<name> </name>{BOX}", "no `<name>`"),
        ("<name>cat</name><bndbox><xmin>1</xmin></bndbox>", "no `<xmax>`"),
        (CAT.replace("<ymax>24", "<ymax>low"), "`<bndbox/ymax>` is 'low'"),
        (CAT.replace("<ymax>24", "<ymax>"), "`<bndbox/ymax>` is ''"),
    ],
)
def test_a_damaged_object_is_noted_and_the_others_stay(tmp_path: Path, content: str, said: str) -> None:
    read = objects(tmp_path, CAT, content)
    assert read.records[0].boxes.tolist() == [CORNERS]
    assert kinds(read) == [("damaged annotation", "dropped")] and said in read.problems[0].what
    assert "a.xml`, object 2" in read.problems[0].where
    with pytest.raises(RequestError, match="damaged annotation"):
        objects(tmp_path, CAT, content, on_invalid="fail")


@pytest.mark.parametrize(
    ("word", "difficult"), [("1", True), ("true", True), ("0", False), ("False", False), ("", False), (" 1 ", True)]
)
def test_difficult_objects_are_no_targets(tmp_path: Path, word: str, difficult: bool) -> None:
    read = objects(tmp_path, f"{CAT}<difficult>{word}</difficult>", on_invalid="fail")
    record = read.records[0]
    assert record.ignored.tolist() == [difficult] and record.targets.tolist() == [not difficult]
    assert record.crowd.tolist() == [False]
    assert bool((letterbox(read, H, W).labels[..., 4] >= 0).any()) is not difficult
    (entry,) = read.coco()["annotations"]
    assert entry["iscrowd"] == 0 and entry.get("ignore", 0) == difficult


def test_a_doubled_class_is_named(tmp_path: Path) -> None:
    voc(tmp_path, "a")
    with pytest.raises(RequestError, match="`cat` is there more than once"):
        read_voc(tmp_path, "train", classes=("cat", "dog", "cat"))


# orientation


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("stated", [None, (W, H), (H, W), (7, 7)])
def test_the_stated_size_tells_whether_boxes_are_turned(
    tmp_path: Path, orientation: int, stated: tuple[int, int] | None
) -> None:
    voc(tmp_path, "a")
    picture(tmp_path / "JPEGImages/a.png", orientation=orientation)
    text(tmp_path / "Annotations/a.xml", page(CAT, size=stated))
    read = read_voc(tmp_path, "train", decode=True)
    turned = stated == (H, W) and orientation != 3
    (record,) = read.records
    assert record.orientation == (orientation if turned else 1)
    assert (record.width, record.height) == ((H, W) if turned else (W, H))
    told = [("orientation", "turned" if turned else "kept")]
    wrong = stated == (7, 7) or (stated == (H, W) and orientation == 3)
    assert kinds(read) == told + ([("wrong size", "kept")] if wrong else [])
    known = orientation != 3 and stated in ((W, H), (H, W))
    if known:
        assert len(read_voc(tmp_path, "train", decode=True, on_invalid="fail")) == 1
    else:
        with pytest.raises(RequestError, match=r"nothing tells whether boxes do"):
            read_voc(tmp_path, "train", decode=True, on_invalid="fail")
