"""What it costs to record a run and to write checkpoints: LeNet on MNIST with and without a run folder, in turn.

    PYTHONPATH=src python benchmarks/saving.py [--rounds 5] [--samples 50000] [--folder DIRECTORY]

Each round trains one epoch three times: with `fit` and the look at the test set alone, into a run folder with the
settings of saving that a recipe has by default, and with a checkpoint every 100 steps besides. The order is turned
from round to round. Ratios are taken round by round; the share in calls is the time inside the functions that record
and save, which neighbours on the machine spoil least. Processor time is that of the process. What those calls leave
behind, such as cold caches, shows in the ten steps after each checkpoint: their median is told over that of the other
steps of the same epoch.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness import (
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

KINDS = {"fit alone": None, "run folder": {}, "checkpoint every 100 steps": {"saving.checkpoint_steps": 100}}
SAVING = ("treadle.runs.train.begin", "treadle.runs.train.save", "treadle.runs.train.log")
SAVING += ("treadle.runs.checkpoints.write",)


class Stopwatch:
    """Adds up the seconds within calls of functions, none of which calls another."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextlib.contextmanager
    def on(self, *targets: str) -> Iterator[None]:
        """Time the functions of these names while the `with` block runs."""
        with contextlib.ExitStack() as stack:
            for target in targets:
                stack.enter_context(patch(target, self._timed(target)))
            yield

    def _timed(self, target: str) -> Callable[..., Any]:
        from pkgutil import resolve_name

        function = resolve_name(target)

        def timed(*arguments: Any, **options: Any) -> Any:
            begun = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - begun

        return timed


def measure(kind: str, sets: Any, folder: Path) -> dict[str, float]:
    """Train an epoch and return wall and processor seconds, and those inside the calls that save."""
    from treadle import fit
    from treadle.recipe import Recipe
    from treadle.runs import create
    from treadle.runs.train import Hooks, train

    recipe = Recipe.baseline().change(
        {"network.preset": "lenet", "loss.kind": "cross_entropy", "optimizer.kind": "adam", "training.epochs": 1}
    )
    watch, changes = Stopwatch(), KINDS[kind]
    moments: list[float] = []
    wall, processor = time.perf_counter(), time.process_time()
    if changes is None:
        run = fit(
            recipe.build_network(sets.train.classes, sets.train.shape),
            sets,
            loss=recipe.build_loss(),
            optimizer=recipe.build_optimizer(),
            epochs=1,
            **recipe.fit_settings(),
        )
        run.test()
    else:
        path = create(folder, "lenet")
        with watch.on(*SAVING):
            run = train(
                recipe.change(changes), sets, path, Hooks(on_step=lambda *_: moments.append(time.perf_counter()))
            )
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    found = {"wall": wall, "cpu": processor, "saving": watch.seconds, "loss": run.history[-1]["train_loss"]}
    return found | ({"after": after_checkpoints(moments)} if changes else {})


def after_checkpoints(moments: list[float]) -> float:
    """Return the median time of the ten steps after each 100th over that of the others, from the ends of all steps."""
    spans = [(number, end - begun) for number, (begun, end) in enumerate(itertools.pairwise(moments), 2)]
    near = [span for number, span in spans if number > 100 and 1 <= number % 100 <= 10]
    far = [span for number, span in spans if not 0 <= number % 100 <= 10]
    return statistics.median(near) / statistics.median(far) if near else math.nan


def table(report: dict[str, Any]) -> list[str]:
    """Return the report for a person, in Markdown."""
    rounds = report["results"]

    def ratios(kind: str, name: str) -> list[float]:
        return [found[kind][name] / found["fit alone"][name] for found in rounds]

    rows = []
    for kind in KINDS:
        figures = [found[kind] for found in rounds]
        row = [kind, *(spread([found[name] for found in figures], ".2f") for name in ("wall", "cpu"))]
        if kind != "fit alone":
            row += [spread(ratios(kind, name), ".3f") for name in ("wall", "cpu")]
            row.append(spread([100 * found["saving"] / found["wall"] for found in figures], ".2f"))
        if KINDS[kind]:
            row.append(spread([found["after"] for found in figures], ".3f"))
        rows.append(row)
    head = ["training", "seconds", "CPU seconds", "÷ fit alone", "÷ fit alone, CPU", "% of the time in calls that save"]
    head.append("step after a checkpoint ÷ others")
    samples = report["options"]["samples"]
    return [
        "# What recording and saving a run costs",
        "",
        f"LeNet, Adam, batches of 100, one epoch of {samples:,} samples of MNIST, validation and test; one thread; "
        f"median (from, to) of {plural(len(rounds), 'round')}. All three came to the same training loss.",
        "",
        *preamble(report),
        *markdown_table(head, rows),
    ]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, "one round of 500 samples")
    parser.add_argument("--rounds", type=positive, default=5, help="times that each is measured (default 5)")
    parser.add_argument("--samples", type=positive, default=50_000, help="of the training set (default 50,000)")
    parser.add_argument("--folder", type=Path, help="for the runs (default: a temporary folder of the system)")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.samples = 1, 500
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure and write JSON and Markdown."""
    options = parse(arguments)
    machine = describe_machine()
    import treadle as td

    mnist = td.data.load("mnist")
    sets = td.data.Sets(mnist.train[: options.samples], mnist.validation, mnist.test, "mnist", mnist.origin)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        few = td.data.Sets(mnist.train[:500], mnist.validation, mnist.test, "mnist", mnist.origin)
        for kind in KINDS:  # kernels and libraries are loaded
            measure(kind, few, Path(folder))
        for number in range(options.rounds):
            kinds = list(KINDS)[number % 3 :] + list(KINDS)[: number % 3]
            found = {kind: measure(kind, sets, Path(folder)) for kind in kinds}
            assert len({figures["loss"] for figures in found.values()}) == 1, found
            results.append(found)
    options.folder = None if options.folder is None else str(options.folder)
    report = {**context(options, machine), "results": results}
    write_report(report, table(report), "saving-lenet", options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
