"""What a diagnosis costs: the share of a training's time that its looks take, and trainings with and without, in turn.

    PYTHONPATH=src python benchmarks/diagnosis_cost.py [--rounds 7] [--models mlp,lenet]

Prints for each training the median over the rounds of its seconds without evaluation, of the share of looks in them,
and of the ratio of both trainings, which on a machine with neighbours is less sure.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import treadle as td
from treadle.train.diagnosis import Diagnosis

# network, optimiser, batch size, samples, epochs
TRAININGS: dict[str, tuple[str, Any, int, int, int]] = {
    "softmax": ("softmax", td.optim.SGD(0.1), 100, 50_000, 10),
    "mlp": ("mlp_relu", td.optim.SGD(0.1), 100, 50_000, 5),
    "mlp_adam": ("mlp_relu", td.optim.Adam(), 100, 50_000, 5),
    "mlp_1": ("mlp_relu", td.optim.Adam(1e-4), 1, 50_000, 1),
    "mlp_1000": ("mlp_relu", td.optim.Adam(), 1_000, 50_000, 20),
    "lenet": ("lenet", td.optim.Adam(), 100, 50_000, 1),
    "resnet": ("resnet_small", td.optim.Momentum(0.05), 100, 10_000, 2),
}


class Stopwatch:
    """Adds up the time that the diagnosis takes."""

    def __init__(self) -> None:
        self.seconds = 0.0
        for name in ("begin", "end", "validated"):
            setattr(Diagnosis, name, self._timed(getattr(Diagnosis, name)))

    def _timed(self, method: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: Any) -> None:
            begun = time.perf_counter()
            method(*arguments)
            self.seconds += time.perf_counter() - begun

        return timed


def train(name: str, diagnose: bool) -> float:
    """Train and return the seconds without evaluation."""
    network, optimizer, batch_size, samples, epochs = TRAININGS[name]
    mnist = td.data.load("mnist")
    sets = td.data.Sets(mnist.train[:samples], mnist.validation[:100], mnist.test[:100], "mnist", mnist.origin)
    run = td.fit(
        network, sets, loss="cross_entropy", optimizer=optimizer, batch_size=batch_size, epochs=epochs,
        diagnose=diagnose,
    )  # fmt: skip
    assert not run.findings, run.findings
    return sum(epoch["seconds"] for epoch in run.history)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--models", default=",".join(TRAININGS))
    arguments = parser.parse_args()
    watch = Stopwatch()
    print(f"treadle {td.__version__}, numpy {np.__version__}, {platform.platform()}, one thread")
    print("training   without (s)  share of looks  with / without: median (from, to)")
    for name in arguments.models.split(","):
        train(name, True)  # compiles
        without, shares, ratios = [], [], []
        for number in range(arguments.rounds):
            took = {}
            for diagnose in (False, True) if number % 2 else (True, False):
                watch.seconds = 0.0
                took[diagnose] = train(name, diagnose)
                if diagnose:
                    shares.append(watch.seconds / took[True])
            without.append(took[False])
            ratios.append(took[True] / took[False])
        middle, share, ratio = map(statistics.median, (without, shares, ratios))
        print(
            f"{name:<9} {middle:12.3f}  {share:14.2%}  {ratio:.3f} ({min(ratios):.3f}, {max(ratios):.3f})", flush=True
        )


if __name__ == "__main__":
    main()
