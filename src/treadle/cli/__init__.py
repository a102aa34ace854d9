"""The command `treadle`. Errors in what was given end with a message and exit code 2, Ctrl-C with 130."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from treadle.errors import TreadleError

app = App(
    name="treadle",
    help="Build neural networks stage by stage, with evidence for every change.",
    version_flags=["--version"],
)
app.command("treadle.cli.run:run")
app.command("treadle.cli.show:show")
app.command("treadle.cli.predict:predict")
app.command("treadle.cli.choices:choices")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process with its code."""
    sys.exit(call(sys.argv[1:] if arguments is None else arguments))


def call(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8")
    try:
        app(list(arguments), exit_on_error=False, print_error=True)
    except CycloptsError:
        return 2
    except TreadleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # the reader has gone; without this the interpreter would complain once more while it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0
