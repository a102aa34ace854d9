"""Why features are scaled: the loss over two weights without and with it, and how long descent takes there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.concepts import draw_path
from treadle.figures.drawing import BLUE, GREEN, GREY, Drawing, Table
from treadle.figures.features import Features, features_of
from treadle.figures.source import Source
from treadle.figures.surface import draw_contours
from treadle.language import ENGLISH, Words

Array = np.ndarray[Any, np.dtype[Any]]
NEAR = 1e-4  # share of what the loss can fall by, from which on descent has arrived
DRAWN = 1_000  # steps of a path
POINTS = 81  # of the grid along an axis


@dataclass(frozen=True)
class Bowl:
    """The squared loss of z = w₁x₁ + w₂x₂ + b over two weights, b always the best: lowest + ½ (w − best)ᵀ H (w − best).

    Args:
        hessian: H, (2, 2).
        best: weights where it is lowest, (2,).
        lowest: the loss there.
    """

    hessian: Array
    best: Array
    lowest: float

    @classmethod
    def of(cls, x: Array, y: Array) -> Bowl:
        """Make it for features (N, 2) and targets (N,).

        Raises:
            TreadleError: a feature is constant, or both tell the same.
        """
        x, y = x - x.mean(axis=0), y - y.mean()
        hessian = 2 * x.T @ x / len(x)
        ends = np.linalg.eigvalsh(hessian)
        if not ends[0] > 1e-12 * ends[1]:
            raise TreadleError(
                "one of the two features is constant, or both tell the same, so that no weights are the best: choose "
                "others with features=[…]"
            )
        best = np.linalg.lstsq(x, y)[0]
        return cls(hessian, best, float(np.mean((y - x @ best) ** 2)))

    @property
    def rate(self) -> float:
        """The learning rate that takes descent there fastest: 2 / (λ₁ + λ₂) of the eigenvalues of H."""
        return 2 / float(np.trace(self.hessian))

    @property
    def condition(self) -> float:
        """λ₂ / λ₁, the ratio of the largest to the smallest curvature: 1 where the contours are circles."""
        low, high = np.linalg.eigvalsh(self.hessian)
        return float(high / low)

    @property
    def steps(self) -> int:
        """Steps at this rate from weights 0, until the loss has but a share `NEAR` of its way to fall.

        Each takes what the loss is above the lowest to ((κ − 1) / (κ + 1))² of it.
        """
        left = (self.condition - 1) / (self.condition + 1)
        return 1 if left < math.sqrt(NEAR) else math.ceil(math.log(NEAR) / (2 * math.log(left)))

    def losses(self, points: Array) -> Array:
        """Return the loss at weights (…, 2)."""
        away = points - self.best
        found: Array = self.lowest + np.einsum("...i,ij,...j->...", away, self.hessian, away) / 2
        return found

    def path(self, steps: int) -> Array:
        """Return the weights (steps + 1, 2) of gradient descent from 0 at the best rate."""
        points = [np.zeros(2)]
        for _ in range(steps):
            points.append(points[-1] - self.rate * self.hessian @ (points[-1] - self.best))
        return np.array(points)


def scaling_of(
    source: Source,
    *,
    features: Sequence[str | int] | None = None,
    scale: str | None = None,
    samples: int = 10_000,
) -> tuple[Features]:
    """Take two features: those named, or the one that explains most of the target, and then of what is left."""
    return (features_of(source, 2, features, scale, samples),)


def draw_scaling(found: Features, *, words: Words = ENGLISH) -> Drawing:
    """Draw the squared loss of a linear model over the weights of two features, unscaled and scaled, with descents.

    Raises:
        TreadleError: a feature is constant, or both tell the same.
    """
    bowls = Bowl.of(found.raw, found.targets), Bowl.of(found.scaled, found.targets)
    heads = words("unscaled", "未缩放"), words(f"scaled ({found.kind})", f"缩放后（{found.kind}）")
    names = [words(f"weight of {one[0]}", f"{one[1]} 的权重") for one in found.names]
    paths = [bowl.path(min(bowl.steps, DRAWN)) for bowl in bowls]

    def draw(figure: Any) -> None:
        for axes, bowl, head, path in zip(figure.subplots(1, 2), bowls, heads, paths, strict=True):
            _panel(axes, bowl, path, words)
            told = words(
                f"condition number {bowl.condition:.3g}: {bowl.steps:,} steps at rate {bowl.rate:.3g}",
                f"条件数 {bowl.condition:.3g}：学习率 {bowl.rate:.3g} 时需 {bowl.steps:,} 步",
            )
            axes.set_title(f"{head}\n{told}", fontsize=10)
            axes.set(xlabel=names[0], ylabel=names[1])

    return Drawing(
        words("The loss over two weights, features unscaled and scaled", "两个权重上的损失：特征未缩放与缩放后"),
        _caption(found, bowls, words),
        (
            _told(bowls, heads, names, words),
            *(
                Table(
                    words(f"descent, {head}", f"下降，{head}"),
                    {
                        words("step", "步"): list(range(len(path))),
                        names[0]: path[:, 0].tolist(),
                        names[1]: path[:, 1].tolist(),
                        words("loss", "损失"): bowl.losses(path).tolist(),
                    },
                )
                for bowl, head, path in zip(bowls, heads, paths, strict=True)
            ),
        ),
        draw,
        10,
        5.4,
        words,
    )


def _panel(axes: Any, bowl: Bowl, path: Array, words: Words) -> None:
    half = 1.25 * max(float(np.abs(path - bowl.best).max()), 1e-12 * float(np.abs(bowl.best).max()), 1e-300)
    x, y = (np.linspace(middle - half, middle + half, POINTS) for middle in bowl.best)
    losses = bowl.losses(np.stack(np.meshgrid(x, y), axis=-1))
    draw_contours(axes, x, y, losses)
    height = bowl.losses(np.zeros(2)) - bowl.lowest
    if height > 0:
        axes.contour(
            x, y, losses, levels=bowl.lowest + height * np.array([0.01, 0.1, 0.3, 1]), colors=GREY, linewidths=0.8
        )
    draw_path(axes, path, BLUE, words("gradient descent", "梯度下降"))
    axes.plot(*bowl.best, color=GREEN, marker="+", markersize=11, linestyle="", label=words("lowest", "最低点"))
    axes.set_aspect("equal")
    axes.legend(frameon=True, framealpha=0.8, fontsize=8)


def _told(bowls: Sequence[Bowl], heads: Sequence[str], names: Sequence[str], words: Words) -> Table:
    columns: dict[str, list[Any]] = {
        words("features", "特征"): list(heads),
        words("condition number", "条件数"): [bowl.condition for bowl in bowls],
        words("best learning rate", "最佳学习率"): [bowl.rate for bowl in bowls],
        words("steps", "步数"): [bowl.steps for bowl in bowls],
        words("lowest loss", "最低损失"): [bowl.lowest for bowl in bowls],
    }
    for number, name in enumerate(names):
        alone = words(f"best rate of the {name} alone", f"仅 {name} 的最佳学习率")
        columns[alone] = [1 / float(bowl.hessian[number, number]) for bowl in bowls]
    return Table(words("descents", "下降"), columns)


def _caption(found: Features, bowls: Sequence[Bowl], words: Words) -> str:
    alone = [[f"{1 / bowl.hessian[n, n]:.3g}" for n in range(2)] for bowl in bowls]
    (raw, raw_other), (scaled, scaled_other) = alone
    first, second = (words(*name) for name in found.names)
    english = (
        f"Squared loss of z = w1·({first}) + w2·({second}) + b over {len(found.targets):,} training samples, b always "
        f"the best one; both axes have the same unit. Alone, w1 would need the learning rate {raw} and w2 "
        f"{raw_other}; scaled, {scaled} and {scaled_other}. Descent has one rate for both: the best one, from "
        f"weights 0 until 1/10,000 of the way is left."
    )
    chinese = (
        f"z = w1·({first}) + w2·({second}) + b 在 {len(found.targets):,} 个训练样本上的平方损失，"
        "b 始终取最佳值；两轴单位相同。"
        f"单独来看，w1 需要的学习率是 {raw}，w2 是 {raw_other}；缩放后是 {scaled} 和 {scaled_other}。"
        "梯度下降对两者只有一个学习率：这里取最佳的一个，从权重 0 出发，直到剩下的路程不足 1/10,000。"
    )
    if max(bowl.steps for bowl in bowls) > DRAWN:
        english += f" Of a path the first {DRAWN:,} steps are drawn."
        chinese += f"路径只画出前 {DRAWN:,} 步。"
    if math.isclose(bowls[0].condition, bowls[1].condition, rel_tol=1e-6):
        english += " Both features have one scale here, so that scaling changes the rate alone and not the shape."
        chinese += "这里两个特征共用一个缩放比例，因此缩放只改变学习率，不改变形状。"
    return words(english, chinese)
