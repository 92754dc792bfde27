from __future__ import annotations

import dataclasses
import gzip
import hashlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from lightloom.common.errors import RequestError
from lightloom.data import DATASETS, DatasetInfo, Splits, describe, load, sets
from lightloom.data.files import local_files
from lightloom.data.sets import read_files

IdxBytes = Callable[[int, Sequence[int], bytes], bytes]

DIGITS_TEST_SHA256 = "6c824efd295cdebb203be3002b25e9c348cd4e12b283419d64041144dde6619a"

SMALL = DatasetInfo(
    name="small",
    title="Small",
    shape=(1, 3, 2),
    classes=("a", "b", "c", "d"),
    train_and_validation=40,
    test=20,
    validation=8,
    source="made here",
    licence="none",
)


def keys(images: torch.Tensor) -> list[bytes]:
    levels = (images * 16).round().to(torch.uint8)
    return [image.numpy().tobytes() for image in levels]


def unstandardised(splits: Splits, part: str) -> torch.Tensor:
    images: torch.Tensor = getattr(splits, part).images
    return images * torch.tensor(splits.std)[:, None, None] + torch.tensor(splits.mean)[:, None, None]


def test_digits_are_divided_whole() -> None:
    from sklearn.datasets import load_digits

    splits = load("digits")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1258, 180, 359)
    assert splits.shape == describe("digits").shape == (1, 8, 8)
    again = [key for part in ("train", "validation", "test") for key in keys(unstandardised(splits, part))]
    whole = keys(torch.from_numpy(load_digits().images / 16).float()[:, None])
    assert sorted(again) == sorted(whole)
    for part in (splits.train, splits.validation, splits.test):
        counts = np.bincount(part.labels.numpy(), minlength=10)
        proportions = np.bincount(load_digits().target) / 1797
        assert np.abs(counts - proportions * len(part)).max() < 1.5
    assert abs(float(splits.train.images.double().mean())) < 1e-6
    assert abs(float(splits.train.images.double().std(correction=0)) - 1) < 1e-6


def test_digits_labels_stay_with_their_images() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    by_image = dict(zip(keys(torch.from_numpy(bunch.images / 16).float()[:, None]), bunch.target.tolist(), strict=True))
    assert len(by_image) == 1797
    splits = load("digits", seed=5)
    for part in ("train", "validation", "test"):
        labels = getattr(splits, part).labels.tolist()
        assert labels == [by_image[key] for key in keys(unstandardised(splits, part))]


def test_the_test_split_of_digits_never_changes() -> None:
    one, other = load("digits", seed=0), load("digits", seed=1, limit=100, validation=20)
    assert keys(unstandardised(one, "test")) == keys(unstandardised(other, "test"))
    assert keys(unstandardised(one, "validation")) != keys(unstandardised(load("digits", seed=1), "validation"))
    # Published accuracies are on these images: a new draw must be a decision, not an accident.
    assert hashlib.sha256(b"".join(keys(unstandardised(one, "test")))).hexdigest() == DIGITS_TEST_SHA256


def test_the_same_call_gives_the_same_splits() -> None:
    one, other = load("digits", seed=2, limit=300), load("digits", seed=2, limit=300)
    assert torch.equal(one.train.images, other.train.images)
    assert torch.equal(one.validation.labels, other.validation.labels)


def test_a_limit_keeps_a_stratified_nested_part() -> None:
    whole, large, small = (load("digits", limit=limit) for limit in (None, 200, 50))
    images = [set(keys(unstandardised(splits, "train"))) for splits in (whole, large, small)]
    assert [len(part) for part in images] == [1258, 200, 50]
    assert images[2] < images[1] < images[0]
    assert small.train.labels.bincount().tolist() == [5] * 10
    assert keys(unstandardised(small, "validation")) == keys(unstandardised(whole, "validation"))
    assert len(load("digits", limit=10**6).train) == 1258


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limit": 0}, "`limit` is 0"),
        ({"validation": 0}, r"`validation` is 0; `digits` has 1438 .* give 1 \.\.\. 1437"),
        ({"validation": 1438}, "`validation` is 1438"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        load("digits", **wrong)  # type: ignore[arg-type]


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="Did you mean `fashion_mnist`"):
        load("fashon-mnist")
    with pytest.raises(RequestError, match="Known: `cifar10`"):
        describe("zzz")


