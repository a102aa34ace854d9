import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.data import SPLITS, GroupedSplit, RandomSplit, StratifiedSplit
from treadle.errors import DataError

shares = st.floats(0.05, 0.45)
labels = st.lists(st.integers(0, 5), min_size=30, max_size=200).map(np.array)


@given(labels, st.sampled_from(sorted(SPLITS)), shares, shares, st.integers(0, 5))
def test_every_sample_is_in_one_set(strata, kind, validation, test, seed):
    settings = {"validation": validation, "test": test, "seed": seed}
    split = GroupedSplit("g", **settings) if kind == "grouped" else SPLITS[kind](**settings)
    if kind == "grouped" and len(np.unique(strata)) < 3:
        with pytest.raises(DataError, match="no sample is left for"):
            split.parts(strata)
        return
    parts = split.parts(strata)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(strata)))
    for part, again in zip(parts, split.parts(strata), strict=True):
        assert part.tolist() == sorted(part.tolist()) == again.tolist()


@given(labels, shares, shares)
def test_shares_are_kept_up_to_rounding(strata, validation, test):
    n = len(strata)
    parts = RandomSplit(validation=validation, test=test).parts(strata)
    assert abs(len(parts[1]) - validation * n) <= 1
    assert abs(len(parts[2]) - test * n) <= 1
    for one in np.unique(strata):
        count = np.sum(strata == one)
        in_sets = [
            np.sum(strata[part] == one) for part in StratifiedSplit(validation=validation, test=test).parts(strata)
        ]
        assert abs(in_sets[2] - test * count) <= 1
        assert in_sets[0] >= 1


@given(st.lists(st.integers(0, 20), min_size=60, max_size=200).map(np.array).filter(lambda x: len(set(x)) > 2))
def test_a_group_is_in_one_set(strata):
    parts = GroupedSplit("g", validation=0.2, test=0.2).parts(strata.astype(str))
    groups = [set(strata[part].tolist()) for part in parts]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]


def test_the_seed_decides_and_classes_in_order_are_mixed():
    strata = np.repeat([0, 1], 500)
    first, other = (RandomSplit(seed=seed).parts(strata) for seed in (0, 1))
    assert first[2].tolist() != other[2].tolist()
    assert 40 < np.sum(strata[first[2]] == 0) < 110
    # the same in every version, for reports name their test set by the seed alone
    assert RandomSplit().parts(np.zeros(12))[2].tolist() == [1, 2]


@pytest.mark.parametrize("settings", [{"validation": 0}, {"test": 1.0}, {"validation": 0.5, "test": 0.5}, {"seed": -1}])
def test_impossible_shares_are_refused(settings):
    with pytest.raises(ValueError, match="split: "):
        RandomSplit(**settings)


def test_too_few_samples_are_told():
    with pytest.raises(DataError, match=r"no sample is left for validation, of 2 with shares of 0\.15"):
        RandomSplit().parts(np.zeros(2))
    assert [len(part) for part in RandomSplit().parts(np.zeros(3))] == [1, 1, 1]
    with pytest.raises(DataError, match="no sample is left for"):
        RandomSplit().parts(np.zeros(0))
    with pytest.raises(DataError, match="no sample is left for validation"):
        GroupedSplit("g").parts(np.array(["a", "b"] * 10))


@pytest.mark.parametrize("each", [3, 7, 10])
def test_rounding_of_many_small_classes_does_not_add_up(each):
    strata = np.repeat(np.arange(100), each)
    train, validation, test = StratifiedSplit().parts(strata)
    assert (len(validation), len(test)) == (15 * each, 15 * each)
    assert len(np.unique(strata[train])) == 100


def test_columns_without_names_can_be_groups():
    assert GroupedSplit(3).column == "3"
