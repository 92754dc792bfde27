"""The stage that trains every case of a comparison, with every seed."""

from __future__ import annotations

import logging

from lightloom.common.errors import LightloomError, RequestError
from lightloom.common.processes import is_main
from lightloom.common.progress import follow
from lightloom.config import RunConfig
from lightloom.pipeline.cases import rehearse_case, train_case
from lightloom.pipeline.comparison import overruled, trainings
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.run_folder import RunFolder
from lightloom.schemas import SweepRow, read, write

_LOG = logging.getLogger("lightloom")


def sweep(run: RunContext) -> None:
    """Train and measure every case with every seed; those that are done already stay as they are."""
    planned = trainings(run.config)
    rows = _rows(run.folder)
    done = {(row.case, row.seed) for row in rows}
    if not done:
        rehearse(run.config)
    if is_main():
        for notice in overruled(run.config):
            _LOG.warning(notice)
    with follow("sweep", len(planned), shown=is_main()) as report:
        for number, training in enumerate(planned, 1):
            if training.key not in done:
                rows.append(train_case(run.folder, training, planned))
                if is_main():
                    write(run.folder.file("sweep.json"), rows)
            report(number, training.name)
    if is_main():
        run.task.compared(run.folder, [training.config for training in planned])


def rehearse(config: RunConfig) -> None:
    """Build the network of every case and show it two samples, before anything is trained.

    Raises:
        RequestError: There is no case, or one cannot be built or seen through; the case is named.
    """
    planned = trainings(config)
    for training in planned[: len(config.sweep.cases)]:
        try:
            rehearse_case(training, planned)
        except LightloomError as error:
            raise RequestError(f"The case `{training.case.name}` of the comparison cannot be: {error}") from None


def _rows(folder: RunFolder) -> list[SweepRow]:
    return read(folder.file("sweep.json"), list[SweepRow], [], strict=True)
