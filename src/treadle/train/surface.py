"""The loss surface of a network over a plane of its parameters, with the paths that optimisers take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from treadle.data import Augmentation, Sets
from treadle.errors import TreadleError
from treadle.losses import Loss
from treadle.nn import Module
from treadle.optim import Optimizer
from treadle.text import aligned
from treadle.train.paths import Losses, Walk, walk
from treadle.train.plane import Plane, pca_plane, random_plane, weights_plane
from treadle.train.prepare import prepare, require_same_form, require_settings
from treadle.tree import Tree

Array = np.ndarray[Any, np.dtype[Any]]
FINEST = 257
COARSEST = 5  # points of the first grid along an axis; each further one halves the distances
MARGIN = 0.25  # of what the paths span, on each side


@dataclass(frozen=True)
class Path:
    """What an optimiser went through.

    Args:
        name: of the optimiser, as it is written.
        steps: (N,), from 0.
        points: coordinates in the plane, (N, 2).
        losses: true loss at each of these steps, (N,).
        projected: loss at the nearest point of the plane, (N,).
        explained: share of the squared distances from the end of the first path that lies in the plane.
        diverged: whether it ends before a loss of more than ten times the first, or one that is not finite.
    """

    name: str
    steps: Array
    points: Array
    losses: Array
    projected: Array
    explained: float
    diverged: bool


@dataclass(frozen=True, repr=False)
class Surface:
    """The loss over a plane.

    Args:
        x, y: coordinates of the grid, (X,) and (Y,).
        losses: (Y, X), ∞ where it is not finite.
        axes: names of both directions.
        paths: of the optimisers.
        samples: of the training set, that every loss here is the mean over.
        finest: points along an axis that were asked for; fewer were computed where time was up.
        seconds: that the losses took.
    """

    x: Array
    y: Array
    losses: Array
    axes: tuple[str, str]
    paths: tuple[Path, ...]
    samples: int
    finest: int
    seconds: float

    def __repr__(self) -> str:
        rows = [("path", "steps", "first loss", "last loss", "in the plane", "variance explained")]
        for path in self.paths:
            last = f"{path.losses[-1]:.4g}" + (", diverged" if path.diverged else "")
            shown = (f"{path.losses[0]:.4g}", last, f"{path.projected[-1]:.4g}", f"{100 * path.explained:.3g} %")
            rows.append((path.name, str(path.steps[-1]), *shown))
        lines = [*aligned(rows, "<>"), ""] if self.paths else []
        known = np.where(np.isfinite(self.losses), self.losses, np.inf)
        lowest = np.unravel_index(np.argmin(known), known.shape)
        lines.append(
            f"{len(self.x)} × {len(self.y)} losses over {self.samples:,} training samples, from {known.min():.4g} at "
            f"({self.x[lowest[1]]:.3g}, {self.y[lowest[0]]:.3g}) to {self.losses.max():.4g}, in {self.seconds:.1f} s"
            + (f"; time was up before {self.finest} × {self.finest}" if len(self.x) < self.finest else "")
        )
        return "\n".join([*lines, f"x: {self.axes[0]}, y: {self.axes[1]}"])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "x": self.x.tolist(),
            "y": self.y.tolist(),
            "losses": self.losses.tolist(),
            "axes": list(self.axes),
            "samples": self.samples,
            "finest": self.finest,
            "seconds": self.seconds,
            "paths": [
                {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(path).items()}
                for path in self.paths
            ],
        }


def loss_surface(
    network: Module | str,
    sets: Sets,
    *,
    loss: Loss | str,
    optimizers: Sequence[Optimizer] | Optimizer = (),
    directions: str | Sequence[str] = "random",
    steps: int = 500,
    points: int = 30,
    samples: int = 1_000,
    seconds: float = 20.0,
    finest: int = 33,
    span: Sequence[float] | None = None,
    batch_size: int = 100,
    seed: int = 0,
    scale: str = "minmax",
    shuffle: bool = True,
    drop_last: bool = False,
    augmentations: Sequence[Augmentation] = (),
    dtype: DTypeLike = np.float32,
    threads: int = 1,
    parameters: Tree | None = None,
    on_level: Callable[[Surface], None] | None = None,
) -> Surface:
    """Compute the loss over a plane of parameters, coarse to fine, with the paths of optimisers.

    Each optimiser trains from the same parameters over the same batches. The plane goes through the end of the first
    path; without paths, through the parameters given. A path lies in the plane only as far as its variance explained
    says, so its true losses stand beside those of the plane at the nearest point. Losses are those of evaluation:
    without dropout, with the running means of the center, or of the step on a path.

    Args:
        network, sets, loss, batch_size, seed, scale, shuffle, drop_last, augmentations, dtype, threads, parameters: as
            in `fit`.
        optimizers: whose paths are wanted; the first leads to the center of the plane.
        directions: "random": two, each filter as long as that of the center, drawn by the seed; "pca": the principal
            components of the paths; or two weights, such as ("linear1.weight[5,0]", "linear1.weight[9,0]").
        steps: of each path.
        points: of a path that are kept, with the parameters before the first step.
        samples: of the training set, evenly taken, to compute losses on.
        seconds: for the grid; a finer one is not begun where it would take longer.
        finest: points of the finest grid along an axis: 5, 9, 17, 33, …
        span: lowest x, highest x, lowest y, highest y; where none is given, what the paths need, and for random
            directions at least −1 to 1.
        on_level: called with each grid that is complete, coarse to fine.

    Raises:
        TreadleError: a subclass says what does not fit.

    >>> import treadle as td
    >>> x = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> rows = td.data.Dataset(x, 3 * x[:, 0] + 1, None, "line")
    >>> sets = td.data.Sets(rows[:40], rows[40:50], rows[50:], "line", "made up")
    >>> found = loss_surface(
    ...     td.nn.Sequential(td.nn.Linear(1)), sets, loss="squared_error", optimizers=[td.optim.SGD(0.1)],
    ...     directions=["linear1.weight[0,0]", "linear1.bias[0]"], steps=100, batch_size=40, scale="none", finest=9,
    ... )
    >>> found.losses.shape, found.paths[0].explained
    ((9, 9), 1.0)
    """
    levels = _levels(finest)
    optimizers = [optimizers] if isinstance(optimizers, Optimizer) else list(optimizers)
    _require(optimizers, directions, points, seconds, span)
    require_settings(
        sets, steps=steps, points=points, samples=samples, batch_size=batch_size, threads=threads, seed=seed
    )
    held = 3 + max((2 * optimizer.slots for optimizer in optimizers), default=0) + points * len(optimizers)
    network, loss, made = prepare(network, loss, sets, seed, dtype, copies=held)
    if parameters is not None:
        require_same_form(made, parameters)
        made = parameters
    losses = Losses(network, loss, sets, samples, scale, np.dtype(dtype), made, threads)
    walks = [
        walk(
            optimizer, steps, points, made, losses,
            network=network, sets=sets, loss=loss, batch_size=batch_size, seed=seed, scale=scale, dtype=dtype,
            threads=threads, shuffle=shuffle, drop_last=drop_last, augmentations=augmentations,
        )
        for optimizer in optimizers
    ]  # fmt: skip
    if walks:
        losses.others = walks[0].others[-1]
    center = (walks[0].vectors[-1] if walks else losses.vector(made)).astype(np.float64)
    if directions == "pca":
        at_once = [walk.name for walk in walks if walk.diverged and len(walk.steps) == 1]
        if at_once:
            raise TreadleError(
                f"the path of {at_once[0]} diverged before a point of it was kept: lower its learning rate, or choose "
                "random directions"
            )
        plane = pca_plane(center, [vector for walk in walks for vector in walk.vectors])
    elif directions == "random":
        plane = random_plane(center, losses.places, seed)
    else:
        plane = weights_plane(center, losses.places, list(directions))
    if not walks:
        losses.at(center)  # compiles: its time says nothing of the others
    begun, losses.count = time.perf_counter(), 0
    paths = tuple(_path(walk, plane, center, losses) for walk in walks)
    left, right, bottom, top = map(float, span) if span is not None else _box(plane, paths)
    grid = np.full((levels[-1], levels[-1]), np.nan)
    found = None
    for level in levels:
        x, y = np.linspace(left, right, level), np.linspace(bottom, top, level)
        now = time.perf_counter() - begun
        if found is not None:
            each = now / losses.count
            if now + each * (level**2 - len(found.x) ** 2) > seconds:
                break
        apart = (levels[-1] - 1) // (level - 1)
        for row in range(level):
            for column in range(level):
                if np.isnan(grid[row * apart, column * apart]):
                    grid[row * apart, column * apart] = losses.at(plane.point(x[column], y[row]))
        taken = time.perf_counter() - begun
        found = Surface(x, y, grid[::apart, ::apart].copy(), plane.names, paths, losses.samples, levels[-1], taken)
        if on_level:
            on_level(found)
    assert found is not None
    return found


def _require(
    optimizers: Sequence[Any], directions: Any, points: Any, seconds: float, span: Sequence[float] | None
) -> None:
    for optimizer in optimizers:
        if not isinstance(optimizer, Optimizer):
            raise TreadleError(f"optimizers should be such as td.optim.SGD(0.1), found {optimizer!r}")
    named = isinstance(directions, str)
    if directions not in ("random", "pca") and (
        named or not isinstance(directions, Sequence) or not all(isinstance(name, str) for name in directions)
    ):
        raise TreadleError(f"directions should be random, pca, or two weights, found {directions!r}")
    if not named and len(directions) != 2:
        raise TreadleError(f"a plane has two directions, found {len(directions)}: {', '.join(directions)}")
    if directions == "pca" and not optimizers:
        raise TreadleError("principal components are those of paths: give optimisers, or choose random directions")
    if isinstance(points, int) and points < 2:
        raise TreadleError(f"points must be at least 2, found {points}")
    if not seconds >= 0:
        raise TreadleError(f"seconds must be at least 0, found {seconds}")
    if span is not None and not (
        len(span) == 4 and all(map(math.isfinite, span)) and span[0] < span[1] and span[2] < span[3]
    ):
        raise TreadleError(f"span should be lowest x, highest x, lowest y and highest y, found {list(span)}")


def _levels(finest: int) -> list[int]:
    """Points along an axis of each grid, whose points are all in the next one."""
    levels = [COARSEST]
    while levels[-1] < FINEST:
        levels.append(2 * levels[-1] - 1)
    if finest not in levels:
        raise TreadleError(f"finest should be one of {', '.join(map(str, levels))}, found {finest}")
    return levels[: levels.index(finest) + 1]


def _path(walk: Walk, plane: Plane, end: Array, losses: Losses) -> Path:
    points, explained = plane.project(walk.vectors, end)
    projected = [losses.at(plane.point(a, b)) for a, b in points]
    return Path(
        walk.name, np.array(walk.steps), points, np.array(walk.losses), np.array(projected), explained, walk.diverged
    )


def _box(plane: Plane, paths: tuple[Path, ...]) -> list[float]:
    """Lowest and highest coordinates that show all paths, or what is natural for the plane."""
    box = []
    for axis, scale in enumerate(plane.scales):
        ends = [path.points[:, axis] for path in paths]
        low, high = (min(map(np.min, ends)), max(map(np.max, ends))) if ends else (0.0, 0.0)
        wide = MARGIN * (high - low)
        low, high = low - wide, high + wide
        if not paths or plane.names[0].startswith("random"):
            low, high = min(low, -scale), max(high, scale)
        if not low < high:
            low, high = low - max(scale, 1.0), high + max(scale, 1.0)
        box += [float(low), float(high)]
    return box
