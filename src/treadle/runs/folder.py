"""Run folders: what a recipe gave, complete in itself: recipe, weights, history, scores, and where it was made.

recipe.toml, weights.safetensors (parameters by their path), run.json (all else, and the checksum of the weights).
Files are replaced whole. New weights lie beside the old ones until run.json names them, so that wherever a save ends,
run.json and the weights of its checksum are both there.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from treadle.data import Encoding, Sets, scale_from_dict
from treadle.data.polarity import Polarity
from treadle.errors import RunError, TreadleError
from treadle.metrics import METRICS
from treadle.nn import Module
from treadle.recipe import Recipe
from treadle.train import Finding, Run
from treadle.tree import Tree, leaves, map_with_path
from treadle.version import __version__

FORMAT = 1
_WEIGHTS, _NEW_WEIGHTS = "weights.safetensors", "weights-new.safetensors"


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


class _Finding(BaseModel):
    """What a diagnosis found."""

    model_config = ConfigDict(strict=True)

    kind: str
    step: int
    layers: list[str]
    seen: str
    means: str
    advice: str


class _About(BaseModel):
    """What run.json must hold to be read."""

    model_config = ConfigDict(strict=True)

    data: _Data
    scale: dict[str, Any]
    metrics: list[Literal[tuple(METRICS)]]  # type: ignore[valid-type]
    steps: int
    history: list[dict[str, Any]]
    findings: list[_Finding] = []
    weights_sha256: str


def create(root: Path, name: str) -> Path:
    """Make a new folder under root, named by the time and a name, and return it."""
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
    for number in range(1, 1000):
        folder = root / (f"{stamp}-{name}" + (f"-{number}" if number > 1 else ""))
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(f"{folder}: cannot be made: {error.strerror}") from error
        return folder
    raise RunError(f"{root}: a thousand runs began in this second")


def save(folder: Path, recipe: Recipe, run: Run, test: Mapping[str, Any] | None = None) -> None:
    """Write a run into its folder.

    Raises:
        RunError: a file cannot be written; what was there before is intact.
    """
    sets = run.sets
    assert sets is not None
    classes = sets.train.classes
    about = {
        "format": FORMAT,
        "made_with": {"treadle": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "data": {
            "name": sets.name,
            "fingerprint": sets.fingerprint(),
            "shape": list(run.input_shape),
            "dtype": run.input_dtype,
            "range": list(run.input_range),
            "classes": None if classes is None else list(classes),
            "encoding": None if sets.encoding is None else sets.encoding.to_dict(),
            "polarity": None if run.polarity is None else run.polarity.to_dict(),
        },
        "scale": run.scale.to_dict(),
        "metrics": [metric.name for metric in run.metrics],
        "steps": run.step,
        "history": run.history,
        "findings": [finding.to_dict() for finding in run.findings],
        "test": test,
    }
    tensors = {path: np.ascontiguousarray(leaf) for path, leaf in leaves(run.parameters)}
    weights = save_tensors(tensors, {"format": str(FORMAT)})
    about["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    new = folder / _NEW_WEIGHTS
    try:
        _replace(folder / "recipe.toml", recipe.to_toml().encode("utf-8"))
        _replace(new, weights)
        _replace(folder / "run.json", to_json(about, indent=2).encode("utf-8"))
        new.replace(folder / _WEIGHTS)
    except OSError as error:
        raise RunError(f"{folder}: the run cannot be saved: {error.strerror or error}; free space or fix it") from error


def _replace(path: Path, content: bytes) -> None:
    """Write a file aside, flush it to the disk, and put it in place in one step."""
    aside = path.with_name(path.name + ".part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


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


def load(folder: str | Path, sets: Sets | None = None) -> Run:
    """Read a run back for prediction, and for its test score if its data is given.

    Raises:
        RunError: the folder is not a run, was written by a newer version, is damaged, or holds other data's run.
        RecipeError: its recipe is damaged.
    """
    folder = Path(folder)
    about = _read_about(folder / "run.json")
    data = about.data
    if sets is not None and sets.fingerprint() != data.fingerprint:
        raise RunError(
            f"{folder}: was trained on {data.name} with fingerprint {data.fingerprint}, and the data given has "
            f"{sets.fingerprint()}: give the data it was trained on"
        )
    recipe = Recipe.read(folder / "recipe.toml")
    classes, shape = None if data.classes is None else tuple(data.classes), tuple(data.shape)
    try:
        scale = scale_from_dict(about.scale)
        network = recipe.build_network(classes, shape)
    except TreadleError as error:
        raise RunError(f"{folder}: recipe.toml and run.json do not fit: {error}") from error
    params, dtype = _read_weights(folder, about.weights_sha256, network, shape)
    metrics = tuple(METRICS[name] for name in about.metrics)
    return Run(
        network=network,
        parameters=params,
        loss=recipe.build_loss(),
        scale=scale,
        metrics=metrics,
        dtype=dtype,
        seed=recipe.training.seed,
        input_shape=shape,
        classes=classes,
        encoding=None if data.encoding is None else Encoding.from_dict(data.encoding.model_dump()),
        threads=recipe.resources.threads,
        input_dtype=data.dtype,
        input_range=(data.range[0], data.range[1]),
        polarity=None if data.polarity is None else Polarity.from_dict(data.polarity.model_dump()),
        sets=sets,
        history=about.history,
        findings=[Finding(**{**one.model_dump(), "layers": tuple(one.layers)}) for one in about.findings],
        step=about.steps,
    )


def _read_about(path: Path) -> _About:
    """Read run.json; the format comes first, for a newer one may have other keys."""
    if not path.is_file():
        raise RunError(f"{path.parent}: not a run folder, for it has no run.json")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        found = about["format"] if isinstance(about, dict) and "format" in about else None
        if type(found) is int and found > FORMAT:
            raise RunError(f"{path}: has format {found}, this version reads format {FORMAT}: use a newer treadle")
        if type(found) is not int or found < FORMAT:
            raise RunError(f"{path}: damaged: format should be {FORMAT}, found {found!r}")
        return _About.model_validate(about)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise RunError(f"{path}: damaged: {faults}") from error
    except RunError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged: {error}") from error


def _read_weights(folder: Path, checksum: str, network: Module, shape: tuple[int, ...]) -> tuple[Tree, np.dtype[Any]]:
    """Read parameters and put them into the form that the network has; list all that does not fit."""
    path, content = _find_weights(folder, checksum)
    try:
        tensors = load_tensors(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise RunError(f"{path}: damaged: {error}") from error
    expected = {name: parameter.shape for name, parameter in leaves(network.parameters(shape))}
    dtypes = {tensor.dtype for tensor in tensors.values()} or {np.dtype(np.float32)}
    faults = [f"{name} is missing" for name in expected if name not in tensors]
    faults += [f"{name} is not in the network" for name in tensors if name not in expected]
    faults += [
        f"{name} has shape {tensors[name].shape}, the network needs {wanted}"
        for name, wanted in expected.items()
        if name in tensors and tensors[name].shape != wanted
    ]
    if faults:
        raise RunError(f"{path}: does not fit the recipe beside it: {'; '.join(faults)}")
    if len(dtypes) > 1 or not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}:
        found = ", ".join(f"{name} {tensor.dtype}" for name, tensor in tensors.items())
        raise RunError(f"{path}: weights should be all float32 or all float64, found {found}")
    return map_with_path(lambda name, _: tensors[name], network.parameters(shape)), dtypes.pop()


def _find_weights(folder: Path, checksum: str) -> tuple[Path, bytes]:
    """Return the weights of the checksum in run.json: the new ones where a save ended before they were renamed."""
    for path in (folder / _WEIGHTS, folder / _NEW_WEIGHTS):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() == checksum:
            return path, content
    path = folder / _WEIGHTS
    if not path.exists():
        raise RunError(f"{path}: is missing")
    raise RunError(f"{path}: damaged: its checksum is not the one in run.json; take a copy, or train again")
