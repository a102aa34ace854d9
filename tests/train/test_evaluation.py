import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import treadle as td
from small_sets import fit, line, three_classes
from treadle import ops
from treadle.data import Dataset
from treadle.data.dataset import Places
from treadle.errors import DataError, LossError, ShapeError
from treadle.losses import BinaryCrossEntropy, CrossEntropy, Loss, SquaredError
from treadle.metrics import METRICS, normal_interval, positive_interval
from treadle.nn import Linear, Sequential
from treadle.tensor import Tensor
from treadle.train import score
from treadle.train.evaluation import evaluation_of
from treadle.train.loop import outputs_of

CLASSES = ("a", "b", "c")


def labelled(labels, classes=CLASSES, **settings):
    return Dataset(np.zeros((len(labels), 1)), np.array(labels), classes, "test", **settings)


def numbers(targets, **settings):
    return Dataset(np.zeros((len(targets), 1)), np.array(targets), None, "test", **settings)


def outputs_on(run, data):
    return outputs_of(run.network, run.parameters, data.inputs, run.scale, run.dtype)


@pytest.mark.parametrize("kind", ["classes", "numbers", "classes as numbers"])
def test_the_flat_form_is_the_score_of_the_run(kind):
    if kind == "classes":
        run = fit(three_classes(), epochs=3)
    else:
        sets = line(noise=0.2) if kind == "numbers" else three_classes()
        metrics = ["squared_error", "absolute_error"] + (["accuracy"] if kind != "numbers" else [])
        run = fit(sets, Sequential(Linear(1)), loss="squared_error", metrics=metrics, epochs=3)
    data = run.sets.test
    found = evaluation_of(outputs_on(run, data), run.loss, data, run.metrics).flat()
    low, high = found["loss_interval"]
    assert low < found["loss"] < high
    assert found == score(run, data)


def test_reports_of_classes():
    sets = three_classes()
    run = fit(sets, epochs=20)
    outputs = outputs_on(run, sets.test)
    found = evaluation_of(outputs, run.loss, sets.test, [METRICS["accuracy"], METRICS["top_3"]])
    assert found.values is None
    assert (found.name, found.samples) == ("part", 30)
    assert found.classes.accuracy == found.metrics["accuracy"]
    assert found.metrics["top_3"].value == 1
    assert found.classes.confusion.sum() == 30
    assert found.calibration.log_loss.value == pytest.approx(found.loss.value, rel=1e-6)
    assert found.loss.interval == pytest.approx(found.calibration.log_loss.interval, rel=1e-5)


def test_the_interval_of_a_weighted_loss_is_around_its_mean():
    rng = np.random.default_rng(0)
    data, z = labelled(rng.integers(0, 3, 200)), rng.normal(size=(200, 3))
    loss = CrossEntropy(weights=[1, 5, 0.2])
    found = evaluation_of(z, loss, data)
    low, high = found.loss.interval
    assert low * high == pytest.approx(found.loss.value**2)
    assert found.loss.value == pytest.approx(loss(Tensor(z), data.labels).item())
    # the same by dropping one sample after the other
    parts = [np.delete(np.arange(200), i) for i in range(200)]
    jackknife = np.array([loss(Tensor(z[rows]), data.labels[rows]).item() for rows in parts])
    error = math.sqrt(199 / 200 * ((jackknife - jackknife.mean()) ** 2).sum())
    assert math.log(high / low) / 2 == pytest.approx(1.96 * error / found.loss.value, rel=0.02)


def test_the_worst_samples():
    scores = np.array([[3.0, 0, 0], [0, 3, 0], [0, 1, 2], [0, 5, 0], [1, 1, 1]])
    data = labelled([0, 0, 2, 2, 1], places=Places("line", np.array([2, 3, 5, 8, 9])))
    found = evaluation_of(scores, CrossEntropy(), data, worst=3)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert [sample.index for sample in found.worst] == [3, 1, 4]
    first, second, third = found.worst
    assert (first.place, first.target, first.prediction) == ("line 8", "c", "b")
    assert (first.target_probability, first.prediction_probability) == pytest.approx((p[3, 2], p[3, 1]))
    assert first.loss == pytest.approx(-math.log(p[3, 2]))
    assert (second.place, second.target, second.prediction) == ("line 3", "a", "b")
    assert (third.target, third.prediction) == ("b", "a")
    assert "the 3 samples with the largest loss\nsample  place   target  prediction" in str(found)
    assert len(evaluation_of(scores, CrossEntropy(), data).worst) == 5
    assert evaluation_of(scores, CrossEntropy(), data, worst=0).worst == ()


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_the_worst_samples_are_those_of_a_sort(seed, size):
    rng = np.random.default_rng(seed)
    z, y = rng.integers(-3, 3, (2, size)).astype(float)
    found = evaluation_of(z[:, None], SquaredError(), numbers(y), worst=7)
    expected = sorted(range(size), key=lambda i: -((z[i] - y[i]) ** 2))[:7]
    assert [sample.index for sample in found.worst] == expected
    for sample in found.worst:
        i = sample.index
        assert (sample.target, sample.prediction, sample.loss) == (y[i], z[i], (z[i] - y[i]) ** 2)
        assert (sample.target_probability, sample.prediction_probability, sample.place) == (None, None, "")


