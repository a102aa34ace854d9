"""Processes that make, save, tag, delete, restore and list runs in one folder while some are killed: nothing gets lost.

    python soak/index.py [--seconds 240] [--kills 300] [--damages 20] [--processes 8] [--seed 0] [--quick]

Each process notes what was acknowledged to it: saves, tags, deletions. In the end no process is left, and then the list
must equal the folders, the index must pass SQLite's check of integrity and give what a new one gives, every run whose
save was acknowledged must be there once, in its folder or in the trash, and load, and no tag may be missing. A run is
known by the seed in its recipe, whatever its folder is called by then. At last the index is damaged, several times,
while processes list: the lists must stay right.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from treadle import kernels
from treadle.data import SCALES, Dataset, Sets
from treadle.errors import TreadleError
from treadle.kernels import reference
from treadle.losses import CrossEntropy
from treadle.metrics import METRICS
from treadle.recipe import Recipe
from treadle.runs import create, load, save, train
from treadle.runs.entry import stamp
from treadle.runs.files import locked
from treadle.runs.folder import begin
from treadle.runs.index import INDEX, entries, rebuild
from treadle.runs.tags import change_tags, read_tags
from treadle.runs.trash import TRASH, delete, restore, trashed
from treadle.train import Run

MOST = 300  # runs in the folder, from which on none are added
SETTINGS = {"network.layers": ["linear 3"], "loss.kind": "cross_entropy", "data.batch_size": 10}


def require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if not path.name.startswith(".") and stamp(path)}


class Worker:
    """What one process does until it is killed or the time is up."""

    def __init__(self, root: Path, notes: Path, number: int) -> None:
        self.root, self.notes, self.number = root, notes, number
        self.draws = random.Random(number)
        self.count = 0
        rows = Dataset(np.random.default_rng(0).random((40, 4)), np.arange(40) % 3, ("a", "b", "c"), "rows")
        self.sets = Sets(rows[:20], rows[20:30], rows[30:], "rows", "made up")

    def note(self, what: str, *values: Any) -> None:
        """Write down what was acknowledged."""
        with self.notes.open("a") as file:
            file.write(json.dumps([what, *values]) + "\n")

    def changed(self) -> dict[str, int]:
        """Runs and when something in their folders, or their place, was changed."""
        found = {}
        for name in names(self.root):
            with suppress(FileNotFoundError):
                found[name] = (self.root / name).stat().st_ctime_ns
        return found

    def choose(self) -> Path | None:
        """Return some run that is there."""
        found = sorted(names(self.root))
        return self.root / self.draws.choice(found) if found else None

    def recipe(self, epochs: int) -> Recipe:
        """Return a recipe whose seed no other run has."""
        self.count += 1
        seed = self.number * 1_000_000 + self.count
        return Recipe.baseline().change({**SETTINGS, "training.seed": seed, "training.epochs": epochs})

    def make(self) -> None:
        """Begin a run and save it some times, as training does."""
        recipe = self.recipe(epochs=self.draws.randint(1, 4))
        network = recipe.build_network(self.sets.train.classes, self.sets.train.shape)
        run = Run(
            network=network,
            parameters=network.init(self.sets.train.shape, seed=recipe.training.seed),
            loss=CrossEntropy(),
            scale=SCALES["minmax"]().fit(self.sets.train.inputs),
            metrics=(METRICS["accuracy"],),
            dtype=np.dtype(np.float32),
            seed=recipe.training.seed,
            input_shape=self.sets.train.shape,
            kernels=reference,
            sets=self.sets,
        )
        folder = create(self.root, "soak")
        with locked(folder):
            begin(folder, recipe, self.sets)
            for epoch in range(1, recipe.training.epochs + 1):
                figures = {"train_loss": 1.0, "validation_loss": 1.0, "validation_accuracy": 0.5, "seconds": 0.1}
                run.history.append({"epoch": epoch, **figures, "waited": 0.0})
                run.weights_epoch = epoch
                save(folder, recipe, run, "finished" if epoch == recipe.training.epochs else "running")
                self.note("saved", recipe.training.seed, epoch)

    def train(self) -> None:
        """Make a run by training."""
        recipe = self.recipe(epochs=2)
        train(recipe, self.sets, create(self.root, "trained"))
        self.note("saved", recipe.training.seed, 2)

    def tag(self) -> None:
        """Give some run one of five tags."""
        folder = self.choose()
        if folder:
            seed = Recipe.read(folder / "recipe.toml").training.seed
            tag = f"t{self.number}-{self.draws.randrange(5)}"
            change_tags(folder, add=[tag])
            self.note("tagged", seed, tag)

    def delete(self) -> None:
        """Delete some run."""
        folder = self.choose()
        if folder:
            delete(folder)
            self.note("deleted")

    def restore(self) -> None:
        """Restore some run."""
        found = trashed(self.root)
        if found:
            restore(self.root, self.draws.choice(found))
            self.note("restored")

    def list(self) -> None:
        """List, and compare with the folders that were there all the time."""
        before = self.changed()
        warnings: list[str] = []
        listed = {entry.name: entry for entry in entries(self.root, warnings.append)}
        lasting = {name for name, when in self.changed().items() if before.get(name) == when}
        require(lasting <= listed.keys(), f"not listed: {lasting - listed.keys()}")
        require(not warnings, f"warned: {warnings}")
        self.note("listed")

    def work(self) -> None:
        """Do one thing after another."""
        actions = {self.tag: 4, self.delete: 2, self.restore: 2, self.list: 4}
        fuller = {self.make: 5, self.train: 0.5}
        while True:
            chosen = actions | (fuller if len(names(self.root)) < MOST else {})
            action = self.draws.choices(list(chosen), list(chosen.values()))[0]
            try:
                action()
            except TreadleError:
                if action in (self.make, self.train, self.list):
                    raise
                self.note("refused")  # another process moved the run before, or trains it


def begin_worker(root: Path, notes: Path, number: int) -> None:
    kernels.fastest = lambda: reference  # type: ignore[assignment] # which need not be compiled or loaded
    try:
        Worker(root, notes / f"{number}.jsonl", number).work()
    except BaseException as error:
        (notes / f"{number}.fault").write_text(f"{type(error).__name__}: {error}")
        raise


def soak(root: Path, notes: Path, processes: int, seconds: float, kills: int, seed: int) -> int:
    """Let processes work and kill some at random; return how many were killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["treadle.runs", "treadle.runs.index", "treadle.runs.trash", "filelock"])
    draws = random.Random(seed)
    workers: list[Any] = []
    started = killed = 0

    def start() -> Any:
        nonlocal started
        started += 1
        worker = context.Process(target=begin_worker, args=(root, notes, seed * 10_000 + started), daemon=True)
        worker.start()
        return worker

    workers = [start() for _ in range(processes)]
    begun = time.monotonic()
    moments = sorted(draws.uniform(0, seconds) for _ in range(kills))
    for moment in [*moments, seconds]:
        time.sleep(max(0, begun + moment - time.monotonic()))
        if moment == seconds or list(notes.glob("*.fault")):
            break
        place = draws.randrange(processes)
        workers[place].kill()
        workers[place].join()
        killed += 1
        workers[place] = start()
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()
    return killed + processes


