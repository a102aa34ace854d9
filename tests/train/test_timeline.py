"""Whether reading ahead is worth it: what is measured, and what is said of it."""

from importlib import import_module

import numpy as np
import pytest

import treadle as td
from slow_sets import slow_sets
from treadle.data import Prefetch, Times
from treadle.errors import TreadleError
from treadle.train.timeline import Pace, Timeline

module = import_module("treadle.train.timeline")  # the package has a function of that name
NETWORK = td.nn.Sequential(td.nn.Linear(2))
TIMES = (Times(0.0, 2.0, 0.0, 2.0, 0, 0), Times(3.0, 5.0, 3.0, 5.0, 0, 0))
AHEAD = Prefetch(4, workers=2)


def paced(seconds):
    return Pace(seconds, 10, TIMES)


def measured(direct, replayed, *trials):
    return Timeline(paced(direct), paced(replayed), trials, 100)


@pytest.mark.parametrize(
    ("found", "verdict", "proposal"),
    [
        (measured(1.0, 0.97), "would save at most 3%: not worth it, leave data.prefetch at 0", None),
        (measured(1.0, 1.1), "would save at most 0%: not worth it, leave data.prefetch at 0", None),
        (measured(1.0, 0.5, (Prefetch(2), paced(0.97))), "could save 50% and saves 3% on this machine: not", None),
        (measured(1.0, 0.5, (Prefetch(2), paced(1.2))), "could save 50% and saves nothing on this machine", None),
        (measured(1.0, 0.5, (Prefetch(2), paced(0.6))), "saves 40% of the time: set data.prefetch=2", Prefetch(2)),
        (
            measured(1.0, 0.4, (Prefetch(2), paced(0.8)), (AHEAD, paced(0.5))),
            "saves 50% of the time: set data.prefetch=4, data.workers=2",
            AHEAD,
        ),
        (
            measured(1.0, 0.4, (Prefetch(2), paced(0.51)), (AHEAD, paced(0.5))),  # the simpler one is as good
            "saves 49% of the time: set data.prefetch=2",
            Prefetch(2),
        ),
        (
            measured(1.0, 0.4, (Prefetch(2), paced(1.0)), (Prefetch(2, worker_kind="process"), paced(0.5))),
            "saves 50% of the time: set data.prefetch=2, data.worker_kind=process",
            Prefetch(2, worker_kind="process"),
        ),
    ],
)
def test_the_verdict(found, verdict, proposal):
    assert verdict in found.verdict
    assert found.verdict == repr(found).splitlines()[-1]
    assert found.proposal == proposal


def test_what_is_printed_and_given_as_json():
    found = measured(4.0, 2.0, (Prefetch(2), paced(3.0)), (AHEAD, paced(2.0)))
    assert repr(found).splitlines() == [
        "a step of 100 samples takes 4 s: 2 s to read, 2 s to train; on batches from memory 2 s (10 and 10 steps)",
        "prefetch 2, 1 thread: 3 s a step, saves 25% (50% of what is to be had)",
        "prefetch 4, 2 threads: 2 s a step, saves 50% (100% of what is to be had)",
        "asynchronous reading saves 50% of the time: set data.prefetch=4, data.workers=2",
    ]
    given = found.to_dict()
    assert (given["read"], given["seconds_per_step"], given["replayed"], given["most"]) == (2.0, 4.0, 2.0, 0.5)
    assert [trial["saved"] for trial in given["trials"]] == [0.25, 0.5]
    assert given["times"][1]["read_end"] == 5.0


def test_slow_reading_is_measured_with_threads_that_read_ahead():
    found = td.timeline(
        NETWORK,
        slow_sets(0.02),
        loss="cross_entropy",
        optimizer=td.optim.SGD(0.1),
        scale="none",
        seconds=0.3,
        always=True,
    )
    assert found.direct.read >= 0.02
    assert [setting for setting, _ in found.trials[:2]] == [Prefetch(2), AHEAD]
    assert {one.worker for one in dict(found.trials)[Prefetch(2)].times} == {1}
    assert {one.worker for one in dict(found.trials)[AHEAD].times} == {1, 2}


@pytest.mark.parametrize(
    ("times", "tried"),
    [((2.0, 1.05), module.SETTINGS[:2]), ((2.0, 1.3, 1.2, 1.0), module.SETTINGS), ((1.05,), module.SETTINGS[:2])],
)
def test_processes_are_tried_where_threads_leave_much_to_be_had(monkeypatch, times, tried):
    given = map(paced, (2.0, 0.5, *times, 1.05))  # a batch takes 2 s to read, so two readers give one each second
    monkeypatch.setattr(module._Watch, "pace", lambda self: next(given))
    found = td.timeline(
        NETWORK, slow_sets(0.0), loss="cross_entropy", optimizer=td.optim.SGD(0.1), scale="none", seconds=0.01
    )
    assert tuple(setting for setting, _ in found.trials) == tried


def test_nothing_is_tried_where_batches_from_memory_are_no_faster(monkeypatch):
    monkeypatch.setattr(module, "WORTH", 2.0)
    sets = slow_sets(0.0)
    before = sets.fingerprint()
    found = td.timeline(NETWORK, sets, loss="cross_entropy", optimizer=td.optim.SGD(0.1), scale="none", seconds=0.05)
    assert found.trials == ()
    assert found.proposal is None
    assert "not worth it" in found.verdict
    assert sets.fingerprint() == before


def test_batches_from_memory_are_those_that_were_read():
    given = []

    class Watched(module._Replay):
        def next(self, inputs, targets):
            super().next(inputs, targets)
            given.append((inputs.copy(), targets.copy()))

    td.fit(
        NETWORK, slow_sets(0.0, count=950), loss="cross_entropy", optimizer=td.optim.SGD(0.1), scale="none", epochs=2,
        reading=Watched, diagnose=False,
    )  # fmt: skip
    assert [len(targets) for _, targets in given] == 2 * [*[100] * 9, 50]
    for number in range(8, 20):
        for one, other in zip(given[number], given[(number - 8) % 8], strict=True):
            np.testing.assert_array_equal(one, other[: len(one)])
    assert not np.array_equal(given[0][0], given[1][0])


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_an_impossible_time_is_refused(seconds):
    with pytest.raises(TreadleError, match="seconds should be above 0, found"):
        td.timeline(NETWORK, slow_sets(0.0), loss="cross_entropy", optimizer=td.optim.SGD(0.1), seconds=seconds)


def test_what_does_not_fit_is_refused_as_by_fit():
    with pytest.raises(TreadleError, match="no scaling is called 'minmix'"):
        td.timeline(NETWORK, slow_sets(0.0), loss="cross_entropy", optimizer=td.optim.SGD(0.1), scale="minmix")
