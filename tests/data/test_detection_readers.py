"""Readers of boxes against files written by hand, sound ones and one for every flaw."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from lightloom.common.errors import RequestError
from lightloom.data.detection import DetectionSet, OnInvalid, read_coco, read_voc, read_yolo

W, H = 60, 40
CLASSES = ("cat", "dog")
Boxes = list[tuple[str, tuple[float, float, float, float]]]


def picture(path: Path, size: tuple[int, int] = (W, H)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = torch.randint(0, 256, (size[1], size[0], 3), dtype=torch.uint8)
    Image.fromarray(noise.numpy()).save(path)
    return path


def bomb(path: Path) -> None:
    """A PNG whose header promises 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def voc(root: Path, boxes: Boxes) -> Callable[[OnInvalid], DetectionSet]:
    """Two images in VOC form, the second with these boxes."""
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, inside in (("a", [("cat", (1, 2, 30, 20))]), ("b", boxes)):
        objects = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
            "</bndbox></object>"
            for label, (x0, y0, x1, y1) in inside
        )
        page = (
            f"<annotation><filename>{name}.png</filename><size><width>{W}</width><height>{H}</height></size>{objects}"
        )
        (root / f"Annotations/{name}.xml").write_text(page + "</annotation>")
        picture(root / f"JPEGImages/{name}.png")
    (root / "ImageSets/Main/train.txt").write_text("a\nb\n")
    return lambda on_invalid: read_voc(root, "train", classes=CLASSES, on_invalid=on_invalid)


def coco_page(boxes: Boxes) -> dict[str, Any]:
    """Two images in COCO form; category ids skip and stand in another order than listed."""
    annotations = [{"id": 7, "image_id": 900, "category_id": 3, "bbox": [1, 2, 29, 18], "area": 300.5, "iscrowd": 0}]
    for number, (name, (x0, y0, x1, y1)) in enumerate(boxes, 8):
        category = {"cat": 3, "dog": 11}.get(name, 99)
        annotations.append({"id": number, "image_id": 20, "category_id": category, "bbox": [x0, y0, x1 - x0, y1 - y0]})
    return {
        "images": [
            {"id": 900, "file_name": "a.png", "width": W, "height": H},
            {"id": 20, "file_name": "b.png", "width": W, "height": H},
        ],
        "annotations": annotations,
        "categories": [{"id": 11, "name": "dog"}, {"id": 3, "name": "cat"}],
    }


def coco(root: Path, boxes: Boxes | dict[str, Any]) -> Callable[[OnInvalid], DetectionSet]:
    for name in "ab":
        picture(root / f"JPEGImages/{name}.png")
    page = boxes if isinstance(boxes, dict) else coco_page(boxes)
    (root / "page.json").write_text(json.dumps(page))
    return lambda on_invalid: read_coco(root / "page.json", root / "JPEGImages", classes=CLASSES, on_invalid=on_invalid)


def yolo(root: Path, boxes: Boxes) -> Callable[[OnInvalid], DetectionSet]:
    (root / "labels/train").mkdir(parents=True)
    for name, inside in (("a", [("cat", (1.0, 2.0, 30.0, 20.0))]), ("b", boxes)):
        lines = [
            f"{CLASSES.index(label) if label in CLASSES else 9} {(x0 + x1) / 2 / W!r} {(y0 + y1) / 2 / H!r} "
            f"{(x1 - x0) / W!r} {(y1 - y0) / H!r}\n"
            for label, (x0, y0, x1, y1) in inside
        ]
        (root / f"labels/train/{name}.txt").write_text("".join(lines))
        picture(root / f"images/train/{name}.png")
    (root / "data.yaml").write_text("names: {0: cat, 1: dog}\n")
    return lambda on_invalid: read_yolo(root, "train", on_invalid=on_invalid)


Form = Callable[[Path, Boxes], Callable[[OnInvalid], DetectionSet]]
forms = pytest.mark.parametrize("form", [voc, coco, yolo])


