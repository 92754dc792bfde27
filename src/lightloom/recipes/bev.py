"""Multi-camera 3-D detection from a map of the ground, and its distillation into small and optical students.

Detectors follow BEVFormer (ECCV 2022), distillers HeatmapDistiller and FD3D (CVPR 2023). FD3D was never released: its
parts are as published, its weights ours.
"""

from __future__ import annotations

from lightloom.chips import diffractive
from lightloom.config import SweepConfig
from lightloom.data.multicamera import ViewAugmentConfig
from lightloom.data.toytown import ToytownConfig
from lightloom.learn import TrainConfig
from lightloom.recipes.bev_cases import DIFFRACTIVE, STUDENT, Ablation, cases, made_of
from lightloom.tasks.detection3d import detector_size
from lightloom.tasks.detection3d.config import Detection3DConfig, MultiCameraDataConfig, MultiCameraModelConfig
from lightloom.tasks.hybrid.config import BackboneConfig, DetectorOpticsConfig

_TOY = TrainConfig(batch_size=4, lr=1.5e-3, weight_decay=0.01, clip_norm=35.0, keep="last", evaluate_every=100)
_AFTER_BACKBONE = ("neck.*", "encoder.*", "decoder.*")
"""What stays electronic where a detector is put on a chip: light computes backbones."""
_LATE = ("backbone.stages.2.*", "backbone.stages.3.*")
"""What stays electronic as well in a quick form: the most weights, which take long to calibrate and to map."""
_PUBLISHED = TrainConfig(
    epochs=24,
    batch_size=8,
    lr=2e-4,
    weight_decay=0.01,
    warmup=0.006,
    clip_norm=35.0,
    keep="last",
    evaluate_every=4,
    backbone_factor=0.1,
)
"""AdamW, cosine, 24 epochs, a tenth of the rate for the backbone. Published as well, and not here: GridMask."""


def toytown(
    technology: str = DIFFRACTIVE, ablation: Ablation = "none", seeds: int = 1, quick: bool = False
) -> Detection3DConfig:
    """A synthetic town seen by six cameras: expert, student, both distillers, and an optical student, in 20 minutes.

    Args:
        technology: What computes the last stage of the optical student: "diffractive", "mesh" or "pcm".
        ablation: What is varied instead: "parts" of FD3D, its "masks", the forms of the "heatmap" distiller, or how
            much of the student is "optical".
        seeds: Trainings of each case.
        quick: 12 scenes, 2 epochs.
    """
    expert = ("model.detector=toy-expert", f"train.epochs={2 if quick else 12}")
    student = ("model.detector=toy",)
    # the last maps of the student are so small that light crosses them within 40 um
    near = diffractive("phoenix").replace(distance_in=4e-5, distance=4e-5)
    return Detection3DConfig(
        recipe="bev/toytown",
        stages=("sweep", "evaluate", "cost", "report"),
        threads=1,
        data=MultiCameraDataConfig(
            town=ToytownConfig(scenes=(12, 2, 4) if quick else (192, 24, 48), frames=3, reach=16),
            augment=ViewAugmentConfig(flip=0.0, colour=0.0),
        ),
        model=MultiCameraModelConfig(backbone=BackboneConfig(name="regnetx-tiny"), detector=detector_size("toy")),
        optics=DetectorOpticsConfig(diffraction=near),
        electronic=(*_AFTER_BACKBONE, *(_LATE if quick else ())),
        train=_TOY.replace(epochs=2 if quick else 4),
        sweep=SweepConfig(
            cases=cases(expert, student, made_of(technology), ablation),
            baseline=STUDENT,
            seeds=seeds,
        ),
    )


