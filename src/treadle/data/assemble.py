"""From what a reader found to the three sets: targets, features, and a split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import Dataset, Places, Sets
from treadle.data.gaps import Gaps
from treadle.data.order import WINDOW
from treadle.data.sources.delimited import read_delimited
from treadle.data.split import GroupedSplit, RandomSplit, StratifiedSplit
from treadle.data.stored import Stored, subsets
from treadle.data.table import Encoding, Table
from treadle.errors import DataError


def from_arrays(
    inputs: Any,
    targets: Any,
    *,
    classes: Sequence[str] | None = None,
    split: RandomSplit | None = None,
    groups: Any = None,
    name: str = "arrays",
    origin: str = "given as arrays",
    places: Places | None = None,
) -> Sets:
    """Make train, validation and test set of arrays.

    Args:
        inputs: (N, …), rows of features or images (N, C, H, W).
        targets: (N,), numbers; or labels 0 to C − 1.
        classes: names of the labels; None where targets are numbers to predict.
        split: stratified where there are classes and random where there are none, unless one is given.
        groups: (N,), what a grouped split keeps together.
        name, origin: what the data is called and where it comes from.
        places: where the samples come from; the numbers of samples where nothing is said.

    Raises:
        DataError: another number of targets or groups than samples; a split that leaves a set empty.

    >>> sets = from_arrays(np.zeros((20, 3)), np.arange(20) % 2, classes=("no", "yes"))
    >>> [len(part) for part in sets.parts().values()]
    [14, 3, 3]
    """
    inputs = inputs if isinstance(inputs, Stored) else np.asarray(inputs)
    targets = np.asarray(targets)
    for what, array in (("targets", targets), ("groups", groups)):
        if array is not None and np.shape(array) != (len(inputs),):
            raise DataError(
                f"{name}: {len(inputs)} samples need {what} of shape ({len(inputs)},), found {np.shape(array)}"
            )
    if not inputs.size or inputs.ndim < 2:
        raise DataError(f"{name}: expected samples (N, …) with values in them, found shape {inputs.shape}")
    known = None if classes is None else tuple(classes)
    parts, described = _parts(split, targets, known, groups, name)
    places = places or Places("sample", np.arange(len(inputs)))
    return _sets(inputs, targets, known, parts, name, f"{origin}\n{described}", places=places)


def _sets(
    inputs: NDArray[Any] | Stored,
    targets: NDArray[Any],
    classes: tuple[str, ...] | None,
    parts: Sequence[NDArray[np.int64]],
    name: str,
    origin: str,
    encoding: Encoding | None = None,
    edges: NDArray[np.int64] | None = None,
    places: Places | None = None,
) -> Sets:
    """Make the three sets of samples; `edges` are the numbers of samples between which they are read together."""
    cut: Sequence[NDArray[Any] | Stored]
    cut = subsets(inputs, parts) if isinstance(inputs, Stored) else [inputs[part] for part in parts]
    train, validation, test = (
        Dataset(
            taken,
            targets[part],
            classes,
            called,
            blocks_of(part, edges),
            WINDOW * len(part) // inputs.nbytes,
            places and places.taken(part),
        )
        for taken, part, called in zip(cut, parts, ("train", "validation", "test"), strict=True)
    )
    return Sets(train, validation, test, name, origin, encoding)


def blocks_of(part: NDArray[np.int64], edges: NDArray[np.int64] | None) -> tuple[int, ...] | None:
    """Return how many of some samples, in ascending order, lie between each two edges.

    >>> blocks_of(np.array([1, 2, 5]), np.array([0, 3, 6]))
    (2, 1)
    """
    if edges is None or len(edges) < 3:  # all in one block
        return None
    return tuple(int(count) for count in np.diff(np.searchsorted(part, edges)))


def _parts(
    split: RandomSplit | None, targets: NDArray[Any], classes: tuple[str, ...] | None, groups: Any, name: str
) -> tuple[Sequence[NDArray[np.int64]], str]:
    """Numbers of the samples of each set, and how they were split, in words."""
    split = split or (RandomSplit() if classes is None else StratifiedSplit())
    if split.needs == "classes" and classes is None:
        raise DataError(f"{name}: a stratified split keeps the shares of classes, and targets are numbers: use random")
    if split.needs == "groups" and groups is None:
        raise DataError(f"{name}: a grouped split needs groups, one for each sample")
    kind = f"{split.kind} by {split.column}" if isinstance(split, GroupedSplit) else split.kind
    described = f"split: {kind}, {split.validation:g} for validation, {split.test:g} for test, seed {split.seed}"
    return split.parts(np.asarray(groups) if split.needs == "groups" else targets), described


def from_table(
    table: Table,
    *,
    target: str | None = None,
    classes: bool | None = None,
    ignore: Sequence[str] = (),
    missing: str | Gaps = "error",
    split: RandomSplit | None = None,
) -> Sets:
    """Make train, validation and test set of a table.

    Args:
        table: the columns.
        target: the column to predict; the last one where none is named.
        classes: whether the values of the target are classes; where nothing is said, words are and numbers are not.
        ignore: columns that are no features, such as names of rows.
        missing: what stands for a missing value, as in `Encoding.fit`; a target must not miss any. Or `Gaps`, which
            note them, and leave out rows without a target.
        split: as in `from_arrays`.

    Raises:
        DataError: an unknown column; a missing value without a policy; no feature left; see `Encoding`.
    """
    named = [name for name in table.columns if name not in set(ignore)]
    for name in ignore:
        if name not in table.columns:
            table.column(name)  # raises; a column that is left out is not read, for it may hold anything
    if target is None:
        if not named:
            raise DataError(f"{table.name}: no column is left to predict")
        target = named[-1]
    group = str(split.column) if isinstance(split, GroupedSplit) else None
    features = [name for name in named if name not in (target, group)]
    if not features:
        raise DataError(f"{table.name}: no column is left to predict {target!r} from")
    complete = _complete(table, target, group, missing if isinstance(missing, Gaps) else None)
    kept, labels = _target(table, target, complete, classes)
    groups = None if group is None else table.column(group)[complete]
    parts, described = _parts(split, labels, kept, groups, table.name)
    if not isinstance(complete, slice):  # the numbers of samples are to be those of rows
        parts = [complete[part] for part in parts]
        labels, some = np.zeros(len(table), labels.dtype), labels
        labels[complete] = some
    policy = missing
    if isinstance(policy, Gaps):
        features, policy = policy.usable(table, features, parts[0])
        if not features:
            raise DataError(f"{table.name}: no column has a value to predict {target!r} from")
    encoding = Encoding.fit(table, features, parts[0], policy)
    rows = table.rows(encoding)
    kinds = sum(one.categories is not None for one in encoding.features)
    told = f"{len(features)} columns, {kinds} of them words, give {rows.shape[1]} features; target: {target}"
    if isinstance(rows, Stored):
        told += f"; stays on disk, for {rows.nbytes / 2**30:.1f} GiB of rows"
    origin = f"{table.name}: {told}\n{described}"
    places = Places(table.unit, table.lines)
    return _sets(rows, labels, kept, parts, Path(table.name).name, origin, encoding, table.blocks(), places)


def _complete(table: Table, target: str, group: str | None, gaps: Gaps | None) -> slice | NDArray[np.int64]:
    """Rows that have a target, and a group where there is one: all, or the numbers of those where gaps are noted."""
    whole = np.ones(len(table), bool)
    for what, name in (("group", group), ("target", target)):
        if name is None or not (absent := table.missing(name)).any():
            continue
        if gaps is None:
            advice = "leave such rows out" if name == target else "fill it in, or leave the row out"
            raise DataError(f"{table.place(int(np.argmax(absent)))}: the {what} {name!r} has no value: {advice}")
        gaps.leave_out(table, f"the {what} {name!r}", absent)
        whole &= ~absent
    if whole.all():
        return slice(None)
    if not whole.any():
        raise DataError(f"{table.name}: no row has a value for the target {target!r}")
    return np.flatnonzero(whole)


def _target(
    table: Table, name: str, rows: slice | NDArray[np.int64], classes: bool | None
) -> tuple[tuple[str, ...] | None, NDArray[Any]]:
    """Names of the classes and labels of some rows (N,), or None and numbers."""
    column = table.column(name)[rows]
    words = column.dtype.kind != "f"

    def place(number: int) -> str:
        return table.place(np.arange(len(table))[rows][number])

    if classes is False and words:
        raise DataError(f"{place(0)}: the target {name!r} should be a number, found {column[0]!r}")
    if not (words if classes is None else classes):
        return None, column
    values, labels = np.unique(column, return_inverse=True)
    if not words and (values != np.round(values)).any():
        row = int(np.argmax(column != np.round(column)))
        raise DataError(
            f"{place(row)}: the target {name!r} is {column[row]:g}, and classes are words or whole numbers: "
            "choose a loss for numbers, such as squared_error"
        )
    if len(values) < 2:
        raise DataError(f"{table.name}: the target {name!r} has one class alone, {values[0]}")
    return tuple(str(value) if words else str(int(value)) for value in values), labels.astype(np.int64)


def load_table(
    path: str | Path,
    *,
    target: str | None = None,
    classes: bool | None = None,
    categorical: Sequence[str] = (),
    ignore: Sequence[str] = (),
    missing: str | Gaps = "error",
    delimiter: str | None = None,
    header: bool = True,
    split: RandomSplit | None = None,
) -> Sets:
    """Read a CSV or TSV file and make three sets of it: see `read_delimited` and `from_table`.

    Args:
        categorical: columns of words even where these look like numbers.

    >>> load_table("missing.csv")
    Traceback (most recent call last):
    treadle.errors.DataError: missing.csv: no such file
    """
    words = list(dict.fromkeys([*categorical, *ignore]))  # what is ignored may be anything
    table = read_delimited(path, delimiter=delimiter, header=header, words=words)
    return from_table(table, target=target, classes=classes, ignore=ignore, missing=missing, split=split)
