"""Figures over two weights: the surface of the loss with a descent on it, and a gradient with the step against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.concepts import draw_path
from treadle.figures.drawing import BLUE, GREEN, PATHS, RED, Drawing, Table
from treadle.figures.surface import draw_bar, draw_contours, grid_table
from treadle.figures.weights import Gradient, Step, Weights
from treadle.language import ENGLISH, Words
from treadle.train import Surface


def draw_weights_surface(found: Weights, *, words: Words = ENGLISH) -> Drawing:
    """Draw the loss over two weights as a surface and as contours, with a descent, and the loss of its steps.

    Raises:
        TreadleError: no loss is finite.
    """
    surface = found.surface
    _require_finite(surface)
    names = [words(*name) for name in found.names]
    loss, step = words("loss", "损失"), words("step", "步")
    path = np.array([one.weights for one in found.steps])
    losses = np.array([one.loss for one in found.steps])

    def draw(figure: Any) -> None:
        grid = figure.add_gridspec(1, 3, width_ratios=[1.2, 1, 0.8])
        solid = figure.add_subplot(grid[0], projection="3d")
        x, y = np.meshgrid(surface.x, surface.y)
        known = np.where(np.isfinite(surface.losses), surface.losses, np.nan)
        solid.plot_surface(
            x, y, known, cmap="Greys", alpha=0.7, linewidth=0, rcount=33, ccount=33, label="_surface", antialiased=True
        )
        solid.plot(path[:, 0], path[:, 1], losses, color=BLUE, marker=".", markersize=3, zorder=5, label="_descent")
        solid.tick_params(labelsize=7)
        solid.locator_params(nbins=4)
        solid.set_xlabel(found.surface.axes[0], fontsize=8)
        solid.set_ylabel(found.surface.axes[1], fontsize=8)
        solid.set_zlabel(loss, fontsize=8, labelpad=8)
        solid.set_box_aspect((1, 1, 0.8), zoom=0.85)
        plane = figure.add_subplot(grid[1])
        draw_contours(plane, surface.x, surface.y, surface.losses)
        draw_path(plane, path, BLUE, words("gradient descent", "梯度下降"))
        plane.set_aspect("equal")
        plane.set_xlabel(names[0], fontsize=9)
        plane.set_ylabel(names[1], fontsize=9)
        plane.legend(frameon=True, framealpha=0.8, fontsize=8)
        beside = figure.add_subplot(grid[2])
        beside.plot(range(len(losses)), losses, color=BLUE, marker=".", markersize=3, label=loss)
        beside.set(xlabel=step, ylabel=loss)

    return Drawing(
        words("The loss over two weights, and descent on them", "两个权重上的损失及其上的梯度下降"),
        words(
            f"All other weights are fixed; losses are means over {surface.samples:,} training samples. Descent begins "
            f"at ({path[0][0]:g}, {path[0][1]:g}) and steps against the gradient with the rate {found.rate:.3g}; each "
            f"next point has a lower loss: {losses[0]:.4g} falls to {losses[-1]:.4g} in {len(losses) - 1} steps.",
            f"其他权重都固定，损失是 {surface.samples:,} 个训练样本的平均。"
            f"梯度下降从 ({path[0][0]:g}, {path[0][1]:g}) 出发，"
            f"以学习率 {found.rate:.3g} 沿梯度的反方向走；每个下一点的损失都更低："
            f"{len(losses) - 1} 步内从 {losses[0]:.4g} 降到 {losses[-1]:.4g}。",
        ),
        (
            _grid(surface, names, words),
            _steps(found.steps, names, words),
        ),
        draw,
        13,
        4.2,
        words,
    )


def draw_gradient(found: Gradient, *, words: Words = ENGLISH) -> Drawing:
    """Draw the gradient at a point, which points uphill, and the step against it, across the contour.

    Raises:
        TreadleError: no loss is finite.
    """
    _require_finite(found.surface)
    names = [words(*name) for name in found.names]
    here, gradient = found.here, found.here.gradient
    points = {
        words("here", "当前点"): here,
        words("with the gradient: uphill", "沿梯度：上坡"): found.up,
        words("step against the gradient: downhill", "沿梯度反方向的一步：下坡"): found.down,
        words("along the contour, one way", "沿等高线，一侧"): found.along[0],
        words("along the contour, the other way", "沿等高线，另一侧"): found.along[1],
        words("end of a descent", "下降的终点"): found.end,
    }
    heads = list(points)

    def draw(figure: Any) -> None:
        axes, x, y = figure.subplots(), found.surface.x, found.surface.y
        draw_bar(figure, axes, draw_contours(axes, x, y, found.surface.losses), words("loss", "损失"))
        axes.contour(x, y, np.ma.masked_invalid(found.surface.losses), levels=[here.loss], colors=[PATHS[4]])
        for head, end, colour in ((heads[1], found.up, RED), (heads[2], found.down, GREEN)):
            arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", end.weights, here.weights, arrowprops=arrow)
            axes.plot(*end.weights, color=colour, marker=".", linestyle="", label=head)
        ends = np.array([one.weights for one in found.along])
        axes.plot(ends[:, 0], ends[:, 1], color="black", linestyle=":", label=words("along the contour", "沿等高线"))
        up, across = 0.12 * (found.up.weights - here.weights), 0.12 * (found.along[0].weights - here.weights)
        corner = here.weights + np.array([up, up + across, across])
        axes.plot(corner[:, 0], corner[:, 1], color="black", linewidth=0.8, label="_right angle")
        axes.plot(*here.weights, color=BLUE, marker="o", markersize=7, linestyle="", label=heads[0])
        axes.plot(*found.end.weights, color=BLUE, marker="+", markersize=11, linestyle="", label=heads[5])
        axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), aspect="equal", xlabel=names[0], ylabel=names[1])
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)

    return Drawing(
        words("The gradient points uphill, the step goes against it", "梯度指向上坡，更新沿其反方向"),
        words(
            f"At ({here.weights[0]:g}, {here.weights[1]:g}) the loss is {here.loss:.4g} and the gradient "
            f"({gradient[0]:.4g}, {gradient[1]:.4g}), at a right angle to the contour there. Both arrows are the "
            f"gradient times the learning rate {found.rate:.3g}: with it the loss rises to {found.up.loss:.4g}, "
            f"against it it becomes {found.down.loss:.4g}.",
            f"在 ({here.weights[0]:g}, {here.weights[1]:g}) 处损失为 {here.loss:.4g}，梯度为 ({gradient[0]:.4g}, "
            f"{gradient[1]:.4g})，与该处的等高线垂直。两个箭头都是梯度乘以学习率 {found.rate:.3g}：沿梯度走，损失变为 "
            f"{found.up.loss:.4g}；沿反方向走，变为 {found.down.loss:.4g}。",
        ),
        (
            Table(
                words("points", "点"),
                {
                    words("point", "点"): heads,
                    names[0]: [float(one.weights[0]) for one in points.values()],
                    names[1]: [float(one.weights[1]) for one in points.values()],
                    words("loss", "损失"): [one.loss for one in points.values()],
                    words("gradient, first", "梯度，第一个"): [float(one.gradient[0]) for one in points.values()],
                    words("gradient, second", "梯度，第二个"): [float(one.gradient[1]) for one in points.values()],
                },
            ),
            _grid(found.surface, names, words),
        ),
        draw,
        6.6,
        6.2,
        words,
    )


def _require_finite(surface: Surface) -> None:
    if not np.isfinite(surface.losses).any():
        raise TreadleError("no loss of this surface is finite, so that there is nothing to draw: choose another start")


def _grid(surface: Surface, names: list[str], words: Words) -> Table:
    columns = (*names, words("loss", "损失"))
    return grid_table(words("surface", "曲面"), surface.x, surface.y, surface.losses, columns)


def _steps(steps: Sequence[Step], names: list[str], words: Words) -> Table:
    return Table(
        words("descent", "下降"),
        {
            words("step", "步"): list(range(len(steps))),
            names[0]: [float(one.weights[0]) for one in steps],
            names[1]: [float(one.weights[1]) for one in steps],
            words("loss", "损失"): [one.loss for one in steps],
            words("gradient, first", "梯度，第一个"): [float(one.gradient[0]) for one in steps],
            words("gradient, second", "梯度，第二个"): [float(one.gradient[1]) for one in steps],
        },
    )
