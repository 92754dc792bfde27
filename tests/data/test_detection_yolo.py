"""Sets in YOLO form as exporters leave them: every box is read, or what is lost is said."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from labelled import CORNERS, ROW, H, W, picture, text
from PIL import Image, ImageOps

from lightloom.common.errors import RequestError
from lightloom.data.detection import DetectionSet, ReadOptions, load_detection, read_pixels, read_yolo

NAMES = "names: [cat, dog]\n"


def boxes(read: DetectionSet) -> dict[str, int]:
    return {record.key: len(record.labels) for record in read.records}


def kinds(read: DetectionSet) -> list[str]:
    return [problem.kind for problem in read.problems]


PLACES = {
    "images/train": "images/train", "train/images": "train/images", "train": "train",
    "images/train2017": "images/train2017",
    "list": "images/train", "missing folder of another machine": "train/images",
}  # fmt: skip


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("labels", ["swapped", "beside", "capitals", "labels in it"])
def test_images_and_labels_are_found_together(tmp_path: Path, where: str, labels: str) -> None:
    folder = PLACES[where]
    picture(tmp_path / folder / "a.JPG")
    home = {
        "swapped": folder.replace("images", "labels"), "capitals": folder.replace("images", "labels"),
        "beside": folder, "labels in it": f"{folder}/labels",
    }[labels]  # fmt: skip
    text(tmp_path / home / ("a.TXT" if labels == "capitals" else "a.txt"), ROW)
    if where == "list":
        text(tmp_path / "train.txt", f"./{folder}/a.JPG\n")
    if where.startswith("missing"):
        text(tmp_path / "data.yaml", NAMES + "train: /content/drive/set/train/images\n")
    else:
        text(tmp_path / "set.yml", "names: {0: cat, '1': dog}\n")
    read = read_yolo(tmp_path, "train", on_invalid="fail")
    assert read.classes == ("cat", "dog") and boxes(read) == {"a": 1}
    assert read.records[0].boxes.tolist() == [pytest.approx(CORNERS)]
    assert kinds(read) == (["moved images"] if where.startswith("missing") else [])


@pytest.mark.parametrize("key", ["train", "val", "test"])
@pytest.mark.parametrize("base", ["", "path: .\n", "path: ../{name}\n", "path: sub\n"])
def test_a_split_may_be_a_list_of_folders_and_list_files(tmp_path: Path, key: str, base: str) -> None:
    root = tmp_path / "sub" if "sub" in base else tmp_path
    for place in ("one/images", "two", "three/images"):
        picture(root / place / f"{place[1]}.png")
        text(root / place.replace("images", "labels") / f"{place[1]}.txt", ROW)
    text(root / "three.txt", "three/images/h.png\n")
    listed = f"{key}:\n  - one/images\n  - ./two\n  - three.txt\n"
    text(tmp_path / "data.yaml", NAMES + base.format(name=tmp_path.name) + listed)
    read = read_yolo(tmp_path, key, on_invalid="fail")
    assert boxes(read) == {"n": 1, "w": 1, "h": 1} and not read.problems


def test_a_folder_of_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "one/a.png")
    text(tmp_path / "data.yaml", NAMES + "train: [one, other/place]\n")
    with pytest.raises(RequestError, match=r"names `other/place`, which is neither of .*holds `data\.yaml`, `one/`"):
        read_yolo(tmp_path, "train", on_invalid="any")
    text(tmp_path / "data.yaml", NAMES + "train: [one, one]\n")
    assert boxes(read_yolo(tmp_path, "train")) == {"a": 0}


def test_no_image_is_twice_where_folders_of_a_list_overlap(tmp_path: Path) -> None:
    picture(tmp_path / "images/train/a.png")
    text(tmp_path / "data.yaml", NAMES + "train: [images, images/train]\n")
    read = read_yolo(tmp_path, "train")
    assert boxes(read) == {"a": 0} and kinds(read) == ["duplicate image", "no labels"]


def test_a_split_that_only_the_yaml_file_has_is_said(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        for name in "abcd":
            picture(tmp_path / split / f"images/{split}{name}.png")
            text(tmp_path / split / f"labels/{split}{name}.txt", ROW)
    text(tmp_path / "data.yaml", NAMES + "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n")
    splits = load_detection(f"yolo:{tmp_path}")
    assert [(problem.kind, problem.what) for problem in splits.problems] == [
        ("missing split", "it names `test`, which is not there")
    ]


@pytest.mark.parametrize("home", [".", "images"])
def test_a_folder_that_is_not_divided_is_divided_the_same_everywhere(tmp_path: Path, home: str) -> None:
    def keys(root: Path, seed: int = 0) -> list[list[str]]:
        for number in range(20):
            picture(root / home / f"{number:02d}.png", (8, 8))
            text(root / home.replace("images", "labels") / f"{number:02d}.txt", ROW)
        text(root / "classes.txt", "cat\n")
        splits = load_detection(f"yolo:{root}", seed=seed)
        assert [problem.kind for problem in splits.problems] == ["no split", "drawn split"]
        assert "4 images were drawn for the test" in splits.problems[1].what
        return [[record.key for record in part.records] for part in (splits.train, splits.validation, splits.test)]

    one, two, other = keys(tmp_path / "one"), keys(tmp_path / "some" / "other"), keys(tmp_path / "one", seed=1)
    assert one == two and one[2] == other[2] and one[1] != other[1]
    assert one[2] == ["00", "03", "04", "09"]  # on every machine
    assert sorted(chain(*one)) == [f"{number:02d}" for number in range(20)]


def test_images_without_labels_are_counted_and_strange_places_said(tmp_path: Path) -> None:
    for name in "abcd":
        picture(tmp_path / f"images/train/{name}.png")
    text(tmp_path / "classes.txt", "cat\n")
    text(tmp_path / "labels/train/a.txt", ROW)
    text(tmp_path / "export/b.txt", ROW)
    for place in ("one", "two"):
        text(tmp_path / place / "c.txt", ROW)
    text(tmp_path / "notes/d.txt", "taken in the rain")
    read = read_yolo(tmp_path, "train")
    assert boxes(read) == {"a": 1, "b": 1, "c": 0, "d": 0}
    assert kinds(read) == ["moved labels", "unread labels", "no labels"]
    assert "2 of 4 images have no label file" in read.problems[2].what


def test_label_files_that_are_no_text_and_those_of_two_images(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "b.png"):
        picture(tmp_path / "images/train" / name)
    text(tmp_path / "labels/train/a.txt", ROW)
    text(tmp_path / "labels/train/b.txt", b"0 .5 .5 .1 .1 \xff\xb9")
    text(tmp_path / "data.yaml", "names: [cat, Cat, dog]\n")
    read = read_yolo(tmp_path, "train")
    assert [record.image.name for record in read.records] == ["a.jpg", "a.png"]
    assert kinds(read) == ["shared labels", "damaged file"]


def test_classes_that_differ_in_capitals_are_said(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"images/train/{number}.png")
        text(tmp_path / f"labels/train/{number}.txt", ROW)
    text(tmp_path / "data.yaml", "names: [cat, Cat, traffic light, trafficlight, dog]\n")
    problems = load_detection(f"yolo:{tmp_path}").problems
    assert [problem.kind for problem in problems] == ["similar classes", "similar classes"]
    assert "`cat`, `Cat`" in problems[0].what
    with pytest.raises(RequestError, match=r"names a file; give the folder that holds it: `yolo:"):
        load_detection(f"yolo:{tmp_path / 'data.yaml'}")


def test_labels_without_an_image_are_noted_and_those_of_other_splits_are_not(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"images/{name}.png")
        text(tmp_path / f"labels/{name}.txt", ROW)
    text(tmp_path / "labels/ghost.txt", ROW)
    text(tmp_path / "labels/readme.txt", "how it was made")
    text(tmp_path / "labels/._a.txt", b"\0\5\26\7")
    text(tmp_path / "classes.txt", "cat\n")
    text(tmp_path / "train.txt", "images/a.png\n")
    text(tmp_path / "val.txt", "C:\\sets\\mine\\images\\b.png\n")
    read = read_yolo(tmp_path, "train")
    assert kinds(read) == ["missing image"] and "ghost.txt" in read.problems[0].where
    assert boxes(read_yolo(tmp_path, "val")) == {"b": 1}
    text(tmp_path / "images/a.txt", "0 .5 .5 .1 .1\n")
    assert kinds(read_yolo(tmp_path, "train")) == ["unread labels", "missing image"]


def test_the_same_images_in_two_splits_are_said(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"images/{name}.png")
        text(tmp_path / f"labels/{name}.txt", ROW)
    text(tmp_path / "data.yaml", NAMES + "train: images\nval: images\n")
    splits = load_detection(f"yolo:{tmp_path}")
    assert [problem.kind for problem in splits.problems] == ["shared image"]
    assert "3 images of `val` are in `train` too" in splits.problems[0].what
    with pytest.raises(RequestError, match="shared image"):
        load_detection(f"yolo:{tmp_path}", reading=ReadOptions(on_invalid="fail"))


# class names


@pytest.mark.parametrize(
    ("page", "classes"),
    [
        ("names: [yes, no, on]\n", ("yes", "no", "on")),
        ("names: [010, 1.0, 1e3, null]\n", ("010", "1.0", "1e3", "null")),
        ("names:\n  0: cat\n  1: dog\n", ("cat", "dog")),
        ("names: {'1': dog, '0': cat}\n", ("cat", "dog")),
        ("names: {0.0: cat, 1.0: dog}\n", ("cat", "dog")),
    ],
)
def test_names_are_the_words_that_stand_there(tmp_path: Path, page: str, classes: tuple[str, ...]) -> None:
    picture(tmp_path / "images/train/a.png")
    text(tmp_path / "labels/train/a.txt", ROW)
    for file in ("data.yaml", "config.yaml", "my set.yml", "data.YML"):
        path = text(tmp_path / file, page)
        text(tmp_path / "hyper.yaml", "lr0: 0.01\n")
        assert read_yolo(tmp_path, "train", on_invalid="fail").classes == classes
        path.unlink()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"data.yaml": "names: [cat, dog, cat]\n"}, r"data\.yaml` has 3 classes, 2 of them different: `cat` is"),
        ({"data.yaml": "names: {0: cat, 0: dog}\n"}, "line 1: not YAML: `0` is there twice"),
        ({"data.yaml": "names: {0: cat, 2: dog}\n"}, r"number the `names` 0 \.\.\. 1"),
        ({"data.yaml": "names: [cat, '']\n"}, "class 1 of `names` is no name"),
        ({"data.yaml": "names: cat\n"}, "`names` is `cat`; give a list"),
        ({"data.yaml": "names: [cat, [a, b]]\n"}, "class 1 of `names` is no name"),
        ({"one.yaml": "names: [cat]\n", "two.yaml": "names: [dog]\n"}, "2 yaml files with `names`"),
        ({"classes.txt": "cat\n", "labels/classes.txt": "dog\n"}, "list different classes"),
        ({"broken.yaml": "names: [cat\n"}, r"broken\.yaml`, line \d: not YAML"),
        ({"data.yaml": "names: [cat]\nkpt_shape: 17\n"}, r"`kpt_shape` is \[17\]; give"),
    ],
)
def test_class_lists_that_cannot_be_are_refused(tmp_path: Path, files: dict[str, str], said: str) -> None:
    picture(tmp_path / "images/train/a.png")
    text(tmp_path / "labels/train/a.txt", ROW)
    for name, content in files.items():
        text(tmp_path / name, content)
    with pytest.raises(RequestError, match=said):
        read_yolo(tmp_path, "train")


@pytest.mark.parametrize("place", ["classes.txt", "obj.names", "labels/classes.txt", "labels/train/classes.txt"])
def test_class_lists_are_where_tools_write_them(tmp_path: Path, place: str) -> None:
    picture(tmp_path / "images/train/a.png")
    text(tmp_path / "labels/train/a.txt", ROW)
    text(tmp_path / place, "cat\n\ndog\n")
    read = read_yolo(tmp_path, "train", on_invalid="fail")
    assert read.classes == ("cat", "dog") and not read.problems


# boxes, keypoints, polygons


def rows(root: Path, lines: str, page: str = NAMES) -> DetectionSet:
    picture(root / "images/train/a.png")
    text(root / "labels/train/a.txt", lines)
    text(root / "data.yaml", page)
    return read_yolo(root, "train")


POSE2 = "0 0.35 0.35 0.5 0.5 0.2 0.2 0.5 0.5\n"
POSE3 = "0 0.35 0.35 0.5 0.5 0.2 0.2 2 0.5 0.5 1 0 0 0\n"
POLYGON = "0 0.1 0.1 0.6 0.1 0.6 0.6 0.1 0.6\n"


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        (POSE2, "[2, 2]"),
        (POSE3, "[3, 3]"),
        (ROW, "[3, 3]"),
        (ROW, "[0, 3]"),
        (POLYGON, "null"),
        (POLYGON, "[]"),
        (ROW, ""),
    ],
)
def test_rows_of_every_kind_have_one_box(tmp_path: Path, line: str, shape: str) -> None:
    read = rows(tmp_path, line, NAMES + (f"kpt_shape: {shape}\n" if shape else ""))
    assert read.records[0].boxes.tolist() == [pytest.approx(CORNERS)] and not read.problems


def test_poses_of_a_set_that_does_not_say_so_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"3\).*`kpt_shape: \[2, 2\]`"):
        rows(tmp_path, POSE2 * 2 + "1 0.7 0.7 0.2 0.2 0.65 0.65 0.7 0.75\n")
    read = rows(tmp_path, POSE2)
    assert kinds(read) == ["pose or polygon"]
    read = rows(tmp_path, "0 .1 .1 .3 .1 .3 .3 .1 .3\n1 .6 .6 .8 .6 .8 .8 .6 .8\n0 .2 .6 .4 .7 .3 .9 .1 .8\n")
    assert len(read.records[0].labels) == 3 and not read.problems  # turned boxes
    with pytest.raises(RequestError, match=r"`kpt_shape: \[5, 2\]`"):
        rows(tmp_path, "0 .5 .5 .8 .8 .3 .3 .7 .3 .5 .5 .3 .7 .7 .7\n" * 3)


def test_a_row_that_does_not_fit_is_noted(tmp_path: Path) -> None:
    read = rows(tmp_path, ROW + POLYGON + "0 .2 .2 .1 .1 .9\n1 x .2 .1 .1\n", NAMES + "kpt_shape: [3, 3]\n")
    assert len(read.records[0].labels) == 1
    assert kinds(read) == ["damaged annotation"] * 3
    assert "`kpt_shape` asks for 14" in read.problems[0].what
    read = rows(tmp_path, ROW + "0 .2 .2 .1 .1 .9\n")
    assert "without a score" in read.problems[0].what
    for line in ("0,0.5,0.5,0.1,0.1", "0, 0.5, 0.5, 0.1, 0.1", "0 .5 .5 .1 .1;"):
        assert len(rows(tmp_path, f"{line}\n").records[0].labels) == 1
    read = rows(tmp_path, "0 0,1 0,1 0,1 0,1\n")  # commas for points, as some countries have them
    assert kinds(read) == ["damaged annotation"] and "not all numbers" in read.problems[0].what
    read = rows(tmp_path, ROW + "0 20 20 10 10\n")
    assert boxes(read) == {"a": 1} and "shares of the image" in read.problems[0].what


def test_a_set_that_loses_most_of_its_boxes_is_refused(tmp_path: Path) -> None:
    lines = ROW * 1 + "".join(f"0 .{n} .2 .1 .1 .9\n" for n in range(10, 20))
    with pytest.raises(RequestError, match=r"loses 10 of 11 boxes \(10 x damaged annotation\).*without a score.*any"):
        rows(tmp_path, lines)
    assert boxes(read_yolo(tmp_path, "train", on_invalid="any")) == {"a": 1}
    with pytest.raises(RequestError, match=r"loses 10 of 11 images \(10 x missing image\)"):
        text(tmp_path / "train.txt", "images/train/a.png\n" + "".join(f"{n}.png\n" for n in range(10)))
        rows(tmp_path, ROW, NAMES + "train: train.txt\n")


# orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_refer_to_the_picture_as_its_tag_turns_it(tmp_path: Path, orientation: int) -> None:
    path = picture(tmp_path / "images/train/a.png", orientation=orientation)
    text(tmp_path / "labels/train/a.txt", ROW)
    text(tmp_path / "data.yaml", NAMES)
    (record,) = read_yolo(tmp_path, "train", decode=True).records
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
    assert (record.width, record.height) == upright.size == ((W, H) if orientation < 5 else (H, W))
    assert np.array_equal(read_pixels(record).permute(1, 2, 0).numpy(), np.asarray(upright))
    shares = zip((0.1, 0.1, 0.6, 0.6), 2 * upright.size, strict=True)
    assert record.boxes.tolist() == [pytest.approx([share * size for share, size in shares])]
    problems = read_yolo(tmp_path, "train", on_invalid="fail").problems
    told = [("orientation", "turned")] if orientation != 1 else []
    assert [(problem.kind, problem.done) for problem in problems] == told
