"""What does not fit is refused before the first step."""

import numpy as np
import pytest

import treadle as td
from small_sets import NETWORK, SGD, fit, line, pictures, three_classes
from treadle.data import Dataset, Sets
from treadle.errors import DataError, LossError, MemoryLimitError, ShapeError, TreadleError
from treadle.nn import BatchNorm, Conv2d, Flatten, Linear, ReLU, Sequential
from treadle.tree import leaves


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, found 0"),
        ({"batch_size": -5}, "batch_size must be at least 1, found -5"),
        ({"epochs": 0}, "epochs must be at least 1, found 0"),
        ({"seed": -1}, "seed must be at least 0, found -1"),
        ({"loss": "crossentropy"}, "no loss is called 'crossentropy': did you mean 'cross_entropy'"),
        ({"network": "mpl"}, r"no network is called 'mpl': did you mean 'mlp'\? there are baseline, softmax, mlp"),
        ({"metrics": ["acuracy"]}, "no metric is called 'acuracy': did you mean 'accuracy'"),
        ({"scale": "zzz"}, "no scaling is called 'zzz': there are minmax"),
    ],
)
def test_settings_out_of_range_or_unknown(settings, message):
    with pytest.raises(TreadleError, match=message):
        fit(three_classes(), **settings)


@pytest.mark.parametrize(
    ("network", "loss", "message"),
    [
        (
            Sequential(Linear(4)),
            "cross_entropy",
            r"outputs of shape \(4,\), and CrossEntropy needs \(3,\), a score for",
        ),
        (Sequential(Linear(1)), "cross_entropy", "give the last layer 3 units, or choose another loss"),
        (Sequential(Linear(3)), "squared_error", r"SquaredError needs \(1,\), one number: give the last layer 1 unit,"),
        ("baseline", "cross_entropy", "take the preset 'softmax'"),
        (Sequential(Linear(2**40)), "cross_entropy", r"\(1099511627776,\)"),
    ],
)
def test_a_wrong_number_of_outputs(network, loss, message):
    with pytest.raises(ShapeError, match=message):
        fit(three_classes(), network, loss=loss)


def test_images_need_a_flatten_layer():
    images = Dataset(np.zeros((6, 1, 2, 2), np.uint8), np.arange(6) % 2, ("a", "b"), "images")
    with pytest.raises(ShapeError, match=r"layer linear1.*\(1, 2, 2\).*Flatten"):
        fit(Sets(images, images, images, "", ""), Sequential(Linear(2)))


def test_metrics_must_fit_loss_and_data():
    with pytest.raises(LossError, match="squared_error compares numbers, and CrossEntropy predicts classes"):
        fit(three_classes(), metrics=["accuracy", "squared_error"])
    with pytest.raises(LossError, match="accuracy counts right classes, and the targets of this data are numbers"):
        fit(line(), Sequential(Linear(1)), metrics=["accuracy"])
    with pytest.raises(LossError, match="compares classes, and the targets of this data are numbers"):
        fit(line(), Sequential(Linear(2)), loss="cross_entropy")


def test_data_with_errors_are_refused():
    sets = three_classes()
    sets.train.inputs[7, 1] = np.nan
    with pytest.raises(DataError, match="row 7"):
        fit(sets)