def verify(root: Path, notes: Path) -> Counter[str]:
    """Compare what is there with what was acknowledged; return how often each was."""
    faults = [path.read_text() for path in notes.glob("*.fault")]
    require(not faults, f"processes failed: {faults}")
    saved: Counter[int] = Counter()
    tags: dict[int, set[str]] = {}
    told: Counter[str] = Counter()
    for path in notes.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            what, *values = json.loads(line)
            told[what] += 1
            if what == "saved":
                saved[values[0]] = max(saved[values[0]], values[1])
            elif what == "tagged":
                tags.setdefault(values[0], set()).add(values[1])
    warnings: list[str] = []
    listed = entries(root, warnings.append)
    require(not warnings, f"warned: {warnings}")
    require({entry.name for entry in listed} == names(root), "the list is not that of the folders")
    check(root, len(listed))
    require(entries(root) == listed == rebuild(root), "a new index gives another list")
    check(root, len(listed))
    require(not [entry for entry in listed if entry.status == "running"], "a run seems to be trained")
    places = [root / name for name in names(root)] + [root / TRASH / name for name in trashed(root)]
    found: dict[int, Path] = {}
    for place in places:
        recipe = Recipe.read(place / "recipe.toml") if (place / "recipe.toml").exists() else None
        if recipe is not None:
            require(recipe.training.seed not in found, f"{place} is there twice")
            found[recipe.training.seed] = place
    for run, epochs in saved.items():
        require(run in found, f"run {run} is lost")
        require(len(load(found[run]).history) >= epochs, f"{found[run]}: epochs are lost")
    for run, wanted in tags.items():
        require(run in found, f"run {run}, which was tagged, is lost")
        require(wanted <= set(read_tags(found[run]).tags), f"{found[run]}: tags are lost")
    for entry in listed:
        require(entry.status != "damaged" or entry.started is None, f"{entry.name}: {entry.fault}")
    told["runs"], told["in the trash"] = len(listed), len(trashed(root))
    told["ended in the middle"] = sum(entry.status in ("killed", "damaged") for entry in listed)
    return told


