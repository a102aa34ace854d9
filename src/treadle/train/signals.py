"""Ctrl-C and SIGTERM: they end a program in order, and wait where a step changes the parameters."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM; what handles Ctrl-C handles it too."""


@contextmanager
def terminating() -> Iterator[None]:
    """Have SIGTERM raise Terminated in the main thread, unless a program around handles it already."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def handle(number: int, frame: Any) -> None:  # noqa: ARG001
        raise Terminated

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Whole:
    """Signals that Python code handles wait until a `with` block of this object is left.

    >>> import signal
    >>> whole, done = Whole(), []
    >>> try:
    ...     with whole.installed(), whole:
    ...         signal.raise_signal(signal.SIGINT)
    ...         done.append("the whole block")
    ... except KeyboardInterrupt:
    ...     done.append("then the interruption")
    >>> done
    ['the whole block', 'then the interruption']
    """

    def __init__(self) -> None:
        self._inside = False
        self._waiting: list[Callable[[], Any]] = []

    def __enter__(self) -> None:
        self._inside = True

    def __exit__(self, *error: object) -> None:
        self._inside = False
        if self._waiting:
            self._waiting.pop()()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Stand before the handlers of SIGINT and SIGTERM, in the main thread; others get no signals."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        handlers = {number: handler for number, handler in before.items() if callable(handler)}
        try:
            for number, handler in handlers.items():
                signal.signal(number, self._before(handler))
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _before(self, handler: Callable[..., Any]) -> Callable[[int, Any], None]:
        def handle(number: int, frame: Any) -> None:
            if self._inside:
                self._waiting[:] = [lambda: handler(number, frame)]
            else:
                handler(number, frame)

        return handle
