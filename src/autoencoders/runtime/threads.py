"""Work on all cores, for functions that release Python's lock, as those of Pillow, hashlib and files do."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import TypeVar

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""File with the limit of a container's cores: microseconds of work (or `max`) in a period of so many."""
MAX_WAITING = 4
"""Items for each thread that are begun or done before their turn."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return how many cores this process may use: those that it is bound to, and at most its container's limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no container, or without a limit
        work, period = map(int, QUOTA.read_text().split())
        cores = min(cores, ceil(work / period))
    return cores


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function(item)` in the order of the items, computed on a thread for each core.

    Whatever it raises is raised in its turn. `MAX_WAITING` items a thread are in memory, however many there are. If the
    consumer or a signal ends this early, no further item is begun, and the threads are waited for.
    """
    threads = available_cores()
    if threads == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == MAX_WAITING * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
