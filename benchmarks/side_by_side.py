"""What several trainings cost at once: processes of a climb side by side, and the seeds of one recipe in one program.

    PYTHONPATH=src python benchmarks/side_by_side.py [--rounds 5]

The first table climbs a ladder of one rung, two seeds each, in three ways: one training after the other with one
thread, one after the other with a thread for each CPU, and as many at once as there are CPUs, a thread each. Each
begins in an empty folder; times are of the whole climb, the start of its processes included.

The second trains a recipe from five seeds on one CPU: five times with `fit`, and with a NumPy program that has the
weights of all five in one array and does each product for all at once (the networks have one hidden layer with ReLU,
cross-entropy and SGD). It has no tape, no recording and no evaluation, and says what could be won at most.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import (
    available_cpus,
    context,
    describe_machine,
    make_parser,
    markdown_table,
    plural,
    positive,
    preamble,
    spread,
    write_report,
)

LADDERS = {  # changes to the baseline, and the change of its rung
    "784-100-10": ({"network.preset": "mlp_relu"}, {"optimizer.lr": 0.2}),
    "LeNet": ({"network.preset": "lenet", "optimizer.kind": "adam"}, {"optimizer.lr": 2e-3}),
}
WAYS = ("one after the other, 1 thread", "one after the other, all threads", "at once, 1 thread each")
SEEDS = 5
# samples, features, units, classes, batch size, epochs
TRAININGS = {"784-100-10": (50_000, 784, 100, 10, 100, 1), "10-16-3": (400, 10, 16, 3, 10, 50)}


def climbed(network: str, way: str, epochs: int) -> float:
    """Climb in a new folder and return the seconds."""
    from treadle import climb
    from treadle.ladder import Ladder, Rung
    from treadle.recipe import Recipe

    changes, rung = LADDERS[network]
    cpus = available_cpus()
    changes = changes | {"loss.kind": "cross_entropy", "training.epochs": epochs}
    changes["resources.threads"] = cpus if way == WAYS[1] else 1
    ladder = Ladder(baseline=Recipe.baseline().change(changes), rung=[Rung(name="another", change=rung)], seeds=2)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        climb(ladder, Path(folder), workers=cpus if way == WAYS[2] else 1)
        return time.perf_counter() - begun


def made(samples: int, features: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and classes that a hidden layer can learn."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((samples, features), np.float32)
    return inputs, (inputs @ rng.standard_normal((features, classes))).argmax(1)


def with_fit(training: str) -> float:
    """Train from each seed with `fit` and return the seconds of training alone."""
    import treadle as td

    samples, features, units, classes, batch, epochs = TRAININGS[training]
    inputs, targets = made(samples, features, classes)
    names = tuple(map(str, range(classes)))
    sizes = {"train": samples, "validation": 9, "test": 9}
    parts = (td.data.Dataset(inputs[:size], targets[:size], names, name) for name, size in sizes.items())
    sets = td.data.Sets(*parts, "made", "made up")
    network = td.nn.Sequential(td.nn.Linear(units), td.nn.ReLU(), td.nn.Linear(classes))
    runs = [
        td.fit(
            network, sets, loss="cross_entropy", optimizer=td.optim.SGD(0.1), batch_size=batch, epochs=epochs,
            scale="none", seed=seed, diagnose=False,
        )
        for seed in range(SEEDS)
    ]  # fmt: skip
    return sum(epoch["seconds"] for run in runs for epoch in run.history)


def in_one_program(training: str) -> float:
    """Train from all seeds at once and return the seconds."""
    from threadpoolctl import threadpool_limits

    samples, features, units, classes, batch, epochs = TRAININGS[training]
    inputs, targets = made(samples, features, classes)
    rng, lr, rows = np.random.default_rng(0), np.float32(0.1), np.eye(classes, dtype=np.float32)
    w1 = rng.normal(0, features**-0.5, (SEEDS, features, units)).astype(np.float32)
    w2 = rng.normal(0, units**-0.5, (SEEDS, units, classes)).astype(np.float32)
    b1, b2 = np.zeros((SEEDS, 1, units), np.float32), np.zeros((SEEDS, 1, classes), np.float32)
    with threadpool_limits(1):
        begun = time.perf_counter()
        for _ in range(epochs):
            orders = rng.permuted(np.tile(np.arange(samples), (SEEDS, 1)), axis=1)
            for first in range(0, samples, batch):
                picked = orders[:, first : first + batch]
                x, wanted = inputs[picked], rows[targets[picked]]
                hidden = np.maximum(x @ w1 + b1, 0)
                scores = hidden @ w2 + b2
                scores = np.exp(scores - scores.max(2, keepdims=True))
                gradient = (scores / scores.sum(2, keepdims=True) - wanted) / np.float32(batch)
                back = gradient @ w2.swapaxes(1, 2) * (hidden > 0)
                w2 -= lr * (hidden.swapaxes(1, 2) @ gradient)
                b2 -= lr * gradient.sum(1, keepdims=True)
                w1 -= lr * (x.swapaxes(1, 2) @ back)
                b1 -= lr * back.sum(1, keepdims=True)
        return time.perf_counter() - begun


def table(report: dict[str, Any]) -> list[str]:
    """Return the report for a person, in Markdown."""
    rounds = report["results"]

    climbs, seeds = [], []
    for name in LADDERS:
        took = {way: [found["climbs"][name][way] for found in rounds] for way in WAYS}
        ahead = [[b / a for a, b in zip(took[way], took[WAYS[2]], strict=True)] for way in WAYS[:2]]
        climbs.append([name, *(spread(took[way], ".1f") for way in WAYS), *(spread(r, ".2f") for r in ahead)])
    for name in TRAININGS:
        alone, together = ([found[way][name] for found in rounds] for way in ("fit", "program"))
        ratio = [b / a for a, b in zip(alone, together, strict=True)]
        seeds.append([name, spread(alone, ".2f"), spread(together, ".2f"), spread(ratio, ".2f")])
    return [
        "# Several trainings at once",
        "",
        f"Median (from, to) of {plural(len(rounds), 'round')}, which alternate.",
        "",
        *preamble(report),
        "Climbs of four trainings, seconds of the whole climb:",
        "",
        *markdown_table(["network", *WAYS, "at once ÷ 1 thread", "at once ÷ all threads"], climbs),
        "",
        f"{SEEDS} seeds on one CPU, seconds of training:",
        "",
        *markdown_table(["network", "fit, one after the other", "all in one NumPy program", "ratio"], seeds),
    ]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, "one round of one epoch")
    parser.add_argument("--rounds", type=positive, default=5, help="times that each is measured (default 5)")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds = 1
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure and write JSON and Markdown."""
    options = parse(arguments)
    machine = describe_machine()
    results: list[dict[str, Any]] = []
    for name in TRAININGS:  # kernels are loaded
        with_fit(name)
    for number in range(options.rounds):
        order = WAYS[number % 3 :] + WAYS[: number % 3]
        epochs = {"784-100-10": 1 if options.quick else 10, "LeNet": 1}
        climbs = {name: {way: climbed(name, way, epochs[name]) for way in order} for name in LADDERS}
        alone = {name: with_fit(name) for name in TRAININGS}
        results.append({"climbs": climbs, "fit": alone, "program": {name: in_one_program(name) for name in TRAININGS}})
    report = {**context(options, machine), "results": results}
    write_report(report, table(report), "side-by-side", options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
