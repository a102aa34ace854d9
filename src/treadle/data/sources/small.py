"""Small real data sets that come with the package; see SMALL.md there for their origin."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from treadle.data.assemble import from_arrays, from_table
from treadle.data.dataset import Sets
from treadle.data.sources.delimited import read_delimited
from treadle.data.split import RandomSplit
from treadle.data.table import Table
from treadle.errors import DataError

_SHA256 = {
    "diabetes": "fe4e12aa9fa5497737503ca3d11d64b5f5c7c34b9fd0c5004dc1c15b4f96f5bd",
    "wine": "79e51f092c25539b2e3edbf9d5c0b00ea11052123de075d9fe55dd94da52d2b1",
    "digits": "5677c346137ec9482fc08c632270c352a08574039b8fe61793d72ec2ec64ad94",
}


def load_diabetes(*, split: RandomSplit | None = None) -> Sets:
    """Load 442 patients with 10 measurements; the target is how far the disease went in a year, a number of 25 to 346.

    Source: Efron, Hastie, Johnstone and Tibshirani, Least angle regression, Annals of Statistics 32, 2004.

    >>> load_diabetes().train.shape
    (10,)
    """
    return _named("diabetes", from_table(_table("diabetes"), split=split))


def load_wine(*, split: RandomSplit | None = None) -> Sets:
    """Load 178 wines with 13 chemical measurements; the classes are three cultivars.

    Source: Forina and others, PARVUS, 1988; UCI Machine Learning Repository, Wine.

    >>> load_wine().train.classes
    ('1', '2', '3')
    """
    return _named("wine", from_table(_table("wine"), classes=True, split=split))


def load_digits(*, split: RandomSplit | None = None) -> Sets:
    """Load 1,797 handwritten digits as images (1, 8, 8) with values 0 to 16, of 13 writers.

    Source: Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI Machine Learning Repository, 1998.

    >>> load_digits().train.shape
    (1, 8, 8)
    """
    table = _table("digits")
    *pixels, labels = table.columns.values()
    images = np.stack(pixels, axis=1).astype(np.uint8).reshape(-1, 1, 8, 8)
    classes = [str(digit) for digit in range(10)]
    sets = from_arrays(images, labels.astype(np.int64), classes=classes, split=split, name="digits", origin="digits")
    return _named("digits", sets)


def _table(name: str) -> Table:
    import gzip
    from hashlib import sha256

    path = Path(__file__).with_name(f"{name}.csv.gz")
    try:
        found = sha256(gzip.decompress(path.read_bytes())).hexdigest()
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: damaged: {error}") from error
    if found != _SHA256[name]:
        raise DataError(f"{path}: damaged: expected content with SHA-256 {_SHA256[name]}, found {found}")
    return replace(read_delimited(path), name=name)


def _named(name: str, sets: Sets) -> Sets:
    origin = "\n".join(["comes with the package", *sets.origin.split("\n")[1:]])
    return replace(sets, name=name, origin=origin)
