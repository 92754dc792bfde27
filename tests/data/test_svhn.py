"""SVHN's MATLAB files against arrays written by scipy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from lightloom.common.errors import RequestError
from lightloom.data import describe
from lightloom.data.svhn import read_svhn

CARD = dataclasses.replace(describe("svhn"), train_and_validation=11, test=4)


def images(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(count).integers(0, 256, (32, 32, 3, count), dtype=np.uint8)


def place(folder: Path, *, compress: bool = True, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    train = {"X": images(11), "y": np.arange(11, dtype=np.float64)[:, None] % 10 + 1, **changes}
    savemat(folder / "train_32x32.mat", {name: value for name, value in train.items() if value is not None})
    test = {"X": images(4), "y": np.array([[10], [1], [9], [10]], dtype=np.uint8)}
    savemat(folder / "test_32x32.mat", test, do_compression=compress)
    return folder


def test_pixels_and_labels(tmp_path: Path) -> None:
    place(tmp_path / "svhn")
    (learning, labels), (test, digits) = read_svhn(CARD, tmp_path)
    assert learning.shape == (11, 3, 32, 32)
    assert labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert digits.tolist() == [0, 1, 9, 0]
    assert digits.dtype == torch.int64
    for number, channel, row, column in ((0, 0, 0, 0), (3, 2, 31, 5), (1, 1, 7, 30)):
        assert test[number, channel, row, column] == images(4)[row, column, channel, number]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": images(10)}, r"uint8 of shape \(32, 32, 3, 10\) for `X`; .*\(32, 32, 3, 11\)"),
        ({"y": None}, r"has nothing for `y`"),
        ({"y": np.array([["a"]] * 11)}, r"char of shape"),
        ({"y": np.full((11, 1), 11)}, r"int64 of shape"),
        ({"y": np.zeros((11, 1), dtype=np.uint8)}, r"label 0 at position 0 \(11 such in all\)"),
        ({"X": images(11).astype(np.float64)}, r"pixels of type float64"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    place(tmp_path / "svhn", **changes)
    with pytest.raises(RequestError, match=rf"train_32x32\.mat`.*{message}"):
        read_svhn(CARD, tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 60, 127, 128, 140, 400, 5000, -1])
@pytest.mark.parametrize("compress", [True, False])
def test_a_cut_file_is_refused(tmp_path: Path, keep: int, compress: bool) -> None:
    path = place(tmp_path / "svhn", compress=compress) / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RequestError, match=r"test_32x32\.mat"):
        read_svhn(CARD, tmp_path)


def test_other_formats_and_missing_files(tmp_path: Path) -> None:
    path = place(tmp_path / "svhn") / "train_32x32.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600))
    with pytest.raises(RequestError, match="version 5 format"):
        read_svhn(CARD, tmp_path)
    path.write_bytes(b"\x89PNG" * 100)
    with pytest.raises(RequestError, match=r"train_32x32\.mat"):
        read_svhn(CARD, tmp_path)
    path.unlink()
    with pytest.raises(RequestError, match=r"Missing: `\S*/train_32x32\.mat`.*`LIGHTLOOM_DATA`"):
        read_svhn(CARD, tmp_path)
