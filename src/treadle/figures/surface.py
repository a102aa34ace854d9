"""Pictures of loss surfaces: contours over a plane, with the paths of optimisers on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.canvas import GREY, PATHS, drawn
from treadle.optim import SGD, AdaGrad, Adam, Momentum, Optimizer
from treadle.train import Surface

LEVELS = 14


def draw_surface(found: Surface) -> str:
    """Draw the contours of a loss surface with the paths on it, and the true losses of each path beside the plane's.

    Raises:
        TreadleError: matplotlib is not installed; no loss is finite.
    """
    return drawn(lambda figure: _draw(figure, found), 10 if found.paths else 5.4, 4.4)


def _draw(figure: Any, found: Surface) -> None:
    plane, *beside = np.atleast_1d(figure.subplots(1, 2 if found.paths else 1))
    contours = _contours(plane, found.x, found.y, found.losses)
    figure.colorbar(contours, ax=plane, label="loss", format="%.3g")
    for colour, path in zip(_colours(len(found.paths)), found.paths, strict=True):
        label = f"{path.name}: {100 * path.explained:.3g} % in the plane"
        _path(plane, path.points, colour, label)
        beside[0].plot(path.steps, path.losses, color=colour, label=path.name)
        beside[0].plot(path.steps, path.projected, color=colour, linestyle="--")
    plane.set(xlabel=found.axes[0], ylabel=found.axes[1])
    plane.set_title(f"{len(found.x)} × {len(found.y)} losses over {found.samples:,} samples", fontsize=10)
    if found.paths:
        plane.legend(frameon=True, fontsize=8, framealpha=0.8)
        beside[0].plot([], [], color=GREY, linestyle="--", label="at the nearest point of the plane")
        beside[0].set(xlabel="step", ylabel="loss", yscale="log")
        for formatted in (beside[0].yaxis.set_major_formatter, beside[0].yaxis.set_minor_formatter):
            formatted("{x:.3g}")
        beside[0].set_title("the true loss on each path", fontsize=10)
        beside[0].legend(frameon=False, fontsize=8)


def draw_descent(steps: int = 30) -> str:
    """Draw the paths of SGD, Momentum, AdaGrad and Adam on f = x²/20 + y² from (−7, 2), a valley that is narrow in y.

    Raises:
        TreadleError: matplotlib is not installed.

    Source: Saito, Deep learning from scratch, O'Reilly Japan 2016, chapter 6.
    """
    optimizers: list[Optimizer] = [SGD(0.95), Momentum(0.1), AdaGrad(1.5), Adam(0.3)]
    paths = [_descent(optimizer, steps) for optimizer in optimizers]

    def draw(figure: Any) -> None:
        x, y = np.linspace(-8, 4, 49), np.linspace(-3, 3, 49)
        losses = x[None] ** 2 / 20 + y[:, None] ** 2
        for axes, optimizer, path, colour in zip(
            figure.subplots(2, 2, sharex=True, sharey=True).flat, optimizers, paths, _colours(4), strict=True
        ):
            axes.contour(x, y, losses, levels=np.array([0.1, 0.5, 1, 2, 3, 4, 6, 8, 10]), colors=GREY, linewidths=0.6)
            _path(axes, path, colour, repr(optimizer))
            axes.set_title(repr(optimizer), fontsize=10)
            axes.set(xlabel="x", ylabel="y", aspect="equal")

    return drawn(draw, 9, 5.4)


def _descent(optimizer: Optimizer, steps: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Points (steps + 1, 2) of an optimiser on f."""
    points = [np.array([-7.0, 2.0])]
    state = optimizer.init(points[0])
    for _ in range(steps):
        point, state = optimizer.step(points[-1], points[-1] * np.array([0.1, 2.0]), state)
        points.append(point)
    return np.array(points)


def _contours(axes: Any, x: Any, y: Any, losses: Any) -> Any:
    """Filled contours at levels whose distances grow with the loss; what is far above all else gets the last colour."""
    known = np.ma.masked_invalid(losses)
    if not known.count():
        raise TreadleError("no loss of this surface is finite, so that there is nothing to draw: choose another span")
    low, high = float(known.min()), float(np.percentile(known.compressed(), 95))
    levels = low + (max(high - low, 1e-9 * abs(low), 1e-30)) * np.linspace(0, 1, LEVELS + 1) ** 2
    return axes.contourf(x, y, known, levels=levels, cmap="Greys", extend="max", alpha=0.8)


def _path(axes: Any, points: Any, colour: str, label: str) -> None:
    axes.plot(points[:, 0], points[:, 1], color=colour, marker=".", markersize=4, linewidth=1.4, label=label)
    axes.plot(*points[0], color=colour, marker="o", markersize=6)
    axes.plot(*points[-1], color=colour, marker="X", markersize=8)


def _colours(count: int) -> Sequence[str]:
    return [PATHS[number % len(PATHS)] for number in range(count)]
