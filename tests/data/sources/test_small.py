import gzip

import numpy as np
import pytest

import treadle as td
from treadle.data import StratifiedSplit, load
from treadle.data.sources import small
from treadle.errors import DataError


def test_what_they_hold():
    diabetes, wine, digits = (load(name) for name in ("diabetes", "wine", "digits"))
    assert [len(part) for part in diabetes.parts().values()] == [310, 66, 66]
    assert diabetes.train.classes is None
    assert [len(part) for part in wine.parts().values()] == [124, 27, 27]
    assert sum(map(len, digits.parts().values())) == 1797
    assert (digits.train.images.min(), digits.train.images.max()) == (0, 16)
    assert "comes with the package" in wine.origin
    assert load("wine", split=StratifiedSplit(seed=1)).fingerprint() != wine.fingerprint()


def test_least_squares_of_the_diabetes_paper_is_reached():
    sets = load("diabetes")
    run = td.fit(
        td.nn.Sequential(td.nn.Linear(1)), sets, loss="squared_error", optimizer=td.optim.SGD(0.1), scale="standard",
        batch_size=310, epochs=3000, dtype=np.float64, weights="last", diagnose=False,
    )  # fmt: skip
    x = np.c_[sets.train.inputs, np.ones(310)]
    least = np.mean((x @ np.linalg.lstsq(x, sets.train.targets)[0] - sets.train.targets) ** 2)
    found = np.mean((run.predict(sets.train.inputs)[:, 0] - sets.train.targets) ** 2)
    assert least <= found * (1 + 1e-12)
    assert found == pytest.approx(least, rel=1e-3)


def test_a_damaged_file_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(small, "__file__", str(tmp_path / "small.py"))
    with pytest.raises(DataError, match=r"wine\.csv\.gz: damaged: .*No such file"):
        small.load_wine()
    (tmp_path / "wine.csv.gz").write_bytes(gzip.compress(b"x,y\n1,2\n"))
    with pytest.raises(DataError, match="expected content with SHA-256"):
        small.load_wine()
