"""Where a comparison of detectors keeps its trained cases, and how they are found again, as teachers among others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lightloom import learn as learning
from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import make_folder
from lightloom.common.records import check
from lightloom.common.seeds import named_seed
from lightloom.learn.checkpoint import Progress
from lightloom.pipeline.comparison import Training, first_trainings
from lightloom.pipeline.run_folder import RunFolder

_DETECTS = ("detect", "detect3d")


def weights_of(folder: RunFolder, training: Training) -> Path:
    """Where the weights of a trained case are."""
    return folder.file(f"models/{learning.file_name(training.name)}.safetensors")


def keep_weights(
    folder: RunFolder,
    training: Training,
    detector: nn.Module,
    classes: Sequence[str],
    channels: Sequence[str] = (),
    white: float | None = None,
) -> None:
    """Write what a case has learned, and what its weights are for.

    Args:
        folder: Of the run.
        training: The case.
        detector: As it was trained.
        classes: That it tells apart.
        channels: Cameras that it has weights for.
        white: Value that was white in the images of more than 8 bits that it learned from; None where there were none.
    """
    make_folder(folder.file("models"))
    # one note: several would be written in an order that differs from run to run
    known = {"classes": list(classes), "channels": list(channels)} | ({} if white is None else {"white": white})
    learning.save_weights(detector, weights_of(folder, training), known=json.dumps(known))


def known_channels(folder: RunFolder, training: Training) -> tuple[str, ...]:
    """The cameras that a trained case looks through, in the order of its weights."""
    return tuple(_known(weights_of(folder, training)).get("channels", ()))


def known_white(folder: RunFolder, training: Training) -> float | None:
    """What was white to a trained case in images of more than 8 bits; None where it learned from none."""
    white = _known(weights_of(folder, training)).get("white")
    return None if white is None else float(white)


def _known(path: Path) -> dict[str, Any]:
    notes = learning.read_tensors(path)[1]
    try:
        given = json.loads(notes["known"]) if "known" in notes else {"classes": json.loads(notes["classes"])}
    except (KeyError, ValueError):
        given = None
    if given is None:
        raise RequestError(f"`{path}` does not say which classes its detector tells apart; train the case again.")
    return {"channels": [], **check(path, dict[str, list[str] | float | None], given)}


def known_classes(folder: RunFolder, training: Training, classes: Sequence[str] | None = None) -> tuple[str, ...]:
    """What a trained case tells apart.

    Args:
        folder: Of the run.
        training: The case.
        classes: What it is to tell apart, in this order; None takes what it knows.

    Raises:
        RequestError: It was not trained yet, or for other classes.
    """
    path = weights_of(folder, training)
    if not path.exists():
        raise RequestError(
            f"The case `{training.name}` of `{folder.path}` has no weights yet; go on with that run first: "
            f"`lightloom run {folder.config.recipe} --out {folder.path} --resume`."
        )
    known = tuple(_known(path)["classes"])
    if classes is not None and known != tuple(classes):
        raise RequestError(
            f"The class list does not match: `{path}` knows {list(known)}, and the images have {list(classes)}; give "
            "the same in the same order."
        )
    return known


def row_of(
    training: Training,
    detector: nn.Module,
    progress: Progress,
    seconds: float,
    *,
    measure: str,
    figures: Mapping[str, float],
    per_class: Mapping[str, float],
    teacher: str,
) -> dict[str, Any]:
    """What a trained case is in `sweep.json`.

    Args:
        training: The case.
        detector: As it was trained.
        progress: Of the training.
        seconds: That it took.
        measure: Name of the figure that cases are compared by.
        figures: Of the test images, 0 ... 1, errors in units of their own.
        per_class: Of each class.
        teacher: Who taught it; "" is nobody.
    """
    return {
        "case": training.case.name,
        "series": training.case.series or training.case.name,
        "x": training.case.x,
        "seed": training.seed,
        "measure": measure,
        "accuracy": figures[measure],
        "figures": dict(figures),
        "per_class": dict(per_class),
        "teacher": teacher,
        "epochs": progress.epoch,
        "seconds": round(seconds, 3),
        "parameters": sum(parameter.numel() for parameter in detector.parameters()),
    }


def noise_seed(training: Training) -> int:
    """Of the noise under which a case is measured."""
    return named_seed(training.seed, training.name, "test")


def case_of(folder: RunFolder, name: str = "") -> Training:
    """A case of a run with its first seed; without a name the last one.

    Raises:
        RequestError: The run detects nothing, or has no such case.
    """
    if folder.config.task not in _DETECTS:
        raise RequestError(
            f"The run in `{folder.path}` does not detect objects; run a recipe such as `hybrid/shapes` or "
            "`bev/toytown`."
        )
    first = first_trainings(folder.config)
    by_name = {training.case.name: training for training in first}
    if name and name not in by_name:
        raise RequestError(f"The run in `{folder.path}` has no case `{name}`. {nearest(name, by_name)}")
    return by_name[name] if name else first[-1]


def teacher_of(teacher: str, training: Training, asked: Sequence[Training]) -> tuple[RunFolder | None, Training]:
    """The case that teaches and the run it is of: `FOLDER` or `FOLDER:CASE`, or None, one before with the same seed.

    Raises:
        RequestError: There is no such case or run.
    """
    before = {other.case.name: other for other in asked[: asked.index(training)] if other.seed == training.seed}
    if teacher in before:
        return None, before[teacher]
    path, _, case = teacher.partition(":")
    if (Path(path) / "config.yaml").exists():
        folder = RunFolder.open(Path(path))
        return folder, case_of(folder, case)
    known = nearest(teacher, before) if before else "None comes before it."
    raise RequestError(f"The teacher `{teacher}` is no case that comes before, and no folder of a run. {known}")


def start_from(detector: nn.Module, teacher: nn.Module) -> None:
    """Take what fits of the teacher's weights."""
    own = detector.state_dict()
    known = {name: value for name, value in teacher.state_dict().items() if name in own}
    detector.load_state_dict(own | {name: value for name, value in known.items() if value.shape == own[name].shape})
