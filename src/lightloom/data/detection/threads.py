"""Work on many files at once, with a bar where it takes longer than a moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from lightloom.common.progress import Report, follow

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MOST = 8  # threads: decoding is bound by cores, and small files by the disk
_PATIENCE_S = 2.0


def in_threads(work: Callable[[_Item], _Result], items: Sequence[_Item], label: str | None) -> Iterator[_Result]:
    """`work` on each item, in threads; the results in order.

    Args:
        work: Called once per item; what it raises is raised here, and the items not yet begun are left.
        items: What to work on.
        label: Of the progress bar, which shows after two seconds; None shows none.
    """
    started = time.monotonic()
    report: Report | None = None
    pool = ThreadPoolExecutor(min(_MOST, os.cpu_count() or 1))
    with ExitStack() as stack:
        stack.callback(pool.shutdown, cancel_futures=True)
        for done, result in enumerate(pool.map(work, items), 1):
            if label is not None and report is None and time.monotonic() - started > _PATIENCE_S:
                report = stack.enter_context(follow(label, len(items)))
            if report is not None:
                report(done, "")
            yield result
