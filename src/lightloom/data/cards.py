"""What is known of each classification set: shape, size, classes, source, licence, where its files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from lightloom.common.errors import RequestError, nearest

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
IDX_NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A public folder that serves the files of a set.

    Attributes:
        url: The folder, with its last slash.
        md5: Hexadecimal MD5 of each file by its name; IDX files are served in gzip and named without `.gz` here.
    """

    url: str
    md5: Mapping[str, str]


Form = Literal["embedded", "idx", "transposed idx", "cifar", "svhn", "class folders", "packed folders"]
"""How a set is stored, which decides who reads it."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One data set in words and numbers.

    Attributes:
        name: What `load` calls it.
        title: What the literature calls it.
        shape: Of one image: (channels, height, width).
        classes: Class names in the order of the labels; empty where the folders of the set name them.
        learning: Images that `load` divides into training and validation.
        test: Images of the test split.
        validation: Images that go to validation unless told otherwise.
        source: Where it comes from.
        licence: On what terms.
        form: How it is stored.
        mirror: Where its files are served with a checksum that is known; None where the user must bring them.
        folders: Number of classes where `classes` is empty.
        files: Names of its IDX files, without `.gz`: images and labels to learn from, then those of the test.
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
    form: Form = "idx"
    mirror: Mirror | None = None
    folders: int = 0
    files: tuple[str, str, str, str] = IDX_NAMES

    @property
    def class_count(self) -> int:
        """How many classes there are."""
        return len(self.classes) or self.folders


def _mirror(url: str, *, train_images: str, train_labels: str, test_images: str, test_labels: str) -> Mirror:
    sums = {
        TRAIN_IMAGES: train_images,
        TRAIN_LABELS: train_labels,
        TEST_IMAGES: test_images,
        TEST_LABELS: test_labels,
    }
    return Mirror(url=url, md5=MappingProxyType(sums))


_TEN_DIGITS = tuple("0123456789")
# Small letters that are written as their capitals share the class of these.
_EMNIST = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100_NAMES = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
    "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
    "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
    "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
    "pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
    "skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger "
    "tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)
_CIFAR100 = tuple(_CIFAR100_NAMES.split())
_KRIZHEVSKY = "A. Krizhevsky, Learning multiple layers of features from tiny images, technical report (2009)"
_KRIZHEVSKY_URL = "https://www.cs.toronto.edu/~kriz/"

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
        form="embedded",
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
    Card(
        name="emnist_balanced",
        title="EMNIST Balanced",
        shape=(1, 28, 28),
        classes=_EMNIST,
        learning=112_800,
        test=18_800,
        validation=5_000,
        source="G. Cohen, S. Afshar, J. Tapson, A. van Schaik, EMNIST: an extension of MNIST to handwritten letters, "
        "arXiv:1702.05373 (2017), from NIST Special Database 19",
        licence="no formal licence; cite the source",
        form="transposed idx",
        files=(
            "emnist-balanced-train-images-idx3-ubyte",
            "emnist-balanced-train-labels-idx1-ubyte",
            "emnist-balanced-test-images-idx3-ubyte",
            "emnist-balanced-test-labels-idx1-ubyte",
        ),
    ),
    Card(
        name="cifar10",
        title="CIFAR-10",
        shape=(3, 32, 32),
        classes=_CIFAR10,
        learning=50_000,
        test=10_000,
        validation=5_000,
        source=_KRIZHEVSKY,
        licence="no formal licence; cite the source",
        form="cifar",
        mirror=Mirror(url=_KRIZHEVSKY_URL, md5={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}),
    ),
    Card(
        name="cifar100",
        title="CIFAR-100",
        shape=(3, 32, 32),
        classes=_CIFAR100,
        learning=50_000,
        test=10_000,
        validation=5_000,
        source=_KRIZHEVSKY,
        licence="no formal licence; cite the source",
        form="cifar",
        mirror=Mirror(url=_KRIZHEVSKY_URL, md5={"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"}),
    ),
    Card(
        name="svhn",
        title="SVHN (cropped digits)",
        shape=(3, 32, 32),
        classes=_TEN_DIGITS,
        learning=73_257,
        test=26_032,
        validation=5_000,
        source="Y. Netzer et al., Reading digits in natural images with unsupervised feature learning (2011)",
        licence="non-commercial use only",
        form="svhn",
        mirror=Mirror(
            url="http://ufldl.stanford.edu/housenumbers/",
            md5={
                "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
                "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
            },
        ),
    ),
    Card(
        name="tinyimagenet",
        title="Tiny ImageNet",
        shape=(3, 64, 64),
        classes=(),
        folders=200,
        learning=100_000,
        test=10_000,
        validation=5_000,
        source="Stanford CS231n, after O. Russakovsky et al., ImageNet (2015); its `val` part is the test split",
        licence="ImageNet's terms: non-commercial research",
        form="class folders",
    ),
    Card(
        name="cifar10_jpeg",
        title="CIFAR-10 (JPEG q75, not canonical order)",
        shape=(3, 32, 32),
        classes=_CIFAR10,
        learning=50_000,
        test=10_000,
        validation=5_000,
        source=f"{_KRIZHEVSKY}; every image recompressed with loss",
        licence="no formal licence; cite the source",
        form="packed folders",
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
