"""A sheet of samples with their targets, and the distribution of each feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.data import Sets, chosen_samples
from treadle.data.dataset import extent
from treadle.data.sheet import bin_edges, feature_columns, target_name
from treadle.figures.drawing import BLUE, GREY, PATHS, Drawing, Table
from treadle.language import ENGLISH, Words

COLUMNS, IMAGES, FEATURES = 8, 32, 31  # beside which the target has a place
COLOURS = (*PATHS, GREY, "black")  # of classes, as many as columns
BINS = 24
MOST_NAMES = 20  # classes whose names have a place below their bars
LONGEST = 16  # characters of a name
HUGE = 1e300  # beyond which axes overflow


def draw_sheet(sets: Sets, *, words: Words = ENGLISH) -> Drawing:
    """Draw images of each class in turn with their targets; or the distribution of each feature, one colour a class.

    The title has the name, the number of samples, the shape of one and the type of its values.
    """
    train = sets.train
    images = train.inputs.ndim == 4
    count = min(IMAGES, len(train)) if images else min(FEATURES, train.inputs.shape[-1]) + 1
    rows = -(-count // COLUMNS)
    shape = "×".join(map(str, train.shape))
    title = words(
        f"{sets.name}: {len(train):,} training samples of {shape}, {train.inputs.dtype}",
        f"{sets.name}：{len(train):,} 个训练样本，形状 {shape}，{train.inputs.dtype}",
    )
    if images:
        numbers = chosen_samples(train, min(IMAGES, len(train)))
        columns = {
            words("sample", "样本"): numbers.tolist(),
            words("target", "目标"): [target_name(train, row) for row in numbers],
        }
        table = Table(words("samples", "样本"), columns)
        caption = words(
            "Samples of each class in turn, each with its number in the training set and its target.",
            "各类样本依次排列，每个标有它在训练集中的编号和目标。",
        )
    else:
        bars = _bars(sets, words)
        table = _table(bars, words)
        several = any(one.number >= 0 for one in bars)
        caption = words(
            "How often the values of each feature, and the targets, occur in the training set"
            + (", a line for each class, in the colours of the last panel." if several else "."),
            "训练集中各特征的值以及目标出现的次数" + ("，每类一条线，颜色同最后一格。" if several else "。"),
        )

    def draw(figure: Any) -> None:
        figure.suptitle(title, fontsize=11)
        places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for axes in places[_images(places, sets, numbers) if images else _features(places, bars, words) :]:
            axes.axis("off")

    return Drawing(
        words("Samples of the training set", "训练集的样本")
        if images
        else words("Distributions in the training set", "训练集中的分布"),
        caption,
        (table,),
        draw,
        10,
        0.9 + rows * (1.4 if images else 1.7),
        words,
    )


def _images(places: Any, sets: Sets, rows: Any) -> int:
    train = sets.train
    low, high = map(float, extent(train[rows].inputs))
    for axes, row in zip(places, rows, strict=False):
        image = np.moveaxis(train.inputs[row : row + 1][0].astype(np.float64), 0, 2)
        shown = (image - low) / (high - low if high > low else 1)
        axes.imshow(shown if shown.shape[2] == 3 else shown.mean(axis=2), cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"{row}: {short(target_name(train, row))}", fontsize=8)
        axes.axis("off")
    return len(rows)


@dataclass(frozen=True)
class _Bars:
    """How often values occur in a panel, of one class or of all (−1); edges None: too large to draw."""

    place: int
    name: str
    edges: Any
    counts: Any
    label: str = ""
    number: int = -1


def _bars(sets: Sets, words: Words) -> list[_Bars]:
    train, columns = feature_columns(sets, FEATURES)
    classes = train.classes if train.classes is not None and len(train.classes) <= COLUMNS else ()
    found = []
    for place, (name, column) in enumerate(columns):
        values = column.astype(np.float64)
        if float(np.max(values)) > HUGE or float(np.min(values)) < -HUGE:
            found.append(_Bars(place, name, None, None))
            continue
        edges = bin_edges(values, BINS)
        if not classes:
            found.append(_Bars(place, name, edges, np.histogram(values, edges)[0]))
        for number, label in enumerate(classes):
            mine = values[train.targets == number]
            found.append(_Bars(place, name, edges, np.histogram(mine, edges)[0], label, number))
    target = words("target", "目标")
    if train.classes is not None:
        counts = np.bincount(train.targets, minlength=len(train.classes))
        return [*found, _Bars(len(columns), target, train.classes, counts)]
    targets = train.targets.astype(np.float64)
    edges = bin_edges(targets, BINS)
    return [*found, _Bars(len(columns), target, edges, np.histogram(targets, edges)[0])]


def _table(bars: list[_Bars], words: Words) -> Table:
    rows: list[tuple[Any, ...]] = []
    for one in bars:
        if isinstance(one.edges, tuple):  # classes
            rows += [
                (one.name, name, name, name, int(count)) for name, count in zip(one.edges, one.counts, strict=True)
            ]
        elif one.edges is not None:
            ends = zip(one.edges[:-1].tolist(), one.edges[1:].tolist(), one.counts.tolist(), strict=True)
            rows += [(one.name, one.label, *row) for row in ends]
    heads = (words("feature", "特征"), words("class", "类别"), words("from", "从"), words("to", "到"))
    return Table(
        words("distributions", "分布"),
        dict(zip((*heads, words("samples", "样本数")), zip(*rows, strict=True), strict=True)),
    )


def _features(places: Any, bars: list[_Bars], words: Words) -> int:
    for one in bars:
        axes = places[one.place]
        axes.set_title(short(one.name), fontsize=8)
        axes.tick_params(labelsize=6)
        if one is not bars[-1]:
            axes.set_yticks([])
        if one.edges is None:
            told = words("too large to draw", "数值太大，无法绘制")
            axes.text(0.5, 0.5, told, fontsize=7, ha="center", transform=axes.transAxes)
        elif isinstance(one.edges, tuple):
            count = len(one.counts)
            axes.bar(range(count), one.counts, color=COLOURS[:count] if count <= COLUMNS else GREY)
            if count <= MOST_NAMES:
                axes.set_xticks(range(count), [short(name, 6) for name in one.edges], fontsize=6)
        elif one.number >= 0:
            axes.stairs(one.counts, one.edges, color=COLOURS[one.number], linewidth=1.1)
        else:
            axes.stairs(one.counts, one.edges, color=GREY if one is bars[-1] else BLUE, fill=True)
    return bars[-1].place + 1


def short(name: str, most: int = LONGEST) -> str:
    """Return a name with no more characters than that."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
