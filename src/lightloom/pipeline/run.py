"""The main path: the stages of a run, in order.

    recipe -> train -> program -> calibrate -> map -> learn -> reorder -> sweep -> evaluate -> cost -> report

Each stage reads and writes the run folder, so any of them can be repeated or resumed.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lightloom.common import processes
from lightloom.common.errors import RequestError
from lightloom.common.folders import absent_folders, discard
from lightloom.common.hold import hold
from lightloom.config import RunConfig, override
from lightloom.nn import plan
from lightloom.pipeline import stages
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.run_folder import ROOT, RunFolder
from lightloom.pipeline.stages.sweep import rehearse
from lightloom.pipeline.summary import write_summary

_LOG = logging.getLogger("lightloom")
Stage = Callable[[RunContext], None]
STAGES: dict[str, Stage] = {
    "train": stages.train,
    "program": stages.program,
    "calibrate": stages.calibrate,
    "map": stages.map_weights,
    "learn": stages.learn,
    "reorder": stages.reorder,
    "sweep": stages.sweep,
    "evaluate": stages.evaluate,
    "cost": stages.cost,
    "report": stages.report,
}
SHARED = ("train", "learn", "sweep")
"""Stages that several processes share out."""


def run(config: RunConfig, out: Path | None = None, *, resume: bool = False) -> dict[str, Any]:
    """Run the stages of a config that are not done yet.

    Args:
        config: Resolved.
        out: Run folder; None takes the next free one under `runs/`.
        resume: Go on with the run in `out`.

    Returns:
        The summary, as in `summary.json`.

    Raises:
        RequestError: The folder is not empty, not writable, or holds another run.
        WorkError: A stage failed; what was done before is kept.
    """
    if resume and out is None:
        raise RequestError("`--resume` needs the folder of the run: add `--out FOLDER`.")
    if processes.world() > 1 and out is None:
        raise RequestError("Several processes need one folder to meet in: add `--out FOLDER`.")
    if not processes.is_main():
        processes.wait(config.device)
        return run_stages(RunFolder(out or Path(), config), config.stages)
    absent = absent_folders(out or ROOT)
    if out is None or out in absent:
        _check_layer_names(config)
    folder = RunFolder.resume(config, out) if resume and out is not None else RunFolder.create(config, out)
    try:
        with hold(folder.path):
            processes.wait(config.device)
            return run_stages(folder, config.stages)
    except RequestError:
        if (out is None or out in absent) and not folder.done:
            discard(folder.path, absent)
        raise
    except BaseException as error:
        words = ["lightloom", "run", config.recipe, *config.changes, "--out", str(folder.path), "--resume"]
        error.add_note(f"next  {shlex.join(words)}")
        raise


def _check_layer_names(config: RunConfig) -> None:
    """Refuse rules that fit no layer of the network, before a folder is made and anything is trained."""
    if "program" not in config.stages or not (config.electronic or config.places):
        return
    context = RunContext(RunFolder(Path(), config))
    with torch.random.fork_rng():
        model = context.new_network()
        context.adapt(model)
        plan(model, config.chip, skip=config.electronic, places=tuple(config.places.items()), inplace=True)


def repeat(path: Path, stage: str, changes: Sequence[str] = (), *, out: Path | None = None) -> dict[str, Any]:
    """Do one stage of a run again, from its beginning, and mark the stages after it as out of date.

    Args:
        path: Folder of the run.
        stage: One of `STAGES`.
        changes: `key=value` changes to the run's config.
        out: Copy the run there first and work on the copy.

    Raises:
        RequestError: There is no run in `path`, a stage before it is missing, or a change does not fit.
    """
    folder = RunFolder.open(path)
    config = override(folder.config, changes).replace(changes=(*folder.config.changes, *changes))
    compares = "sweep" in config.stages
    if compares != (stage == "sweep") and stage not in ("report", *config.stages):
        other = "compares trainings, so it has the stages" if compares else "compares nothing; it has the stages"
        raise RequestError(f"The run in `{path}` {other} {', '.join(f'`{name}`' for name in config.stages)}.")
    if stage == "sweep":
        rehearse(config)  # before anything is forgotten
    if out is None:
        folder.own()
    else:
        folder = folder.copy(out)
    with hold(folder.path):
        return _repeat(folder, stage, config, path)


def _repeat(folder: RunFolder, stage: str, config: RunConfig, path: Path) -> dict[str, Any]:
    """Repeat a stage in the folder of the run at `path`, or in that of its copy."""
    order = list(STAGES)
    partial = stage == "report" and folder.file("sweep.json").exists()
    missing = [name for name in order[: order.index(stage)] if name in config.stages and name not in folder.done]
    if missing and not partial:
        words = ["lightloom", "run", config.recipe, *folder.config.changes, "--out", str(path), "--resume"]
        raise RequestError(
            f"The run in `{path}` has not finished `{missing[0]}`, which comes before `{stage}`. "
            f"Go on with that run first: `{shlex.join(words)}`."
        )
    # a kill between these leaves less than was there, never results of another config than the one beside them
    folder.forget(order[order.index(stage) :])
    if stage == "sweep":
        folder.forget_comparison()
    if config != folder.config:
        folder.change(config)
    return run_stages(folder, [stage])


def run_stages(folder: RunFolder, names: Sequence[str]) -> dict[str, Any]:
    """Run those of the named stages that are not done yet, in the order given; returns the summary.

    Where several processes work together, all of them train and the first does the rest.

    Args:
        folder: Of the run.
        names: Stages, in order.
    """
    context, device, main = RunContext(folder), folder.config.device, processes.is_main()
    first = next((place for place, name in enumerate(names) if name not in folder.done), len(names))
    waiting = names[first:]
    processes.wait(device)  # everybody has read what is done before anybody adds to it
    if main and set(waiting) & set(folder.done):  # a report of what there was so far is out of date
        folder.forget(list(waiting))
    with _threads(folder.config.threads):
        for name in waiting:
            started = time.perf_counter()
            if main:
                _LOG.info(name, extra={"style": "bold"})
            if main or name in SHARED:
                STAGES[name](context)
            if main:
                seconds = time.perf_counter() - started
                folder.finish(name, seconds)
                _LOG.debug("%s took %.1f s", name, seconds)
            processes.wait(device)
    return write_summary(folder) if main else {}


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Work on so many CPU threads, then on as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
