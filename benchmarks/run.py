"""Time an epoch of training with Treadle and its peers: same model, data, batch, optimiser and threads.

    python benchmarks/run.py --model lenet --threads 2 --rounds 5

See benchmarks/README.md for what is measured and how.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import (
    Worker,
    WorkerError,
    context,
    describe_machine,
    make_parser,
    markdown_table,
    mebibytes,
    plural,
    positive,
    preamble,
    require_threads,
    write_report,
)
from peers import PEERS
from setting import MODELS, OPTIMIZERS, RANDOM_SAMPLES, RANDOM_SHAPE, Data, Setting, random_data

QUICK_BATCHES = 20
QUICK_TEST = 1000


def load_data(model: str) -> Data:
    """Return the data of a model: MNIST as Treadle loads it, or random images."""
    if MODELS[model].data == "random":
        return random_data(RANDOM_SAMPLES, RANDOM_SHAPE)
    import treadle as td

    sets = td.data.load("mnist")
    return Data(*[array for part in sets.parts().values() for array in (part.images, part.labels)])


def cut(data: Data, samples: int | None, quick: bool, batch_size: int) -> Data:
    """Return the first `samples` of the training set; in a quick run few batches and little to evaluate."""
    if quick:
        data = data.first(QUICK_BATCHES * batch_size)
        held_out = [data.validation_images, data.validation_labels, data.test_images, data.test_labels]
        data = Data(data.train_images, data.train_labels, *(array[:QUICK_TEST] for array in held_out))
    return data.first(samples) if samples else data


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
            request = {"peer": name, "setting": setting.to_dict(), "data": str(data), "samples": 0}
            built = attempt(name, "start", do="build", **request)
            if built and "absent" in built:
                results[name]["absent"] = built["absent"]
                print(f"{name}: {built['absent']}", flush=True)
            elif built:
                results[name] |= {key: built[key] for key in ("parameters", "build_seconds")}
        refuse_other_sizes(results, running())
        for name in running():
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


def refuse_other_sizes(results: dict[str, dict[str, Any]], names: list[str]) -> None:
    """Mark as failed every peer whose number of parameters is not that of Treadle, or of the first peer."""
    if not names:
        return
    reference = "treadle" if "treadle" in names else names[0]
    wanted = results[reference]["parameters"]
    for name in names:
        if (found := results[name]["parameters"]) != wanted:
            results[name]["error"] = f"not the same network: {found:,} parameters, and {wanted:,} in {reference}"
            print(f"{name}: {results[name]['error']}", file=sys.stderr, flush=True)


def show(name: str, label: str, measured: dict[str, float]) -> None:
    print(
        f"{name:19} {label:12} {measured['seconds']:8.3f} s   CPU {measured['cpu_seconds']:8.3f} s   "
        f"training loss {measured['loss']:.4f}",
        flush=True,
    )


def per_epoch(result: dict[str, Any], report: dict[str, Any], key: str = "seconds") -> list[float]:
    """Return the figure of each round for an epoch of all samples."""
    scale = report["all_samples"] / report["train_samples"] / report["options"]["epochs"]
    return [measured[key] * scale for measured in result["rounds"]]


def table(report: dict[str, Any]) -> list[str]:
    """Return the report for a person, in Markdown."""
    model, options, results = report["model"], report["options"], report["results"]
    timed, everything, steps = report["train_samples"], report["all_samples"], report["steps"]
    data = "random 32×32×3 images" if model["data"] == "random" else "MNIST"
    sizes = {result["parameters"] for result in results.values() if "rounds" in result}
    lines = [
        f"# {model['name']}: an epoch of training",
        "",
        f"{model['description']}{''.join(f'; {size:,} parameters' for size in sizes)}; "
        f"{OPTIMIZERS[model['optimizer']]}, learning rate {model['learning_rate']}; {data}, {everything:,} samples, "
        f"batch {options['batch']:,}, float32; {plural(options['threads'], 'thread')}; "
        f"median and range of {plural(options['rounds'], 'round')}, {plural(options['epochs'], 'epoch')} each.",
        "",
        *preamble(report),
    ]
    if timed < everything:
        lines += [
            f"**Trained on the first {timed:,} samples: {plural(steps, 'step')} an epoch were timed. Seconds and CPU "
            f"seconds are scaled to {everything:,} samples; the first epoch and what was learnt are as measured.**",
            "",
        ]
    head = ["peer", "s an epoch", "range", "CPU s", "ms a step", "first epoch s", "treadle ÷ peer", "training loss"]
    head += ["test accuracy", "peak memory MiB"]
    rows, own = [], results.get("treadle", {})
    for name, result in results.items():
        if "error" in result or "absent" in result:
            why = result.get("absent") or "failed"
            if why == "failed" and result["error"].startswith("not the same"):
                why = result["error"]
            rows.append([name, why])
            continue
        seconds, cpu = per_epoch(result, report), per_epoch(result, report, "cpu_seconds")
        ratio = "–"
        if len(own.get("rounds", [])) == len(seconds):
            pairs = zip(per_epoch(own, report), seconds, strict=True)
            ratio = f"{statistics.median(a / b for a, b in pairs):.2f}"
        versions = ", ".join(f"{library} {version}" for library, version in result["versions"].items())
        rows.append(
            [
                f"{name} ({versions})",
                f"{statistics.median(seconds):.3f}",
                f"{min(seconds):.3f}–{max(seconds):.3f}",
                f"{statistics.median(cpu):.3f}",
                f"{statistics.median(seconds) * timed / everything / steps * 1000:.3f}",
                f"{result['first_epoch_seconds']:.3f}",
                ratio,
                f"{result['rounds'][-1]['loss']:.4f}",
                f"{result['test_accuracy']:.4f}",
                mebibytes(result["peak_memory_bytes"]),
            ]
        )
    lines += markdown_table(head, rows)
    note = "Below 1, `treadle ÷ peer` says that Treadle was faster: the median over the rounds of paired ratios."
    if data != "MNIST":
        note += " Random labels cannot be learnt: an accuracy near 0.1 is right."
    return [*lines, "", note]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, f"{QUICK_BATCHES} batches an epoch")
    parser.add_argument("--model", choices=MODELS, default="mlp")
    parser.add_argument("--batch", type=positive, default=100, help="samples in a step (default 100)")
    parser.add_argument("--threads", type=positive, default=2, help="of every peer (default 2)")
    parser.add_argument("--rounds", type=positive, default=5, help="times that each peer is measured (default 5)")
    parser.add_argument("--epochs", type=positive, default=1, help="in a round (default 1)")
    parser.add_argument(
        "--samples", type=positive, help="train on the first so many and scale the seconds (default all)"
    )
    parser.add_argument("--peers", default=",".join(PEERS), help="separated by commas (default %(default)s)")
    options = parser.parse_args(arguments)
    options.peers = options.peers.split(",")
    unknown = [name for name in options.peers if name not in PEERS]
    if unknown:
        parser.error(f"no peer is called {', '.join(unknown)}: there are {', '.join(PEERS)}")
    require_threads(parser, options.threads)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, write JSON and Markdown, and return the exit code: 1 where a peer failed."""
    options = parse(arguments)
    machine = describe_machine()  # before the load that comes from here
    everything = load_data(options.model)
    data = cut(everything, options.samples, options.quick, options.batch)
    setting = Setting(options.model, options.batch, options.threads, seed=0)
    with tempfile.TemporaryDirectory(prefix="treadle-benchmark-") as folder:
        data.save(Path(folder))
        results = measure(options.peers, setting, Path(folder), options.rounds, options.epochs)
    report = {
        "model": MODELS[options.model].__dict__,
        **context(options, machine),
        "train_samples": len(data.train_labels),
        "all_samples": len(everything.train_labels),
        "steps": -(-len(data.train_labels) // options.batch),
        "results": results,
    }
    write_report(
        report, table(report), f"{options.model}-batch{options.batch}-threads{options.threads}", options.output
    )
    return 1 if any("error" in result for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
