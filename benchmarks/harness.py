"""What the benchmark programs share: workers and their environment, the machine, options, reports."""

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
import time
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src"
sys.path.insert(0, str(SOURCE))  # the checkout is what is measured, whatever else is installed

# A machine may have them set, and NumPy's products then run at half their speed or less.
UNSET = ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"]
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
            env=environment(threads) | {"TORCHINDUCTOR_CACHE_DIR": str(log.parent / "torchinductor")},
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


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on besides the software."""
    import psutil

    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        pairs = (line.split(":", 1) for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines())
        told = {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
        cpu = told.get("model name", cpu)
        # which vectors there are matters more than the name, which a virtual machine may not tell in full
        vectors, flags = {"avx512f": "AVX-512", "avx2": "AVX2"}, told.get("flags", "").split()
        cpu += next((f", {name}" for flag, name in vectors.items() if flag in flags), "")
    return {
        "cpu": cpu,
        "cpus": os.cpu_count(),
        "cpus_available": available_cpus(),
        "cores": psutil.cpu_count(logical=False),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "cpu_percent_before": psutil.cpu_percent(interval=2),
    }


def available_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def context(options: argparse.Namespace, machine: dict[str, Any]) -> dict[str, Any]:
    """Return what every report begins with."""
    return {
        "options": {name: value for name, value in vars(options).items() if name != "output"},
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit(),
        "machine": machine,
        "unset": {name: os.environ[name] for name in UNSET if name in os.environ},
    }


def preamble(report: dict[str, Any]) -> list[str]:
    """Return the lines on machine, date and what spoils the figures, in Markdown."""
    machine = report["machine"]
    lines = [
        f"{machine['cpu']}, {plural(machine['cpus_available'], 'CPU')} available, {machine['system']}, "
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
    if report["options"]["quick"]:
        lines += ["**A quick run, to see that the program works: the figures say nothing.**", ""]
    return lines


def spread(values: list[float], sign: str) -> str:
    """Write the median of some values, and the least and largest."""
    return f"{statistics.median(values):{sign}} ({min(values):{sign}} to {max(values):{sign}})"


def markdown_table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table: the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return lines + ["| " + " | ".join(row + [""] * (len(head) - len(row))) + " |" for row in rows]


def write_report(report: dict[str, Any], lines: list[str], name: str, folder: Path) -> Path:
    """Write JSON and Markdown, print the latter, and return their path without the suffix."""
    slug = re.sub(r"[^a-z0-9]+", "-", report["machine"]["cpu"].lower()).strip("-")
    path = folder / f"{name}-{slug}{'-quick' if report['options']['quick'] else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    path.with_name(f"{path.name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    path.with_name(f"{path.name}.md").write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten to {path}.json and .md")
    return path


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def mebibytes(size: int | None) -> str:
    return f"{size / 2**20:.0f}" if size else "unknown"


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, found {value}")
    return value


def make_parser(description: str | None, quick: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every program: --quick and --output."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help=f"{quick}: does it run at all?")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "local", help="folder (default %(default)s)")
    return parser


def require_threads(parser: argparse.ArgumentParser, threads: int) -> None:
    """End with a message where there are fewer CPUs than threads."""
    if threads > available_cpus():
        parser.error(f"--threads {threads} is more than the {available_cpus()} CPUs available here")
