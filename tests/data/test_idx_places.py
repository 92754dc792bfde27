"""Files of MNIST and CIFAR however they were unpacked: read, or what lies there instead is told."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from labelled import text

from lightloom.common.errors import RequestError
from lightloom.data import describe, load
from lightloom.data.cifar import LAYOUTS, read_cifar
from lightloom.data.files import contents, local_files
from lightloom.data.idx import read_idx

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
ONE = b"\0\0\x08\x01\0\0\0\1\5"


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("form", ["{0}", "{1}", "{0}/{0}", "{0}/{1}", "{1}/{1}"])
@pytest.mark.parametrize(
    ("name", "home"),
    [("mnist", "mnist"), ("mnist", "mnist/raw"), ("mnist", "MNIST/raw"), ("mnist", "MNIST"),
     ("mnist", "mnist/MNIST/raw"),
     ("fashion_mnist", "FashionMNIST/raw"), ("fashion_mnist", "fashion-mnist"), ("kmnist", "KMNIST/raw")],
)  # fmt: skip
def test_every_way_of_unpacking_is_found(tmp_path: Path, name: str, home: str, form: str, ending: str) -> None:
    paths = []
    for file in NAMES:
        dotted = file.replace("-idx", ".idx")
        paths.append(text(tmp_path / home / (form.format(file, dotted) + ending), ONE))
    text(tmp_path / "OtherMNIST/raw/train-images-idx3-ubyte", ONE)
    assert list(local_files(tmp_path / name)) == paths


@pytest.mark.parametrize("home", ["", "raw"])
def test_the_folder_itself_may_be_named(tmp_path: Path, home: str) -> None:
    paths = [text(tmp_path / "MNIST" / home / file, ONE) for file in NAMES]
    assert list(local_files(tmp_path / "MNIST" / "mnist")) == paths


def test_files_of_two_folders_or_of_another_set_are_not_mixed(tmp_path: Path) -> None:
    for file in NAMES[:2]:
        text(tmp_path / "mnist" / file, ONE)
    for file in NAMES[2:]:
        text(tmp_path / "MNIST/raw" / file, ONE)
    for file in NAMES:
        text(tmp_path / "FashionMNIST/raw" / file, ONE)
    text(tmp_path / "mnist/mnist.npz", b"")
    with pytest.raises(RequestError) as caught:
        local_files(tmp_path / "mnist")
    message = str(caught.value)
    assert message.startswith(f"Missing: `{tmp_path}/mnist/t10k-images-idx3-ubyte.gz`, ")
    assert f"Looked for in `{tmp_path}/MNIST" in message and "holds `mnist.npz`." in message
    assert "Fashion" not in message


def test_what_lies_there_instead_is_told(tmp_path: Path) -> None:
    text(tmp_path / "mnist/mnist_train.csv", "5,0,0")
    with pytest.raises(RequestError, match=r"Missing: .*mnist` holds `mnist_train\.csv`\. Put there"):
        load("mnist", tmp_path)
    with pytest.raises(RequestError, match=r"Missing: `.*kmnist/train-.*holds `mnist/`\. Put there"):
        load("kmnist", tmp_path)
    with pytest.raises(RequestError, match=r"Missing: the folder `.*tinyimagenet`\. `.*` holds `mnist/`"):
        load("tinyimagenet", tmp_path)
    (tmp_path / "svhn").mkdir()
    with pytest.raises(RequestError, match=r"train_32x32\.mat`\. `.*svhn` is empty"):
        load("svhn", tmp_path)
    for number in range(12):
        text(tmp_path / f"many/{number:02d}", "")
    assert contents(tmp_path / "many").endswith("`07` and 4 more.")
    assert contents(tmp_path / "many/none").startswith("There is no folder")


@pytest.mark.parametrize("layers", [2, 3])
def test_files_packed_more_than_once_are_unpacked(tmp_path: Path, layers: int) -> None:
    content = ONE
    for _ in range(layers):
        content = gzip.compress(content)
    path = text(tmp_path / "a.gz", content)
    assert read_idx(path).tolist() == [5]
    for cut in (5, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(RequestError, match=r"a\.gz` is cut short|a\.gz` is not whole"):
            read_idx(path)


def test_files_packed_too_often_are_refused(tmp_path: Path) -> None:
    content = ONE
    for _ in range(9):
        content = gzip.compress(content)
    with pytest.raises(RequestError, match="compressed more than"):
        read_idx(text(tmp_path / "a.gz", content))


# CIFAR


@pytest.mark.parametrize(
    ("name", "there", "version"),
    [
        ("cifar10", "cifar10/cifar-10-batches-py/test_batch", "python"),
        ("cifar10", "cifar-10-batches-py/test_batch", "python"),
        ("cifar10", "cifar10/data_batch_1", "python"),
        ("cifar10", "cifar10/cifar-10-python.tar.gz", "python"),
        ("cifar100", "cifar100/cifar-100-python/train", "python"),
        ("cifar100", "cifar100/train", "python"),
        ("cifar10", "cifar10/cifar-10-batches-mat/test_batch.mat", "Matlab"),
        ("cifar100", "cifar100/test.mat", "Matlab"),
    ],
)
def test_another_version_is_named_with_the_one_to_fetch(tmp_path: Path, name: str, there: str, version: str) -> None:
    text(tmp_path / there, b"x")
    with pytest.raises(RequestError, match=rf"is the {version} version of CIFAR.*`{LAYOUTS[name].archive}` from https"):
        load(name, tmp_path)


@pytest.mark.parametrize("home", ["cifar10", "cifar10/cifar-10-batches-bin", "cifar-10-batches-bin"])
def test_the_binary_version_is_found(tmp_path: Path, home: str) -> None:
    for file in (*LAYOUTS["cifar10"].learning, LAYOUTS["cifar10"].test):
        text(tmp_path / home / file, b"\0")
    with pytest.raises(RequestError, match=r"data_batch_1\.bin` is cut short after 1 bytes"):
        read_cifar(describe("cifar10"), tmp_path)
    (tmp_path / home / "data_batch_4.bin").unlink()
    with pytest.raises(RequestError, match=r"Missing: `\S*data_batch_4\.bin`\. `.*` holds `data_batch_1\.bin`"):
        read_cifar(describe("cifar10"), tmp_path)


@pytest.mark.parametrize("packing", [0, 1, 2])
def test_an_archive_is_read_however_often_it_is_packed(tmp_path: Path, packing: int) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    content = stream.getvalue()
    for _ in range(packing):
        content = gzip.compress(content)
    text(tmp_path / ("cifar10/cifar-10-binary.tar.gz" if packing else "cifar10/cifar-10-binary.tar"), content)
    with pytest.raises(
        RequestError, match=r"Missing: `\S*: cifar-10-batches-bin/data_batch_1\.bin`, .*_5\.bin`\. Fetch"
    ):
        read_cifar(describe("cifar10"), tmp_path)
