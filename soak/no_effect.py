"""Compare trainings that differ in nothing but their seeds: how often is one of two equal recipes called better?

    python soak/no_effect.py --climbs 100

Each climb trains a small network with five seeds, and with five others, and judges them as `treadle climb` does. The
share of verdicts other than "cannot tell" should be 5 % or less. Exit code 1 where it is more than chance allows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
from scipy import stats

import treadle as td
from treadle.data import Dataset, Sets
from treadle.ladder import compare

SEEDS = 5


def sets() -> Sets:
    draws = np.random.default_rng(0)
    x = draws.normal(size=(900, 6))
    y = (x[:, 0] * x[:, 1] + x[:, 2] + 0.5 * draws.normal(size=900) > 0).astype(np.int64)
    rows = Dataset(x, y, ("no", "yes"), "rows")
    return Sets(rows[:300], rows[300:600], rows[600:], "made up", "made up")


def accuracy(data: Sets, seed: int) -> float:
    network = td.nn.Sequential(td.nn.Linear(8), td.nn.ReLU(), td.nn.Linear(2))
    run = td.fit(
        network,
        data,
        loss="cross_entropy",
        optimizer=td.optim.Adam(0.01),
        batch_size=30,
        epochs=3,
        seed=seed,
        diagnose=False,
    )
    assert run.weights_epoch is not None
    return float(run.history[run.weights_epoch - 1]["validation_accuracy"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--climbs", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    data, begun, verdicts = sets(), time.monotonic(), []
    for climb in range(arguments.climbs):
        first = 2 * SEEDS * climb
        before, after = ([accuracy(data, first + SEEDS * n + k) for k in range(SEEDS)] for n in range(2))
        verdicts.append(compare(before, after, higher_is_better=True).verdict)
    wrong = sum(verdict != "cannot tell" for verdict in verdicts)
    chance = float(stats.binom.sf(wrong - 1, len(verdicts), 0.05))
    told = {
        "climbs": len(verdicts),
        "cannot_tell": len(verdicts) - wrong,
        "better": verdicts.count("better"),
        "worse": verdicts.count("worse"),
        "seconds": round(time.monotonic() - begun, 1),
    }
    if arguments.json:
        print(json.dumps(told))
    else:
        print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items()))
    return int(chance < 0.01)


if __name__ == "__main__":
    sys.exit(main())
