"""Samples a second of `Run.predict` and of PyTorch in inference mode, with the same weights, one by one and in batches.

    python benchmarks/predict.py --batches 1,1000

See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from harness import (
    UNSET,
    context,
    describe_machine,
    environment,
    make_parser,
    markdown_table,
    plural,
    positive,
    preamble,
    require_threads,
    write_report,
)

MODELS = ("mlp", "lenet")
INSIDE = "TREADLE_BENCHMARK_UNSET"  # says that the environment is the one for the measurement
Call = Callable[[int], Any]

CONTENDERS = {
    "treadle": "`Run.predict` on bytes: scales, checks the shape, gives probabilities",
    "torch_bytes": "eager, `torch.inference_mode()`, on bytes: `float() / 255`, network, softmax, NumPy",
    "torch": "eager, `torch.inference_mode()`, on a tensor of float32 that is scaled already: network and softmax",
}


def trained(model: str, images: Any, labels: Any) -> Any:
    """Return a run that was trained on a few samples, so that its weights are no random numbers."""
    from peers.treadle import CLASSES, build
    from setting import Setting

    import treadle as td

    data = td.data.Dataset(images, labels, CLASSES, "train")
    network = build(Setting(model, 100, 1, 0))
    sets = td.data.Sets(data, data[:100], data[:100], "mnist", "part")
    return td.fit(network, sets, loss="cross_entropy", optimizer=td.optim.Adam(0.001), seed=0, diagnose=False)


def same_in_torch(model: str, run: Any, shape: tuple[int, ...]) -> Any:
    """Return PyTorch's network with the weights of a run."""
    import torch
    from peers.torch import build
    from setting import Setting
    from torch import nn

    network = build(Setting(model, 100, 1, 0).layers, shape).eval()
    layers = [layer for layer in network if isinstance(layer, (nn.Linear, nn.Conv2d))]
    weights = [part for part in run.parameters.values() if part]
    with torch.no_grad():
        for layer, part in zip(layers, weights, strict=True):
            weight = part["weight"].T if isinstance(layer, nn.Linear) else part["weight"]
            layer.weight.copy_(torch.from_numpy(weight.copy()))
            layer.bias.copy_(torch.from_numpy(part["bias"].copy()))
    return network


def contenders(model: str, batch: int, train: Any, test: Any) -> dict[str, Call]:
    """Return for each contender a call that predicts the n-th batch."""
    import torch

    run = trained(model, train.inputs[:10_000], train.targets[:10_000])
    network = same_in_torch(model, run, test.shape)
    images = test.inputs
    scaled = torch.from_numpy(images).float() / 255
    count = len(images) // batch

    def part(number: int) -> slice:
        return slice(number % count * batch, (number % count + 1) * batch)

    def from_bytes(number: int) -> Any:
        with torch.inference_mode():
            return torch.softmax(network(torch.from_numpy(images[part(number)]).float() / 255), 1).numpy()

    def from_scaled(number: int) -> Any:
        with torch.inference_mode():
            return torch.softmax(network(scaled[part(number)]), 1)

    return {"treadle": lambda n: run.predict(images[part(n)]), "torch_bytes": from_bytes, "torch": from_scaled}


def measure(calls: dict[str, Call], rounds: int, least: float) -> dict[str, list[float]]:
    """Return seconds a call, round by round; contenders take turns, after one round to warm up."""
    counts = {}
    for name, call in calls.items():
        begun, count = time.perf_counter(), 0
        while not count or time.perf_counter() - begun < least:
            call(count)
            count += 1
        counts[name] = count
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begun = time.perf_counter()
            for number in range(counts[name]):
                call(number)
            found[name].append((time.perf_counter() - begun) / counts[name])
    return found


def table(report: dict[str, Any]) -> list[str]:
    """Return the report for a person, in Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    lines = [
        "# Predictions",
        "",
        f"MNIST, float32, {plural(report['options']['threads'], 'thread')}; median of "
        f"{plural(report['rounds'], 'round')} in turn, with the range. {versions}; `{report['kernels']}`.",
        "",
        *preamble(report),
        *(f"- `{name}`: {about}" for name, about in CONTENDERS.items()),
        "",
    ]
    head = ["model, batch", "contender", "samples a second", "range", "µs a call", "treadle ÷ it"]
    rows = []
    for result in report["results"]:
        for name, seconds in result["seconds"].items():
            rates = [result["batch"] / one for one in seconds]
            own = result["seconds"]["treadle"]
            ratio = statistics.median(it / mine for mine, it in zip(own, seconds, strict=True))
            rows.append(
                [
                    f"{result['model']}, {result['batch']:,}",
                    f"`{name}`",
                    f"{statistics.median(rates):,.0f}",
                    f"{min(rates):,.0f}–{max(rates):,.0f}",
                    f"{statistics.median(seconds) * 1e6:,.0f}",
                    "" if name == "treadle" else f"{ratio:.2f}",
                ]
            )
    differences = "; ".join(f"{one['model']}, {one['batch']:,}: {one['difference']:.1e}" for one in report["results"])
    last = "`treadle ÷ it` is the ratio of samples a second, round by round. Largest difference of a probability: "
    return [*lines, *markdown_table(head, rows), "", f"{last}{differences}."]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, "one round of a call or two")
    parser.add_argument("--threads", type=positive, default=1, help="of every contender (default 1)")
    parser.add_argument("--batches", default="1,1000", help="samples, separated by commas (default %(default)s)")
    parser.add_argument("--rounds", type=positive, default=15, help="times that each is measured (default 15)")
    options = parser.parse_args(arguments)
    try:
        options.batches = [positive(number) for number in options.batches.split(",")]
    except (ValueError, argparse.ArgumentTypeError) as error:
        parser.error(f"--batches: {error}")
    if max(options.batches) > 10_000:
        parser.error("--batches: the test set of MNIST has 10,000 samples")
    require_threads(parser, options.threads)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure and write JSON and Markdown."""
    options = parse(arguments)
    if INSIDE not in os.environ:  # libraries read their threads when they are loaded
        unset = {name: os.environ[name] for name in UNSET if name in os.environ}
        told = ",".join(f"{name}={value}" for name, value in unset.items())
        os.execve(sys.executable, [sys.executable, *sys.argv], environment(options.threads) | {INSIDE: told})
    machine = describe_machine()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    import numpy as np
    import torch

    import treadle as td
    from treadle.kernels import fastest

    torch.set_num_threads(options.threads)
    sets = td.data.load("mnist")
    rounds, least = (1, 0.0) if options.quick else (options.rounds, 0.3)
    results = []
    for model in MODELS:
        for batch in options.batches:
            calls = contenders(model, batch, sets.train, sets.test)
            difference = float(np.abs(calls["treadle"](0) - calls["torch_bytes"](0)).max())
            seconds = measure(calls, rounds, least)
            results.append({"model": model, "batch": batch, "difference": difference, "seconds": seconds})
            shown = ", ".join(f"{name} {batch / statistics.median(s):,.0f}" for name, s in seconds.items())
            print(f"{model}, batch {batch:,}: {shown} samples a second", flush=True)
    report = {
        **context(options, machine),
        "rounds": rounds,
        "kernels": fastest().__name__,
        "versions": {
            "treadle": td.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "results": results,
    }
    report["unset"] = dict(pair.split("=", 1) for pair in os.environ[INSIDE].split(",") if pair)
    write_report(report, table(report), f"predict-threads{options.threads}", options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
