"""Hybrid opto-electronic detectors: late stages of a backbone computed by light, and taught by the electronic one.

Networks, optics and losses follow PHOENIX ("Distilling hybrid opto-electronic detectors", 2025). Two things differ
where a recipe is made for a small machine: a path of light belongs to an input channel and the mixing of channels is
electronic (`mixing=dense` is the published layer, a path for each pair of channels), and nothing is pretrained. What a
case costs is counted in the published way and as a whole.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

from lightloom.chips import diffractive
from lightloom.config import Case, SweepConfig
from lightloom.data.detection import AugmentConfig
from lightloom.learn import TrainConfig
from lightloom.nn.backbones import SIZES, HybridConfig
from lightloom.nn.diffractive import Mixing
from lightloom.recipes.hybrid_cases import (
    BASELINE,
    Ablation,
    cases,
    diffractive_networks,
    late_blocks,
    late_stages,
    published_stages,
)
from lightloom.recipes.optical_cases import check
from lightloom.tasks.classification.config import ClassificationConfig, DataConfig, ModelConfig, OpticsConfig
from lightloom.tasks.detection2d import FCOSConfig
from lightloom.tasks.detection2d.config import Detection2DConfig, DetectionDataConfig, DetectorConfig
from lightloom.tasks.hybrid.config import BackboneConfig, DetectorOpticsConfig

_FLIPPED = AugmentConfig(flip=0.5, scale=0.0, colour=0.0)
_SMALL = FCOSConfig(channels=64, convs=2, groups=8, levels=3, reach=4.0, centre=1.5, by_stride=True, overlap="giou")
_SHORT = TrainConfig(batch_size=8, lr=2e-3, weight_decay=0.05, clip_norm=10.0, keep="last", evaluate_every=10)
_TINY_WIDTH, _FULL_WIDTH = 192, 256  # channels of the last stage: of `regnetx-tiny`, and as published
_HEADS = ("neck.*", "head.*")
"""What stays electronic where a detector is put on a chip: light computes backbones."""
_LATE = ("backbone.stages.2.*", "backbone.stages.3.*")
"""What stays electronic as well in a quick form: the most weights, which take long to calibrate and to map."""
_PUBLISHED = TrainConfig(
    epochs=12,
    batch_size=16,
    optimizer="sgd",
    lr=0.01,
    weight_decay=1e-4,
    schedule="steps",
    milestones=(8, 11),
    warmup=0.005,
    clip_norm=35.0,
    keep="last",
)
"""SGD with steps, 12 epochs. Published as well, and not here: biases at twice the rate and without weight decay."""


def shapes(
    optical: int = 1,
    mixing: Mixing = "depthwise",
    ablation: Ablation = "none",
    backbone: str = "regnetx-tiny",
    quick: bool = False,
) -> Detection2DConfig:
    """Coloured shapes on clutter: an electronic detector, a hybrid of it, and one that it teaches; in minutes.

    Args:
        optical: Optical stages of the last hybrid, 1 ... 3.
        mixing: Which pairs of channels have paths of their own: "depthwise", "dense", "grouped" or "shared".
        ablation: What is varied in a hybrid with one optical stage instead: "nonlinearity", "layers", "blocks",
            "channels", "noise", "strategy", "terms" of the distillation, or "mixing".
        backbone: A small one: "regnetx-tiny", "resnet-tiny", "convnext-mini", "convnext-v2-mini", or "vit-tiny", whose
            last blocks then become optical.
        quick: 200 images, 4 epochs.
    """
    # maps of 8 x 8 are so small that light crosses them within 40 um
    near = diffractive("phoenix").replace(distance_in=4e-5, distance=4e-5)
    # drawn images are all different, so there is no need to change them
    config = _small(
        "hybrid/shapes",
        DetectionDataConfig(name="shapes", count=200 if quick else 1000, augment=_FLIPPED),
        _SHORT.replace(epochs=4 if quick else 15, lr=3e-3),
        _Switches(optical, mixing, ablation, backbone),
    )
    late = _LATE if quick else ()
    return config.replace(optics=DetectorOpticsConfig(diffraction=near), electronic=(*config.electronic, *late))


def bccd(
    optical: int = 2,
    mixing: Mixing = "depthwise",
    ablation: Ablation = "none",
    backbone: str = "regnetx-tiny",
    quick: bool = False,
) -> Detection2DConfig:
    """Blood cells under a microscope (BCCD, 364 real images): electronic, hybrid and distilled, three seeds.

    Args:
        optical: As for `hybrid/shapes`.
        mixing: Likewise.
        ablation: Likewise, with one seed.
        backbone: Likewise.
        quick: One seed, 3 epochs.
    """
    augment = AugmentConfig(flip=0.5, vertical=0.5, scale=0.25, colour=0.2)
    config = _small(
        "hybrid/bccd",
        DetectionDataConfig(name="bccd", height=240, width=320, augment=augment),
        _SHORT.replace(epochs=3 if quick else 20),
        _Switches(optical, mixing, ablation, backbone),
    )
    seeds = 1 if quick or ablation != "none" else 3
    late = _LATE if quick else ()
    return config.replace(sweep=config.sweep.replace(seeds=seeds), electronic=(*config.electronic, *late))


def coco(
    data: str = "coco",
    optical: int = 2,
    mixing: Mixing = "dense",
    ablation: Ablation = "none",
    pretrained: str | None = "facebook/regnet-x-008",
    quick: bool = False,
) -> Detection2DConfig:
    """COCO as published: RegNetX-800MF at 677 x 400, FCOS, a path of light for each pair of channels; for a GPU.

    Published AP: electronic 29.8, one optical stage 24.9, two 17.5, three 9.5, one distilled 26.3.

    Args:
        data: "coco", "coco_tiny", or "coco:PATH", "voc:PATH", "yolo:PATH" for images of your own.
        optical: As for `hybrid/shapes`.
        mixing: Likewise.
        ablation: Likewise.
        pretrained: Weights of the backbone, a folder or a name on the hub; null starts from nothing.
        quick: The tiny backbone from nothing, 128 x 224 pixels, 2 epochs, light with a path for each input.
    """
    return _published("hybrid/coco", data, _Switches(optical, mixing, ablation), pretrained, quick)


def nuscenes2d(
    data: str = "nuscenes2d",
    optical: int = 2,
    mixing: Mixing = "dense",
    ablation: Ablation = "none",
    pretrained: str | None = "facebook/regnet-x-008",
    quick: bool = False,
) -> Detection2DConfig:
    """The front camera of nuScenes with its 3D boxes drawn into the image, else as `hybrid/coco`.

    Published AP: electronic 20.3, one optical stage 18.9, two 16.2, three 10.4, one distilled 19.8. The set is read
    from `nuscenes/` as it is downloaded.

    Args:
        data: As for `hybrid/coco`.
        optical: Likewise.
        mixing: Likewise.
        ablation: Likewise.
        pretrained: Likewise.
        quick: Likewise.
    """
    return _published("hybrid/nuscenes2d", data, _Switches(optical, mixing, ablation), pretrained, quick)


def d2nn_mnist(data: str = "mnist", mask: int = 56, quick: bool = False) -> ClassificationConfig:
    """A diffractive network (D2NN) reads handwritten digits: layers, coarse phases, noise and misalignment.

    Published (Lin et al., Science 2018): 91.75 % with 5 layers of 200 x 200. Distances shrink with the masks, so that
    each sample still reaches the whole of the next mask.

    Args:
        data: "mnist", "fashion_mnist" or "digits".
        mask: Samples of a mask along each side; published are 200.
        quick: Masks of half that size, 4,000 images, 3 epochs.
    """
    side = mask // 2 if quick else mask
    chip = diffractive("d2nn")
    scale = side / chip.mask
    chip = chip.replace(mask=side, grid=2 * side, distance_in=scale * chip.distance_in, distance=scale * chip.distance)
    return ClassificationConfig(
        recipe="hybrid/d2nn-mnist",
        stages=("sweep", "report"),
        threads=1,
        data=DataConfig(name=data, pixels="unit", limit=4000 if quick else None),
        model=ModelConfig(name="d2nn"),
        optics=OpticsConfig(diffraction=chip),
        train=TrainConfig(epochs=3 if quick else 10, batch_size=64, lr=0.02, weight_decay=0.0),
        sweep=SweepConfig(cases=diffractive_networks(), baseline="5 layers", x="phase layers"),
    )


class _Switches(NamedTuple):
    """The switches that all recipes of detectors have."""

    optical: int
    mixing: Mixing
    ablation: Ablation
    backbone: str = "regnetx-tiny"


def _small(recipe: str, data: DetectionDataConfig, train: TrainConfig, switches: _Switches) -> Detection2DConfig:
    """A config with a small backbone; the pyramid of a ViT is its own, so all of its levels are taken."""
    check("backbone", switches.backbone, SIZES)
    size = SIZES[switches.backbone]
    transformer = size.family == "vit"
    stages = late_blocks(size.depths[0]) if transformer else late_stages
    compared = cases(switches.optical, switches.ablation, size.widths[-1], stages)
    head = _SMALL.replace(first=0, levels=4) if transformer else _SMALL
    return _hybrid(recipe, data, _detector(switches.mixing, switches.backbone, head), train, compared)


def _detector(mixing: Mixing, backbone: str = "regnetx-tiny", head: FCOSConfig = _SMALL) -> DetectorConfig:
    return DetectorConfig(backbone=BackboneConfig(name=backbone), hybrid=HybridConfig(mixing=mixing), head=head)


def _published(recipe: str, data: str, switches: _Switches, pretrained: str | None, quick: bool) -> Detection2DConfig:
    optical, mixing, ablation = switches[:3]
    if quick:
        small = DetectionDataConfig(name=data, height=128, width=224)
        train = _SHORT.replace(epochs=2)
        return _hybrid(recipe, small, _detector("depthwise"), train, cases(optical, ablation, _TINY_WIDTH))
    check("mixing", mixing, get_args(Mixing))
    detector = DetectorConfig(
        backbone=BackboneConfig(name="regnetx-800mf", pretrained=pretrained, frozen=1 if pretrained else None),
        hybrid=HybridConfig(mixing=mixing, fit="published"),
        head=FCOSConfig(),
    )
    full = DetectionDataConfig(name=data, height=416, width=704, decode=False, augment=_FLIPPED)
    compared = cases(optical, ablation, _FULL_WIDTH, published_stages, start="scratch")
    return _hybrid(recipe, full, detector, _PUBLISHED, compared).replace(threads=None)


def _hybrid(
    recipe: str, data: DetectionDataConfig, model: DetectorConfig, train: TrainConfig, compared: tuple[Case, ...]
) -> Detection2DConfig:
    """A comparison; with other stages, one detector on the chip of the run."""
    return Detection2DConfig(
        recipe=recipe,
        stages=("sweep", "evaluate", "cost", "report"),
        threads=1,
        data=data,
        model=model,
        train=train,
        learn=train.replace(lr=train.lr / 3),
        electronic=_HEADS,
        sweep=SweepConfig(cases=compared, x="optical stages", baseline=BASELINE),
    )
