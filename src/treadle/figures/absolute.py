"""Why errors are squared: squared against absolute error over one parameter, with their slopes."""

from __future__ import annotations

from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.drawing import BLUE, GREEN, GREY, RED, Drawing, Table
from treadle.figures.features import Features, features_of
from treadle.figures.source import Source
from treadle.language import ENGLISH, Words

Array = np.ndarray[Any, np.dtype[Any]]
POINTS = 201  # along the parameter
WIDE = 6  # of the natural width of the parabola, to each side


def squared_and_absolute_of(
    source: Source, *, feature: str | int | None = None, scale: str | None = None, samples: int = 10_000
) -> tuple[Features]:
    """Take one feature: that named, or the one that explains most of the target."""
    return (features_of(source, 1, feature, scale, samples),)


def draw_squared_and_absolute(found: Features, *, words: Words = ENGLISH) -> Drawing:
    """Draw both errors of z = wx + b over w, b that of least squares, and their slopes: for all samples, and for one.

    Raises:
        TreadleError: the feature is constant.
    """
    x, y, name = found.scaled[:, 0], found.targets, words(*found.names[0])
    if not np.ptp(x) > 0:
        raise TreadleError("the feature is constant, so that no weight is the best: choose another with feature=…")
    slope, bias = np.polyfit(x, y, 1)
    # where the errors are alike for all samples, any width is natural
    width = float(np.sqrt(np.mean((y - slope * x - bias) ** 2) / np.mean(x**2))) or max(abs(float(slope)), 1.0)
    weights = slope + np.linspace(-WIDE, WIDE, POINTS) * width
    one = _sample(x, y, float(slope), float(bias))
    all_, alone = _curves(x, y, weights, bias), _curves(x[one : one + 1], y[one : one + 1], weights, bias)
    labels = words(f"mean over {len(x):,} samples", f"{len(x):,} 个样本的平均"), words("one sample alone", "单个样本")
    weight = words(f"weight w of {name}", f"{name} 的权重 w")
    heads = words("squared error", "平方误差"), words("absolute error", "绝对误差")
    slopes = (
        words("slope of the squared error", "平方误差的斜率"),
        words("slope of the absolute error", "绝对误差的斜率"),
    )

    def draw(figure: Any) -> None:
        panels = figure.subplots(2, 2, sharex=True)
        for column, (colour, head) in enumerate(zip((BLUE, RED), heads, strict=True)):
            for row, told in enumerate((head, slopes[column])):
                axes = panels[row][column]
                axes.plot(weights, all_[2 * row + column], color=colour, label=labels[0])
                axes.plot(weights, alone[2 * row + column], color=colour, linestyle=":", label=labels[1])
                axes.set_ylabel(told, fontsize=9)
            best = int(np.argmin(all_[column]))
            lowest = words("lowest", "最低点")
            panels[0][column].plot(
                weights[best], all_[column][best], color=GREEN, marker="o", linestyle="", label=lowest
            )
            panels[0][column].set_title(head, fontsize=10)
            panels[1][column].axhline(0, color=GREY, linewidth=0.8, label="_zero")
            panels[1][column].set_xlabel(weight)
            panels[0][column].legend(frameon=False, fontsize=8)

    names = (*heads, *slopes)
    return Drawing(
        words("Squared and absolute error over one parameter", "平方误差与绝对误差随一个参数的变化"),
        words(
            f"z = w·({name}) + b, the feature scaled by {found.kind}, b = {bias:.4g}. The squared error is a "
            "parabola: its lowest point is smooth, and its slope shrinks on the way there, which tells how near it is. "
            "The absolute error of a sample is a V: its slope is as steep at the lowest point as far away, and "
            "jumps there; a mean of many V's is rounded at its foot, with straight arms.",
            f"z = w·({name}) + b，特征按 {found.kind} 缩放，b = {bias:.4g}。平方误差是抛物线：最低点光滑，"
            "越接近最低点斜率越小，由此可知离它还有多远。一个样本的绝对误差是 V 形："
            "最低点附近的斜率与远处一样陡，并在该处跳变；"
            "许多 V 形的平均底部变圆，两臂仍是直的。",
        ),
        tuple(
            Table(label, {weight: weights.tolist(), **dict(zip(names, map(np.ndarray.tolist, curves), strict=True))})
            for label, curves in zip(labels, (all_, alone), strict=True)
        ),
        draw,
        9,
        5.4,
        words,
    )


def _curves(x: Array, y: Array, weights: Array, bias: float) -> list[Array]:
    """Squared and absolute error over weights, and the slopes of both."""
    away = [x * weight + bias - y for weight in weights]
    return [
        np.array([np.mean(one**2) for one in away]),
        np.array([np.mean(np.abs(one)) for one in away]),
        np.array([np.mean(2 * one * x) for one in away]),
        np.array([np.mean(np.sign(one) * x) for one in away]),
    ]


def _sample(x: Array, y: Array, slope: float, bias: float) -> int:
    """The sample of a large feature, at least half of the largest, whose own best weight is nearest to that of all."""
    large = np.abs(x) >= np.abs(x).max() / 2
    with np.errstate(all="ignore"):
        away = np.where(large, np.abs((y - bias) / x - slope), np.inf)
    return int(np.argmin(away))
