"""`treadle run`: train what a recipe says and tell how good it is."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from treadle import kernels
from treadle.cli.options import COMMAND, Changes, Json, RecipeFile, read_recipe, warnings
from treadle.cli.unread import dropped
from treadle.data import Sets
from treadle.nn import Summary, summary
from treadle.recipe import Recipe
from treadle.runs import create, to_json, train
from treadle.runs.checkpoints import FOLDER as CHECKPOINTS
from treadle.runs.train import Hooks
from treadle.train import Finding, Interrupted, Progress, Run, State

LONG = 2.0  # seconds of training, for in shorter ones it does not matter
WAITING = 0.3  # share of the time of training from which on a hint about reading ahead is given
Folder = Annotated[Path, Parameter(name="--runs", help="Folder that the run's own folder is made in.")]


@dropped("run")
def run(
    recipe: RecipeFile = None, /, *, changes: Changes = None, json: Json = False, runs: Folder = Path("runs")
) -> None:
    """Train a network and keep the run: weights, history and scores.

    Prints the data, the network, a line an epoch, and the test score with its 95 % interval. With --json one JSON
    object a line: start, finding, epoch, end. Ctrl-C saves what was trained so far and exits with code 130. Where
    nobody reads the output any more, as in treadle run | head -1, it is dropped: the run goes on and exits with code 0.
    """
    chosen = read_recipe(recipe, changes)
    report: Report = JsonReport() if json else TextReport()
    sets = chosen.load_data()
    report.start(chosen, sets, described(chosen, sets))
    tell_of_compiling()
    folder = create(runs, chosen.network.preset or "layers")
    try:
        with told(report, folder):
            finished = train(chosen, sets, folder, report.hooks())
    except BaseException:
        if not (folder / CHECKPOINTS).exists():
            shutil.rmtree(folder, ignore_errors=True)  # a run that failed before it was saved leaves nothing behind
        raise
    report.end(chosen, finished, folder)


def described(recipe: Recipe, sets: Sets) -> Summary:
    """Return the table of a recipe's network."""
    network = recipe.build_network(sets.train.classes, sets.train.shape)
    return summary(network, sets, batch_size=recipe.data.batch_size, optimizer=recipe.build_optimizer())


def tell_of_compiling() -> None:
    """Tell people that the first training on a machine takes longer."""
    if sys.stderr.isatty() and kernels.compiles():
        print("compiling the kernels for this machine: once, some 10 to 20 seconds", file=sys.stderr, flush=True)


@contextmanager
def told(report: Report, folder: Path) -> Iterator[None]:
    """Show the report while a run is trained, and where it was saved if it does not come to its end."""
    try:
        with report:
            yield
    except Interrupted as interrupted:
        report.interrupted(interrupted.run, folder)
        raise


class Report(ABC):
    """What a run tells while it goes on."""

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *error: object) -> None:  # noqa: B027 - nothing, unless overridden
        """End what is shown while training goes on."""

    def hooks(self) -> Hooks:
        """Return what training calls."""
        return Hooks(on_step=self.step, on_epoch=self.epoch, on_finding=self.finding)

    @abstractmethod
    def start(self, recipe: Recipe, sets: Sets, network: Summary) -> None:
        """Tell what will be trained, before it is."""

    @abstractmethod
    def resumed(self, progress: Progress, faults: list[str]) -> None:
        """Tell where a run goes on, and what is wrong with later checkpoints."""

    def step(self, state: State, steps: int) -> None:  # noqa: B027 - nothing, unless overridden
        """Tell how far training has come."""

    @abstractmethod
    def epoch(self, run: Run) -> None:
        """Tell the figures of the epoch that ended."""

    @abstractmethod
    def finding(self, finding: Finding) -> None:
        """Tell what looks wrong with the training."""

    @abstractmethod
    def interrupted(self, run: Run, folder: Path) -> None:
        """Tell where the run was saved."""

    @abstractmethod
    def end(self, recipe: Recipe, run: Run, folder: Path) -> None:
        """Tell the test score."""


