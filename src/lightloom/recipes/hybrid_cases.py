"""Cases of hybrid detectors: how many stages are light, who teaches, and what is varied one thing at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, get_args

from lightloom.config import Case
from lightloom.recipes.optical_cases import check

Ablation = Literal["none", "nonlinearity", "layers", "blocks", "channels", "noise", "strategy", "terms", "mixing"]

BASELINE = "electronic"
TAUGHT = f"distil.teacher={BASELINE}"
PUBLISHED_WIDTHS = {1: (256,), 2: (160, 256), 3: (96, 96, 96)}
"""Channels of the optical stages of RegNetX-800MF, by how many there are."""
_COUNTS = {1: "one optical stage", 2: "two optical stages", 3: "three optical stages"}
_DETECTOR = "optics.diffraction.detector"


def late_stages(count: int) -> tuple[str, ...]:
    """Changes that make the last `count` of four stages optical."""
    return (f"model.hybrid.stages={list(range(4 - count, 4))}",)


def published_stages(count: int) -> tuple[str, ...]:
    """The same with the published number of channels."""
    return (*late_stages(count), f"model.hybrid.channels={list(PUBLISHED_WIDTHS[count])}")


def late_blocks(depth: int) -> Callable[[int], tuple[str, ...]]:
    """Stages of a ViT of so many blocks: 1 makes one optical block of its last two, as published, 2 of three."""
    return lambda count: (f"model.hybrid.stages={list(range(depth - 1 - count, depth))}",)


def cases(
    most: int,
    ablation: Ablation,
    width: int,
    optical: Callable[[int], tuple[str, ...]] = late_stages,
    start: str = "teacher",
) -> tuple[Case, ...]:
    """The electronic detector, and hybrids of it: with 1 ... `most` optical stages, each alone and distilled.

    Args:
        most: Optical stages of the last hybrid.
        ablation: What is varied in the hybrid with one optical stage instead.
        width: Channels of the last stage, of which an ablation takes fractions.
        optical: Changes that make so many stages optical.
        start: Where distilled hybrids start from: "teacher", what of them is electronic has its weights; or "scratch".

    Raises:
        RequestError: There is no such number or ablation.
    """
    check("ablation", ablation, get_args(Ablation))
    check("optical", str(most), [str(count) for count in _COUNTS])
    if ablation != "none":
        varied = _ABLATIONS[ablation](width)
        return Case(name=BASELINE), *(case.replace(changes=(*optical(1), *case.changes)) for case in varied)
    taught = (TAUGHT, f"start={start}")
    case_list = [Case(name=BASELINE)]
    for count in range(1, most + 1):
        name, light = _COUNTS[count], optical(count)
        case_list += [
            Case(name=name, series="hybrid", x=count, changes=light),
            Case(name=f"{name}, distilled", series="distilled", x=count, changes=(*light, *taught)),
        ]
    return tuple(case_list)


def diffractive_networks() -> tuple[Case, ...]:
    """Networks of light alone: by their number of layers, and with one imperfection at a time."""
    chip = "optics.diffraction"
    depths = [
        Case(name=f"{count} layer{'s' * (count > 1)}", series="ideal", x=count, changes=(f"{chip}.layers={count}",))
        for count in (1, 3, 5)
    ]
    flaws = {
        "4 bit phases": (f"{chip}.phase_bits=4",),
        "noisy phases, 0.05 turns": (f"{chip}.phase_noise_std=0.05", f"{chip}.phase_noise_fraction=1"),
        "1,000 photons": (f"{chip}.photons=1000",),
        "masks off by 1 pixel": (f"{chip}.misalignment_std=1",),
    }
    return (*depths, *(Case(name=name, changes=changes) for name, changes in flaws.items()))


def _variants(named: Iterable[tuple[str, tuple[str, ...]]]) -> list[Case]:
    return [Case(name=name, changes=changes) for name, changes in named]


def _nonlinearity(width: int) -> list[Case]:
    """Published, COCO AP: |u| with bias 25.8, |u|^2 25.9, |u|^2 with bias 26.2."""
    bias = "model.hybrid.bias=true"
    kinds = {"real part": "field", "amplitude": "amplitude", "intensity": "intensity"}
    named: dict[str, tuple[str, ...]] = {name: (f"{_DETECTOR}={kind}",) for name, kind in kinds.items()}
    named |= {f"{name} with bias": (f"{_DETECTOR}={kinds[name]}", bias) for name in ("amplitude", "intensity")}
    return _variants(named.items())


def _layers(width: int) -> list[Case]:
    """Published, COCO AP for 1, 2 and 4 phase layers: 24.8, 26.2, 26.1."""
    return [
        Case(name=f"{count} phase layer{'s' * (count > 1)}", series="hybrid", x=count,
             changes=(f"model.hybrid.layers=[{count}]",))
        for count in (1, 2, 4)
    ]  # fmt: skip


def _blocks(width: int) -> list[Case]:
    return [
        Case(
            name=f"{count} optical block{'s' * (count > 1)}",
            series="hybrid",
            x=count,
            changes=(f"model.hybrid.blocks={count}",),
        )
        for count in (1, 2, 3)
    ]


def _channels(width: int) -> list[Case]:
    """Published, nuScenes AP for 256, 128, 32 and 16 channels: 18.9, 19.2, 19.5, 19.3."""
    return [
        Case(name=f"{count} channels", series="hybrid", x=count, changes=(f"model.hybrid.channels=[{count}]",))
        for count in (width, width // 2, width // 4, width // 8)
    ]


def _noise(width: int) -> list[Case]:
    """Published, COCO AP: 24.9 without, 24.7 with noise on 5 % of the features."""
    phases = "optics.diffraction.phase_noise_std"
    named: dict[str, tuple[str, ...]] = {
        "no noise": (),
        "noisy features": ("model.hybrid.noise_std=1",),
        "noisy phases, 5 % by 1 turn": (f"{phases}=1",),
        "noisy phases, all by 0.05 turns": (f"{phases}=0.05", "optics.diffraction.phase_noise_fraction=1"),
        "4 bit phases": ("optics.diffraction.phase_bits=4",),
        "1,000 photons": ("optics.diffraction.photons=1000",),
        "masks off by 1 pixel": ("optics.diffraction.misalignment_std=1",),
    }
    return _variants(named.items())


def _strategy(width: int) -> list[Case]:
    """Published, nuScenes AP: 19.8 in one stage, 18.8 in two."""
    two = ("distil.strategy=two", "distil.alone=0.5")
    named: dict[str, tuple[str, ...]] = {
        "alone": (),
        "distilled": (TAUGHT,),
        "distilled in two phases": (TAUGHT, *two),
        "from the teacher's weights": (TAUGHT, "start=teacher", "distil.features=0"),
        "distilled from the teacher's weights": (TAUGHT, "start=teacher"),
    }
    return _variants(named.items())


def _terms(width: int) -> list[Case]:
    weights = {
        "features": "features=1",
        "attention": "attention=1",
        "channels": "channels=1",
        "classes and boxes": "logits=1 boxes=1",
        "features, classes and boxes": "features=1 logits=1 boxes=1",
    }
    changes = {
        name: (TAUGHT, *(f"distil.{term}" for term in ("features=0", *terms.split())))
        for name, terms in weights.items()
    }
    return _variants({"alone": (), **changes}.items())


def _mixing(width: int) -> list[Case]:
    """Cases with a quarter of the channels, for a path for each pair of them takes its time."""
    few = f"model.hybrid.channels=[{width // 4}]"
    named: dict[str, tuple[str, ...]] = {
        "shared masks": ("model.hybrid.mixing=shared",),
        "a path per input": ("model.hybrid.mixing=depthwise",),
        "paths in 4 groups": ("model.hybrid.mixing=grouped", "model.hybrid.groups=4"),
        "a path per pair": ("model.hybrid.mixing=dense",),
    }
    return _variants((name, (few, *changes)) for name, changes in named.items())


_ABLATIONS: dict[str, Callable[[int], list[Case]]] = {
    "nonlinearity": _nonlinearity,
    "layers": _layers,
    "blocks": _blocks,
    "channels": _channels,
    "noise": _noise,
    "strategy": _strategy,
    "terms": _terms,
    "mixing": _mixing,
}
