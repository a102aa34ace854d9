"""What a person looks at before training: samples with their targets, and how the values of each feature lie."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import Dataset, Sets, evenly
from treadle.text import aligned

BARS = "▁▂▃▄▅▆▇█"
GREYS = " .:-=+*#%@"
MOST_FEATURES = 40
BINS = 16
SAMPLED = 10_000  # rows that distributions are taken from where they stay on disk
WIDEST = 32  # columns of an image in the terminal


def feature_names(sets: Sets) -> list[str]:
    """Return the names of the features, or their numbers where they have none.

    >>> rows = Dataset(np.zeros((2, 3)), np.zeros(2), None, "rows")
    >>> feature_names(Sets(rows, rows, rows, "rows", ""))
    ['0', '1', '2']
    """
    if sets.encoding is not None:
        return sets.encoding.names
    return [str(number) for number in range(sets.train.inputs.shape[-1])]


def chosen_samples(part: Dataset, count: int) -> NDArray[np.int64]:
    """Return numbers of samples to look at: of each class in turn, the first ones of an order drawn at random.

    >>> rows = Dataset(np.zeros((6, 1)), np.array([0, 0, 0, 0, 1, 1]), ("a", "b"), "rows")
    >>> rows.targets[chosen_samples(rows, 4)].tolist()
    [0, 1, 0, 1]
    """
    order = np.random.default_rng(0).permutation(len(part))
    if part.classes is None:
        return order[:count]
    targets = part.targets[order]
    turn = np.empty(len(order), np.int64)
    for label in np.unique(targets):
        mine = np.flatnonzero(targets == label)
        turn[mine] = np.arange(len(mine))
    return order[np.lexsort((targets, turn))][:count]


def target_name(part: Dataset, row: int) -> str:
    """Return the target of a sample as a person reads it: the name of its class, or the number."""
    return str(part.targets[row]) if part.classes is None else part.classes[part.targets[row]]


def sheet(sets: Sets, samples: int = 3) -> str:
    """Write the distribution of each feature and some samples, for the terminal.

    A row of a table is written with the names of its features; an image as characters, darker where values are lower.

    >>> x = np.arange(40.0).reshape(20, 2)
    >>> rows = Dataset(x, np.arange(20.0), None, "train")
    >>> print(sheet(Sets(rows, rows, rows, "rows", ""), samples=1))
    feature  lowest  quartile  median  quartile  highest  distribution
    0             0       9.5      19      28.5       38  █▅▅▅▅█▅▅▅▅█▅▅▅▅█
    1             1      10.5      20      29.5       39  █▅▅▅▅█▅▅▅▅█▅▅▅▅█
    target        0      4.75     9.5      14.2       19  █▅▅▅▅█▅▅▅▅█▅▅▅▅█
    <BLANKLINE>
    train 4, target 4.0: 0 8, 1 9
    """
    train = sets.train
    lines = _distributions(sets)
    for row in chosen_samples(train, samples):
        target, sample = target_name(train, row), train.inputs[row : row + 1][0]
        if train.inputs.ndim == 4:
            lines += ["", f"{train.name} {row}, target {target}:", *_characters(sample)]
        else:
            names = feature_names(sets)[:MOST_FEATURES]
            values = ", ".join(f"{n} {v:g}" for n, v in zip(names, sample.ravel(), strict=False))
            lines += ["", f"{train.name} {row}, target {target}: {values}"]
    return "\n".join(lines)


def feature_columns(sets: Sets, most: int) -> tuple[Dataset, list[tuple[str, NDArray[Any]]]]:
    """Return training samples, of a set on disk some, with name and values of their first features.

    >>> rows = Dataset(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(2), None, "rows")
    >>> [(name, column.tolist()) for name, column in feature_columns(Sets(rows, rows, rows, "rows", ""), 5)[1]]
    [('0', [1.0, 3.0]), ('1', [2.0, 4.0])]
    """
    _, train = evenly(sets.train, SAMPLED)
    columns = np.asarray(train.inputs).reshape(len(train), -1).T
    return train, list(zip(feature_names(sets)[:most], columns, strict=False))


def _distributions(sets: Sets) -> list[str]:
    train = sets.train
    if train.inputs.ndim == 4:
        some = train.inputs[chosen_samples(train, 1_000)]
        columns = [(f"channel {c}", some[:, c].ravel()) for c in range(train.inputs.shape[1])]
    else:
        _, columns = feature_columns(sets, MOST_FEATURES)
    if train.classes is None:
        columns.append(("target", train.targets))
    rows = [("feature", "lowest", "quartile", "median", "quartile", "highest", "distribution")]
    for name, found in columns:
        values = found.astype(np.float64)
        marks = [f"{value:.3g}" for value in np.percentile(values, (0, 25, 50, 75, 100))]
        rows.append((name, marks[0], marks[1], marks[2], marks[3], marks[4], bars(values)))
    lines = aligned(rows, "<>>>>><")
    hidden = train.inputs.shape[-1] - MOST_FEATURES if train.inputs.ndim == 2 else 0
    return [*lines, f"({hidden} features more)"] if hidden > 0 else lines


def bin_edges(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Return edges of equal bins from the lowest to the highest value; of one bin where these are too near or too far.

    >>> bin_edges(np.array([1.0, 3.0]), 2).tolist(), bin_edges(np.array([5.0, 5.0]), 2).tolist()
    ([1.0, 2.0, 3.0], [4.0, 6.0])
    """
    low, high = float(np.min(values)), float(np.max(values))
    edges = np.linspace(low / 2, high / 2, bins + 1) * 2  # halves, for the difference may be beyond all numbers
    if (np.diff(edges) > 0).all():
        return edges
    return np.array([low - max(1.0, abs(low) * 0.2), high + max(1.0, abs(high) * 0.2)])


def bars(values: NDArray[np.float64]) -> str:
    """Write a histogram of 16 equal bins in one line; a bin that is not empty is never the lowest bar.

    >>> bars(np.array([0.0, 1.0, 1.0, 1.0]))
    '▄▁▁▁▁▁▁▁▁▁▁▁▁▁▁█'
    """
    counts, _ = np.histogram(values, bin_edges(values, BINS))
    counts = np.concatenate([counts, np.zeros(BINS - len(counts))])
    heights = np.ceil(counts * (len(BARS) - 1) / max(counts.max(), 1)).astype(int)
    return "".join(BARS[height] for height in heights)


def _characters(image: NDArray[np.float64]) -> list[str]:
    """An image (C, H, W) as lines of text, each character for one pixel of the mean of the channels, or for some."""
    grey = image.astype(np.float64).mean(axis=0)
    step = -(-grey.shape[1] // WIDEST)
    grey = grey[:: 2 * step if step > 1 else 1, ::step]  # characters are twice as high as they are wide
    low, high = grey.min(), grey.max()
    scaled = (grey - low) / (high - low) if high > low else np.zeros_like(grey)
    places = np.minimum((scaled * len(GREYS)).astype(int), len(GREYS) - 1)
    return [("  " + "".join(GREYS[place] for place in row)).rstrip() for row in places]