def test_reports_of_numbers():
    rng = np.random.default_rng(0)
    y = rng.normal(size=50)
    z = y + rng.normal(size=50)
    found = evaluation_of(z[:, None], SquaredError(), numbers(y), [METRICS["squared_error"]])
    assert found.classes is None
    assert found.calibration is None
    assert found.values.squared == found.metrics["squared_error"]
    assert found.loss.value == pytest.approx(found.values.squared.value)
    assert found.loss.interval == pytest.approx(positive_interval((z - y) ** 2))
    assert "R²" in str(found)
    assert "probability" not in str(found)


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(weights=[1, 2, 3])])
def test_the_interval_of_a_loss_that_cannot_be_negative_is_not(loss):
    scores = np.array([[9.0, 0, 0], [0, 9, 0], [0, 0, 9], [9, 0, 0], [9, 0, 0]])
    found = evaluation_of(scores, loss, labelled([0, 1, 2, 0, 1]))
    low, high = found.loss.interval
    assert 0 < low < found.loss.value < high
    for told in (found.calibration.brier, found.calibration.log_loss):
        assert 0 < told.interval[0] < told.value < told.interval[1]
    assert found.calibration.brier.interval[1] <= 2


def test_the_interval_of_a_loss_of_ones_own_may_be_negative():
    class Gain(Loss):
        """The prediction itself."""

        compares = "values"

        def __call__(self, outputs, targets):  # noqa: ARG002
            return ops.mean(outputs)

        def each(self, outputs, targets):  # noqa: ARG002
            return ops.reshape(outputs, (outputs.shape[0],))

    z = np.array([-3.0, 1.0, 0.0, 4.0])
    found = evaluation_of(z[:, None], Gain(), numbers(np.zeros(4)))
    assert found.loss.interval == pytest.approx(normal_interval(z))
    assert found.loss.interval[0] < 0


def test_classes_predicted_as_numbers_have_both_reports():
    found = evaluation_of(np.array([[0.2], [1.4], [3.7], [-2.0]]), SquaredError(), labelled([0, 1, 2, 2]))
    assert found.classes.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert found.classes.elsewhere.tolist() == [0, 0, 2]
    assert found.values.largest.value == 4
    assert found.calibration is None
    assert (found.worst[0].target, found.worst[0].prediction) == (2.0, -2.0)
    assert "predicted as none of the classes: 2" in str(found)


def test_two_classes_from_one_score():
    data = labelled([0, 1, 1, 0], ("no", "yes"))
    found = evaluation_of(np.array([[-2.0], [2.0], [-1.0], [-3.0]]), BinaryCrossEntropy(), data, [METRICS["accuracy"]])
    assert found.metrics["accuracy"].value == 0.75
    assert found.classes.confusion.tolist() == [[2, 0], [1, 1]]
    assert found.calibration.log_loss.value == pytest.approx(found.loss.value)
    assert (found.worst[0].target, found.worst[0].prediction) == ("yes", "no")


def test_small_probabilities_of_float32_are_told_apart():
    scores = np.array([[300.0, 100.0, 0.0, 50.0, 40.0]], np.float32)  # in float32 all but one have probability 0
    found = evaluation_of(scores, CrossEntropy(), labelled([1], ("a", "b", "c", "d", "e")), [METRICS["top_3"]])
    assert found.metrics["top_3"].value == 1
    last = evaluation_of(scores, CrossEntropy(), labelled([4], ("a", "b", "c", "d", "e")), [METRICS["top_3"]])
    assert last.metrics["top_3"].value == 0
    assert last.calibration.log_loss.value == pytest.approx(260)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_outputs_that_are_not_finite_are_told_and_come_first(bad):
    scores = np.zeros((4, 3))
    scores[2, 1] = bad
    found = evaluation_of(scores, CrossEntropy(), labelled([0, 1, 2, 0]), [METRICS["accuracy"]])
    assert found.worst[0].index == 2
    assert found.metrics["accuracy"].value == 0.5
    assert not math.isfinite(found.loss.value)
    assert found.classes.elsewhere.tolist() == [0, 0, 1]
    assert str(found)
    worse = evaluation_of(np.array([[1.0], [bad], [5.0]]), SquaredError(), numbers([1.0, 2.0, 3.0]))
    assert worse.worst[0].index == 1
    assert str(worse)


