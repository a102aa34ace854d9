import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from treadle.ladder.statistics import compare, mcnemar, seeds_needed

pytestmark = pytest.mark.slow

values = st.lists(st.floats(0, 1), min_size=2, max_size=8)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
@pytest.mark.parametrize("comparisons", [1, 11])
def test_the_same_numbers_as_scipy(n, comparisons):
    draws = np.random.default_rng(n)
    before = draws.normal(0.9, 0.01, n)
    after = before + draws.normal(0.004, 0.005, n)
    found = compare(before, after, higher_is_better=True, comparisons=comparisons)
    expected = stats.ttest_rel(after, before)
    low, high = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval == pytest.approx((low, high), rel=1e-9)
    assert found.mean == pytest.approx(np.mean(after - before), rel=1e-12)
    assert found.adjusted == pytest.approx(min(1, expected.pvalue * comparisons))
    assert found.test == "paired t-test"


def test_the_direction_is_that_of_the_metric():
    low, high = [0.10, 0.12, 0.11, 0.13], [0.30, 0.33, 0.30, 0.34]
    assert compare(low, high, higher_is_better=True).verdict == "better"
    assert compare(low, high, higher_is_better=False).verdict == "worse"
    assert compare(high, low, higher_is_better=False).verdict == "better"


def test_one_seed_tells_nothing():
    found = compare([0.1], [0.9], higher_is_better=True)
    assert (found.verdict, found.p, found.interval, found.seeds_needed) == (
        "cannot tell",
        1.0,
        (-math.inf, math.inf),
        None,
    )


def test_no_difference_at_all():
    found = compare([0.5] * 5, [0.5] * 5, higher_is_better=True)
    assert (found.mean, found.verdict, found.p, found.seeds_needed) == (0, "cannot tell", 1.0, None)


@pytest.mark.parametrize(
    ("n", "verdict", "needed"), [(2, "cannot tell", 6), (5, "cannot tell", 6), (6, "better", None)]
)
def test_differences_that_are_all_the_same_are_judged_by_their_sign(n, verdict, needed):
    found = compare([0.5] * n, [0.625] * n, higher_is_better=True)
    assert (found.test, found.verdict, found.p) == ("sign test", verdict, 2 * 0.5**n)
    assert (found.seeds_needed, found.interval) == (needed, (-math.inf, math.inf))
    assert compare([0.5] * 5, [0.6] * 5, higher_is_better=True, comparisons=10).seeds_needed == 9


def test_what_cannot_be_compared():
    for before, after in (([1.0], [1.0, 2.0]), ([], []), ([math.nan], [1.0]), ([0.0], [math.inf])):
        with pytest.raises(ValueError, match=r"pairs need|a value is not finite"):
            compare(before, after, higher_is_better=True)


@given(values, st.floats(-1, 1))
def test_properties(before, shift):
    draws = np.random.default_rng(0).normal(0, 0.1, len(before))
    after = [value + shift + draw for value, draw in zip(before, draws, strict=True)]
    one = compare(before, after, higher_is_better=True)
    back = compare(after, before, higher_is_better=True)
    assert back.mean == -one.mean
    assert back.p == pytest.approx(one.p)
    assert {one.verdict, back.verdict} in ({"better", "worse"}, {"cannot tell"})
    assert one.interval[0] <= one.mean <= one.interval[1]
    assert compare(before, after, higher_is_better=True, comparisons=5).adjusted >= one.adjusted


@pytest.mark.parametrize("effect", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("comparisons", [1, 10])
def test_as_many_seeds_as_are_said_tell_an_effect_four_times_of_five(effect, comparisons):
    n = seeds_needed(effect, comparisons)
    draws = np.random.default_rng(1).normal(effect, 1, (4_000, n))
    t = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * math.sqrt(n)
    told = float(np.mean(t > stats.t.ppf(1 - 0.025 / comparisons, n - 1)))
    assert told > 0.78
    fewer = draws[:, : n - 1]
    t = fewer.mean(axis=1) / fewer.std(axis=1, ddof=1) * math.sqrt(n - 1)
    assert float(np.mean(t > stats.t.ppf(1 - 0.025 / comparisons, n - 2))) < 0.82


def test_seeds_have_an_end():
    assert seeds_needed(1e-6) == 1000
    assert seeds_needed(math.inf) == 3


def test_mcnemar_is_the_exact_binomial_test():
    first = np.array([1] * 30 + [1] * 7 + [0] * 19 + [0] * 4, bool)
    second = np.array([1] * 30 + [0] * 7 + [1] * 19 + [0] * 4, bool)
    found = mcnemar(first, second)
    assert (found.only_before, found.only_after) == (7, 19)
    below = sum(math.comb(26, k) for k in range(8))
    assert found.p == pytest.approx(2 * below / 2**26)
    assert mcnemar(first, first).p == 1.0
    with pytest.raises(ValueError, match="the same samples"):
        mcnemar(first, second[:5])


def climbs(effect, rungs, seeds, count):
    """Verdicts and intervals of simulated climbs: values of a seed share what is its own, and each run adds noise."""
    draws = np.random.default_rng(2)
    own = draws.normal(0, 0.02, (count, 1, seeds))
    runs = own + draws.normal(0, 0.01, (count, rungs + 1, seeds)) + effect * np.arange(rungs + 1)[None, :, None]
    return [
        [compare(climb[n], climb[n + 1], higher_is_better=True, comparisons=rungs) for n in range(rungs)]
        for climb in runs
    ]


def test_coverage_and_false_verdicts_of_a_thousand_climbs_without_an_effect():
    found = climbs(0.0, rungs=10, seeds=5, count=1_000)
    covered = np.mean([one.interval[0] <= 0 <= one.interval[1] for climb in found for one in climb])
    assert covered >= 0.93
    assert np.mean([any(one.verdict == "better" for one in climb) for climb in found]) <= 0.05
    assert np.mean([any(one.verdict == "worse" for one in climb) for climb in found]) <= 0.05


def test_power_for_an_effect_that_is_there():
    found = climbs(0.1, rungs=10, seeds=5, count=200)
    assert np.mean([one.verdict == "better" for climb in found for one in climb]) > 0.95
    small = climbs(0.01, rungs=3, seeds=5, count=200)
    needed = [one.seeds_needed for climb in small for one in climb if one.verdict == "cannot tell"]
    assert 10 < np.median([number for number in needed if number]) < 80
