"""Where a comparison keeps its trained cases, with what their weights are for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lightloom import learn as learning
from lightloom.common.errors import RequestError
from lightloom.common.files import make_folder
from lightloom.common.records import check
from lightloom.pipeline.comparison import Training
from lightloom.pipeline.run_folder import RunFolder
from lightloom.tasks import task_of
from lightloom.tasks.base import Interface

_NOTE = "known"


def weights_of(folder: RunFolder, training: Training) -> Path:
    """The file of the weights of a trained case.

    Args:
        folder: Of the run.
        training: The case.
    """
    return folder.file(f"models/{learning.file_name(training.name)}.safetensors")


def save_case(folder: RunFolder, training: Training, model: nn.Module, interface: Interface) -> None:
    """Write what a case has learned, and what its weights are for.

    Args:
        folder: Of the run.
        training: The case.
        model: As it was trained.
        interface: What its weights are for.
    """
    make_folder(folder.file("models"))
    # one note: several would be written in an order that differs from run to run
    learning.save_weights(model, weights_of(folder, training), **{_NOTE: json.dumps(interface)})


def read_interface(folder: RunFolder, training: Training, interface: Interface | None = None) -> Interface:
    """What the weights of a trained case are for.

    Args:
        folder: Of the run.
        training: The case.
        interface: What they are to be for; None takes what they are for.

    Raises:
        RequestError: It was not trained yet, or for something else.
    """
    path = weights_of(folder, training)
    if not path.exists():
        raise RequestError(
            f"The case `{training.name}` of `{folder.path}` has no weights yet; go on with that run first: "
            f"`lightloom run {folder.config.recipe} --out {folder.path} --resume`."
        )
    own = _read(path)
    if interface is not None:
        check_interface(path, own, interface, task_of(training.config).shared)
    return own


def check_interface(path: Path, own: Interface, interface: Interface, shared: Sequence[str] | None) -> None:
    """Refuse weights that are for something else.

    Args:
        path: Where the weights are, for the message.
        own: What they are for.
        interface: What they are to be for.
        shared: Keys that must be the same; None is all.

    Raises:
        RequestError: One of them is not; it is named, with both values.
    """
    for key in sorted(own.keys() | interface.keys()) if shared is None else shared:
        if own.get(key) != interface.get(key):
            raise RequestError(
                f"The {key} do not match: those of `{path}` are {own.get(key)}, and the data has {interface.get(key)}; "
                "give the same in the same order."
            )


def _read(path: Path) -> dict[str, Any]:
    notes = learning.read_tensors(path)[1]
    try:
        values = json.loads(notes[_NOTE])
    except (KeyError, ValueError):
        raise RequestError(f"`{path}` does not say what its weights are for; train the case again.") from None
    return dict(check(path, dict[str, Any], values))
