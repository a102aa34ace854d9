"""Time the loading of batches with Treadle, PyTorch's DataLoader, tf.data and Grain: memory, PNG files, Parquet.

    python benchmarks/loading.py --rounds 3 --only mnist,images,parquet

Each contender has a process of its own (loaders.py); with Parquet it has 1 GiB of memory and a file of 2 GB, for which
the program needs Linux's memory cgroups (version 1) and root, and ends with exit code 2 where it has them not.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import (
    context,
    describe_machine,
    environment,
    make_parser,
    markdown_table,
    mebibytes,
    plural,
    positive,
    preamble,
    write_report,
)
from loaders import CONTENDERS, FEATURES, GROUP, LIBRARIES, OWN, TASKS, WIDEST

HERE = Path(__file__).resolve().parent
CGROUPS = Path("/sys/fs/cgroup/memory")
CAP = 2**30  # bytes of memory with Parquet
PATIENCE = 180  # seconds that a process may take in all
SAMPLED = 0.1  # seconds between two looks at memory
SIZES = {"mnist": (50_000, 2_000), "images": (10_000, 1_000), "parquet": (100, 6)}  # all, quick; of Parquet row groups
RUNS = itertools.count()
CHECKED = 4  # row groups of the smaller file that is read whole and checked


def write_mnist(folder: Path, count: int) -> tuple[Any, Any]:
    import treadle as td

    data = td.data.load("mnist").train
    images, labels = np.asarray(data.images[:count]), data.labels[:count].astype(np.int64)
    np.save(folder / "images.npy", images)
    expect(folder, images / 255, labels)
    return images, labels


def write_images(folder: Path, count: int, colour: bool) -> None:
    """Write images of MNIST as PNG files; in colour with 64×64 pixels and some noise."""
    from PIL import Image

    images, labels = write_mnist(folder, count)
    draws, kept = np.random.default_rng(0), []
    for number, (image, label) in enumerate(zip(images[:, 0], labels, strict=True)):
        pixels = image
        if colour:
            large = np.asarray(Image.fromarray(image).resize((64, 64)))
            noise = draws.integers(0, 32, (64, 64, 3))
            pixels = np.minimum(np.stack([np.roll(large, 3 * channel, 1) for channel in range(3)], 2) + noise, 255)
        kept.append(pixels.mean() / 255)
        for part in ["train", *(["validation", "test"] if number < 500 else [])]:  # which need some, of each class
            path = folder / "images" / part / str(label) / f"{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    (folder / "mode").write_text("RGB" if colour else "L")
    ordered = np.argsort(labels, kind="stable")
    expect(folder, np.array(kept)[ordered], labels[ordered], [3, 64, 64] if colour else [1, 28, 28])


def write_parquet(folder: Path, groups: int) -> None:
    """Write random features, of which the first tells the label."""
    import pyarrow as arrow
    from pyarrow import parquet

    draws, means, labels = np.random.default_rng(0), [], []
    kinds = [(f"x{n}", arrow.float32()) for n in range(FEATURES)]
    schema = arrow.schema([*kinds, ("y", arrow.int64())])
    with parquet.ParquetWriter(folder / "rows.parquet", schema, use_dictionary=False) as file:
        for _ in range(groups):
            rows = draws.random((FEATURES, GROUP), np.float32) * np.float32(WIDEST)
            labels.append((rows[0] / 10).astype(np.int64).clip(0, 9))
            means.append(rows.mean(axis=0, dtype=np.float64) / WIDEST)
            file.write_table(arrow.table([*rows, labels[-1]], schema), row_group_size=GROUP)
    expect(folder, np.concatenate(means), np.concatenate(labels), [FEATURES])


def expect(folder: Path, inputs: Any, labels: Any, shape: list[int] | None = None) -> None:
    means = inputs.reshape(len(inputs), -1).mean(axis=1)
    np.save(folder / "labels.npy", labels)
    found = {"shape": shape or sorted(inputs.shape[1:]), "mean": means.mean(), "mixed": (means * labels).mean()}
    (folder / "expected.json").write_text(json.dumps(found))


def run(task: str, name: str, folder: Path, options: argparse.Namespace, **what: bool) -> dict[str, Any]:
    """Run a contender in a process of its own; return what it found, or its error, and the peak of its memory."""
    request = {"task": task, "name": name, "data": str(folder), "quick": options.quick, **what}
    command = [sys.executable, str(HERE / "loaders.py"), json.dumps(request)]
    group = CGROUPS / f"treadle-loading-{os.getpid()}-{next(RUNS)}" if task == "parquet" else None
    if group:
        with (folder / "rows.parquet").open("rb") as file:  # its pages are to count as memory of who reads it
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(CAP))
        command = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]
    log, until, peak, kills = folder / "log", time.monotonic() + PATIENCE, 0, 0
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment(1), text=True, start_new_session=True
        )
        while process.poll() is None and time.monotonic() < until:
            peak = max(peak, memory(process.pid))
            time.sleep(SAMPLED)
        late = process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its workers, which may outlive it
        output = process.communicate()[0]
    if group:
        kills = int((group / "memory.oom_control").read_text().split()[-1])
        for _ in range(50):
            with contextlib.suppress(OSError):  # busy until all are gone
                group.rmdir()
                break
            time.sleep(0.1)
    found: dict[str, Any] = json.loads(output) if output.strip() else {"error": "no answer"}
    if "error" in found:
        found["error"] += f"; exit code {process.returncode}\n{log.read_text(errors='replace')[-2000:]}"
        found["reason"] = "no end" if late else "killed by the cap" if kills else "failed"
    return found | {"peak_memory_bytes": peak, "kills": kills}


def memory(pid: int) -> int:
    """Bytes of a process and those it began, pages that they share counted once."""
    import psutil

    found = 0
    with contextlib.suppress(psutil.Error, OSError):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            with contextlib.suppress(psutil.Error, OSError):
                found += process.memory_full_info().pss
    return found


def write(task: str, folder: Path, options: argparse.Namespace) -> Path:
    """Write the data of a task; return the folder of those that are read whole and checked."""
    size = SIZES[task][options.quick]
    folder.mkdir()
    if task == "mnist":
        write_mnist(folder, size)
    elif task == "images":
        write_images(folder, size, options.colour)
    else:
        write_parquet(folder, size)
        (folder / "checked").mkdir()
        write_parquet(folder / "checked", CHECKED)
        os.sync()  # pages that are not yet written cannot be given up
        return folder / "checked"
    return folder


def measure(task: str, folder: Path, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Run the contenders in turn, round by round, and return what each measured, or why it did not."""
    small = write(task, folder, options)
    apart = small != folder
    results: dict[str, dict[str, Any]] = {}
    for name, (made, *_) in CONTENDERS[task].items():
        library = LIBRARIES[made]
        try:
            results[name] = {"library": library, "version": importlib.metadata.version(library), "rounds": []}
        except importlib.metadata.PackageNotFoundError:
            results[name] = {"error": f"not installed: {library}", "reason": "not installed"}
    for number in range(0 if apart else 1, options.rounds + 1):
        for name, result in results.items():
            if "error" in result:
                continue
            used, what = (small, {"check": True}) if number == 0 else (folder, {"check": not apart, "timed": True})
            found = run(task, name, used, options, **what)
            if "error" in found:
                result |= found
                print(f"{task} {name}: {found['reason']}\n{found['error']}", file=sys.stderr, flush=True)
            elif number:
                result["rounds"].append(found)
                print(f"{task:8} {name:36} round {number} {found['rate']:12,.0f} samples/s", flush=True)
    return results


