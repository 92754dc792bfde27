"""CIFAR's binary format against files made by hand."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from lightloom.common.errors import RequestError
from lightloom.data import DatasetInfo, describe, load
from lightloom.data.cifar import read_cifar
from lightloom.data.dataset_info import Mirror

TEN = dataclasses.replace(describe("cifar10"), train_and_validation=10, test=3)
HUNDRED = dataclasses.replace(describe("cifar100"), train_and_validation=4, test=2)


def record(*labels: int, first: int = 0) -> bytes:
    """One record whose red plane counts up from `first`, green is 100 and blue 200."""
    return bytes(labels) + bytes((first + i) % 256 for i in range(1024)) + bytes([100]) * 1024 + bytes([200]) * 1024


def ten() -> dict[str, bytes]:
    """Five batches of two records and a test batch of three, labelled in turn."""
    files = {f"data_batch_{b}.bin": record(2 * b - 2, first=b) + record(2 * b - 1, first=50) for b in range(1, 6)}
    return {**files, "test_batch.bin": record(9) + record(0) + record(5)}


def placed(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def packed(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_records_in_the_order_of_the_files(tmp_path: Path, inside: str) -> None:
    placed(tmp_path / "cifar10" / inside, ten())
    (images, labels), (test, test_labels) = read_cifar(TEN, tmp_path)
    assert images.shape == (10, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert labels.tolist() == list(range(10))
    assert images[:, 0, 0, 0].tolist() == [1, 50, 2, 50, 3, 50, 4, 50, 5, 50]
    assert images[0, 0, 1, 2] == 1 + 32 + 2  # row 1, column 2 of the red plane
    assert images[:, 1].unique().tolist() == [100]
    assert images[:, 2].unique().tolist() == [200]
    assert len(test) == 3
    assert test_labels.tolist() == [9, 0, 5]


def test_the_archive_is_read_as_it_is(tmp_path: Path) -> None:
    files = {f"cifar-10-batches-bin/{name}": content for name, content in ten().items()}
    path = packed(tmp_path / "cifar10/cifar-10-binary.tar.gz", {**files, "../outside.bin": b"never read"})
    from_archive = read_cifar(TEN, tmp_path)
    placed(tmp_path / "other/cifar10", ten())
    from_folder = read_cifar(TEN, tmp_path / "other")
    pairs = zip((*from_archive[0], *from_archive[1]), (*from_folder[0], *from_folder[1]), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert sorted(p.name for p in (tmp_path / "cifar10").iterdir()) == [path.name]
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(RequestError, match=r"cifar-10-binary\.tar\.gz` is cut short or damaged"):
        read_cifar(TEN, tmp_path)
    packed(path, {"something/else.bin": b""})
    with pytest.raises(RequestError, match=r"Missing: `\S*\.gz: cifar-10-batches-bin/data_batch_1\.bin`, "):
        read_cifar(TEN, tmp_path)


def test_the_archive_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTLOOM_DATA", raising=False)
    monkeypatch.setenv("LIGHTLOOM_CACHE", str(tmp_path / "cache"))
    files = {f"cifar-10-batches-bin/{name}": content for name, content in ten().items()}
    path = packed(tmp_path / "served/cifar-10-binary.tar.gz", files)
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, form: str, *words: object) -> None:
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(path.parent))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        mirror = Mirror(
            url=f"http://127.0.0.1:{server.server_port}/",
            md5={path.name: hashlib.md5(path.read_bytes()).hexdigest()},
        )
        for _ in range(2):
            learning, _ = read_cifar(dataclasses.replace(TEN, mirror=mirror))
            assert learning[1].tolist() == list(range(10))
        server.shutdown()
        thread.join()
    assert asked == ["/cifar-10-binary.tar.gz"]
    assert (tmp_path / "cache/data/cifar10" / path.name).read_bytes() == path.read_bytes()


def test_the_fine_label_is_taken(tmp_path: Path) -> None:
    files = {"train.bin": b"".join(record(19, fine) for fine in (3, 99, 0, 7)), "test.bin": record(0, 1) + record(1, 2)}
    folder = placed(tmp_path / "cifar100/cifar-100-binary", files)
    learning, test = read_cifar(HUNDRED, tmp_path)
    assert learning[1].tolist() == [3, 99, 0, 7]
    assert test[1].tolist() == [1, 2]
    (folder / "test.bin").write_bytes(record(0, 1) + record(20, 2))
    with pytest.raises(RequestError, match=r"test\.bin` has the label 20 in record 1 .*0 \.\.\. 19"):
        read_cifar(HUNDRED, tmp_path)
    (folder / "test.bin").write_bytes(record(0, 100) + record(1, 2))
    with pytest.raises(RequestError, match=r"the label 100 in record 0 .*0 \.\.\. 99"):
        read_cifar(HUNDRED, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: body[:-1], r"cut short after 9218 bytes: expected 3 records of 3073 bytes, 9219 in all"),
        (lambda body: b"", r"cut short after 0 bytes"),
        (lambda body: body + b"x", r"goes on after its end"),
        (lambda body: b"\x0a" + body[1:], r"the label 10 in record 0 \(1 such in all\)"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, change: object, message: str) -> None:
    files = ten()
    assert callable(change)
    placed(tmp_path / "cifar10", {**files, "test_batch.bin": change(files["test_batch.bin"])})
    with pytest.raises(RequestError, match=rf"test_batch\.bin`.*{message}"):
        read_cifar(TEN, tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"neither `\S*/test_batch\.bin` nor `\S*/cifar-10-binary\.tar\.gz`"):
        read_cifar(TEN, tmp_path)
    files = ten()
    del files["data_batch_3.bin"]
    placed(tmp_path / "cifar10", files)
    with pytest.raises(RequestError, match=r"Missing: `\S*/data_batch_3\.bin`"):
        read_cifar(TEN, tmp_path)


def test_a_small_file_is_not_the_real_set(tmp_path: Path) -> None:
    placed(tmp_path / "cifar10", ten())
    with pytest.raises(RequestError, match=r"expected 10000 records"):
        load("cifar10", tmp_path)


def test_loading_splits_and_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small: DatasetInfo = dataclasses.replace(TEN, validation=2)
    monkeypatch.setattr("lightloom.data.sets.describe", lambda name: small)
    noise = torch.randint(256, (3072,), generator=torch.Generator().manual_seed(0)).tolist()
    placed(
        tmp_path / "cifar10", {name: content.replace(content[1:3073], bytes(noise)) for name, content in ten().items()}
    )
    splits = load("cifar10", tmp_path, limit=4)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (4, 2, 3)
