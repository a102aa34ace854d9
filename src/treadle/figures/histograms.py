"""Weights and gradients of each layer over the steps of a training, which is made again for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle.errors import TreadleError, suggest
from treadle.figures.drawing import BLUE, RED, Drawing, Table
from treadle.figures.source import Source
from treadle.language import ENGLISH, Words
from treadle.train import Distributions, distributions
from treadle.train.distributions import LOOKS, Spread

Array = np.ndarray[Any, np.dtype[Any]]
STEPS = 1_000  # that are trained unless told
MOST = 8  # parameters that are drawn unless they are asked for
HEIGHT = 64  # bins of a drawn histogram, about
TAIL = 0.001  # share of values on either side that may lie outside


def histograms_of(source: Source, *, steps: int | None = None, looks: int = LOOKS) -> tuple[Distributions]:
    """Train the recipe again from its seed, as `fit` does to the bit, and look at some steps.

    Args:
        source: a recipe, or a run with one.
        steps: of training; those of the run or recipe unless told, at most 1,000.
        looks: how many of them are looked at, at equal ratios.
    """
    recipe, sets = source.recipe, source.sets
    settings = recipe.training_settings()
    batches, rest = divmod(len(sets.train), settings["batch_size"])
    total = (batches + (rest > 0 and not settings["drop_last"])) * recipe.training.epochs
    found = distributions(
        recipe.build_network(sets.train.classes, sets.train.shape),
        sets,
        steps=max(1, min(STEPS, total)) if steps is None else steps,
        looks=looks,
        metrics=recipe.training.metrics,
        **settings,
    )
    return (found,)


def draw_histograms(
    found: Distributions, *, parameters: Sequence[str] | str | None = None, words: Words = ENGLISH
) -> Drawing:
    """Draw how weights and gradients are distributed, step by step, with their spread and the share of zeros.

    Args:
        found: measured by `td.train.distributions`.
        parameters: paths, or layers with all of theirs; weights of at most 8 layers unless told.

    Raises:
        TreadleError: there is no such parameter.
    """
    chosen = _chosen(found, parameters)
    other = len(found.shapes) - len(chosen)
    stopped = ""
    if found.stopped:
        stopped = words(f" Training ended early: {found.stopped}.", f"训练提前结束：{found.stopped}。")
    drawn = {path: [_histogram(of[path]) for of in (found.weights, found.gradients)] for path in chosen}
    tables = [_spreads(path, found, words) for path in found.shapes]
    kinds = (words("weights", "权重"), words("gradients", "梯度"))
    for path, both in drawn.items():
        tables += [_counts(f"{path}: {kind}", one, found.steps, words) for kind, one in zip(kinds, both, strict=True)]
    return Drawing(
        words("Weights and gradients over the steps", "权重与梯度随训练步的分布"),
        words(
            f"Trained again from its seed; {len(found.steps)} of its first {found.steps[-1]:,} steps were looked "
            "at, at equal ratios. Each column of a picture is the histogram of a step: darker where more values "
            "lie; values that are exactly 0 are left out of it and counted on the right, beside the standard "
            "deviations. Weights are those that the step begins with, gradients those of its batch before any "
            f"decay or clipping. 0.1 % of the values on either side may lie outside. {other} other parameters are "
            f"in the tables.{stopped}",
            f"从同一种子重新训练，在前 {found.steps[-1]:,} 步中按等比间隔查看 {len(found.steps)} 步。"
            "图中每一列是一步的直方图，颜色越深表示值越多；恰为 0 的值不计入，其比例与标准差见右侧。"
            "权重为该步开始时的值，梯度为该步批次的值，未经衰减与裁剪。"
            f"两侧各有至多 0.1 % 的值可能在图外。其余 {other} 个参数见数据表。{stopped}",
        ),
        tuple(tables),
        lambda figure: _draw(figure, found, drawn, words),
        11,
        0.8 + 1.75 * len(chosen),
        words,
    )


def _chosen(found: Distributions, parameters: Sequence[str] | str | None) -> list[str]:
    if parameters is None:
        wide = [path for path, shape in found.shapes.items() if len(shape) > 1] or list(found.shapes)
        places = np.unique(np.linspace(0, len(wide) - 1, min(MOST, len(wide))).round().astype(int))
        return [wide[place] for place in places]
    chosen = []
    for name in [parameters] if isinstance(parameters, str) else parameters:
        mine = [path for path in found.shapes if path == name or path.startswith(f"{name}.")]
        if not mine:
            raise TreadleError(f"no trained parameter is called {name!r}: {suggest(str(name), found.shapes)}")
        chosen += mine
    return list(dict.fromkeys(chosen))


def _histogram(spreads: Sequence[Spread]) -> tuple[Array, Array]:
    """Counts (looks, bins) of values that are not 0, and the edges of the bins, without the tails."""
    reach = max(one.reach for one in spreads)
    bins = len(spreads[0].counts)
    counts = np.array([one.over(reach) for one in spreads])
    counts[:, bins // 2] -= [round(one.zeros * (int(one.counts.sum()) + one.broken)) for one in spreads]
    counts = np.maximum(counts, 0)
    edges = np.linspace(-reach, reach, bins + 1)
    shares = np.cumsum(counts, axis=1) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    some = counts.any(axis=1)
    if not some.any():
        return counts[:, bins // 2 - 2 : bins // 2 + 2], edges[bins // 2 - 2 : bins // 2 + 3]
    first = min(int(np.argmax(row > TAIL)) for row in shares[some])
    last = max(int(np.argmax(row >= 1 - TAIL)) for row in shares[some]) + 1
    together = max(1, (last - first) // HEIGHT)
    first -= first % together
    last = min(bins, last + (-(last - first)) % together)
    kept = counts[:, first:last]
    kept = np.pad(kept, ((0, 0), (0, -kept.shape[1] % together))).reshape(len(kept), -1, together).sum(axis=2)
    begins = edges[0] + (first + together * np.arange(kept.shape[1] + 1)) * (edges[1] - edges[0])
    return kept, begins


def _draw(figure: Any, found: Distributions, drawn: dict[str, list[tuple[Array, Array]]], words: Words) -> None:
    panels = figure.subplots(len(drawn), 4, width_ratios=(3, 3, 2.2, 2.2), squeeze=False)
    heads = (
        words("weights", "权重"),
        words("gradients", "梯度"),
        words("standard deviation", "标准差"),
        words("share of zeros", "零的比例"),
    )
    for axes, head in zip(panels[0], heads, strict=True):
        axes.set_title(head, fontsize=9.5)
    for row, (path, both) in zip(panels, drawn.items(), strict=True):
        for axes, (counts, edges) in zip(row, both, strict=False):
            _heat(axes, counts, edges, found.steps)
        shape = "×".join(map(str, found.shapes[path]))
        row[0].set_ylabel(f"{path}\n{shape}", fontsize=8)
        for spreads, colour, head in ((found.weights[path], BLUE, heads[0]), (found.gradients[path], RED, heads[1])):
            style = {"color": colour, "marker": ".", "markersize": 4, "linewidth": 1, "label": f"{path}: {head}"}
            deviations = np.array([one.deviation for one in spreads])
            row[2].plot(found.steps, np.where(deviations > 0, deviations, np.nan), **style)
            row[3].plot(found.steps, [one.zeros for one in spreads], **style)
            if (deviations > 0).any():
                row[2].set_yscale("log")
        row[3].set_ylim(-0.04, 1.04)
        for axes in row[2:]:
            axes.set_xscale("log")
            axes.tick_params(which="both", labelsize=7)
            axes.grid(axis="y", color="#eeeeee")
    for axes in panels[-1]:
        axes.set_xlabel(words("step", "步"), fontsize=9)
    handles = panels[0][2].lines[:2]
    figure.legend(handles, heads[:2], loc="outside upper right", ncols=2, frameon=False, fontsize=8.5)


def _heat(axes: Any, counts: Array, edges: Array, steps: Sequence[int]) -> None:
    from matplotlib.colors import PowerNorm

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    most = float(shares.max(initial=0)) or 1.0
    axes.imshow(
        shares.T,
        origin="lower",
        aspect="auto",
        cmap="Blues",
        norm=PowerNorm(0.5, 0, most),
        extent=(-0.5, len(steps) - 0.5, edges[0], edges[-1]),
        interpolation="nearest",
    )
    apart = math.ceil(len(steps) / 6)
    places = list(range(0, len(steps), apart))
    axes.set_xticks(places, [f"{steps[place]:,}" for place in places])
    axes.tick_params(labelsize=7, length=2)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axes.yaxis.get_offset_text().set_fontsize(7)


def _spreads(path: str, found: Distributions, words: Words) -> Table:
    columns: dict[str, Sequence[Any]] = {words("step", "步"): found.steps, words("loss", "损失"): found.losses}
    kinds = ((found.weights, words("weights: ", "权重：")), (found.gradients, words("gradients: ", "梯度：")))
    for kind, name in kinds:
        spreads = kind[path]
        columns |= {
            name + words("mean", "均值"): [one.mean for one in spreads],
            name + words("standard deviation", "标准差"): [one.deviation for one in spreads],
            name + words("smallest", "最小"): [one.low for one in spreads],
            name + words("largest", "最大"): [one.high for one in spreads],
            name + words("share of zeros", "零的比例"): [one.zeros for one in spreads],
            name + words("not finite", "非有限值"): [one.broken for one in spreads],
        }
    return Table(path, columns)


def _counts(name: str, drawn: tuple[Array, Array], steps: Sequence[int], words: Words) -> Table:
    counts, edges = drawn
    heads = [words(f"step {step}", f"第 {step} 步") for step in steps]
    return Table(
        name,
        {
            words("from", "从"): edges[:-1].tolist(),
            words("to", "到"): edges[1:].tolist(),
            **{head: row.tolist() for head, row in zip(heads, counts, strict=True)},
        },
    )
