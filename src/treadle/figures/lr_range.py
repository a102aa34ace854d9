"""The picture of a learning rate range test: too small, right and too large."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from treadle.figures.drawing import BLUE, GREEN, GREY, RED, drawn
from treadle.train import LrRange
from treadle.train.lr_range import RIGHT, TOO_LARGE, TOO_SMALL

COLOURS = {TOO_SMALL: BLUE, RIGHT: GREEN, TOO_LARGE: RED}


def draw_lr_range(found: LrRange) -> str:
    """Draw the loss at the end by the rate, and over the steps for a rate too small, the proposal and one too large.

    Raises:
        TreadleError: matplotlib is not installed.
    """
    return drawn(lambda figure: _draw(figure, found), 9, 3.6)


def _draw(figure: Any, found: LrRange) -> None:
    ends, curves = figure.subplots(1, 2)
    first = found.trials[0].losses[0]
    finite = [trial for trial in found.trials if math.isfinite(trial.final)]
    ends.plot([t.lr for t in finite], [min(t.final, 2 * first) for t in finite], color=GREY, zorder=1)
    for verdict, colour in COLOURS.items():
        mine = [trial for trial in found.trials if trial.verdict == verdict]
        heights = [min(trial.final, 2 * first) for trial in mine]
        ends.scatter([trial.lr for trial in mine], heights, color=colour, label=verdict, zorder=2)
    ends.axhline(first, color=GREY, linestyle=":")
    ends.axvline(found.proposal, color=GREEN, linestyle="--")
    ends.set(xscale="log", xlabel="learning rate", ylabel="loss at the end", ylim=(0, 2.1 * first))
    ends.set_title(f"proposed: {found.proposal:.2g}", fontsize=10)
    ends.legend(frameon=False)
    for verdict, colour in COLOURS.items():
        mine = [trial for trial in found.trials if trial.verdict == verdict]
        if mine:
            # the proposal itself, and of the others those that are wrong by the least
            trial = {
                TOO_SMALL: mine[-1],
                RIGHT: next((t for t in mine if t.lr == found.proposal), mine[0]),
                TOO_LARGE: mine[0],
            }[verdict]
            curves.plot(_smooth(trial.losses), color=colour, label=f"{trial.lr:.2g}, {verdict}")
    curves.set(xlabel="step", ylabel="loss", ylim=(0, 2.1 * first))
    curves.set_title("the same parameters, the same batches", fontsize=10)
    curves.legend(frameon=False)


def _smooth(losses: tuple[float, ...], width: int = 5) -> Any:
    """Running mean over the last few steps."""
    sums = np.cumsum(np.concatenate([[0.0], losses]))
    ends = np.arange(1, len(losses) + 1)
    starts = np.maximum(0, ends - width)
    return (sums[ends] - sums[starts]) / (ends - starts)