class JsonReport(Report):
    """One JSON object a line."""

    def _line(self, **values: Any) -> None:
        print(to_json(values), flush=True)

    def start(self, recipe: Recipe, sets: Sets, network: Summary) -> None:
        """Print the recipe, the fingerprint of the data and the number of parameters."""
        self._line(
            event="start",
            recipe=recipe.to_dict(),
            fingerprint=sets.fingerprint(),
            warnings=warnings(sets),
            parameters=network.parameters,
        )

    def resumed(self, progress: Progress, faults: list[str]) -> None:
        """Print from which step the run goes on, and what is wrong with checkpoints."""
        self._line(event="resume", epoch=progress.epoch + 1, steps=progress.step, faults=faults)

    def epoch(self, run: Run) -> None:
        """Print the epoch's record."""
        self._line(event="epoch", **run.history[-1])

    def finding(self, finding: Finding) -> None:
        """Print the finding."""
        self._line(event="finding", **finding.to_dict())

    def interrupted(self, run: Run, folder: Path) -> None:
        """Print the folder."""
        self._line(event="interrupted", folder=str(folder), steps=run.step)

    def end(self, recipe: Recipe, run: Run, folder: Path) -> None:  # noqa: ARG002
        """Print the test score, the epoch of the weights it is of, why training stopped early, and the folder."""
        about = {"weights_epoch": run.weights_epoch, "stopped_early": run.stopped_early}
        self._line(event="end", test=run.tested, **about, folder=str(folder))


