"""Tags and note of a run, in tags.json of its folder: a file apart, so that they can change while it is trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from treadle.errors import RunError, suggest
from treadle.runs.files import alone, replace
from treadle.runs.log import to_json

FORMAT = 1
TAGS = "tags.json"
_LONGEST = 50  # characters of a tag


class Tags(BaseModel):
    """What tags.json holds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int = Field(default=FORMAT, ge=1)
    tags: list[str] = Field(default_factory=list)
    note: str = ""


def read_tags(folder: Path) -> Tags:
    """Read tags and note of a run; a run without the file has none.

    Raises:
        RunError: the file is damaged, or of a newer format.
    """
    path = folder / TAGS
    try:
        content = path.read_text(encoding="utf-8")
        values = json.loads(content)
    except FileNotFoundError:
        return Tags()
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged: {error}; mend it, or remove it") from error
    found = values.get("format") if isinstance(values, dict) else None
    if type(found) is int and found > FORMAT:
        raise RunError(f"{path}: has format {found}, this version reads format {FORMAT}: use a newer treadle")
    try:
        return Tags.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise RunError(f"{path}: damaged: {faults}; mend it, or remove it") from error


def change_tags(folder: Path, add: Sequence[str] = (), remove: Sequence[str] = (), note: str | None = None) -> Tags:
    """Change tags or note of a run, which another process may be training, and return them.

    Raises:
        RunError: a tag is no word, one to remove is not there, or the file is damaged or cannot be written.
    """
    for tag in add:
        if not tag.isprintable() or not 0 < len(tag) <= _LONGEST or set(tag) & set(" ,") or tag.startswith("-"):
            raise RunError(
                f"{tag!r} is no tag: a tag is a word of up to {_LONGEST} characters, without blanks and commas, and "
                "does not begin with -"
            )
    with alone(folder.parent):
        tags = read_tags(folder)
        for tag in remove:
            if tag not in tags.tags:
                raise RunError(
                    f"{folder}: has no tag {tag!r}: {suggest(tag, tags.tags) if tags.tags else 'it has none'}"
                )
        kept = [tag for tag in tags.tags if tag not in remove]
        kept += [tag for tag in dict.fromkeys(add) if tag not in kept]
        changed = Tags(tags=kept, note=tags.note if note is None else note)
        try:
            replace(folder / TAGS, to_json(changed.model_dump(), indent=2).encode("utf-8"))
        except OSError as error:
            raise RunError(f"{folder / TAGS}: cannot be written: {error.strerror or error}") from error
    return changed
