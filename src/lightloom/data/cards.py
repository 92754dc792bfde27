"""What is known of each classification set: shape, size, classes, source, licence, where its files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lightloom.common.errors import RequestError, nearest

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A public folder that serves the four IDX files of a set in gzip.

    Attributes:
        url: The folder, with its last slash.
        md5: Hexadecimal MD5 of each `.gz` file, by its name without `.gz`.
    """

    url: str
    md5: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Card:
    """One data set in words and numbers.

    Attributes:
        name: What `load` calls it.
        title: What the literature calls it.
        shape: Of one image: (channels, height, width).
        classes: Class names in the order of the labels.
        learning: Images that `load` divides into training and validation.
        test: Images of the test split.
        validation: Images that go to validation unless told otherwise.
        source: Where it comes from.
        licence: On what terms.
        mirror: Where its files are served; None for a set that is embedded in a dependency.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    learning: int
    test: int
    validation: int
    source: str
    licence: str
    mirror: Mirror | None = None


def _mirror(url: str, *, train_images: str, train_labels: str, test_images: str, test_labels: str) -> Mirror:
    sums = {
        TRAIN_IMAGES: train_images,
        TRAIN_LABELS: train_labels,
        TEST_IMAGES: test_images,
        TEST_LABELS: test_labels,
    }
    return Mirror(url=url, md5=MappingProxyType(sums))


_TEN_DIGITS = tuple("0123456789")

_CARDS = (
    Card(
        name="digits",
        title="Optical Recognition of Handwritten Digits",
        shape=(1, 8, 8),
        classes=_TEN_DIGITS,
        learning=1438,
        test=359,
        validation=180,
        source="E. Alpaydin, C. Kaynak, UCI Machine Learning Repository (1998), doi:10.24432/C50P49; "
        "the test part, embedded in scikit-learn",
        licence="CC BY 4.0",
    ),
    Card(
        name="mnist",
        title="MNIST",
        shape=(1, 28, 28),
        classes=_TEN_DIGITS,
        learning=60_000,
        test=10_000,
        validation=5_000,
        source="Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits",
        licence="CC BY-SA 3.0 (as commonly given)",
        mirror=_mirror(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            train_images="f68b3c2dcbeaaa9fbdd348bbdeb94873",
            train_labels="d53e105ee54ea40749a09fcbcd1e9432",
            test_images="9fb629c4189551a2d022fa330f9573f3",
            test_labels="ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    Card(
        name="fashion_mnist",
        title="Fashion-MNIST",
        shape=(1, 28, 28),
        classes=(
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        learning=60_000,
        test=10_000,
        validation=5_000,
        source="H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747 (2017)",
        licence="MIT",
        mirror=_mirror(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            train_images="8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            train_labels="25c81989df183df01b3e8a0aad5dffbe",
            test_images="bef4ecab320f06d8554ea6380940ec79",
            test_labels="bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    Card(
        name="kmnist",
        title="Kuzushiji-MNIST",
        shape=(1, 28, 28),
        # Hiragana in Hepburn letters: the usual plotting fonts have no kana.
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        learning=60_000,
        test=10_000,
        validation=5_000,
        source='"KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" '
        "(created by NIJL and others), doi:10.20676/00000341",
        licence="CC BY-SA 4.0",
        mirror=_mirror(
            "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            train_images="bdb82020997e1d708af4cf47b453dcf7",
            train_labels="e144d726b3acfaa3e44228e80efcd344",
            test_images="5c965bf0a639b31b8f53240b1b52f4d7",
            test_labels="7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
)

DATASETS: tuple[str, ...] = tuple(card.name for card in _CARDS)
"""The names that `load` and `describe` know."""


def describe(name: str) -> Card:
    """Shape, sizes, classes, source and licence of a data set. Raises `RequestError` for an unknown name."""
    for card in _CARDS:
        if card.name == name:
            return card
    raise RequestError(f"There is no data set `{name}`. {nearest(name, DATASETS)}")
