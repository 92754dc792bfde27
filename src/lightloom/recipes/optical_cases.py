"""What the recipes of training with light share: schedules, and cases of a comparison."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, get_args

from lightloom.common.errors import RequestError, nearest
from lightloom.config import Case, SweepConfig
from lightloom.learn import TrainConfig
from lightloom.tasks.classification.config import ClassificationConfig, DataConfig, ModelConfig, OpticsConfig

Schedule = Literal["short", "published"]

ADAM = TrainConfig(epochs=50, batch_size=64, lr=5e-4, weight_decay=0.0, schedule="constant", warmup=0.0)
"""The published schedule."""
SHORT = ADAM.replace(epochs=20, lr=1e-3, weight_decay=0.1, schedule="cosine")
"""Our schedule: a cosine reaches in a third of the epochs what the published one does, and where light propagates the
weight decay is worth a point in networks without dropout."""
FIELD_AT_HALF = "optics.settle=1"
"""First weights with which each absorber passes half of the field."""

_TITLES = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid", "linear": "linear"}


def schedule_of(name: Schedule, short: int, published: int, quick: int | None) -> TrainConfig:
    """One of both schedules with its epochs, or with those of a quick form.

    Args:
        name: "short" or "published".
        short: Epochs of the short schedule.
        published: Epochs of the published schedule.
        quick: Epochs of a quick form; None is no such form.
    """
    check("schedule", name, get_args(Schedule))
    if name == "published":
        return ADAM.replace(epochs=quick or published)
    return SHORT.replace(epochs=quick or short)


def check(switch: str, given: str, known: Collection[str]) -> None:
    """Refuse a value of a recipe's switch. Raises `RequestError` with the nearest one.

    Args:
        switch: Name of the switch, for the message.
        given: Value of the switch.
        known: Every value that it can have.
    """
    if given not in known:
        raise RequestError(f"`{switch}={given}` is not one of its values. {nearest(given, known)}")


def comparison(
    recipe: str,
    *,
    data: DataConfig,
    model: ModelConfig,
    train: TrainConfig,
    sweep: SweepConfig,
    angles: bool = False,
    threads: int | None = None,
) -> ClassificationConfig:
    """A run that trains the cases of `sweep`, with the published loss, and reports.

    Args:
        recipe: Name of the recipe.
        data: Images to learn from.
        model: Network of every case, before its changes.
        train: Schedule of every case, before its changes.
        sweep: Cases and seeds.
        angles: Compare the gradient of light with the exact one before every epoch.
        threads: CPU threads; None leaves torch's choice.
    """
    return ClassificationConfig(
        recipe=recipe,
        stages=("sweep", "report"),
        threads=threads,
        data=data,
        model=model,
        optics=OpticsConfig(),
        criterion="mse",
        train=train,
        sweep=sweep,
        angles=angles,
    )


def images(name: str, limit: int | None) -> DataConfig:
    """Images whose pixels are light: 0 is none. Of the digits all are taken.

    Args:
        name: Name of the data set.
        limit: Most images to take; None takes all.
    """
    return DataConfig(name=name, pixels="unit", limit=None if name == "digits" else limit)


def electronic(names: Iterable[str] = tuple(_TITLES)) -> list[Case]:
    """One case for each electronic nonlinearity."""
    return [Case(name=_TITLES[name], changes=(f"model.activation={name}",)) for name in names]


def absorbing(form: str, changes: tuple[str, ...], x: float | None = None) -> list[Case]:
    """The same network trained by exact and by probe gradients.

    Args:
        form: Name of the medium, such as "thin", for the names of the cases.
        changes: Changes that make the medium, as `key=value`.
        x: Place of the cases in the plot; None has none.
    """
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


def vapour(depth: float) -> tuple[str, ...]:
    """Changes that make the medium one that light propagates through, of this depth."""
    return "optics.absorber=vapour", f"optics.absorber.optical_depth={depth}"
