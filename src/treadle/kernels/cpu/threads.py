"""How many threads the compiled kernels use. Results do not depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba

from treadle.errors import TreadleError


@contextmanager
def with_threads(threads: int) -> Iterator[None]:
    """Run kernels on so many threads inside the `with` block; raise TreadleError where there are not as many."""
    config: Any = numba.config
    most = config.NUMBA_NUM_THREADS
    if threads > most:
        raise TreadleError(f"threads can be at most {most} on this machine, found {threads}")
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)
