"""Data: reading, checking, scaling, shuffling and batching; knows NumPy only."""

from collections.abc import Callable
from pathlib import Path

from treadle.data.batches import Batch, batches
from treadle.data.dataset import Dataset, Sets
from treadle.data.image import read_image
from treadle.data.order import Order, OrderState
from treadle.data.scale import (
    SCALES,
    Channel,
    FittedScale,
    MeanRange,
    MinMax,
    NoScale,
    Robust,
    Scale,
    Standard,
    scale_from_dict,
)
from treadle.data.sources.idx import load_idx_folder, read_idx
from treadle.data.sources.mnist import load_mnist
from treadle.data.sources.mnist_json import load_mnist_json
from treadle.data.validity import Finding, check, require_valid
from treadle.errors import DataError

__all__ = [
    "SCALES",
    "SOURCES",
    "Batch",
    "Channel",
    "Dataset",
    "Finding",
    "FittedScale",
    "MeanRange",
    "MinMax",
    "NoScale",
    "Order",
    "OrderState",
    "Robust",
    "Scale",
    "Sets",
    "Standard",
    "batches",
    "check",
    "load",
    "load_idx_folder",
    "load_mnist",
    "load_mnist_json",
    "read_idx",
    "read_image",
    "require_valid",
    "scale_from_dict",
]

SOURCES: dict[str, Callable[[], Sets]] = {"mnist": load_mnist}


def load(source: str | Path) -> Sets:
    """Load a source by its name in `SOURCES`, or from a path: a folder with IDX files, or a `.json.gz` file.

    A known name comes before a path of the same name; write `./mnist` for the path. Raises DataError for anything else.

    >>> load("minst")
    Traceback (most recent call last):
    treadle.errors.DataError: 'minst' is no known data and no path; did you mean 'mnist'? Known: mnist, a folder ...
    """
    if isinstance(source, str) and source in SOURCES:
        return SOURCES[source]()
    path = Path(source)
    known = f"Known: {', '.join(SOURCES)}, a folder with IDX files, a .json.gz file"
    if path.is_dir() and str(source):
        return load_idx_folder(path)
    if path.exists() and str(source):
        if path.name.endswith(".json.gz"):
            return load_mnist_json(path)
        raise DataError(f"{path}: a file of this kind cannot be read. {known}")
    if isinstance(source, Path) or len(path.parts) > 1 or path.suffix:
        raise DataError(f"{path}: no such file or folder. {known}")
    import difflib

    close = difflib.get_close_matches(source, SOURCES, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise DataError(f"{source!r} is no known data and no path{hint} {known}")
