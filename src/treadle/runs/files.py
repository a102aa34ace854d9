"""Files that are there whole or not at all, and folders that one process at a time writes to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from treadle.errors import RunError

LOCK = "lock"


def replace(path: Path, content: bytes) -> None:
    """Write a file aside, flush it to the disk, put it in place in one step, and flush its folder.

    Raises:
        OSError: it cannot be written, flushed or put in place; what was there before is still there.
    """
    aside = path.with_name(path.name + ".part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    flush(path.parent)


def flush(folder: Path) -> None:
    """Flush the names of a folder to the disk, where the system can: Windows does it by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to a run while the `with` block runs.

    The system holds the lock for the process and lets go of it when that ends, however it does.

    Raises:
        RunError: another process writes to it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RunError(f"{folder}: another process trains this run: wait for it, or stop it") from error
    except (OSError, NotImplementedError) as error:
        raise RunError(f"{folder}: cannot be locked: {error}") from error
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process writes to a run at this moment."""
    if not (folder / LOCK).exists():
        return False
    try:
        with locked(folder):
            return False
    except RunError:
        return True
