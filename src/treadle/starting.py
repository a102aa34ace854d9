"""Ctrl-C and SIGTERM while the command `treadle` is still being imported, which takes most of its first second.

Python imports this package before anything of the command can run, for `treadle` as for `python -m treadle`; so the
package itself asks, first of all, whether it is imported for the command. Signals of any other program are left alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

_before: dict[int, Any] = {}  # handlers that `guard` replaced


def guard() -> None:
    """Have Ctrl-C and SIGTERM end the process at once, without a traceback, if it is the command."""
    if not is_command(sys.argv, sys.orig_argv) or threading.current_thread() is not threading.main_thread():
        return
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == default:  # else it is ignored, as in the background of a shell
            _before[number] = signal.signal(number, _end)


def release() -> None:
    """Put the handlers from before back, for the command handles signals by itself from now on."""
    while _before:
        signal.signal(*_before.popitem())


def is_command(arguments: list[str], original: list[str]) -> bool:
    """Whether a process, while it imports the package, is the command.

    Args:
        arguments: sys.argv, whose first word is "-m" until Python has found the module to run.
        original: sys.orig_argv, all words of the command line.

    >>> is_command(["-m", "run"], ["python3", "-P", "-m", "treadle", "run"])
    True
    >>> is_command(["/usr/bin/treadle"], ["/usr/bin/python3", "/usr/bin/treadle"])
    True
    >>> is_command(["mine.py", "treadle"], ["python3", "mine.py", "treadle"])
    False

    A process that the command spawns gets its arguments and has another command line:

    >>> is_command(["/usr/bin/treadle"], ["/usr/bin/python3", "-c", "from multiprocessing.spawn import …"])
    False
    """
    if not 0 < len(arguments) <= len(original):
        return False
    word = original[-len(arguments)]
    if arguments[0] == "-m":
        return word == "treadle" or (word.startswith("-") and word.endswith("mtreadle"))
    return word == arguments[0] and os.path.basename(word) in ("treadle", "treadle.exe")  # noqa: PTH119 - no import


def _end(number: int, frame: Any) -> None:  # noqa: ARG001
    os.write(2, b"interrupted\n")
    os._exit(128 + number)  # an exception might be caught by what is being imported