@forms
def test_boxes_labels_and_sizes_are_those_of_the_file(tmp_path: Path, form: Form) -> None:
    read = form(tmp_path, [("dog", (10, 11, 50, 40)), ("cat", (0, 0, 60, 5))])("fail")
    assert read.classes == CLASSES and read.problems == ()
    first, second = read.records
    assert (first.image_id, second.image_id) == (1, 2)
    assert (first.width, first.height) == (W, H)
    assert [record.image.name for record in read.records] == ["a.png", "b.png"]
    torch.testing.assert_close(first.boxes, torch.tensor([[1.0, 2, 30, 20]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(second.boxes, torch.tensor([[10.0, 11, 50, 40], [0, 0, 60, 5]]), atol=1e-4, rtol=0)
    assert second.labels.tolist() == [1, 0] and not second.crowd.any()


@forms
def test_an_image_without_boxes_stays(tmp_path: Path, form: Form) -> None:
    read = form(tmp_path, [])("fail")
    assert len(read) == 2 and read.records[1].boxes.shape == (0, 4) and read.problems == ()


FLAWS = {
    "zero area": (("dog", (20.0, 10.0, 20.0, 10.0)), "dropped", None),
    "out of image": (("dog", (-5.0, -4.0, 65.0, 45.0)), "clipped", [0.0, 0.0, 60.0, 40.0]),
    "duplicate box": (("dog", (2.0, 2.0, 8.0, 8.0)), "dropped", None),
    "unknown class": (("cow", (3.0, 3.0, 9.0, 9.0)), "dropped", None),
    "not finite": (("dog", (3.0, 3.0, float("nan"), 9.0)), "dropped", None),
}


@forms
@pytest.mark.parametrize("kind", FLAWS)
def test_a_flawed_box_is_noted_or_refused(tmp_path: Path, form: Form, kind: str) -> None:
    flawed, done, left = FLAWS[kind]
    read = form(tmp_path, [("dog", (2.0, 2.0, 8.0, 8.0)), flawed])
    found = read("skip")
    (problem,) = found.problems
    assert (problem.kind, problem.done) == (kind, done)
    boxes = found.records[1].boxes
    torch.testing.assert_close(boxes[0], torch.tensor([2.0, 2, 8, 8]), atol=1e-4, rtol=0)
    assert len(boxes) == (1 if left is None else 2)
    if left is not None:
        torch.testing.assert_close(boxes[1], torch.tensor(left), atol=1e-4, rtol=0)
    mark = {voc: r"b\.xml`, object 2", coco: r"page\.json`, annotation 9", yolo: r"b\.txt`, line 2"}[form]
    with pytest.raises(RequestError, match=rf"{mark}.*{kind}"):
        read("fail")


@forms
def test_a_box_wholly_outside_is_dropped_and_half_a_pixel_is_rounding(tmp_path: Path, form: Form) -> None:
    found = form(tmp_path, [("dog", (70, 2, 90, 8)), ("dog", (40, 30, W + 0.4, H + 0.4))])("skip")
    assert [(problem.kind, problem.done) for problem in found.problems] == [("out of image", "dropped")]
    assert found.records[1].boxes.tolist() == [pytest.approx([40, 30, W, H], abs=1e-4)]


def _images(root: Path) -> Path:
    return next(path for path in (root / "JPEGImages/b.png", root / "images/train/b.png") if path.is_file())


@forms
@pytest.mark.parametrize("kind", ["missing image", "damaged image", "image too large"])
def test_an_image_that_cannot_be_read_is_dropped_or_refused(tmp_path: Path, form: Form, kind: str) -> None:
    read = form(tmp_path, [("dog", (2, 2, 8, 8))])
    path = _images(tmp_path)
    if kind == "missing image":
        path.unlink()
    elif kind == "damaged image":
        path.write_bytes(path.read_bytes()[:30])
    else:
        bomb(path)
    found = read("skip")
    assert [record.image.stem for record in found.records] == ["a"]
    assert [(problem.kind, problem.done) for problem in found.problems] == [(kind, "dropped")]
    with pytest.raises(RequestError, match=kind):
        read("fail")


def test_a_jpeg_cut_short_is_found_when_decoded(tmp_path: Path) -> None:
    coco(tmp_path, [("dog", (2, 2, 8, 8))])
    path = tmp_path / "JPEGImages/b.png"
    noise = torch.randint(0, 256, (H, W, 3), dtype=torch.uint8)
    Image.fromarray(noise.numpy()).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:-1000])
    assert len(read_coco(tmp_path / "page.json", tmp_path / "JPEGImages", on_invalid="fail")) == 2
    decoded = read_coco(tmp_path / "page.json", tmp_path / "JPEGImages", decode=True)
    assert [problem.kind for problem in decoded.problems] == ["damaged image"] and len(decoded) == 1


def test_no_usable_image_is_refused(tmp_path: Path) -> None:
    read = coco(tmp_path, [])
    for name in "ab":
        (tmp_path / f"JPEGImages/{name}.png").unlink()
    with pytest.raises(RequestError, match="no usable image"):
        read("skip")


def test_flaws_is_one_of_two(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="`skip` or `fail`"):
        voc(tmp_path, [])("warn")  # type: ignore[arg-type]


# VOC


def test_voc_the_name_of_the_page_finds_the_image_and_the_header_its_size(tmp_path: Path) -> None:
    read = voc(tmp_path, [("dog", (2, 2, 8, 8))])
    page = tmp_path / "Annotations/b.xml"
    page.write_text(
        page.read_text().replace("b.png", "a.png").replace("<width>60", "<width>40").replace(">40</h", ">60</h")
    )
    found = read("skip")
    assert found.records[1].image.name == "b.png"
    assert (found.records[1].width, found.records[1].height) == (W, H)
    (problem,) = found.problems
    assert (problem.kind, problem.done) == ("wrong size", "kept") and "orientation" in problem.what


def test_voc_the_tag_finds_an_image_of_another_name(tmp_path: Path) -> None:
    read = voc(tmp_path, [])
    (tmp_path / "JPEGImages/b.png").rename(tmp_path / "JPEGImages/other.png")
    page = tmp_path / "Annotations/b.xml"
    page.write_text(page.read_text().replace("b.png", "C:\\labels\\other.png"))
    assert [record.image.name for record in read("fail").records] == ["a.png", "other.png"]
    assert [record.key for record in read("fail").records] == ["a", "b"]


def test_voc_difficult_objects_are_no_targets_and_pixels_may_count_from_one(tmp_path: Path) -> None:
    voc(tmp_path, [("dog", (1, 1, 60, 40))])
    page = tmp_path / "Annotations/b.xml"
    page.write_text(page.read_text().replace("</name>", "</name><difficult>1</difficult>"))
    found = read_voc(tmp_path, "train", one_based=True, on_invalid="fail")
    assert found.records[1].ignored.tolist() == [True] and found.records[1].crowd.tolist() == [False]
    assert found.records[1].targets.tolist() == [False]
    assert found.records[1].boxes.tolist() == [[0, 0, W, H]]


def test_voc_classes_are_those_of_all_pages_unless_given(tmp_path: Path) -> None:
    voc(tmp_path, [("zebra", (1, 1, 9, 9))])
    (tmp_path / "ImageSets/Main/val.txt").write_text("a\n")
    assert read_voc(tmp_path, "val").classes == ("cat", "zebra")


def test_voc_lists_name_what_is_there_once(tmp_path: Path) -> None:
    read = voc(tmp_path, [])
    (tmp_path / "ImageSets/Main/train.txt").write_text("a  1\nb -1\nc\na\n")
    found = read("skip")
    assert len(found) == 2
    assert sorted(problem.kind for problem in found.problems) == ["duplicate image", "missing annotation"]
    with pytest.raises(RequestError, match="Did you mean `train`"):
        read_voc(tmp_path, "trian", classes=CLASSES)


def test_voc_a_page_with_a_dtd_is_refused(tmp_path: Path) -> None:
    read = voc(tmp_path, [])
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    page = f'<?xml version="1.0"?>\n<!DOCTYPE annotation [<!ENTITY l0 "ha">{laughs}]>\n<annotation>&l11;</annotation>'
    (tmp_path / "Annotations/b.xml").write_text(page)
    with pytest.raises(RequestError, match=r"b\.xml`, line 2: a DTD"):
        read("skip")
    (tmp_path / "Annotations/b.xml").write_bytes(page.encode("utf-16"))
    with pytest.raises(RequestError, match="a DTD"):
        read("skip")


def test_voc_a_page_that_does_not_parse_names_file_and_line(tmp_path: Path) -> None:
    read = voc(tmp_path, [("dog", (1, 1, 9, 9))])
    page = tmp_path / "Annotations/b.xml"
    page.write_text("<annotation>\n<object>\n</annotation>")
    with pytest.raises(RequestError, match=r"b\.xml`, line 3: not XML: mismatched tag"):
        read("fail")
    assert [(problem.kind, problem.done) for problem in read("skip").problems] == [("damaged file", "dropped")]
    page.write_text("<annotation><object><name>dog</name><bndbox><xmin>left</xmin></bndbox></object></annotation>")
    with pytest.raises(RequestError, match=r"b\.xml`, object 1: its `<bndbox>` has no `<xmax>`"):
        read("fail")
    page.write_text(page.read_text().replace("</bndbox>", "<ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"))
    with pytest.raises(RequestError, match=r"b\.xml`, object 1: `<bndbox/xmin>` is 'left'"):
        read("fail")
    read_set = read("skip")
    assert [(problem.kind, problem.done) for problem in read_set.problems] == [("damaged annotation", "dropped")]
    assert len(read_set) == 2


# COCO


def test_coco_labels_follow_the_ids_and_areas_are_kept(tmp_path: Path) -> None:
    page = coco_page([("dog", (2, 2, 8, 8))])
    page["annotations"][1] |= {"iscrowd": 1, "area": 20}
    found = coco(tmp_path, page)("fail")
    assert [record.key for record in found.records] == ["900", "20"]
    assert found.records[0].areas.tolist() == [300.5] and found.records[1].areas.tolist() == [20]
    assert found.records[1].crowd.tolist() == [True]
    given = found.coco()
    assert given["categories"] == [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    assert [one["id"] for one in given["annotations"]] == [1, 2]
    assert given["annotations"][1] == {
        "id": 2, "image_id": 2, "category_id": 1, "bbox": [2, 2, 6, 6], "area": 20, "iscrowd": 1,
    }  # fmt: skip


def test_coco_string_ids_are_numbered_and_kept_as_keys(tmp_path: Path) -> None:
    page = coco_page([("dog", (2, 2, 8, 8))])
    for entry in page["images"]:
        entry["id"] = f"token-{entry['id']}"
    for entry in page["annotations"]:
        entry["image_id"] = f"token-{entry['image_id']}"
    read = coco(tmp_path, page)
    found = read("skip")
    assert [(record.image_id, record.key) for record in found.records] == [(1, "token-900"), (2, "token-20")]
    assert [record.labels.tolist() for record in found.records] == [[0], [1]]
    assert [(problem.kind, problem.done) for problem in found.problems] == [("string id", "renumbered")]
    with pytest.raises(RequestError, match="string id"):
        read("fail")


def test_coco_entries_that_belong_to_nothing_are_noted(tmp_path: Path) -> None:
    page = coco_page([])
    page["annotations"] += [
        {"id": 50, "image_id": 4, "category_id": 3, "bbox": [1, 1, 2, 2]},
        {"id": 51, "image_id": 20, "category_id": 3, "bbox": [1, 1, 2]},
        {"id": 52, "image_id": 20, "category_id": 3},
        "no annotation",
    ]
    page["images"].append(page["images"][0])
    found = coco(tmp_path, page)("skip")
    assert len(found) == 2 and found.box_count == 1
    assert [problem.kind for problem in found.problems] == [
        "duplicate image", "unlisted image", "damaged annotation", "damaged annotation", "damaged annotation",
    ]  # fmt: skip
    assert "annotation 50" in found.problems[1].where


def test_a_class_list_in_another_order_does_not_match(tmp_path: Path) -> None:
    coco(tmp_path, [])
    for asked in (("dog", "cat"), ("cat",), ("cat", "dog", "cow")):
        with pytest.raises(RequestError, match="class list does not match"):
            read_coco(tmp_path / "page.json", tmp_path / "JPEGImages", classes=asked)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"images": [],\n"annotations": [}', "line 2: not JSON"),
        ('{"images": [], "annotations": []}', "no list `categories`"),
        ("[]", "no list `images`"),
        ("[" * 100_000, "not JSON"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "image 1 of its list"),
        ('{"images": [], "annotations": [], "categories": [{"name": "a"}]}', "lacks an integer `id`"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "same id",
        ),
    ],
)
def test_coco_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "page.json"
    path.write_text(text)
    with pytest.raises(RequestError, match=rf"page\.json.*{said}"):
        read_coco(path, tmp_path)


