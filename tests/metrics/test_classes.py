import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.metrics import class_report, wilson_interval
from treadle.metrics.classes import RATES

pytestmark = pytest.mark.slow

NAMES = ("ant", "bee", "cat", "dog", "eel")
PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 5)), min_size=1, max_size=40)


def report_of(pairs, classes=NAMES):
    labels, predicted = np.array(pairs).T
    return class_report(labels, predicted, classes)


def ratio(part, whole):
    return part / whole if whole else math.nan


def brute(pairs, i):
    """Precision, recall and F1 of a class, sample by sample."""
    hits = sum(true == i == found for true, found in pairs)
    predicted, support = sum(found == i for _, found in pairs), sum(true == i for true, _ in pairs)
    return ratio(hits, predicted), ratio(hits, support), ratio(2 * hits, predicted + support)


@given(PAIRS)
def test_counts_and_rates_of_each_class(pairs):
    report = report_of(pairs)
    for i in range(5):
        for j in range(5):
            assert report.confusion[i, j] == pairs.count((i, j))
        expected = brute(pairs, i)
        np.testing.assert_allclose([report.precision[i], report.recall[i], report.f1[i]], expected, rtol=1e-13)
        if expected[0] > 0 and expected[1] > 0:
            assert report.f1[i] == pytest.approx(2 / (1 / expected[0] + 1 / expected[1]))
    assert report.confusion.sum() + report.elsewhere.sum() == len(pairs) == report.support.sum()
    np.testing.assert_array_equal(report.confusion.sum(axis=0), report.predicted)
    np.testing.assert_array_equal(report.confusion.sum(axis=1) + report.elsewhere, report.support)
    np.testing.assert_array_equal(np.diag(report.confusion), report.hits)


@given(PAIRS)
def test_averages_are_those_of_the_classes_where_they_are_defined(pairs):
    report = report_of(pairs)
    shares = [(weight, brute(pairs, i)) for i, weight in enumerate(report.support)]
    for kind in ("macro", "weighted"):
        for place, rate in enumerate(RATES):
            told = [(1 if kind == "macro" else w, rates[place]) for w, rates in shares if not math.isnan(rates[place])]
            total = sum(w for w, _ in told)
            expected = ratio(sum(w * value for w, value in told), total)
            score = report.averages[f"{kind}_{rate}"]
            assert score.value == pytest.approx(expected, rel=1e-12, nan_ok=True)
            if score.interval:
                low, high = score.interval
                assert low <= score.value <= high
                assert math.isinf(low) or 0 <= low <= high <= 1
    accuracy = sum(true == found for true, found in pairs) / len(pairs)
    assert report.accuracy.value == report.averages["weighted_recall"].value == pytest.approx(accuracy)
    assert report.balanced_accuracy is report.averages["macro_recall"]


@given(PAIRS, st.randoms(use_true_random=False), st.permutations(range(5)))
def test_neither_the_order_of_samples_nor_the_names_of_classes_matter(pairs, random, renamed):
    shuffled = random.sample(pairs, len(pairs))
    one, other = report_of(pairs), report_of(shuffled)
    np.testing.assert_array_equal(one.cells, other.cells)
    assert str(one.averages) == str(other.averages)  # as text, for NaN is not equal to itself
    moved = report_of([(renamed[true], renamed[found] if 0 <= found < 5 else found) for true, found in pairs])
    np.testing.assert_array_equal(one.f1, moved.f1[list(renamed)])
    for name, score in one.averages.items():
        assert moved.averages[name].value == pytest.approx(score.value, nan_ok=True)


def test_intervals_of_classes_are_those_of_wilson():
    pairs = [(0, 0)] * 6 + [(0, 1)] * 2 + [(1, 0)] * 4 + [(1, 1)] * 3 + [(2, 0)] * 5
    report = report_of(pairs, NAMES[:4])
    of = {"precision": (6, 9), "recall": (6, 2), "f1": (6, 11)}  # hits and misses of "ant"
    for rate, (hits, misses) in of.items():
        low, high = wilson_interval(np.r_[np.ones(hits), np.zeros(misses)])
        if rate == "f1":
            low, high = 2 * low / (1 + low), 2 * high / (1 + high)
        assert report.intervals(rate)[0] == pytest.approx((low, high))
    assert np.isnan(report.intervals("precision")[2]).all()
    assert not np.isnan(report.intervals("recall")[2]).any()
    assert np.isnan(report.intervals("f1")[3]).all()


