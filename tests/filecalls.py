"""Calls on the files of a folder: counted, and at one of them the process is killed, gets a signal, or an error."""

import contextlib
import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

PATHS = ("mkdir", "open", "rename", "replace", "rmdir", "unlink")  # functions of os that take a path
MOMENTS = ("step", "evaluation")  # calls that are none on files, and that errors of files do not meet
NEED_SPACE = ("fsync", "mkdir", "write")


@dataclass(frozen=True)
class Fault:
    """What happens at a call.

    Args:
        at: number of the call, from 1; 0 for never.
        act: kill, the name of a signal, or that of an error, such as ENOSPC.
        when: before the call, after it, or half: of a write, after half of the bytes.
        after: act at all later calls as well that need space, as where a disk stays full.
    """

    at: int = 0
    act: str = "kill"
    when: str = "before"
    after: bool = False

    def strike(self) -> None:
        """Kill, send the signal, or raise the error."""
        if self.act == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.act.startswith("SIG"):
            os.kill(os.getpid(), signal.Signals[self.act])
        else:
            code = getattr(errno, self.act)
            raise OSError(code, os.strerror(code))


class FileCalls:
    """Counts what opens to write, writes, flushes, syncs, names or removes files below a folder.

    Steps of training and evaluations count too, so that signals meet them. `names` are those of the calls so far.
    """

    def __init__(self, folder: Path, fault: Fault) -> None:
        self.folder, self.fault = str(folder.resolve()), fault
        self.names: list[str] = []

    def call(self, name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a call, and act where it is the one."""
        self.names.append(name)
        fault, number = self.fault, len(self.names)
        struck = number == fault.at or (fault.after and 0 < fault.at < number and name in NEED_SPACE)
        if struck and fault.when == "half" and name == "write":
            function(arguments[0][: len(arguments[0]) // 2])
            function.__self__.flush()  # type: ignore[attr-defined]
            fault.strike()
        if struck and fault.when == "before":
            fault.strike()
        try:
            return function(*arguments, **options)
        finally:
            if struck and fault.when == "after":
                fault.strike()

    def counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose calls count."""
        return lambda *arguments, **options: self.call(name, function, *arguments, **options)

    def concerns(self, path: Any) -> bool:
        """Whether a path, or the file of a descriptor, lies in the folder."""
        found = Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else os.path.abspath(path)  # noqa: PTH100
        return f"{found}/".startswith(f"{self.folder}/")

    def _concerned(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose calls count where its first argument lies in the folder."""

        def called(path: Any, *rest: Any, **options: Any) -> Any:
            if not self.concerns(path):
                return function(path, *rest, **options)
            return self.call(name, function, path, *rest, **options)

        return called

    @contextlib.contextmanager
    def installed(self) -> Iterator["FileCalls"]:
        """Count while the `with` block runs."""
        from treadle.train.finite import Finite

        opened = io.open

        def fopen(path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if mode in {"r", "rb"} or not self.concerns(path):
                return opened(path, mode, *rest, **options)
            return CountedFile(self.call("open", opened, path, mode, *rest, **options), self)

        with contextlib.ExitStack() as stack:
            stack.enter_context(patch("io.open", fopen))
            for name in (*PATHS, "fsync"):
                stack.enter_context(patch.object(os, name, self._concerned(name, getattr(os, name))))
            stack.enter_context(patch.object(Finite, "update", _method(self, "step", Finite.update)))
            for module, name in (("fit", "evaluate"), ("run", "evaluation_of")):
                counted = partial(self.counted, "evaluation")
                stack.enter_context(hidden(f"treadle.train.{module}", name, counted))
            yield self


class CountedFile:
    """A file whose writes and flushes count."""

    def __init__(self, file: Any, calls: FileCalls) -> None:
        self.file, self.calls = file, calls

    def __enter__(self) -> "CountedFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, content: Any) -> Any:
        return self.calls.call("write", self.file.write, content)

    def flush(self) -> None:
        self.calls.call("flush", self.file.flush)


def _method(calls: FileCalls, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *arguments: Any) -> Any:
        return calls.call(name, function, self, *arguments)

    return method


def hidden(module: str, name: str, change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Any:
    """Patch a function of a module, which a function of its own name may hide, by what a change makes of it."""
    importlib.import_module(module)
    return patch.object(sys.modules[module], name, change(getattr(sys.modules[module], name)))
