"""Sets by name: real ones against their published counts, and folders of one's own."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

from lightloom.common.errors import RequestError
from lightloom.data.detection import (
    DetectionSplits,
    ReadOptions,
    ShapesOptions,
    letterbox,
    load_detection,
    read_voc,
    shapes,
    write_coco,
    write_voc,
    write_yolo,
)


def keys(splits: DetectionSplits) -> list[set[str]]:
    return [{record.key for record in part.records} for part in (splits.train, splits.validation, splits.test)]


def test_bccd_has_its_published_images_and_boxes(real_data: Path) -> None:
    if not (real_data / "bccd").is_dir():
        pytest.skip("no folder `bccd` in LIGHTLOOM_DATA")
    splits = load_detection("bccd", real_data)
    assert splits.classes == ("RBC", "WBC", "Platelets")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [205, 87, 72]
    parts = (splits.train, splits.validation, splits.test)
    labels = Counter(int(label) for part in parts for record in part.records for label in record.labels)
    assert len(splits.problems) == 2 and sum(labels.values()) == 4888 - 2
    assert {problem.kind for problem in splits.problems} == {"zero area"}
    assert sorted(problem.where.split("/")[-1].split(".")[0] for problem in splits.problems) == [
        "BloodImage_00338",
        "BloodImage_00343",
    ]
    with pytest.raises(RequestError, match=r"BloodImage_00343\.xml`, object 4.*zero area"):
        read_voc(real_data / "bccd", "train", on_invalid="fail")
    made = letterbox(splits.test.subset(range(4)), 120, 160)
    assert made.scales.tolist() == [0.25] * 4
    assert made.images[:].float().std() > 10


def test_coco_tiny_is_read_whole(real_data: Path) -> None:
    if not (real_data / "coco_tiny").is_dir():
        pytest.skip("no folder `coco_tiny` in LIGHTLOOM_DATA")
    splits = load_detection("coco_tiny", real_data, reading=ReadOptions(on_invalid="fail"))
    assert (
        len(splits.classes) == 80 and splits.classes[:2] == ("person", "bicycle") and splits.classes[79] == "toothbrush"
    )
    assert [len(part) for part in keys(splits)] == [64, 16, 80]
    assert not keys(splits)[0] & keys(splits)[1]
    assert splits.train.box_count + splits.validation.box_count == 705 and splits.test.box_count == 815
    assert sum(int(record.crowd.sum()) for record in splits.test.records) == 11
    page = json.loads((real_data / "coco_tiny/annotations/instances_val2017.json").read_text())
    areas = sorted(one["area"] for one in page["annotations"])
    given = splits.test.coco()
    assert sorted(one["area"] for one in given["annotations"]) == pytest.approx(areas, rel=1e-6)
    names = {one["id"]: one["name"] for one in page["categories"]}
    expected = Counter(names[one["category_id"]] for one in page["annotations"])
    assert Counter(splits.classes[one["category_id"]] for one in given["annotations"]) == expected
    seen = {int(label) for record in splits.test.records for label in record.labels}
    assert len(seen) == 80


def test_shapes_have_a_test_split_that_no_seed_changes() -> None:
    one, two = (load_detection("shapes", seed=seed, drawing=ShapesOptions(10, 40)) for seed in (1, 2))
    assert [len(part) for part in (one.train, one.validation, one.test)] == [10, 2, 2]
    assert keys(one)[2] == keys(two)[2] and not keys(one)[0] & keys(two)[0]
    assert not keys(one)[0] & keys(one)[1]


def test_a_limit_keeps_what_a_smaller_one_keeps() -> None:
    sets = [keys(load_detection("shapes", drawing=ShapesOptions(12, 40), limit=limit))[0] for limit in (3, 7, 50)]
    assert [len(part) for part in sets] == [3, 7, 12] and sets[0] < sets[1] < sets[2]
    with pytest.raises(RequestError, match="`limit` is 0"):
        load_detection("shapes", limit=0)


@pytest.mark.parametrize("form", ["voc", "coco", "yolo"])
def test_a_folder_of_ones_own(tmp_path: Path, form: str) -> None:
    write = {"voc": write_voc, "coco": write_coco, "yolo": write_yolo}[form]
    for split, count in (("train", 10), ("val", 4)):
        write(shapes(count, 40, seed=count), tmp_path, split)
    splits = load_detection(f"{form}:{tmp_path}")
    # without a test split the validation images are the test
    assert [len(part) for part in keys(splits)] == [8, 2, 4] and not keys(splits)[0] & keys(splits)[1]
    assert set(splits.classes) == {"circle", "rectangle", "triangle", "ring", "star"}
    write(shapes(3, 40, seed=99), tmp_path, "test")
    assert [len(part) for part in keys(load_detection(f"{form}:{tmp_path}"))] == [10, 4, 3]
    assert letterbox(splits.train, 20, 20).labels.shape[0] == 8


def test_one_split_is_divided_into_three_and_the_seed_leaves_the_test(tmp_path: Path) -> None:
    write_voc(shapes(20, 40), tmp_path, "trainval")
    write_voc(shapes(20, 40).subset([0, 1]), tmp_path, "val")
    one, two = (load_detection(f"voc:{tmp_path}", seed=seed) for seed in (0, 1))
    assert [len(part) for part in keys(one)] == [13, 3, 4]
    assert keys(one)[2] == keys(two)[2] and keys(one)[1] != keys(two)[1]
    assert len(keys(one)[0] | keys(one)[1] | keys(one)[2]) == 20


def test_problems_stay_with_the_training_images(tmp_path: Path) -> None:
    write_yolo(shapes(10, 40), tmp_path, "train")
    label = next(iter(sorted((tmp_path / "labels/train").iterdir())))
    label.write_text("0 0.5 0.5 0 0\n")
    splits = load_detection(f"yolo:{tmp_path}", limit=2)
    assert [problem.kind for problem in splits.problems] == ["zero area"]
    with pytest.raises(RequestError, match="zero area"):
        load_detection(f"yolo:{tmp_path}", reading=ReadOptions(on_invalid="fail"))


def test_nuscenes_in_coco_form_with_relative_and_absolute_names(tmp_path: Path) -> None:
    folder = tmp_path / "nuscenes2d"
    for split, seed in (("train", 1), ("val", 2)):
        source = shapes(6, 40, seed=seed)
        write_coco(source, tmp_path / "elsewhere", split)
        page = source.coco()
        for entry in page["images"]:
            name = tmp_path / "elsewhere" / split / entry["file_name"]
            entry["file_name"] = str(name) if split == "train" else f"../elsewhere/val/{name.name}"
        folder.mkdir(exist_ok=True)
        (folder / f"{split}.json").write_text(json.dumps(page))
    splits = load_detection("nuscenes2d", tmp_path, reading=ReadOptions(on_invalid="fail"))
    assert [len(part) for part in keys(splits)] == [5, 1, 6]
    page = json.loads((folder / "val.json").read_text())
    page["categories"] = [{"id": 4 - one["id"], "name": one["name"]} for one in page["categories"]]
    (folder / "val.json").write_text(json.dumps(page))
    with pytest.raises(RequestError, match=r"class list does not match.*val\.json"):
        load_detection("nuscenes2d", tmp_path)


def test_what_is_missing_is_named_with_the_way_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="Did you mean `bccd`"):
        load_detection("bcd", tmp_path)
    with pytest.raises(RequestError, match=r"/bccd`, which is missing.*LIGHTLOOM_DATA"):
        load_detection("bccd", tmp_path)
    with pytest.raises(RequestError, match="nowhere"):
        load_detection(f"voc:{tmp_path}/nowhere")
    (tmp_path / "coco").mkdir()
    with pytest.raises(RequestError, match=r"instances_train2017\.json` is missing"):
        load_detection("coco", tmp_path)
    monkeypatch.delenv("LIGHTLOOM_DATA", raising=False)
    with pytest.raises(RequestError, match=r"`LIGHTLOOM_DATA` or `data\.root`"):
        load_detection("coco")


def test_splits_with_other_classes_are_refused() -> None:
    one = shapes(1, 40)
    other = type(one)("other", tuple(reversed(one.classes)), one.records)
    with pytest.raises(RequestError, match="class list does not match"):
        DetectionSplits("mixed", one.classes, one, other, one)
    assert torch.equal(one.records[0].areas, (one.records[0].boxes[:, 2:] - one.records[0].boxes[:, :2]).prod(1))
