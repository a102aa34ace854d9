"""Run folders: what a recipe gave, complete in itself: recipe, weights, history, scores, and where it was made.

recipe.toml, weights.safetensors (parameters by their path), run.json (all else, and the checksum of the weights),
checkpoints/ (to go on from), evaluation.json and .txt (of the test set), log.jsonl, and lock, which the process that
trains holds. Files are replaced whole. New weights lie beside the old ones until run.json names them, so that wherever
a save ends, run.json and the weights of its checksum are both there.
"""

from __future__ import annotations

import hashlib
import os
import platform
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from treadle.data import Encoding, Sets, scale_from_dict
from treadle.data.dataset import extent
from treadle.data.polarity import Polarity, polarity_of
from treadle.errors import RunError, TreadleError
from treadle.metrics import METRICS
from treadle.nn import Module
from treadle.recipe import Recipe
from treadle.runs.about import ABOUT, FORMAT, Status, read_about, read_json, require_same_data, told, write_about
from treadle.runs.files import flush, replace
from treadle.runs.log import to_json
from treadle.train import Evaluation, Run
from treadle.tree import Tree, leaves, map_with_path
from treadle.version import __version__

RECIPE = "recipe.toml"
EVALUATION, EVALUATION_TEXT = "evaluation.json", "evaluation.txt"
_WEIGHTS, _NEW_WEIGHTS = "weights.safetensors", "weights-new.safetensors"


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


def begin(folder: Path, recipe: Recipe, sets: Sets) -> None:
    """Write into the folder of a run what is known of it before training.

    Raises:
        RunError: a file cannot be written.
    """
    with told(folder):
        for above in (folder.parent, folder.parent.parent):  # `create` may have made both
            with suppress(PermissionError):
                flush(above)
        _save_recipe(folder, recipe)
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        write_about(folder, _about(sets, polarity_of(sets.train.inputs), "running", started))


def save(folder: Path, recipe: Recipe, run: Run, status: Status = "finished") -> None:
    """Write a run into its folder.

    Raises:
        RunError: a file cannot be written; what was there before is intact.
    """
    assert run.sets is not None
    tensors = {path: np.asarray(leaf, order="C") for path, leaf in leaves(run.parameters)}
    weights = save_tensors(tensors, {"format": str(FORMAT)})
    about = _about(run.sets, run.polarity, status, _started(folder)) | {
        "scale": run.scale.to_dict(),
        "metrics": [metric.name for metric in run.metrics],
        "steps": run.step,
        "history": run.history,
        "findings": [finding.to_dict() for finding in run.findings],
        "test": run.tested,
        "weights_epoch": run.weights_epoch,
        "stopped_early": run.stopped_early,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    with told(folder):
        _save_recipe(folder, recipe)
        if _is_there(folder / _WEIGHTS, weights):
            write_about(folder, about)
            return
        end_save(folder)
        replace(folder / _NEW_WEIGHTS, weights)
        write_about(folder, about)
        (folder / _NEW_WEIGHTS).replace(folder / _WEIGHTS)


def end_save(folder: Path) -> None:
    """Rename the new weights where an earlier save ended before that, for those that run.json names must stay.

    Raises:
        RunError: they cannot be renamed.
    """
    with told(folder), suppress(FileNotFoundError):
        content = (folder / _NEW_WEIGHTS).read_bytes()
        if hashlib.sha256(content).hexdigest() == read_json(folder / ABOUT).get("weights_sha256"):
            (folder / _NEW_WEIGHTS).replace(folder / _WEIGHTS)
            flush(folder)


def mark(folder: Path, status: Status) -> None:
    """Write how a run stands, and change nothing else.

    Raises:
        RunError: it cannot be written.
    """
    _change(folder, status=status)


def keep_recipe(folder: Path, recipe: Recipe) -> None:
    """Write the recipe of a run into its folder, and change nothing else.

    Raises:
        RunError: it cannot be written.
    """
    with told(folder):
        _save_recipe(folder, recipe)


def record_test(folder: Path, test: dict[str, Any]) -> None:
    """Write the score on the test set, and change nothing else.

    Raises:
        RunError: it cannot be written.
    """
    _change(folder, test=test)


def _change(folder: Path, **values: Any) -> None:
    about = read_json(folder / ABOUT)
    with told(folder):
        write_about(folder, {**about, **values})


def save_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write all that was seen on the test set, as JSON and as text.

    Raises:
        RunError: a file cannot be written.
    """
    with told(folder):
        replace(folder / EVALUATION, to_json(evaluation.to_dict()).encode("utf-8"))
        replace(folder / EVALUATION_TEXT, f"{evaluation}\n".encode())


def _about(sets: Sets, polarity: Polarity | None, status: Status, started: str | None) -> dict[str, Any]:
    classes = sets.train.classes
    return {
        "format": FORMAT,
        "status": status,
        "started": started,
        "made_with": {"treadle": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "data": {
            "name": sets.name,
            "fingerprint": sets.fingerprint(),
            "shape": list(sets.train.shape),
            "dtype": str(sets.train.inputs.dtype),
            "range": list(extent(sets.train.inputs)),
            "classes": None if classes is None else list(classes),
            "encoding": None if sets.encoding is None else sets.encoding.to_dict(),
            "polarity": None if polarity is None else polarity.to_dict(),
        },
        "scale": None,
        "metrics": [],
        "steps": 0,
        "history": [],
        "findings": [],
        "test": None,
        "weights_epoch": None,
        "stopped_early": None,
        "weights_sha256": None,
    }


def _save_recipe(folder: Path, recipe: Recipe) -> None:
    content = recipe.to_toml().encode("utf-8")
    if not _is_there(folder / RECIPE, content):
        replace(folder / RECIPE, content)


def _is_there(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except FileNotFoundError:
        return False


def _started(folder: Path) -> str | None:
    with suppress(RunError):
        found = read_json(folder / ABOUT).get("started")
        return found if isinstance(found, str) else None
    return None


def load(folder: str | Path, sets: Sets | None = None) -> Run:
    """Read a run back for prediction, and for its test score if its data is given.

    Raises:
        RunError: the folder is not a run, was written by a newer version, is damaged, or holds other data's run.
        RecipeError: its recipe is damaged.
    """
    folder = Path(folder)
    about = read_about(folder)
    data = about.data
    if sets is not None:
        require_same_data(folder, about, sets)
    recipe = Recipe.read(folder / RECIPE)
    classes, shape = None if data.classes is None else tuple(data.classes), tuple(data.shape)
    if about.weights_sha256 is None:
        raise RunError(
            f"{folder}: has no weights, for it was ended before its first epoch was through: go on with treadle resume"
        )
    try:
        scale = scale_from_dict(about.scale or {})
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
        findings=about.findings,
        step=about.steps,
        weights_epoch=about.weights_epoch,
        stopped_early=about.stopped_early,
        tested=about.test,
    )


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
