"""Pictures of loss surfaces: contours over a plane, with the paths of optimisers on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.concepts import draw_path
from treadle.figures.drawing import PATHS, Drawing, Table
from treadle.language import ENGLISH, Words
from treadle.train import Surface

LEVELS = 14
AXES = {  # names of directions that are no weights
    "random direction, as long as the weights": "随机方向，长度与权重相同",
    "another": "另一个随机方向",
    "first principal component": "第一主成分",
    "second": "第二主成分",
}


def draw_surface(found: Surface, *, words: Words = ENGLISH) -> Drawing:
    """Draw the contours of a loss surface with the paths on it, and the true losses of each path beside the plane's.

    Raises:
        TreadleError: no loss is finite.
    """
    if not np.isfinite(found.losses).any():
        raise TreadleError("no loss of this surface is finite, so that there is nothing to draw: choose another span")
    names = [words(name, AXES.get(name, name)) for name in found.axes]
    loss, step = words("loss", "损失"), words("step", "步")
    caption = words(
        f"The loss over a plane of the parameters, {len(found.x)} × {len(found.y)} points, each the mean over "
        f"{found.samples:,} training samples.",
        f"参数的一个平面上的损失，{len(found.x)} × {len(found.y)} 个点，每点是 {found.samples:,} 个训练样本的平均。",
    )
    if found.paths:
        caption += words(
            " A path lies in the plane only as far as its share says: where the dashed line leaves the solid one, the "
            "picture of the path is not what the optimiser went through.",
            "路径只有所示比例落在这个平面内：虚线与实线不一致处，图中的路径并不是优化器真正经过的地方。",
        )

    def draw(figure: Any) -> None:
        plane, *beside = np.atleast_1d(figure.subplots(1, 2 if found.paths else 1))
        draw_bar(figure, plane, draw_contours(plane, found.x, found.y, found.losses), loss)
        for colour, path in zip(_colours(len(found.paths)), found.paths, strict=True):
            share = f"{100 * path.explained:.3g} %"
            draw_path(
                plane,
                path.points,
                colour,
                words(f"{path.name}: {share} in the plane", f"{path.name}：{share} 在平面内"),
            )
            beside[0].plot(path.steps, path.losses, color=colour, label=path.name)
            nearest = words(f"{path.name}, nearest point of the plane", f"{path.name}，平面内最近点")
            beside[0].plot(path.steps, path.projected, color=colour, linestyle="--", label=nearest)
        plane.set(xlabel=names[0], ylabel=names[1])
        size = f"{len(found.x)} × {len(found.y)}"
        title = words(f"{size} losses over {found.samples:,} samples", f"{size} 个损失值，{found.samples:,} 个样本")
        plane.set_title(title, fontsize=10)
        if found.paths:
            plane.legend(frameon=True, fontsize=8, framealpha=0.8)
            beside[0].set(xlabel=step, ylabel=loss, yscale="log")
            for formatted in (beside[0].yaxis.set_major_formatter, beside[0].yaxis.set_minor_formatter):
                formatted("{x:g}")
            beside[0].set_title(words("the true loss on each path", "每条路径上真正的损失"), fontsize=10)
            beside[0].legend(frameon=False, fontsize=8)

    return Drawing(
        words("The loss around the paths of optimisers", "优化器路径周围的损失")
        if found.paths
        else words("The loss over a plane of parameters", "参数平面上的损失"),
        caption,
        (
            grid_table(words("surface", "曲面"), found.x, found.y, found.losses, (*names, loss)),
            *(
                Table(
                    path.name,
                    {
                        step: path.steps.tolist(),
                        names[0]: path.points[:, 0].tolist(),
                        names[1]: path.points[:, 1].tolist(),
                        loss: path.losses.tolist(),
                        words("loss in the plane", "平面内的损失"): path.projected.tolist(),
                    },
                )
                for path in found.paths
            ),
        ),
        draw,
        10 if found.paths else 5.4,
        4.4,
        words,
    )


def grid_table(name: str, x: Any, y: Any, losses: Any, columns: Sequence[str]) -> Table:
    """Return the losses (Y, X) of a grid, a row each with where it is."""
    across, up = np.meshgrid(x, y)
    return Table(
        name,
        {columns[0]: across.ravel().tolist(), columns[1]: up.ravel().tolist(), columns[2]: np.ravel(losses).tolist()},
    )


def draw_contours(axes: Any, x: Any, y: Any, losses: Any) -> Any:
    """Filled contours at levels whose distances grow with the loss; what is far above all else gets the last colour."""
    known = np.ma.masked_invalid(losses)
    low, high = float(known.min()), float(np.percentile(known.compressed(), 95))
    levels = low + (max(high - low, 1e-9 * abs(low), 1e-30)) * np.linspace(0, 1, LEVELS + 1) ** 2
    return axes.contourf(x, y, known, levels=levels, cmap="Greys", extend="max", alpha=0.8)


def draw_bar(figure: Any, axes: Any, contours: Any, label: str) -> None:
    """Draw what the colours of contours stand for, with as many digits as tell their levels apart."""
    low, high = float(contours.levels[0]), float(contours.levels[-1])
    digits = 3 + max(0, math.ceil(-math.log10((high - low) / max(abs(low), abs(high)))))
    bar = figure.colorbar(contours, ax=axes, label=label, shrink=0.9)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{float(f'{value:.{digits}g}'):.{max(6, digits)}g}")


def _colours(count: int) -> Sequence[str]:
    return [PATHS[number % len(PATHS)] for number in range(count)]
