"""Figures of ideas, which need no data: sigmoid, softmax, and the paths of optimisers in a valley."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.drawing import BLUE, GREEN, GREY, PATHS, Drawing, Table
from treadle.language import ENGLISH, Words
from treadle.optim import SGD, AdaGrad, Adam, Momentum, Optimizer

Array = np.ndarray[Any, np.dtype[np.float64]]
START, CURVATURE = (-7.0, 2.0), (0.1, 2.0)  # of f = x²/20 + y²


def draw_sigmoid(*, low: float = -8.0, high: float = 8.0, words: Words = ENGLISH) -> Drawing:
    """Draw the sigmoid 1 / (1 + e^−x) from low to high, that excluded, in steps of 0.1.

    Raises:
        TreadleError: the limits are not finite, or not in order; there would be more than 100,000 steps.
    """
    if not (-1e6 < low < high < 1e6 and high - low <= 10_000):
        raise TreadleError(f"low and high should be finite, in order and at most 10,000 apart, found {low} and {high}")
    x = np.arange(low, high, 0.1)
    y = np.exp(-np.logaddexp(0, -x))

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.axhline(0.5, color=GREY, linewidth=0.8)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.plot(x, y, color=BLUE, label="sigmoid")
        axes.set(xlabel="x", ylabel="1 / (1 + exp(−x))", ylim=(-0.03, 1.03))

    return Drawing(
        words("Sigmoid", "Sigmoid 函数"),
        words(
            "Any number becomes one between 0 and 1; 0 becomes 0.5. Far from 0 the curve is flat, so that its "
            "gradient, which is 0.25 at most, is nearly 0 there.",
            "任何数都变为 0 与 1 之间的数，0 变为 0.5。远离 0 处曲线平坦，因此那里的梯度（最大为 0.25）几乎为 0。",
        ),
        (Table("sigmoid", {"x": x.tolist(), "sigmoid": y.tolist()}),),
        draw,
        6,
        3.6,
        words,
    )


def draw_softmax(*, scores: Sequence[float] = (3.0, 1.0, -3.0), words: Words = ENGLISH) -> Drawing:
    """Draw how scores become probabilities: e^z of each, divided by their sum.

    Raises:
        TreadleError: there are no scores, more than 20, or some are not finite.
    """
    z = np.asarray(scores, dtype=np.float64)
    if z.ndim != 1 or not 0 < len(z) <= 20 or not np.isfinite(z).all():
        raise TreadleError(f"scores should be up to 20 finite numbers, found {scores!r}")
    with np.errstate(over="ignore"):
        powers = np.exp(z)
    shifted = np.exp(z - z.max())  # the same shares, and no overflow
    shares = shifted / shifted.sum()
    names = [f"z{number}" for number in range(1, len(z) + 1)]

    def draw(figure: Any) -> None:
        panels = figure.subplots(1, 3)
        heads = (words("score z", "得分 z"), "exp(z)", words("exp(z) ÷ sum", "exp(z) ÷ 总和"))
        for axes, head, values in zip(panels, heads, (z, powers, shares), strict=True):
            axes.bar(names, np.where(np.isfinite(values), values, 0), color=[PATHS[n % 6] for n in range(len(z))])
            axes.set_title(head, fontsize=10)
            axes.axhline(0, color="black", linewidth=0.8)
            axes.margins(y=0.15)
            for place, value in enumerate(values):
                end = value if np.isfinite(value) else 0
                axes.annotate(
                    f"{value:.4g}" if abs(value) >= 0.01 or value == 0 else f"{value:.5f}",
                    (place, end),
                    (0, 3 if end >= 0 else -11),
                    textcoords="offset points",
                    ha="center",
                    fontsize=9,
                )
        panels[2].set_ylim(0, 1.1)

    return Drawing(
        words("Softmax", "Softmax"),
        words(
            "Scores become positive by e^z, and sum to 1 once divided by their sum: probabilities, in the same order.",
            "得分经 e^z 变为正数，再除以它们的总和，于是和为 1：成为概率，大小次序不变。",
        ),
        (
            Table(
                "softmax",
                {"score": z.tolist(), "exp": powers.tolist(), "softmax": shares.tolist()},
            ),
        ),
        draw,
        8,
        2.8,
        words,
    )


def draw_descent(*, steps: int = 30, words: Words = ENGLISH) -> Drawing:
    """Draw the paths of SGD, Momentum, AdaGrad and Adam on f = x²/20 + y² from (−7, 2), a valley that is narrow in y.

    Raises:
        TreadleError: steps is not between 1 and 1,000.

    Source: Saito, Deep learning from scratch, O'Reilly Japan 2016, chapter 6.
    """
    if not 1 <= steps <= 1_000:
        raise TreadleError(f"steps should be between 1 and 1,000, found {steps}")
    optimizers: list[Optimizer] = [SGD(0.95), Momentum(0.1), AdaGrad(1.5), Adam(0.3)]
    paths = [descent(optimizer, steps) for optimizer in optimizers]

    def draw(figure: Any) -> None:
        x, y = np.linspace(-8, 4, 49), np.linspace(-3, 3, 49)
        losses = x[None] ** 2 / 20 + y[:, None] ** 2
        for axes, optimizer, path, colour in zip(
            figure.subplots(2, 2, sharex=True, sharey=True).flat, optimizers, paths, PATHS, strict=False
        ):
            axes.contour(x, y, losses, levels=np.array([0.1, 0.5, 1, 2, 3, 4, 6, 8, 10]), colors=GREY, linewidths=0.6)
            draw_path(axes, path, colour, repr(optimizer))
            axes.plot(0, 0, color=GREEN, marker="+", markersize=9)
            axes.set_title(repr(optimizer), fontsize=10)
            axes.set(xlabel="x", ylabel="y", aspect="equal")

    return Drawing(
        words("Four optimisers in a narrow valley", "狭长山谷中的四种优化器"),
        words(
            f"f = x²/20 + y², {steps} steps from (−7, 2): each dot is a step, the cross the end, the plus the minimum. "
            "SGD swings across the valley, for the gradient does not point along it; the others swing less, or scale "
            "each parameter's step.",
            f"f = x²/20 + y²，从 (−7, 2) 出发走 {steps} 步：每个点是一步，叉是终点，加号是最小值。"
            "SGD 在山谷两壁间摆动，因为梯度并不沿着山谷；其他方法摆动较小，或为每个参数调整步长。",
        ),
        tuple(
            Table(repr(optimizer), {"x": path[:, 0].tolist(), "y": path[:, 1].tolist()})
            for optimizer, path in zip(optimizers, paths, strict=True)
        ),
        draw,
        9,
        5.4,
        words,
    )


def descent(optimizer: Optimizer, steps: int) -> Array:
    """Return the points (steps + 1, 2) of an optimiser on f = x²/20 + y² from (−7, 2)."""
    points = [np.array(START)]
    state = optimizer.init(points[0])
    for _ in range(steps):
        point, state = optimizer.step(points[-1], points[-1] * np.array(CURVATURE), state)
        points.append(point)
    return np.array(points)


def draw_path(axes: Any, points: Array, colour: str, label: str) -> None:
    """Draw a path with its steps, a dot at its beginning, and a cross at its end."""
    axes.plot(points[:, 0], points[:, 1], color=colour, marker=".", markersize=4, linewidth=1.4, label=label)
    axes.plot(*points[0], color=colour, marker="o", markersize=6)
    axes.plot(*points[-1], color=colour, marker="X", markersize=8)


def draw_cross_entropy(*, probabilities: Sequence[float] = (0.6, 0.1), words: Words = ENGLISH) -> Drawing:
    """Draw the cross-entropy −log p of a sample by the probability p of its class, with some marked.

    Raises:
        TreadleError: there are no probabilities, more than 10, or some are not above 0 and at most 1.
    """
    marked = np.asarray(probabilities, dtype=np.float64)
    if marked.ndim != 1 or not 0 < len(marked) <= 10 or not ((marked > 0) & (marked <= 1)).all():
        raise TreadleError(f"probabilities should be up to 10 numbers above 0 and at most 1, found {probabilities!r}")
    lowest = min(0.01, float(marked.min()))
    p = np.unique(np.concatenate([np.geomspace(lowest, 1, 200), np.linspace(0.01, 1, 100), marked]))
    losses = -np.log(p) + 0.0  # not −0 at 1
    chosen = -np.log(marked) + 0.0

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot(p, losses, color=BLUE, label="−log p")
        for number, (at, loss) in enumerate(zip(marked, chosen, strict=True)):
            colour = PATHS[1 + number % (len(PATHS) - 1)]
            label = f"−log {at:g} = {loss:.2f}"
            axes.plot([at, at, 0], [0, loss, loss], color=GREY, linestyle=":", linewidth=1, label="_guide")
            axes.plot(at, loss, color=colour, marker="o", markersize=7, linestyle="", label=label, clip_on=False)
            axes.annotate(label, (at, loss), (8, 6), textcoords="offset points", fontsize=10)
        axes.set(xlabel=words("probability p of the right class", "正确类别的概率 p"), xlim=(0, 1.03))
        axes.set(ylabel=words("cross-entropy −log p", "交叉熵 −log p"), ylim=(0, 1.06 * float(losses.max())))

    shown = words("; ", "；").join(f"−log {at:g} = {loss:.2f}" for at, loss in zip(marked, chosen, strict=True))
    return Drawing(
        words("Cross-entropy of one sample", "单个样本的交叉熵"),
        words(
            f"Only the probability of the right class counts. Where it is 1 the loss is 0; the smaller it is, the more "
            f"the loss grows, beyond all bounds: {shown}.",
            f"只有正确类别的概率起作用：概率为 1 时损失为 0，概率越小损失越大，没有上限：{shown}。",
        ),
        (
            Table(words("marked", "标出的点"), {"p": marked.tolist(), "−log p": chosen.tolist()}),
            Table(words("curve", "曲线"), {"p": p.tolist(), "−log p": losses.tolist()}),
        ),
        draw,
        6.4,
        4,
        words,
    )
