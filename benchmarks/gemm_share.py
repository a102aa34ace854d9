"""GFLOP/s of Treadle's kernels in each layer of LeNet, as a share of the machine's matrix product.

    python benchmarks/gemm_share.py --threads 1,2

The peak is NumPy's product of two float32 matrices of 2048 × 2048. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from harness import (
    UNSET,
    available_cpus,
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

SIZE = 2048
SETTINGS = {"stride": (1, 1), "padding": (2, 2), "dilation": (1, 1), "groups": 1}
# name: channels, filters, height and width of the image; all filters are 5 × 5
CONVOLUTIONS = {"conv1": (1, 20, 28), "conv2": (20, 20, 14)}
LINEAR = (980, 10)


def seconds(call: Callable[[], object], least: float, rounds: int) -> list[float]:
    """Return seconds a call, round by round, with as many calls in a round as take `least` seconds; one to warm up."""
    call()
    begun, count = time.perf_counter(), 0
    while not count or time.perf_counter() - begun < least:
        call()
        count += 1
    found = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(count):
            call()
        found.append((time.perf_counter() - begun) / count)
    return found


def workloads(batch: int) -> dict[str, tuple[float, Callable[[], object]]]:
    """Return for each operation its floating-point operations and a call; images lie batch-last in memory.

    They are the active kernels. The input gradient of conv1 is computed here though training has no use for it.
    """
    import numpy as np

    from treadle.kernels import active

    k = active()
    generator = np.random.default_rng(0)

    def images(channels: int, size: int) -> Any:
        return generator.random((channels, size, size, batch), np.float32).transpose(3, 0, 1, 2)

    found: dict[str, tuple[float, Callable[[], object]]] = {}

    def add(name: str, channels: int, filters: int, size: int) -> None:
        x, g = images(channels, size), images(filters, size)
        w = generator.random((filters, channels, 5, 5), np.float32)
        b = generator.random(filters, np.float32)
        # only what meets a pixel counts, not the border of zeros
        taps = sum(min(size, i + 3) - max(0, i - 2) for i in range(size)) ** 2
        work = 2.0 * batch * filters * channels * taps
        found[f"{name} forward"] = work, lambda: k.conv2d(x, w, b, **SETTINGS)
        found[f"{name} input gradient"] = work, lambda: k.conv2d_input_gradient(g, w, shape=x.shape, **SETTINGS)
        found[f"{name} weight gradient"] = work, lambda: k.conv2d_weight_gradient(g, x, shape=w.shape, **SETTINGS)

    for name, (channels, filters, size) in CONVOLUTIONS.items():
        add(name, channels, filters, size)
    inputs, units = LINEAR
    x, g = generator.random((batch, inputs), np.float32), generator.random((batch, units), np.float32)
    w = generator.random((inputs, units), np.float32)
    work = 2.0 * batch * inputs * units
    matmul = getattr(k, "matmul", np.matmul)
    found["linear forward"] = work, lambda: matmul(x, w)
    found["linear input gradient"] = work, lambda: matmul(g, w.T)
    found["linear weight gradient"] = work, lambda: matmul(x.T, g)
    return found


def measure(threads: int, batch: int, rounds: int, least: float) -> dict[str, Any]:
    """Return GFLOP/s of the matrix product and of each operation, with so many threads, round by round."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from treadle import kernels

    a, b = (np.random.default_rng(0).random((SIZE, SIZE), np.float32) for _ in range(2))
    out = np.empty_like(a)
    with threadpool_limits(limits=threads):
        peak = [2 * SIZE**3 / s / 1e9 for s in seconds(lambda: np.matmul(a, b, out=out), least, rounds)]
        print(f"{plural(threads, 'thread')}: matrix product {statistics.median(peak):.1f} GFLOP/s", flush=True)
    operations = {}
    with kernels.use(kernels.fastest()), kernels.with_threads(threads):
        for name, (work, call) in workloads(batch).items():
            found = seconds(call, least, rounds)
            operations[name] = {"flop": work, "gflops": [work / s / 1e9 for s in found]}
            print(f"{plural(threads, 'thread')}: {name} {statistics.median(found) * 1e3:.3f} ms", flush=True)
    return {"threads": threads, "peak_gflops": peak, "operations": operations}


