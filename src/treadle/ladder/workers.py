"""Processes that train recipes side by side, each with its run folder."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Self

from treadle.data import Sets
from treadle.data.workers import GUARD, without_ctrl_c
from treadle.errors import (
    DataError,
    DtypeError,
    GradientError,
    LossError,
    RecipeError,
    RunError,
    ShapeError,
    TrainingError,
)
from treadle.recipe import Recipe
from treadle.runs.about import ABOUT, read_about
from treadle.runs.train import open_test_set, resume, train
from treadle.train import terminating

# errors of a recipe, which come again; what else goes wrong, such as a full disk, may go well the next time
LASTING = {
    kind.__name__ for kind in (TrainingError, ShapeError, DtypeError, GradientError, LossError, DataError, RecipeError)
}
_END = 2.0  # seconds that a process has to save its run when all is to end


@dataclass(frozen=True)
class Job:
    """What a process is asked for: to train a recipe, as TOML, in a folder or go on there; None: to test its run."""

    folder: Path
    recipe: str | None


@dataclass(frozen=True)
class Failed:
    """A training that cannot be: why."""

    reason: str


class Workers:
    """Processes for jobs; use it in a `with` block, which ends them. A training that is ended has saved its state.

    Args:
        count: of processes.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._context = multiprocessing.get_context("spawn")  # forked ones die with threads of OpenMP
        self._processes: dict[Connection, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for connection, process in self._processes.items():
            process.join(_END)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
            connection.close()
        self._processes = {}

    def carry_out(self, jobs: Iterator[Job]) -> Iterator[tuple[Job, Failed | None]]:
        """Do jobs side by side and yield each when it is done, with why it failed if it did.

        Raises:
            RunError: a process was ended from outside.
        """
        waiting = deque(jobs)
        busy: dict[Connection, Job] = {}
        while waiting or busy:
            while waiting and len(busy) < self.count:
                job = waiting.popleft()
                connection = next((one for one in self._processes if one not in busy), None) or self._start()
                busy[connection] = job
                with suppress(OSError):  # of a process that is no more, which is found below
                    connection.send(job)
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                job = busy.pop(ready)
                try:
                    kind, told = ready.recv()
                except (EOFError, OSError):
                    raise RunError(f"{job.folder}: {self._end_of(ready)}") from None
                if kind and kind not in LASTING:
                    raise RunError(f"{job.folder}: {told}")
                yield job, Failed(told) if kind else None

    def _end_of(self, connection: Connection) -> str:
        """Tell why a process is no more."""
        process = self._processes.pop(connection)
        process.join()
        code = process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = f": {GUARD}" if code == 1 else ": where memory is short, use fewer --workers"
        return f"the process that trained it was ended ({how}), and the next climb goes on there{hint}"

    def _start(self) -> Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,), daemon=False)
        with without_ctrl_c():
            process.start()
        theirs.close()
        self._processes[ours] = process
        return ours


def _serve(connection: Connection) -> None:
    """Do jobs until the pipe is closed; SIGTERM ends a training with its state saved, Ctrl-C is left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where signals cannot be blocked
    threading.Thread(target=_end_with_parent, daemon=True).start()
    load = _loader()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt), terminating():
        while True:
            job: Job = connection.recv()
            try:
                if job.recipe is None:
                    open_test_set(job.folder, load)
                else:
                    train_or_resume(Recipe.from_toml(job.recipe), job.folder, load)
            except Exception as error:  # of any kind: the process that asked tells it
                connection.send((type(error).__name__, str(error) or type(error).__name__))
            else:
                connection.send(("", ""))


def train_or_resume(recipe: Recipe, folder: Path, load: Callable[[Recipe], Sets]) -> None:
    """Train a recipe in a folder, without a look at the test set, or go on with what was begun there."""
    if (folder / ABOUT).exists():
        if read_about(folder).status != "finished":
            resume(folder, test=False)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        train(recipe, load(recipe), folder, test=False)


def _loader() -> Callable[[Recipe], Sets]:
    """Return a function that loads data and keeps what it loaded last."""
    kept: dict[str, Sets] = {}

    def load(recipe: Recipe) -> Sets:
        key = recipe.data_key()
        if key not in kept:
            kept.clear()
            kept[key] = recipe.load_data()
        return kept[key]

    return load


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
