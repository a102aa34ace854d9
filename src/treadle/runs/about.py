"""run.json: how a run stands, what it was trained on, and what came of it; its format, and reading older ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from treadle.data import Sets
from treadle.errors import RunError
from treadle.metrics import METRICS
from treadle.runs.files import replace
from treadle.runs.log import to_json
from treadle.train import Finding

FORMAT = 2
ABOUT = "run.json"
Status = Literal["running", "interrupted", "failed", "finished"]


class _Feature(BaseModel):
    """What a column of a table became."""

    model_config = ConfigDict(strict=True)

    column: str
    categories: list[str] | None
    fill: float | str | None


class _Encoding(BaseModel):
    """How the columns of a table became features."""

    model_config = ConfigDict(strict=True)

    features: list[_Feature]


class _Polarity(BaseModel):
    """Which share of the training images is light on dark, and dark on light."""

    model_config = ConfigDict(strict=True)

    light_on_dark: float = Field(ge=0, le=1)
    dark_on_light: float = Field(ge=0, le=1)


class _Data(BaseModel):
    """The data that a run was trained on."""

    model_config = ConfigDict(strict=True)

    name: str
    fingerprint: str
    shape: list[PositiveInt]
    dtype: str
    range: list[float] = Field(min_length=2, max_length=2)
    classes: list[str] | None
    encoding: _Encoding | None = None
    polarity: _Polarity | None = None  # earlier versions did not tell


class About(BaseModel):
    """What run.json must hold to be read."""

    model_config = ConfigDict(strict=True)

    status: Status
    started: str | None
    data: _Data
    scale: dict[str, Any] | None
    metrics: list[Literal[tuple(METRICS)]]  # type: ignore[valid-type]
    steps: int
    history: list[dict[str, Any]]
    findings: list[Finding]
    test: dict[str, Any] | None
    weights_epoch: int | None
    stopped_early: str | None = None
    weights_sha256: str | None


def read_about(folder: Path) -> About:
    """Read run.json; one of an older format is brought to this one, and the old file kept beside it.

    Raises:
        RunError: there is none, it is damaged, or of a newer format.
    """
    checked, migrated, found = parse_about(folder)
    if found != FORMAT:
        path = folder / ABOUT
        with told(folder):
            replace(path.with_name(f"run-format-{found}.json"), path.read_bytes())
            write_about(folder, migrated)
    return checked


def parse_about(folder: Path) -> tuple[About, dict[str, Any], int]:
    """Return run.json checked, all that it holds, both as of this format, and the format it has; write nothing.

    Raises:
        RunError: there is none, it is damaged, or of a newer format.
    """
    path = folder / ABOUT
    about = read_json(path)
    found = about.get("format")  # first, for another one may have other keys
    if type(found) is int and found > FORMAT:
        raise RunError(f"{path}: has format {found}, this version reads up to format {FORMAT}: use a newer treadle")
    if type(found) is not int or found < 1:
        raise RunError(f"{path}: damaged: format should be {FORMAT}, found {found!r}")
    migrated = about if found == FORMAT else _migrated(about)
    try:
        checked = About.model_validate_json(json.dumps(migrated))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise RunError(f"{path}: damaged: {faults}") from error
    return checked, migrated, found


def require_same_data(folder: Path, about: About, sets: Sets) -> None:
    """Raise RunError, with both fingerprints, unless these sets are the data of the run."""
    data = about.data
    if sets.fingerprint() != data.fingerprint:
        raise RunError(
            f"{folder}: was trained on {data.name} with fingerprint {data.fingerprint}, and the data given has "
            f"{sets.fingerprint()}: give the data it was trained on"
        )


def _migrated(about: dict[str, Any]) -> dict[str, Any]:
    """Bring what run.json holds from format 1 to 2, which tells how a run stands and of which epoch its weights are."""
    history = about.get("history")
    tested = about.get("test")
    return {
        **about,
        "format": 2,
        "status": "interrupted" if tested is None else "finished",
        "started": None,
        "weights_epoch": len(history) if isinstance(history, list) and history else None,
        "findings": about.get("findings", []),
        "test": tested,
    }


def read_json(path: Path) -> dict[str, Any]:
    """Read run.json unchecked; RunError where there is none or it is no JSON."""
    if not path.is_file():
        raise RunError(f"{path.parent}: not a run folder, for it has no {path.name}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged: {error}") from error
    return found if isinstance(found, dict) else {}


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Turn what keeps a run from being saved into RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{folder}: the run cannot be saved: {error.strerror or error}; free space or fix it") from error


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Put run.json in place."""
    replace(folder / ABOUT, to_json(about, indent=2).encode("utf-8"))
