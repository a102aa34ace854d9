"""Time an epoch of training with Treadle and its peers: same model, data, batch, optimiser and threads.

    python benchmarks/run.py --threads 2 --rounds 5

See benchmarks/README.md for what is measured and how.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src"
sys.path.insert(0, str(SOURCE))  # the checkout is what is measured, whatever else is installed

from peers import PEERS  # noqa: E402
from setting import MODELS, Data, Setting  # noqa: E402

# A machine may have them set, and NumPy's products then run at half their speed or less.
UNSET = ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"]
QUICK_BATCHES = 20
QUICK_TEST = 1000
BUSY = 10  # per cent of all CPUs, by other programs


class WorkerError(Exception):
    """A peer failed; the message is what it said."""


class Worker:
    """A peer in its own process, from the first epoch to the last."""

    def __init__(self, threads: int, log: Path) -> None:
        self.log = log
        self._errors: IO[str] = log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(threads),
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the reply, or raise WorkerError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise WorkerError(f"the worker ended with exit code {self._process.returncode}:\n{tail}")
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise WorkerError(message["error"])
        return message

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a worker: threads fixed, CPU only, the checkout's Treadle."""
    env = {name: value for name, value in os.environ.items() if name not in UNSET}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC"):
        env[name] = str(threads)
    if threads == 1:
        env["XLA_FLAGS"] = f"{env.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    env |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "tensorflow"}
    env |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUTF8": "1"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SOURCE), env.get("PYTHONPATH")]))
    return env


def load_data(quick: bool, batch_size: int) -> Data:
    """Return MNIST as Treadle loads it, or a small piece of it."""
    import treadle as td

    sets = td.data.load("mnist")
    train, validation, test = sets.train, sets.validation, sets.test
    if quick:
        train, validation, test = train[: QUICK_BATCHES * batch_size], validation[:QUICK_TEST], test[:QUICK_TEST]
    parts = [array for part in (train, validation, test) for array in (part.images, part.labels)]
    return Data(*parts)


def measure(names: list[str], setting: Setting, data: Path, rounds: int, epochs: int) -> dict[str, dict[str, Any]]:
    """Run the peers in turn, round by round, and return what each measured, or why it did not."""
    results: dict[str, dict[str, Any]] = {name: {} for name in names}
    workers: dict[str, Worker] = {}

    def attempt(name: str, label: str, **request: Any) -> dict[str, Any] | None:
        try:
            if name not in workers:
                workers[name] = Worker(setting.threads, data / f"{name}.log")
            return workers[name].ask(**request)
        except WorkerError as error:
            results[name]["error"] = str(error)
            print(f"{name}: failed during {label}\n{error}", file=sys.stderr, flush=True)
            return None

    def running() -> list[str]:
        return [name for name in names if not {"error", "absent"} & results[name].keys()]

    try:
        for name in names:
            started = attempt(name, "start", peer=name, setting=setting.to_dict(), data=str(data))
            if started and "absent" in started:
                results[name]["absent"] = started["absent"]
                print(f"{name}: {started['absent']}", flush=True)
            elif started:
                first = attempt(name, "the first epoch", do="train", epochs=1, seed=0)
                if first:
                    results[name] |= {"first_epoch_seconds": first["seconds"], "rounds": []}
                    show(name, "first epoch", first)
        for number in range(1, rounds + 1):
            for name in running():
                measured = attempt(name, f"round {number}", do="train", epochs=epochs, seed=number)
                if measured:
                    results[name]["rounds"].append(measured)
                    show(name, f"round {number}", measured)
        for name in running():
            results[name] |= attempt(name, "the evaluation", do="finish") or {}
    finally:
        for worker in workers.values():
            worker.close()
    return results


def show(name: str, label: str, measured: dict[str, float]) -> None:
    print(
        f"{name:8} {label:12} {measured['seconds']:8.3f} s   CPU {measured['cpu_seconds']:8.3f} s   "
        f"training loss {measured['loss']:.4f}",
        flush=True,
    )


