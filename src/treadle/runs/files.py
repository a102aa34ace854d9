"""Files that are there whole or not at all, and folders that one process at a time writes to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from treadle.errors import RunError

LOCK = "lock"
ROOT_LOCK = "index.lock"  # of a folder that holds runs
WAIT = 30.0  # seconds


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
    told = f"{folder}: another process trains this run: wait for it, or stop it"
    with _held(folder / LOCK, 1.0, told):  # seconds, for `is_locked` of another process may hold it for a moment
        yield


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Keep other processes from changing index, tags and trash of a folder of runs while the `with` block runs.

    Raises:
        RunError: another process did not end with it in half a minute, or the folder cannot be written to.
    """
    told = f"{root}: another process has been changing the index for {WAIT:g} s: wait for it, or stop it"
    with _held(root / ROOT_LOCK, WAIT, told):
        yield


@contextmanager
def climbing(folder: Path) -> Iterator[None]:
    """Keep other processes from climbing in a folder while the `with` block runs.

    Raises:
        RunError: another process climbs there.
    """
    with _held(folder / LOCK, 1.0, f"{folder}: another process climbs here: wait for it, or use another --climbs"):
        yield


@contextmanager
def _held(path: Path, seconds: float, told: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    if not path.parent.is_dir():  # which FileLock would make
        raise RunError(f"{path.parent}: there is no such folder")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds, poll_interval=0.01)
    except Timeout as error:
        raise RunError(told) from error
    except (OSError, NotImplementedError) as error:
        raise RunError(f"{path.parent}: cannot be locked: {error}") from error
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process writes to a run at this moment; where that cannot be told, for want of a right, none does."""
    try:
        import fcntl
    except ImportError:  # Windows
        return (folder / LOCK).exists() and _is_taken(folder / LOCK)
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        # shared, so that processes that look at the same moment do not take one another for the one that writes
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _is_taken(path: Path) -> bool:
    try:
        with _held(path, 0.2, "taken"):
            return False
    except RunError:
        return True
