"""Cases of multi-camera detectors: an expert, students alone and taught in each way, and students partly of light."""

from __future__ import annotations

from typing import Literal, get_args

from lightloom.chips import TECHNOLOGIES
from lightloom.config import Case
from lightloom.recipes.optical_cases import check

Ablation = Literal["none", "parts", "masks", "heatmap", "optical"]
DIFFRACTIVE = "diffractive"
"""What masks in free space are called in the place of a technology of tensor cores."""

EXPERT, STUDENT = "expert", "student"
TAUGHT = (f"distil.teacher={EXPERT}", "start=head")
CHANNELS = ("distil.channels=0.25", "distil.temperature=2")
HEATMAP = (*TAUGHT, *CHANNELS, "guide.kind=heatmap")
FD3D = (*TAUGHT, "guide.kind=fd3d")
_FOCAL = "guide.fd3d"


def cases(
    expert: tuple[str, ...],
    student: tuple[str, ...],
    light: tuple[str, ...],
    ablation: Ablation,
    heatmap: tuple[str, ...] = HEATMAP,
    fd3d: tuple[str, ...] = FD3D,
) -> tuple[Case, ...]:
    """The expert, the student alone and taught in both ways, and the optical student alone and taught.

    Args:
        expert: Changes that make a detector the expert.
        student: Changes that make it the student.
        light: Changes that make the student's backbone partly optical.
        ablation: What is varied in how the student is taught instead: "parts" of FD3D, its "masks", the forms of the
            "heatmap" distiller, or how much of the student is "optical".
        heatmap: Changes that have the student taught by HeatmapDistiller.
        fd3d: Changes that have it taught by FD3D.

    Raises:
        RequestError: There is no such ablation.
    """
    check("ablation", ablation, get_args(Ablation))
    first = [Case(name=EXPERT, changes=expert), Case(name=STUDENT, changes=student)]
    if ablation == "optical":
        return *first, *_optical(student, fd3d)
    if ablation == "heatmap":
        return *first, *_named(student, heatmap, _FORMS)
    if ablation != "none":
        return *first, *_named(student, fd3d, _PARTS if ablation == "parts" else _MASKS)
    return (
        *first,
        Case(name="HeatmapDistiller", changes=(*student, *heatmap)),
        Case(name="FD3D", changes=(*student, *fd3d)),
        Case(name="optical student", changes=(*student, *light)),
        Case(name="optical student, FD3D", changes=(*student, *light, *fd3d)),
    )


def made_of(technology: str, stages: tuple[int, ...] = (3,)) -> tuple[str, ...]:
    """Changes that have light compute some stages of the student's backbone, on masks or on tensor cores.

    Args:
        technology: "diffractive" replaces the stages as in hybrid detectors; the name of a technology, such as "mesh"
            or "pcm", puts their convolutions onto tensor cores of its first preset.
        stages: Which of the four.

    Raises:
        RequestError: There is no such technology.
    """
    check("technology", technology, (DIFFRACTIVE, *TECHNOLOGIES))
    if technology not in TECHNOLOGIES:
        return (f"model.hybrid.stages={list(stages)}",)
    chip = next(iter(TECHNOLOGIES[technology].presets))
    return f"chip={chip}", f"model.converted={[f'stages.{stage}.*' for stage in stages]}"


def _named(student: tuple[str, ...], taught: tuple[str, ...], variants: dict[str, tuple[str, ...]]) -> tuple[Case, ...]:
    return tuple(Case(name=name, changes=(*student, *taught, *changes)) for name, changes in variants.items())


def _optical(student: tuple[str, ...], fd3d: tuple[str, ...]) -> tuple[Case, ...]:
    variants = {
        "one diffractive stage": made_of(DIFFRACTIVE),
        "two diffractive stages": made_of(DIFFRACTIVE, (2, 3)),
        "last stage on meshes": made_of("mesh"),
        "last stage on PCM": made_of("pcm"),
    }
    alone = [Case(name=name, changes=(*student, *light)) for name, light in variants.items()]
    taught = [Case(name=f"{name}, FD3D", changes=(*student, *light, *fd3d)) for name, light in variants.items()]
    return *alone, *taught


_PARTS: dict[str, tuple[str, ...]] = {
    "all parts": (),
    "head of the expert, frozen": (f"{_FOCAL}.head=0",),
    "no perspective view": (f"{_FOCAL}.pv=0",),
    "no bird's-eye view": (f"{_FOCAL}.bev=0",),
    "no focal distillation": (f"{_FOCAL}.focal=0",),
    "perspective view alone": (f"{_FOCAL}.bev=0", f"{_FOCAL}.focal=0"),
    "bird's-eye view alone": (f"{_FOCAL}.pv=0", f"{_FOCAL}.focal=0"),
    "focal distillation alone": (f"{_FOCAL}.pv=0", f"{_FOCAL}.bev=0"),
}
_MASKS: dict[str, tuple[str, ...]] = {
    "queries and truth": (),
    "queries alone": (f"{_FOCAL}.truth=false",),
    "truth alone": (f"{_FOCAL}.queries=false",),
    "no background": (f"{_FOCAL}.background=0",),
    "background as objects": (f"{_FOCAL}.background=1",),
    "nothing dropped": (f"{_FOCAL}.drop=0",),
    "90 % dropped": (f"{_FOCAL}.drop=0.9",),
}
_FORMS: dict[str, tuple[str, ...]] = {
    "both terms": (),
    "camera maps alone": ("guide.heatmap.weight=0",),
    "ground map alone": ("distil.channels=0",),
    "teacher normalised": ("guide.heatmap.normalise=true",),
    "divergence": ("guide.heatmap.form=kl",),
}
