"""Reading a Parquet file that is larger than the memory a process may take.

    python benchmarks/parquet_capped.py rows.parquet --make 2
    python benchmarks/parquet_capped.py rows.parquet

The first line writes a file of 2 GB: 100 columns of random float32 and labels, 50,000 rows a row group. The second
reads it: loading, the survey of all values, fitting a scale, and an epoch of shuffled batches. To cap its memory, run
it in a container (`docker run --memory 1g`) or a group (`systemd-run --scope -p MemoryMax=1G`).
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np

import treadle as td
from treadle.data.order import order_of
from treadle.data.stored import Stored
from treadle.memory import available

FEATURES, GROUP, BATCH = 100, 50_000, 1_000


def make(path: Path, gigabytes: float) -> None:
    """Write the file, one row group at a time."""
    import pyarrow as arrow
    from pyarrow.parquet import ParquetWriter

    names = [f"x{feature}" for feature in range(FEATURES)]
    schema = arrow.schema([*((name, arrow.float32()) for name in names), ("y", arrow.int64())])
    draws = np.random.default_rng(0)
    with ParquetWriter(path, schema, use_dictionary=False) as writer:
        for _ in range(max(1, round(gigabytes * 1e9 / (4 * FEATURES * GROUP)))):
            columns = draws.random((FEATURES, GROUP), dtype=np.float32)
            labels = (columns[0] > 0.5).astype(np.int64)
            writer.write_table(arrow.table([*columns, labels], schema=schema), GROUP)


def read(path: Path, seed: int) -> None:
    """Read the file and print how long each part took."""
    print(f"{path.stat().st_size / 2**30:.2f} GiB in the file, {available() / 2**30:.2f} GiB of memory available")
    marks = [time.perf_counter()]
    sets = td.data.load_parquet(path, target="y", classes=True)
    marks.append(time.perf_counter())
    sets.fingerprint()
    marks.append(time.perf_counter())
    scale = td.data.Standard().fit(sets.train.inputs)
    marks.append(time.perf_counter())
    order = order_of(sets.train, seed).indices(0)
    count = sum(len(batch.inputs) for batch in td.data.batches(sets.train, order, BATCH, scale))
    marks.append(time.perf_counter())
    seconds = np.diff(marks)
    print("stays on disk" if isinstance(sets.train.inputs, Stored) else "fits memory")
    print("load {:.1f} s, survey {:.1f} s, scale {:.1f} s, epoch {:.1f} s".format(*seconds))
    print(f"{count / seconds[3]:,.0f} samples/s, {count:,} samples in batches of {BATCH:,}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def main() -> None:
    """Make the file, or read it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="of the file")
    parser.add_argument("--make", type=float, metavar="GB", help="write it instead, with so many gigabytes")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.path, arguments.make)
    else:
        read(arguments.path, arguments.seed)


if __name__ == "__main__":
    main()
