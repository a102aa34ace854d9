"""How many threads the compiled kernels use. Results do not depend on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numba

from treadle.errors import TreadleError

# Waiting threads look for work for some 100 µs before they sleep. GNU's OpenMP would look on for milliseconds, which
# costs as much wherever another program takes a core; sleeping at once costs 50 to 150 µs for each kernel.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
numba.config.NUMBA_NUM_THREADS = max(numba.config.NUMBA_NUM_THREADS, 8)  # read when threads first start; most sleep


@contextmanager
def with_threads(threads: int) -> Iterator[None]:
    """Run kernels on so many threads inside the `with` block; raise TreadleError where there are not as many."""
    most = numba.config.NUMBA_NUM_THREADS
    if threads > most:
        raise TreadleError(f"threads can be at most {most} on this machine, found {threads}")
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)
