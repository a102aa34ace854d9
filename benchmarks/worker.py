"""One peer in a process of its own: reads requests and writes replies, a JSON line each, on its standard streams.

Requests, by what is under `do`:

build   peer, setting, data (folder), samples (0 for all): makes a trainer in place of the one before
train   epochs, seed: seconds and loss
finish  accuracy, peak memory, versions
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from peers import PEERS
from setting import Absent, Data, Setting


def main() -> int:
    # Libraries print what they like on standard output: the replies keep it, and the libraries get standard error.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    trainer: Any = None
    distributions: tuple[str, ...] = ()
    try:
        for line in sys.stdin:
            request = json.loads(line)
            if request["do"] == "build":
                trainer = None
                distributions = PEERS[request["peer"]].distributions
                try:
                    begun = time.perf_counter()
                    trainer = build(**{key: value for key, value in request.items() if key != "do"})
                    seconds = time.perf_counter() - begun
                    reply({"ready": True, "build_seconds": seconds, "parameters": trainer.parameters})
                except Absent as reason:
                    reply({"absent": str(reason)})
            elif request["do"] == "train":
                reply(trainer.train(request["epochs"], request["seed"]).__dict__)
            else:
                reply(
                    {
                        "test_accuracy": trainer.accuracy(),
                        "peak_memory_bytes": peak_memory(),
                        "versions": versions(distributions),
                        "thread_pools": thread_pools(),
                    }
                )
    except Exception:
        reply({"error": traceback.format_exc()})
        return 1
    return 0


def build(peer: str, setting: dict[str, Any], data: str, samples: int) -> Any:
    """Return the trainer of a peer, or raise Absent."""
    made = Setting(**setting)
    pin(made.threads)
    missing = [name for name in PEERS[peer].imports if importlib.util.find_spec(name) is None]
    if missing:
        raise Absent(f"not installed: {', '.join(missing)}")
    module = importlib.import_module(f"peers.{PEERS[peer].module}")
    loaded = Data.load(Path(data))
    return module.Trainer(made, loaded.first(samples) if samples else loaded, PEERS[peer].variant)


def pin(threads: int) -> None:
    """Keep the process on as many CPUs as it may have threads, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def versions(distributions: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of the distributions that are installed."""
    found = {}
    for name in distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def peak_memory() -> int | None:
    """Return the peak resident memory in bytes, or None where the system does not say.

    `VmHWM` comes first: the figure of getrusage begins with that of the process which started this one.
    """
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    with contextlib.suppress(ImportError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return None


def thread_pools() -> list[dict[str, Any]]:
    """Return the BLAS and OpenMP libraries that are loaded, without their places on this machine."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return [{key: value for key, value in pool.items() if key != "filepath"} for pool in threadpool_info()]


if __name__ == "__main__":
    sys.exit(main())
