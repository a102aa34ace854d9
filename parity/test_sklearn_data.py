"""The small data sets and the scalings beside those of scikit-learn."""

import numpy as np
import pytest
from sklearn import datasets, preprocessing

from treadle.data import SCALES, load


@pytest.mark.parametrize("name", ["diabetes", "wine", "digits"])
def test_the_data_is_the_same(name):
    settings = {"scaled": False} if name == "diabetes" else {}
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True, **settings)
    sets = load(name)
    ours = np.concatenate([part.inputs.reshape(len(part), -1) for part in sets.parts().values()])
    targets = np.concatenate([part.targets for part in sets.parts().values()])
    order, other = (np.lexsort(np.c_[a, b].T) for a, b in ((ours, targets), (x, y)))
    np.testing.assert_array_equal(ours[order], x[other])
    np.testing.assert_array_equal(targets[order], y[other])


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        ("minmax", preprocessing.MinMaxScaler()),
        ("standard", preprocessing.StandardScaler()),
        ("robust", preprocessing.RobustScaler()),
    ],
)
@pytest.mark.parametrize("name", ["diabetes", "wine"])
def test_scalings_are_the_same(kind, theirs, name):
    sets = load(name)
    ours = SCALES[kind]().fit(sets.train.inputs)
    theirs.fit(sets.train.inputs)
    for part in sets.parts().values():
        np.testing.assert_allclose(ours.apply(part.inputs, np.float64), theirs.transform(part.inputs), atol=1e-12)