def table(report: dict[str, Any]) -> list[str]:
    """Return the report for a person, in Markdown."""
    options, results = report["options"], report["results"]
    lines = [
        "# Kernels of LeNet and the machine's matrix product",
        "",
        f"`{report['kernels']}`, batch {options['batch']:,}, float32; median of {plural(report['rounds'], 'round')}. "
        f"The peak is NumPy's product of {SIZE} × {SIZE} matrices. Products with the border of zeros are not counted. "
        f"OpenBLAS: {', '.join(report['blas']) or 'unknown'}.",
        "",
        *preamble(report),
    ]
    head, rows = ["operation", "MFLOP"], []
    for result in results:
        threads = plural(result["threads"], "thread")
        head += [f"ms, {threads}", f"GFLOP/s, {threads}", f"share of peak, {threads}"]
    peaks = [statistics.median(result["peak_gflops"]) for result in results]
    row = [f"matrix product {SIZE}³", f"{2 * SIZE**3 / 1e6:,.0f}"]
    for peak in peaks:
        row += [f"{2 * SIZE**3 / peak / 1e6:.1f}", f"{peak:.1f}", "100 %"]
    rows.append(row)
    for name, first in results[0]["operations"].items():
        row = [name, f"{first['flop'] / 1e6:.1f}"]
        for result, peak in zip(results, peaks, strict=True):
            gflops = statistics.median(result["operations"][name]["gflops"])
            row += [f"{first['flop'] / gflops / 1e6:.3f}", f"{gflops:.1f}", f"{gflops / peak:.0%}".replace("%", " %")]
        rows.append(row)
    return lines + markdown_table(head, rows)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, "one round of a call or two")
    default = ",".join(map(str, range(1, min(2, available_cpus()) + 1)))
    parser.add_argument("--threads", default=default, help="numbers separated by commas (default %(default)s)")
    parser.add_argument("--batch", type=positive, default=100, help="samples (default 100)")
    parser.add_argument("--rounds", type=positive, default=7, help="times that each is measured (default 7)")
    options = parser.parse_args(arguments)
    try:
        options.threads = [positive(number) for number in options.threads.split(",")]
    except (ValueError, argparse.ArgumentTypeError) as error:
        parser.error(f"--threads: {error}")
    require_threads(parser, max(options.threads))
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure and write JSON and Markdown."""
    options = parse(arguments)
    unset = {name: os.environ[name] for name in UNSET if name in os.environ}
    if unset:  # OpenBLAS reads them when it is loaded
        os.environ["TREADLE_BENCHMARK_UNSET"] = ",".join(f"{name}={value}" for name, value in unset.items())
        for name in unset:
            del os.environ[name]
        os.execv(sys.executable, [sys.executable, *sys.argv])
    machine = describe_machine()
    rounds, least = (1, 0.0) if options.quick else (options.rounds, 0.2)
    results = [measure(threads, options.batch, rounds, least) for threads in options.threads]
    from threadpoolctl import threadpool_info

    from treadle.kernels import fastest

    pools = {
        f"{pool.get('architecture')} {pool['version']}" for pool in threadpool_info() if pool["user_api"] == "blas"
    }
    report = {
        **context(options, machine),
        "rounds": rounds,
        "kernels": fastest().__name__,
        "blas": sorted(pools),
        "results": results,
    }
    earlier = os.environ.get("TREADLE_BENCHMARK_UNSET", "")
    report["unset"] = dict(pair.split("=", 1) for pair in earlier.split(",") if pair)
    write_report(report, table(report), f"gemm-share-batch{options.batch}", options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
