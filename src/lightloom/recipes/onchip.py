"""Learning on the chip.

All but `digits` follow the published schedules of L2ight (Gu et al., NeurIPS 2021, and its configuration files):
batches of 32, AdamW; 200 epochs from 2e-3 on a cosine with weight decay 0.01 electronically; then, on the chip, a tenth
of that rate and 20 epochs for what is left after mapping. One thing differs: the published cnn-l has blocks of 9, 9, 9
and 8; here one size serves every layer. A quick form shows the same on two cores within minutes: a narrow network, few
images, few epochs, and a higher rate on the chip in their place.
"""

from __future__ import annotations

from lightloom.config import CalibrationConfig
from lightloom.learn import Sampling, TrainConfig, sampling_preset
from lightloom.tasks.classification.config import ClassificationConfig, DataConfig, ModelConfig

_PRETRAIN = TrainConfig(epochs=200, batch_size=32, lr=2e-3, weight_decay=1e-2, warmup=0.0)
_AFTER_MAPPING = TrainConfig(epochs=20, batch_size=32, lr=2e-4, weight_decay=1e-2, warmup=0.0)
_QUICK_LEARN = {"lr": 2e-3}


def digits(data: str = "digits", quick: bool = False) -> ClassificationConfig:
    """A small CNN that collapses on a manufactured chip, and comes back by calibration, mapping and learning there.

    Without the bench, learning alone brings it back as well, from chance and so at a higher rate:
    `stages=[train,program,learn,evaluate,cost,report] learn.epochs=30 learn.lr=1e-2`.

    Args:
        data: "digits" (embedded), "mnist", "fashion_mnist" or "kmnist".
        quick: Fewer epochs and, on the larger sets, fewer images: to see it work.
    """
    embedded = data == "digits"
    train, learn = (20, 10) if embedded else (6, 3)
    if quick:
        train, learn = (8, 4) if embedded else (2, 1)
    return ClassificationConfig(
        recipe="onchip/digits",
        # 8x8 images are too small to share out: a second thread only waits, and waits long on a busy machine
        threads=1 if embedded else None,
        data=DataConfig(name=data, limit=10_000 if quick and not embedded else None),
        model=ModelConfig(name="cnn", width=24),
        train=TrainConfig(epochs=train, batch_size=64, lr=3e-3),
        learn=TrainConfig(epochs=learn, batch_size=64, lr=1e-3),
    )


def mnist_cnn(data: str = "mnist", quick: bool = False) -> ClassificationConfig:
    """The smallest CNN of L2ight, two convolutions on images of 16 x 16, pretrained and brought back on the chip.

    Published (MNIST): 200 epochs, then 10 on the chip from 1e-4; 97.96 % electronic, 94.66 % mapped.

    Args:
        data: "mnist", "fashion_mnist" or "kmnist".
        quick: 5,000 images, 10 and 10 epochs; the network is small as it is.
    """
    return ClassificationConfig(
        recipe="onchip/mnist-cnn",
        data=DataConfig(name=data, size=16, limit=5_000 if quick else None),
        model=ModelConfig(name="cnn-s"),
        train=_PRETRAIN.replace(epochs=10) if quick else _PRETRAIN,
        learn=_AFTER_MAPPING.replace(epochs=10, lr=1e-2 if quick else 1e-4),
    )


def fmnist_cnn(data: str = "fashion_mnist", quick: bool = False) -> ClassificationConfig:
    """The larger CNN of L2ight on Fashion-MNIST, three convolutions of 64, pretrained and brought back on the chip.

    Published (Fashion-MNIST): 200 epochs without weight decay, then 20 on the chip from 2e-4; 92.7 % electronic, 90.1 %
    mapped.

    Args:
        data: "fashion_mnist", "mnist" or "kmnist".
        quick: 16 channels, 2,000 images, 4 and 4 epochs.
    """
    pretrain = _PRETRAIN.replace(weight_decay=0.0)
    return ClassificationConfig(
        recipe="onchip/fmnist-cnn",
        data=DataConfig(name=data, limit=2_000 if quick else None),
        model=ModelConfig(name="cnn-l", width=16 if quick else None),
        train=pretrain.replace(epochs=4) if quick else pretrain,
        learn=_AFTER_MAPPING.replace(epochs=4, **_QUICK_LEARN) if quick else _AFTER_MAPPING,
    )


