"""The tree of a data set: three sets of inputs and targets, with shapes, types and how often each class occurs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.data import Dataset, Sets
from treadle.data.dataset import class_counts, extent
from treadle.data.sheet import bin_edges
from treadle.figures.drawing import BLUE, GREEN, GREY, Drawing, Table
from treadle.figures.sheet import short
from treadle.language import ENGLISH, Words

BINS = 24  # of targets that are numbers
MOST_NAMES = 12  # classes whose names have a place below their bars
SETS = {"train": ("training set", "训练集"), "validation": ("validation set", "验证集"), "test": ("test set", "测试集")}
COLUMNS = (0.09, 0.32, 0.56)  # where boxes stand, as shares of the width that they have
LONGEST = 22  # characters of a name in a box


@dataclass(frozen=True)
class _Set:
    """One of the three sets as it is drawn: its name, lines about inputs and targets, and bars of its targets."""

    name: str
    inputs: tuple[str, str]
    targets: tuple[str, str]
    edges: Any
    counts: Any


def draw_data_tree(sets: Sets, *, words: Words = ENGLISH) -> Drawing:
    """Draw the three sets as a tree, each of inputs and targets, with how often each class or number occurs."""
    shown = [_set(name, part, words) for name, part in sets.parts().items()]

    def draw(figure: Any) -> None:
        figure.set_layout_engine("none")
        tree = figure.add_axes((0, 0, 0.76, 1))
        tree.set(xlim=(0, 1), ylim=(0, 1))
        tree.axis("off")
        for number, one in enumerate(shown):
            middle = (2.5 - number) / 3
            _edge(tree, COLUMNS[0], 0.5, COLUMNS[1], middle)
            for up, lines, colour in ((0.075, one.inputs, GREEN), (-0.075, one.targets, GREEN)):
                _edge(tree, COLUMNS[1], middle, COLUMNS[2], middle + up)
                _box(tree, COLUMNS[2], middle + up, "\n".join(lines), colour, left=True)
            _box(tree, COLUMNS[1], middle, one.name, BLUE)
            _targets(figure.add_axes((0.76, middle - 0.1, 0.22, 0.2)), one, words, number == 0)
        _box(tree, COLUMNS[0], 0.5, short(sets.name, LONGEST), GREY)

    return Drawing(
        words("The data set as a tree", "数据集的树形结构"),
        words(
            f"{sets.name}: each of the three sets has inputs and targets, one target for each sample. The training set "
            "fits the parameters, the validation set chooses hyper-parameters, the test set is looked at once. "
            "Right: how often each target occurs.",
            f"{sets.name}：三个集合各有输入和目标，每个样本一个目标。训练集用来拟合参数，验证集用来选择超参数，测试集只看一次。"
            "右：各目标出现的次数。",
        ),
        (_sets_table(sets, words), _counts_table(shown, words)),
        draw,
        9.6,
        5,
        words,
    )


def _set(name: str, part: Dataset, words: Words) -> _Set:
    images = part.inputs.ndim == 4
    head = words("images", "图像") if images else words("inputs", "输入")
    shape = list(part.inputs.shape)
    flat = f"= [{shape[0]}, {int(np.prod(shape[1:]))}], " if len(shape) > 2 else ""
    second = f"{flat}{part.inputs.dtype}{_range(part.inputs)}"
    labels = words("labels", "标签") if part.classes is not None else words("targets", "目标")
    edges: Any
    if part.classes is not None:
        edges, counts = part.classes, class_counts(part, len(part.classes))
        told = words(f"{len(part.classes)} classes", f"{len(part.classes)} 类")
    else:
        values = part.targets.astype(np.float64)
        edges = bin_edges(values, BINS) if len(values) else np.array([0.0, 1.0])
        counts, told = np.histogram(values, edges)[0], _range(part.targets).removeprefix(", ")
    return _Set(
        words(*SETS[name]),
        (f"{head} {shape}", second),
        (f"{labels} [{len(part.targets)},]", f"{part.targets.dtype}, {told}"),
        edges,
        counts,
    )


def _range(array: Any) -> str:
    if array.dtype.kind not in "buif" or not array.size:
        return ""
    low, high = extent(array)
    return f", {low:.4g}..{high:.4g}"


def _edge(axes: Any, x: float, y: float, to_x: float, to_y: float) -> None:
    middle = (x + to_x) / 2 - 0.02
    axes.plot([x, middle, middle, to_x], [y, y, to_y, to_y], color=GREY, linewidth=1.2, zorder=1, label="_edge")


def _box(axes: Any, x: float, y: float, text: str, colour: str, left: bool = False) -> None:
    frame = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": colour, "linewidth": 1.4}
    place = "left" if left else "center"
    axes.text(x, y, text, ha=place, va="center", fontsize=9, bbox=frame, zorder=2, linespacing=1.5)


def _targets(axes: Any, one: _Set, words: Words, first: bool) -> None:
    if isinstance(one.edges, tuple):
        axes.bar(range(len(one.counts)), one.counts, color=BLUE)
        few = len(one.counts) <= MOST_NAMES
        axes.set_xticks(range(len(one.counts)) if few else [], [short(name, 5) for name in one.edges] if few else [])
    else:
        axes.stairs(one.counts, one.edges, color=BLUE, fill=True)
    axes.tick_params(labelsize=7)
    axes.locator_params(axis="y", nbins=3)
    if first:
        axes.set_title(words("samples by target", "各目标的样本数"), fontsize=9)


def _sets_table(sets: Sets, words: Words) -> Table:
    parts = sets.parts()
    return Table(
        words("sets", "集合"),
        {
            words("set", "集合"): [words(*SETS[name]) for name in parts],
            words("inputs", "输入"): [str(list(part.inputs.shape)) for part in parts.values()],
            words("type of inputs", "输入的类型"): [str(part.inputs.dtype) for part in parts.values()],
            words("targets", "目标"): [f"[{len(part.targets)},]" for part in parts.values()],
            words("type of targets", "目标的类型"): [str(part.targets.dtype) for part in parts.values()],
        },
    )


def _counts_table(shown: list[_Set], words: Words) -> Table:
    rows: list[tuple[Any, ...]] = []
    for one in shown:
        if isinstance(one.edges, tuple):
            names = one.edges
        else:
            names = tuple(f"{low:.6g}..{high:.6g}" for low, high in zip(one.edges[:-1], one.edges[1:], strict=True))
        rows += [(one.name, name, int(count)) for name, count in zip(names, one.counts, strict=True)]
    heads = words("set", "集合"), words("target", "目标"), words("samples", "样本数")
    return Table(words("samples by target", "各目标的样本数"), dict(zip(heads, zip(*rows, strict=True), strict=True)))
