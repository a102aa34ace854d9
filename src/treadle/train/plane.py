"""Planes through the space of parameters: two weights, two random directions, or the two that paths take most."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.errors import TreadleError, suggest

Array = np.ndarray[Any, np.dtype[Any]]
_STREAM = 0x50AF
_BLOCK = 1 << 16  # parameters at a time, for points are many
FLAT = 1e-9  # share of the first direction's variance below which a second one is rounding


@dataclass(frozen=True)
class Plane:
    """All points center + a · first + b · second.

    Args:
        center: flat parameters (P,), float64.
        directions: first and second, (2, P), float64.
        names: of both axes.
        scales: what is a natural distance along each axis; 0 where the paths tell it.
    """

    center: Array
    directions: Array
    names: tuple[str, str]
    scales: tuple[float, float]

    def point(self, a: float, b: float) -> Array:
        """Return the flat parameters at coordinates a, b."""
        found: Array = self.center + a * self.directions[0] + b * self.directions[1]
        return found

    def project(self, points: Sequence[Array], about: Array) -> tuple[Array, float]:
        """Return the coordinates (N, 2) of the nearest points of the plane, and the variance explained.

        That is 1 − Σ‖p − nearest‖² / Σ‖p − about‖² over the points, 1 where all lie in the plane.

        >>> plane = Plane(np.zeros(3), np.eye(3)[:2], ("x", "y"), (1.0, 1.0))
        >>> plane.project([np.array([3.0, 4.0, 5.0])], about=np.zeros(3))
        (array([[3., 4.]]), 0.5)
        """
        gram = self.directions @ self.directions.T
        coordinates = np.empty((len(points), 2))
        total = rest = 0.0
        for number, point in enumerate(points):
            away = point - self.center
            coordinates[number] = np.linalg.solve(gram, self.directions @ away)
            left = away - coordinates[number] @ self.directions
            total += float(np.sum((point - about) ** 2))
            rest += float(left @ left)
        return coordinates, 1 - rest / total if total else 1.0


def weights_plane(center: Array, places: dict[str, tuple[int, tuple[int, ...]]], names: Sequence[str]) -> Plane:
    """Return the plane of two weights, each named such as `linear1.weight[5,0]`; all others stay at the center.

    Args:
        center: flat parameters.
        places: where in them each parameter begins, and its shape, by path.
        names: of the two weights.

    Raises:
        TreadleError: there is no such weight.
    """
    first, second = (_index(places, name) for name in names)
    if first == second:
        raise TreadleError(f"a surface takes two weights, and {names[0]} and {names[1]} are the same")
    directions = np.zeros((2, center.size))
    directions[0, first] = directions[1, second] = 1
    moved = center.copy()
    moved[[first, second]] = 0  # so that coordinates are the weights themselves
    scales = (max(1.0, 2 * abs(center[first])), max(1.0, 2 * abs(center[second])))
    return Plane(moved, directions, (names[0], names[1]), scales)


def _index(places: dict[str, tuple[int, tuple[int, ...]]], name: str) -> int:
    found = re.fullmatch(r"\s*([\w.]+)\s*\[([\d,\s]+)\]\s*", name)
    if not found:
        raise TreadleError(f"a weight should be named such as linear1.weight[5,0], found {name!r}")
    path, index = found[1], tuple(int(part) for part in found[2].split(",") if part.strip())
    if path not in places:
        raise TreadleError(f"no parameter is called {path!r}: {suggest(path, places)}")
    begin, shape = places[path]
    if len(index) != len(shape) or any(i >= size for i, size in zip(index, shape, strict=True)):
        raise TreadleError(f"{name}: {path} has shape {shape}, so that its last weight is {path}{_last(shape)}")
    return begin + int(np.ravel_multi_index(index, shape))


def _last(shape: tuple[int, ...]) -> str:
    return f"[{','.join(str(size - 1) for size in shape)}]"


def random_plane(center: Array, places: dict[str, tuple[int, tuple[int, ...]]], seed: int) -> Plane:
    """Return the plane of two random directions, each filter of them as long as that filter of the center.

    A filter is what makes one unit or one channel. Parameters with one axis, such as biases, stay at the center.

    Source: Li and others, Visualizing the loss landscape of neural nets, NeurIPS 2018.
    """
    directions = np.zeros((2, center.size))
    for number in range(2):
        for path, (begin, shape) in places.items():
            if len(shape) < 2:
                continue
            part = slice(begin, begin + int(np.prod(shape)))
            axes = (0,) if len(shape) == 2 else tuple(range(1, len(shape)))  # weights of a unit lie in a column
            key = [seed, _STREAM, number, zlib.crc32(path.encode())]  # apart from those of initial weights
            draw = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key))).standard_normal(shape)
            length = np.sqrt(np.sum(center[part].reshape(shape) ** 2, axis=axes, keepdims=True))
            directions[number, part] = (draw * length / np.sqrt(np.sum(draw**2, axis=axes, keepdims=True))).ravel()
    if not directions.any(axis=1).all():
        raise TreadleError("random directions are as long as the weights, and these are all 0: choose pca, or weights")
    names = ("random direction, as long as the weights", "another")
    return Plane(center, directions, names, (1.0, 1.0))


def pca_plane(center: Array, points: Sequence[Array]) -> Plane:
    """Return the plane of the two principal components of points about the center.

    Raises:
        TreadleError: the points lie on one line.

    Source: Lorch, Visualizing deep network training trajectories with PCA, ICML workshop 2016.
    """

    def away(begin: int) -> Array:
        part = slice(begin, begin + _BLOCK)
        return np.array([point[part].astype(np.float64) - center[part] for point in points])

    gram = sum((part @ part.T for part in map(away, range(0, center.size, _BLOCK))), np.zeros((len(points),) * 2))
    variances, vectors = np.linalg.eigh(gram)  # as many as there are points, not as there are weights
    if not variances[-1] > 0 or (len(points) < 2 or variances[-2] < FLAT * variances[-1]):
        raise TreadleError(
            "the paths lie on one line, so that they have no second direction: choose random, or weights"
        )
    weights = vectors[:, [-1, -2]].T / np.sqrt(variances[[-1, -2]])[:, None]
    directions = np.concatenate([weights @ away(begin) for begin in range(0, center.size, _BLOCK)], axis=1)
    signs = np.sign(directions[np.arange(2), np.abs(directions).argmax(axis=1)])  # either is one: take a certain one
    return Plane(center, directions * signs[:, None], ("first principal component", "second"), (0.0, 0.0))
