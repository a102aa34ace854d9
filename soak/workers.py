"""Workers that are killed or hang at random moments: each is named in time, nothing stays behind, the bits stay right.

    python soak/workers.py [--kills 200] [--hangs 50] [--seed 0]

Each round begins workers anew and reads a whole epoch, whose bits must be those of reading without workers. In the next
epochs one of the workers is killed or hangs. The error must come within 5 seconds and name that worker, and no process
and no shared memory may be left. In a fifth of the kills it is the start of the workers that is met.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from treadle.data import Prefetch, Reading
from treadle.errors import WorkerError

MARGIN = 5.0  # seconds from a kill or a hang until the error has come and the workers are gone
SAMPLES, BATCH = 512, 16
KILLS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)
HANGS = ("process sleeps", "process is stopped", "thread sleeps")


class Rows:
    """Rows of numbers that follow from those of the samples; making a batch waits a little, as for a disk.

    In epoch 1 whoever makes the sample `sleeper` writes the time to a file and sleeps.
    """

    def __init__(self, sleeper: int = -1, told: str = "") -> None:
        self.name, self.dtype = "rows", np.dtype(np.float32)
        self.inputs = np.sin(np.arange(SAMPLES * 300.0)).reshape(SAMPLES, 3, 10, 10)
        self.targets = np.arange(SAMPLES)
        self.sleeper, self.told = sleeper, told

    def take(self, indices: np.ndarray, inputs: np.ndarray, targets: np.ndarray, epoch: int = 0) -> None:
        """Write samples by their numbers."""
        time.sleep(0.001)
        if epoch == 1 and self.sleeper in indices:
            Path(self.told).write_text(str(time.monotonic()))
            time.sleep(10**6)
        inputs[...] = self.inputs[indices] * (epoch + 1)
        np.take(self.targets, indices, out=targets)


class Noted(shared_memory.SharedMemory):
    """Shared memory whose name is noted."""

    names: list[str] = []  # noqa: RUF012 - of all

    def __init__(self, name: str | None = None, create: bool = False, size: int = 0) -> None:
        super().__init__(name, create, size)
        if create:
            self.names.append(self.name)


class Fault(Exception):  # noqa: N818
    """What should not have happened."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Fault(what)


