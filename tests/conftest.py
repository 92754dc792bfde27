"""Same numbers in every run: derandomised properties, seeded torch, one thread per worker; and sets of few images."""

import dataclasses
import gzip
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from lightloom.data import DatasetInfo, dataset_info, describe

LEARNING, TEST = 50, 20

hypothesis.settings.register_profile("house", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("house")
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    torch.manual_seed(0)
    yield


@pytest.fixture(scope="session")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small sets of coloured noise in the official formats: the class decides the mean."""
    root = tmp_path_factory.mktemp("data")
    draw = torch.Generator().manual_seed(0)

    def pixels(count: int, size: int, classes: int) -> tuple[list[int], list[bytes]]:
        labels = [i % classes for i in range(count)]
        noise = torch.randint(0, 90, (count, size), generator=draw)
        bright = torch.tensor(labels)[:, None] * 160 // classes
        return labels, [bytes(row) for row in (noise + bright).to(torch.uint8).tolist()]

    for name in ("mnist", "fashion_mnist", "kmnist", "emnist_balanced"):
        (root / name).mkdir()
        emnist, classes = name.startswith("emnist"), len(describe(name).classes)
        for part, count in (("train", LEARNING), ("test" if emnist else "t10k", TEST)):
            labels, images = pixels(count, 784, classes)
            stem = root / name / (f"emnist-balanced-{part}" if emnist else part)
            _write_gz(Path(f"{stem}-images-idx3-ubyte.gz"), (count, 28, 28), b"".join(images))
            _write_gz(Path(f"{stem}-labels-idx1-ubyte.gz"), (count,), bytes(labels))
    ten, hundred = root / "cifar10" / "cifar-10-batches-bin", root / "cifar100" / "cifar-100-binary"
    for folder in (ten, hundred):
        folder.mkdir(parents=True)
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        labels, images = pixels(TEST if name.startswith("test") else LEARNING // 5, 3072, 10)
        (ten / name).write_bytes(b"".join(bytes([a]) + b for a, b in zip(labels, images, strict=True)))
    for name, count in (("train.bin", LEARNING), ("test.bin", TEST)):
        labels, images = pixels(count, 3072, 100)
        (hundred / name).write_bytes(b"".join(bytes([a % 20, a]) + b for a, b in zip(labels, images, strict=True)))
    return root


def _write_gz(path: Path, sides: tuple[int, ...], body: bytes) -> None:
    path.write_bytes(gzip.compress(bytes([0, 0, 8, len(sides)]) + struct.pack(f">{len(sides)}I", *sides) + body))


@pytest.fixture
def small_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sets as they are known, but for their number of images."""

    def small(info: DatasetInfo) -> DatasetInfo:
        return dataclasses.replace(info, train_and_validation=LEARNING, test=TEST, validation=10)

    monkeypatch.setattr(dataset_info, "_INFOS", tuple(small(describe(name)) for name in dataset_info.DATASETS))


@pytest.fixture
def real_data() -> Path:
    """The folder of real sets, where there is one."""
    root = os.environ.get("LIGHTLOOM_DATA")
    if not root:
        pytest.skip("LIGHTLOOM_DATA is not set: no real data sets here")
    return Path(root)
