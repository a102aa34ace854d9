"""Where the time of a step goes, to reading or to training, and whether reading ahead would save some of it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.data import Prefetch, Reading, Sets, Times
from treadle.errors import TrainingError, TreadleError
from treadle.losses import Loss
from treadle.nn import Module
from treadle.optim import Optimizer
from treadle.train.estimate import duration
from treadle.train.fit import fit
from treadle.train.loop import Enough, State
from treadle.train.run import Interrupted, Run

FIRST = 3  # steps that are not timed: compilation, the recording of a step, and one after them
LEAST = 10  # steps timed at least
CACHED = 8  # batches that are replayed
WORTH = 0.05  # share of the time that reading ahead should save
NEAR = 0.03  # settings whose times differ by less are the same
SETTINGS = (
    Prefetch(2),
    Prefetch(4, workers=2),
    Prefetch(2, worker_kind="process"),
    Prefetch(4, workers=2, worker_kind="process"),
)


@dataclass(frozen=True)
class Pace:
    """How long a step took.

    Args:
        seconds: mean over the steps timed.
        steps: how many these were.
        times: when their batches were read and waited for.
    """

    seconds: float
    steps: int
    times: tuple[Times, ...]

    @property
    def read(self) -> float:
        """Mean seconds that the reading of a batch took."""
        return float(np.mean([one.read_end - one.read_begin for one in self.times]))


@dataclass(frozen=True, repr=False)
class Timeline:
    """Paces of training with and without reading ahead; printing it gives a table and the verdict.

    Args:
        direct: each batch read when it is needed.
        replayed: the same few batches again and again, from memory: no reading can be faster.
        trials: settings of reading ahead with their paces, where it could save some time.
        batch_size: samples in a step.
    """

    direct: Pace
    replayed: Pace
    trials: tuple[tuple[Prefetch, Pace], ...]
    batch_size: int

    @property
    def most(self) -> float:
        """Share of the time that reading ahead could save at most."""
        return max(0.0, 1 - self.replayed.seconds / self.direct.seconds)

    @property
    def proposal(self) -> Prefetch | None:
        """The simplest setting that is about as fast as the best; None where reading ahead is not worth it."""
        if not self.trials or self.most < WORTH:
            return None
        best = min(pace.seconds for _, pace in self.trials)
        if self.saved(best) < WORTH:
            return None
        return next(setting for setting, pace in self.trials if pace.seconds <= (1 + NEAR) * best)

    def saved(self, seconds: float) -> float:
        """Share of the time that steps of so many seconds save."""
        return 1 - seconds / self.direct.seconds

    @property
    def verdict(self) -> str:
        """What to do, in a sentence."""
        if self.most < WORTH:
            return f"asynchronous reading would save at most {self.most:.0%}: not worth it, leave data.prefetch at 0"
        if self.proposal is None:
            best = self.saved(min(pace.seconds for _, pace in self.trials))
            told = f"saves {best:.0%}" if best > 0 else "saves nothing"
            return f"asynchronous reading could save {self.most:.0%} and {told} on this machine: not worth it"
        found = self.proposal
        saved = self.saved(dict(self.trials)[found].seconds)
        more = f", data.workers={found.workers}" if found.workers > 1 else ""
        more += f", data.worker_kind={found.worker_kind}" if found.worker_kind != "thread" else ""
        return f"asynchronous reading saves {saved:.0%} of the time: set data.prefetch={found.batches}{more}"

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain values, for JSON."""
        return {
            "batch_size": self.batch_size,
            "read": self.direct.read,
            "seconds_per_step": self.direct.seconds,
            "replayed": self.replayed.seconds,
            "most": self.most,
            "trials": [
                {
                    "prefetch": setting.batches,
                    "workers": setting.workers,
                    "worker_kind": setting.worker_kind,
                    "seconds_per_step": pace.seconds,
                    "saved": self.saved(pace.seconds),
                }
                for setting, pace in self.trials
            ],
            "verdict": self.verdict,
            "times": [one._asdict() for one in self.direct.times],
        }

    def __repr__(self) -> str:
        direct = self.direct
        lines = [
            f"a step of {self.batch_size} samples takes {duration(direct.seconds)}: {duration(direct.read)} to read, "
            f"{duration(max(direct.seconds - direct.read, 0.0))} to train; on batches from memory "
            f"{duration(self.replayed.seconds)} ({direct.steps} and {self.replayed.steps} steps)"
        ]
        for setting, pace in self.trials:
            ideal = direct.seconds - max(direct.read / setting.workers, self.replayed.seconds)
            saved = direct.seconds - pace.seconds
            share = f" ({saved / ideal:.0%} of what is to be had)" if saved > 0 and ideal > 0 else ""
            told = f"saves {self.saved(pace.seconds):.0%}{share}" if saved > 0 else "saves nothing"
            lines.append(f"{described(setting)}: {duration(pace.seconds)} a step, {told}")
        return "\n".join([*lines, self.verdict])


