"""Labels, lists and pages in every encoding, with and without byte order marks: the same set, or a refusal by name."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest
from labelled import BOX, CORNERS, ROW, page, picture, text, voc

from lightloom.common.errors import RequestError
from lightloom.data.detection import DetectionSet, read_coco, read_voc, read_yolo
from lightloom.data.detection.texts import read_lines, read_text
from lightloom.data.detection.xml_pages import parse_xml

MARKS = {
    "none": ("utf-8", b""),
    "utf-8": ("utf-8", codecs.BOM_UTF8),
    "utf-16-le": ("utf-16-le", codecs.BOM_UTF16_LE),
    "utf-16-be": ("utf-16-be", codecs.BOM_UTF16_BE),
    "utf-32-le": ("utf-32-le", codecs.BOM_UTF32_LE),
}
NAMES = ("Füchse", "猫")


def yolo(root: Path, files: dict[str, str], mark: str) -> DetectionSet:
    encoding, start = MARKS[mark]
    picture(root / "images/train/a.png")
    for name, content in files.items():
        text(root / name, start + content.replace("\n", "\r\n").encode(encoding))
    return read_yolo(root, "train", on_invalid="fail")


@pytest.mark.parametrize("mark", MARKS)
def test_yolo_reads_every_text_with_any_mark(tmp_path: Path, mark: str) -> None:
    rows = "1 0.35 0.35 0.5 0.5\n0 .2 .2 .1 .1\n"
    listed = yolo(tmp_path / "one", {"classes.txt": "\n".join(NAMES), "labels/train/a.txt": rows}, mark)
    named = yolo(
        tmp_path / "two",
        {"data.yaml": f"names: [{NAMES[0]}, {NAMES[1]}]\ntrain: train.txt\n", "labels/train/a.txt": rows,
         "train.txt": "./images/train/a.png\n"},
        mark,
    )  # fmt: skip
    for read in (listed, named):
        assert read.classes == NAMES
        assert read.records[0].labels.tolist() == [1, 0]
        assert read.records[0].boxes[0].tolist() == pytest.approx(CORNERS)


@pytest.mark.parametrize("mark", MARKS)
def test_voc_and_coco_read_every_text_with_any_mark(tmp_path: Path, mark: str) -> None:
    encoding, start = MARKS[mark]
    voc(tmp_path, "a", listed=start + "a\r\n".encode(encoding))
    text(tmp_path / "Annotations/a.xml", start + page(f"<name>{NAMES[1]}</name>{BOX}").encode(encoding))
    read = read_voc(tmp_path, "train", on_invalid="fail")
    assert read.classes == (NAMES[1],) and read.records[0].boxes.tolist() == [CORNERS]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": NAMES[1]}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [6, 4, 30, 20]}],
    }
    text(tmp_path / "a.json", start + json.dumps(content, ensure_ascii=False).encode(encoding))
    read = read_coco(tmp_path / "a.json", tmp_path / "JPEGImages", on_invalid="fail")
    assert read.classes == (NAMES[1],) and read.records[0].boxes.tolist() == [CORNERS]


def test_text_in_an_encoding_that_nothing_tells_is_refused(tmp_path: Path) -> None:
    path = text(tmp_path / "classes.txt", "狗\n", "gbk")
    with pytest.raises(RequestError, match=r"classes\.txt` is no text in UTF-8: byte 0 is 0xb9.*Save it in UTF-8"):
        read_text(path)
    with pytest.raises(RequestError, match="No such file"):
        read_lines(tmp_path / "none.txt")
    picture(tmp_path / "images/train/a.png")
    text(tmp_path / "labels/train/a.txt", ROW)
    with pytest.raises(RequestError, match=r"classes\.txt` is no text"):
        read_yolo(tmp_path, "train")


ENCODINGS = {
    "gb2312": "猫", "gbk": "貓狗", "gb18030": "猫", "big5": "貓", "shift_jis": "猫", "Shift_JIS": "ねこ",
    "x-sjis": "犬",
    "euc-jp": "猫", "iso-2022-jp": "猫", "euc-kr": "고양이", "ks_c_5601-1987": "고양이", "koi8-r": "кот",
    "windows-1251": "кот", "iso-8859-1": "Füchse", "windows-1252": "Füchse", "cp437": "Füchse", "utf-8": "🐈",
    "UTF-8": "猫", "utf-16": "猫", "utf-16le": "猫", "us-ascii": "cat", "Windows-31J": "犬",
}  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_page_in_any_encoding_that_it_declares(tmp_path: Path, encoding: str) -> None:
    name = ENCODINGS[encoding]
    python = {"x-sjis": "cp932", "Windows-31J": "cp932"}.get(encoding, encoding)
    voc(tmp_path, "a")
    content = f'<?xml version="1.0" encoding="{encoding}"?>\n{page(f"<name>{name}</name>{BOX}")}'
    text(tmp_path / "Annotations/a.xml", content, python)
    read = read_voc(tmp_path, "train", on_invalid="fail")
    assert read.classes == (name,) and read.records[0].boxes.tolist() == [CORNERS]


def test_a_page_that_declares_another_encoding_than_it_is_in(tmp_path: Path) -> None:
    # .NET declares UTF-16 of strings that it then saves in UTF-8, and GB2312 of what needs GBK
    for number, (declared, actual, name) in enumerate(
        [("utf-16", "utf-8", "猫"), ("gb2312", "gbk", "貓"), ("us-ascii", "utf-8", "猫")]
    ):
        content = f"<?xml version='1.0' encoding='{declared}'?>{page(f'<name>{name}</name>{BOX}')}"
        path = text(tmp_path / f"{number}.xml", content, actual)
        assert parse_xml(path).findtext("object/name") == name
    path = text(tmp_path / "wrong.xml", page("<name>狗</name>"), "gbk")
    with pytest.raises(RequestError, match=r"wrong\.xml` should be in `utf-8` and is not.*Save it in UTF-8"):
        parse_xml(path)


@pytest.mark.parametrize("encoding", ["no-such", "hex", "rot13", "", "utf 8", "a\u0001"])
def test_a_page_in_an_encoding_that_nobody_knows_is_named(tmp_path: Path, encoding: str) -> None:
    voc(tmp_path, "a", "b")
    text(tmp_path / "Annotations/b.xml", f'<?xml version="1.0" encoding="{encoding}"?>{page()}')
    with pytest.raises(RequestError, match=r"b\.xml`"):
        read_voc(tmp_path, "train", on_invalid="fail")
    read = read_voc(tmp_path, "train")
    assert [record.key for record in read.records] == ["a"]
    assert [(problem.kind, problem.done) for problem in read.problems] == [("damaged file", "dropped")]
    assert "b.xml" in read.problems[0].where
