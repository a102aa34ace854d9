"""Data whose reading takes a while, as from a slow disk."""

import time

import numpy as np

from treadle.data import Dataset, Sets, Stored


class Slow(Stored):
    """Rows of five numbers; reading a batch sleeps, reading what is larger does not."""

    def __init__(self, count, seconds, batch_size=100):
        self.shape, self.dtype = (count, 5), np.dtype(np.float64)
        self.seconds, self.batch_size = seconds, batch_size

    def read(self, indices):
        if 1 < len(indices) <= self.batch_size:
            time.sleep(self.seconds)
        return np.sin(indices[:, None] * np.arange(1.0, 6.0))


def slow_sets(seconds, count=300, batch_size=100):
    """Three sets of which the training set is slow."""
    names = (("train", count, seconds), ("validation", 20, 0.0), ("test", 20, 0.0))
    parts = (Dataset(Slow(n, s, batch_size), np.arange(n) % 2, ("even", "odd"), name) for name, n, s in names)
    return Sets(*parts, "slow", "made up")
