"""What is inside a network: its weights as images, and what each layer makes of one sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from treadle.data import Dataset
from treadle.errors import TreadleError, suggest
from treadle.figures.drawing import BLUE, Drawing, Table
from treadle.figures.names import cut
from treadle.figures.source import Source
from treadle.language import ENGLISH, Words
from treadle.nn import Conv2d, Flatten, Linear, Module
from treadle.nn.module import Shape
from treadle.train import Run, trace
from treadle.tree import leaves

Array = np.ndarray[Any, np.dtype[Any]]
UNITS, CHANNELS = 100, 16  # of filters that are drawn
MAPS = 12  # channels of a layer that are drawn
ROWS = 20  # layers that are drawn


def filters_of(source: Source, *, layer: str | None = None) -> tuple[str, Array, tuple[str, ...] | None]:
    """Take the weights of a layer as images (units, channels, height, width), its path, and the names of its units.

    Args:
        source: a run.
        layer: path of a convolution, or of the first dense layer on images; the first of these unless told.

    Raises:
        TreadleError: the network has no such layer.
    """
    run = source.run
    weights = dict(leaves(run.parameters))
    found = dict(_as_images(run.network, run.input_shape))
    if not found:
        raise TreadleError(
            f"no weights of this network are images: it has no convolution and no dense layer on images, but inputs of "
            f"shape {run.input_shape}; weights of any layer over time are in the figure histograms"
        )
    path = next(iter(found)) if layer is None else str(layer)
    if path not in found:
        raise TreadleError(f"no layer {path!r} has weights that are images: {suggest(path, found)}")
    weight, shape = np.asarray(weights[f"{path}.weight"]), found[path]
    if shape is not None:
        weight = weight.T.reshape(-1, *shape)
    named = run.classes if shape is not None and run.classes and len(run.classes) == len(weight) else None
    return path, weight, named


def _as_images(network: Module, shape: Shape) -> Iterator[tuple[str, Shape | None]]:
    """Paths of layers whose weights are images; of a dense layer with the shape that its inputs had before Flatten.

    What is in between works value by value or keeps the number of values, so that their places are known.
    """
    image: Shape | None = None
    for path, module, inputs in _layers(network, shape):
        if isinstance(module, Conv2d):
            yield path, None
        elif isinstance(module, Flatten) and len(inputs) == 3:
            image = inputs
        elif isinstance(module, Linear):
            if image is not None and image[1] * image[2] > 1:
                yield path, image
            image = None


def _layers(module: Module, shape: Shape, path: str = "") -> Iterator[tuple[str, Module, Shape]]:
    inside = list(module.children(shape))
    if not inside:
        yield path, module, shape
    for name, child, inputs in inside:
        yield from _layers(child, inputs, f"{path}.{name}" if path else name)


def draw_filters(path: str, weight: Array, names: Sequence[str] | None = None, *, words: Words = ENGLISH) -> Drawing:
    """Draw weights (units, channels, height, width) as images: one scale, with zero in the middle.

    Args:
        path: of the layer.
        weight: of it.
        names: of the units, such as classes.
    """
    units, channels, height, width = weight.shape
    several = channels > 1
    shown = weight[: (32 if several else UNITS), :CHANNELS]
    columns = shown.shape[1] if several else min(len(shown), 10)
    rows = len(shown) if several else math.ceil(len(shown) / columns)
    left_out = ""
    if shown.shape[:2] != weight.shape[:2]:
        left_out = words(
            f" Drawn are the first {len(shown)} of {units} units and {shown.shape[1]} of {channels} channels.",
            f"图中为 {units} 个单元中的前 {len(shown)} 个，{channels} 个通道中的前 {shown.shape[1]} 个。",
        )
    tile = min(1.0, 8.0 / columns, 14.0 / rows)
    flat = shown.reshape(len(shown) * shown.shape[1], -1)
    heads = [
        words(f"unit {unit}", f"单元 {unit}") + (words(f", channel {c}", f"，通道 {c}") if several else "")
        for unit, c in np.ndindex(shown.shape[:2])
    ]
    told = f"{path}: {units} × {channels} × {height} × {width}"
    return Drawing(
        words("Weights as images", "权重图像"),
        words(
            f"Weights of {told}. Each tile is a unit" + (" (row) and one of its channels (column)" if several else "")
            + ": red where an input raises it, blue where an input lowers it, white where the weight is 0. One scale "
            f"for the whole layer.{left_out}",
            f"{told} 的权重。每块为一个单元" + ("（行）的一个通道（列）" if several else "")
            + f"：红色表示该输入使其增大，蓝色表示使其减小，白色表示权重为 0。全层共用同一色标。{left_out}",
        ),
        (
            Table(
                words(f"weights of {path}", f"{path} 的权重"),
                {
                    words("row", "行"): [row for row in range(height) for _ in range(width)],
                    words("column", "列"): [column for _ in range(height) for column in range(width)],
                    **{head: _numbers(values) for head, values in zip(heads, flat, strict=True)},
                },
            ),
        ),
        lambda figure: _filters(figure, shown, rows, columns, several, names, told, words),
        max(columns * tile + 1.6, 4.0),
        max(rows * tile * (1.25 if names and not several else 1.0) * max(0.5, height / width) + 0.8, 2.2),
        words,
    )  # fmt: skip


def _filters(
    figure: Any, shown: Array, rows: int, columns: int, several: bool, names: Any, told: str, words: Words
) -> None:
    height, width = shown.shape[2:]
    units, names = (names, None) if several else (None, names)  # several tiles have one unit, and share its name
    gap = max(1, round(0.08 * width))
    above = round(0.3 * height) if names else 0  # place for a name
    step = (height + gap + above, width + gap)
    canvas = np.full((rows * step[0] - gap, columns * step[1] - gap), np.nan)
    axes = figure.subplots()
    tiles = shown.reshape(-1, height, width)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = row * step[0] + above, column * step[1]
        canvas[top : top + height, left : left + width] = tile
        if names:
            middle = left + width / 2 - 0.5
            axes.text(middle, top - 0.8, cut(str(names[number]), 12), ha="center", va="bottom", fontsize=8)
    finite = np.abs(shown[np.isfinite(shown)])
    most = float(finite.max(initial=0)) or 1.0
    drawn = axes.imshow(canvas, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    axes.set_facecolor("#dddddd")
    if not names:
        axes.set_title(told, fontsize=9.5)
    else:
        axes.set_title(told, fontsize=9.5, pad=10)
        axes.set_facecolor("white")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    if several:
        axes.set(xlabel=words("channel", "通道"), ylabel=words("unit", "单元"))
        apart = max(1, rows // 10)
        marked = [str(row) if units is None else cut(str(units[row]), 12) for row in range(0, rows, apart)]
        axes.set_yticks([row * step[0] + height / 2 - 0.5 for row in range(0, rows, apart)], marked)
        apart = max(1, columns // 8)
        places = [column * step[1] + width / 2 - 0.5 for column in range(0, columns, apart)]
        axes.set_xticks(places, range(0, columns, apart))
        axes.tick_params(length=0, labelsize=7)
    figure.colorbar(drawn, ax=axes, shrink=0.8, label=words("weight", "权重"))


def maps_of(source: Source, *, sample: int = 0) -> tuple[Run, Dataset]:
    """Take the run, and one sample of the validation set.

    Raises:
        TreadleError: there is no such sample.
    """
    count = len(source.validation)
    if isinstance(sample, bool) or not isinstance(sample, int) or not 0 <= sample < count:
        raise TreadleError(f"sample should be a number from 0 to {count - 1} of the validation set, found {sample!r}")
    return source.run, source.validation[np.array([sample])]


def outputs_by_layer(run: Run, sample: Dataset) -> dict[str, Array]:
    """Return what each layer gives for one sample, by its path in the order of the network, as read off the tape.

    What a layer gives is its last op; a layer that does nothing in evaluation, such as Dropout, is left out.
    """
    inputs = np.asarray(sample.inputs[:])
    ops = trace(run, (inputs, sample.targets), training=False).ops
    seen = {op.layer for op in ops if op.name != "reshape" and op.layer != "loss"}  # Flatten changes no value
    found = {op.layer: op.output[0] for op in ops if op.layer in seen}
    return {"input": run.scale.apply(inputs, run.dtype)[0], **found}


def draw_feature_maps(run: Run, data: Dataset, *, words: Words = ENGLISH) -> Drawing:
    """Draw what each layer gives for one sample: channels as images, units as bars.

    Args:
        run: the trained network.
        data: a set of one data.
    """
    found = outputs_by_layer(run, data)
    left_out = len(found) - ROWS
    if left_out > 0:
        chosen = np.unique(np.linspace(0, len(found) - 1, ROWS).round().astype(int))
        found = {path: found[path] for path in np.array(list(found))[chosen]}
    target = data.targets[0] if data.classes is None else data.classes[int(data.targets[0])]
    prediction = run.predict(data.inputs[:])[0]
    if data.classes is not None and len(prediction) == len(data.classes) > 1:
        told = f"{data.classes[int(np.argmax(prediction))]}, p = {prediction.max():.4g}"
        found[words("probabilities", "概率")] = prediction
    else:
        told = f"{float(prediction[0]):.6g}"
    return Drawing(
        words("What each layer makes of a sample", "各层对一个样本的输出"),
        words(
            f"A validation sample with the target {target}, predicted: {told}. From the top down the outputs of each "
            f"layer; images are the first {MAPS} channels, red above and blue below 0 on one scale a layer, and grey "
            "where nothing is below 0.",
            f"一个目标为 {target} 的验证集样本，预测为 {told}。自上而下为各层的输出；图像为前 {MAPS} 个通道，"
            "每层共用色标：红色大于 0，蓝色小于 0；若没有小于 0 的值则用灰度。",
        )
        + (
            words(f" {left_out} layers in between are not drawn.", f"中间有 {left_out} 层未画出。")
            if left_out > 0
            else ""
        ),
        tuple(_layer_table(path, output, words) for path, output in found.items()),
        lambda figure: _maps(figure, found, run.classes, words),
        10,
        sum(1.15 if output.ndim == 3 else 0.95 for output in found.values()) + 0.3,
        words,
    )


def _maps(figure: Any, found: dict[str, Array], classes: Sequence[str] | None, words: Words) -> None:
    heights = [1.15 if output.ndim == 3 else 0.95 for output in found.values()]
    places = figure.subplots(len(found), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (path, output) in zip(places, found.items(), strict=True):
        shape = "×".join(map(str, output.shape))
        name = words("input", "输入") if path == "input" else path or words("network", "网络")
        axes.set_ylabel(f"{name}\n{shape}", rotation=0, ha="right", va="center", fontsize=8)
        finite = output[np.isfinite(output)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        axes.set_title(f"{low:.3g} … {high:.3g}", loc="right", fontsize=6.5, pad=2)
        if output.ndim == 3:
            _channels(axes, output[:MAPS], low, high)
        else:
            last = classes is not None and output.size == len(classes) and path in list(found)[-2:]
            _bars(axes, output.ravel(), classes if last else None)


def _channels(axes: Any, output: Array, low: float, high: float) -> None:
    height, width = output.shape[1:]
    gap = max(1, round(0.08 * width))
    canvas = np.full((height, MAPS * (width + gap) - gap), np.nan)
    for number, channel in enumerate(output):
        canvas[:, number * (width + gap) : number * (width + gap) + width] = channel
    signed = low < 0
    most = max(abs(low), abs(high)) or 1.0
    ends = {"cmap": "RdBu_r", "vmin": -most, "vmax": most} if signed else {"cmap": "gray", "vmin": 0, "vmax": most}
    axes.imshow(canvas, interpolation="nearest", **ends)
    axes.set_anchor("W")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _bars(axes: Any, values: Array, classes: Sequence[str] | None) -> None:
    wide = 0.8 if len(values) < 200 else 1.0
    axes.bar(range(len(values)), np.where(np.isfinite(values), values, 0), wide, color=BLUE)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.tick_params(labelsize=6.5, length=2)
    axes.set_xlim(-0.7, max(len(values), 10) - 0.3)
    if classes is not None and len(classes) <= 20:
        axes.set_xticks(range(len(classes)), [cut(str(name), 9) for name in classes])
    elif len(values) <= 20:
        axes.set_xticks(range(len(values)))


def _layer_table(path: str, output: Array, words: Words) -> Table:
    if output.ndim != 3:
        return Table(path, {words("unit", "单元"): list(range(output.size)), words("output", "输出"): _numbers(output)})
    height, width = output.shape[1:]
    return Table(
        path,
        {
            words("row", "行"): [row for row in range(height) for _ in range(width)],
            words("column", "列"): [column for _ in range(height) for column in range(width)],
            **{words(f"channel {n}", f"通道 {n}"): _numbers(channel) for n, channel in enumerate(output[:MAPS])},
        },
    )


def _numbers(values: Array) -> list[float]:
    """Numbers as they are, with no more digits than their type has."""
    return [float(str(value)) for value in values.ravel()]
