"""Pictures of loss surfaces: contours over a plane, with the paths of optimisers on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.concepts import draw_path
from treadle.figures.drawing import GREY, PATHS, drawn
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
        draw_path(plane, path.points, colour, label)
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


def _contours(axes: Any, x: Any, y: Any, losses: Any) -> Any:
    """Filled contours at levels whose distances grow with the loss; what is far above all else gets the last colour."""
    known = np.ma.masked_invalid(losses)
    if not known.count():
        raise TreadleError("no loss of this surface is finite, so that there is nothing to draw: choose another span")
    low, high = float(known.min()), float(np.percentile(known.compressed(), 95))
    levels = low + (max(high - low, 1e-9 * abs(low), 1e-30)) * np.linspace(0, 1, LEVELS + 1) ** 2
    return axes.contourf(x, y, known, levels=levels, cmap="Greys", extend="max", alpha=0.8)


def _colours(count: int) -> Sequence[str]:
    return [PATHS[number % len(PATHS)] for number in range(count)]
