"""Training with light: saturable absorbers between the layers, and gradients that a weak probe measures there.

Networks and schedules follow Guo, Barrett, Wang and Lvovsky, "Backpropagation through nonlinear units for the
all-optical training of neural networks" (Photonics Research 9, B71, 2021) and its code: images of 0 ... 1, no biases,
Adam at 5e-4, batches of 64, mean square error, five seeds. Two things differ: the epoch that is kept is chosen on
validation images out of the training set, and every network of a comparison has the same loss, so that one thing
changes at a time. Propagation through the medium is ours; published is the thin form.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from lightloom.chips import absorber
from lightloom.common.errors import RequestError, nearest
from lightloom.config import Case, DataConfig, ModelConfig, OpticsConfig, RunConfig, SweepConfig
from lightloom.learn import TrainConfig
from lightloom.nn import OpticalPass

DEPTHS = (0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0, 50.0)
"""Optical depths of the published sweep, in fewer steps."""
ELECTRONIC = ("relu", "tanh", "sigmoid", "linear")

_TITLES = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid", "linear": "linear"}
_ADAM = TrainConfig(epochs=50, batch_size=64, lr=5e-4, weight_decay=0.0, schedule="constant", warmup=0.0)
_FIELD_AT_HALF = "optics.settle=1"
_REAL_LIGHT = ("probe_intensity=0.1", "photons=10000", "weight_bits=8", "error_bits=8", "loss_db=1")
"""What the light of a training is taken to be where all of it is: assumed, every value can be changed."""


def digits(quick: bool = False) -> RunConfig:
    """Optical and exact training side by side on the embedded digits, from a thin medium to light that does it all.

    Args:
        quick: One seed in the place of three, and fewer epochs.
    """
    light = ("model.activation=absorber", "optics.gradient=probe", *(f"optics.light.{key}" for key in _REAL_LIGHT))
    cases = (
        *_electronic(("relu", "linear")),
        *_absorbing("thin", ("model.brightness=3",)),
        *_absorbing("propagated", (_FIELD_AT_HALF, "optics.absorber=vapour")),
        Case(name="light", changes=(*light, "model.brightness=3")),
        Case(name="light on a mesh", changes=(*light, _FIELD_AT_HALF, "optics.on_chip=true", "train.lr=5e-3")),
    )
    return _comparison(
        "optical/digits",
        data=DataConfig(name="digits", pixels="unit"),
        model=ModelConfig(name="optical-mlp", width=64),
        train=_ADAM.replace(epochs=15 if quick else 40, lr=4e-3),
        sweep=SweepConfig(cases=cases, seeds=1 if quick else 3, baseline="ReLU", angles=True),
        threads=1,
    )


def mnist_mlp(data: str = "mnist", depth: float = 30.0, quick: bool = False) -> RunConfig:
    """784-128-128-10 with a saturable absorber after each hidden layer, beside electronic nonlinearities.

    Published (MNIST, depth 30, 50 epochs): about 98 % with ReLU, exact and probe gradients alike; linear 85.8 %.

    Args:
        data: "mnist", "fashion_mnist", "kmnist" or "emnist_balanced".
        depth: Optical depth of the absorbers.
        quick: One seed, 3 epochs, 10,000 images.
    """
    thin, entropy = f"optics.absorber.optical_depth={depth}", "criterion=cross_entropy"
    probe = ("model.activation=absorber", "optics.gradient=probe")
    cases = (
        *_electronic(),
        *_absorbing("thin", (thin,)),
        *_absorbing("propagated", (_FIELD_AT_HALF, *_vapour(depth))),
        Case(name="ReLU, cross-entropy", changes=("model.activation=relu", entropy)),
        Case(name="thin, probe, cross-entropy", changes=(*probe, thin, entropy)),
    )
    return _comparison(
        "optical/mnist-mlp",
        data=_images(data, 10_000 if quick else None),
        model=ModelConfig(name="optical-mlp"),
        train=_ADAM.replace(epochs=3) if quick else _ADAM,
        sweep=SweepConfig(cases=cases, seeds=1 if quick else 5, baseline="ReLU", angles=True),
    )


def mnist_cnn(data: str = "mnist", quick: bool = False) -> RunConfig:
    """32C5-64C5-128 with absorbers and pooling of fields, beside electronic nonlinearities, 30 epochs on MNIST.

    Published: probe 99.3, exact 99.4, ReLU 99.3, tanh 99.2, sigmoid 99.0, linear 92.3 %.

    Args:
        data: "mnist", "fashion_mnist", "kmnist" or "emnist_balanced".
        quick: One seed, 8 channels, 2 epochs, 5,000 images.
    """
    return _cnn("optical/mnist-cnn", data, 30, quick)


def fmnist_cnn(data: str = "fashion_mnist", quick: bool = False) -> RunConfig:
    """The same on Fashion-MNIST, 40 epochs; arguments as of `optical/mnist-cnn`."""
    return _cnn("optical/fmnist-cnn", data, 40, quick)


def kmnist_cnn(data: str = "kmnist", quick: bool = False) -> RunConfig:
    """The same on KMNIST, 40 epochs. Published: probe 95.4, exact 96.3, ReLU 96.1, linear 69.6 %."""
    return _cnn("optical/kmnist-cnn", data, 40, quick)


def emnist_cnn(data: str = "emnist_balanced", quick: bool = False) -> RunConfig:
    """The same on EMNIST (balanced), 40 epochs. Published: probe 87.9, exact 88.1, ReLU 88.6, linear 67.8 %."""
    return _cnn("optical/emnist-cnn", data, 40, quick)


def od_sweep(
    data: str = "mnist", medium: Literal["thin", "propagated", "both"] = "both", quick: bool = False
) -> RunConfig:
    """Accuracy of 784-128-128-10 over optical depth, exact and probe gradients, thin medium and real propagation.

    Published (MNIST, thin): exact from 88.9 % at 0.1 to 98.0 % at 30; probe 87.8 % to 98.0 %, 97.2 % at 50.

    Args:
        data: As of `optical/mnist-mlp`, or "digits".
        medium: Which form of the absorber; propagation starts from settled weights.
        quick: Five depths, one seed, 2 epochs, 10,000 images.
    """
    depths = DEPTHS[::2] if quick else DEPTHS
    cases = [*_electronic(("relu", "linear"))]
    for depth in depths:
        if medium != "propagated":
            cases += _absorbing("thin", (f"optics.absorber.optical_depth={depth}",), depth)
        if medium != "thin":
            cases += _absorbing("propagated", (_FIELD_AT_HALF, *_vapour(depth)), depth)
    return _comparison(
        "optical/od-sweep",
        data=_images(data, 10_000 if quick else None),
        model=ModelConfig(name="optical-mlp"),
        train=_ADAM.replace(epochs=2) if quick else _ADAM,
        sweep=SweepConfig(
            cases=tuple(cases),
            seeds=1 if quick else 5,
            baseline="ReLU",
            x="optical depth",
            scale="log",
            angles=True,
        ),
    )


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


def noise_sweep(
    data: str = "digits", over: str = "probe", photons: float | None = 1e4, quick: bool = False
) -> RunConfig:
    """What the backward pass of real light can bear: accuracy over one of its imperfections.

    Args:
        data: "digits", or as of `optical/mnist-mlp`.
        over: "probe" (intensity of the error light: too weak drowns in shot noise, too strong bleaches the absorbers),
            "photons", "detector", "loss", "weight-bits" or "error-bits".
        photons: Of an exposure at the saturation intensity where they are not what changes; null is no shot noise.
        quick: One seed and fewer epochs.
    """
    if over not in _NOISES:
        raise RequestError(f"There is no imperfection `{over}` to go over. {nearest(over, _NOISES)}")
    field, label, scale, values = _NOISES[over]
    base = ("model.activation=absorber", "optics.gradient=probe", "model.brightness=3")
    known = "null" if photons is None or over == "photons" else f"{photons:g}"
    cases = [
        *_electronic(("relu",)),
        Case(name="weak probe, no noise", series="weak probe, no noise", changes=base),
    ]
    forms: dict[str, tuple[str, ...]] = {"thin": (), "propagated": (_FIELD_AT_HALF, "optics.absorber=vapour")}
    given = ("optics.light.probe_intensity=0.1", f"optics.light.photons={known}")
    for form, more in forms.items():
        for value in values:
            changes = (*base, *given, *more, f"optics.light.{field}={value:g}")
            cases.append(Case(name=f"{form}, {over} {value:g}", series=form, x=value, changes=changes))
    embedded = data == "digits"
    train = _ADAM.replace(epochs=30, batch_size=32, lr=2e-3) if embedded else _ADAM.replace(epochs=20)
    return _comparison(
        "optical/noise-sweep",
        data=_images(data, None),
        model=ModelConfig(name="optical-mlp", width=64 if embedded else None),
        train=train.replace(epochs=5 if embedded else 1) if quick else train,
        sweep=SweepConfig(cases=tuple(cases), seeds=1 if quick else 3, baseline="ReLU", x=label, scale=scale),
        threads=1 if embedded else None,
    )


def deep(data: str = "mnist", network: Literal["mlp", "cnn"] = "mlp", quick: bool = False) -> RunConfig:
    """How deep a network light can train: exact and probe gradients over the number of hidden layers.

    Args:
        data: As of `optical/mnist-mlp`, or "digits".
        network: Layers of 128 units, or convolutions.
        quick: Three depths, one seed, 2 epochs, 5,000 images.
    """
    layers = (1, 2, 4, 6, 8) if network == "mlp" else (2, 3, 4, 6)
    cases: list[Case] = []
    for count in layers[:: 2 if quick else 1]:
        deeper = f"model.depth={count}"
        cases.append(Case(name=f"ReLU, {count}", series="ReLU", x=count, changes=("model.activation=relu", deeper)))
        cases += _absorbing("thin", (_FIELD_AT_HALF, deeper), count)
        cases += _absorbing("propagated", (_FIELD_AT_HALF, deeper, "optics.absorber=vapour"), count)
    return _comparison(
        "optical/deep",
        data=_images(data, 5_000 if quick else None),
        model=ModelConfig(name=f"optical-{network}"),
        train=_ADAM.replace(epochs=2 if quick else 20),
        sweep=SweepConfig(cases=tuple(cases), seeds=1 if quick else 3, x="hidden layers", angles=True),
    )


def on_chip(data: str = "digits", quick: bool = False) -> RunConfig:
    """A network of absorbers on a manufactured mesh: trained by probe gradients, calibrated, mapped, then by light.

    What learns on the chip are its singular values, from gradients that forward and backward light measure on it.

    Args:
        data: "digits", or as of `optical/mnist-mlp`.
        quick: Fewer epochs and, on the larger sets, 10,000 images.
    """
    embedded = data == "digits"
    light = OpticalPass.parse(dict(setting.split("=") for setting in _REAL_LIGHT)).replace(weight_bits=None)
    train = _ADAM.replace(epochs=40, batch_size=32, lr=2e-3) if embedded else _ADAM.replace(epochs=20)
    learn = train.replace(epochs=10, lr=1e-3)
    return RunConfig(
        recipe="optical/on-chip",
        stages=("train", "program", "calibrate", "map", "learn", "evaluate", "report"),
        threads=1 if embedded else None,
        data=_images(data, 10_000 if quick else None),
        model=ModelConfig(name="optical-mlp", width=64 if embedded else None, activation="absorber"),
        optics=OpticsConfig(absorber=absorber("vapour"), gradient="probe", settle=1.0, light=light),
        criterion="mse",
        train=train.replace(epochs=10 if embedded else 2) if quick else train,
        learn=learn.replace(epochs=3 if embedded else 1) if quick else learn,
    )


def _cnn(recipe: str, data: str, epochs: int, quick: bool) -> RunConfig:
    """The published comparison: at depth 10 the light is five times as bright as in the electronic networks."""
    cases = (
        *_electronic(),
        *_absorbing("thin", ("model.brightness=5",)),
        *_absorbing("propagated", (_FIELD_AT_HALF, "optics.absorber=vapour")),
    )
    return _comparison(
        recipe,
        data=_images(data, 5_000 if quick else None),
        model=ModelConfig(name="optical-cnn", width=8 if quick else None),
        train=_ADAM.replace(epochs=2 if quick else epochs),
        sweep=SweepConfig(cases=cases, seeds=1 if quick else 5, baseline="ReLU"),
    )


def _comparison(
    recipe: str,
    *,
    data: DataConfig,
    model: ModelConfig,
    train: TrainConfig,
    sweep: SweepConfig,
    threads: int | None = None,
) -> RunConfig:
    return RunConfig(
        recipe=recipe,
        stages=("sweep", "report"),
        threads=threads,
        data=data,
        model=model,
        optics=OpticsConfig(),
        criterion="mse",
        train=train,
        sweep=sweep,
    )


def _images(name: str, limit: int | None) -> DataConfig:
    return DataConfig(name=name, pixels="unit", limit=None if name == "digits" else limit)


def _electronic(names: Iterable[str] = ELECTRONIC) -> list[Case]:
    return [Case(name=_TITLES[name], changes=(f"model.activation={name}",)) for name in names]


def _absorbing(form: str, changes: tuple[str, ...], x: float | None = None) -> list[Case]:
    """The same network trained by exact and by probe gradients."""
    at = "" if x is None else f", {x:g}"
    return [
        Case(
            name=f"{form}, {gradient}{at}",
            series=f"{form}, {gradient}",
            x=x,
            changes=("model.activation=absorber", f"optics.gradient={gradient}", *changes),
        )
        for gradient in ("exact", "probe")
    ]


def _vapour(depth: float) -> tuple[str, ...]:
    return "optics.absorber=vapour", f"optics.absorber.optical_depth={depth}"
