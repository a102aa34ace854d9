"""Learning curves: losses and scores by epoch, of a run, or of all seeds of a climb's steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.errors import TreadleError, suggest
from treadle.figures.drawing import BLUE, GREEN, GREY, PATHS, RED, Drawing, Table
from treadle.figures.names import cut, metric_name
from treadle.figures.source import Source
from treadle.ladder import Climb
from treadle.language import ENGLISH, Words
from treadle.runs.about import read_about

Array = np.ndarray[Any, np.dtype[np.float64]]
MOST = 8  # steps of a climb that are shown unless they are asked for
OTHERS = ("epoch", "learning_rate", "seconds", "waited")  # of a record, which are neither loss nor score
WIDE = 30  # ratio of losses from which on their axis is logarithmic


@dataclass(frozen=True)
class Curves:
    """The epochs of one recipe.

    Args:
        names: of the step of a climb, in English and in Chinese; empty for a run.
        histories: for each seed the records of its epochs.
        used: for each seed the epoch whose weights are used, None where none has ended.
    """

    names: tuple[str, str]
    histories: tuple[list[dict[str, Any]], ...]
    used: tuple[int | None, ...]

    def values(self, key: str) -> Array:
        """Return a score (seeds, epochs), NaN where there is none: a run may have stopped early."""
        longest = max((len(history) for history in self.histories), default=0)
        found = np.full((len(self.histories), longest), np.nan)
        for row, history in zip(found, self.histories, strict=True):
            for place, record in enumerate(history):
                value = record.get(key)
                row[place] = math.nan if value is None else value
        return found

    def scores(self) -> list[str]:
        """Return the keys of losses and scores."""
        return list(dict.fromkeys(k for history in self.histories for r in history for k in r if k not in OTHERS))


def curves_of(source: Source, *, steps: Sequence[str | int] | str | int | None = None) -> tuple[list[Curves]]:
    """Take the epochs of a run, or of steps of a climb: by name or number, where 0 is the baseline.

    Raises:
        TreadleError: there is no such step; steps are asked for of a run.
    """
    if source.kind != "climb":
        if steps is not None:
            raise TreadleError("steps are those of a climb, and this is a run: leave the setting out")
        used = source.run.weights_epoch if source.folder is None else source.about.weights_epoch
        return ([Curves(("", ""), (list(source.histories[""][0]),), (used,))],)
    climb = source.climb
    runs = climb.record.parent / "runs"
    chosen = _chosen(climb, steps)
    return (
        [
            Curves(
                (step.title(Words("en")), step.title(Words("zh"))),
                tuple(source.histories[step.name]),
                tuple(read_about(runs / r).weights_epoch for r in step.runs),
            )
            for step in climb.steps
            if step.name in chosen
        ],
    )


def _chosen(climb: Climb, steps: Sequence[str | int] | str | int | None) -> list[str]:
    there = [step.name for step in climb.steps if step.runs]
    if steps is None:
        kept = [step.name for step in climb.steps if step.kept]
        return there if len(there) <= MOST else kept[:1] + kept[1:][-(MOST - 1) :]
    names = []
    for wanted in [steps] if isinstance(steps, (str, int)) else steps:
        if isinstance(wanted, int) and 0 <= wanted < len(climb.steps):
            wanted = climb.steps[wanted].name
        if wanted not in there:
            raise TreadleError(
                f"no step of this climb that was trained is called {wanted!r}: {suggest(str(wanted), there)}, or a "
                f"number from 0, the baseline, to {len(climb.steps) - 1}"
            )
        names.append(str(wanted))
    return names


def draw_learning_curves(curves: Sequence[Curves], *, words: Words = ENGLISH) -> Drawing:
    """Draw losses and scores by epoch: the points of a run; of several seeds their mean, smallest and largest.

    Args:
        curves: of a run, or of each step of a climb.

    Raises:
        TreadleError: no epoch has ended.
    """
    curves = [one for one in curves if any(one.histories)]
    if not curves:
        raise TreadleError("no epoch of this run has ended yet, so that there are no learning curves")
    single = len(curves) == 1 and len(curves[0].histories) == 1
    keys = list(dict.fromkeys(key for one in curves for key in one.scores()))
    losses = [key for key in keys if key in ("train_loss", "train_loss_after", "validation_loss")]
    scores = [key for key in keys if key not in losses]
    panels = [losses, *([key] for key in scores)] if single else [[key] for key in (*losses, *scores)]
    mark, sign = ("The dashed line marks the epoch", "虚线") if single else ("Stars mark the epochs", "星号")
    used = words(f"{mark} whose weights are used.", f"{sign}标出所采用权重的轮次。")
    band = words(
        " Lines are means over seeds, bands reach from the smallest to the largest. Losses of different kinds cannot "
        "be compared.",
        "线为各种子的均值，色带从最小值到最大值；不同种类的损失不可相互比较。",
    )
    return Drawing(
        words("Learning curves", "学习曲线"),
        words(
            "Every point is an epoch; nothing is smoothed. The training loss is the mean over the batches of an epoch "
            f"while they were trained on, so that it is that of earlier weights than the validation loss. {used}",
            "每个点是一轮，未做任何平滑。训练损失是该轮各批次训练时的均值，因此所对应的权重早于验证集损失。" + used,
        )
        + ("" if single else band),
        tuple(_table(one, keys, words) for one in curves),
        lambda figure: _draw(figure, curves, panels, single, words),
        max(4.4 * min(len(panels), 3), 7),
        (3.6 if single else 3.8) * math.ceil(len(panels) / 3) + (0 if single else 0.24 * len(curves)),
        words,
    )


def _draw(figure: Any, curves: Sequence[Curves], panels: list[list[str]], single: bool, words: Words) -> None:
    from matplotlib.ticker import MaxNLocator

    columns = min(len(panels), 3)
    places = figure.subplots(math.ceil(len(panels) / columns), columns, squeeze=False).ravel()
    for axes, keys in zip(places, panels, strict=False):
        (_run if single else _bands)(axes, curves, keys, words)
        found = np.concatenate([one.values(key).ravel() for one in curves for key in keys])
        found = found[np.isfinite(found)]
        if "loss" in keys[0] and len(found) and found.min() > 0 and found.max() > WIDE * found.min():
            axes.set_yscale("log")
        if not len(found):
            axes.text(0.5, 0.5, words("no finite value", "没有有限值"), transform=axes.transAxes, ha="center")
        axes.set_xlabel(words("epoch", "轮（epoch）"))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        longest = max(one.values(keys[0]).shape[1] for one in curves)
        if longest == 1:
            axes.set_xlim(0.5, 1.5)
        axes.grid(axis="y", color="#eeeeee")
    for axes in places[len(panels) :]:
        axes.axis("off")
    if not single:
        from matplotlib.lines import Line2D

        star = Line2D([], [], marker="*", ms=9, mfc="white", mec="black", linestyle="none")
        handles = [*(line for line in places[0].lines if line.get_marker() == "."), star]
        labels = [*(handle.get_label() for handle in handles[:-1]), words("weights used", "所用权重")]
        figure.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=8.5)


def _run(axes: Any, curves: Sequence[Curves], keys: Sequence[str], words: Words) -> None:
    names = {
        "train_loss": words("training set, while training", "训练集（训练过程中）"),
        "train_loss_after": words("training set, after the epoch", "训练集（每轮之后）"),
        "validation_loss": words("validation set", "验证集"),
    }
    one = curves[0]
    for key, colour in zip(keys, (BLUE, RED, GREEN), strict=False):
        if key not in names:
            colour = RED
        elif key == "train_loss_after":
            colour = GREEN
        elif key == "validation_loss":
            colour = RED
        values = one.values(key)[0]
        axes.plot(
            1 + np.arange(len(values)), values, color=colour, marker=".", label=names.get(key, metric_name(key, words))
        )
    if one.used[0] is not None:
        told = words(f"weights used: epoch {one.used[0]}", f"所用权重：第 {one.used[0]} 轮")
        axes.axvline(one.used[0], color=GREY, linestyle="--", label=f"_{told}")
        axes.set_title(told, fontsize=9)
    if len(keys) > 1:
        axes.set_ylabel(words("loss", "损失"))
        axes.legend(frameon=False, fontsize=8.5)
    else:
        axes.set_ylabel(_name(keys[0], words))


def _bands(axes: Any, curves: Sequence[Curves], keys: Sequence[str], words: Words) -> None:
    for number, one in enumerate(curves):
        colour = PATHS[number % len(PATHS)]
        values = one.values(keys[0])
        there = np.isfinite(values).any(axis=0)
        epochs = 1 + np.flatnonzero(there)
        found = values[:, there]
        if not len(epochs):
            continue
        low, high, middle = np.nanmin(found, axis=0), np.nanmax(found, axis=0), np.nanmean(found, axis=0)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.18, linewidth=0, label=f"_{one.names[0]}")
        line = "-" if number < len(PATHS) else "--"
        axes.plot(epochs, middle, color=colour, marker=".", linestyle=line, label=cut(words(*one.names), 90))
        ends = [(e, row[e - 1]) for e, row in zip(one.used, values, strict=True) if e is not None and e <= len(row)]
        if ends:
            axes.scatter(
                *np.transpose(ends), marker="*", s=60, color=colour, edgecolor="black", linewidth=0.5, zorder=3,
                label=f"{words(*one.names)}: {words('weights used', '所用权重')}",
            )  # fmt: skip
    axes.set_title(_name(keys[0], words), fontsize=9.5)


def _name(key: str, words: Words) -> str:
    told = {
        "train_loss": words("training loss", "训练损失"),
        "train_loss_after": words("loss on the training set after the epoch", "每轮之后的训练集损失"),
    }
    return told.get(key, metric_name(key, words))


def _table(one: Curves, keys: Sequence[str], words: Words) -> Table:
    name = words(*one.names) or words("epochs", "各轮")
    rows = [(seed, place) for seed, history in enumerate(one.histories) for place in range(len(history))]
    columns: dict[str, list[Any]] = {}
    if len(one.histories) > 1:
        columns[words("run", "运行")] = [seed + 1 for seed, _ in rows]
    columns[words("epoch", "轮")] = [place + 1 for _, place in rows]
    for key in keys:
        values = one.values(key)
        columns[_name(key, words)] = [float(values[row]) for row in rows]
    columns[words("weights used", "所用权重")] = [
        words("yes", "是") if one.used[seed] == place + 1 else "" for seed, place in rows
    ]
    return Table(name, columns)
