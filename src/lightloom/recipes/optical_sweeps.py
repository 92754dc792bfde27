"""Training with light over one of its numbers: optical depth, an imperfection of the light, layers."""

from __future__ import annotations

from typing import Literal

from lightloom.config import Case, SweepConfig
from lightloom.recipes.optical_cases import (
    ADAM,
    FIELD_AT_HALF,
    SHORT,
    Schedule,
    absorbing,
    check,
    comparison,
    electronic,
    images,
    schedule_of,
    vapour,
)
from lightloom.tasks.classification.config import ClassificationConfig, ModelConfig

DEPTHS = (0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0, 50.0)
"""Optical depths of the published sweep, in fewer steps."""
_NOISES: dict[str, tuple[str, str, Literal["log", "linear"], tuple[float, ...]]] = {
    "photons": ("photons", "photons of an exposure", "log", (1e1, 1e2, 1e3, 1e4, 1e5, 1e6)),
    "probe": (
        "probe_intensity",
        "intensity of the error light over saturation",
        "log",
        (1e-3, 1e-2, 1e-1, 1, 10, 100, 1000),
    ),
    "detector": ("detector_std", "detector noise over saturation intensity", "log", (1e-3, 1e-2, 1e-1, 1.0)),
    "loss": ("loss_db", "loss between two layers / dB", "linear", (0.0, 1.0, 2.0, 3.0, 6.0)),
    "weight-bits": ("weight_bits", "bits of the weights", "linear", (1, 2, 3, 4, 6, 8)),
    "error-bits": ("error_bits", "bits of the error signal", "linear", (1, 2, 3, 4, 6, 8)),
}


def od_sweep(
    data: str = "mnist",
    medium: Literal["thin", "propagated", "both"] = "both",
    schedule: Schedule = "short",
    quick: bool = False,
) -> ClassificationConfig:
    """Accuracy of 784-128-128-10 over optical depth, exact and probe gradients, thin medium and real propagation.

    Published (MNIST, thin): exact from 88.9 % at 0.1 to 98.0 % at 30; probe 87.8 % to 98.0 %, 97.2 % at 50.

    Args:
        data: As of `optical/mnist-mlp`, or "digits".
        medium: Which form of the absorber; propagation, and the thin form beyond a depth of 30, start from settled
            weights.
        schedule: "short" (10 epochs) or "published" (50).
        quick: Five depths, one seed, 2 epochs, 10,000 images.
    """
    check("medium", medium, ("thin", "propagated", "both"))
    depths = DEPTHS[::2] if quick else DEPTHS
    cases = [*electronic(("relu", "linear"))]
    for depth in depths:
        if medium != "propagated":
            # published: other first weights beyond a depth of 30, as the usual ones learn nothing there
            first = (FIELD_AT_HALF,) if depth > 30 else ()
            cases += absorbing("thin", (*first, f"optics.absorber.optical_depth={depth}"), depth)
        if medium != "thin":
            cases += absorbing("propagated", (FIELD_AT_HALF, *vapour(depth)), depth)
    return comparison(
        "optical/od-sweep",
        data=images(data, 10_000 if quick else None),
        model=ModelConfig(name="optical-mlp"),
        train=schedule_of(schedule, 10, 50, 2 if quick else None),
        sweep=SweepConfig(
            cases=tuple(cases),
            seeds=1 if quick else 5,
            baseline="ReLU",
            x="optical depth",
            scale="log",
        ),
        angles=True,
    )


def noise_sweep(
    data: str = "digits", over: str = "probe", photons: float | None = 1e4, quick: bool = False
) -> ClassificationConfig:
    """What the backward pass of real light can bear: accuracy over one of its imperfections.

    Args:
        data: "digits", or as of `optical/mnist-mlp`.
        over: "probe" (intensity of the error light: too weak drowns in shot noise, too strong bleaches the absorbers),
            "photons", "detector", "loss", "weight-bits" or "error-bits".
        photons: Of an exposure at the saturation intensity where they are not what changes; null is no shot noise.
        quick: One seed and fewer epochs.
    """
    check("over", over, _NOISES)
    field, label, scale, values = _NOISES[over]
    base = ("model.activation=absorber", "optics.gradient=probe", "model.input_scale=3")
    photon_value = "null" if photons is None or over == "photons" else f"{photons:g}"
    cases = [
        *electronic(("relu",)),
        Case(name="weak probe, no noise", series="weak probe, no noise", changes=base),
    ]
    forms: dict[str, tuple[str, ...]] = {"thin": (), "propagated": (FIELD_AT_HALF, "optics.absorber=vapour")}
    light = ("optics.light.probe_intensity=0.1", f"optics.light.photons={photon_value}")
    for form, more in forms.items():
        for value in values:
            changes = (*base, *light, *more, f"optics.light.{field}={value:g}")
            cases.append(Case(name=f"{form}, {over} {value:g}", series=form, x=value, changes=changes))
    embedded = data == "digits"
    train = ADAM.replace(epochs=30, batch_size=32, lr=2e-3) if embedded else SHORT
    return comparison(
        "optical/noise-sweep",
        data=images(data, None),
        model=ModelConfig(name="optical-mlp", width=64 if embedded else None),
        train=train.replace(epochs=5 if embedded else 1) if quick else train,
        sweep=SweepConfig(cases=tuple(cases), seeds=1 if quick else 3, baseline="ReLU", x=label, scale=scale),
        threads=1 if embedded else None,
    )


def deep(data: str = "mnist", network: Literal["mlp", "cnn"] = "mlp", quick: bool = False) -> ClassificationConfig:
    """How deep a network light can train: exact and probe gradients over the number of hidden layers.

    Args:
        data: As of `optical/mnist-mlp`, or "digits".
        network: Layers of 128 units, or convolutions.
        quick: Three depths, one seed, 2 epochs, 5,000 images.
    """
    check("network", network, ("mlp", "cnn"))
    layers = (1, 2, 4, 6, 8) if network == "mlp" else (2, 3, 4, 6)
    cases: list[Case] = []
    for count in layers[:: 2 if quick else 1]:
        deeper = f"model.depth={count}"
        cases.append(Case(name=f"ReLU, {count}", series="ReLU", x=count, changes=("model.activation=relu", deeper)))
        cases += absorbing("thin", (FIELD_AT_HALF, deeper), count)
        cases += absorbing("propagated", (FIELD_AT_HALF, deeper, "optics.absorber=vapour"), count)
    return comparison(
        "optical/deep",
        data=images(data, 5_000 if quick else None),
        model=ModelConfig(name=f"optical-{network}"),
        train=schedule_of("short", 10, 50, 2 if quick else None),
        sweep=SweepConfig(cases=tuple(cases), seeds=1 if quick else 3, x="hidden layers"),
        angles=True,
    )
