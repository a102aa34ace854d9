"""Training on images that change at random, and without the last small batch."""

import numpy as np
import pytest

import treadle as td
from small_sets import digest, fit, pictures, same_history, three_classes
from treadle.data import Erase, Flip, Noise, Shift
from treadle.errors import TreadleError
from treadle.nn import Conv2d, Flatten, Linear, ReLU, Sequential
from treadle.train.feed import Feed

NETWORK = Sequential(Conv2d(8, 3, padding=1), ReLU(), Flatten(), Linear(4))


def batches(monkeypatch, sets, **settings):
    """Inputs of each step, by epoch and sample."""
    found, take = {}, Feed.take

    def watched(self, indices, inputs, targets, epoch):
        take(self, indices, inputs, targets, epoch)
        for index, image in zip(indices, inputs, strict=True):
            found[epoch, int(index)] = image.copy()

    monkeypatch.setattr(Feed, "take", watched)
    run = fit(sets, NETWORK, diagnose=False, **settings)
    monkeypatch.setattr(Feed, "take", take)
    return run, found


def test_images_change_with_the_epoch_and_not_with_the_batch(monkeypatch):
    sets, parts = pictures(), [Shift(1), Noise(0.1)]
    _, small = batches(monkeypatch, sets, augmentations=parts, batch_size=7, epochs=2)
    _, large = batches(monkeypatch, sets, augmentations=parts, batch_size=16, epochs=2)
    assert small.keys() == large.keys() == {(epoch, sample) for epoch in (0, 1) for sample in range(40)}
    for key in small:
        np.testing.assert_array_equal(small[key], large[key])
    assert all((small[0, sample] != small[1, sample]).any() for sample in range(40))


def test_what_comes_in_from_outside_is_black(monkeypatch):
    sets = pictures()
    _, found = batches(monkeypatch, sets, augmentations=[Erase(20)], scale="standard", batch_size=8, epochs=1)
    black = -sets.train.inputs.mean() / sets.train.inputs.std()
    assert all(np.abs(image - black).max() < 1e-5 for image in found.values())


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_run_and_evaluation_is_plain(threads):
    settings = {"augmentations": [Flip(), Shift(1)], "batch_size": 8, "epochs": 3, "threads": threads}
    runs = [fit(pictures(), NETWORK, **settings) for _ in range(2)]
    assert same_history(*runs)
    assert digest(runs[0].parameters) == digest(runs[1].parameters)
    assert digest(runs[0].parameters) != digest(fit(pictures(), NETWORK, batch_size=8, epochs=3).parameters)
    outputs = [runs[0].predict(pictures().test.images) for _ in range(2)]
    np.testing.assert_array_equal(*outputs)


def test_rows_are_not_augmented():
    with pytest.raises(TreadleError, match="augmentation changes images"):
        fit(three_classes(), augmentations=[Flip()])


def test_the_last_batch_is_dropped():
    sizes = []
    settings = {"batch_size": 16, "epochs": 2, "on_step": lambda state, steps: sizes.append((state.step, steps))}
    run = fit(three_classes(), drop_last=True, **settings)  # 50 samples
    assert run.step == 6
    assert sizes[-1] == (6, 3)
    assert fit(three_classes(), batch_size=16, epochs=2).step == 8
    with pytest.raises(TreadleError, match="drop_last leaves no batch: 50 samples are fewer than batch_size 64"):
        fit(three_classes(), drop_last=True, batch_size=64)


def test_a_last_batch_of_one_sample_can_be_dropped_before_batch_norm():
    network = Sequential(Linear(5), td.nn.BatchNorm(), Linear(3))
    with pytest.raises(TreadleError, match="the last batch of an epoch has one sample"):
        fit(three_classes(), network, batch_size=7)
    assert fit(three_classes(), network, batch_size=7, drop_last=True).step == 7
