"""Which features explain most of a target, against least squares."""

import numpy as np
import pytest

from treadle.data import Dataset, Sets, load
from treadle.errors import TreadleError
from treadle.figures import Source
from treadle.figures.features import features_of, leading


def explained(x, y):
    columns = np.column_stack([x, np.ones(len(x))])
    residuals = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    return 1 - residuals.var() / y.var()


def test_they_are_those_of_a_forward_selection():
    train = load("diabetes").train
    x, y = train.inputs, train.targets
    chosen = []
    for _ in range(3):
        rest = [f for f in range(10) if f not in chosen]
        chosen.append(max(rest, key=lambda f: explained(x[:, [*chosen, f]], y)))
    assert leading(x, y, 3) == chosen


def test_what_is_constant_or_a_copy_is_not_chosen():
    x = np.random.default_rng(0).normal(size=(50, 1))
    columns = np.hstack([np.full((50, 1), 7.0), x, 3 * x - 1, x**2])
    assert leading(columns, 5 * x[:, 0] + 0.1 * x[:, 0] ** 2, 2) in ([1, 3], [2, 3])
    with pytest.raises(TreadleError, match=r"needs 2 features that differ .* found 1"):
        leading(columns[:, :3], x[:, 0], 2)
    with pytest.raises(TreadleError, match="found 0"):
        leading(columns[:1], x[:1, 0], 1)


def test_settings_choose_by_name_and_number():
    source = Source(load("diabetes"))
    found = features_of(source, 2, ["age", 2], "standard", 100)
    assert found.numbers == (0, 2)
    assert found.raw.shape == (100, 2)
    assert (found.names[0], found.kind) == (("age", "age"), "standard")
    for features, message in (
        (["agee", 2], "no feature is called 'agee': did you mean 'age'"),
        ([0, 10], "a feature should be a number from 0 to 9 or a name, found 10"),
        ([1, 1], "features should be 2 names or numbers of different features"),
        ("age", "features should be 2 names or numbers"),
    ):
        with pytest.raises(TreadleError, match=message):
            features_of(source, 2, features, None, 100)
    with pytest.raises(TreadleError, match="no scaling is called 'minmx': did you mean 'minmax'"):
        features_of(source, 2, None, "minmx", 100)


def test_features_of_images_are_pixels():
    found = features_of(Source(load("digits")), 1, 12, None, 50)
    assert found.names == (("pixel 1,4", "像素 1,4"),)
    colour = Dataset(np.random.default_rng(0).random((9, 3, 4, 4)), np.arange(9.0), None, "train")
    found = features_of(Source(Sets(colour, colour, colour, "colour", "")), 1, 16, None, 50)
    assert found.names == (("pixel 0,0 of channel 1", "像素 0,0，通道 1"),)


def test_samples_that_are_not_there_are_refused():
    with pytest.raises(TreadleError, match="samples should be at least 1, found -1"):
        features_of(Source(load("diabetes")), 1, None, None, -1)
