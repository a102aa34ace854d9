"""Checkpoints: the progress of a training in files of their own, each complete and checked by its name.

checkpoints/epoch-E-step-N-SHA256.safetensors: all arrays, and in the header all else as JSON; E epochs and N steps were
done. The newest whose content has the checksum in its name is the one to go on from.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from treadle.errors import RunError
from treadle.runs.files import flush, replace
from treadle.train import Finding, Progress
from treadle.train.look import Look
from treadle.tree import leaves

FOLDER = "checkpoints"
FORMAT = 1
_NAME = re.compile(r"epoch-(\d{1,18})-step-(\d{1,18})-([0-9a-f]{64})\.safetensors", re.ASCII)
_TREES = ("parameters", "optimizer", "best", "average")
_HEADER = 64 << 20  # bytes of a header; a longer one is none of ours


class _Diagnosis(BaseModel):
    """What a diagnosis saw."""

    model_config = ConfigDict(extra="forbid")

    total: float
    samples: int
    findings: list[Finding]
    looks: list[Look]
    count: int
    norms: dict[str, float]


class _Numbers(BaseModel):
    """What a checkpoint holds besides arrays."""

    model_config = ConfigDict(extra="forbid")

    format: int
    epoch: int = Field(ge=0)
    batch: int = Field(ge=0)
    step: int = Field(ge=0)
    total: float
    samples: int = Field(ge=0)
    seconds: float
    waited: float
    history: list[dict[str, int | float]]
    diagnosis: _Diagnosis | None
    weights_epoch: int | None


def write(folder: Path, progress: Progress, keep: int) -> Path:
    """Write a checkpoint of a run, remove all but the last `keep`, and return its path.

    Raises:
        OSError: it cannot be written; those before are intact.
    """
    content = to_bytes(progress)
    path = (
        folder
        / FOLDER
        / f"epoch-{progress.epoch}-step-{progress.step}-{hashlib.sha256(content).hexdigest()}.safetensors"
    )
    if not path.parent.exists():
        path.parent.mkdir()
        flush(folder)
    replace(path, content)
    for old in [found for found in _found(folder) if found != path][keep - 1 :]:
        with suppress(OSError):  # one too many does no harm
            old.unlink()
    return path


def newest(folder: Path) -> tuple[Progress | None, list[str]]:
    """Return the progress of the newest checkpoint that is whole, and what is wrong with those after it.

    None where there is no checkpoint at all. Damaged ones are renamed to *.damaged, out of the way of later ones, and
    what a killed write left is removed, so the run must be locked.

    Raises:
        RunError: there are checkpoints, and none is whole; or one is of a newer format.
    """
    faults: list[str] = []
    damaged: list[Path] = []
    for part in (folder / FOLDER).glob("epoch-*.part"):  # of a write that was killed
        with suppress(OSError):
            part.unlink()
    for path in _found(folder):
        try:
            content = path.read_bytes()
        except OSError as error:
            faults.append(f"{path}: cannot be read: {error.strerror or error}")
            continue
        if hashlib.sha256(content).hexdigest() not in path.name:
            faults.append(f"{path}: damaged: its checksum is not the one in its name")
            damaged.append(path)
            continue
        progress = from_bytes(content, str(path))
        for bad in damaged:
            bad.rename(bad.with_name(bad.name + ".damaged"))
        return progress, faults
    if faults:
        raise RunError("no checkpoint can be read, train anew: " + "; ".join(faults))
    return None, []


def _found(folder: Path) -> list[Path]:
    """Checkpoints of a run, the newest first."""
    found = [(match, path) for path in (folder / FOLDER).glob("epoch-*") if (match := _NAME.fullmatch(path.name))]
    dated = [(int(match[2]), int(match[1]), path.stat().st_mtime_ns, path) for match, path in found]
    return [path for *_, path in sorted(dated, reverse=True)]


def to_bytes(progress: Progress) -> bytes:
    """Return the content of a checkpoint."""
    tensors = {}
    for name in _TREES:
        for path, leaf in leaves(getattr(progress, name)):
            if leaf is not None:
                tensors[f"{name}.{path}"] = np.asarray(leaf, order="C")
    numbers = {name: getattr(progress, name) for name in _Numbers.model_fields if name != "format"}
    return save_tensors(tensors, {"progress": json.dumps({"format": FORMAT, **numbers})})


def from_bytes(content: bytes, name: str) -> Progress:
    """Read the content of a checkpoint; its trees are dicts of arrays by path.

    Raises:
        RunError: it is damaged, or of a newer format.
    """
    try:
        numbers = _numbers(content, name)
        tensors = load_tensors(content)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise RunError(f"{name}: damaged: {error}") from error
    trees: dict[str, dict[str, Any]] = {tree: {} for tree in _TREES}
    for path, tensor in tensors.items():
        tree, _, rest = path.partition(".")
        if tree not in trees:
            raise RunError(f"{name}: damaged: {path} is of no part of a checkpoint: {', '.join(_TREES)}")
        trees[tree][rest] = tensor
    values = numbers.model_dump()
    del values["format"]
    maybe = {name: trees[name] or None for name in ("best", "average")}
    return Progress(**{**values, **trees, **maybe})


def _numbers(content: bytes, name: str) -> _Numbers:
    length = int.from_bytes(content[:8], "little")
    if not 0 < length <= min(_HEADER, len(content) - 8):
        raise ValueError(f"a header of {length} bytes")
    header = json.loads(content[8 : 8 + length].decode(), object_pairs_hook=_once)
    text = header["__metadata__"]["progress"]
    values = json.loads(text, object_pairs_hook=_once)
    found = values["format"]
    if type(found) is int and found > FORMAT:
        raise RunError(f"{name}: has format {found}, this version reads format {FORMAT}: use a newer treadle")
    try:
        return _Numbers.model_validate_json(text, strict=True)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ValueError(faults) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found
