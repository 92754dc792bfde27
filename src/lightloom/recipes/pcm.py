"""Networks on phase-change cells that wear out: trained to be written little, put in order, and counted.

All but `digits` follow the published schedules of ELight (Zhu et al., ASP-DAC 2022, and its configuration files):
batches of 64, SGD with Nesterov momentum 0.9 from 0.02, weight decay 1e-4, 200 epochs, a tenth of the rate after 82 and
122; 4-bit weights and inputs, blocks of 64. Two things differ: the published code trains with levels from the first
step, here they start from the electronic network, trained on the same schedule; and the loss is the one that serves the
way in which inputs are shared (`learn.for_sharing`), with a strength found on VGG-8 at 4 bits. A quick form shows the
same on two cores within minutes.
"""

from __future__ import annotations

from typing import NamedTuple

from lightloom.chips import PCMChip, preset
from lightloom.config import StageName
from lightloom.learn import TrainConfig, for_sharing
from lightloom.physics.pcm.order import Sharing
from lightloom.tasks.classification.config import ClassificationConfig, DataConfig, ModelConfig

_STAGES: tuple[StageName, ...] = ("train", "program", "learn", "reorder", "evaluate", "cost", "report")
_ON_THE_BENCH: tuple[StageName, ...] = ("train", "program", "calibrate", "map", *_STAGES[2:])
_PUBLISHED = TrainConfig(
    epochs=200,
    batch_size=64,
    optimizer="sgd",
    nesterov=True,
    lr=0.02,
    weight_decay=1e-4,
    schedule="steps",
    milestones=(82, 122),
    warmup=0.0,
)
_STRENGTH = 25.0


def digits(
    data: str = "digits", stuck: float = 0.0, sharing: Sharing = "row_private", quick: bool = False
) -> ClassificationConfig:
    """A small CNN on crossbars of 16 x 16: trained, put on 16 levels, taught to write little, reordered, worn.

    Args:
        data: "digits" (embedded), "mnist", "fashion_mnist" or "kmnist".
        sharing: Of inputs: "row_private", "column_shared" or "block_shared".
        stuck: Share of cells that no longer switch. With any, the chip is calibrated and mapped on the bench first.
        quick: Fewer epochs and, on the larger sets, fewer images: to see it work.
    """
    embedded = data == "digits"
    train, learn = (20, 20) if embedded else (6, 4)
    if quick:
        train, learn = (8, 6) if embedded else (2, 2)
    return ClassificationConfig(
        recipe="pcm/digits",
        threads=1 if embedded else None,  # as onchip/digits
        stages=_ON_THE_BENCH if stuck else _STAGES,
        data=DataConfig(name=data, limit=10_000 if quick and not embedded else None),
        model=ModelConfig(name="cnn", width=24),
        train=TrainConfig(epochs=train, batch_size=64, lr=3e-3),
        chip=preset("elight", PCMChip).replace(block_size=16, stuck_fraction=stuck, sharing=sharing),
        learn=TrainConfig(
            epochs=learn, batch_size=64, optimizer="sgd", nesterov=True, lr=0.02, weight_decay=1e-4, keep="last"
        ),
        writes=for_sharing(sharing, 10.0),
    )


def mnist(
    data: str = "mnist", bits: int = 4, sharing: Sharing = "row_private", quick: bool = False
) -> ClassificationConfig:
    """A CNN of three convolutions of 64 channels on 28 x 28 pixels, on arrays of 64 x 64 published cells.

    Args:
        data: "mnist", "fashion_mnist" or "kmnist".
        bits: Of the cells, 3 to 6, as published.
        sharing: Of inputs: "row_private", "column_shared" or "block_shared".
        quick: 16 channels, 4,000 images, 3 and 3 epochs.
    """
    return _published("pcm/mnist", "cnn-l", data, bits, sharing, _Small(16, 4_000, 3) if quick else None, strength=10.0)


