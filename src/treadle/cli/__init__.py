"""The command `treadle`. Errors in what was given end with a message and exit code 2.

Ctrl-C ends with 130, SIGTERM with 143. Where nobody reads the output any more, as in `treadle runs | head -1`, a
command ends with 141; run, resume and climb go on and end with 0, for what they train is what was asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr

from cyclopts import App, CycloptsError

from treadle import starting
from treadle.cli.check import check
from treadle.cli.choices import choices
from treadle.cli.climb import climb
from treadle.cli.evaluate import evaluate
from treadle.cli.fetch import fetch
from treadle.cli.figure import figure
from treadle.cli.lr import lr
from treadle.cli.predict import predict
from treadle.cli.report import report
from treadle.cli.resume import resume
from treadle.cli.run import run
from treadle.cli.runs import runs
from treadle.cli.show import show
from treadle.cli.suggest import suggest
from treadle.cli.summary import summary
from treadle.cli.surface import surface
from treadle.cli.timeline import timeline
from treadle.cli.unread import lenient
from treadle.errors import TreadleError
from treadle.train import Interrupted, Terminated, terminating

app = App(
    name="treadle",
    help="Build neural networks stage by stage, with evidence for every change.",
    version_flags=["--version"],
    result_action="return_value",  # not the end of the process, which is for main
    suppress_keyboard_interrupt=False,
)
app.command(climb, sort_key=1)
app.command(run, sort_key=2)
app.command(resume, sort_key=3)
app.command(runs)
app.command(evaluate, sort_key=4)
app.command(show, sort_key=5)
app.command(summary, sort_key=6)
app.command(check, sort_key=7)
app.command(lr, sort_key=8)
app.command(suggest, sort_key=8)
app.command(timeline, sort_key=9)
app.command(surface, sort_key=10)
app.command(figure, sort_key=11)
app.command(report, sort_key=12)
app.command(predict, sort_key=13)
app.command(choices, sort_key=14)
app.command(fetch, sort_key=15)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process with its code."""
    sys.exit(call(sys.argv[1:] if arguments is None else arguments))


def call(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    with redirect_stderr(lenient(sys.stderr)):
        return _call(arguments)


def _call(arguments: Sequence[str]) -> int:
    try:
        starting.release()
        with terminating():
            code = app(list(arguments), exit_on_error=False, print_error=True)
        if sys.stdout:  # a closed one is None
            sys.stdout.flush()  # here, where its errors can be told
    except CycloptsError:
        return 2
    except TreadleError as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
        print(f"error: {error}{notes}", file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        return interrupted.code  # `run` has told where the run was saved
    except KeyboardInterrupt as stop:
        print("interrupted", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except OSError as error:
        # without this the interpreter would complain once more while it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 141  # the reader has gone
        print(f"error: {error}", file=sys.stderr)
        return 2
    return code if isinstance(code, int) else 0
