"""Proposals of Optuna's sampler."""

import sys

import numpy as np
import pytest

from treadle.errors import TreadleError
from treadle.ladder.search import Proposals
from treadle.ladder.values import Range, Search

pytestmark = pytest.mark.slow

SEARCH = Search(
    ranges={"optimizer.lr": Range(low=1e-4, high=1.0, log=True), "data.batch_size": Range(low=8, high=64)},
    choices={"data.augment": [["shift 1"], ["shift 2", "noise 0.1"]]},
)


def searched(score, *, seed=0, trials=40, higher_is_better=True):
    proposals = Proposals(SEARCH, higher_is_better=higher_is_better, seed=seed)
    found = []
    while len(found) < trials:
        some = proposals.ask(4)
        proposals.tell([score(values) for values in some])
        found += some
    return found


def near(values):
    """Best at a rate of 0.01; some values give nothing."""
    return None if values["data.batch_size"] == 9 else -abs(np.log10(values["optimizer.lr"]) + 2)


def test_values_lie_in_their_ranges_and_have_their_kinds():
    for values in searched(near):
        assert 1e-4 <= values["optimizer.lr"] <= 1
        assert isinstance(values["data.batch_size"], int)
        assert 8 <= values["data.batch_size"] <= 64
        assert values["data.augment"] in SEARCH.choices["data.augment"]


def test_the_same_scores_bring_the_same_values():
    assert searched(near) == searched(near)
    assert searched(near) != searched(near, seed=1)


@pytest.mark.parametrize(("higher", "sign"), [(True, 1), (False, -1)])
def test_it_comes_near_what_is_best(higher, sign):
    found = searched(lambda values: sign * (near(values) or -9.0), higher_is_better=higher)
    away = [abs(np.log10(values["optimizer.lr"]) + 2) for values in found]
    assert np.median(away[-16:]) < np.median(away[:12])
    assert min(away) < 0.2


def test_without_optuna_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TreadleError, match=r"a rung with a search needs Optuna: pip install 'treadle\[search\]'"):
        Proposals(SEARCH, higher_is_better=True, seed=0)
