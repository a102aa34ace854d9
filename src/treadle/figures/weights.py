"""The loss over two weights of a network, all others fixed: its value and gradient, and descent on the two alone."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.autodiff.functional import value_and_grad
from treadle.data import SCALES, Sets
from treadle.errors import TreadleError
from treadle.figures.features import feature_name, leading
from treadle.figures.source import Source
from treadle.language import Words
from treadle.train import Surface, loss_surface
from treadle.train.prepare import prepare
from treadle.tree import Tree, leaves, map_with_path

Array = np.ndarray[Any, np.dtype[np.float64]]
COURSE = (5, 9)  # features whose weights the course takes
START = -100.0  # where descent begins, on both weights, as in the course
NEARER = -3.0  # where it begins on a surface that is no parabola
MARGIN = 0.2  # of what a path spans, on each side
DESCENT = 100  # steps of a descent that shows where the lowest loss is
QUARTER = 0.25  # of the way there, that a step is drawn to take
HALVINGS = 30  # of a step that does not lower the loss


@dataclass(frozen=True)
class Step:
    """A point of a descent.

    Args:
        weights: both, (2,).
        loss: there.
        gradient: there, (2,).
    """

    weights: Array
    loss: float
    gradient: Array


@dataclass(frozen=True)
class Weights:
    """The loss over two weights, and a descent on them.

    Args:
        names: of the weights, in English and in Chinese.
        surface: losses on a grid.
        steps: of the descent, the start first.
        rate: of the descent; a step that does not lower the loss is halved until it does.
    """

    names: tuple[tuple[str, str], tuple[str, str]]
    surface: Surface
    steps: tuple[Step, ...]
    rate: float


@dataclass(frozen=True)
class Gradient:
    """The gradient at a point of the loss over two weights.

    Args:
        names: of the weights, in English and in Chinese.
        surface: losses on a grid.
        here: the point.
        down: a step against the gradient.
        up: as far along it.
        along: as far across it, to both sides.
        end: of a descent from here.
        rate: of the step.
    """

    names: tuple[tuple[str, str], tuple[str, str]]
    surface: Surface
    here: Step
    down: Step
    up: Step
    along: tuple[Step, Step]
    end: Step
    rate: float


class TwoWeights:
    """The loss of a network by two of its weights, and its gradient, on the tape and in float64."""

    def __init__(
        self, network: Any, loss: Any, params: Tree, inputs: Array, targets: Any, names: Sequence[str]
    ) -> None:
        self.params = map_with_path(lambda _, leaf: np.array(leaf, np.float64), params)
        self.places = [_place(name) for name in names]
        self._leaves = dict(leaves(self.params))
        self._made = value_and_grad(lambda made: loss(network(made, inputs), targets))
        self.now = np.array([self._leaves[path][index] for path, index in self.places])

    def at(self, weights: Sequence[float] | Array) -> Step:
        """Return loss and gradient at two weights."""
        for (path, index), weight in zip(self.places, weights, strict=True):
            self._leaves[path][index] = weight
        with np.errstate(all="ignore"):
            value, gradients = self._made(self.params)
        found = dict(leaves(gradients))
        gradient = np.array([float(found[path][index]) for path, index in self.places])
        return Step(np.array(weights, np.float64), float(value), gradient)

    def curvature(self, weights: Array) -> Array:
        """Return the second derivatives (2, 2) there, by central differences of the gradient."""
        rows = []
        for axis in np.eye(2):
            apart = 1e-3 * max(1.0, float(np.abs(weights).max())) * axis
            rows.append((self.at(weights + apart).gradient - self.at(weights - apart).gradient) / (2 * apart.sum()))
        hessian: Array = np.array(rows)
        return np.asarray((hessian + hessian.T) / 2)

    def descend(self, start: Array, rate: float, steps: int) -> list[Step]:
        """Step against the gradient; a step that does not lower the loss is halved until it does, or ends it."""
        found = [self.at(start)]
        for _ in range(steps):
            last, share = found[-1], 1.0
            for _ in range(HALVINGS):
                following = self.at(last.weights - share * rate * last.gradient)
                if following.loss < last.loss:
                    break
                share /= 2
            else:
                return found
            found.append(following)
        return found


class Scene:
    """Two weights of a recipe's network, all others as initialised, or as trained in a run.

    Args:
        source: a recipe or a run.
        weights: names; w5 and w9 as in the course where a table has such features, or the weights of the two features
            that explain most of the target, or the first two.
        samples: of the training set, evenly taken.

    Raises:
        TreadleError: a subclass says what does not fit.
    """

    def __init__(self, source: Source, weights: Sequence[str] | str | None, samples: int) -> None:
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise TreadleError(f"samples should be a whole number of at least 1, found {samples!r}")
        self.recipe, self.sets, self.samples = source.recipe, source.sets, samples
        train = self.sets.train
        network = self.recipe.build_network(train.classes, train.shape)
        self.network, self.loss, self.made = prepare(
            network, self.recipe.build_loss(), self.sets, self.recipe.training.seed, np.float32
        )
        if source.kind == "run":
            self.made = source.run.parameters
        rows = np.linspace(0, len(train), min(samples, len(train)), endpoint=False).astype(np.int64)
        scale = SCALES[self.recipe.data.scale]().fit(train.inputs)
        inputs = scale.apply(np.asarray(train.inputs[rows]), np.float64)
        targets = self.loss.targets(train.targets, np.dtype(np.float64))[rows]
        self.names = _chosen(weights, self.made, self.sets, rows)
        first, second = (_told(name, self.made, self.sets) for name in self.names)
        self.told = first, second
        self.two = TwoWeights(self.network, self.loss, self.made, inputs, targets, self.names)

    def descent(self, start: Sequence[float] | None, rate: float | None, steps: int) -> tuple[list[Step], float]:
        """Return a descent and its rate.

        Raises:
            TreadleError: a setting is out of its range; the loss does not fall.
        """
        if steps < 1 or (rate is not None and not 0 < rate < math.inf):
            raise TreadleError(f"steps should be at least 1 and rate above 0, found {steps} and {rate}")
        if start is not None and (len(start) != 2 or not np.isfinite(np.asarray(start, np.float64)).all()):
            raise TreadleError(f"start should be two finite numbers, found {start!r}")
        begin, rate = _begun(self.two, start, rate, self.names)
        path = self.two.descend(begin, rate, steps)
        if len(path) == 1:
            names = " and ".join(self.names)
            raise TreadleError(f"the loss does not fall from {begin.tolist()} on {names}: choose another start")
        return path, rate

    def grid(self, middle: Array, half: float, seconds: float, finest: int) -> Surface:
        """Return the losses over a square."""
        (x, y), recipe = middle.tolist(), self.recipe
        return loss_surface(
            self.network,
            self.sets,
            loss=self.loss,
            directions=self.names,
            span=[x - half, x + half, y - half, y + half],
            samples=self.samples,
            seconds=seconds,
            finest=finest,
            parameters=self.made,
            seed=recipe.training.seed,
            scale=recipe.data.scale,
            threads=recipe.resources.threads,
        )


def weights_of(
    source: Source,
    *,
    weights: Sequence[str] | str | None = None,
    start: Sequence[float] | None = None,
    rate: float | None = None,
    steps: int = 100,
    samples: int = 1_000,
    seconds: float = 20.0,
    finest: int = 33,
) -> tuple[Weights]:
    """Compute the loss over two weights, and a descent on them.

    Args:
        source, weights, samples: as in `Scene`.
        start: of the descent; −100, −100 as in the course on a parabola, and −3, −3 elsewhere.
        rate: of the descent; a fifth of one over the largest curvature at the start unless told.
        steps: of the descent.
        seconds: for the grid.
        finest: points of the grid along an axis.
    """
    scene = Scene(source, weights, samples)
    path, rate = scene.descent(start, rate, steps)
    points = np.array([step.weights for step in path])
    low, high = points.min(axis=0), points.max(axis=0)
    surface = scene.grid((low + high) / 2, (0.5 + MARGIN) * float((high - low).max()), seconds, finest)
    return (Weights(scene.told, surface, tuple(path), rate),)


def gradient_of(
    source: Source,
    *,
    weights: Sequence[str] | str | None = None,
    point: Sequence[float] | None = None,
    rate: float | None = None,
    samples: int = 1_000,
    seconds: float = 20.0,
    finest: int = 33,
) -> tuple[Gradient]:
    """Compute the gradient over two weights at a point, and the losses of a step with and against it.

    Args:
        source, weights, samples: as in `Scene`.
        point: where; as the start of `weights_of` unless told.
        rate: of the step; such that it takes a quarter of the way that descent goes, or less where the loss would not
            fall, unless told.
        seconds: for the grid.
        finest: points of the grid along an axis.
    """
    scene = Scene(source, weights, samples)
    path, _ = scene.descent(point, None, DESCENT)
    here, end = path[0], path[-1]
    length = float(np.linalg.norm(here.gradient))
    chosen = rate if rate is not None else QUARTER * float(np.linalg.norm(end.weights - here.weights)) / length
    down = scene.two.at(here.weights - chosen * here.gradient)
    while rate is None and not down.loss < here.loss:
        chosen /= 2
        down = scene.two.at(here.weights - chosen * here.gradient)
    move = chosen * here.gradient
    across = np.array([-move[1], move[0]])
    others = [scene.two.at(here.weights + one) for one in (move, across, -across)]
    away = end.weights - here.weights
    half = float(np.abs(away).max()) / 2 + 1.25 * chosen * length
    surface = scene.grid(here.weights + away / 2, half, seconds, finest)
    return (Gradient(scene.told, surface, here, down, others[0], (others[1], others[2]), end, chosen),)


def _begun(
    two: TwoWeights, start: Sequence[float] | None, rate: float | None, names: Sequence[str]
) -> tuple[Array, float]:
    """Where to begin and at which rate, by the curvature."""
    far = np.array([START, START])
    curvature = two.curvature(far)
    parabola = np.isfinite(curvature).all() and np.allclose(curvature, two.curvature(two.now), rtol=1e-3, atol=1e-9)
    begin = far if parabola else np.array([NEARER, NEARER])
    if start is not None:
        begin = np.array(start, np.float64)
    curvature = two.curvature(begin)
    largest = float(np.abs(np.linalg.eigvalsh(curvature)).max()) if np.isfinite(curvature).all() else math.nan
    if not largest > 1e-12 and not np.abs(two.at(begin).gradient).max() > 1e-12:
        raise TreadleError(
            f"the loss does not change with {names[0]} and {names[1]} near {begin.tolist()}: choose other weights, or "
            "another start"
        )
    return begin, rate or (0.2 / largest if largest > 1e-12 else 1.0)


def _place(name: str) -> tuple[str, tuple[int, ...]]:
    found = re.fullmatch(r"\s*([\w.]+)\s*\[([\d,\s]+)\]\s*", name)
    if not found:
        raise TreadleError(f"a weight should be named such as linear1.weight[5,0], found {name!r}")
    return found[1], tuple(int(part) for part in found[2].split(",") if part.strip())


def _chosen(weights: Sequence[str] | str | None, made: Tree, sets: Sets, rows: Any) -> list[str]:
    if weights is not None:
        given = re.findall(r"[\w.]+\s*\[[^\]]*\]", weights) if isinstance(weights, str) else list(weights)
        if len(given) != 2:
            raise TreadleError(
                f"weights should be two, such as linear1.weight[5,0] linear1.weight[9,0], found {weights!r}"
            )
        known = {path: leaf.shape for path, leaf in leaves(made)}
        for name in given:
            path, index = _place(name)
            if path not in known or len(index) != len(known[path]) or not all(map(int.__lt__, index, known[path])):
                shapes = ", ".join(f"{path} {shape}" for path, shape in known.items())
                raise TreadleError(f"there is no weight {name}: parameters with their shapes are {shapes}")
        if _place(given[0]) == _place(given[1]):
            raise TreadleError(f"two weights are needed, and {given[0]} and {given[1]} are the same")
        return given
    size = int(np.prod(sets.train.shape))
    tables: list[tuple[str, tuple[int, ...]]] = [(path, leaf.shape) for path, leaf in leaves(made) if leaf.ndim >= 2]
    if tables and len(tables[0][1]) == 2 and tables[0][1][0] == size >= 2:
        x = np.asarray(sets.train.inputs[rows]).reshape(len(rows), -1).astype(np.float64)
        numbers: Sequence[int] = COURSE
        if len(sets.train.shape) != 1 or size <= max(COURSE) or not np.ptp(x[:, COURSE], axis=0).all():
            numbers = leading(x, sets.train.targets[rows].astype(np.float64), 2)
        return [f"{tables[0][0]}[{number},0]" for number in numbers]
    names = [
        f"{path}[{','.join(map(str, index))}]"
        for path, leaf in leaves(made)
        for index in list(np.ndindex(leaf.shape))[:2]
    ]
    if len(names) < 2:
        raise TreadleError("this figure needs a network with at least two weights")
    return names[:2]


def _told(name: str, made: Tree, sets: Sets) -> tuple[str, str]:
    """The name of a weight, with that of its feature where it is one of the first layer."""
    path, index = _place(name)
    first = next(((path, leaf) for path, leaf in leaves(made)), None)
    if first is None or first[0] != path or first[1].ndim != 2 or len(first[1]) != int(np.prod(sets.train.shape)):
        return name, name
    number = index[0]
    return f"{name} ({feature_name(sets, number)})", f"{name}（{feature_name(sets, number, Words('zh'))}）"
