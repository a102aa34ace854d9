"""What classes are taken for what, and whether probabilities are what they claim to be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.drawing import BLUE, GREY, RED, Drawing, Table
from treadle.figures.names import cut, score_text
from treadle.figures.source import Source
from treadle.language import ENGLISH, Words
from treadle.metrics import Calibration, ClassReport
from treadle.metrics.intervals import number, wilson

WRITTEN = 20  # classes up to which each cell has its number
FREQUENT = 15  # mistakes that are listed


def confusion_of(source: Source) -> tuple[ClassReport]:
    """Take what the run takes for what on the validation set.

    Raises:
        TreadleError: its data have no classes.
    """
    found = source.evaluation.classes
    if found is None:
        raise TreadleError("this run predicts numbers, which have no confusion matrix: take the figure predictions")
    return (found,)


def calibration_of_run(source: Source) -> tuple[Calibration]:
    """Take how the run's probabilities compare with how often it is right on the validation set.

    Raises:
        TreadleError: it gives no probabilities.
    """
    found = source.evaluation.calibration
    if found is None:
        raise TreadleError(
            "this run gives no probabilities to compare with how often it is right: take a loss for classes, such as "
            "cross_entropy, or for numbers the figure predictions"
        )
    return (found,)


def draw_confusion(report: ClassReport, *, words: Words = ENGLISH) -> Drawing:
    """Draw the confusion matrix as counts and as shares of each true class, and the most frequent mistakes.

    Args:
        report: of a run on a set.
    """
    matrix, names = report.confusion, [str(name) for name in report.classes]
    if report.elsewhere.any():
        matrix = np.column_stack([matrix, report.elsewhere])
    columns = [*names, words("none", "无")][: matrix.shape[1]]
    shares = np.divide(
        matrix, report.support[:, None], out=np.full(matrix.shape, np.nan), where=report.support[:, None] > 0
    )
    cells = [(t, p) for t, p in zip(*np.nonzero(matrix), strict=True)]
    size = 4.2 if len(names) <= WRITTEN else 5.2
    told = score_text(report.accuracy, words)
    return Drawing(
        words("Confusion matrix", "混淆矩阵"),
        words(
            f"{int(report.support.sum()):,} samples of the validation set by true class (rows) and predicted class "
            f"(columns); accuracy {told}. Shares are those of each row. On the right the most frequent "
            "mistakes.",
            f"验证集 {int(report.support.sum()):,} 个样本，行为真实类别，列为预测类别；准确率 {told}。"
            "比例按行计算。右侧是最常见的错误。",
        ),
        (
            Table(
                words("confusion", "混淆"),
                {
                    words("true", "真实"): [names[t] for t, _ in cells],
                    words("predicted", "预测"): [columns[p] for _, p in cells],
                    words("samples", "样本数"): [int(matrix[cell]) for cell in cells],
                    words("share of the true class", "占真实类别的比例"): [float(shares[cell]) for cell in cells],
                },
            ),
            Table(
                words("classes", "各类别"),
                {
                    words("class", "类别"): names,
                    words("samples", "样本数"): report.support.tolist(),
                    words("precision", "精确率"): report.precision.tolist(),
                    words("recall", "召回率"): report.recall.tolist(),
                    "F1": report.f1.tolist(),
                },
            ),
        ),
        lambda figure: _confusion(figure, matrix, shares, names, columns, words),
        2 * size + 3.6,
        size,
        words,
    )


def _confusion(figure: Any, matrix: Any, shares: Any, names: list[str], columns: list[str], words: Words) -> None:
    counts, rows, bars = figure.subplots(1, 3, width_ratios=(2, 2, 1.1))
    off = matrix.copy()
    np.fill_diagonal(off, 0)  # the colours are for mistakes: right ones would outshine them
    _matrix(counts, off if off.any() else matrix, matrix, "{:,}", names, columns)
    _matrix(rows, shares, shares, "{:.2f}", names, columns, 1.0)
    counts.set_title(words("samples; colours: those that are wrong", "样本数；颜色仅表示错误"), fontsize=9.5)
    rows.set_title(words("share of the true class", "占真实类别的比例"), fontsize=9.5)
    for axes in (counts, rows):
        axes.set(xlabel=words("predicted", "预测"), ylabel=words("true", "真实"))
    found = sorted(zip(*np.nonzero(off), strict=True), key=lambda cell: -off[cell])[:FREQUENT]
    labels = [f"{cut(names[t], 10)} → {cut(columns[p], 10)}" for t, p in found]
    bars.barh(range(len(found)), [off[cell] for cell in found], color=RED)
    bars.set_yticks(range(len(found)), labels, fontsize=8)
    bars.set_ylim(max(len(found), 5) - 0.4, -0.6)
    bars.set_title(words("most frequent mistakes", "最常见的错误"), fontsize=9.5)
    for place, cell in enumerate(found):
        bars.annotate(f"{off[cell]:,}", (off[cell], place), (3, 0), textcoords="offset points", va="center", fontsize=8)
    bars.margins(x=0.2)
    if not found:
        bars.text(0.5, 0.5, words("none", "没有"), transform=bars.transAxes, ha="center")
        bars.set_xticks([])


def _matrix(
    axes: Any, colours: Any, values: Any, form: str, names: list[str], columns: list[str], high: float | None = None
) -> None:
    most = high or float(max(colours.max(initial=0), 1))
    axes.imshow(colours, cmap="Blues", vmin=0, vmax=most, interpolation="nearest", aspect="auto")
    for setter, labels, turned in ((axes.set_yticks, names, 0), (axes.set_xticks, columns, 90)):
        apart = math.ceil(len(labels) / WRITTEN)
        shown = [cut(label, 12) for label in labels[::apart]]
        wide = max(map(len, shown), default=0) > 2
        setter(range(0, len(labels), apart), shown, fontsize=8, rotation=turned if wide else 0)
    if len(names) <= WRITTEN:
        small = 8 if len(names) <= 12 else 5.5
        for row, column in np.ndindex(values.shape):
            value = values[row, column]
            if value and np.isfinite(value):
                dark = colours[row, column] > 0.55 * most
                text = form.format(value) if value >= 0.005 else "<.01"
                axes.text(
                    column, row, text, ha="center", va="center", fontsize=small, color="white" if dark else "black"
                )
    axes.tick_params(length=2)


def draw_calibration(found: Calibration, *, words: Words = ENGLISH) -> Drawing:
    """Draw a reliability diagram: how often the predicted class is right, by its probability; and how many there are.

    Args:
        found: calibration of a run on a set.

    Source: DeGroot and Fienberg, The comparison and evaluation of forecasters, The Statistician 32, 1983.
    """
    edges = np.linspace(0, 1, len(found.counts) + 1)
    right = np.rint(np.nan_to_num(found.accuracy) * found.counts)
    low, high = wilson(right, found.counts)
    scores = {
        words("expected calibration error", "期望校准误差"): found.error,
        words("Brier score", "Brier 分数"): found.brier,
        words("log loss", "对数损失"): found.log_loss,
    }
    return Drawing(
        words("Calibration", "校准"),
        words(
            "Validation set: samples by the probability of their predicted class, and how often it is right, with 95 % "
            f"intervals. On the diagonal a probability is what it claims. Below it the run is too sure, above it not "
            f"sure enough. Expected calibration error {score_text(found.error, words)}.",
            f"验证集：按预测类别的概率把样本分组，看预测正确的频率，带 95 % 区间。落在对角线上表示概率名副其实；"
            f"低于对角线表示过于自信，高于对角线表示信心不足。期望校准误差 {score_text(found.error, words)}。",
        ),
        (
            Table(
                words("bins", "分组"),
                {
                    words("from", "从"): edges[:-1].tolist(),
                    words("to", "到"): edges[1:].tolist(),
                    words("samples", "样本数"): found.counts.tolist(),
                    words("mean probability", "平均概率"): found.confidence.tolist(),
                    words("share that is right", "正确的比例"): found.accuracy.tolist(),
                },
            ),
            Table(
                words("scores", "指标"),
                {
                    words("score", "指标"): list(scores),
                    words("value", "值"): [score.value for score in scores.values()],
                    words("interval from", "区间下限"): [
                        (score.interval or (math.nan,) * 2)[0] for score in scores.values()
                    ],
                    words("interval to", "区间上限"): [
                        (score.interval or (math.nan,) * 2)[1] for score in scores.values()
                    ],
                },
            ),
        ),
        lambda figure: _calibration(figure, found, edges, low, high, words),
        5.4,
        6.0,
        words,
    )


def _calibration(figure: Any, found: Calibration, edges: Any, low: Any, high: Any, words: Words) -> None:
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    there = np.flatnonzero(found.counts)
    width = edges[1] - edges[0]
    top.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="_" + words("what it claims", "名副其实"))
    x, y = found.confidence[there], found.accuracy[there]
    top.vlines(x, np.minimum(x, y), np.maximum(x, y), color=RED, linewidth=5, alpha=0.35, label="_gap")
    top.errorbar(
        x, y, [np.maximum(y - low[there], 0), np.maximum(high[there] - y, 0)], color=BLUE, marker="o", markersize=5,
        linestyle="none", capsize=3, label=words("share that is right", "正确的比例"),
    )  # fmt: skip
    top.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel=words("share that is right", "正确的比例"))
    value = words("expected calibration error", "期望校准误差")
    told = "NaN" if math.isnan(found.error.value) else number(found.error.value)
    top.set_title(f"{value}{words(': ', '：')}{told}", fontsize=10)
    bottom.bar(edges[:-1], found.counts, width, align="edge", color=BLUE, edgecolor="white")
    bottom.set(xlabel=words("probability of the predicted class", "预测类别的概率"), ylabel=words("samples", "样本数"))
    if len(there):
        bottom.set_yscale("log")
        bottom.set_ylim(0.5, 3 * found.counts.max())
        for place in there:
            bottom.annotate(
                f"{found.counts[place]}", (edges[place] + width / 2, found.counts[place]), (0, 2),
                textcoords="offset points", ha="center", fontsize=6.5,
            )  # fmt: skip
    else:
        top.text(0.5, 0.5, words("no probability is a number", "没有任何有效概率"), ha="center")