def test_what_is_not_defined_is_told():
    report = report_of([(0, 0), (0, 1), (1, 1), (2, 0)], NAMES[:4])
    assert np.isnan(report.precision).tolist() == [False, False, True, True]
    assert np.isnan(report.recall).tolist() == [False, False, False, True]
    assert np.isnan(report.f1).tolist() == [False, False, False, True]
    assert [report.undefined(i) for i in range(4)] == ["", "", "none predicted", "no sample and none predicted"]
    assert report.averages["macro_precision"].note == "without 2 of 4 classes, with no sample predicted as theirs"
    assert report.averages["macro_recall"].note == "without 1 of 4 classes, without samples"
    assert report.averages["macro_f1"].note == "without 1 of 4 classes, neither predicted nor with samples"
    assert str(report).count("none predicted") == 2
    nothing = report_of([(0, -1), (1, -1)])
    assert math.isnan(nothing.averages["macro_precision"].value)
    assert nothing.averages["macro_precision"].interval is None
    assert "undefined: without 5 of 5 classes" in str(nothing)
    assert "predicted as none of the classes: 2" in str(nothing)


def test_report_as_text_and_as_plain_values():
    pairs = [(0, 0)] * 3 + [(0, 1)] + [(1, 1)] * 5 + [(1, 7)]
    report = report_of(pairs, ("a class of a long name", "bee"))
    text = str(report)
    assert "accuracy            0.8000  95 % interval 0.4902 to 0.9433" in text
    assert "\ntrue \\ predicted        a class o…  bee\na class of a long name           3    1\n" in text
    plain = report.to_dict()
    assert plain["accuracy"]["value"] == 0.8
    assert plain["confusion"] == {"true": [0, 0, 1], "predicted": [0, 1, 1], "samples": [3, 1, 5]}
    assert plain["no_class_predicted"] == [0, 1]
    assert plain["classes"][1]["name"] == "bee"
    assert plain["classes"][1]["precision"]["value"] == 5 / 6
    assert plain["classes"][1]["recall"]["interval"] == pytest.approx(wilson_interval(np.r_[np.ones(5), 0.0]))


def test_of_many_classes_the_worst_and_the_most_frequent_confusions_are_shown():
    names = tuple(f"c{i}" for i in range(30))
    pairs = [(i, i) for i in range(30) for _ in range(3)] + [(4, 9)] * 5 + [(2, 3)] * 2
    report = report_of(pairs, names)
    assert report.confusions(1) == [("c4", "c9", 5)]
    assert report.confusions() == [("c4", "c9", 5), ("c2", "c3", 2)]
    text = str(report)
    assert "(10 more classes, of higher F1)" in text
    assert text.endswith("true  predicted as  samples\nc4    c9                  5\nc2    c3                  2")
    assert "true \\ predicted" not in text
    right = report_of([(i, i) for i in range(30)], names)
    assert str(right).endswith("no class is taken for another")


def test_many_classes_need_no_more_than_their_cells():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5_000, 20_000)
    report = class_report(labels, np.where(rng.random(20_000) < 0.5, labels, 0), tuple(map(str, range(5_000))))
    assert len(report.cells) < 10_000
    assert 0.4 < report.averages["macro_recall"].value < 0.6
    assert "class" in str(report)


@pytest.mark.parametrize(("classes", "size", "right"), [(3, 200, 0.8), (10, 1000, 0.9), (40, 400, 0.7)])
def test_intervals_of_averages_cover_the_truth(classes, size, right):
    rng = np.random.default_rng(classes)
    rows = rng.dirichlet(np.ones(classes) * 0.5, size=classes) * (1 - right) + np.eye(classes) * right
    truth = rows * rng.dirichlet(np.ones(classes) * 5)[:, None]
    diagonal, columns, support = np.diag(truth), truth.sum(axis=0), truth.sum(axis=1)
    f1 = 2 * diagonal / (columns + support)
    expected = {
        "macro_precision": np.mean(diagonal / columns),
        "macro_recall": np.mean(diagonal / support),
        "macro_f1": np.mean(f1),
        "weighted_precision": np.sum(support * diagonal / columns),
        "weighted_f1": np.sum(support * f1),
    }
    runs, covered = 300, dict.fromkeys(expected, 0)
    for _ in range(runs):
        cells = rng.choice(classes**2, size, p=truth.ravel())
        report = class_report(cells // classes, cells % classes, tuple(map(str, range(classes))))
        for name, value in expected.items():
            low, high = report.averages[name].interval
            covered[name] += low <= value <= high
    # intervals are moved apart where there is bias, which makes them too wide rather than too narrow
    shares = {name: count / runs for name, count in covered.items()}
    assert all(0.92 <= share <= (0.99 if classes < 40 else 1) for share in shares.values()), shares