def epoch_seconds(result: dict[str, Any], epochs: int, key: str = "seconds") -> list[float]:
    return [measured[key] / epochs for measured in result["rounds"]]


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def table(report: dict[str, Any]) -> str:
    """Return the report for a person, in Markdown."""
    machine, options = report["machine"], report["options"]
    epochs, results = options["epochs"], report["results"]
    lines = [
        f"# {report['model']['name']}: an epoch of training",
        "",
        f"{report['model']['description']}; {report['model']['optimizer']}, learning rate "
        f"{report['model']['learning_rate']}; MNIST, {report['train_samples']:,} samples, batch "
        f"{options['batch']}, float32; {plural(options['threads'], 'thread')}; "
        f"median and range of {plural(options['rounds'], 'round')}, {plural(epochs, 'epoch')} each.",
        "",
        f"{machine['cpu']}, {machine['cpus_available']} CPUs available, {machine['system']}, "
        f"Python {machine['python']}; {report['date']}, commit {report['commit'] or 'unknown'}.",
        "",
    ]
    if report["unset"]:
        names = ", ".join(f"{name}={value}" for name, value in report["unset"].items())
        lines += [f"Set on the machine, and unset for the measurement: {names}.", ""]
    if machine["cpu_percent_before"] > BUSY:
        lines += [
            f"**The machine was busy: {machine['cpu_percent_before']:.0f} % of its CPUs were in use before the start. "
            "The figures say little, those with several threads least.**",
            "",
        ]
    if options["quick"]:
        lines += ["**A quick run, to see that the runner works: the figures say nothing.**", ""]
    head = ["peer", "s an epoch", "range", "CPU s", "first epoch s", "treadle ÷ peer", "training loss"]
    head += ["test accuracy", "peak memory MiB"]
    lines += ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    own = results.get("treadle", {})
    for name, result in results.items():
        if why := result.get("absent") or ("failed" if "error" in result else None):
            lines.append(f"| {name} | {why} |" + " |" * (len(head) - 2))
            continue
        seconds, cpu = epoch_seconds(result, epochs), epoch_seconds(result, epochs, "cpu_seconds")
        ratio = "–"
        if len(own.get("rounds", [])) == len(seconds):
            pairs = zip(epoch_seconds(own, epochs), seconds, strict=True)
            ratio = f"{statistics.median(a / b for a, b in pairs):.2f}"
        versions = ", ".join(f"{library} {version}" for library, version in result["versions"].items())
        memory = result["peak_memory_bytes"]
        cells = [
            f"{name} ({versions})",
            f"{statistics.median(seconds):.3f}",
            f"{min(seconds):.3f}–{max(seconds):.3f}",
            f"{statistics.median(cpu):.3f}",
            f"{result['first_epoch_seconds']:.3f}",
            ratio,
            f"{result['rounds'][-1]['loss']:.4f}",
            f"{result['test_accuracy']:.4f}",
            f"{memory / 2**20:.0f}" if memory else "unknown",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "Below 1, `treadle ÷ peer` says that Treadle was faster: the median over the rounds of paired ratios.",
    ]
    return "\n".join(lines) + "\n"


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on besides the software."""
    import psutil

    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line for line in lines if line.startswith("model name")).split(":", 1)[1].strip()
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": cpu,
        "cpus": os.cpu_count(),
        "cpus_available": available,
        "cores": psutil.cpu_count(logical=False),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "cpu_percent_before": psutil.cpu_percent(interval=2),
    }


def commit() -> str | None:
    """Return the commit that is measured, with `+changes` where the sources differ from it; None outside of git."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(HERE.parent), *words], capture_output=True, text=True, check=False)

    try:
        head, changes = git("rev-parse", "--short=12", "HEAD"), git("status", "--porcelain", "--", "src")
    except OSError:
        return None
    if head.returncode != 0:
        return None
    return head.stdout.strip() + ("+changes" if changes.stdout.strip() else "")


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, found {value}")
    return value


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", choices=MODELS, default="mlp")
    parser.add_argument("--batch", type=positive, default=100, help="samples in a step (default 100)")
    parser.add_argument("--threads", type=positive, default=2, help="of every peer (default 2)")
    parser.add_argument("--rounds", type=positive, default=5, help="times that each peer is measured (default 5)")
    parser.add_argument("--epochs", type=positive, default=1, help="in a round (default 1)")
    parser.add_argument("--peers", default=",".join(PEERS), help="separated by commas (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_BATCHES} batches an epoch: does it run at all?")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "local", help="folder (default %(default)s)")
    options = parser.parse_args(arguments)
    options.peers = options.peers.split(",")
    unknown = [name for name in options.peers if name not in PEERS]
    if unknown:
        parser.error(f"no peer is called {', '.join(unknown)}: there are {', '.join(PEERS)}")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if options.threads > available:
        parser.error(f"--threads {options.threads} is more than the {available} CPUs available here")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, write JSON and Markdown, and return the exit code: 1 where a peer failed."""
    options = parse(arguments)
    machine = describe_machine()  # before the load that comes from here
    data = load_data(options.quick, options.batch)
    setting = Setting(options.model, options.batch, options.threads, seed=0)
    with tempfile.TemporaryDirectory(prefix="treadle-benchmark-") as folder:
        data.save(Path(folder))
        results = measure(options.peers, setting, Path(folder), options.rounds, options.epochs)
    report = {
        "model": MODELS[options.model].__dict__,
        "options": {name: value for name, value in vars(options).items() if name != "output"},
        "train_samples": len(data.train_labels),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit(),
        "machine": machine,
        "unset": {name: os.environ[name] for name in UNSET if name in os.environ},
        "results": results,
    }
    slug = re.sub(r"[^a-z0-9]+", "-", machine["cpu"].lower()).strip("-")
    name = f"{options.model}-batch{options.batch}-threads{options.threads}-{slug}{'-quick' if options.quick else ''}"
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    text = table(report)
    (options.output / f"{name}.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten to {options.output / name}.json and .md")
    return 1 if any("error" in result for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
