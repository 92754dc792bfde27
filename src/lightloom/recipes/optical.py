"""Training with light: saturable absorbers between the layers, and gradients that a weak probe measures there.

Networks and schedules follow Guo, Barrett, Wang and Lvovsky, "Backpropagation through nonlinear units for the
all-optical training of neural networks" (Photonics Research 9, B71, 2021) and its code: images of 0 ... 1, no biases,
Adam at 5e-4, batches of 64, mean square error, five seeds. Two things differ: the epoch that is kept is chosen on
validation images out of the training set, and networks that are compared have the same loss, so that one thing
changes at a time. Propagation through the medium is ours; published is the thin form.

The usual schedule is ours as well: a cosine from 1e-3 reaches in a third of the epochs what the published one does, and
a weight decay of 0.1, in networks without dropout, is worth a point where light propagates. `schedule=published` is the
other one.
"""

from __future__ import annotations

from lightloom.chips import absorber
from lightloom.config import Case, SweepConfig
from lightloom.nn import OpticalPass
from lightloom.recipes.optical_cases import (
    ADAM,
    FIELD_AT_HALF,
    SHORT,
    Schedule,
    absorbing,
    comparison,
    electronic,
    images,
    schedule_of,
    vapour,
)
from lightloom.tasks.classification.config import ClassificationConfig, DataConfig, ModelConfig, OpticsConfig


def digits(
    probe: float = 0.1, photons: float = 1e4, loss_db: float = 1.0, bits: int = 8, quick: bool = False
) -> ClassificationConfig:
    """Optical and exact training side by side on the embedded digits, from a thin medium to light that does it all.

    What real light brings is assumed; nobody has built the whole of it.

    Args:
        probe: Intensity of the error light over that of saturation, where light does it all.
        photons: Of an exposure at the saturation intensity.
        loss_db: Between two layers.
        bits: Of weights and error signal.
        quick: One seed in the place of three, and fewer epochs.
    """
    real = {"probe_intensity": probe, "photons": photons, "loss_db": loss_db, "weight_bits": bits, "error_bits": bits}
    light = ("model.activation=absorber", "optics.gradient=probe", *(f"optics.light.{k}={v}" for k, v in real.items()))
    # a mesh has bits of its own
    mesh = ("optics.on_chip=true", "optics.light.weight_bits=null", "train.lr=5e-3")
    cases = (
        *electronic(("relu", "linear")),
        *absorbing("thin", ("model.input_scale=3",)),
        *absorbing("propagated", (FIELD_AT_HALF, "optics.absorber=vapour")),
        Case(name="light", changes=(*light, "model.input_scale=3")),
        Case(name="light on a mesh", changes=(*light, FIELD_AT_HALF, *mesh)),
    )
    return comparison(
        "optical/digits",
        data=DataConfig(name="digits", pixels="unit"),
        model=ModelConfig(name="optical-mlp", width=64),
        train=ADAM.replace(epochs=15 if quick else 40, lr=4e-3),
        sweep=SweepConfig(cases=cases, seeds=1 if quick else 3, baseline="ReLU"),
        angles=True,
        threads=1,
    )


def mnist_mlp(
    data: str = "mnist", depth: float = 30.0, schedule: Schedule = "short", quick: bool = False
) -> ClassificationConfig:
    """784-128-128-10 with a saturable absorber after each hidden layer, beside electronic nonlinearities.

    Published (MNIST, depth 30, 50 epochs): about 98 % with ReLU, exact and probe gradients alike; linear 85.8 %.

    Args:
        data: "mnist", "fashion_mnist", "kmnist" or "emnist_balanced".
        depth: Optical depth of the absorbers.
        schedule: "short" or "published".
        quick: One seed, 3 epochs, 10,000 images.
    """
    thin, entropy = f"optics.absorber.optical_depth={depth}", "criterion=cross_entropy"
    probe = ("model.activation=absorber", "optics.gradient=probe")
    cases = (
        *electronic(),
        *absorbing("thin", (thin,)),
        *absorbing("propagated", (FIELD_AT_HALF, *vapour(depth))),
        Case(name="ReLU, cross-entropy", changes=("model.activation=relu", entropy)),
        Case(name="thin, probe, cross-entropy", changes=(*probe, thin, entropy)),
    )
    return comparison(
        "optical/mnist-mlp",
        data=images(data, 10_000 if quick else None),
        model=ModelConfig(name="optical-mlp"),
        train=schedule_of(schedule, 20, 50, 3 if quick else None),
        sweep=SweepConfig(cases=cases, seeds=1 if quick else 5, baseline="ReLU"),
        angles=True,
    )