NOTES = {
    "mnist": "50,000 images of 28×28 bytes in an array, batches of 100, shuffled. TensorDataset holds float32 that was "
    "scaled before; all others scale each time. Grain reads without threads, as it advises for memory.",
    "images": "{images} PNG files of {shape} in ten folders, in the system's cache; batches of 100, shuffled. Pillow "
    "decodes for all but tf.data; Grain has 2 threads where it has no workers.",
    "parquet": "{rows:,} rows, 100 columns of float32 and a label, row groups of 50,000, {size:.2f} GB; batches of "
    "1,000. Processes have 1 GiB of memory, with the pages of files that they read; the file is not in the system's "
    "cache at first. Treadle shuffles 3 row groups together, `ParquetIterDataset` windows of 50,000 rows of a file "
    "read in order, the others the row groups and the rows of each. Cut after {limit:g} s, or at the end of the epoch. "
    "Treadle's set-up reads every column once, to fit an encoding and to split; the others only open the file. "
    "pyarrow decodes columns with a thread a CPU in all.",
}


def section(task: str, results: dict[str, dict[str, Any]], options: argparse.Namespace) -> list[str]:
    """Return the lines on a task."""
    groups = SIZES["parquet"][options.quick]
    note = NOTES[task].format(
        images=f"{SIZES['images'][options.quick]:,}",
        shape="64×64 in colour" if options.colour else "28×28 in grey",
        rows=groups * GROUP,
        size=groups * GROUP * (4 * FEATURES + 8) / 1e9,
        limit=TASKS[task].limit,
    )
    head = ["contender", "samples/s", "range", "treadle ÷ contender", "first batch s", "set-up s", "peak memory MiB"]
    rows, own = [], results[OWN].get("rounds", [])
    for name, result in results.items():
        if "error" in result:
            peak = result.get("peak_memory_bytes")
            rows.append([name, f"**{result['reason']}**", "", "", "", "", mebibytes(peak) if peak else ""])
            continue
        rates = [found["rate"] for found in result["rounds"]]
        ratio = "–"
        if len(own) == len(rates):
            ratio = f"{statistics.median(one['rate'] / rate for one, rate in zip(own, rates, strict=True)):.2f}"

        def middle(key: str, rounds: list[dict[str, float]] = result["rounds"]) -> float:
            return statistics.median(found[key] for found in rounds)

        middles = [f"{middle('first_batch_seconds'):.3f}", f"{middle('build_seconds'):.2f}"]
        span = f"{min(rates):,.0f}–{max(rates):,.0f}"
        peak = max(found["peak_memory_bytes"] for found in result["rounds"])
        rows.append([name, f"{statistics.median(rates):,.0f}", span, ratio, *middles, mebibytes(peak)])
    return [f"## {TASKS[task].title}", "", note, "", *markdown_table(head, rows), ""]