def test_every_set_is_described() -> None:
    known = (
        "digits",
        "mnist",
        "fashion_mnist",
        "kmnist",
        "emnist_balanced",
        "cifar10",
        "cifar100",
        "svhn",
        "tinyimagenet",
        "cifar10_jpeg",
    )
    assert known == DATASETS
    counts = {"emnist_balanced": 47, "cifar100": 100, "tinyimagenet": 200}
    for name in DATASETS:
        info = describe(name)
        assert info.name == name
        assert info.class_count == counts.get(name, 10)
        assert len(set(info.classes)) == (0 if name == "tinyimagenet" else info.class_count)
        assert info.source
        assert info.licence
    assert describe("digits").train_and_validation + describe("digits").test == 1797


def test_unit_pixels_are_left_as_they_are() -> None:
    plain, unit = load("digits", seed=3), load("digits", seed=3, pixels="unit")
    assert (unit.mean, unit.std) == ((0.0,), (1.0,))
    for part in ("train", "validation", "test"):
        images = getattr(unit, part).images
        assert torch.equal(images * 16, (images * 16).round())  # sixteenths, as they were written
        torch.testing.assert_close(unstandardised(plain, part), images, atol=1e-6, rtol=0)
        assert torch.equal(getattr(plain, part).labels, getattr(unit, part).labels)
    assert (float(unit.train.images.min()), float(unit.train.images.max())) == (0, 1)
    resized = load("digits", size=11, pixels="unit").test.images
    assert float(resized.min()) >= 0
    assert float(resized.max()) <= 1 + 1e-6


def emnist(folder: Path, idx_bytes: IdxBytes, *, last: int = 46) -> DatasetInfo:
    """A folder with 94 + 47 images of 2 x 2 pixels, of which only the upper right one is white, and its info."""
    info = dataclasses.replace(
        describe("emnist_balanced"), shape=(1, 2, 2), train_and_validation=94, test=47, validation=47
    )
    folder.mkdir(parents=True)
    stored = bytes([0, 0, 255, 0])  # transposed: white is at the lower left
    for count, images, labels in ((94, *info.files[:2]), (47, *info.files[2:])):
        classes = [*(i % 47 for i in range(count - 1)), last]
        (folder / f"{images}.gz").write_bytes(gzip.compress(idx_bytes(8, (count, 2, 2), stored * count)))
        (folder / labels).write_bytes(idx_bytes(8, (count,), bytes(classes)))
    return info


