"""One cold start, in a process of its own: from nothing to the end of the first epoch of LeNet on MNIST.

    python cold_child.py PEER FOLDER THREADS SAMPLES

PEER is `treadle` or a variant of PyTorch in `peers`. Prints a JSON line: when each stage was reached, on the machine's
clock, and the peak memory at the end of the epoch.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from worker import peak_memory

BATCH = 100
LEARNING_RATE = 0.001


def treadle(threads: int, samples: int) -> dict[str, Any]:
    """Train with `fit` on the MNIST of the package; the evaluation that follows is not waited for."""
    import treadle as td

    marks = {"imported": time.monotonic()}
    mnist = td.data.load("mnist")
    sets = td.data.Sets(mnist.train[:samples], mnist.validation, mnist.test, "mnist", "")
    marks["loaded"] = time.monotonic()
    losses: list[float] = []
    memory: int | None = None

    def on_step(state: Any, steps: int) -> None:
        nonlocal memory
        losses.append(float(state.loss))
        if len(losses) == 1:
            marks["first step"] = time.monotonic()
        if len(losses) == steps:
            marks["epoch"] = time.monotonic()
            memory = peak_memory()

    td.fit(
        "lenet",
        sets,
        loss="cross_entropy",
        optimizer=td.optim.Adam(LEARNING_RATE),
        batch_size=BATCH,
        threads=threads,
        on_step=on_step,
    )
    return {"marks": marks, "loss": sum(losses) / len(losses), "peak_memory_bytes": memory}


def torch(peer: str, folder: Path, threads: int, samples: int) -> dict[str, Any]:
    """Train with PyTorch on the images from .npy files, which stay bytes in memory as Treadle's do."""
    import numpy as np
    from peers import PEERS
    from peers.torch import Trainer
    from setting import Data, Setting

    marks = {"imported": time.monotonic()}
    images, labels = (np.load(folder / f"train_{name}.npy")[:samples] for name in ("images", "labels"))
    data = Data(images, labels, *[images[:0], labels[:0]] * 2)
    marks["loaded"] = time.monotonic()
    trainer = Trainer(Setting("lenet", BATCH, threads, seed=0), data, PEERS[peer].variant, keep_bytes=True)
    measured = trainer.train(1, 0)
    marks["epoch"] = time.monotonic()
    return {"marks": marks, "loss": measured.loss, "peak_memory_bytes": peak_memory()}


def main() -> None:
    peer, folder, threads, samples = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    found = treadle(threads, samples) if peer == "treadle" else torch(peer, folder, threads, samples)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
