"""Climb ladders whose changes do nothing: how often is one of them called better or worse?

    python soak/no_effect.py --climbs 100

Each climb trains a small network with five seeds. Its first change gives the same layers another name and does
nothing else, its second trains from five other seeds; both are judged as `treadle climb` does, at a level of 5 %
together. In 95 % of the climbs or more both verdicts should be "cannot tell". Exit code 1 where they are fewer than
chance allows.
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


def accuracy(data: Sets, seed: int, network: td.nn.Module) -> float:
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


def small() -> td.nn.Module:
    return td.nn.Sequential(td.nn.Linear(8), td.nn.ReLU(), td.nn.Linear(2))


class SameAsSmall(td.nn.Sequential):
    """The same layers under another name."""


def same_as_small() -> td.nn.Module:
    return SameAsSmall(*small().layers.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--climbs", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    data, begun = sets(), time.monotonic()
    renamed: list[str] = []
    verdicts: list[str] = []
    for climb in range(arguments.climbs):
        first = 2 * SEEDS * climb
        seeds = [range(first, first + SEEDS), range(first + SEEDS, first + 2 * SEEDS)]
        base, again, other = (
            [accuracy(data, seed, network()) for seed in chosen]
            for network, chosen in ((small, seeds[0]), (same_as_small, seeds[0]), (small, seeds[1]))
        )
        renamed.append(compare(base, again, higher_is_better=True, comparisons=2).verdict)
        verdicts.append(compare(base, other, higher_is_better=True, comparisons=2).verdict)
    wrong = sum({*both} != {"cannot tell"} for both in zip(renamed, verdicts, strict=True))
    chance = float(stats.binom.sf(wrong - 1, len(verdicts), 0.05))
    told = {
        "climbs": len(verdicts),
        "cannot_tell": len(verdicts) - wrong,
        "renamed_cannot_tell": renamed.count("cannot tell"),
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