class Own(Loss):
    compares = "classes"

    def __call__(self, outputs, targets):
        return CrossEntropy()(outputs, targets)


def test_a_loss_without_losses_of_samples_has_no_interval():
    found = evaluation_of(np.eye(3), Own(), labelled([0, 1, 2]))
    assert found.loss.interval == (-math.inf, math.inf)
    assert found.worst == ()
    assert "Own has no method `each` for the losses of samples" in str(found)
    assert found.calibration is not None
    assert evaluation_of(5 * np.eye(3), Own(), labelled([0, 1, 2])).calibration is None  # these are no probabilities


def test_as_plain_values():
    for found in (
        evaluation_of(np.eye(3), CrossEntropy(), labelled([0, 1, 0]), [METRICS["accuracy"]]),
        evaluation_of(np.ones((3, 1)), SquaredError(), numbers([0.0, 1.0, 0.0]), [METRICS["squared_error"]]),
    ):
        plain = found.to_dict()
        assert json.loads(json.dumps(plain))["loss"] == plain["loss"]  # nothing of NumPy's in it
        assert plain["set"] == "test"
        assert plain["samples"] == 3
        assert plain["loss"]["value"] == found.loss.value
        assert set(plain["worst"][0]) == {
            "index", "place", "target", "prediction", "target_probability", "prediction_probability", "loss",
        }  # fmt: skip
        assert (plain["classes"] is None) == (plain["calibration"] is None) == (plain["values"] is not None)


def test_what_cannot_be_judged():
    with pytest.raises(DataError, match="test: the set is empty"):
        evaluation_of(np.zeros((0, 3)), CrossEntropy(), labelled(np.zeros(0, int)))
    with pytest.raises(ShapeError, match=r"3 samples and CrossEntropy need outputs of shape \(3, 3\), found \(2, 3\)"):
        evaluation_of(np.zeros((2, 3)), CrossEntropy(), labelled([0, 1, 2]))
    with pytest.raises(ShapeError, match=r"outputs of shape \(3, 1\), found \(3, 2\)"):
        evaluation_of(np.zeros((3, 2)), SquaredError(), numbers([0.0, 1.0, 2.0]))
    with pytest.raises(LossError, match="compares classes, and the targets of this data are numbers"):
        evaluation_of(np.zeros((3, 2)), CrossEntropy(), numbers([0.0, 1.0, 2.0]))


def test_a_single_sample_and_the_same_again():
    data = labelled([1])
    one, other = (evaluation_of(np.array([[0.0, 1.0, 0.0]]), CrossEntropy(), data) for _ in range(2))
    assert str(one) == str(other)
    assert one.loss.interval == (0, math.inf)
    rng = np.random.default_rng(0)
    data, z = labelled(rng.integers(0, 3, 100)), rng.normal(size=(100, 3))
    assert str(evaluation_of(z, CrossEntropy(), data)) == str(evaluation_of(z, CrossEntropy(), replace(data)))


def test_a_thousand_classes():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 3000)
    scores = rng.normal(size=(3000, 1000)).astype(np.float32)
    scores[np.arange(3000), labels] += 4
    found = evaluation_of(scores, CrossEntropy(), labelled(labels, tuple(map(str, range(1000)))), [METRICS["top_5"]])
    assert found.metrics["top_5"].value > found.classes.accuracy.value > 0.5
    assert "980 more classes" in str(found)


def test_the_network_of_a_run_is_judged_as_it_predicts():
    run = fit(three_classes(), epochs=5)
    data = run.sets.validation
    found = evaluation_of(outputs_on(run, data), run.loss, data)
    p = run.predict(data.inputs)
    for sample in found.worst:
        assert sample.prediction == CLASSES[p[sample.index].argmax()]
        assert sample.prediction_probability == pytest.approx(p[sample.index].max(), rel=1e-5)
    assert isinstance(run.loss, td.losses.CrossEntropy)
