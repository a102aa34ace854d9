"""Predicted numbers against true ones, and what is left between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.drawing import BLUE, GREY, RED, Drawing, Table
from treadle.figures.names import score_text
from treadle.figures.source import Source
from treadle.language import ENGLISH, Words
from treadle.metrics import value_report
from treadle.metrics.intervals import number

Array = np.ndarray[Any, np.dtype[Any]]
MANY = 4_000  # points from which on they are an image in the SVG


def predictions_of(source: Source) -> tuple[Array, Array]:
    """Take the run's predictions and the targets of the validation set, (N,) each.

    Raises:
        TreadleError: it predicts classes.
    """
    if source.run.loss.compares == "classes":
        raise TreadleError(
            "this run predicts classes, not numbers: take the figures confusion, mistakes and calibration"
        )
    predictions = source.run.predict(source.validation.inputs[:])
    return predictions[:, 0].astype(np.float64), np.asarray(source.validation.targets, np.float64)


def draw_predictions(predictions: Array, targets: Array, *, words: Words = ENGLISH) -> Drawing:
    """Draw predicted against true numbers, and the residuals target − prediction over the predictions and as counts.

    Args:
        predictions: (N,).
        targets: (N,).
    """
    residuals = targets - predictions
    report = value_report(predictions, targets)
    r2, root = score_text(report.r2, words), score_text(report.root, words)
    return Drawing(
        words("Predicted and true values", "预测值与真实值"),
        words(
            f"{len(targets):,} samples of the validation set; on the diagonal a prediction is right. R² {r2}, "
            f"root of the mean squared error {root}. Residuals are target − prediction: a bend or a funnel "
            "among them shows what the network has not learnt, or where it is less sure.",
            f"验证集 {len(targets):,} 个样本：落在对角线上表示预测正确。R² {r2}；均方根误差 {root}。"
            "残差为目标 − 预测：残差呈弯曲或喇叭形，说明网络有未学到的规律，或在某处把握较小。",
        ),
        (
            Table(
                words("predictions", "预测"),
                {
                    words("sample", "样本"): list(range(len(targets))),
                    words("true", "真实值"): targets.tolist(),
                    words("predicted", "预测值"): predictions.tolist(),
                    words("residual", "残差"): residuals.tolist(),
                },
            ),
        ),
        lambda figure: _draw(figure, predictions, targets, residuals, f"R² = {number(report.r2.value)}", words),
        10,
        4.0,
        words,
    )


def _draw(figure: Any, predictions: Array, targets: Array, residuals: Array, r2: str, words: Words) -> None:
    left, middle, right = figure.subplots(1, 3, width_ratios=(3, 3, 1.4))
    true, predicted, residual = words("true", "真实值"), words("predicted", "预测值"), words("residual", "残差")
    there = np.isfinite(predictions) & np.isfinite(targets)
    style = {"s": 14, "alpha": 0.6, "linewidth": 0, "color": BLUE, "rasterized": len(targets) > MANY}
    if not there.any():
        left.text(0.5, 0.5, words("no prediction is finite", "没有有限的预测值"), transform=left.transAxes, ha="center")
    else:
        both = np.concatenate([predictions[there], targets[there]])
        ends = [float(both.min()), float(both.max())]
        left.plot(ends, ends, color=GREY, linestyle="--", label="_diagonal")
        left.scatter(targets[there], predictions[there], label=predicted, **style)
        middle.scatter(predictions[there], residuals[there], label=residual, **style)
        right.hist(residuals[there], min(40, max(5, int(np.sqrt(there.sum())))), orientation="horizontal", color=BLUE)
    middle.axhline(0, color=GREY, linestyle="--", label="_zero")
    right.axhline(0, color=GREY, linestyle="--", label="_zero")
    right.axhline(float(np.mean(residuals[there])) if there.any() else 0, color=RED, linewidth=1, label="_mean")
    left.set_title(r2, fontsize=10)
    left.set(xlabel=true, ylabel=predicted)
    middle.set(xlabel=predicted, ylabel=residual)
    right.set_xlabel(words("samples; red: mean", "样本数；红线：均值"))
    right.sharey(middle)
    right.tick_params(labelleft=False)