def children() -> dict[int, str]:
    """Command lines of the processes begun here, but for that which clears up after this one."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            found[process.pid] = " ".join(process.cmdline())
        except psutil.ZombieProcess:
            found[process.pid] = "zombie"
        except psutil.NoSuchProcess:
            continue
    return {pid: line for pid, line in found.items() if "resource_tracker" not in line}


def parts(draws: random.Random) -> list[np.ndarray]:
    order = list(range(SAMPLES))
    draws.shuffle(order)
    return [np.array(order[begin : begin + BATCH]) for begin in range(0, SAMPLES - 5, BATCH)]


def epoch(reading: Reading, order: list[np.ndarray], number: int) -> None:
    """Read an epoch, and compare each batch with what it should be."""
    plain = Rows()
    reading.begin(order, number)
    for part in order:
        inputs, targets = np.empty((len(part), 3, 10, 10), np.float32), np.empty(len(part), np.int64)
        reading.next(inputs, targets)
        wanted = (plain.inputs[part] * (number + 1)).astype(np.float32)
        require(inputs.tobytes() == wanted.tobytes(), f"other inputs in epoch {number}")
        require(targets.tolist() == part.tolist(), f"other targets in epoch {number}")


def endless(reading: Reading, order: list[np.ndarray]) -> None:
    for number in itertools.count(2):
        epoch(reading, order, number)


@contextmanager
def failing(reading: Reading) -> Iterator[dict[str, Any]]:
    """Note the error that comes out of `with reading`, and when; nothing may be left then."""
    seen: dict[str, Any] = {"message": ""}
    try:
        with reading:
            yield seen
    except WorkerError as error:
        seen["message"] = str(error)
    seen["ended"] = time.monotonic()
    require(bool(seen["message"]), "no error came")
    require(not children(), f"left processes {children()}")
    left = [name for name in Noted.names if Path("/dev/shm", name).exists()]
    require(not left, f"left shared memory {left}")


def killed(draws: random.Random, number: int) -> tuple[str, float]:
    """Send a signal to a worker at a random moment; return what was done and the seconds until the error."""
    chosen = KILLS[number % len(KILLS)]
    workers, at_start = draws.randint(1, 3), draws.random() < 0.2
    reading = Reading(Rows(), BATCH, Prefetch(draws.randint(1, 8), workers, "process"), batch_last=True)
    order = parts(draws)
    with failing(reading) as seen:
        pid = draws.choice(sorted(children()))

        def kill() -> None:
            seen["begun"] = time.monotonic()
            os.kill(pid, chosen)

        if not at_start:
            epoch(reading, order, 0)
        timer = threading.Timer(draws.uniform(0, 0.3), kill)
        timer.start()
        endless(reading, order)
    require(f"(process {pid}) was ended by {chosen.name}" in seen["message"], f"another message: {seen['message']}")
    return f"{chosen.name}{' at the start' if at_start else ''}", seen["ended"] - seen["begun"]


def hung(draws: random.Random, number: int) -> tuple[str, float]:
    """Let a worker hang at a random moment; return what was done and the seconds until the error."""
    kind = HANGS[number % len(HANGS)]
    order, workers = parts(draws), draws.randint(1, 3)
    prefetch = Prefetch(draws.randint(1, 8), workers, "thread" if kind == "thread sleeps" else "process")
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "time"
        stops = kind == "process is stopped"
        batch = draws.randrange(len(order))
        sleeper = -1 if stops else int(draws.choice(order[batch]))
        worker = f"worker {batch % workers + 1} ({'thread' if kind == 'thread sleeps' else 'process '}"
        reading = Reading(Rows(sleeper, str(told)), BATCH, prefetch)
        with failing(reading) as seen:
            epoch(reading, order, 0)
            if stops:
                pid = draws.choice(sorted(children()))
                worker = f"(process {pid})"

                def stop() -> None:
                    seen["begun"] = time.monotonic()
                    os.kill(pid, signal.SIGSTOP)

                threading.Timer(draws.uniform(0, 0.3), stop).start()
                endless(reading, order)
            else:
                epoch(reading, order, 1)
        begun = seen["begun"] if stops else float(told.read_text())
    require(worker in seen["message"] and " hangs: " in seen["message"], f"another message: {seen['message']}")
    return kind, seen["ended"] - begun


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill workers, and let them hang, at random moments.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--hangs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    shared_memory.SharedMemory = Noted  # type: ignore[misc]
    rounds = [(killed, number) for number in range(arguments.kills)]
    rounds += [(hung, number) for number in range(arguments.hangs)]
    begun, faults, found = time.monotonic(), 0, defaultdict(list)
    for act, number in rounds:
        try:
            what, seconds = act(random.Random(f"{arguments.seed} {act.__name__} {number}"), number)
            require(seconds < MARGIN, f"{what}: the error came after {seconds:.2f} s")
            found[what].append(seconds)
        except Exception as error:  # the rounds after it tell whether it was a single one
            faults += 1
            print(f"{act.__name__} {number}: {type(error).__name__}: {error}", file=sys.stderr)
    with Reading(Rows(), BATCH, Prefetch(4, 2, "process")) as reading:
        epoch(reading, parts(random.Random(arguments.seed)), 0)
    for what, times in sorted(found.items()):
        print(
            f"{what:22} {len(times):4} times, seconds until the error: {np.median(times):5.2f}, most {max(times):5.2f}"
        )
    print(f"{len(rounds)} rounds in {time.monotonic() - begun:.0f} s, {faults} with a fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
