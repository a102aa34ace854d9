"""The log of a run: a JSON object a line for what happened, and when."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from treadle.errors import RunError
from treadle.runs.files import flush

LOG = "log.jsonl"


def log(folder: Path, event: str, *, durable: bool = False, **values: Any) -> None:
    """Add a line to the log of a run: time, event, and what is told of it.

    Args:
        folder: of the run.
        event: what happened.
        durable: whether the line, and all before it, are on the disk when this returns.
        values: what is told of it.

    Raises:
        RunError: it cannot be written.
    """
    time = datetime.now().astimezone().isoformat(timespec="milliseconds")
    try:
        with (folder / LOG).open("ab+") as file:
            empty, torn = _end(file)
            line = to_json({"time": time, "event": event, **values}) + "\n"
            file.write(b"\n" * torn + line.encode("utf-8"))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if empty:
            flush(folder)  # which has its name
    except OSError as error:
        raise RunError(f"{folder / LOG}: cannot be written: {error.strerror or error}") from error


def last(folder: Path, event: str) -> dict[str, Any]:
    """Return the last line of a log with some event.

    Raises:
        RunError: it cannot be read, or there is none.
    """
    found = lines(folder, event)
    if not found:
        raise RunError(f"{folder / LOG}: has no line of {event}")
    return found[-1]


def lines(folder: Path, event: str) -> list[dict[str, Any]]:
    """Return the lines of a log with some event, the first first; a line that a kill met is none.

    Raises:
        RunError: it cannot be read.
    """
    try:
        content = (folder / LOG).read_bytes()
    except OSError as error:
        raise RunError(f"{folder / LOG}: cannot be read: {error.strerror or error}") from error
    found = []
    for line in content.split(b"\n"):
        with suppress(ValueError, RecursionError):
            values = json.loads(line)
            if isinstance(values, dict) and values.get("event") == event:
                found.append(values)
    return found


class LoggedEpochs:
    """The epochs that a log has lines of, so that each gets one, also if a signal comes after its checkpoint.

    An epoch that is trained once more, for the last checkpoint is of an earlier one, is told again only where its
    figures are others.

    Args:
        folder: of the run, whose log has its first line.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told = {told.get("epoch"): _figures(told) for told in lines(folder, "epoch")}
        self._seen = 0  # records of the history

    def log(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Add the lines of the epochs in a history that the log lacks.

        Raises:
            RunError: the log cannot be written.
        """
        for record in history[self._seen :]:
            if self._told.get(record["epoch"]) != _figures(json.loads(to_json(record))):
                log(self._folder, "epoch", **record)
            self._seen += 1


def _figures(record: Mapping[str, Any]) -> dict[str, Any]:
    """What training gives, without the times that it took."""
    return {key: value for key, value in record.items() if key not in ("time", "event", "seconds", "waited")}


def _end(file: BinaryIO) -> tuple[bool, bool]:
    """Whether a log is empty, and whether its last line has no end, for a kill or a full disk met it."""
    if not file.seek(0, os.SEEK_END):
        return True, False
    file.seek(-1, os.SEEK_END)
    return False, file.read(1) != b"\n"


def to_json(value: Any, indent: int | None = None) -> str:
    """Write JSON that every reader takes: JSON has no infinity and no NaN, so these become null.

    >>> to_json({"interval": (-math.inf, 0.5)})
    '{"interval": [null, 0.5]}'
    """
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
