"""Threads and processes that do jobs one after the other, and what becomes of them: errors, kills, silence."""

from __future__ import annotations

import contextvars
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import connection
from typing import Any, NamedTuple

import numpy as np

from treadle.errors import WorkerError

START = 60.0  # seconds that a process has to begin
END = 2.0  # seconds from the last word of a process to its end
_LOOKS = 8  # waits that a timeout is made of
GUARD = "a program that trains needs `if __name__ == '__main__':` around what it does"


class Done(NamedTuple):
    """A job that is done: when it was begun and ended, by `time.perf_counter`, and its error if it had one."""

    begun: float
    ended: float
    error: BaseException | None


class WorkerTraceback(Exception):  # noqa: N818
    """Where an error happened in a process; the cause of that error, so that Python shows both."""


class Worker(ABC):
    """Does jobs one after the other, in the order they are sent.

    Args:
        number: from 1, for messages.
        timeout: seconds that a job may take.
    """

    kind: str

    def __init__(self, number: int, timeout: float) -> None:
        self.number, self.timeout = number, timeout

    def __str__(self) -> str:
        return f"worker {self.number} ({self.kind})"

    @abstractmethod
    def send(self, job: Any) -> None:
        """Let a job be done."""

    @abstractmethod
    def receive(self, what: str) -> Done:
        """Wait for the next job to be done; `what` says what it is.

        Raises:
            WorkerError: the worker has ended, or gives no answer for longer than the timeout.
        """

    def require_alive(self) -> None:  # noqa: B027 - a thread does not end by itself
        """Raise WorkerError where the worker has ended."""

    @abstractmethod
    def stop(self) -> None:
        """Let the worker end, without waiting for that."""

    @abstractmethod
    def join(self, seconds: float) -> None:
        """Wait so long at most for its end."""

    def _silent(self, what: str) -> WorkerError:
        return WorkerError(
            f"{self} hangs: it has been at {what} for more than {self.timeout:g} s; where reading may take that long, "
            "raise worker_timeout"
        )


class ThreadWorker(Worker):
    """A thread: shares memory, and runs beside training where reading leaves Python's lock, as decoding images does."""

    kind = "thread"

    def __init__(self, number: int, timeout: float, do: Callable[[Any], None]) -> None:
        super().__init__(number, timeout)
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        context = contextvars.copy_context()
        # a daemon, for a thread that hangs cannot be ended and would keep the program from ending
        target = threading.Thread(target=context.run, args=(_serve, do, self._jobs.get, self._done.put), daemon=True)
        self._thread = target
        target.start()

    def send(self, job: Any) -> None:
        """Let a job be done."""
        self._jobs.put(job)

    def receive(self, what: str) -> Done:
        """Wait for the next job to be done."""
        for wait in _waits(self.timeout):
            with suppress(queue.Empty):
                return self._done.get(timeout=wait)
        raise self._silent(what)

    def stop(self) -> None:
        """Let the thread end after the job it is at, if that does end."""
        with suppress(queue.Empty):
            while True:
                self._jobs.get_nowait()
        self._jobs.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(seconds)


class ProcessWorker(Worker):
    """A process, begun anew rather than forked: has memory and lock of its own, and can be ended.

    `make` makes what does the jobs, in the process. It is sent through a pipe that nobody may read, if the process ends
    early, and has to be small.
    """

    kind = "process"

    def __init__(self, number: int, timeout: float, make: Callable[[], Callable[[Any], None]]) -> None:
        super().__init__(number, timeout)
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_process, args=(make, theirs), daemon=True, name=f"treadle-{number}")
        with without_ctrl_c():
            self._process.start()
        theirs.close()
        self._begun = False

    def __str__(self) -> str:
        return f"worker {self.number} (process {self._process.pid})"

    def send(self, job: Any) -> None:
        """Let a job be done."""
        with suppress(BrokenPipeError, ConnectionResetError):  # `receive` tells why
            self._pipe.send(job)

    def receive(self, what: str) -> Done:
        """Wait for the next job to be done."""
        if not self._begun:
            done = self._done(self._next("its start", START))
            if done.error is not None:
                return done
            self._begun = True
        return self._done(self._next(what, self.timeout))

    def _done(self, answer: Any) -> Done:
        error, text, begun, ended = answer
        if error is not None:
            error.__cause__ = WorkerTraceback(text)
        return Done(begun, ended, error)

    def _next(self, what: str, timeout: float) -> Any:
        for wait in _waits(timeout):
            if ready := connection.wait([self._pipe, self._process.sentinel], wait):
                break
        else:
            raise self._silent(what)
        if self._pipe in ready:
            with suppress(EOFError, ConnectionResetError):
                return self._pipe.recv()
        self._process.join(END)
        raise self._ended(what)

    def require_alive(self) -> None:
        """Raise WorkerError where the process has ended."""
        if not self._process.is_alive():
            raise self._ended("the next batches")

    def _ended(self, what: str) -> WorkerError:
        code = self._process.exitcode
        if code is not None and code < 0:
            names = {one.value: one.name for one in signal.Signals}
            name = names.get(-code, f"signal {-code}")
            hint = ": is memory short?" if name == "SIGKILL" else ""
            return WorkerError(f"{self} was ended by {name}, and was to make {what}{hint}")
        with suppress(EOFError, ConnectionResetError):
            self._begun = self._begun or self._pipe.recv()[0] is None  # it may have begun unseen
        hint = "" if self._begun else f": {GUARD}"
        return WorkerError(f"{self} ended with exit code {code}, and was to make {what}{hint}")

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._pipe.close()
        self._process.kill()

    def join(self, seconds: float) -> None:
        """Wait for the end of the process."""
        self._process.join(seconds)
        if not self._process.is_alive():
            self._process.close()


class without_ctrl_c:  # noqa: N801
    """Block SIGINT inside, so that processes begun there never see it: who began them ends them."""

    def __enter__(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            self._before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    def __exit__(self, *error: object) -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_SETMASK, self._before)


def _waits(timeout: float) -> Iterable[float]:
    """Parts of a timeout: one long wait would go on while the whole program is stopped, as by Ctrl-Z."""
    return [timeout / _LOOKS] * _LOOKS


def _serve(do: Callable[[Any], None], receive: Callable[[], Any], send: Callable[[Done], None]) -> None:
    """Do jobs until None comes."""
    while (job := receive()) is not None:
        begun = time.perf_counter()
        error: BaseException | None = None
        try:
            do(job)
        except BaseException as raised:  # of SystemExit, a thread would end and say nothing
            error = raised
        send(Done(begun, time.perf_counter(), error))


def _process(make: Callable[[], Callable[[Any], None]], pipe: Any) -> None:
    """What a process does: jobs, until the pipe is closed or the process that began it is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(done: Done) -> None:
        text = "" if done.error is None else "".join(traceback.format_exception(done.error))
        pipe.send((_sendable(done.error), f"\n{text}", done.begun, done.ended))

    with suppress(EOFError, BrokenPipeError, ConnectionResetError), np.errstate(all="ignore"):
        begun = time.perf_counter()
        try:
            do = make()
        except Exception as error:
            send(Done(begun, time.perf_counter(), error))
        else:
            send(Done(begun, time.perf_counter(), None))
            _serve(do, pipe.recv, send)
    os._exit(0)  # an end in order would complain of arrays that lie in shared memory


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _sendable(error: BaseException | None) -> BaseException | None:
    """An error as it is, or one that tells it where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        return told
    return error
