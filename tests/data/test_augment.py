import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats

from treadle.data import AUGMENTATIONS, Erase, Flip, Noise, Rotate, Shift, augment
from treadle.data.augment import Draws
from treadle.errors import DataError

PARTS = [Shift(2), Rotate(20), Flip(), Noise(0.1), Erase(3)]
FILL = np.full((2, 1, 1), -1.0)


def pictures(count=40, shape=(2, 7, 6), seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape))


def changed(images, parts, samples=None, seed=0, epoch=0):
    samples = np.arange(len(images)) if samples is None else samples
    return augment(images, parts, samples, FILL[: images.shape[1]], seed=seed, epoch=epoch)


def test_the_registry_is_complete():
    assert {type(part) for part in PARTS} == set(AUGMENTATIONS.values())


@given(st.permutations(range(12)), st.integers(1, 12))
def test_a_sample_is_changed_the_same_whatever_its_batch(order, size):
    images, order = pictures(12), np.array(order)
    whole = changed(images, PARTS)
    for begin in range(0, 12, size):
        part = order[begin : begin + size]
        np.testing.assert_array_equal(changed(images[part], PARTS, part), whole[part])


def test_seeds_epochs_samples_and_places_in_the_list_differ():
    images = pictures()
    first = changed(images, [Noise(1.0)])
    for settings in ({"seed": 1}, {"epoch": 1}, {"samples": np.arange(40) + 1}):
        assert not np.isclose(changed(images, [Noise(1.0)], **settings), first).any()
    twice = changed(images, [Noise(1.0), Noise(1.0)]) - first
    assert abs(np.corrcoef(twice.ravel(), (first - images).ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("part", PARTS, ids=repr)
def test_dtype_and_shape_stay_and_the_input_too(part):
    images = pictures().astype(np.float32)
    before = images.copy()
    found = changed(images, [part])
    assert (found.dtype, found.shape) == (images.dtype, images.shape)
    np.testing.assert_array_equal(images, before)
    assert (found != images).any()


def test_shifts_are_those_of_scipy_and_come_equally_often():
    images = pictures(2000, (1, 5, 5))
    found = changed(images, [Shift(1)])
    counts = {}
    for before, after in zip(images[:, 0], found[:, 0], strict=True):
        fits = [
            (down, right)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if (ndimage.shift(before, (down, right), order=0, cval=-1.0) == after).all()
        ]
        assert len(fits) == 1
        counts[fits[0]] = counts.get(fits[0], 0) + 1
    assert len(counts) == 9
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_turns_are_those_of_scipy():
    images = pictures(30, (1, 8, 8))
    found = changed(images, [Rotate(30)])
    angles = (2 * Draws(0, 0, np.arange(30), 0).uniform(1)[:, 0] - 1) * 30
    assert angles.min() < -20
    assert angles.max() > 20
    for angle, before, after in zip(angles, images[:, 0], found[:, 0], strict=True):
        expected = ndimage.rotate(before, -angle, order=1, reshape=False, cval=-1.0)
        np.testing.assert_allclose(after[2:6, 2:6], expected[2:6, 2:6], atol=1e-9)  # scipy has its own way at edges
    np.testing.assert_array_equal(changed(images, [Rotate(0)]), images)


def test_half_of_the_images_are_mirrored():
    images = pictures(1000)
    for part, axis in ((Flip(), 3), (Flip(vertical=True), 2)):
        found = changed(images, [part])
        mirrored = (found == np.flip(images, axis)).all(axis=(1, 2, 3))
        assert (mirrored | (found == images).all(axis=(1, 2, 3))).all()
        assert 430 < mirrored.sum() < 570


def test_noise_is_normal():
    noise = changed(np.zeros((200, 1, 9, 9)), [Noise(2.0)]).ravel() / 2
    assert stats.kstest(noise, "norm").pvalue > 1e-3


def test_a_square_is_erased():
    found = changed(np.ones((500, 1, 9, 9)), [Erase(3)])
    erased = (found == -1).sum(axis=(1, 2, 3))
    assert erased.max() == 9
    assert set(erased) <= {4, 6, 9}  # whole, at an edge, in a corner
    assert (found == -1).any(axis=0).all()
    one = found[np.argmax(erased == 9)][0] == -1
    rows, columns = np.flatnonzero(one.any(axis=1)), np.flatnonzero(one.any(axis=0))
    assert (len(rows), len(columns), np.ptp(rows), np.ptp(columns)) == (3, 3, 2, 2)


def test_draws_are_uniform_and_independent():
    draws = Draws(3, 1, np.arange(20_000), 0).uniform(2)
    assert stats.kstest(draws[:, 0], "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(draws[1:, 0], draws[:-1, 0])[0, 1]) < 0.03


@pytest.mark.parametrize("make", [lambda: Shift(-1), lambda: Rotate(200), lambda: Noise(-1), lambda: Erase(0)])
def test_settings_out_of_range(make):
    with pytest.raises(ValueError, match="must be"):
        make()


def test_rows_are_no_images():
    with pytest.raises(DataError, match=r"augmentation changes images .* samples have shape \(3,\)"):
        augment(np.zeros((2, 3)), [Flip()], np.arange(2), FILL, seed=0, epoch=0)