def cifar10_vgg8(
    data: str = "cifar10", bits: int = 4, sharing: Sharing = "row_private", quick: bool = False
) -> ClassificationConfig:
    """VGG-8 on CIFAR-10, the network that ELight is measured on most.

    Published (4 bit): 89.94 %, 24.5 times fewer writes by training and reordering together.

    Args:
        data: "cifar10", "cifar10_jpeg", "cifar100", "svhn" or "tinyimagenet".
        bits: Of the cells, 3 to 6, as published.
        sharing: Of inputs: "row_private", "column_shared" or "block_shared".
        quick: 16 channels at first, 4,000 images, 6 and 6 epochs, no augmentation.
    """
    small = _Small(16, 4_000, 6) if quick else None
    return _augmented(_published("pcm/cifar10-vgg8", "vgg8", data, bits, sharing, small))


def cifar10_resnet18(
    data: str = "cifar10", bits: int = 4, sharing: Sharing = "row_private", quick: bool = False
) -> ClassificationConfig:
    """ResNet-18 on CIFAR-10.

    Published (4 bit): 92.94 %, 65.7 times fewer writes by training and reordering together.

    Args:
        data: "cifar10", "cifar10_jpeg", "cifar100", "svhn" or "tinyimagenet".
        bits: Of the cells, 4 to 6 published.
        sharing: Of inputs: "row_private", "column_shared" or "block_shared".
        quick: 8 channels at first, 2,000 images, 4 and 4 epochs, no augmentation.
    """
    small = _Small(8, 2_000, 4) if quick else None
    return _augmented(_published("pcm/cifar10-resnet18", "resnet18", data, bits, sharing, small))


def cifar100_vgg13(
    data: str = "cifar100", bits: int = 4, sharing: Sharing = "row_private", quick: bool = False
) -> ClassificationConfig:
    """VGG-13 on CIFAR-100.

    Published (4 bit): 70.44 %, 29.3 times fewer writes by training and reordering together.

    Args:
        data: "cifar100", "cifar10", "cifar10_jpeg", "svhn" or "tinyimagenet".
        bits: Of the cells, 4 to 6 published.
        sharing: Of inputs: "row_private", "column_shared" or "block_shared".
        quick: 8 channels at first, 2,000 images, 4 and 4 epochs, no augmentation.
    """
    small = _Small(8, 2_000, 4) if quick else None
    return _augmented(_published("pcm/cifar100-vgg13", "vgg13", data, bits, sharing, small))


class _Small(NamedTuple):
    """Size of a quick form."""

    width: int
    """Channels of the first layer."""
    limit: int
    """Number of images."""
    epochs: int
    """Electronic, and on the chip."""


def _published(
    recipe: str,
    model: str,
    data: str,
    bits: int,
    sharing: Sharing,
    small: _Small | None,
    *,
    strength: float = _STRENGTH,
) -> ClassificationConfig:
    """The common schedule, or a quick form of it."""
    schedule = _PUBLISHED
    if small is not None:
        schedule = schedule.replace(schedule="cosine", milestones=(), epochs=small.epochs)
    chip = preset("elight" if bits == 4 else f"elight-{bits}bit", PCMChip)
    return ClassificationConfig(
        recipe=recipe,
        stages=_STAGES,
        data=DataConfig(name=data, limit=small and small.limit),
        model=ModelConfig(name=model, width=small and small.width),
        train=schedule,
        chip=chip.replace(sharing=sharing),
        learn=schedule.replace(keep="last"),
        writes=for_sharing(sharing, strength),
    )


def _augmented(config: ClassificationConfig) -> ClassificationConfig:
    """Crops and mirrored images where nothing is cut short; a mirrored digit is another sign, so house numbers stay."""
    data = config.data
    size = 32 if data.name == "tinyimagenet" else data.size
    return config.replace(data=data.replace(augment=data.limit is None and data.name != "svhn", size=size))