def check(root: Path, count: int) -> None:
    """Have SQLite check the index, which holds so many runs."""
    database = sqlite3.connect(root / INDEX)
    (result,) = database.execute("PRAGMA integrity_check").fetchone()
    (rows,) = database.execute("SELECT count(*) FROM runs").fetchone()
    database.close()
    require(result == "ok", f"integrity_check: {result}")
    require(rows == count, f"the index holds {rows} runs of {count}")


def list_often(root: Path, expected: list[str], told: Path) -> None:
    warnings: list[str] = []
    for _ in range(5):
        require(sorted(entry.name for entry in entries(root, warnings.append)) == expected, "another list")
    told.write_text(json.dumps(warnings))


def damage(root: Path, processes: int, rounds: int, seed: int) -> int:
    """Damage the index while processes list; return how often it was set aside."""
    context = multiprocessing.get_context("forkserver")
    draws = random.Random(seed)
    expected = sorted(names(root))
    aside = 0
    for _ in range(rounds):
        told = [root.parent / f"warnings-{number}.json" for number in range(processes)]
        workers = [context.Process(target=list_often, args=(root, expected, path)) for path in told]
        for worker in workers:
            worker.start()
        time.sleep(draws.uniform(0.1, 0.5))
        content = bytearray((root / INDEX).read_bytes())
        for _ in range(draws.choice((1, 10, 1000))):
            content[draws.randrange(len(content))] = draws.randrange(256)
        (root / INDEX).write_bytes(content[: draws.choice((len(content), len(content), len(content) // 2, 100))])
        for worker in workers:
            worker.join()
            require(worker.exitcode == 0, "a list failed while the index was damaged")
        warnings = [warning for path in told for warning in json.loads(path.read_text())]
        require(all("it is now index.sqlite.damaged" in warning for warning in warnings), f"{warnings}")
        aside += len(warnings)
        entries(root)
        check(root, len(expected))
    return aside


def main() -> int:
    parser = argparse.ArgumentParser(description="Make, tag, delete and list runs in many processes, and kill some.")
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--damages", type=int, default=20)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="15 seconds, 15 kills and 3 damages")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.kills, arguments.damages = 15, 15, 3
    if os.name == "nt":
        sys.exit("processes are killed with POSIX's SIGKILL")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        root, notes = Path(folder, "runs"), Path(folder, "notes")
        root.mkdir()
        notes.mkdir()
        killed = soak(root, notes, arguments.processes, arguments.seconds, arguments.kills, arguments.seed)
        told = verify(root, notes)
        print(f"{killed} processes killed; " + ", ".join(f"{what} {count}" for what, count in sorted(told.items())))
        aside = damage(root, arguments.processes, arguments.damages, arguments.seed)
        print(f"index damaged {arguments.damages} times, set aside {aside} times, no list was wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
