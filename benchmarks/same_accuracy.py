"""Does Treadle learn the same as PyTorch? LeNet on MNIST from the same weights, on the same batches.

    python benchmarks/same_accuracy.py --seeds 5 --epochs 2

Compares the losses step by step, by the measure of float32's rounding, and the accuracies on the test set over several
seeds. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import time
from typing import Any

from harness import (
    HERE,
    context,
    describe_machine,
    make_parser,
    markdown_table,
    plural,
    positive,
    preamble,
    require_threads,
    write_report,
)

sys.path.insert(0, str(HERE.parent / "parity"))

import numpy as np
import torch
from lenet_pair import (
    accuracy_of,
    distances,
    root_mean_square,
    train_torch,
    train_treadle,
)
from scipy import stats

import treadle as td

BATCH = 100


def cut(sets: td.data.Sets, samples: int) -> td.data.Sets:
    return td.data.Sets(sets.train[:samples], sets.validation, sets.test, sets.name, sets.origin)


def compare_losses(sets: td.data.Sets, seeds: int, runs: int) -> list[dict[str, Any]]:
    """Return for each seed the losses' distances from float64: Treadle's and those of PyTorch in float32."""
    found = []
    for seed in range(seeds):
        ours, noise, exact = distances(sets, seed, runs)
        found.append(
            {
                "seed": seed,
                "treadle": float(root_mean_square(ours)),
                "torch": root_mean_square(noise).tolist(),
                "treadle_largest": float(ours.max()),
                "torch_largest": noise.max(axis=1).tolist(),
                "loss_first": float(exact[0]),
                "loss_last": float(np.mean(exact[-10:])),
            }
        )
        print(f"seed {seed}: treadle {found[-1]['treadle']:.2e}, torch {max(found[-1]['torch']):.2e}", flush=True)
    return found


def compare_accuracies(sets: td.data.Sets, seeds: int, epochs: int, threads: int) -> list[dict[str, Any]]:
    """Return for each seed both accuracies on the test set after training in float32."""
    found = []
    for seed in range(seeds):
        begun = time.perf_counter()
        run = train_treadle(sets, seed, epochs, threads)[1]
        model = train_torch(sets, seed, epochs)[1]
        images, labels = sets.test.images, sets.test.labels
        pieces = [run.predict(images[i : i + 1000]).argmax(1) for i in range(0, len(images), 1000)]
        ours = np.concatenate(pieces) == labels
        found.append({"seed": seed, "treadle": float(ours.mean()), "torch": accuracy_of(model, sets.test)})
        seconds = time.perf_counter() - begun
        print(f"seed {seed}: treadle {found[-1]['treadle']:.4f}, torch {found[-1]['torch']:.4f}, {seconds:.0f} s")
    return found


def paired(accuracies: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean difference, its 95 % interval and the paired t-test; None where one seed says nothing."""
    ours, theirs = (np.array([pair[name] for pair in accuracies]) for name in ("treadle", "torch"))
    difference = ours - theirs
    result: dict[str, Any] = {"mean": float(difference.mean()), "interval": None, "t": None, "p": None}
    if len(difference) > 1 and difference.std() > 0:
        test = stats.ttest_rel(ours, theirs)
        interval = test.confidence_interval(0.95)
        result |= {"interval": [float(interval.low), float(interval.high)]}
        result |= {"t": float(test.statistic), "p": float(test.pvalue)}
    return result


