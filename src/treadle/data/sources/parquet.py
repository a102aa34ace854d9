"""Parquet files, read column by column, and row group by row group where they stay on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.assemble import from_table
from treadle.data.dataset import Sets
from treadle.data.gaps import Gaps
from treadle.data.order import WINDOW
from treadle.data.split import RandomSplit
from treadle.data.stored import Indices, Stored, stays_on_disk
from treadle.data.table import Encoding, Table
from treadle.errors import DataError, MemoryLimitError, TreadleError, suggest
from treadle.memory import available, require_available

CACHED = 2 * WINDOW  # bytes of row groups that are kept: batches made ahead reach into the next window
_CACHED_ALONE = 5 * WINDOW // 4  # of a process, which makes its batches one after the other; windows differ a little
_DECODED = 2**23  # values of features decoded at a time
_SMALLER = "write the file with smaller row groups, such as row_group_size=50_000"


def load_parquet(
    path: str | Path,
    *,
    target: str | None = None,
    classes: bool | None = None,
    categorical: Sequence[str] = (),
    ignore: Sequence[str] = (),
    missing: str | Gaps = "error",
    split: RandomSplit | None = None,
    stream: bool | None = None,
) -> Sets:
    """Read a Parquet file and make three sets of it: see `from_table`.

    Columns of numbers, yes and no, and words are read; nulls, NaN and empty words have no value. The order of training
    shuffles the row groups, and the rows of a few of them together, whether the rows stay on disk or not.

    Args:
        path: of the file.
        target, classes, ignore, missing, split: as in `from_table`.
        categorical: columns of words even where these are numbers.
        stream: whether rows stay on disk and are read when they are needed; where nothing is said, those that would
            take more than half of the memory available do.

    Raises:
        DataError: names the file, and column or row: damage, a column of another kind, what `from_table` raises.
        MemoryLimitError: a row group needs more memory than is available.
        TreadleError: pyarrow is not installed.

    >>> load_parquet("missing.parquet")
    Traceback (most recent call last):
    treadle.errors.DataError: missing.parquet: no such file
    """
    words = tuple(dict.fromkeys(categorical))
    table = read_parquet(path, words=words, stream=stream)
    return from_table(table, target=target, classes=classes, ignore=ignore, missing=missing, split=split)


def read_parquet(path: str | Path, *, words: Sequence[str] = (), stream: bool | None = None) -> ParquetTable:
    """Return the table of a Parquet file, whose columns are read when they are asked for.

    Args:
        path: of the file.
        words: names of columns that have words even where these are numbers.
        stream: as in `load_parquet`.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: {'expected a file' if path.exists() else 'no such file'}")
    with _reading(path) as file:
        metadata, names = file.metadata, list(file.schema_arrow.names)
        counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        total = metadata.num_rows
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: two columns are called {twice!r}: rename one")
    for name in words:
        if name not in names:
            raise DataError(f"{path}: no column is called {name!r}: {suggest(name, names)}")
    if min(counts, default=0) < 0 or sum(counts) != total:
        raise DataError(f"{path}: damaged: {total} rows are promised, and its row groups have {sum(counts)}")
    if not total:
        raise DataError(f"{path}: has no rows")
    require_available(f"{path}: the numbers of {total:,} rows", 8 * total, "use a machine with more memory")
    columns = _Columns(path, names, frozenset(words), total, metadata)
    edges = np.cumsum([0, *counts])
    return ParquetTable(str(path), columns, np.arange(total), "row", frozenset(words), edges, metadata, stream)