def test_the_memory_estimate_counts_what_the_optimiser_keeps(monkeypatch):
    count = sum(leaf.size for _, leaf in leaves(NETWORK.init((4,), seed=0)))
    largest = max(leaf.size for _, leaf in leaves(NETWORK.init((4,), seed=0)))
    enough = 7 * 4 * count + 8 * largest  # parameters, gradients, two means; the new of all but the gradients
    for available, refused in ((enough, False), (enough - 1, True)):
        monkeypatch.setattr("psutil.virtual_memory", lambda a=available: type("Memory", (), {"available": a}))
        if refused:
            with pytest.raises(MemoryLimitError, match="with 6 copies for training"):
                fit(three_classes(), optimizer=td.optim.Adam())
        else:
            fit(three_classes(), optimizer=td.optim.Adam())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "adam"}, "optimizer should be an optimiser such as"),
        ({"optimizer": td.optim.Adam}, "optimizer should be an optimiser such as"),
        ({"loss": td.losses.CrossEntropy}, "loss should be a name or a loss such as"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_what_is_no_optimiser_loss_or_network_is_refused(settings, message):
    with pytest.raises(TreadleError, match=message):
        fit(three_classes(), **settings)


def test_a_network_without_parameters_has_nothing_to_train():
    rows = Dataset(np.eye(3), np.arange(3), ("a", "b", "c"), "rows")
    with pytest.raises(ShapeError, match="no parameters to train: add a layer"):
        fit(Sets(rows, rows, rows, "rows", "made up"), Sequential(ReLU()))


def test_sets_must_be_sets():
    with pytest.raises(TreadleError, match=r"sets should be td\.data\.Sets.*found tuple"):
        td.fit(NETWORK, (np.zeros((3, 4)), np.zeros(3)), loss="cross_entropy", optimizer=SGD)


def test_parameters_that_do_not_fit_are_refused():
    sets = three_classes()
    given = NETWORK.init((4,), seed=0)
    given["linear1"]["weight"] = np.ones((9, 5), np.float32)
    with pytest.raises(ShapeError, match=r"linear1\.weight should have shape \(4, 5\) float32, found \(9, 5\) float32"):
        fit(sets, parameters=given)
    del given["linear1"]
    with pytest.raises(ShapeError, match=r"linear1\.weight should have shape \(4, 5\) float32, found nothing"):
        fit(sets, parameters=given)
    more = NETWORK.init((4,), seed=0) | {"linear3": {"weight": np.ones(1, np.float32)}}
    with pytest.raises(ShapeError, match=r"linear3\.weight should have shape none, for it is unknown, found \(1,\)"):
        fit(sets, parameters=more)
    with pytest.raises(ShapeError, match=r"should have shape \(4, 5\) float32, found \(4, 5\) float64"):
        fit(sets, parameters=NETWORK.init((4,), seed=0, dtype=np.float64))


# --- Batches of one sample -----------------------------------------------------------------------------------------

NORMALIZED = Sequential(Linear(4), BatchNorm(), ReLU(), Linear(3))


@pytest.mark.parametrize(
    ("samples", "batch_size", "message"),
    [
        (
            50,
            49,
            r"the last batch of an epoch has one sample, .* of 49: choose another batch_size, such as 48;",
        ),
        (50, 7, r"50 samples come in batches of 7: choose another batch_size, such as 6; layer batch_norm1, BatchNorm"),
        (50, 1, r"every batch has one sample, .* batches of 1: choose another batch_size, such as 2;"),
        (3, 2, r"choose another batch_size, such as 3;"),
        (1, 100, r"train on more samples"),
    ],
)
def test_a_batch_of_one_sample_with_batch_norm_is_refused_before_the_first_step(samples, batch_size, message):
    seen, sets = [], three_classes(sizes=(samples, 20, 20))
    with pytest.raises(ShapeError, match=message):
        fit(sets, NORMALIZED, batch_size=batch_size, on_step=lambda state, steps: seen.append(1))
    assert not seen
    assert len(fit(sets, batch_size=batch_size).history) == 1  # without BatchNorm


@pytest.mark.parametrize("batch_size", range(1, 14))
def test_the_batch_size_that_is_proposed_trains(batch_size):
    sets = three_classes(sizes=(13, 20, 20))
    if batch_size == 1 or 13 % batch_size == 1:
        with pytest.raises(ShapeError) as refused:
            fit(sets, NORMALIZED, batch_size=batch_size)
        batch_size = int(str(refused.value).split("such as ")[1].split(";")[0])
    assert fit(sets, NORMALIZED, batch_size=batch_size).step == -(-13 // batch_size)


def test_a_batch_of_one_image_has_many_values_a_channel():
    network = Sequential(Conv2d(2, 3), BatchNorm(), Flatten(), Linear(4))
    assert fit(pictures((5, 4, 4)), network, batch_size=4).step == 2
