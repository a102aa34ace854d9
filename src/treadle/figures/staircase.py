"""A climb as a staircase: what each change did, seed by seed; and what changes are worth in another order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from treadle.errors import TreadleError
from treadle.figures.drawing import BLUE, GREEN, GREY, RED, Drawing, Table
from treadle.figures.names import metric_name, wrapped
from treadle.figures.source import Source
from treadle.ladder import Climb, Step
from treadle.ladder.ladder import BASELINE
from treadle.ladder.statistics import MOST_SEEDS
from treadle.language import ENGLISH, Words

VERDICTS = {
    BASELINE: ("baseline", "基线", BLUE),
    "better": ("better", "更好", GREEN),
    "worse": ("worse", "更差", RED),
    "cannot tell": ("cannot tell", "无法判断", "#777777"),
    "failed": ("failed", "失败", "black"),
}
VIEWS = {
    "climb": ("in the order of the climb", "按攀登的次序"),
    "ablate": ("left out of the top", "从顶端配方中去掉"),
    "alone": ("made to the baseline alone", "单独加到基线上"),
}


def climb_of(source: Source) -> tuple[Climb]:
    """Take the climb."""
    return (source.climb,)


def draw_staircase(climb: Climb, *, words: Words = ENGLISH) -> Drawing:
    """Draw each step of a climb: the metric of each seed, the paired change with its interval, and the verdict.

    Args:
        climb: that was made, or the part of it that is done.
    """
    steps, ladder = climb.steps, climb.ladder
    metric = metric_name(ladder.metric, words)
    better = (
        words("higher is better", "越高越好") if ladder.higher_is_better() else words("lower is better", "越低越好")
    )
    done, rungs = len(steps) - 1, len(ladder.rung)
    so_far = "" if done == rungs else words(f" {done} of {rungs} rungs so far.", f"目前完成 {rungs} 级中的 {done} 级。")
    return Drawing(
        words("The climb", "攀登阶梯"),
        words(
            f"From the baseline at the bottom upwards: {metric} ({better}). Small dots are seeds, the large one is "
            "their mean, filled where the change was kept; the line leads from one kept step to the next. On the "
            "right the change against the step it was built on, seed by seed, with the 95 % interval of its mean; the "
            f"verdict is that of a paired test at 5 % for all {rungs} comparisons together.{so_far}",
            f"自下方的基线向上：{metric}（{better}）。小点是各随机种子的结果，大点是其均值，实心表示该改动被保留；"
            "折线连接相继保留的各级。右侧是与其所依据的一级相比的逐种子变化，以及均值的 95 % 区间；"
            f"判定来自配对检验，全部 {rungs} 次比较合计的显著性水平为 5 %。{so_far}",
        ),
        (_steps_table(words("steps", "各级"), steps, words), _values_table(words("seeds", "各种子"), steps, words)),
        lambda figure: _staircase(figure, climb, metric, better, words),
        10,
        1.6 + 0.62 * len(steps),
        words,
    )


def draw_order_of_credit(climb: Climb, *, words: Words = ENGLISH) -> Drawing:
    """Draw what each kept change is worth: in the climb, left out of the top, and made to the baseline alone.

    Raises:
        TreadleError: the climb has none of the other views, or kept no change.
    """
    names = [step.name for step in climb.steps[1:] if step.kept]
    views = {"climb": [step for step in climb.steps[1:] if step.kept]}
    views |= {view: climb.views[view] for view in VIEWS if climb.views.get(view)}
    if not names:
        raise TreadleError("no change of this climb was kept, so that there is no credit to share")
    if len(views) == 1:
        raise TreadleError(
            "this climb was not looked at in another order: run `treadle climb` again with --ablate --alone; runs that "
            "are there are not trained again"
        )
    metric = metric_name(climb.ladder.metric, words)
    total = _mean(climb.top.values) - _mean(climb.steps[0].values)
    sums = {view: sum(step.comparison.mean for step in steps if step.comparison) for view, steps in views.items()}
    told = words(", ", "，").join(f"{words(*VIEWS[view])} {sums[view]:+.4g}" for view in views)
    return Drawing(
        words("Which change has earned what", "各项改动的功劳"),
        words(
            f"Change of {metric} by each change that was kept, with the 95 % interval over seeds. The same change is "
            f"worth more or less by what else is there, so that the sums differ: {told}; from baseline to top it is "
            f"{total:+.4g}.",
            f"每项被保留的改动使{metric}变化多少，以及各种子上的 95 % 区间。同一改动的价值取决于其他改动是否在场，"
            f"因此各列之和不同：{told}；从基线到顶端共 {total:+.4g}。",
        ),
        tuple(_steps_table(words(*VIEWS[view]), steps, words) for view, steps in views.items()),
        lambda figure: _credit(figure, views, names, metric, words),
        3.0 + 3.0 * len(views),
        1.7 + 0.62 * len(names),
        words,
    )


def _staircase(figure: Any, climb: Climb, metric: str, better: str, words: Words) -> None:
    steps = climb.steps
    heights = list(range(len(steps)))
    values, changes = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    kept = [(_mean(step.values), height) for step, height in zip(steps, heights, strict=True) if step.kept]
    corners = [(x, height) for before, (x, height) in pairwise(kept) for x in (before[0], x)]
    stairs = np.array([kept[0], *corners])
    values.plot(stairs[:, 0], stairs[:, 1], color=GREY, linewidth=1.4, zorder=1, label="_stairs")
    for height, step in zip(heights, steps, strict=True):
        colour = VERDICTS[step.verdict][2]
        if step.values:
            below = [height - 0.2] * len(step.values)
            values.scatter(step.values, below, s=10, color=colour, alpha=0.6, label=step.title(words))
            values.scatter(
                [_mean(step.values)],
                [height],
                s=70,
                facecolor=colour if step.kept else "white",
                edgecolor=colour,
                linewidth=1.4,
                zorder=3,
                label=f"{step.title(words)}: {words('mean', '均值')}",
            )
        if step.failed is not None:
            why = wrapped(f"{words('failed', '失败')}{words(': ', '：')}{step.failed}", 46, 2)
            values.text(0.01, height, why, transform=values.get_yaxis_transform(), va="center", fontsize=7, color=RED)
        _change(changes, step, height, words)
    values.set_yticks(heights, [wrapped(step.title(words), 28) for step in steps], fontsize=8.5)
    values.set(xlabel=metric + words(f"\n({better})", f"\n（{better}）"), ylim=(-0.6, len(steps) - 0.4))
    values.grid(axis="x", color="#eeeeee")
    if not any(step.values for step in steps):
        values.set_xlim(0, 1)
    _zero(changes, [step for step in steps if step.comparison])
    changes.set_xlabel(words("paired change\nwith its 95 % interval", "配对变化\n及其 95 % 区间"))
    told = [_verdict(step, words) for step in steps]
    changes.secondary_yaxis("right").set_yticks(heights, told, fontsize=8.5)
    for axis in (values.yaxis, changes.yaxis):
        axis.set_tick_params(length=0)
    for label, step in zip(changes.child_axes[0].get_yticklabels(), steps, strict=True):
        label.set_color(VERDICTS[step.verdict][2])
    changes.child_axes[0].spines["right"].set_visible(False)
    changes.child_axes[0].tick_params(length=0)
    _legend(figure, words, kept=True)


def _credit(figure: Any, views: dict[str, list[Step]], names: list[str], metric: str, words: Words) -> None:
    panels = figure.subplots(1, len(views), sharey=True, sharex=True, squeeze=False)[0]
    for axes, (view, steps) in zip(panels, views.items(), strict=True):
        for step in steps:
            if step.name not in names:
                continue
            height = names.index(step.name)
            _change(axes, step, height, words)
            if step.comparison is None:
                axes.text(0.02, height, words("failed", "失败"), transform=axes.get_yaxis_transform(), color=RED)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(words(*VIEWS[view]), fontsize=9.5)
        axes.grid(axis="x", color="#eeeeee")
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=8)
    titles = [step.title(words) for step in views["climb"]]
    panels[0].set_yticks(range(len(names)), [wrapped(title, 28) for title in titles], fontsize=8.5)
    panels[0].set_ylim(-0.6, len(names) - 0.4)
    figure.supxlabel(words(f"change of {metric}", f"{metric}的变化"), fontsize=9.5)
    _legend(figure, words, kept=False)


def _legend(figure: Any, words: Words, *, kept: bool) -> None:
    from matplotlib.lines import Line2D

    def dot(size: float, label: str, face: str = "black") -> Any:
        return Line2D([], [], color="black", marker="o", linestyle="none", ms=size, mfc=face, label=label)

    both = [dot(8, words("mean, kept", "均值，保留")), dot(8, words("mean, not kept", "均值，未保留"), "white")]
    means = both if kept else [dot(6, words("mean", "均值"))]
    interval = Line2D([], [], color="black", linewidth=2, marker="|", ms=8, label=words("95 % interval", "95 % 区间"))
    handles = [dot(3, words("a seed", "一个种子")), *means, interval]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), frameon=False, fontsize=8.5)


def _change(axes: Any, step: Step, height: float, words: Words) -> None:
    """The change of each seed, their mean, and its interval where there is one."""
    found = step.comparison
    if found is None:
        return
    colour = VERDICTS[step.verdict][2]
    axes.scatter(
        found.differences,
        [height - 0.2] * len(found.differences),
        s=9,
        color=colour,
        alpha=0.6,
        label=step.title(words),
    )
    if all(map(math.isfinite, found.interval)):
        axes.plot(found.interval, [height, height], color=colour, linewidth=2, marker="|", markersize=8, label="_range")
    axes.plot([found.mean], [height], color=colour, marker="o", markersize=6, label=step.title(words))


def _zero(axes: Any, steps: Sequence[Step]) -> None:
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", color="#eeeeee")
    axes.tick_params(axis="x", labelsize=8)
    if not steps:
        axes.set_xlim(-1, 1)


def _verdict(step: Step, words: Words) -> str:
    verdict = words(*VERDICTS[step.verdict][:2])
    if step.verdict in (BASELINE, "failed"):
        return verdict
    told = words("kept", "保留") if step.kept else words("not kept", "未保留")
    found = step.comparison
    if found is not None and len(found.differences) == 1:
        told += words("\n(one seed)", "\n（仅一个种子）")
    elif found is not None and found.seeds_needed is not None:
        more = found.seeds_needed >= MOST_SEEDS
        many = f"{found.seeds_needed:,}"
        told += words(
            f"\n({many}{' or more' if more else ''} seeds might tell)",
            f"\n（{many} 个{'以上' if more else ''}种子或可判断）",
        )
    return f"{verdict}{words(', ', '，')}{told}"


def _steps_table(name: str, steps: Sequence[Step], words: Words) -> Table:
    found = [step.comparison for step in steps]
    return Table(
        name,
        {
            words("step", "级"): [step.title(words) for step in steps],
            words("mean", "均值"): [_mean(step.values) for step in steps],
            words("seeds", "种子数"): [len(step.values) for step in steps],
            words("change", "变化"): [one.mean if one else math.nan for one in found],
            words("interval from", "区间下限"): [one.interval[0] if one else math.nan for one in found],
            words("interval to", "区间上限"): [one.interval[1] if one else math.nan for one in found],
            words("p, corrected", "校正后 p"): [one.adjusted if one else math.nan for one in found],
            words("verdict", "判定"): [words(*VERDICTS[step.verdict][:2]) for step in steps],
            words("kept", "保留"): [words("yes", "是") if step.kept else words("no", "否") for step in steps],
            words("why it failed", "失败原因"): [step.failed or "" for step in steps],
        },
    )


def _values_table(name: str, steps: Sequence[Step], words: Words) -> Table:
    rows = [
        (step.title(words), seed, value) for step in steps for seed, value in zip(step.seeds, step.values, strict=True)
    ]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    heads = (words("step", "级"), words("seed", "随机种子"), words("value", "值"))
    return Table(name, {head: list(column) for head, column in zip(heads, columns, strict=True)})


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
