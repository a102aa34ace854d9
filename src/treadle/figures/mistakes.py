"""The worst mistakes of a run: the samples themselves, what they are, what they were taken for, and their losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle.data import Dataset
from treadle.data.dataset import evenly
from treadle.data.sheet import SAMPLED, feature_names
from treadle.errors import TreadleError
from treadle.figures.drawing import BLUE, RED, Drawing, Table
from treadle.figures.names import cut
from treadle.figures.source import Source
from treadle.language import ENGLISH, Words
from treadle.train.evaluation import WORST, Worst

COLUMNS = 6
FEATURES = 5  # of a row that are shown: those farthest from the mean of the training set


def mistakes_of(source: Source) -> tuple[Sequence[Worst], Dataset, list[str], Any]:
    """Take the validation samples with the largest losses, and means and deviations of the training set's features."""
    if not source.evaluation.worst:
        raise TreadleError(f"worst mistakes need the losses of samples: {source.evaluation.loss.note}")
    if source.validation.inputs.ndim == 4:
        return source.evaluation.worst, source.validation, [], None
    train = np.asarray(evenly(source.sets.train, SAMPLED)[1].inputs, np.float64)
    train = train.reshape(len(train), -1)
    return source.evaluation.worst, source.validation, feature_names(source.sets), (train.mean(0), train.std(0))


def draw_mistakes(
    worst: Sequence[Worst], data: Dataset, names: Sequence[str], spread: Any, *, count: int = 18, words: Words = ENGLISH
) -> Drawing:
    """Draw the samples with the largest losses: images, or the features of rows that are farthest from the mean.

    Args:
        worst: these samples, that with the largest loss first.
        data: the set that they are of.
        names: of the features; not looked at where samples are images.
        spread: mean and standard deviation of each feature of the training set; None where samples are images.
        count: how many are drawn, at most 20.

    Raises:
        TreadleError: count is not between 1 and 20.
    """
    if not 1 <= count <= WORST:
        raise TreadleError(f"count should be between 1 and {WORST}, found {count}")
    shown = list(worst[:count])
    samples = np.asarray(data[np.array([one.index for one in shown])].inputs[:], np.float64)
    images = samples.ndim == 4
    columns = min(COLUMNS if images else 3, len(shown))
    rows = math.ceil(len(shown) / columns)
    table: dict[str, Sequence[Any]] = {
        words("sample", "样本"): [one.index for one in shown],
        words("place", "位置"): [one.place for one in shown],
        words("target", "目标"): [one.target for one in shown],
        words("prediction", "预测"): [one.prediction for one in shown],
        words("probability of the target", "目标的概率"): [_or_nan(one.target_probability) for one in shown],
        words("probability of the prediction", "预测的概率"): [_or_nan(one.prediction_probability) for one in shown],
        words("loss", "损失"): [one.loss for one in shown],
    }
    if not images:
        flat = samples.reshape(len(shown), -1)
        table |= {name: flat[:, place].tolist() for place, name in enumerate(names)}
    return Drawing(
        words("Worst mistakes", "最严重的错误"),
        words(
            f"The {len(shown)} of {len(data):,} validation samples with the largest losses; above each its number, "
            "target → prediction, their probabilities where there are any, and its loss.",
            f"验证集 {len(data):,} 个样本中损失最大的 {len(shown)} 个；上方为样本编号、目标 → 预测、二者的概率（若有）"
            "以及损失。",
        )
        + (
            words(
                " Red: the class is wrong; the others are right, but not sure.",
                "红色：类别错误；其余类别正确但把握小。",
            )
            if isinstance(shown[0].target, str)
            else ""
        )
        + (
            ""
            if images
            else words(
                f" Bars: the {min(FEATURES, len(names))} features that are farthest from the mean of the training set, "
                "in standard deviations, with their values.",
                f"条形：偏离训练集均值最远的 {min(FEATURES, len(names))} 个特征（以标准差为单位）及其取值。",
            )
        ),
        (Table(words("worst", "最严重的错误"), table),),
        lambda figure: _draw(figure, shown, samples, names, spread, rows, columns, words),
        max(columns * (1.75 if images else 3.2), 3.4),
        0.3 + rows * (2.15 if images else 1.75),
        words,
    )


def _draw(
    figure: Any, shown: Sequence[Worst], samples: Any, names: Any, spread: Any, rows: int, columns: int, words: Words
) -> None:
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    low, high = float(np.nanmin(samples)), float(np.nanmax(samples))
    for axes, one, sample in zip(places, shown, samples, strict=False):
        if sample.ndim == 3:
            image = np.moveaxis((sample - low) / (high - low if high > low else 1), 0, 2)
            axes.imshow(image if image.shape[2] == 3 else image.mean(axis=2), cmap="gray", vmin=0, vmax=1)
            axes.axis("off")
        else:
            _features(axes, sample.ravel(), names, *spread)
        wrong = isinstance(one.target, str) and one.target != one.prediction
        axes.set_title(_told(one, words), fontsize=7.5, linespacing=1.25, color="#aa2233" if wrong else "black")
    for axes in places[len(shown) :]:
        axes.axis("off")


def _features(axes: Any, sample: Any, names: Sequence[str], mean: Any, deviation: Any) -> None:
    with np.errstate(all="ignore"):
        far = np.where(deviation > 0, (sample - mean) / deviation, np.where(sample == mean, 0.0, np.inf))
    chosen = np.argsort(-np.abs(np.nan_to_num(far, nan=np.inf)), kind="stable")[:FEATURES]
    lengths = np.clip(np.nan_to_num(far[chosen], nan=0.0), -10, 10)
    axes.barh(range(len(chosen)), lengths, color=[BLUE if length >= 0 else RED for length in lengths])
    labels = [f"{cut(str(names[place]), 14)} = {sample[place]:.4g}" for place in chosen]
    axes.set_yticks(range(len(chosen)), labels, fontsize=7)
    axes.set_ylim(len(chosen) - 0.4, -0.6)
    reach = max(3.0, float(np.abs(lengths).max(initial=0)) * 1.05)
    axes.set_xlim(-reach, reach)
    axes.axvline(0, color="black", linewidth=0.7)
    axes.tick_params(axis="x", labelsize=6)
    axes.tick_params(axis="y", length=0)


def _told(one: Worst, words: Words) -> str:
    ends = [cut(v, 10) if isinstance(v, str) else f"{v:.4g}" for v in (one.target, one.prediction)]
    lines = [f"{one.index}{words(': ', '：')}{ends[0]} → {ends[1]}"]
    if one.target_probability is not None:
        lines.append(f"p = {one.target_probability:.2g} → {_or_nan(one.prediction_probability):.2g}")
    lines.append(words(f"loss {one.loss:.3g}", f"损失 {one.loss:.3g}"))
    return "\n".join(lines)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