def table(report: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """Return the report for a person, in Markdown."""
    found = {
        result["library"]: result["version"]
        for results in report["results"].values()
        for result in results.values()
        if "version" in result
    }
    versions = ", ".join(f"{library} {version}" for library, version in found.items())
    lines = [
        "# Loading batches",
        "",
        f"Samples a second, the median and range of {plural(options.rounds, 'round')}; {versions}; pyarrow "
        f"{importlib.metadata.version('pyarrow')}, Pillow {importlib.metadata.version('pillow')}.",
        "",
        *preamble(report),
    ]
    for task, results in report["results"].items():
        lines += section(task, results, options)
    return [
        *lines,
        "Every contender has a process of its own in each round, and delivers float32 inputs from 0 to 1 and int64 "
        "labels; an epoch of each is checked: every label as often as in the data, inputs that belong to them. After "
        "it MNIST and the folder are timed, over whole epochs for 2 s or longer, with workers that have begun; Parquet "
        "is timed from the start of the first epoch and of its workers. Libraries compute with one thread in the main "
        "process; workers, and the threads of tf.data and pyarrow, may use all CPUs. Nothing is done with batches. "
        "Above 1, `treadle ÷ contender` says that Treadle without workers was faster, the median over the rounds. "
        "First batch: from the start of the first epoch and of workers. Set-up: from the import of the library to the "
        "first epoch. Memory: the largest sum of main process and workers, with pages that they share counted once, "
        "looked at ten times a second.",
    ]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, "few samples, one round")
    parser.add_argument("--rounds", type=positive, default=3, help="times that each is measured (default 3)")
    parser.add_argument("--only", default=",".join(TASKS), help="separated by commas (default %(default)s)")
    parser.add_argument("--colour", action="store_true", help="images of 64×64 pixels in colour")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := [name for name in options.only if name not in TASKS]:
        parser.error(f"nothing is called {', '.join(unknown)}: there are {', '.join(TASKS)}")
    if "parquet" in options.only and not ((CGROUPS / "memory.oom_control").is_file() and os.access(CGROUPS, os.W_OK)):
        parser.error(f"memory cannot be capped here: {CGROUPS} is not writable; choose --only mnist,images")
    options.rounds = 1 if options.quick else options.rounds
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, write JSON and Markdown, and return the exit code: 1 where a contender failed without being killed."""
    options = parse(arguments)
    report = context(options, describe_machine())
    with tempfile.TemporaryDirectory(prefix="treadle-benchmark-") as folder:
        report["results"] = {task: measure(task, Path(folder) / task, options) for task in options.only}
    name = "loading" if len(options.only) == len(TASKS) else f"loading-{'-'.join(options.only)}"
    write_report(report, table(report, options), f"{name}{'-colour' if options.colour else ''}", options.output)
    reasons = [result.get("reason") for results in report["results"].values() for result in results.values()]
    return 1 if "failed" in reasons or "no end" in reasons else 0


if __name__ == "__main__":
    sys.exit(main())
