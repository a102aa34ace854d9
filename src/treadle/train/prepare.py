"""What must hold before the first step of a training: names, settings, shapes, memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from treadle.data import Dataset, Sets, require_valid
from treadle.errors import ShapeError, TreadleError, suggest
from treadle.losses import LOSSES, Loss
from treadle.nn import MODELS, Mode, Module, require_memory
from treadle.tensor import Tensor
from treadle.tree import Tree, leaves, tree_map

T = TypeVar("T")


def choose(kind: str, choices: Mapping[str, T], name: str) -> T:
    """Return the choice of that name, or raise TreadleError with the nearest name and all there are."""
    if name not in choices:
        raise TreadleError(f"no {kind} is called {name!r}: {suggest(name, choices)}")
    return choices[name]


def prepare(
    network: Module | str, loss: Loss | str, sets: Sets, seed: int, dtype: DTypeLike, copies: int = 1
) -> tuple[Module, Loss, Tree]:
    """Resolve names, check shapes, memory and the loss on one sample, and return network, loss and parameters.

    `copies` is how many times training will hold the parameters: themselves, gradients, the optimiser's state.

    Raises:
        ShapeError, MemoryLimitError, LossError, TreadleError: what does not fit, before any training.
    """
    loss = choose("loss", LOSSES, loss)() if isinstance(loss, str) else loss
    if not isinstance(loss, Loss):
        raise TreadleError(f"loss should be a name or a loss such as td.losses.CrossEntropy(), found {loss!r}")
    train = sets.train
    needed = loss.outputs(len(train.classes) if train.classes is not None else None)
    if isinstance(network, str):
        network = choose("network", MODELS, network)(needed)
    found = network.output_shape(train.shape)
    if found != (needed,):
        kind = "a score for each class" if needed > 1 else "one number"
        raise ShapeError(
            f"the network gives outputs of shape {found}, and {type(loss).__name__} needs ({needed},), {kind}: "
            f"give the last layer {needed} unit{'s' if needed > 1 else ''}, or choose another loss"
        )
    specification = network.parameters(train.shape)
    if not any(True for _ in leaves(specification)):
        raise ShapeError("the network has no parameters to train: add a layer that has some, such as Linear")
    require_memory(specification, dtype, copies)
    params = network.init(train.shape, seed=seed, dtype=dtype)
    sample = train[:1]
    tracked = tree_map(lambda leaf: Tensor(leaf, requires_grad=True), params)
    with np.errstate(all="ignore"):
        loss(network(tracked, sample.inputs[:].astype(dtype)), loss.targets(sample.targets, dtype))
    return network, loss, params


def require_settings(sets: Any, **numbers: Any) -> None:
    """Raise TreadleError unless sets are without errors, and numbers are whole and at least 1, seed at least 0."""
    if not isinstance(sets, Sets):
        raise TreadleError(
            f"sets should be td.data.Sets(train, validation, test, name, origin), found {type(sets).__name__}"
        )
    require_valid(sets)
    for name, number in numbers.items():
        least = 0 if name == "seed" else 1
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
            raise TreadleError(f"{name} should be a whole number, found {number!r}")
        if number < least:
            raise TreadleError(f"{name} must be at least {least}, found {number}")


def require_same_form(made: Tree, given: Tree) -> None:
    """Raise ShapeError unless parameters have the paths, shapes and dtypes of those made for the network."""
    wanted, found = (
        {path: f"{np.shape(leaf)} {np.asarray(leaf).dtype}" for path, leaf in leaves(tree)} for tree in (made, given)
    )
    for path in wanted | found:
        if wanted.get(path) != found.get(path):
            raise ShapeError(
                f"the parameters given do not fit the network: {path} should have shape "
                f"{wanted.get(path, 'none, for it is unknown')}, found {found.get(path, 'nothing of that name')}"
            )


def require_batches(network: Module, params: Tree, train: Dataset, batch_size: int, dtype: np.dtype[Any]) -> None:
    """Raise ShapeError where training has a batch of one sample and the network takes none, as with BatchNorm."""
    if (len(train) % batch_size or batch_size) != 1:
        return
    mode = Mode(training=True, key=np.zeros((), np.uint64), updates={})
    try:
        with np.errstate(all="ignore"):
            network(params, train.inputs[:1].astype(dtype), mode)
    except ShapeError as error:
        sizes = (size for size in range(2, len(train) + 1) if len(train) % size != 1)
        nearest = min(sizes, key=lambda size: abs(size - batch_size), default=0)
        fix = f"choose another batch_size, such as {nearest}" if nearest else "train on more samples"
        batch = "every batch" if batch_size == 1 else "the last batch of an epoch"
        raise ShapeError(
            f"{batch} has one sample, for {len(train)} samples come in batches of {batch_size}: {fix}; {error}"
        ) from error
