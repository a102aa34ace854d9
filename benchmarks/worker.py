"""One peer in a process of its own: reads requests and writes replies, a JSON line each, on its standard streams."""

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
from setting import Data, Setting


def main() -> int:
    # Libraries print what they like on standard output: the replies keep it, and the libraries get standard error.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    begin = json.loads(sys.stdin.readline())
    setting = Setting(**begin["setting"])
    try:
        pin(setting.threads)
        imports, distributions = PEERS[begin["peer"]]
        missing = [name for name in imports if importlib.util.find_spec(name) is None]
        if missing:
            reply({"absent": f"not installed: {', '.join(missing)}"})
            return 0
        peer = importlib.import_module(f"peers.{begin['peer']}")
        if setting.model not in peer.MODELS:
            reply({"absent": f"{setting.model} is not written for this peer"})
            return 0
        data = Data.load(Path(begin["data"]))
        begun = time.perf_counter()
        trainer = peer.MODELS[setting.model](setting, data)
        reply({"ready": True, "build_seconds": time.perf_counter() - begun})
        for line in sys.stdin:
            request = json.loads(line)
            if request["do"] == "train":
                measured = trainer.train(request["epochs"], request["seed"])
                reply(measured.__dict__)
            else:
                reply(
                    {
                        "test_accuracy": trainer.accuracy(),
                        "peak_memory_bytes": peak_memory(),
                        "versions": {name: importlib.metadata.version(name) for name in distributions},
                        "thread_pools": thread_pools(),
                    }
                )
    except Exception:
        reply({"error": traceback.format_exc()})
        return 1
    return 0


def pin(threads: int) -> None:
    """Keep the process on as many CPUs as it may have threads, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


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
