"""Run folders: what a recipe gave, complete in itself: recipe, weights, history, scores, and where it was made.

recipe.toml, weights.safetensors (parameters by their path), run.json (all else). Files are replaced whole:
a reader sees the old one or the new one.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from treadle.data import Sets, scale_from_dict
from treadle.errors import RunError
from treadle.metrics import METRICS
from treadle.nn import Module
from treadle.recipe import Recipe
from treadle.train import Run
from treadle.tree import Tree, leaves, map_with_path
from treadle.version import VERSION

FORMAT = 1


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
        "made_with": {"treadle": VERSION, "numpy": np.__version__, "python": platform.python_version()},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "data": {
            "name": sets.name,
            "fingerprint": sets.fingerprint(),
            "shape": list(sets.train.shape),
            "classes": None if classes is None else list(classes),
        },
        "scale": run.scale.to_dict(),
        "steps": run.step,
        "history": run.history,
        "test": test,
    }
    tensors = {path: np.ascontiguousarray(leaf) for path, leaf in leaves(run.parameters)}
    _replace(folder / "recipe.toml", recipe.to_toml().encode("utf-8"))
    _replace(folder / "weights.safetensors", save_tensors(tensors, {"format": str(FORMAT)}))
    _replace(folder / "run.json", json.dumps(about, indent=2, ensure_ascii=False).encode("utf-8"))


def _replace(path: Path, content: bytes) -> None:
    """Write a file aside, flush it to the disk, and put it in place in one step."""
    aside = path.with_name(path.name + ".part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error


def load(folder: str | Path, sets: Sets | None = None) -> Run:
    """Read a run back for prediction, and for its test score if its data is given.

    Raises:
        RunError: the folder is not a run, was written by a newer version, or its weights do not fit its network.
        RecipeError: its recipe is damaged.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise RunError(f"{folder}: not a run folder, for it has no run.json")
    try:
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        found = about["format"]
        if found != FORMAT:
            raise RunError(f"{folder}: has format {found}, this version reads format {FORMAT}: use a newer treadle")
        shape, classes = tuple(about["data"]["shape"]), about["data"]["classes"]
        scale, history, step = scale_from_dict(about["scale"]), about["history"], about["steps"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{folder / 'run.json'}: damaged: {type(error).__name__}: {error}") from error
    recipe = Recipe.read(folder / "recipe.toml")
    network = recipe.build_network(None if classes is None else len(classes))
    params = _read_weights(folder / "weights.safetensors", network, shape)
    dtype = next((leaf.dtype for _, leaf in leaves(params)), np.dtype(np.float32))
    metrics = tuple(METRICS[name] for name in recipe.training.metrics or [])
    names = None if classes is None else tuple(classes)
    loss, seed = recipe.build_loss(), recipe.training.seed
    return Run(network, params, loss, scale, metrics, dtype, seed, shape, names, sets, history, step)


def _read_weights(path: Path, network: Module, shape: tuple[int, ...]) -> Tree:
    """Read parameters and put them into the form that the network has; list all that is missing or misshapen."""
    try:
        tensors = load_tensors(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except SafetensorError as error:
        raise RunError(f"{path}: damaged: {error}") from error
    network.output_shape(shape)
    expected = {name: parameter.shape for name, parameter in leaves(network.parameters(shape))}
    faults = [f"{name} is missing" for name in expected if name not in tensors]
    faults += [f"{name} is not in the network" for name in tensors if name not in expected]
    faults += [
        f"{name} has shape {tensors[name].shape}, the network needs {wanted}"
        for name, wanted in expected.items()
        if name in tensors and tensors[name].shape != wanted
    ]
    if faults:
        raise RunError(f"{path}: does not fit the recipe beside it: {'; '.join(faults)}")
    return map_with_path(lambda name, _: tensors[name], network.parameters(shape))
