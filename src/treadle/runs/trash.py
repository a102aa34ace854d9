"""Deleting runs: their folders are moved to .trash beside them, from where they can be brought back."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

from treadle.errors import RunError, suggest
from treadle.runs.files import alone, is_locked, locked

TRASH = ".trash"


def delete(folder: Path) -> Path:
    """Move a run to the trash, and return where it is now.

    Raises:
        RunError: it is being trained, or cannot be moved.
    """
    if is_locked(folder):
        raise RunError(f"{folder}: is being trained: stop that first, with Ctrl-C or kill")
    trash = folder.parent / TRASH
    # Windows moves no folder that has an open file
    with alone(folder.parent), nullcontext() if os.name == "nt" else locked(folder):
        return _move(folder, trash)


def restore(root: Path, name: str) -> Path:
    """Bring a run back from the trash, and return where it is now: under another name where its own is taken.

    Raises:
        RunError: the trash has no such run, or it cannot be moved.
    """
    with alone(root):
        found = trashed(root)
        if name not in found:
            known = suggest(name, found) if found else "it is empty"
            raise RunError(f"{root / TRASH}: has no run {name!r}: {known}")
        return _move(root / TRASH / name, root)


def trashed(root: Path) -> list[str]:
    """Names of the runs in the trash."""
    try:
        return sorted(path.name for path in (root / TRASH).iterdir() if path.is_dir())
    except OSError:
        return []


def _move(folder: Path, target: Path) -> Path:
    """Move a folder into another one, where it gets a number if its name is taken."""
    for number in range(1, 10_000):
        moved = target / (folder.name + (f"-{number}" if number > 1 else ""))
        if os.path.lexists(moved):
            continue
        try:
            target.mkdir(exist_ok=True)
            return folder.rename(moved)
        except OSError as error:
            raise RunError(f"{folder}: cannot be moved to {moved}: {error.strerror or error}") from error
    raise RunError(f"{target}: has ten thousand runs of the name {folder.name}")