def mnist_cnn(data: str = "mnist", schedule: Schedule = "short", quick: bool = False) -> ClassificationConfig:
    """32C5-64C5-128 with absorbers and pooling of fields, beside electronic nonlinearities.

    Published (30 epochs): probe 99.3, exact 99.4, ReLU 99.3, tanh 99.2, sigmoid 99.0, linear 92.3 %.

    Args:
        data: "mnist", "fashion_mnist", "kmnist" or "emnist_balanced".
        schedule: "short" (10 epochs) or "published" (30).
        quick: One seed, 8 channels, 2 epochs, 5,000 images.
    """
    return _cnn("optical/mnist-cnn", data, 30, schedule, quick)


def fmnist_cnn(data: str = "fashion_mnist", schedule: Schedule = "short", quick: bool = False) -> ClassificationConfig:
    """The network of `optical/mnist-cnn` on Fashion-MNIST, which is not published; 10 epochs, or 40 in that schedule.

    Args:
        data: "mnist", "fashion_mnist", "kmnist" or "emnist_balanced".
        schedule: "short" (10 epochs) or "published" (40).
        quick: One seed, 8 channels, 2 epochs, 5,000 images.
    """
    return _cnn("optical/fmnist-cnn", data, 40, schedule, quick)


def kmnist_cnn(data: str = "kmnist", schedule: Schedule = "short", quick: bool = False) -> ClassificationConfig:
    """The network of `optical/mnist-cnn` on KMNIST.

    Published (40 epochs): probe 95.4, exact 96.3, ReLU 96.1, linear 69.6 %.

    Args:
        data: "mnist", "fashion_mnist", "kmnist" or "emnist_balanced".
        schedule: "short" (10 epochs) or "published" (40).
        quick: One seed, 8 channels, 2 epochs, 5,000 images.
    """
    return _cnn("optical/kmnist-cnn", data, 40, schedule, quick)


def emnist_cnn(
    data: str = "emnist_balanced", schedule: Schedule = "short", quick: bool = False
) -> ClassificationConfig:
    """The network of `optical/mnist-cnn` on EMNIST (balanced).

    Published (40 epochs): probe 87.9, exact 88.1, ReLU 88.6, linear 67.8 %.

    Args:
        data: "mnist", "fashion_mnist", "kmnist" or "emnist_balanced".
        schedule: "short" (10 epochs) or "published" (40).
        quick: One seed, 8 channels, 2 epochs, 5,000 images.
    """
    return _cnn("optical/emnist-cnn", data, 40, schedule, quick)


def on_chip(data: str = "digits", quick: bool = False) -> ClassificationConfig:
    """A network of absorbers on a manufactured mesh: trained by probe gradients, calibrated, mapped, then by light.

    What learns on the chip are its singular values, from gradients that forward and backward light measure on it.

    Args:
        data: "digits", or as of `optical/mnist-mlp`.
        quick: Fewer epochs and, on the larger sets, 10,000 images.
    """
    embedded = data == "digits"
    light = OpticalPass(probe_intensity=0.1, photons=1e4, loss_db=1.0, error_bits=8)  # assumed, as in `digits`
    train = ADAM.replace(epochs=40, batch_size=32, lr=2e-3) if embedded else SHORT
    learn = train.replace(epochs=10, lr=1e-3)
    return ClassificationConfig(
        recipe="optical/on-chip",
        stages=("train", "program", "calibrate", "map", "learn", "evaluate", "report"),
        threads=1 if embedded else None,
        data=images(data, 10_000 if quick else None),
        model=ModelConfig(name="optical-mlp", width=64 if embedded else None, activation="absorber"),
        optics=OpticsConfig(absorber=absorber("vapour"), gradient="probe", settle=1.0, light=light),
        criterion="mse",
        train=train.replace(epochs=10 if embedded else 2) if quick else train,
        learn=learn.replace(epochs=3 if embedded else 1) if quick else learn,
    )


def _cnn(recipe: str, data: str, epochs: int, schedule: Schedule, quick: bool) -> ClassificationConfig:
    """The published comparison: at depth 10 the light is five times as bright as in the electronic networks."""
    cases = (
        *electronic(),
        *absorbing("thin", ("model.input_scale=5",)),
        *absorbing("propagated", (FIELD_AT_HALF, "optics.absorber=vapour")),
    )
    return comparison(
        recipe,
        data=images(data, 5_000 if quick else None),
        model=ModelConfig(name="optical-cnn", width=8 if quick else None),
        train=schedule_of(schedule, 10, epochs, 2 if quick else None).replace(weight_decay=0.0),  # there is dropout
        sweep=SweepConfig(cases=cases, seeds=1 if quick else 5, baseline="ReLU"),
    )