def test_emnist_is_turned_upright(idx_bytes: IdxBytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = emnist(tmp_path / "emnist_balanced", idx_bytes)
    monkeypatch.setattr(sets, "describe", lambda _: info)
    splits = load("emnist_balanced", tmp_path, pixels="unit")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [47, 47, 47]
    for part in (splits.train, splits.validation, splits.test):
        assert part.images.is_contiguous()
        assert all(image.tolist() == [[[0, 1], [0, 0]]] for image in part.images)
        assert part.labels.sort().values.tolist() == list(range(47))
    monkeypatch.setenv("LIGHTLOOM_DATA", str(tmp_path))
    assert torch.equal(load("emnist_balanced", pixels="unit").test.images, splits.test.images)


def test_emnist_classes_are_the_published_characters() -> None:
    # of emnist-balanced-mapping.txt: label and ASCII code, here those at the ends of each run
    published = {0: 48, 9: 57, 10: 65, 35: 90, 36: 97, 37: 98, 38: 100, 41: 103, 42: 104, 43: 110, 44: 113, 46: 116}
    assert {label: ord(describe("emnist_balanced").classes[label]) for label in published} == published


def test_emnist_is_brought_by_the_user(idx_bytes: IdxBytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTLOOM_DATA", raising=False)
    with pytest.raises(RequestError, match="EMNIST Balanced cannot be downloaded here: put its files into a folder"):
        load("emnist_balanced")
    with pytest.raises(RequestError, match=r"Missing: the folder `.*emnist_balanced`"):
        load("emnist_balanced", tmp_path)
    folder = tmp_path / "emnist_balanced"
    info = emnist(folder, idx_bytes, last=47)
    with pytest.raises(RequestError, match=r"EMNIST Balanced has \(94, 2, 3\) here"):
        read_files(dataclasses.replace(info, shape=(1, 2, 3), classes=("x",) * 48), local_files(folder, info.files))
    monkeypatch.setattr(sets, "describe", lambda _: info)
    with pytest.raises(RequestError, match=r"label 47 at position 93 .*labels of 47 classes lie in 0 \.\.\. 46"):
        load("emnist_balanced", tmp_path)
    (folder / info.files[1]).unlink()
    with pytest.raises(RequestError) as caught:
        load("emnist_balanced", tmp_path)
    assert "emnist-balanced-train-labels-idx1-ubyte.gz` (or the same without `.gz`)." in str(caught.value)
    assert "test-labels" not in str(caught.value)
    assert "download" not in str(caught.value)


def test_images_are_resized_alike_in_every_split() -> None:
    whole, half = load("digits"), load("digits", size=4)
    assert half.shape == (1, 4, 4)
    # an antialiased halving keeps the mean of what it sees: a bright image stays a bright one
    for part in ("train", "validation", "test"):
        before, after = (unstandardised(splits, part).mean((1, 2, 3)) for splits in (whole, half))
        assert float(torch.corrcoef(torch.stack((before, after)))[0, 1]) > 0.97
        assert torch.equal(getattr(whole, part).labels, getattr(half, part).labels)
    assert torch.equal(load("digits", size=8).test.images, whole.test.images)
    with pytest.raises(RequestError, match="`size` is 0"):
        load("digits", size=0)


def test_files_are_checked_against_the_card(small_set: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in small_set.items():
        (tmp_path / name).write_bytes(content)
    learning, test = read_files(SMALL, local_files(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == small_set  # as before
    assert learning[0].shape == (40, 1, 3, 2)
    assert learning[0].flatten().tolist() == [(7 * i + 40) % 256 for i in range(240)]
    assert test[1].tolist() == [0, 1, 2, 3] * 5
    for change in ({"train_and_validation": 41}, {"shape": (1, 2, 3)}):
        with pytest.raises(RequestError, match=r"holds images of shape \(40, 3, 2\); Small has"):
            read_files(dataclasses.replace(SMALL, **change), local_files(tmp_path))
    with pytest.raises(RequestError, match="label 3 at position 3"):
        read_files(dataclasses.replace(SMALL, classes=("a", "b", "c")), local_files(tmp_path))


def test_a_small_folder_is_not_mnist(small_set: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for name, content in small_set.items():
        (tmp_path / "mnist" / name).write_bytes(content)
    with pytest.raises(RequestError, match=r"MNIST has \(60000, 28, 28\) here"):
        load("mnist", tmp_path)


@pytest.mark.parametrize(("name", "mean", "std"), [("mnist", 0.1307, 0.3081), ("fashion_mnist", 0.2860, 0.3530)])
def test_real_sets_have_their_published_moments(real_data: Path, name: str, mean: float, std: float) -> None:
    splits = load(name, real_data)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (55_000, 5_000, 10_000)
    # Commonly used figures, of all 60 000 images; 55 000 of them differ by sampling.
    assert abs(splits.mean[0] - mean) < 5e-4
    assert abs(splits.std[0] - std) < 5e-4
    assert abs(float(splits.train.images.double().mean())) < 1e-5
    if name == "fashion_mnist":  # exactly balanced
        assert splits.train.labels.bincount().tolist() == [5500] * 10
        assert splits.validation.labels.bincount().tolist() == [500] * 10


def test_a_set_without_training_images_names_the_file(real_data: Path) -> None:
    if (real_data / "kmnist").exists():
        pytest.skip("kmnist is whole here")
    with pytest.raises(RequestError, match=r"`\S*/kmnist/train-images-idx3-ubyte\.gz`"):
        load("kmnist", real_data)


def test_import_is_light() -> None:
    heavy = {"sklearn", "pooch", "scipy", "matplotlib", "requests", "rich", "PIL"}
    code = (
        "import sys, torch; before = set(sys.modules); import lightloom.data; "
        f"print(({heavy!r} & set(sys.modules)) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
