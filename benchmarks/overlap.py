"""How much of the time that reading ahead could save it does save, on data that are slow to read on purpose.

    python benchmarks/overlap.py [--rounds 5]

Reading a batch sleeps for a given share of what a step of training takes, as it would wait for a slow disk. Ideal is
max(read / workers, train); the share reached is (one after the other - with reading ahead) / (one after the other -
ideal), over an epoch, evaluation left out.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import treadle as td
from treadle.data import Dataset, Prefetch, Sets, Stored


class Slow(Stored):
    """Rows of numbers whose reading sleeps."""

    def __init__(self, count: int, seconds: float) -> None:
        self.shape, self.dtype, self.seconds = (count, 100), np.dtype(np.float32), seconds

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Read rows by their numbers."""
        time.sleep(self.seconds)
        return np.sin(np.outer(indices, np.arange(1, 101, dtype=np.float32))).astype(np.float32)


def epoch(seconds: float, prefetch: Prefetch) -> float:
    """Seconds of the second epoch, without evaluation."""
    names = (("train", 10_000), ("validation", 10), ("test", 10))
    parts = (Dataset(Slow(n, seconds), np.arange(n) % 2, ("even", "odd"), name) for name, n in names)
    network = td.nn.Sequential(
        *(layer for _ in range(3) for layer in (td.nn.Linear(500), td.nn.ReLU())), td.nn.Linear(2)
    )
    run = td.fit(
        network, Sets(*parts, "slow", "made up"), loss="cross_entropy", optimizer=td.optim.Adam(1e-3), scale="none",
        epochs=2, prefetch=prefetch, diagnose=False,
    )  # fmt: skip
    return float(run.history[1]["seconds"])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    plain = Prefetch()
    train = statistics.median(epoch(0.0, plain) for _ in range(3)) / 100
    print(f"a step of 100 samples takes {train * 1e3:.2f} ms without waiting; {rounds} rounds, medians, 100 steps")
    print("| read / train | way | one after the other (s) | ahead (s) | ideal (s) | share of the ideal saving |")
    print("| --- | --- | --- | --- | --- | --- |")
    for share in (0.5, 1.0, 2.0):
        for prefetch in (Prefetch(4), Prefetch(4, workers=2), Prefetch(4, workers=2, worker_kind="process")):
            pairs = [(epoch(share * train, plain), epoch(share * train, prefetch)) for _ in range(rounds)]
            direct, ahead = (statistics.median(column) for column in zip(*pairs, strict=True))
            ideal = 100 * max((direct / 100 - train) / prefetch.workers, train)
            reached = (direct - ahead) / (direct - ideal)
            kind = "threads" if prefetch.worker_kind == "thread" else "processes"
            print(f"| {share} | {prefetch.workers} {kind} | {direct:.3f} | {ahead:.3f} | {ideal:.3f} | {reached:.0%} |")


if __name__ == "__main__":
    main()
