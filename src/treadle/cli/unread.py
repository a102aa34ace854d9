"""Output that nobody reads any more, as in `treadle run | head -1`: it is dropped, and the training goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, TextIO, TypeVar, cast

Stream = TypeVar("Stream", TextIO, TextIO | None)


@contextmanager
def dropped(what: str) -> Iterator[None]:
    """Go on, in a `with` block, once nobody reads the output any more, and tell so on standard error.

    Args:
        what: goes on, for the message.
    """

    def tell() -> None:
        if sys.stderr:  # a closed one is None
            print(f"nobody reads the output any more: it is dropped, and the {what} goes on", file=sys.stderr)

    with redirect_stdout(lenient(sys.stdout, tell)):
        yield


def lenient(stream: Stream, tell: Callable[[], None] = lambda: None) -> Stream:
    """Return what takes the place of a stream: once nobody reads that one, it calls `tell`, and drops what is written.

    >>> import io
    >>> stream = io.StringIO()
    >>> print("text", file=lenient(stream))
    >>> stream.getvalue()
    'text\\n'
    """
    return cast("Stream", _Lenient(stream, tell)) if stream is not None else stream


class _Lenient:
    """A text stream that passes all on to another, and writes to nowhere once that one's reader has gone."""

    def __init__(self, stream: TextIO, tell: Callable[[], None]) -> None:
        self._stream, self._tell = stream, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """Let the descriptor lead to nowhere, for the stream also holds what it writes when the process ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        with suppress(BrokenPipeError):
            self._stream.flush()
        self._tell()
