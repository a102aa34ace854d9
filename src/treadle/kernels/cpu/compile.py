"""Compiling with Numba, once a machine: the machine code is kept in a folder named after the sources it came from."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from treadle.folders import user_cache


def cache_folder() -> Path:
    """Return the folder of compiled kernels: in TREADLE_CACHE_DIR, or where the system keeps caches of programs.

    Its name holds a hash of the sources, for Numba itself does not notice an edited function that another calls.
    """
    given = os.environ.get("TREADLE_CACHE_DIR")
    base = Path(given) if given else user_cache()
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    sources += os.environ.get("TREADLE_VECTOR_BYTES", "").encode()
    return base / f"kernels-{hashlib.sha256(sources).hexdigest()[:16]}"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def compiles() -> bool:
    """Whether nothing is compiled yet on this machine, so that a first training begins with that."""
    return not (CACHED and any(FOLDER.rglob("*.nbi")))


FOLDER = cache_folder()
CACHED = _writable(FOLDER)


def compiled(function: Callable[..., Any] | None = None, *, parallel: bool = False, reorder: bool = False) -> Any:
    """Compile a function for the number types it is called with, without the interpreter's lock.

    Args:
        function: in the part of Python that Numba knows.
        parallel: run the loops over `numba.prange` in several threads.
        reorder: let sums be added in another order, so that they run in vectors; the order stays the same from
            run to run.
    """
    if function is None:
        return lambda f: compiled(f, parallel=parallel, reorder=reorder)
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(FOLDER)  # read when the function is made; other programs' functions keep their own
    try:
        return numba.njit(
            cache=CACHED,
            nogil=True,
            error_model="numpy",
            parallel=parallel,
            fastmath={"reassoc", "contract"} if reorder else False,
        )(function)
    finally:
        config.CACHE_DIR = before