def table(report: dict[str, Any]) -> list[str]:
    """Return the report for a person, in Markdown."""
    losses, accuracies, test = (report[key] for key in ("losses", "accuracies", "test"))
    lines = [
        "# The same training in Treadle and in PyTorch",
        "",
        "LeNet, Adam, learning rate 0.001, MNIST, batch 100; the same initial weights and the same batches in both; "
        f"{', '.join(f'{name} {version}' for name, version in report['versions'].items())}.",
        "",
        *preamble(report),
        f"## Losses of the first {report['steps']} steps",
        "",
        "Distance from PyTorch in float64, the root of the mean square over the steps; largest in brackets. PyTorch in "
        f"float32 trained {report['runs']} times, with the samples of each batch in other orders: what lies between "
        "these runs is rounding.",
        "",
    ]
    rows = []
    for found in losses:
        theirs = f"{min(found['torch']):.1e}–{max(found['torch']):.1e} ({max(found['torch_largest']):.1e})"
        rows.append(
            [
                str(found["seed"]),
                f"{found['treadle']:.1e} ({found['treadle_largest']:.1e})",
                theirs,
                f"{found['treadle'] / max(found['torch']):.2f}",
                f"{found['loss_first']:.3f} → {found['loss_last']:.3f}",
            ]
        )
    head = ["seed", "treadle, float32", "torch, float32", "treadle ÷ largest of torch", "loss"]
    lines += markdown_table(head, rows)
    ratio = np.median([found["treadle"] / max(found["torch"]) for found in losses])
    lines += [
        "",
        f"Median ratio {ratio:.2f}. Seeds with larger distances are those in which rounding changed a step of Adam for "
        "a weight whose gradient is near 0.",
    ]
    lines += ["", f"## Accuracy on the test set after {plural(report['epochs'], 'epoch')}", ""]
    rows = [
        [str(a["seed"]), f"{a['treadle']:.4f}", f"{a['torch']:.4f}", f"{a['treadle'] - a['torch']:+.4f}"]
        for a in accuracies
    ]
    rows.append(
        [
            "mean",
            f"{np.mean([a['treadle'] for a in accuracies]):.4f}",
            f"{np.mean([a['torch'] for a in accuracies]):.4f}",
            f"{test['mean']:+.4f}",
        ]
    )
    lines += markdown_table(["seed", "treadle", "torch", "difference"], rows)
    if test["interval"] is None:
        return [*lines, "", "No test: there is one seed alone, or all differences are equal."]
    low, high = test["interval"]
    return [
        *lines,
        "",
        f"Mean difference {test['mean']:+.5f}, 95 % interval {low:+.5f} to {high:+.5f}; paired t-test: t = "
        f"{test['t']:.2f}, p = {test['p']:.2f}.",
    ]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, "20 steps, two seeds, 1,000 samples")
    parser.add_argument("--seeds", type=positive, default=5, help="runs with other weights and orders (default 5)")
    parser.add_argument("--epochs", type=positive, default=2, help="before the accuracies (default 2)")
    parser.add_argument("--steps", type=positive, default=500, help="of which losses are compared (default 500)")
    parser.add_argument("--runs", type=positive, default=4, help="of torch in float32 beside them (default 4)")
    parser.add_argument("--threads", type=positive, default=1, help="(default 1)")
    options = parser.parse_args(arguments)
    require_threads(parser, options.threads)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Compare and write JSON and Markdown."""
    options = parse(arguments)
    machine = describe_machine()
    torch.set_num_threads(options.threads)
    sets = td.data.load("mnist")
    steps, seeds, epochs, runs = options.steps, options.seeds, options.epochs, options.runs
    if options.quick:
        steps, seeds, epochs, runs, sets = 20, 2, 1, 2, cut(sets, 1000)
    steps = min(steps, len(sets.train) // BATCH)
    losses = compare_losses(cut(sets, steps * BATCH), seeds, runs)
    accuracies = compare_accuracies(sets, seeds, epochs, options.threads)
    report = {
        **context(options, machine),
        "steps": steps,
        "runs": runs,
        "epochs": epochs,
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "torch", "scipy")},
        "losses": losses,
        "accuracies": accuracies,
        "test": paired(accuracies),
    }
    report["unset"] = {}  # one process, which leaves the environment as it is
    write_report(report, table(report), "same-accuracy", options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
