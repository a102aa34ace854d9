"""DataFrames of pandas and polars, and tables of Arrow."""

from collections.abc import Sequence
from numbers import Complex, Integral, Number, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.assemble import from_table
from treadle.data.dataset import Sets
from treadle.data.split import RandomSplit
from treadle.data.table import Table
from treadle.errors import DataError, suggest

_EXACT = 2**53  # up to which float64 holds every whole number


def from_frame(
    frame: Any,
    *,
    target: str | None = None,
    classes: bool | None = None,
    categorical: Sequence[str] = (),
    ignore: Sequence[str] = (),
    missing: str = "error",
    split: RandomSplit | None = None,
    name: str = "frame",
) -> Sets:
    """Make train, validation and test set of a DataFrame of pandas or polars, or of a table of Arrow.

    Args:
        frame: has columns of numbers, yes and no, or words; None, NaN, NA and empty words have no value. An index is no
            column.
        target, classes, ignore, missing, split: as in `from_table`.
        categorical: columns of words even where these are numbers.
        name: what the data is called.

    Raises:
        DataError: names the column and row: numbers and words in one column, dates and other kinds; see `from_table`.

    >>> class Frame(dict):  # as pandas.DataFrame({...}) would be
    ...     columns = property(list)
    >>> frame = Frame(x=np.arange(20.0), kind=np.array(["a", "b"] * 10, object))
    >>> from_frame(frame).train.classes
    ('a', 'b')
    """
    found = getattr(frame, "column_names", None)
    names = [str(one) for one in (found if found is not None else getattr(frame, "columns", ()))]
    if not names:
        raise DataError(f"{name}: expected a DataFrame with columns, found {type(frame).__name__}")
    for one in names:
        if names.count(one) > 1:
            raise DataError(f"{name}: two columns are called {one!r}")
    for one in categorical:
        if one not in names:
            raise DataError(f"{name}: no column is called {one!r}: {suggest(one, names)}")
    left_out = set(ignore) - {target, getattr(split, "column", None)}
    keys = list(found if found is not None else frame.columns)
    columns = {}
    for one, key in zip(names, keys, strict=True):
        words = one in categorical
        values = _array(frame[key], words) if one not in left_out else np.zeros(0)
        columns[one] = _words(values) if words else _values(f"{name}: column {one!r}", values)
    count = max(map(len, columns.values()))
    if not count:
        raise DataError(f"{name}: has no rows")
    table = Table(name, columns, np.arange(count), "row")
    return from_table(table, target=target, classes=classes, ignore=ignore, missing=missing, split=split)


def _array(column: Any, words: bool) -> NDArray[Any]:
    """A column as an array; whole numbers with gaps as objects where they are words, or float64 takes digits away."""
    values = np.asarray(column)
    kind = str(getattr(column, "dtype", getattr(column, "type", ""))).lower()
    read = getattr(column, "to_pylist", getattr(column, "to_list", values.tolist))
    lossy = values.dtype.kind == "f" and kind.startswith(("int", "uint"))
    if lossy and (words or (np.abs(values) >= _EXACT).any()):
        values = np.empty(len(values), object)
        values[:] = read()
    return values


def _values(where: str, values: NDArray[Any]) -> NDArray[Any]:
    """Numbers with NaN, or words with ""."""
    if values.ndim != 1:
        raise DataError(f"{where} should have one value a row, found shape {values.shape}")
    if values.dtype.kind in "iu" and len(values) and max(int(values.max()), -int(values.min())) > _EXACT:
        raise DataError(f"{where} has whole numbers beyond 2^53, which lose digits: put it into categorical or ignore")
    if values.dtype.kind in "biuf":
        return values.astype(np.float32 if values.dtype.itemsize <= 4 and values.dtype.kind == "f" else np.float64)
    if values.dtype.kind in "UT":
        return _words(values)
    if values.dtype.kind != "O":
        raise DataError(f"{where} has the type {values.dtype}, expected numbers or words: leave it out with ignore")
    known = [value for value in values if not _absent(value)]
    if all(isinstance(value, str) for value in known):
        return _words(values)
    for row, value in enumerate(values):
        if not _absent(value) and (isinstance(value, str) or not _is_number(value)):
            kind = type(value).__name__
            raise DataError(
                f"{where}: row {row} is {value!r:.60}, of type {kind}, in a column of numbers: make it a number, or "
                "name the column in categorical or ignore"
            )
    return np.array([np.nan if _absent(value) else float(value) for value in values])


def _is_number(value: Any) -> bool:
    """Whether float64 holds a value."""
    if isinstance(value, Integral):
        return abs(int(value)) <= _EXACT
    return isinstance(value, Real) or (isinstance(value, Number) and not isinstance(value, Complex))  # as decimals are


def _absent(value: Any) -> bool:
    """Whether a value is None, NaN, or the NA of pandas, which is neither equal to itself nor unequal."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def _words(values: NDArray[Any]) -> NDArray[Any]:
    found = np.empty(len(values), object)
    found[:] = ["" if _absent(value) else str(value) for value in values.tolist()]
    return found
