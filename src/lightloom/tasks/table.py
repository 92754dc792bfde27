"""The table of tasks: built-in ones, and those that other packages bring by an entry point."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError
from lightloom.common.plugins import PlugInTable
from lightloom.config import RunConfig, read_values
from lightloom.tasks.base import Task
from lightloom.tasks.classification.task import ClassificationTask
from lightloom.tasks.detection2d.task import Detection2DTask
from lightloom.tasks.detection3d.task import Detection3DTask
from lightloom.tasks.language.task import LanguageTask

_EARLIER = {"classify", "detect", "detect3d"}
"""Tasks of configs that earlier versions wrote, which had sections of all tasks."""


def _check(record: Task[Any], others: Mapping[str, Task[Any]]) -> None:
    """Refuse a task whose configs could not be told from those of others."""
    if not (isinstance(record.config, type) and issubclass(record.config, RunConfig)):
        raise ValueError(f"its config is {record.config!r}, no subclass of `RunConfig`")
    default = record.config.model_fields["task"].default
    if default != record.name:
        raise ValueError(
            f"its config says `task={default!r}`; write `task: Literal[{record.name!r}] = {record.name!r}`"
        )


def _built_in() -> tuple[Task[Any], ...]:
    return ClassificationTask(), Detection2DTask(), Detection3DTask(), LanguageTask()


TASKS: PlugInTable[Task[Any]] = PlugInTable("lightloom.tasks", "task", Task, _built_in, _check)
"""Tasks by name; those of plug-ins join when it is first looked into."""


def task_of(config: RunConfig) -> Task[Any]:
    """The task that a config is of.

    Raises:
        RequestError: Nobody has registered that task.
    """
    return TASKS.find(config.task)


def config_of(values: Mapping[str, Any], where: str) -> RunConfig:
    """The config of whichever task the values name.

    Args:
        values: Keys and values; the key `task` names the task.
        where: What they belong to, for the message.

    Raises:
        RequestError: There is no such task, a key is unknown, or a value does not fit.
    """
    name = values.get("task", "")
    if name in _EARLIER:
        recipe = values.get("recipe", "RECIPE")
        raise RequestError(
            f"`{where}` was written by an earlier version, whose configs had another form; run the recipe again, "
            f"`lightloom run {recipe}`, or read the run with that version."
        )
    config: RunConfig = TASKS.find(str(name)).config.parse(values, where)
    return config


def read_config(path: Path) -> RunConfig:
    """Read what `config.to_yaml` wrote.

    Raises:
        RequestError: The file is missing, is not YAML, or holds what a config cannot.
    """
    return config_of(read_values(path), str(path))
