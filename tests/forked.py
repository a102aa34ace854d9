"""Commands of treadle in forked processes: these start in milliseconds, and may be killed.

    python tests/forked.py RECIPE

is a process that forks for others: it reads a JSON object a line, with arguments, folder and fault, and answers with
how the command ended. It imports treadle, trains once, and has one thread when it forks, for others do not come along.
To the system the copy is a process like any: files, locks, signals and the end are its own.
"""

import io
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, chdir, nullcontext, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filecalls import Fault, FileCalls

if __name__ == "__main__":
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

from treadle.cli import call

Around = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or minus the signal that killed it; what it printed; its calls on files."""

    code: int
    out: str
    err: str
    calls: list[str]


@dataclass(frozen=True)
class Command:
    """A command in a process of its own, and the folder for what it prints."""

    pid: int
    folder: Path

    def ended(self) -> Ended:
        """Wait for the end."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        out, err, calls = (self._told(name) for name in ("out", "err", "calls"))
        return Ended(code, out, err, json.loads(calls or "[]"))

    def _told(self, name: str) -> str:
        path = self.folder / f"{self.pid}.{name}"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        path.unlink(missing_ok=True)
        return text


def begin(
    arguments: Sequence[object], folder: Path, fault: Fault | None = None, around: Around = nullcontext
) -> Command:
    """Begin a command in a process of its own.

    Args:
        arguments: of treadle.
        folder: that it works in.
        fault: at a call on the files of `folder`/runs; None to let them be.
        around: makes what is entered, in the new process, while the command runs.
    """
    tasks = Path("/proc/self/task")
    assert not tasks.exists() or len(list(tasks.iterdir())) == 1, "other threads do not come along with a fork"
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return Command(pid, folder)
    code = 70
    try:
        os.chdir(folder)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{os.getpid()}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        calls = FileCalls(folder / "runs", fault or Fault())
        with around(), calls.installed() if fault else nullcontext():
            code = call([str(argument) for argument in arguments])
        Path(f"{os.getpid()}.calls").write_text(json.dumps(calls.names))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(arguments: Sequence[object], folder: Path, fault: Fault | None = None, around: Around = nullcontext) -> Ended:
    """Run a command in a process of its own."""
    return begin(arguments, folder, fault, around).ended()


def warm_up(recipe: Path) -> None:
    """Train once, so that the kernels are loaded, in this process and its copies."""
    with tempfile.TemporaryDirectory() as runs, chdir(recipe.parent), redirect_stdout(io.StringIO()):
        call(["run", recipe.name, "--runs", runs, "--json"])


def serve() -> None:
    """Answer requests until there are no more."""
    warm_up(Path(sys.argv[1]))
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        fault = Fault(**request["fault"]) if request["fault"] else None
        ended = run(request["arguments"], Path(request["folder"]), fault)
        print(json.dumps(asdict(ended)), flush=True)


if __name__ == "__main__":
    serve()