def cifar10_vgg8(data: str = "cifar10", quick: bool = False) -> ClassificationConfig:
    """VGG-8 of L2ight on CIFAR-10, 3.9 million weights, pretrained and brought back on the chip.

    Published (CIFAR-10): 200 epochs, then 20 on the chip from 2e-4; 86.4 % to 89.1 % mapped. Crops and mirrored images
    in training are ours.

    Args:
        data: "cifar10", "cifar10_jpeg", "cifar100", "svhn" or "tinyimagenet".
        quick: 16 channels at first, 4,000 images, 6 and 4 epochs, no augmentation.
    """
    return _on_colour_images("onchip/cifar10-vgg8", "vgg8", data, quick, width=16, limit=4_000, epochs=(6, 4))


def cifar10_resnet18(data: str = "cifar10", quick: bool = False) -> ClassificationConfig:
    """ResNet-18 on CIFAR-10, 11.2 million weights, pretrained and brought back on the chip.

    Schedule as published: 200 epochs, then 20 on the chip from 2e-4 (1e-4 on SVHN). Published (CIFAR-100): 68.9 %
    electronic, 67.4 % mapped. Crops and mirrored images in training are ours.

    Args:
        data: "cifar10", "cifar10_jpeg", "cifar100", "svhn" or "tinyimagenet".
        quick: 8 channels at first, 2,000 images, 4 and 3 epochs, no augmentation.
    """
    config = _on_colour_images("onchip/cifar10-resnet18", "resnet18", data, quick, width=8, limit=2_000, epochs=(4, 3))
    return config.replace(learn=config.learn.replace(lr=1e-4)) if data == "svhn" and not quick else config


def transfer(data: str = "cifar100", to: str = "cifar10", quick: bool = False) -> ClassificationConfig:
    """VGG-8 pretrained on one data set learns another on the chip: its meshes stay, only its last layer is new.

    Published (CIFAR-100 to CIFAR-10): pretraining as ever, then 20 epochs on the chip from 2e-4.

    Args:
        data: Set of the pretraining: "cifar100", or as `to`.
        to: Set that the chip learns: "cifar10", "cifar10_jpeg", "cifar100", "svhn" or "tinyimagenet" (made 32 x 32).
        quick: 16 channels at first, 4,000 images of each, 6 and 4 epochs, no augmentation.
    """
    config = _on_colour_images("onchip/transfer", "vgg8", data, quick, width=16, limit=4_000, epochs=(6, 4))
    target = config.data.replace(name=to, augment=config.data.augment and to != "svhn")
    return config.replace(data=_at_32(config.data), transfer=_at_32(target))


def _on_colour_images(
    recipe: str, model: str, data: str, quick: bool, *, width: int, limit: int, epochs: tuple[int, int]
) -> ClassificationConfig:
    """The common schedule; `width`, `limit` and `epochs` (electronic, on the chip) are those of the quick form."""
    return ClassificationConfig(
        recipe=recipe,
        # a mirrored digit is another sign, so house numbers stay as they are
        data=DataConfig(name=data, limit=limit if quick else None, augment=not quick and data != "svhn"),
        model=ModelConfig(name=model, width=width if quick else None),
        train=_PRETRAIN.replace(epochs=epochs[0]) if quick else _PRETRAIN,
        learn=_AFTER_MAPPING.replace(epochs=epochs[1], **_QUICK_LEARN) if quick else _AFTER_MAPPING,
        # a look is fitted together with everything measured before, which takes minutes for thousands of blocks
        bench=CalibrationConfig(looks=0 if quick else 1),
        sampling=Sampling() if quick else sampling_preset(f"l2ight-{model}"),
    )


def _at_32(data: DataConfig) -> DataConfig:
    """Images of one size on both sides of a transfer."""
    return data.replace(size=32) if data.name == "tinyimagenet" else data
