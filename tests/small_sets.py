"""Small data sets made up for tests of training, and what tells two runs apart."""

import hashlib

import numpy as np

import treadle as td
from treadle.data import Dataset, Sets
from treadle.nn import Linear, ReLU, Sequential
from treadle.tree import leaves

NETWORK = Sequential(Linear(5), ReLU(), Linear(3))
SGD = td.optim.SGD(0.1)


def three_classes(seed=0, sizes=(50, 20, 30)):
    """Sets of 4 features whose largest of the first 3 is the class."""
    rng = np.random.default_rng(seed)
    parts = []
    for size in sizes:
        x = rng.uniform(-1, 1, (size, 4))
        parts.append(Dataset(x, np.argmax(x[:, :3], axis=1), ("a", "b", "c"), "part"))
    return Sets(*parts, "three", "made up")


def line(size=40, noise=0.0, features=1, seed=0):
    """Sets whose targets are a linear function of the features."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (3 * size, features))
    rows = Dataset(x, x @ np.arange(1, features + 1) + 0.5 + noise * rng.normal(size=3 * size), None, "line")
    return Sets(rows[:size], rows[size : 2 * size], rows[2 * size :], "line", "made up")


def pictures(sizes=(40, 10, 10), shape=(1, 8, 8), seed=0):
    """Sets of images of bytes whose brightest quarter of rows is the class."""
    rng = np.random.default_rng(seed)
    parts = []
    for size in sizes:
        labels = rng.integers(0, 4, size)
        x = rng.integers(0, 128, (size, *shape))
        for image, label in zip(x, labels, strict=True):
            image[:, label * shape[1] // 4 : (label + 1) * shape[1] // 4] += 100
        parts.append(Dataset(x.astype(np.uint8), labels, ("a", "b", "c", "d"), "pictures"))
    return Sets(*parts, "pictures", "made up")


def fit(sets, network=NETWORK, **settings):
    settings = {"loss": "cross_entropy" if sets.train.classes else "squared_error", "optimizer": SGD} | settings
    return td.fit(network, sets, **settings)


def digest(params):
    return hashlib.sha256(b"".join(path.encode() + leaf.tobytes() for path, leaf in leaves(params))).hexdigest()


def same_history(one, other):
    timeless = [
        [{k: v for k, v in record.items() if k not in ("seconds", "waited")} for record in run.history]
        for run in (one, other)
    ]
    return timeless[0] == timeless[1]
