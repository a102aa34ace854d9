"""The log of a run: a JSON object a line for what happened, and when."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from treadle.errors import RunError

LOG = "log.jsonl"


def log(folder: Path, event: str, **values: Any) -> None:
    """Add a line to the log of a run: time, event, and what is told of it.

    Raises:
        RunError: it cannot be written.
    """
    time = datetime.now().astimezone().isoformat(timespec="milliseconds")
    try:
        with (folder / LOG).open("a", encoding="utf-8") as file:
            file.write(to_json({"time": time, "event": event, **values}) + "\n")
    except OSError as error:
        raise RunError(f"{folder / LOG}: cannot be written: {error.strerror or error}") from error


def last(folder: Path, event: str) -> dict[str, Any]:
    """Return the last line of a log with some event.

    Raises:
        RunError: it cannot be read, or there is none.
    """
    try:
        lines = (folder / LOG).read_text(encoding="utf-8").splitlines()
        found = [line for line in map(json.loads, lines) if line["event"] == event]
        return dict(found[-1])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(f"{folder / LOG}: damaged: no line of {event} can be read") from error


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
