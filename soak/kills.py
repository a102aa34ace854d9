"""Runs that are killed at random moments and at every call on a file: nothing that was acknowledged may be lost.

    python soak/kills.py [--kills 1000] [--seed 0] [--quick] [--json]

- *Random kills*: `treadle run` gets SIGKILL at a random moment, and so does `treadle resume`, until the run is through.
- *Every call*: run and resume are killed before and after each call on a file, and within each write; they get SIGINT
  and SIGTERM there, in each step and each evaluation; and each call fails, once or from there on.
- *A full disk*, where this process may mount one, and *a second Ctrl-C* while the disk hangs.

After each the checkpoint that the log acknowledged last must be there and whole, the weights that run.json names too;
resume must begin at that step or later; and weights, history, findings and test score must be, to the bit, those of the
run that nothing happened to.

Most commands are forked from this process, which has one thread and has imported treadle: a fresh one takes a second to
import what a training of 0.1 seconds needs. The copy is ended by the same signal in the same system calls, its files
and locks go the same way, and nothing of it comes back here; only the time in which nothing but imports happens, and no
run exists, is left out. One kill in twenty meets a fresh process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
os.environ["PYTHONPATH"] = str(ROOT / "src")

import forked  # noqa: E402
from ended_runs import (  # noqa: E402
    RUN,
    Result,
    acknowledged,
    finish,
    require,
    require_same,
    require_told,
    resumed,
    run_in,
    undisturbed,
    write_recipe,
)
from filecalls import MOMENTS, Fault, hidden  # noqa: E402

FRESH = 20  # one kill in so many meets a fresh process
PATIENCE = 2.0  # seconds until a second Ctrl-C has ended a command
PHASES = ["start-up", "between", "folder begun", "checkpoint read", "training", "checkpoint written", "evaluation"]
PHASES += ["run saved", "test", "closing"]
# module, function → what the command does within it
WITHIN = {
    ("treadle.runs.train", "begin"): "folder begun",
    ("treadle.runs.train", "save"): "run saved",
    ("treadle.runs.checkpoints", "newest"): "checkpoint read",
    ("treadle.runs.checkpoints", "write"): "checkpoint written",
    ("treadle.train.fit", "train_epoch"): "training",
    ("treadle.train.fit", "evaluate"): "evaluation",
    ("treadle.train.run", "evaluation_of"): "test",
}


@contextlib.contextmanager
def phases_told(shared: mmap.mmap) -> Iterator[None]:
    """Write into shared memory, which outlives the process, what it does."""

    def told(function: Callable[..., Any], phase: int) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            before, shared[0] = shared[0], phase
            result = function(*arguments, **options)
            shared[0] = max(before, PHASES.index("between"))
            return result

        return called

    with contextlib.ExitStack() as stack:
        for (module, name), phase in WITHIN.items():
            number = PHASES.index(phase)
            stack.enter_context(hidden(module, name, lambda function, number=number: told(function, number)))
        yield
        shared[0] = PHASES.index("closing")


def fresh(arguments: list[str], folder: Path) -> forked.Command:
    """Begin a command as a fresh process, as `forked.begin` does by a fork."""
    code = (
        "import os, sys; from treadle.cli import main\n"
        "for number, name in ((1, 'out'), (2, 'err')):\n"
        "    os.dup2(os.open(f'{os.getpid()}.{name}', os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)\n"
        "main(sys.argv[1:])"
    )
    process = subprocess.Popen([sys.executable, "-P", "-c", code, *arguments], cwd=folder)
    process.returncode = 0  # it is waited for elsewhere
    return forked.Command(process.pid, folder)


def random_kills(folder: Path, kills: int, draws: random.Random, wanted: Result) -> dict[str, Any]:
    """Kill runs at random moments until there were so many kills; every run is brought to its end."""
    shared = mmap.mmap(-1, 1)

    def around() -> Any:
        return phases_told(shared)

    seconds = {}
    for name, start in (("forked", lambda words: forked.begin(words, folder, None, around)), ("fresh", None)):
        begun = time.monotonic()
        ended = (start(RUN) if start else fresh(list(RUN), folder)).ended()
        require(ended.code == 0, ended.err)
        seconds[name] = time.monotonic() - begun
        shutil.rmtree(folder / "runs")
    phases: Counter[str] = Counter()
    runs = fresh_kills = acknowledgements = 0
    steps, most, in_run = 0, 0, 0
    while sum(phases.values()) < kills or in_run:
        run = run_in(folder)
        words = ["resume", str(run), "--json"] if run else list(RUN)
        if not run:
            shutil.rmtree(folder / "runs", ignore_errors=True)
        is_fresh = sum(phases.values()) % FRESH == FRESH - 1
        shared[0] = 0
        command = fresh(words, folder) if is_fresh else forked.begin(words, folder, None, around)
        if sum(phases.values()) < kills:  # else it is brought to its end
            time.sleep(draws.uniform(0, seconds["fresh" if is_fresh else "forked"]))
            os.kill(command.pid, signal.SIGKILL)
        ended = command.ended()
        run = run_in(folder)
        if words[0] == "resume" and "resume" in (ended.out or ended.err):
            require(resumed(run) >= steps, f"step {steps} was acknowledged, and it went on from {resumed(run)}")
        if ended.code == -signal.SIGKILL:
            in_run += 1
            fresh_kills += is_fresh
            phases["a fresh process" if is_fresh else PHASES[shared[0]]] += 1
            steps = acknowledged(run) if run else 0
            acknowledgements += steps > 0
            continue
        require(ended.code == 0 or "is finished" in ended.err, f"exit code {ended.code}: {ended.err}")
        require_same(run, wanted)
        runs, most, in_run, steps = runs + 1, max(most, in_run), 0, 0
        shutil.rmtree(folder / "runs")
    return {
        "kills": sum(phases.values()),
        "of fresh processes": fresh_kills,
        "phases": {name: phases[name] for name in [*PHASES, "a fresh process"] if phases[name]},
        "kills with an acknowledged checkpoint": acknowledgements,
        "runs compared": runs,
        "most kills of a run": most,
    }


def every_call(folder: Path, wanted: Result, calls: list[str], stride: int) -> dict[str, Any]:
    """Let something happen at every call of a run, and at every call of a resume."""
    killed = folder / "killed"
    forked.run(RUN, folder, Fault(len(calls) // 2))
    shutil.move(folder / "runs", killed)
    shutil.copytree(killed, folder / "runs")
    name = run_in(folder).name
    resume = ["resume", f"runs/{name}", "--json"]
    calls_of_resume = forked.run(resume, folder, Fault()).calls
    shutil.rmtree(folder / "runs")
    acts = [("kill", "before"), ("kill", "after"), ("kill", "half"), ("SIGINT", "before"), ("SIGTERM", "after")]
    acts += [("ENOSPC", "before"), ("ENOSPC", "half"), ("EIO", "before"), ("ENOSPC after", "before")]
    counts: Counter[str] = Counter()
    for words, expected in ((RUN, calls), (resume, calls_of_resume)):
        for act, when in acts:
            for number in range(1, len(expected) + 1, stride):
                called, error = expected[number - 1], act.startswith("E")
                if (when == "half" and called != "write") or (error and called in MOMENTS):
                    continue
                if words is resume:
                    shutil.copytree(killed, folder / "runs")
                fault = Fault(number, act.split()[0], when, act.endswith("after"))
                try:
                    require_told(forked.run(words, folder, fault), fault, called)
                    finish(folder, forked.run, wanted)
                except Exception as error:
                    error.add_note(f"{words[0]}, call {number}, {called}: {fault}")
                    raise
                counts[f"{act} {when}"] += 1
    shutil.rmtree(killed)
    return {"calls of a run": len(calls), "calls of a resume": len(calls_of_resume), "faults": dict(counts)}


def full_disk(folder: Path, wanted: Result, stride: int) -> dict[str, Any]:
    """Run on a disk of its own, of so many KiB, that gets full; free it, and go on."""
    runs, counts = folder / "runs", Counter()
    for kib in range(4, 204, 4 * stride):
        runs.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(runs)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            runs.rmdir()
            return {"not tried": "no right to mount a disk"}
        try:
            ended = forked.run(RUN, folder)
            require(ended.code in {0, 2} and "Traceback" not in ended.err, f"exit code {ended.code}: {ended.err}")
            require(ended.code == 0 or "space left" in ended.err, ended.err)
            subprocess.run(["mount", "-o", "remount,size=10m", str(runs)], check=True)
            run = run_in(folder)
            counts["full" if ended.code else "large enough"] += 1
            counts["went on"] += ended.code == 2 and run is not None
            shutil.copytree(runs, folder / "copy")
        finally:
            subprocess.run(["umount", str(runs)], check=True)
        runs.rmdir()
        (folder / "copy").rename(runs)
        finish(folder, forked.run, wanted)
    return dict(counts)


def second_ctrl_c(folder: Path, wanted: Result, times: int) -> dict[str, Any]:
    """Press Ctrl-C while the disk hangs, and again while it hangs once more as the run is being saved."""
    shared, seconds = mmap.mmap(-1, 1), []

    @contextlib.contextmanager
    def hanging(at: int) -> Iterator[None]:
        fsync, count = os.fsync, 0

        def hang(descriptor: int) -> None:
            nonlocal count
            count += 1
            if count >= at:
                shared[0] += 1
                time.sleep(60)
            fsync(descriptor)

        with patch.object(os, "fsync", hang):
            yield

    def wait(value: int) -> None:
        while shared[0] < value:
            time.sleep(0.001)

    for at in range(10, 10 + times):
        shared[0] = 0
        command = forked.begin(RUN, folder, None, lambda at=at: hanging(at))
        for number in (1, 2):
            wait(number)
            begun = time.monotonic()
            os.kill(command.pid, signal.SIGINT)
        ended = command.ended()
        seconds.append(time.monotonic() - begun)
        require(ended.code == 130, f"exit code {ended.code}: {ended.err}")
        require(seconds[-1] < PATIENCE, f"it ended after {seconds[-1]:.1f} s")
        finish(folder, forked.run, wanted)
    return {"times": times, "seconds until the end, most": round(max(seconds), 3)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill runs at random moments and at every call on a file.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="40 kills and every 13th call: does it run at all?")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kills, stride = (40, 13) if options.quick else (options.kills, 1)
    memory = Path("/dev/shm")  # every call: each fsync of a disk takes milliseconds
    figures: dict[str, Any] = {}
    faults = 0
    with (
        tempfile.TemporaryDirectory() as disk,
        tempfile.TemporaryDirectory(dir=memory if memory.exists() else None) as fast,
    ):
        large, small = write_recipe(Path(disk)), write_recipe(Path(fast), 60, 2, 2)
        forked.warm_up(small / "recipe.toml")
        wanted, calls = undisturbed(small, forked.run)
        wanted_of_large, _ = undisturbed(large, forked.run)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "random kills": lambda: random_kills(large, kills, random.Random(options.seed), wanted_of_large),
            "every call": lambda: every_call(small, wanted, calls, stride),
            "full disk": lambda: full_disk(small, wanted, stride),
            "second Ctrl-C": lambda: second_ctrl_c(small, wanted, 2 if options.quick else 20),
        }
        for name, part in parts.items():
            begun = time.monotonic()
            try:
                figures[name] = part()
            except Exception as error:
                faults += 1
                figures[name] = {
                    "fault": "; ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
                }
                for folder in (small, large):
                    shutil.rmtree(folder / "runs", ignore_errors=True)
            figures[name]["seconds"] = round(time.monotonic() - begun, 1)
            if not options.json:
                print(f"{name}: {figures[name]}", flush=True)
    if options.json:
        print(json.dumps({**figures, "faults": faults}))
    else:
        print(f"{faults} parts with a fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
