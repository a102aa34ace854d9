"""Rows of features from files of tables, some at a time, through an encoding that was fitted before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.sources.delimited import Column, blocks
from treadle.data.sources.parquet import read_parquet
from treadle.data.stored import Stored
from treadle.data.table import Encoding, Table
from treadle.errors import DataError

_SHOWN = 20  # columns, in a message
Pieces = Iterator[tuple[NDArray[Any], NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class EncodedRows:
    """The rows of a file of a table.

    Args:
        unit: what the places count, such as "line".
        unused: columns of the file that are no features.
        pieces: yields places (N,) and features (N, F) of some rows at a time.
    """

    unit: str
    unused: tuple[str, ...]
    pieces: Pieces


def encoded_rows(
    path: str | Path, encoding: Encoding, *, delimiter: str | None = None, header: bool = True
) -> EncodedRows:
    """Open a CSV, TSV or Parquet file for rows of features; columns are taken by their names.

    CSV is read line by line and Parquet row group by row group, so that files may be larger than memory.

    Args:
        path: of the file.
        encoding: how columns become features.
        delimiter, header: of CSV and TSV, as in `read_delimited`.

    Raises:
        DataError: lists the columns that are missing; while pieces are read, names line or row of a missing value, a
            word that no training row has, or a word in a column of numbers.

    >>> encoded_rows("missing.csv", Encoding(()))
    Traceback (most recent call last):
    treadle.errors.DataError: missing.csv: no such file
    """
    path = Path(path)
    if path.name.lower().endswith(".parquet"):
        names = list(read_parquet(path).columns)
        _require(path, names, encoding, header=True)
        words = [feature.column for feature in encoding.features if feature.categories is not None]
        rows = read_parquet(path, words=words, stream=True).rows(encoding)
        assert isinstance(rows, Stored)
        pieces = ((np.arange(begin, begin + len(piece)), piece) for begin, piece in rows.pieces())
        return EncodedRows("row", _unused(names, encoding), pieces)
    read = blocks(path, delimiter=delimiter, header=header, limit_bytes=float("inf"))
    names, _, _ = next(read)
    _require(path, names, encoding, header)
    return EncodedRows("line", _unused(names, encoding), _lines(path, names, read, encoding))


def _lines(path: Path, names: list[str], read: Iterator[Any], encoding: Encoding) -> Pieces:
    for _, rows, places in read:
        fields = list(zip(*rows, strict=True))
        columns = {}
        for feature in encoding.features:
            kind = "numbers" if feature.categories is None else "words"
            column = Column(path, feature.column, kind, "in training")
            column.add(fields[names.index(feature.column)], places)
            columns[feature.column] = column.array()
        numbers = np.array(places, np.int64)
        yield numbers, encoding.apply(Table(str(path), columns, numbers))


def _unused(names: list[str], encoding: Encoding) -> tuple[str, ...]:
    used = {feature.column for feature in encoding.features}
    return tuple(name for name in names if name not in used)


def _require(path: Path, names: list[str], encoding: Encoding, header: bool) -> None:
    missing = [feature.column for feature in encoding.features if feature.column not in names]
    if not missing:
        return
    hint = "" if header else "; without a header, columns must stand where they stood in training, the target included"
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    raise DataError(
        f"{path}: has no column {', '.join(map(repr, missing))}, which the network was trained on; there are {shown}"
        + hint
    )
