"""The picture of a learning rate range test: too small, right and too large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.drawing import BLUE, GREEN, GREY, RED, Drawing, Table
from treadle.language import ENGLISH, Words
from treadle.train import LrRange
from treadle.train.lr_range import RIGHT, TOO_LARGE, TOO_SMALL, Trial

COLOURS = {TOO_SMALL: BLUE, RIGHT: GREEN, TOO_LARGE: RED}
CHINESE = {TOO_SMALL: "太小", RIGHT: "合适", TOO_LARGE: "太大"}
HIGHEST = 2  # times the first loss, up to which losses are shown


def draw_lr_range(found: LrRange, *, smooth: int = 1, words: Words = ENGLISH) -> Drawing:
    """Draw the loss at the end by the rate, and over the steps for a rate too small, the proposal and one too large.

    Args:
        found: what a range test found.
        smooth: steps over whose last ones losses are averaged; 1 shows them as they are.
        words: the language.

    Raises:
        TreadleError: smooth is below 1.
    """
    if not isinstance(smooth, int) or smooth < 1:
        raise TreadleError(f"smooth should be a whole number of steps, at least 1, found {smooth!r}")
    verdicts = {verdict: words(verdict, chinese) for verdict, chinese in CHINESE.items()}
    first = found.trials[0].losses[0]
    step, rate, loss = words("step", "步"), words("learning rate", "学习率"), words("loss", "损失")
    told = (
        words(f" Losses over the steps are means of the last {smooth}.", f"各步的损失是最近 {smooth} 步的平均。")
        if smooth > 1
        else ""
    )

    def draw(figure: Any) -> None:
        ends, curves = figure.subplots(1, 2)
        _ends(ends, found, verdicts, words)
        for verdict, trial in _shown(found).items():
            curves.plot(
                np.arange(1, len(trial.losses) + 1),
                _smooth(trial.losses, smooth),
                color=COLOURS[verdict],
                linewidth=1.2,
                label=words(f"{trial.lr:.2g}, {verdict}", f"{trial.lr:.2g}，{verdicts[verdict]}"),
            )
        curves.set(xlabel=step, ylabel=loss, ylim=(0, (HIGHEST + 0.1) * first))
        curves.set_title(words("the same parameters, the same batches", "相同的初始参数，相同的批次"), fontsize=10)
        curves.legend(frameon=False)

    return Drawing(
        words("Learning rates: too small, right, too large", "学习率：太小、合适、太大"),
        words(
            f"Each rate trained for {found.steps} steps. Left: the mean loss of the last quarter of the steps, a "
            "triangle where it is beyond the axis or training ended early; the dotted line is the loss at the "
            f"beginning. Right: the loss of each step. {found.proposal:.2g} is proposed, for its loss at the end is "
            "the lowest." + told,
            f"每个学习率各训练 {found.steps} 步。左：最后四分之一的步的平均损失，超出坐标轴或提前中止者画成三角；"
            f"虚点线是开始时的损失。右：每一步的损失。建议 {found.proposal:.2g}，因为它最后的损失最低。" + told,
        ),
        (
            Table(
                words("learning rates", "学习率"),
                {
                    rate: [trial.lr for trial in found.trials],
                    words("loss at the end", "最后的损失"): [trial.final for trial in found.trials],
                    words("verdict", "判断"): [verdicts[trial.verdict] for trial in found.trials],
                },
            ),
            _losses(found.trials, words("losses of the steps", "各步的损失"), (rate, step, loss)),
        ),
        draw,
        9,
        3.8,
        words,
    )


def _losses(trials: Sequence[Trial], name: str, columns: tuple[str, str, str]) -> Table:
    rows = [(trial.lr, step, loss) for trial in trials for step, loss in enumerate(trial.losses, 1)]
    return Table(name, dict(zip(columns, zip(*rows, strict=True), strict=True)))


def _ends(axes: Any, found: LrRange, verdicts: dict[str, str], words: Words) -> None:
    first = found.trials[0].losses[0]
    highest = HIGHEST * first
    inside = [trial for trial in found.trials if trial.final <= highest]
    axes.plot([t.lr for t in inside], [t.final for t in inside], color=GREY, zorder=1, label="_line")
    for verdict, colour in COLOURS.items():
        mine = [trial for trial in found.trials if trial.verdict == verdict]
        if not mine:
            continue
        seen = [trial for trial in mine if trial.final <= highest]
        axes.scatter([t.lr for t in seen], [t.final for t in seen], color=colour, label=verdicts[verdict], zorder=2)
        beyond = [trial.lr for trial in mine if not trial.final <= highest]
        axes.scatter(beyond, [highest] * len(beyond), color=colour, marker="^", label="_beyond", zorder=2)
    axes.axhline(first, color=GREY, linestyle=":", label="_first")
    axes.axvline(found.proposal, color=GREEN, linestyle="--", label="_proposal")
    axes.set(xscale="log", xlabel=words("learning rate", "学习率"), ylabel=words("loss at the end", "最后的损失"))
    axes.set_ylim(0, (HIGHEST + 0.1) * first)
    axes.set_title(words(f"proposed: {found.proposal:.2g}", f"建议：{found.proposal:.2g}"), fontsize=10)
    axes.legend(frameon=False)


def _shown(found: LrRange) -> dict[str, Trial]:
    """The proposal itself, and of the others those that are wrong by the least."""
    kinds = {verdict: [trial for trial in found.trials if trial.verdict == verdict] for verdict in COLOURS}
    right = [trial for trial in kinds[RIGHT] if trial.lr == found.proposal] or kinds[RIGHT]
    chosen = {TOO_SMALL: kinds[TOO_SMALL][-1:], RIGHT: right[:1], TOO_LARGE: kinds[TOO_LARGE][:1]}
    return {verdict: trials[0] for verdict, trials in chosen.items() if trials}


def _smooth(losses: tuple[float, ...], width: int) -> Any:
    """Running mean over the last few steps; of one step, the losses as they are."""
    if width == 1:
        return np.array(losses)
    return np.array(
        [math.fsum(losses[max(0, end - width) : end]) / min(end, width) for end in range(1, len(losses) + 1)]
    )