# YOLO


def test_yolo_polygons_become_their_extent_and_a_missing_file_means_no_box(tmp_path: Path) -> None:
    read = yolo(tmp_path, [])
    (tmp_path / "labels/train/a.txt").write_text("1 0.5 0.1 0.9 0.5 0.2 0.75\n")
    (tmp_path / "labels/train/b.txt").unlink()
    found = read("fail")
    torch.testing.assert_close(found.records[0].boxes, torch.tensor([[12.0, 4, 54, 30]]))
    assert len(found.records[1].labels) == 0


def test_yolo_a_label_file_without_an_image_is_noted(tmp_path: Path) -> None:
    read = yolo(tmp_path, [])
    (tmp_path / "labels/train/ghost.txt").write_text("0 .5 .5 .1 .1\n")
    (problem,) = read("skip").problems
    assert problem.kind == "missing image" and "ghost.txt" in problem.where


def test_yolo_finds_images_and_names_where_exporters_put_them(tmp_path: Path) -> None:
    picture(tmp_path / "valid/images/a.png")
    (tmp_path / "valid/labels").mkdir()
    (tmp_path / "valid/labels/a.txt").write_text("1 0.5 0.5 1 1\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert read_yolo(tmp_path, "val", on_invalid="fail").records[0].boxes.tolist() == [[0, 0, W, H]]
    (tmp_path / "data.yaml").write_text("val: ../valid/images\nnames: [cat, dog]\n")
    assert read_yolo(tmp_path, "val", classes=CLASSES, on_invalid="fail").records[0].labels.tolist() == [1]
    with pytest.raises(RequestError, match="class list does not match"):
        read_yolo(tmp_path, "val", classes=("dog", "cat"))
    with pytest.raises(RequestError, match="split `test`"):
        read_yolo(tmp_path, "test")


@pytest.mark.parametrize(
    ("line", "said"),
    [("0 0.5 0.5 0.1", "4 numbers"), ("0 a b c d", "not all numbers"), ("0.5 .1 .1 .1 .1", "whole number")],
)
def test_yolo_a_line_that_does_not_parse_names_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    read = yolo(tmp_path, [])
    (tmp_path / "labels/train/b.txt").write_text(f"0 .5 .5 .1 .1\n{line}\n")
    with pytest.raises(RequestError, match=rf"b\.txt`, line 2: .*{said}"):
        read("fail")
    problem, *others = read("skip").problems
    assert (problem.kind, problem.done) == ("damaged annotation", "dropped") and said in problem.what and not others
    assert problem.where.endswith("b.txt`, line 2")


def test_yolo_without_a_class_list_is_refused(tmp_path: Path) -> None:
    yolo(tmp_path, [])
    (tmp_path / "data.yaml").write_text("names: [cat\n")
    with pytest.raises(RequestError, match=r"data\.yaml`, line \d: not YAML"):
        read_yolo(tmp_path, "train")
    (tmp_path / "data.yaml").write_text("names: {0: cat, 2: dog}\n")
    with pytest.raises(RequestError, match=r"number the `names` 0 \.\.\. 1"):
        read_yolo(tmp_path, "train")
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(RequestError, match="no class list"):
        read_yolo(tmp_path, "train")
    assert read_yolo(tmp_path, "train", classes=CLASSES).classes == CLASSES
