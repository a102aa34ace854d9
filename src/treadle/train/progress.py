"""How far a training has come: all that it needs to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from treadle.errors import TrainingError
from treadle.tree import Tree, leaves, map_with_path

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Progress:
    """Where a training stands after a step. Its arrays are those of the training, which goes on changing them.

    Order of samples, augmentation and the randomness of steps are functions of seed, epoch and step, so that these
    numbers are all their state.

    Args:
        parameters: after the step.
        optimizer: its state, which it made of the flat trained parameters.
        epoch: that is trained, from 0.
        batch: how many of its batches were trained on.
        step: how many of all.
        total: sum of the losses of these batches, each times its samples.
        samples: in them.
        seconds: that they took.
        waited: seconds of them that training waited for batches.
        history: of the epochs that ended.
        diagnosis: what looks at the training saw, or None where there is no diagnosis.
        best: parameters of the epoch with the lowest validation loss, or None where training does not keep them.
        average: of the parameters, or None where none is taken or nothing was taken in yet.
        weights_epoch: number from 1 of the epoch whose parameters the run is used with; None before the first ended.
    """

    parameters: Tree
    optimizer: Tree
    epoch: int = 0
    batch: int = 0
    step: int = 0
    total: float = 0.0
    samples: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    diagnosis: dict[str, Any] | None = None
    best: Tree | None = None
    average: Tree | None = None
    weights_epoch: int | None = None


def flattened(tree: Tree) -> dict[str, Array]:
    """Return the leaves of a tree as arrays by their path; a tree that is a leaf has the path "".

    >>> {path: array.tolist() for path, array in flattened({"mean": np.zeros(2), "step": 3}).items()}
    {'mean': [0.0, 0.0], 'step': 3}
    """
    return {path: np.asarray(leaf) for path, leaf in leaves(tree) if leaf is not None}


def filled(form: Tree, arrays: dict[str, Array], what: str) -> Tree:
    """Return a tree of some form with the arrays of these paths, numbers where the form has numbers.

    Raises:
        TrainingError: lists what is missing, not of the form, or has another shape or dtype.

    >>> filled({"mean": np.zeros(2), "step": 0}, {"mean": np.ones(2), "step": np.array(3)}, "state")
    {'mean': array([1., 1.]), 'step': 3}
    """
    wanted = flattened(form)
    faults = [f"{path} is missing" for path in wanted if path not in arrays]
    faults += [f"{path} is unknown" for path in arrays if path not in wanted]
    faults += [
        f"{path} should be {wanted[path].dtype} {wanted[path].shape}, found {array.dtype} {array.shape}"
        for path, array in arrays.items()
        if path in wanted and (array.shape, array.dtype) != (wanted[path].shape, wanted[path].dtype)
    ]
    if faults:
        raise TrainingError(f"the {what} to go on from does not fit this training: {'; '.join(faults)}")
    return map_with_path(lambda path, leaf: _like(leaf, arrays.get(path)), form)


def _like(leaf: Any, array: Array | None) -> Any:
    if array is None:
        return None
    if isinstance(leaf, np.ndarray):
        return array.copy()
    return array[()] if isinstance(leaf, np.generic) else array.item()
