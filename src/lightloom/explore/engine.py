"""Where points are measured: here, in processes of this machine, or on a cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightloom.common.errors import RequestError, WorkError
from lightloom.explore.point import Group, Job, Outcome, explain, measure

if TYPE_CHECKING:
    from distributed import Client, Future

_LOG = logging.getLogger("lightloom")
_LOOPBACK = "127.0.0.1:0"
_DIED = "its process died each time that it was tried, as when memory runs out"
_PATIENCE = 15.0  # seconds to reach a scheduler


@dataclass(frozen=True)
class Engine:
    """The place where points are measured, and what they are measured with.

    Args:
        workers: Processes on this machine; 0 measures in this one.
        scheduler: Address of a running Dask scheduler, as `tcp://node:8786`, in their place.
        device: As a run takes it: `cpu`, or anything else for an accelerator where there is one.
        threads: Threads of torch, per point.
        progress: Whether to show how far it is.

    Raises:
        RequestError: Both `workers` and `scheduler` are set, or a number is out of range.
    """

    workers: int = 0
    scheduler: str | None = None
    device: str = "cpu"
    threads: int = 1
    progress: bool = True

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise RequestError(f"`workers` is {self.workers}; give 0 to measure in this process, or how many to start.")
        if self.workers and self.scheduler is not None:
            raise RequestError("Give `workers` or a `scheduler`, not both: a running cluster has workers of its own.")
        if self.threads < 1:
            raise RequestError(f"`threads` is {self.threads}; give at least 1.")


def run(job: Job, groups: Sequence[Group], engine: Engine) -> Iterator[Outcome]:
    """Measure groups of points and give the outcome of each point as it comes; the order differs between engines.

    Args:
        job: What all share; sent to every worker once.
        groups: What to measure.
        engine: On which processes.

    Raises:
        RequestError: The engine is not installed or not reached.
        WorkError: The connection to the cluster is lost.
    """
    if not groups:
        return
    if not engine.workers and engine.scheduler is None:
        for group in groups:
            yield from measure(job, group)
        return
    with _client(engine.workers, engine.scheduler) as client:
        yield from _spread(client, job, groups)


def _spread(client: Client, job: Job, groups: Sequence[Group]) -> Iterator[Outcome]:
    """Each group is one task; a worker that dies takes its tasks to another, and at last fails the guilty one alone."""
    import dask
    from distributed import KilledWorker, as_completed

    # a task that gives the job, which the scheduler can repeat: scattered data would be lost with its workers
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
        shared = client.submit(_as_it_is, job, pure=False)
    groups_of = {client.submit(measure, shared, group, pure=False): group for group in groups}
    suspects = []
    for future in as_completed(groups_of):
        if not future.cancelled() and isinstance(future.exception(), KilledWorker):
            suspects.append(groups_of[future])
        else:
            yield from _outcomes(future, groups_of[future])
        future.release()
    # those that only waited at a worker that died are suspects too: alone, the guilty dies again
    for group in suspects:
        yield from _outcomes(client.submit(measure, shared, group, pure=False), group)


def _outcomes(future: Future, group: Group) -> list[Outcome]:
    from distributed import KilledWorker, wait

    wait(future)
    if future.cancelled():
        raise WorkError("The cluster gave up its work. What was finished is kept; start the sweep again to go on.")
    error = future.exception()
    if error is None:
        outcomes: list[Outcome] = future.result()
        return outcomes
    text = _DIED if isinstance(error, KilledWorker) else explain(error)
    return [(point, text) for point in group.points]


def _as_it_is(job: Job) -> Job:
    return job


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[Client]:
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise RequestError(
            "Processes and clusters need Dask; install it with `pip install 'lightloom[cluster]'`, or leave out "
            "`workers` and `scheduler`."
        ) from None
    if scheduler is None:
        # nothing listens beyond this machine; a worker that died may take its time to start again
        with (
            dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=_LOOPBACK,
                worker_dashboard_address=_LOOPBACK,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"No Dask scheduler answers at `{scheduler}`: {error}. Give its address as `tcp://node:8786`."
        ) from None
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            _LOG.warning("The cluster at %s has no workers yet; waiting for one.", scheduler)
        yield client