class TextReport(Report):
    """A table for people, and on a terminal a bar with the time left."""

    INTERVAL = 0.1  # seconds between two updates of the bar, which cost more than a step of a small network

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True, emoji=False)
        self.bar: Bar | None = None
        self.task = TaskID(0)
        self.shown = 0.0
        self.epochs = 0
        self.columns: list[str] = []

    def __enter__(self) -> Report:
        if sys.stdout.isatty():
            done = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
            left = (TimeRemainingColumn(), TextColumn("left"))
            self.bar = Bar(*done, *left, console=self.console, transient=True)
            self.task = self.bar.add_task("training", total=None)
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def _print(self, text: str = "") -> None:
        self.console.print(text, markup=False)

    def start(self, recipe: Recipe, sets: Sets, network: Summary) -> None:
        """Print the data and the network, to look at before training."""
        self.epochs = recipe.training.epochs
        optimizer = recipe.build_optimizer()
        for line in warnings(sets):
            self._print(line)
        self._print(f"{sets}\n\n{network}\n\n{recipe.build_loss()}, {optimizer}, batch size {recipe.data.batch_size}\n")

    def resumed(self, progress: Progress, faults: list[str]) -> None:
        """Print what is wrong with checkpoints, and where the run goes on."""
        for fault in faults:
            self._print(f"warning: {fault}")
        epoch = min(progress.epoch + 1, self.epochs)
        self._print(f"going on in epoch {epoch} of {self.epochs}, after {progress.step} steps in all\n")

    def step(self, state: State, steps: int) -> None:
        """Move the bar."""
        now = time.monotonic()
        if self.bar and now - self.shown > self.INTERVAL:
            self.shown = now
            text = f"epoch {state.epoch + 1} of {self.epochs}, batch loss {state.loss:.4f}"
            self.bar.update(self.task, description=text, total=self.epochs * steps, completed=state.step)

    def epoch(self, run: Run) -> None:
        """Print a line of the table, and its head before the first."""
        record = run.history[-1]
        if not self.columns:
            self.columns = list(record)
            self._print("  ".join(name.replace("_", " ") for name in self.columns))
        cells = []
        for name, value in record.items():
            digits = 2 if name in ("seconds", "waited") else 4
            cells.append(f"{value if isinstance(value, int) else format(value, f'.{digits}f'):>{len(name)}}")
        self._print("  ".join(cells))

    def finding(self, finding: Finding) -> None:
        """Print the finding, its parts on lines of their own."""
        self._print(f"! {finding}")

    @staticmethod
    def _of(run: Run) -> str:
        epoch = (run.tested or {}).get("weights_epoch", run.weights_epoch)
        return "" if epoch == run.weights_epoch else f", with the weights of epoch {epoch}, and not again"

    def interrupted(self, run: Run, folder: Path) -> None:
        """Print where the run was saved."""
        epoch = min(len(run.history) + 1, self.epochs)  # the test comes after the last
        self._print(f"\nstopped in epoch {epoch} of {self.epochs}, after {run.step} steps in all")
        if run.tested is None:
            self._print(f"saved in {folder}; the test set was not looked at")
        else:
            self._print(f"saved in {folder}")
        self._print(f"go on: {COMMAND} resume {folder}")

    def end(self, recipe: Recipe, run: Run, folder: Path) -> None:
        """Print the test score with its intervals, and what to try next."""
        test = run.tested
        assert test is not None
        if run.stopped_early:
            self._print(f"\nstopped early after epoch {len(run.history)} of {self.epochs}: {run.stopped_early}")
        if len(run.history) > 1:
            why = "with the lowest validation loss" if recipe.saving.weights == "best" else "the last"
            kind = "those" if recipe.training.averaging is None else "the averaged ones"
            self._print(f"\nthe weights kept are {kind} of epoch {run.weights_epoch}, {why}")
        self._print(f"\ntest set, {test['samples']:,} samples, looked at once{self._of(run)}:")
        for name in ("loss", *(metric.name for metric in run.metrics)):
            low, high = test[f"{name}_interval"]
            self._print(f"  {name} {test[name]:.4f}, 95 % interval {low:.4f} to {high:.4f}")
        self._print(f"  in full: {COMMAND} evaluate {folder}")
        waited, seconds = (sum(record[name] for record in run.history) for name in ("waited", "seconds"))
        if run.times:  # the first loads the kernels
            first = run.times[0].wait_end - run.times[0].wait_begin
            waited, seconds = waited - first, seconds - first
        if seconds > LONG and waited > WAITING * seconds:
            self._print(
                f"\nreading batches took {waited / seconds:.0%} of the time: `{COMMAND} timeline` with the same"
            )
            self._print("arguments tells whether reading ahead would save some of it")
        self._print(f"\nsaved in {folder}")
        if len(run.input_shape) == 3:
            self._print(f"use it: {COMMAND} predict {folder} IMAGE")
        elif run.encoding is not None:
            self._print(f"use it: {COMMAND} predict {folder} ROWS.csv")
        advice = next_change(recipe) if len(run.input_shape) == 3 else None
        if advice:
            why, arguments = advice
            if recipe.data.source != "mnist":
                arguments = f"--set data.source={shlex.quote(recipe.data.source)} {arguments}"
            self._print(f"next: {why}\n  {COMMAND} run {arguments}")


def next_change(recipe: Recipe) -> tuple[str, str] | None:
    """Return what to try after a recipe of the course's first steps, and the arguments for it; None after the last.

    Of images alone: they are the steps of the course on MNIST.
    """
    if recipe.loss.kind != "cross_entropy" and recipe.network.preset == "baseline":
        return (
            "a class is not a number: an output for each class, softmax with cross-entropy",
            "--set network.preset=softmax --set loss.kind=cross_entropy --set optimizer.lr=0.1",
        )
    if recipe.network.preset == "softmax":
        return (
            "a hidden layer",
            "--set network.preset=mlp_relu --set loss.kind=cross_entropy --set optimizer.lr=0.5 "
            "--set training.epochs=10",
        )
    if recipe.network.preset == "mlp_relu":
        return (
            "convolution, with Adam",
            "--set network.preset=lenet --set loss.kind=cross_entropy --set optimizer.kind=adam "
            "--set optimizer.lr=0.001 --set training.epochs=5",
        )
    return None
