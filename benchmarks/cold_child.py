"""One cold start, in a process of its own: from nothing to the end of the first epoch of LeNet on MNIST.

    python cold_child.py PEER FOLDER THREADS SAMPLES

PEER is `treadle` or a variant of PyTorch in `peers`. Prints when each stage was reached, on the clock of the machine, and
the peak memory, as a JSON line.
"""

import json
import sys
import time
from pathlib import Path

BATCH = 100
LEARNING_RATE = 0.001


def treadle(folder: Path, threads: int, samples: int) -> tuple[dict[str, float], float]:  # noqa: ARG001 has its own data
    """Train with `fit` on the MNIST of the package; the evaluation that follows is not waited for."""
    import treadle as td

    marks = {"imported": time.monotonic()}
    mnist = td.data.load("mnist")
    sets = td.data.Sets(mnist.train[:samples], mnist.validation, mnist.test, "mnist", "")
    marks["loaded"] = time.monotonic()
    taken, losses = 0, []

    def on_step(state: object, steps: int) -> None:
        nonlocal taken
        taken += 1
        losses.append(state.loss)  # type: ignore[attr-defined]
        if taken == 1:
            marks["first step"] = time.monotonic()
        if taken == steps:
            marks["epoch"] = time.monotonic()

    td.fit(
        "lenet",
        sets,
        loss="cross_entropy",
        optimizer=td.optim.Adam(LEARNING_RATE),
        batch_size=BATCH,
        threads=threads,
        on_step=on_step,
    )
    return marks, sum(losses) / len(losses)


def torch(peer: str, folder: Path, threads: int, samples: int) -> tuple[dict[str, float], float]:
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
    return marks, measured.loss


def main() -> None:
    peer, folder, threads, samples = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    train = treadle if peer == "treadle" else lambda *arguments: torch(peer, *arguments)
    marks, loss = train(folder, threads, samples)
    from worker import peak_memory

    print(json.dumps({"marks": marks, "loss": loss, "peak_memory_bytes": peak_memory()}))


if __name__ == "__main__":
    main()
