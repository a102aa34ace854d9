"""How the time of a step grows with batch, width, depth and threads, for Treadle and PyTorch; with a plot.

    python benchmarks/growth.py --threads 1,2 --rounds 5

One quantity changes at a time, from the model's own size. See benchmarks/README.md.
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
    plural,
    positive,
    preamble,
    require_threads,
    write_report,
)
from peers import PEERS
from setting import MODELS, Setting, random_data

SHAPE = (1, 28, 28)
QUICK_STEPS = 3
BATCH = 100
GRID = {
    "mlp": {"batch": [1, 10, 100, 1000], "width": [10, 30, 100, 300, 1000], "depth": [1, 2, 4, 8]},
    "lenet": {"batch": [1, 10, 100, 1000], "width": [5, 10, 20, 40], "depth": [2, 3, 4, 6]},
}
QUICK_GRID = {"mlp": {"batch": [10, 100], "width": [10, 100]}, "lenet": {"batch": [10, 100], "depth": [2, 3]}}
AXES = {"batch": "samples in a batch", "width": "width", "depth": "depth"}
WIDTHS = {"mlp": "units of a hidden layer", "lenet": "filters of a convolution"}
DEPTHS = {"mlp": "hidden layers", "lenet": "convolutions"}


def points(grid: dict[str, dict[str, list[int]]]) -> list[dict[str, Any]]:
    """Return what is measured: model, the quantity that changes, its value, and all three sizes."""
    found = []
    for model, quantities in grid.items():
        usual = {"batch": BATCH, "width": MODELS[model].width, "depth": MODELS[model].depth}
        for quantity, values in quantities.items():
            found += [{"model": model, "quantity": quantity, **usual, quantity: value} for value in values]
    return found


def measure(
    names: list[str], grid: list[dict[str, Any]], threads: int, rounds: int, steps: int, folder: Path
) -> list[dict[str, Any]]:
    """Return milliseconds a step, round by round, of each peer at each point; one process a peer, rounds alternate."""
    found = []
    workers = {name: Worker(threads, folder / f"{name}-{threads}.log") for name in names}
    try:
        for point in grid:
            sizes = {"width": point["width"], "depth": point["depth"]}
            setting = Setting(point["model"], point["batch"], threads, seed=0, diagnose=False, **sizes)
            request = {"setting": setting.to_dict(), "data": str(folder), "samples": steps * point["batch"]}
            built = {}
            for name in names:
                reply = workers[name].ask(do="build", peer=name, **request)
                if "absent" in reply:
                    print(f"{name}: {reply['absent']}", flush=True)
                    continue
                built[name] = {"peer": name, "threads": threads, **point, "parameters": reply["parameters"]}
                built[name]["ms"] = []
            if len({result["parameters"] for result in built.values()}) > 1:
                raise WorkerError(f"not the same network: {built}")
            for number in range(rounds + 1):
                for name, result in built.items():
                    measured = workers[name].ask(do="train", epochs=2, seed=number)
                    if number:  # the first round warms up, and so does the first epoch of each
                        result["ms"].append(measured["each"][1] / steps * 1000)
            for result in built.values():
                label = f"{point['model']} {point['quantity']} {point[point['quantity']]}"
                print(f"{result['peer']:20} {plural(threads, 'thread'):10} {label:20} {middle(result):9.3f} ms")
            found += list(built.values())
    finally:
        for worker in workers.values():
            worker.close()
    return found


def middle(result: dict[str, Any]) -> float:
    return statistics.median(result["ms"])


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Draw a panel for each model and quantity; a line is a peer with so many threads, a bar the range of rounds."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import ticker

    panels = list(dict.fromkeys((result["model"], result["quantity"]) for result in results))
    models = list(dict.fromkeys(model for model, _ in panels))
    columns = max(sum(model == name for name, _ in panels) for model in models)
    figure, axes = plt.subplots(
        len(models), columns, figsize=(4 * columns, 3.2 * len(models)), squeeze=False, layout="constrained"
    )
    lines = list(dict.fromkeys((result["peer"], result["threads"]) for result in results))
    peers = list(dict.fromkeys(peer for peer, _ in lines))
    for row, model in enumerate(models):
        quantities = [quantity for name, quantity in panels if name == model]
        for axis in axes[row, len(quantities) :]:
            axis.axis("off")
        for axis, quantity in zip(axes[row], quantities, strict=False):
            for peer, threads in lines:
                wanted = {"model": model, "quantity": quantity, "peer": peer, "threads": threads}
                chosen = [result for result in results if wanted.items() <= result.items()]
                values, medians = [result[quantity] for result in chosen], [middle(result) for result in chosen]
                below = [m - min(result["ms"]) for m, result in zip(medians, chosen, strict=True)]
                above = [max(result["ms"]) - m for m, result in zip(medians, chosen, strict=True)]
                axis.errorbar(
                    values,
                    medians,
                    yerr=[below, above],
                    marker="os^v"[peers.index(peer) % 4],
                    color=f"C{peers.index(peer)}",
                    linestyle="-" if threads == 1 else "--",
                    label=f"{peer}, {plural(threads, 'thread')}",
                    capsize=2,
                )
            axis.set(xscale="log", yscale="log", title=model, ylabel="ms a step")
            axis.set_xlabel({"width": WIDTHS[model], "depth": DEPTHS[model]}.get(quantity, AXES[quantity]))
            ticks = sorted(
                {result[quantity] for result in results if (result["model"], result["quantity"]) == (model, quantity)}
            )
            axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            axis.minorticks_off()
            axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.grid(alpha=0.3)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(lines))
    figure.savefig(path)


def table(report: dict[str, Any]) -> list[str]:
    """Return the report for a person, in Markdown: a row a point, a column a peer with a number of threads."""
    options, results = report["options"], report["results"]
    lines = [
        "# Growth of the time of a step",
        "",
        f"Milliseconds a step, the median of {plural(options['rounds'], 'round')} of {plural(report['steps'], 'step')} "
        "each, after as many to warm up, on random images 28×28, float32. One quantity changes, and the others are "
        f"those of the model: batch {BATCH}; mlp 784-100-10 with SGD; lenet with two convolutions of 20 filters and "
        "Adam (further convolutions come after the second pooling). Treadle trains without its diagnosis. `×` is the "
        "step with the first number of threads ÷ that with the number above.",
        "",
        *preamble(report),
    ]
    keys = list(dict.fromkeys((result["peer"], result["threads"]) for result in results))
    head = ["model", "quantity", "value", "parameters"]
    for peer, threads in keys:
        head.append(f"{peer}, {plural(threads, 'thread')}")
        head += ["×"] if threads != keys[0][1] else []
    rows = []
    for point in report["points"]:
        chosen = {(result["peer"], result["threads"]): result for result in results if point.items() <= result.items()}
        if not chosen:
            continue
        row = [point["model"], point["quantity"], f"{point[point['quantity']]:,}"]
        row.append(f"{next(iter(chosen.values()))['parameters']:,}")
        for peer, threads in keys:
            result, alone = chosen.get((peer, threads)), chosen.get((peer, keys[0][1]))
            row.append(f"{middle(result):.3f}" if result else "–")
            if threads != keys[0][1]:
                row.append(f"{middle(alone) / middle(result):.2f}" if result and alone else "–")
        rows.append(row)
    return lines + markdown_table(head, rows)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, f"few points, {QUICK_STEPS} steps")
    parser.add_argument("--threads", default="1,2", help="numbers separated by commas (default %(default)s)")
    parser.add_argument("--rounds", type=positive, default=5, help="times that each point is measured (default 5)")
    parser.add_argument("--steps", type=positive, default=20, help="in a round (default 20)")
    parser.add_argument("--peers", default="treadle,torch", help="treadle or of torch (default %(default)s)")
    options = parser.parse_args(arguments)
    options.peers = options.peers.split(",")
    able = [name for name, peer in PEERS.items() if peer.module in ("treadle", "torch")]
    if unknown := [name for name in options.peers if name not in able]:
        parser.error(f"{', '.join(unknown)} cannot be measured here: there are {', '.join(able)}")
    try:
        options.threads = [positive(number) for number in options.threads.split(",")]
    except (ValueError, argparse.ArgumentTypeError) as error:
        parser.error(f"--threads: {error}")
    require_threads(parser, max(options.threads))
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write JSON, Markdown and SVG."""
    options = parse(arguments)
    machine = describe_machine()
    steps = QUICK_STEPS if options.quick else options.steps
    grid = points(QUICK_GRID if options.quick else GRID)
    with tempfile.TemporaryDirectory(prefix="treadle-benchmark-") as name:
        folder = Path(name)
        random_data(steps * max(point["batch"] for point in grid), SHAPE, held_out=100).save(folder)
        results = []
        for threads in options.threads:
            results += measure(options.peers, grid, threads, options.rounds, steps, folder)
    report = {**context(options, machine), "steps": steps, "points": grid, "results": results}
    path = write_report(report, table(report), "growth", options.output)
    plot(results, path.with_name(f"{path.name}.svg"))
    print(f"plot in {path}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
