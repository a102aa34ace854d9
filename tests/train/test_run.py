"""What a run holds, its scores and predictions."""

import numpy as np
import pytest

from small_sets import fit, line, three_classes
from treadle.data import Dataset, Sets
from treadle.errors import ShapeError, TreadleError
from treadle.nn import Flatten, Linear, Sequential


def test_history_has_a_record_for_each_epoch():
    seen = []
    metrics = ["accuracy", "absolute_error"]
    run = fit(
        three_classes(),
        Sequential(Linear(1)),
        loss="absolute_error",
        metrics=metrics,
        epochs=3,
        on_epoch=lambda run: seen.append(len(run.history)),
    )
    keys = ["epoch", "train_loss", "validation_loss", "validation_accuracy", "validation_absolute_error", "seconds"]
    keys += ["waited"]
    assert all(list(record) == keys for record in run.history)
    assert [record["epoch"] for record in run.history] == seen == [1, 2, 3]
    assert all(type(record[key]) is float for record in run.history for key in keys[1:])
    assert all(record["seconds"] > 0 for record in run.history)
    for record in run.history:
        assert record["validation_loss"] == pytest.approx(record["validation_absolute_error"], rel=1e-5)


def test_metrics_are_those_of_the_targets_where_none_are_named():
    assert [metric.name for metric in fit(three_classes()).metrics] == ["accuracy"]
    assert [metric.name for metric in fit(line(), Sequential(Linear(1))).metrics] == ["squared_error"]
    assert "validation_accuracy" not in fit(three_classes(), metrics=[]).history[0]


def test_test_gives_loss_metrics_and_intervals():
    sets = three_classes()
    run = fit(sets, batch_size=5, epochs=10, dtype=np.float64)
    found = run.test()
    assert list(found) == ["loss", "loss_interval", "samples", "accuracy", "accuracy_interval"]
    p, labels = run.predict(sets.test.inputs), sets.test.targets
    right = p.argmax(axis=1) == labels
    assert found["samples"] == 30
    assert found["accuracy"] == right.mean() > 0.5
    assert found["loss"] == pytest.approx(np.mean(-np.log(p[np.arange(30), labels])), rel=1e-12)
    low, high = found["accuracy_interval"]
    assert 0 < low < found["accuracy"] < high < 1
    run.sets = Sets(sets.train, sets.validation, sets.test[:10], "", "")
    assert run.test()["samples"] == 10


def test_a_run_without_its_data_says_what_to_do():
    run = fit(three_classes())
    run.sets = None
    with pytest.raises(TreadleError, match=r"load the sets and give them as run\.sets"):
        run.test()


def test_evaluation_in_pieces_is_evaluation_at_once():
    sets = three_classes(sizes=(50, 20, 2500))
    run = fit(sets, dtype=np.float64)
    layers = run.parameters
    scaled = (sets.test.inputs - run.scale.offset) * run.scale.factor
    hidden = np.maximum(scaled @ layers["linear1"]["weight"] + layers["linear1"]["bias"], 0)
    scores = hidden @ layers["linear2"]["weight"] + layers["linear2"]["bias"]
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(run.predict(sets.test.inputs), p, rtol=1e-12)
    assert run.test()["loss"] == pytest.approx(np.mean(-np.log(p[np.arange(2500), sets.test.targets])), rel=1e-12)


def test_predictions_are_scaled_by_the_training_set():
    rng = np.random.default_rng(0)
    x = rng.integers(10, 200, (90, 1, 2, 3)).astype(np.uint8)
    x[0].flat[:2] = 0, 250
    images = Dataset(x, np.arange(90) % 3, ("a", "b", "c"), "images")
    run = fit(Sets(images[:50], images[50:60], images[60:], "", ""), Sequential(Flatten(), Linear(3)), dtype=float)
    assert run.scale.factor == pytest.approx(1 / 250)
    for raw in (x[60:], x[60:].astype(float), x[60:].tolist()):
        layer = run.parameters["linear1"]
        scores = np.asarray(raw).reshape(30, 6) / 250 @ layer["weight"] + layer["bias"]
        expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(run.predict(raw), expected, rtol=1e-12)


def test_predictions_of_numbers_and_of_nothing():
    run = fit(line(), Sequential(Linear(1)))
    assert run.predict([[0.5], [1.0]]).shape == (2, 1)
    assert run.predict(np.zeros((0, 1))).shape == (0, 1)
    empty = fit(three_classes()).predict(np.zeros((0, 4)))
    assert (empty.shape, empty.dtype) == ((0, 3), np.float32)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 4, 1), ()])
def test_samples_of_another_shape_are_refused(shape):
    run = fit(three_classes())
    with pytest.raises(ShapeError) as refused:
        run.predict(np.zeros(shape))
    assert "(N, 4)" in str(refused.value)
    assert str(shape) in str(refused.value)


def test_the_baseline_fits_the_digit_as_a_number():
    sets = three_classes()
    run = fit(sets, "baseline", loss="squared_error", metrics=["accuracy", "squared_error"], epochs=20)
    found = run.test()
    assert found["squared_error"] == pytest.approx(found["loss"], rel=1e-5)
    nearest = np.rint(run.predict(sets.test.inputs)[:, 0])
    assert found["accuracy"] == np.mean(nearest == sets.test.targets)


def test_a_single_metric_may_be_given_by_its_name():
    assert "accuracy" in fit(three_classes(), metrics="accuracy").test()


def test_a_run_prints_in_a_line():
    run = fit(three_classes(), epochs=2)
    assert repr(run).startswith("Run(Sequential(")
    assert "epoch 2, train_loss " in repr(run)
    assert "\n" not in repr(run)
