"""Time from the start of a process to the end of the first epoch of LeNet on MNIST, with Treadle and with PyTorch.

    python benchmarks/cold_start.py --threads 2 --repeats 5

Treadle starts with its compiled kernels in the cache, and once more with an empty cache, as on a machine that has never
run it. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import (
    HERE,
    WorkerError,
    available_cpus,
    context,
    describe_machine,
    environment,
    make_parser,
    markdown_table,
    mebibytes,
    plural,
    positive,
    preamble,
    require_threads,
    write_report,
)
from run import load_data

QUICK_SAMPLES = 500
# shown as: (peer, whether the cache of kernels is empty)
STARTS = {
    "treadle, kernels in the cache": ("treadle", False),
    "treadle, first start ever": ("treadle", True),
    "torch": ("torch", False),
    "torch_channels_last": ("torch_channels_last", False),
}
STAGES = ["imported", "loaded", "first step", "epoch"]


def start(peer: str, folder: Path, cache: Path, threads: int, samples: int) -> dict[str, Any]:
    """Run one process and return the seconds to each stage from its start, and its peak memory."""
    env = environment(threads) | {"TREADLE_CACHE_DIR": str(cache), "NUMBA_CACHE_DIR": str(cache / "numba")}
    command = [sys.executable, str(HERE / "cold_child.py"), peer, str(folder), str(threads), str(samples)]
    if threads < available_cpus() and shutil.which("taskset"):
        command = ["taskset", "--cpu-list", f"0-{threads - 1}", *command]
    begun = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkerError(done.stderr[-2000:])
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "seconds": {stage: moment - begun for stage, moment in found["marks"].items()},
        "loss": found["loss"],
        "peak_memory_bytes": found["peak_memory_bytes"],
    }


def measure(folder: Path, threads: int, samples: int, repeats: int) -> dict[str, dict[str, Any]]:
    """Start each in turn, and before that everything once, which fills the caches of bytecode, files and kernels."""
    results: dict[str, dict[str, Any]] = {}
    warm = folder / "cache"
    for name, (peer, empty) in STARTS.items():
        if importlib.util.find_spec(peer.split("_")[0]) is None:
            results[name] = {"absent": "not installed"}
        else:
            results[name] = {"repeats": []}
            if not empty:
                start(peer, folder, warm, threads, min(samples, 1000))
    for number in range(1, repeats + 1):
        for name, (peer, empty) in STARTS.items():
            if "absent" in results[name]:
                continue
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                found = start(peer, folder, Path(fresh) if empty else warm, threads, samples)
                found["cache_bytes"] = sum(path.stat().st_size for path in Path(fresh).rglob("*") if path.is_file())
            results[name]["repeats"].append(found)
            print(f"{name:30} repeat {number}   {found['seconds']['epoch']:8.3f} s", flush=True)
    return results


def middle(result: dict[str, Any], stage: str) -> str:
    """Return the median seconds to a stage."""
    found = [repeat["seconds"][stage] for repeat in result["repeats"] if stage in repeat["seconds"]]
    return f"{statistics.median(found):.2f}" if found else "–"


def table(report: dict[str, Any]) -> list[str]:
    """Return the report for a person, in Markdown."""
    options, results = report["options"], report["results"]
    lines = [
        "# Cold start: from the start of the process to the end of the first epoch",
        "",
        f"LeNet, Adam, MNIST, {report['train_samples']:,} samples, batch 100, float32; "
        f"{plural(options['threads'], 'thread')}; median and range of {plural(options['repeats'], 'start')} each, in "
        f"turn; {', '.join(f'{name} {version}' for name, version in report['versions'].items())}.",
        "",
        *preamble(report),
    ]
    head = ["start", "s to the end of the epoch", "range", "s to import", "s to data", "s to first step"]
    head += ["÷ torch", "÷ torch_channels_last", "peak memory MiB"]
    rows = []
    for name, result in results.items():
        if "absent" in result:
            rows.append([name, result["absent"]])
            continue
        epochs = [repeat["seconds"]["epoch"] for repeat in result["repeats"]]
        ratios = []
        for other in ("torch", "torch_channels_last"):
            pairs = zip(result["repeats"], results[other].get("repeats", []), strict=False)
            ratio = [a["seconds"]["epoch"] / b["seconds"]["epoch"] for a, b in pairs]
            ratios.append(f"{statistics.median(ratio):.2f}" if ratio else "–")
        memory = [repeat["peak_memory_bytes"] for repeat in result["repeats"] if repeat["peak_memory_bytes"]]
        rows.append(
            [
                name,
                middle(result, "epoch"),
                f"{min(epochs):.2f}–{max(epochs):.2f}",
                *(middle(result, stage) for stage in STAGES[:3]),
                *ratios,
                mebibytes(max(memory, default=None)),
            ]
        )
    lines += markdown_table(head, rows)
    cache = max((r["cache_bytes"] for x in results.values() for r in x.get("repeats", [])), default=0)
    note = "Ratios are medians of paired starts; below 1 the first was sooner at the end of its epoch."
    return [*lines, "", f"{note} The cache that a first start fills: {cache / 2**20:.1f} MiB."]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, f"{QUICK_SAMPLES} samples")
    parser.add_argument("--threads", type=positive, default=2, help="of every peer (default 2)")
    parser.add_argument("--repeats", type=positive, default=5, help="starts of each (default 5)")
    options = parser.parse_args(arguments)
    require_threads(parser, options.threads)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure and write JSON and Markdown."""
    options = parse(arguments)
    machine = describe_machine()
    data = load_data("lenet")
    samples = QUICK_SAMPLES if options.quick else len(data.train_labels)
    with tempfile.TemporaryDirectory(prefix="treadle-benchmark-") as folder:
        data.save(Path(folder))
        results = measure(Path(folder), options.threads, samples, options.repeats)
    installed = [name for name in ("numpy", "numba", "torch") if importlib.util.find_spec(name)]
    report = {
        **context(options, machine),
        "train_samples": samples,
        "versions": {name: importlib.metadata.version(name) for name in installed},
        "results": results,
    }
    write_report(report, table(report), f"cold-start-threads{options.threads}", options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
