"""A sheet of samples with their targets, and the distribution of each feature."""

from __future__ import annotations

from typing import Any

import numpy as np

from treadle.data import Sets, chosen_samples
from treadle.data.dataset import extent
from treadle.data.sheet import bin_edges, feature_columns, target_name
from treadle.figures.drawing import BLUE, GREY, drawn

COLUMNS, IMAGES, FEATURES = 8, 32, 31  # beside which the target has a place
LONGEST = 16  # characters of a name
HUGE = 1e300  # beyond which axes overflow


def draw_sheet(sets: Sets) -> str:
    """Draw images of each class in turn with their targets; or the distribution of each feature, one colour a class.

    The title has the name, the number of samples, the shape of one and the type of its values.

    Raises:
        TreadleError: matplotlib is not installed.
    """
    images = sets.train.inputs.ndim == 4
    count = min(IMAGES, len(sets.train)) if images else min(FEATURES, sets.train.inputs.shape[-1]) + 1
    rows = -(-count // COLUMNS)
    return drawn(lambda figure: _draw(figure, sets, rows, images), 10, 0.9 + rows * (1.4 if images else 1.7))


def _draw(figure: Any, sets: Sets, rows: int, images: bool) -> None:
    train = sets.train
    shape = "×".join(map(str, train.shape))
    figure.suptitle(f"{sets.name}: {len(train):,} training samples of {shape}, {train.inputs.dtype}", fontsize=11)
    places = np.atleast_1d(figure.subplots(rows, COLUMNS, squeeze=False)).ravel()
    used = _images(places, sets) if images else _features(places, sets)
    for axes in places[used:]:
        axes.axis("off")


def _images(places: Any, sets: Sets) -> int:
    train = sets.train
    rows = chosen_samples(train, min(IMAGES, len(train)))
    low, high = map(float, extent(train[rows].inputs))
    for axes, row in zip(places, rows, strict=False):
        image = np.moveaxis(train.inputs[row : row + 1][0].astype(np.float64), 0, 2)
        shown = (image - low) / (high - low if high > low else 1)
        axes.imshow(shown if shown.shape[2] == 3 else shown.mean(axis=2), cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"{row}: {target_name(train, row)}", fontsize=8)
        axes.axis("off")
    return len(rows)


def _features(places: Any, sets: Sets) -> int:
    train, columns = feature_columns(sets, FEATURES)
    for axes, (name, found) in zip(places, columns, strict=False):
        values = found.astype(np.float64)
        axes.set_title(name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…", fontsize=8)
        axes.tick_params(labelsize=6)
        axes.set_yticks([])
        if float(np.max(values)) > HUGE or float(np.min(values)) < -HUGE:
            axes.text(0.5, 0.5, "too large to draw", fontsize=7, ha="center", transform=axes.transAxes)
            continue
        edges = bin_edges(values, 24)
        if train.classes is not None and len(train.classes) <= COLUMNS:
            for label in range(len(train.classes)):
                axes.hist(values[train.targets == label], edges, histtype="step", linewidth=1.1)
        else:
            axes.hist(values, edges, color=BLUE)
    axes = places[len(columns)]
    if train.classes is None:
        axes.hist(train.targets, bin_edges(train.targets.astype(np.float64), 24), color=GREY)
    else:
        counts = np.bincount(train.targets, minlength=len(train.classes))
        colours = [f"C{n % 10}" for n in range(len(counts))] if len(counts) <= COLUMNS else GREY
        axes.bar(range(len(counts)), counts, color=colours)
        axes.set_xticks(range(len(counts)), train.classes, fontsize=6)
    axes.set_title("target", fontsize=8)
    axes.tick_params(labelsize=6)
    return len(columns) + 1
