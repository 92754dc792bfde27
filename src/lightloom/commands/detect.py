"""What a trained detector of a run says of a user's own images or scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError, nearest
from lightloom.pipeline.cases import load_trained
from lightloom.pipeline.run_folder import RunFolder
from lightloom.tasks import task_of
from lightloom.tasks.base import Prediction

_DEVICES = ("auto", "cpu")


def detect(
    given: Sequence[str | Path],
    model: Path,
    out: Path,
    *,
    source: str = "",
    case: str = "",
    threshold: float = 0.25,
    device: str = "auto",
) -> dict[str, Any]:
    """Find objects in images, or around a vehicle at some moments, as the run in `model` does.

    Args:
        given: Image files or folders; of a multi-camera run, tokens of samples or names of scenes.
        model: Folder of a run that detects.
        out: Folder to write to.
        source: Set with the scenes of a multi-camera run; "" is that of the run.
        case: Which of its cases looks, with its first seed, or which state of its network; "" is the last one.
        threshold: Least score of what is told.
        device: "auto" takes a GPU where there is one; "cpu" never does.

    Returns:
        As in `detections.json`, see the task of the run.

    Raises:
        RequestError: There is no such run, case or device, the task of the run detects nothing, the threshold is not
            0 ... 1, or the inputs do not fit.
        WorkError: Nothing could be read.
    """
    if not 0 <= threshold <= 1:
        raise RequestError(f"The threshold is {threshold}; a score is 0 ... 1.")
    if device not in _DEVICES:
        raise RequestError(f"There is no device `{device}`. {nearest(device, _DEVICES)}")
    folder = RunFolder.open(model)
    task = task_of(folder.config)
    if not task.predicts:
        raise RequestError(
            f"The run in `{model}` does not detect objects: its task is to {task.title}; run a recipe such as "
            "`hybrid/shapes` or `bev/toytown`."
        )
    trained = load_trained(folder, case)
    request = Prediction(tuple(map(str, given)), out, source, threshold, device, trained.name)
    return task.predict(trained.model, trained.config, trained.interface, request)