def nuscenes_tiny(
    data: str = "nuscenes",
    technology: str = DIFFRACTIVE,
    ablation: Ablation = "none",
    pretrained: bool = True,
    quick: bool = False,
) -> Detection3DConfig:
    """nuScenes: BEVFormer-Tiny (R50, 450 x 800) taught by Base (R101), as FD3D has them; for a GPU.

    Published, NDS / mAP: expert 47.37 / 36.44, student 39.02 / 26.87, FD3D 43.09 / 31.00. There the ground map of both
    is 100 x 100, here that of the expert is the 200 x 200 of its own configuration.

    Args:
        data: "nuscenes", the folder `nuscenes/` as downloaded, or "nuscenes:PATH" for one in that format.
        technology: As for `bev/toytown`.
        ablation: Likewise.
        pretrained: Start backbones from the weights of ImageNet; false starts from nothing.
        quick: The detectors of `bev/toytown`, 96 x 160 pixels, 2 epochs.
    """
    student = ("model.detector=tiny", "model.detector.shrink=2", *_grid(100), *_resnet("50", pretrained))
    return _nuscenes("bev/nuscenes-tiny", data, student, technology, ablation, pretrained, quick)


def nuscenes_small(
    data: str = "nuscenes",
    technology: str = DIFFRACTIVE,
    ablation: Ablation = "none",
    pretrained: bool = True,
    quick: bool = False,
) -> Detection3DConfig:
    """nuScenes: BEVFormer-Small (R101, 464 x 800, map of 100 x 100) taught by Base, as HeatmapDistiller has them.

    Published, NDS / mAP: expert 51.76 / 41.66, student 46.83 / 35.09, HeatmapDistiller 48.98 / 37.27.

    Args:
        data: As for `bev/nuscenes-tiny`.
        technology: Likewise.
        ablation: Likewise.
        pretrained: Likewise.
        quick: Likewise.
    """
    student = ("model.detector=focal-small", *_resnet("101", pretrained))
    return _nuscenes("bev/nuscenes-small", data, student, technology, ablation, pretrained, quick)


def nuscenes_base(data: str = "nuscenes", pretrained: bool = True, quick: bool = False) -> Detection3DConfig:
    """nuScenes: BEVFormer-Base alone (R101, 900 x 1600, map of 200 x 200), the expert of the others.

    Published, NDS / mAP: 51.76 / 41.66, with deformable convolutions and weights of FCOS3D.

    Args:
        data: As for `bev/nuscenes-tiny`.
        pretrained: Likewise.
        quick: Likewise.
    """
    config = _nuscenes("bev/nuscenes-base", data, (), "diffractive", "none", pretrained, quick)
    alone = config.sweep.cases[:1]
    return config.replace(sweep=SweepConfig(cases=alone, baseline=alone[0].name))


def _nuscenes(
    recipe: str,
    data: str,
    student: tuple[str, ...],
    technology: str,
    ablation: Ablation,
    pretrained: bool,
    quick: bool,
) -> Detection3DConfig:
    if quick:
        small = toytown(technology, ablation, quick=True)
        moments = small.data.replace(name=data, height=96, width=160)
        area = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)
        detector = small.model.detector.replace(area=area)
        wide = tuple(
            case.replace(changes=(*case.changes, f"model.detector.area={list(area)}")) for case in small.sweep.cases
        )
        return small.replace(
            recipe=recipe,
            data=moments,
            model=small.model.replace(detector=detector),
            sweep=small.sweep.replace(cases=wide),
        )
    expert = ("model.detector=base", *_resnet("101", pretrained))
    light = made_of(technology)
    return Detection3DConfig(
        recipe=recipe,
        stages=("sweep", "evaluate", "cost", "report"),
        data=MultiCameraDataConfig(name=data, height=928, width=1600, augment=ViewAugmentConfig(flip=0.0)),
        model=MultiCameraModelConfig(backbone=BackboneConfig(name="resnet-101"), detector=detector_size("base")),
        train=_PUBLISHED,
        electronic=_AFTER_BACKBONE,
        sweep=SweepConfig(cases=cases(expert, student, light, ablation), baseline=STUDENT),
    )


def _grid(cells: int) -> tuple[str, ...]:
    return f"model.detector.rows={cells}", f"model.detector.columns={cells}", "model.detector.history=4"


def _resnet(depth: str, pretrained: bool) -> tuple[str, ...]:
    name = f"model.backbone.name=resnet-{depth}"
    weights = f"model.backbone.pretrained=microsoft/resnet-{depth}"
    return (name, weights, "model.backbone.frozen=1") if pretrained else (name,)
