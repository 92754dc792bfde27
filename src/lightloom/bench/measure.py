"""How benches measure: seconds taken in turns, and the memory of a step in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lightloom.common.errors import WorkError


def medians(works: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Seconds of each, in turns taken alternately that last about as long, so that other load hits all alike.

    Args:
        works: What is timed, by name.
        rounds: How many turns each gets, of which the median counts.
    """
    once = {name: _seconds(work, 2) / 2 for name, work in works.items()}
    calls = {name: max(1, round(max(once.values()) / seconds)) for name, seconds in once.items()}
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            work()  # caches and the heap as this work leaves them
            times[name].append(_seconds(work, calls[name]) / calls[name])
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def _seconds(work: Callable[[], None], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        work()
    return time.perf_counter() - started


def peak_of_child(bench: str, *arguments: object) -> int:
    """Memory in KiB that a step takes at most, in a process of its own, whose heap nobody has stretched before.

    Args:
        bench: Module of `lightloom.bench` with a function `report_peak`, which calls `report_rise`.
        *arguments: For it, as text.

    Raises:
        WorkError: The process fails.
    """
    code = f"import sys; from lightloom.bench.{bench} import report_peak; report_peak(*sys.argv[1:])"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode:
        raise WorkError(f"Memory could not be measured in a process of its own:\n{child.stderr.strip()[-2000:]}")
    return int(child.stdout.split()[-1])


def report_rise(step: Callable[[], None]) -> None:
    """Write how far a step raises the highest resident memory of this process."""
    before = _highest_resident()
    step()
    sys.stdout.write(f"{max(_highest_resident() - before, 1)}\n")


def _highest_resident() -> int:
    """Peak memory of this process in KiB where there is /proc, else in the system's units, not below a parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (line,) = (line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])