def timeline(
    network: Module | str,
    sets: Sets,
    *,
    loss: Loss | str,
    optimizer: Optimizer,
    batch_size: int = 100,
    seconds: float = 2.0,
    always: bool = False,
    **settings: Any,
) -> Timeline:
    """Time steps of training with each batch read when it is needed, on batches from memory, and with reading ahead.

    Reading ahead is tried only where batches from memory save a twentieth of the time or more, or always. Training is
    that of `fit`, on parameters of its own: nothing that was given changes.

    Args:
        network, sets, loss, optimizer, batch_size: as in `fit`.
        seconds: of each way of reading.
        always: whether reading ahead is tried where it could save nothing, too.
        settings: others of `fit`, such as seed, scale, augmentations and threads.

    Raises:
        TreadleError: what does not fit, as `fit` says it; fewer batches than are timed.

    >>> import treadle as td
    >>> x = np.linspace(-1, 1, 400).reshape(-1, 1)
    >>> rows = td.data.Dataset(x, 3 * x[:, 0] + 1, None, "line")
    >>> sets = td.data.Sets(rows[:300], rows[300:350], rows[350:], "line", "made up")
    >>> network = td.nn.Sequential(td.nn.Linear(1))
    >>> timeline(network, sets, loss="squared_error", optimizer=td.optim.SGD(0.1), batch_size=10, seconds=0.1)
    a step of 10 samples takes ... to read, ... to train; on batches from memory ...
    asynchronous reading ...
    """
    if not 0 < seconds < math.inf:
        raise TreadleError(f"seconds should be above 0, found {seconds}")

    def pace(kind: type[Reading], prefetch: Prefetch | None = None) -> Pace:
        watch = _Watch(seconds, kind)
        try:
            fit(
                network,
                sets,
                loss=loss,
                optimizer=optimizer,
                batch_size=batch_size,
                epochs=FIRST + LEAST + 1 if len(sets.train) <= batch_size else 10**6,
                prefetch=prefetch,
                on_step=watch.step,
                on_epoch=watch.epoch,
                diagnose=False,
                reading=watch.reading,
                **settings,
            )
        except Enough:
            pass
        except Interrupted:
            raise KeyboardInterrupt from None
        except TrainingError:  # a rate that is too large does not make steps slower
            if len(watch.seconds) < LEAST:
                raise
        return watch.pace()

    direct, replayed = pace(Reading), pace(_Replay)
    found = Timeline(direct, replayed, (), batch_size)
    if found.most < WORTH and not always:
        return found
    trials: list[tuple[Prefetch, Pace]] = []
    for setting in SETTINGS:
        best = min((one.seconds for _, one in trials), default=math.inf)
        ideal = max(replayed.seconds, direct.read / 2)
        if setting.worker_kind == "process" and best <= (1 + 2 * WORTH) * ideal:
            break  # threads do as well as any
        trials.append((setting, pace(Reading, setting)))
    return Timeline(direct, replayed, tuple(trials), batch_size)


def described(setting: Prefetch) -> str:
    """Return a setting of reading ahead in words.

    >>> described(Prefetch(4, workers=2, worker_kind="process"))
    'prefetch 4, 2 processes'
    """
    several = {"thread": "threads", "process": "processes"}[setting.worker_kind]
    return f"prefetch {setting.batches}, {setting.workers} {several if setting.workers > 1 else setting.worker_kind}"


class _Replay(Reading):
    """Reads some batches and then gives these again and again."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._kept: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []
        self._given = 0

    def next(self, inputs: np.ndarray[Any, Any], targets: np.ndarray[Any, Any]) -> None:
        """Write a batch that was kept, or read one and keep it."""
        if len(self._kept) < CACHED and (not self._kept or len(inputs) == len(self._kept[0][0])):
            super().next(inputs, targets)
            self._kept.append((inputs.copy(order="K"), targets.copy()))
            return
        kept = self._kept[self._given % len(self._kept)]
        self._given += 1
        begun = time.perf_counter()
        np.copyto(inputs, kept[0][: len(inputs)])
        np.copyto(targets, kept[1][: len(targets)])
        ended = time.perf_counter()
        self._note(Times(begun, ended, begun, ended, 0, self._epoch))


class _Watch:
    """Times steps of training from one call to the next, and ends it."""

    def __init__(self, most: float, kind: type[Reading]) -> None:
        self.most, self.kind = most, kind
        self.seconds: list[float] = []
        self.count = 0
        self.begun = self.last = math.nan
        self.read: Reading | None = None

    def reading(self, *args: Any, **settings: Any) -> Reading:
        self.read = self.kind(*args, **settings)
        return self.read

    def step(self, state: State, steps: int) -> None:  # noqa: ARG002
        now = time.perf_counter()
        self.count += 1
        if self.count > FIRST + CACHED:
            self.seconds.append(now - self.last)
        else:
            self.begun = now
        if len(self.seconds) >= LEAST and now - self.begun > self.most:
            raise Enough
        self.last = time.perf_counter()

    def epoch(self, run: Run) -> None:  # noqa: ARG002
        """Leave out the evaluation."""
        self.last = time.perf_counter()

    def pace(self) -> Pace:
        assert self.read is not None
        times = self.read.times[FIRST + CACHED :]
        return Pace(float(np.mean(self.seconds)), len(self.seconds), tuple(times))
