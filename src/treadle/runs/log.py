"""The log of a run: a JSON object a line for what happened, and when."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from treadle.errors import RunError

LOG = "log.jsonl"


def log(folder: Path, event: str, **values: Any) -> None:
    """Add a line to the log of a run: time, event, and what is told of it.

    Raises:
        RunError: it cannot be written.
    """
    time = datetime.now().astimezone().isoformat(timespec="milliseconds")
    try:
        with (folder / LOG).open("ab+") as file:
            line = to_json({"time": time, "event": event, **values}) + "\n"
            file.write(("\n" if _is_torn(file) else "").encode() + line.encode("utf-8"))
    except OSError as error:
        raise RunError(f"{folder / LOG}: cannot be written: {error.strerror or error}") from error


def last(folder: Path, event: str) -> dict[str, Any]:
    """Return the last line of a log with some event.

    Raises:
        RunError: it cannot be read, or there is none.
    """
    try:
        lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / LOG}: cannot be read: {error}") from error
    for line in reversed(lines):
        with suppress(ValueError, TypeError):  # of a line that a kill met
            found = json.loads(line)
            if found.get("event") == event:
                return dict(found)
    raise RunError(f"{folder / LOG}: has no line of {event}")


def _is_torn(file: BinaryIO) -> bool:
    """Whether the last line has no end, for a kill or a full disk met it."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


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
