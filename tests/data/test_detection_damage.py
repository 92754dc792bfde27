"""Damaged labels of every form: a set that is read with its losses told, or a refusal, and never anything else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from labelled import BOX, ROW, H, W, page, picture, text

from lightloom.common.errors import RequestError
from lightloom.data.detection import DetectionSet, read_coco, read_voc, read_yolo

Form = Callable[[Path], tuple[dict[str, str], Callable[[], DetectionSet]]]
PIECES = [b"\0", b"\xff", b"-", b"1e999", b"nan", b"null", b"[", b"{", b'"', b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"&",
          b"<", b"true", b"9" * 30, b"\\", b"..", b"utf-7", b"&a *a", b"!!python/object:x", b"0"]  # fmt: skip


def yolo(root: Path) -> tuple[dict[str, str], Callable[[], DetectionSet]]:
    files = {
        "data.yaml": "path: .\ntrain: [images/train, train.txt]\nnames: {0: cat, 1: dog}\nkpt_shape: [2, 3]\n",
        "train.txt": "./images/more/c.png\n",
        "labels/train/a.txt": ROW + "1 .2 .2 .1 .1\n",
        "labels/train/b.txt": "1 .5 .5 .2 .2 .5 .5 2 .4 .4 1\n",
    }
    for name in ("train/a", "train/b", "more/c"):
        picture(root / f"images/{name}.png")
    return files, lambda: read_yolo(root, "train")


def voc(root: Path) -> tuple[dict[str, str], Callable[[], DetectionSet]]:
    content = page(f"<name>cat</name><difficult>0</difficult>{BOX}", size=(W, H), name="a.png")
    files = {f"Annotations/{name}.xml": f'<?xml version="1.0" encoding="utf-8"?>{content}' for name in "abc"}
    for name in "abc":
        picture(root / f"JPEGImages/{name}.png")
    return files | {"ImageSets/Main/train.txt": "a\nb 1\nc.png\n"}, lambda: read_voc(root, "train")


def coco(root: Path) -> tuple[dict[str, str], Callable[[], DetectionSet]]:
    content = {
        "images": [
            {"id": n, "file_name": f"train/{name}.png", "width": W, "height": H} for n, name in enumerate("abc")
        ],
        "categories": [{"id": 1, "name": "cat", "supercategory": "x"}, {"id": 0, "name": "x", "supercategory": "none"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [6, 4, 30, 20], "iscrowd": 0} for n in range(3)
        ],
    }
    for name in "abc":
        picture(root / f"train/{name}.png")
    return {"page.json": json.dumps(content)}, lambda: read_coco(root / "page.json", root / "train")


@pytest.mark.parametrize("form", [yolo, voc, coco])
def test_damage_is_told_or_refused(tmp_path: Path, form: Form) -> None:
    files, read = form(tmp_path)
    for name, content in files.items():
        text(tmp_path / name, content)
    whole, generator = read(), np.random.default_rng(0)
    seen = 0
    for number in range(60):
        name = str(generator.choice(sorted(files)))
        content = bytearray(files[name].encode())
        for _ in range(generator.integers(1, 4)):
            place, piece = int(generator.integers(len(content) + 1)), PIECES[int(generator.integers(len(PIECES)))]
            content[place : place + int(generator.integers(0, 6))] = piece
        cut = generator.integers(len(content) // 2, len(content)) if number % 4 == 0 else len(content)
        text(tmp_path / name, bytes(content[:cut]))
        with contextlib.suppress(RequestError):  # anything else is a failure
            left = read()
            seen += 1
            assert all(
                record.boxes.isfinite().all() and record.boxes.min() >= 0
                for record in left.records
                if len(record.labels)
            )
        text(tmp_path / name, files[name])
    assert seen and read().box_count == whole.box_count
