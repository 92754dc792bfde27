"""Folders of JPEG images, on the disk and packed, against images made by hand."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightloom.common.errors import RequestError
from lightloom.data import DatasetInfo, describe, load
from lightloom.data.folders import decode, read_class_folders, read_packed_folders

TINY = dataclasses.replace(describe("tinyimagenet"), shape=(3, 16, 16), folders=2, train_and_validation=4, test=3)
PACKED = dataclasses.replace(
    describe("cifar10_jpeg"), shape=(3, 16, 16), classes=("cat", "dog"), train_and_validation=4, test=2
)


def jpeg(colour: tuple[int, int, int] | int, size: tuple[int, int] = (16, 16)) -> bytes:
    """One flat image: JPEG keeps a flat colour to within a few levels."""
    stream = io.BytesIO()
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def test_decoding_keeps_rows_columns_and_channels() -> None:
    picture = np.zeros((16, 24, 3), dtype=np.uint8)
    picture[:8, :, 0] = 255  # red above
    picture[:, 16:, 2] = 255  # blue on the right
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=100, subsampling=0)
    pixels = decode(stream.getvalue(), (3, 16, 24), "here")
    difference = pixels.int() - torch.from_numpy(picture).permute(2, 0, 1).int()
    assert pixels.shape == (3, 16, 24)
    assert int(difference.abs().max()) < 12
    grey = decode(jpeg(77), (3, 16, 16), "here")
    assert grey.shape == (3, 16, 16)
    assert grey.unique().tolist() == [77]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jpeg(0, (16, 8)), r"`here` has 16 x 8 pixels; expected 16 x 16"),
        (jpeg((9, 9, 9))[:-60], "no whole JPEG"),
        (b"", "no whole JPEG"),
        (b"\xff\xd8\xff", "no whole JPEG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "no whole JPEG"),
    ],
)
def test_broken_images_are_named(content: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        decode(content, (3, 16, 16), "here")
    assert "0x" not in str(caught.value)


def tiny(folder: Path) -> Path:
    """Two classes of two images; colour tells class and number."""
    for level, kind in ((0, "n01"), (100, "n02")):
        (folder / "train" / kind / "images").mkdir(parents=True)
        for number in range(2):
            (folder / f"train/{kind}/images/{kind}_{number}.JPEG").write_bytes(jpeg(level + 10 * number))
    (folder / "val/images").mkdir(parents=True)
    for number in range(3):
        (folder / f"val/images/val_{number}.JPEG").write_bytes(jpeg((200, 0, 10 * number)))
    lines = ["val_2.JPEG\tn02\t0\t0\t9\t9", "val_0.JPEG\tn02\t0\t0\t9\t9", "val_1.JPEG\tn01\t0\t0\t9\t9"]
    (folder / "val/val_annotations.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("inside", ["", "tiny-imagenet-200"])
def test_class_folders_in_order(tmp_path: Path, inside: str) -> None:
    tiny(tmp_path / "tinyimagenet" / inside)
    learning, test, classes = read_class_folders(TINY, tmp_path)
    assert classes == ("n01", "n02")
    assert learning[1].tolist() == [0, 0, 1, 1]
    assert learning[0][:, 0, 5, 5].tolist() == [0, 10, 100, 110]
    assert test[1].tolist() == [1, 0, 1]
    assert (test[0][:, 2, 5, 5].int() - torch.tensor([0, 10, 20])).abs().max() < 4
    assert learning[0].shape == (4, 3, 16, 16)


def test_class_folders_load_with_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny(tmp_path / "tinyimagenet")
    small = dataclasses.replace(TINY, validation=2)
    monkeypatch.setattr("lightloom.data.sets.describe", lambda name: small)
    splits = load("tinyimagenet", tmp_path, size=8)
    assert splits.classes == ("n01", "n02")
    assert splits.shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../../secret.JPEG\tn01", r"Line 1 of `\S*val_annotations\.txt` is `\.\./\.\./secret"),
        ("val_0.JPEG\tn03", "one of the 2 classes"),
        ("val_0.JPEG", "expected a file name, a tab"),
        ("val_0.JPEG\tn01\nval_0.JPEG\tn01", "a second time"),
        ("val_0.JPEG\tn01", r"holds 1 images; Tiny ImageNet has 3"),
        ("val_0.JPEG\tn01\nval_1.JPEG\tn01\nval_9.JPEG\tn01", r"Cannot read `\S*val_9\.JPEG`"),
    ],
)
def test_bad_annotations(tmp_path: Path, line: str, message: str) -> None:
    (tiny(tmp_path / "tinyimagenet") / "val/val_annotations.txt").write_text(line)
    with pytest.raises(RequestError, match=message):
        read_class_folders(TINY, tmp_path)


def test_missing_parts_of_class_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTLOOM_DATA", raising=False)
    with pytest.raises(RequestError, match=r"cannot be downloaded here.*`tinyimagenet/`"):
        read_class_folders(TINY)
    with pytest.raises(RequestError, match=r"Missing: the folder `\S*/tinyimagenet`"):
        read_class_folders(TINY, tmp_path)
    folder = tiny(tmp_path / "tinyimagenet")
    with pytest.raises(RequestError, match="holds 2 class folders; Tiny ImageNet has 3"):
        read_class_folders(dataclasses.replace(TINY, folders=3), tmp_path)
    with pytest.raises(RequestError, match=r"train` holds 4 images; Tiny ImageNet has 5"):
        read_class_folders(dataclasses.replace(TINY, train_and_validation=5), tmp_path)
    (folder / "val/val_annotations.txt").unlink()
    with pytest.raises(RequestError, match=r"Cannot read `\S*val_annotations\.txt`"):
        read_class_folders(TINY, tmp_path)


MEMBERS = [
    ("top/train/dog/b.jpg", jpeg(60)),
    ("top/train/cat/b.jpg", jpeg(10)),
    ("top/test/dog/a.jpg", jpeg(200)),
    ("top/train/cat/a.jpg", jpeg(0)),
    ("top/train/dog/a.jpg", jpeg(50)),
    ("top/test/cat/a.jpg", jpeg(150)),
]


def pack(folder: Path, members: Sequence[tuple[str, bytes | tarfile.TarInfo]]) -> Path:
    path = folder / "cifar10_jpeg/images.tar.xz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz", preset=0) as archive:
        for name, content in members:
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIGHTLOOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


def levels(info: DatasetInfo, root: Path) -> list[list[int]]:
    learning, test = read_packed_folders(info, root)
    return [learning[0][:, 1, 3, 3].tolist(), learning[1].tolist(), test[0][:, 1, 3, 3].tolist(), test[1].tolist()]


def test_packed_images_are_sorted_by_class_and_name(tmp_path: Path, cache: Path) -> None:
    folder = tarfile.TarInfo("top/train/cat")
    folder.type = tarfile.DIRTYPE
    path = pack(tmp_path, [("top/train/cat", folder), *MEMBERS])
    expected = [[0, 10, 50, 60], [0, 0, 1, 1], [150, 200], [0, 1]]
    assert levels(PACKED, tmp_path) == expected
    assert [p.name for p in path.parent.iterdir()] == ["images.tar.xz"]
    pack(tmp_path, MEMBERS[::-1])
    assert levels(PACKED, tmp_path) == expected


def test_what_was_decoded_is_kept_under_the_archives_checksum(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(tmp_path, MEMBERS)
    expected = levels(PACKED, tmp_path)
    (kept,) = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("lightloom.data.folders.decode", None)
        assert levels(PACKED, tmp_path) == expected
        with pytest.raises(RequestError, match=r"holds 4 images; .* has 5"):
            levels(dataclasses.replace(PACKED, train_and_validation=5), tmp_path)
    kept.write_bytes(kept.read_bytes()[:-10])
    assert levels(PACKED, tmp_path) == expected
    pack(tmp_path, [(name, jpeg(90)) for name, _ in MEMBERS])
    assert levels(PACKED, tmp_path) == [[90] * 4, [0, 0, 1, 1], [90] * 2, [0, 1]]
    assert len(list(cache.iterdir())) == 2


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(tmp_path, MEMBERS)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIGHTLOOM_CACHE", str(tmp_path / "file"))
    with pytest.raises(RequestError, match="`LIGHTLOOM_CACHE`"):
        read_packed_folders(PACKED, tmp_path)


def link() -> tarfile.TarInfo:
    made = tarfile.TarInfo("top/train/cat/c.jpg")
    made.type, made.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return made


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("../evil.jpg", jpeg(1))], r"unsafe name `\.\./evil\.jpg`"),
        ([("/train/cat/x.jpg", jpeg(1))], r"unsafe name `/train/cat/x\.jpg`"),
        ([("link", link())], r"`top/train/cat/c\.jpg`, which is no small plain file"),
        ([("train/cat/x.jpg", bytes(2**20 + 1))], "no small plain file"),
        ([("train/fox/x.jpg", jpeg(1))], r"`train/fox/x\.jpg`; expected .* cat, dog"),
        ([("x.jpg", jpeg(1))], r"`x\.jpg`; expected"),
        ([("train/cat/x.png", jpeg(1))], r"`train/cat/x\.png`; expected"),
        ([*MEMBERS[:1], *MEMBERS[:1]], r"holds `top/train/dog/b\.jpg` twice"),
        ([*MEMBERS, ("train/cat/z.jpg", jpeg(1))], "more than the 6 images"),
        (MEMBERS[:5], r"test/` holds 1 images; .* has 2"),
        ([("train/cat/x.jpg", b"nothing")], r"images\.tar\.xz: train/cat/x\.jpg` is no whole JPEG"),
    ],
)
def test_bad_archives(
    tmp_path: Path, cache: Path, members: Sequence[tuple[str, bytes | tarfile.TarInfo]], message: str
) -> None:
    pack(tmp_path, members)
    with pytest.raises(RequestError, match=message):
        read_packed_folders(PACKED, tmp_path)
    assert not cache.exists()


def test_cut_and_missing_archives(tmp_path: Path, cache: Path) -> None:
    path = pack(tmp_path, MEMBERS)
    whole = path.read_bytes()
    for keep in (0, 5, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:keep])
        with pytest.raises(RequestError, match=r"images\.tar\.xz` is cut short or damaged"):
            read_packed_folders(PACKED, tmp_path)
    path.unlink()
    with pytest.raises(RequestError, match=r"holds 0 files `\*\.tar\.xz`"):
        read_packed_folders(PACKED, tmp_path)


def test_the_title_says_that_the_images_are_not_the_original_ones() -> None:
    assert describe("cifar10_jpeg").title == "CIFAR-10 (JPEG q75, not canonical order)"


def test_the_real_archive_has_the_moments_of_cifar(real_data: Path) -> None:
    if not (real_data / "cifar10_jpeg").exists():
        pytest.skip("no CIFAR-10 as JPEG here")
    splits = load("cifar10_jpeg", real_data)
    assert splits.train.labels.bincount().tolist() == [4500] * 10
    assert splits.test.labels.bincount().tolist() == [1000] * 10
    # commonly used figures of the original images
    assert splits.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=1e-3)
    assert splits.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=4e-3)
