"""A linear model on one or two features of a training set: which features, and their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.data import SCALES, Sets, require_valid
from treadle.data.sheet import feature_names
from treadle.errors import TreadleError, suggest
from treadle.figures.source import Source
from treadle.language import ENGLISH, Words
from treadle.train import Run

Array = np.ndarray[Any, np.dtype[Any]]
ALIKE = 1e-9  # share of a feature's squares that others leave, below which they tell all of it


@dataclass(frozen=True)
class Features:
    """Some features of training samples with their targets; the numbers of classes where these are the targets.

    Args:
        names: of the features, in English and in Chinese.
        numbers: of the features.
        raw: values as they are, (N, K).
        scaled: the same scaled, (N, K).
        targets: (N,).
        kind: of the scale.
    """

    names: tuple[tuple[str, str], ...]
    numbers: tuple[int, ...]
    raw: Array
    scaled: Array
    targets: Array
    kind: str


def features_of(
    source: Source, count: int, features: Sequence[str | int] | str | int | None, scale: str | None, samples: int
) -> Features:
    """Return features of a source: those named, or the one that explains most of the target, and then of what is left.

    Args:
        source: whose training set is taken.
        count: of features.
        features: their names or numbers; None: chosen by what they explain.
        scale: of the recipe where it is None, and minmax where that has none.
        samples: evenly taken.

    Raises:
        TreadleError: there is no such feature; fewer than that tell anything.
    """
    if samples < 1:
        raise TreadleError(f"samples should be at least 1, found {samples}")
    sets = source.sets
    require_valid(sets)
    if scale is None:
        scale = _scale(source)
    if scale not in SCALES:
        raise TreadleError(f"no scaling is called {scale!r}: {suggest(scale, SCALES)}")
    train = sets.train
    rows = np.unique(np.linspace(0, len(train), min(samples, len(train)), endpoint=False).astype(np.int64))
    inputs = np.asarray(train.inputs[rows])
    x = inputs.reshape(len(rows), -1).astype(np.float64)
    y = train.targets[rows].astype(np.float64)
    numbers = leading(x, y, count) if features is None else _named(sets, features, count)
    scaled = SCALES[scale]().fit(train.inputs).apply(inputs, np.float64).reshape(len(rows), -1)
    names = tuple((feature_name(sets, number), feature_name(sets, number, Words("zh"))) for number in numbers)
    return Features(names, tuple(numbers), x[:, numbers], scaled[:, numbers], y, scale)


def leading(x: Array, y: Array, count: int) -> list[int]:
    """Return the feature (N, F) that explains most of the target (N,) linearly, that which explains most of the rest, …

    Raises:
        TreadleError: fewer features than that differ from sample to sample and from one another.

    >>> x = np.array([[0.0, 1.0, 3.0], [1.0, 1.0, 0.0], [2.0, 1.0, 1.0], [3.0, 1.0, 0.0]])
    >>> leading(x, x[:, 0] * 10 + x[:, 2], 2)
    [0, 2]
    """
    x, rest = x - x.mean(axis=0), y - y.mean()
    squares = np.einsum("nf,nf->f", x, x)
    enough = ALIKE * squares
    found: list[int] = []
    for _ in range(count):
        left = squares > enough
        left[found] = False
        if not left.any():
            raise TreadleError(
                f"this figure needs {count} features that differ from sample to sample and from one another, "
                f"found {len(found)}"
            )
        shares = np.where(left, (x.T @ rest) ** 2 / np.where(left, squares, 1), -1)
        found.append(int(np.argmax(shares)))
        direction = x[:, found[-1]] / np.sqrt(squares[found[-1]])
        rest = rest - direction * (direction @ rest)
        x = x - np.outer(direction, direction @ x)
        squares = np.einsum("nf,nf->f", x, x)
    return found


def feature_name(sets: Sets, number: int, words: Words = ENGLISH) -> str:
    """Return the name of a feature; of an image, which pixel it is."""
    shape = sets.train.shape
    if len(shape) == 3:
        channel, row, column = (int(place) for place in np.unravel_index(number, shape))
        pixel = words(f"pixel {row},{column}", f"像素 {row},{column}")
        return pixel if shape[0] == 1 else words(f"{pixel} of channel {channel}", f"{pixel}，通道 {channel}")
    names = feature_names(sets)
    return names[number] if not names[number].isdigit() else words(f"feature {number}", f"特征 {number}")


def _named(sets: Sets, features: Sequence[str | int] | str | int, count: int) -> list[int]:
    given = [features] if isinstance(features, (str, int)) else list(features)
    if len(given) != count or len(set(given)) != count:
        raise TreadleError(f"features should be {count} names or numbers of different features, found {features!r}")
    size = int(np.prod(sets.train.shape))
    names = feature_names(sets) if len(sets.train.shape) == 1 else []
    found = []
    for one in given:
        if isinstance(one, str) and one in names:
            found.append(names.index(one))
        elif isinstance(one, str):
            raise TreadleError(f"no feature is called {one!r}: {suggest(one, names or ['a number'])}")
        elif isinstance(one, bool) or not 0 <= one < size:
            raise TreadleError(f"a feature should be a number from 0 to {size - 1} or a name, found {one!r}")
        else:
            found.append(one)
    return found


def _scale(source: Source) -> str:
    if isinstance(source.given, Sets):
        kind = "minmax"
    else:
        kind = source.given.scale.kind if isinstance(source.given, Run) else source.recipe.data.scale
    return "minmax" if kind == "none" else str(kind)