@dataclass(frozen=True, eq=False)
class ParquetTable(Table):
    """The table of a Parquet file.

    Args:
        words: columns that have words even where these are numbers.
        edges: (G + 1,), numbers of the rows between which the row groups lie.
        metadata: of the file, as pyarrow has it.
        stream: whether rows stay on disk; None where memory decides.
    """

    words: frozenset[str] = frozenset()
    edges: NDArray[np.int64] | None = None
    metadata: Any = None
    stream: bool | None = None

    def rows(self, encoding: Encoding) -> NDArray[Any] | Stored:
        """Return rows of features (N, F), which are read when they are needed where they stay on disk."""
        assert self.edges is not None
        stored = ParquetRows(Path(self.name), encoding, self.words, self.edges, self.metadata)
        _give_back()
        needed = 2 * stored.nbytes  # a split copies
        if stays_on_disk(self.stream, needed):
            return stored
        require_available(f"{self.name}: {len(self):,} rows of {stored.shape[1]:,} features", needed, "let it stream")
        return stored[:]

    def blocks(self) -> NDArray[np.int64] | None:
        """Return the edges of the row groups."""
        return self.edges


class ParquetRows(Stored):
    """Rows of features that are read from a Parquet file, one row group at a time.

    Args:
        path: of the file.
        encoding: how columns become features.
        words: columns that have words even where these are numbers.
        edges: (G + 1,), numbers of the rows between which the row groups lie.
        metadata: of the file, as pyarrow has it.
    """

    def __init__(
        self, path: Path, encoding: Encoding, words: frozenset[str], edges: NDArray[np.int64], metadata: Any = None
    ) -> None:
        self.path, self.encoding, self.words, self.edges, self.metadata = path, encoding, words, edges, metadata
        self.columns = [feature.column for feature in encoding.features]
        with _reading(path, metadata) as file:
            schema = file.schema_arrow
            numbers = [schema.field(f.column).type for f in encoding.features if f.categories is None]
        single = all(_single(kind) for kind in numbers)
        self.dtype = np.dtype(np.float32 if single else np.float64)
        self.shape = (int(edges[-1]), len(encoding.names))
        self._open(CACHED)

    def _open(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._cache: OrderedDict[int, NDArray[Any]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            self._cache.clear()  # a process is to read from now on, and memory may be short
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_cache")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open(_CACHED_ALONE)

    def read(self, indices: Indices) -> NDArray[Any]:
        """Read rows by their numbers; the row groups they lie in are read whole, and the last ones kept."""
        out = np.empty((len(indices), *self.shape[1:]), self.dtype)
        places = np.argsort(indices)
        numbers = indices[places]
        ends = np.searchsorted(numbers, self.edges)
        for group in sorted(np.flatnonzero(np.diff(ends)).tolist(), key=lambda group: group not in self._cache):
            mine = slice(ends[group], ends[group + 1])
            out[places[mine]] = self._group(group).take(numbers[mine] - self.edges[group], axis=0)
        return out

    def _group(self, group: int) -> NDArray[Any]:
        with self._lock:
            if group not in self._cache:
                size = int(self.edges[group + 1] - self.edges[group]) * self.shape[1] * self.dtype.itemsize
                while self._cache and size + sum(rows.nbytes for rows in self._cache.values()) > self._most:
                    self._cache.popitem(last=False)
                self._cache[group] = self._decoded(group, size)
            self._cache.move_to_end(group)
            return self._cache[group]

    def _decoded(self, group: int, size: int) -> NDArray[Any]:
        """The rows of a row group."""
        if available() < 2 * size:
            _give_back()
        require_available(f"{self.path}: rows and pages of row group {group}", 2 * size, _SMALLER)
        begin, end = (int(edge) for edge in self.edges[group : group + 2])
        rows, done = np.empty((end - begin, *self.shape[1:]), self.dtype), 0
        step = max(1, _DECODED // self.shape[1])
        with _reading(self.path, self.metadata) as file:
            for batch in file.iter_batches(step, row_groups=[group], columns=self.columns):
                if done + len(batch) > len(rows):
                    break
                found = {name: _values(self.path, name, batch[name], name in self.words) for name in self.columns}
                numbers = np.arange(begin + done, begin + done + len(batch))
                self.encoding.write(Table(str(self.path), found, numbers, "row"), rows[done : done + len(batch)])
                done += len(batch)
            else:
                if done == len(rows):
                    return rows
        raise DataError(f"{self.path}: damaged: row group {group} should have {len(rows)} rows")


class _Columns(Mapping[str, NDArray[Any]]):
    """Columns by name, each read when it is asked for; the last one is kept."""

    def __init__(self, path: Path, names: list[str], words: frozenset[str], count: int, metadata: Any) -> None:
        self.path, self.names, self.words, self.count, self.metadata = path, names, words, count, metadata
        self._last: tuple[str, NDArray[Any]] | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> NDArray[Any]:
        if self._last is None or self._last[0] != name:
            self._last = None
            require_available(f"{self.path}: column {name!r}", 16 * self.count, "use a machine with more memory")
            with _reading(self.path, self.metadata) as file:
                values = _values(self.path, name, file.read(columns=[name])[name], name in self.words)
            if len(values) != self.count:
                raise DataError(f"{self.path}: damaged: column {name!r} has {len(values)} of {self.count} values")
            self._last = name, values
        return self._last[1]


def _give_back() -> None:
    """Return to the system what Arrow no longer needs and keeps, 0.1 GB after some columns of millions of rows."""
    import pyarrow as arrow

    arrow.default_memory_pool().release_unused()


@contextmanager
def _reading(path: Path, metadata: Any = None) -> Iterator[Any]:
    """Open a Parquet file, whose metadata may be known; what pyarrow raises becomes a DataError."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise TreadleError(f"{path}: Parquet needs pyarrow: pip install 'treadle[tables]'") from error
    try:
        with parquet.ParquetFile(path, metadata=metadata) as file:
            yield file
    except TreadleError:
        raise
    except MemoryError as error:
        raise MemoryLimitError(
            f"{path}: needs more memory than there is, or is damaged: {_SMALLER}: {error}"
        ) from error
    except (arrow.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError) as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(f"{path}: damaged, or no Parquet file: {reason}") from error


def _single(kind: Any) -> bool:
    """Whether float32 holds all values of a type exactly."""
    from pyarrow import types

    small = (types.is_boolean, types.is_int8, types.is_int16, types.is_uint8, types.is_uint16)
    return any(fits(kind) for fits in (*small, types.is_float16, types.is_float32))


def _values(path: Path, name: str, column: Any, words: bool) -> NDArray[Any]:
    """Values of a column of Arrow: numbers with NaN for null, or words with "" for null."""
    import pyarrow as arrow
    from pyarrow import types

    where = f"{path}: column {name!r}"
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if str(column.type) == "string_view":  # pyarrow 15 has no name for it
        column = column.cast(arrow.large_string())
    kind = column.type
    if types.is_string(kind) or types.is_large_string(kind):
        return _words(column)
    numbers = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)
    if words and numbers:
        values = column.to_pylist()
        return _words(arrow.array([None if value is None or value != value else f"{value}" for value in values]))
    if types.is_null(kind):
        return np.full(len(column), np.nan)
    if not numbers:
        raise DataError(f"{where} has the type {kind}, expected numbers or words: leave it out with ignore")
    wanted = arrow.float32() if _single(kind) else arrow.float64()
    try:
        if types.is_boolean(kind):
            column = column.cast(arrow.int8())
        found = column.cast(wanted).to_numpy(zero_copy_only=False)
    except arrow.ArrowInvalid as error:
        raise DataError(
            f"{where} has whole numbers beyond 2^53, which lose digits: if they are names, put it into categorical or "
            f"ignore: {error}"
        ) from error
    result: NDArray[Any] = found.astype(np.float32 if _single(kind) else np.float64, copy=False)
    return result


def _words(column: Any) -> NDArray[Any]:
    """Words as str objects, each word one object."""
    encoded = column.dictionary_encode()
    chunks = encoded.chunks if hasattr(encoded, "chunks") else [encoded]
    found = [np.empty(0, object)]
    for chunk in chunks:
        names = np.array([*chunk.dictionary.to_pylist(), ""], object)
        found.append(names[chunk.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)])
    return np.concatenate(found)
