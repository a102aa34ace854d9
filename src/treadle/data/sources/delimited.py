"""Tables of text: CSV and TSV, with or without gzip, read in bounded memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.sources.stream import open_stream
from treadle.data.table import Table
from treadle.errors import DataError, suggest

ABSENT = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"})  # what stands for no value
DELIMITERS = {".csv": ",", ".tsv": "\t"}
_BLOCK = 10_000  # rows turned into arrays at a time
_BLOCK_FIELDS = 1 << 22  # and fields, where rows are long
_LONGEST_LINE = 1 << 20  # bytes; of a row as well, which quotes can spread over many lines
_LONGEST_FIELD = 1 << 16  # characters
_EXACT = 2.0**53  # up to which float64 holds every whole number


def read_delimited(
    path: str | Path,
    *,
    delimiter: str | None = None,
    header: bool = True,
    words: Sequence[str] = (),
    limit_bytes: int = 2**32,
) -> Table:
    """Read a CSV or TSV file in UTF-8 as columns of numbers or words.

    A column has numbers where all of its values are numbers, words where none is; anything between is an error, for it
    may be a fault in the file. Fields that are empty, or NA, N/A, NaN, null, None or ?, have no value.

    Args:
        path: ends in .csv or .tsv, and .gz after it if it is compressed.
        delimiter: between fields; a comma for .csv and a tab for .tsv where none is given.
        header: whether the first line names the columns; otherwise they are called "0", "1", ….
        words: names of columns that have words even where these look like numbers, such as postal codes.
        limit_bytes: of the text, decompressed.

    Raises:
        DataError: names the line; another number of fields than columns, bytes that are not UTF-8 or 0, a quote that is
            not closed, a line or field too long, a column of numbers and words, no rows, columns of one name.

    >>> read_delimited("missing.csv")
    Traceback (most recent call last):
    treadle.errors.DataError: missing.csv: no such file
    """
    path = Path(path)
    columns: list[Column] = []
    numbers: list[int] = []
    for names, rows, places in blocks(path, delimiter=delimiter, header=header, limit_bytes=limit_bytes):
        if not columns:
            for name in words:
                if name not in names:
                    raise DataError(f"{path}: no column is called {name!r}: {suggest(name, names)}")
            columns = [Column(path, name, "words" if name in words else "") for name in names]
        for column, fields in zip(columns, zip(*rows, strict=True), strict=False):
            column.add(fields, places)
        numbers += places
    return Table(str(path), {column.name: column.array() for column in columns}, np.array(numbers, np.int64))


def blocks(
    path: Path, *, delimiter: str | None = None, header: bool = True, limit_bytes: float = 2**32
) -> Iterator[tuple[list[str], list[list[str]], list[int]]]:
    """Yield the names of the columns with the fields and lines of some rows at a time, and at first of no rows.

    Args:
        path, delimiter, header, limit_bytes: as in `read_delimited`.

    Raises:
        DataError: as `read_delimited`, except for what columns hold.
    """
    import csv

    if delimiter is None:
        delimiter = DELIMITERS.get(Path(path.name.removesuffix(".gz")).suffix.lower(), ",")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise DataError(f"delimiter should be one character, such as ',' or ';', found {delimiter!r}")
    with open_stream(path) as stream:
        lines = _Lines(path, stream, limit_bytes)
        rows = _rows(path, lines, csv.reader(lines, delimiter=delimiter, strict=True))
        first = next(rows, None)
        if first is None:
            raise DataError(f"{path}: the file is empty")
        names = _names(path, first[1]) if header else [str(number) for number in range(len(first[1]))]
        yield names, [], []
        most = min(_BLOCK, max(1, _BLOCK_FIELDS // len(names)))
        block: list[list[str]] = [] if header else [first[1]]
        places: list[int] = [] if header else [first[0]]
        found = not header
        for place, row in rows:
            if len(row) != len(names):
                raise DataError(
                    f"{path}: line {place}: expected {len(names)} fields, found {len(row)}"
                    + (f"; is {delimiter!r} between the fields?" if len(names) == 1 else "")
                )
            block.append(row)
            places.append(place)
            if len(block) >= most:
                yield names, block, places
                block, places, found = [], [], True
        if block:
            yield names, block, places
        elif not found:
            raise DataError(f"{path}: has the names of its columns and no rows")


def _names(path: Path, row: list[str]) -> list[str]:
    names = [name.strip() for name in row]
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name:
            raise DataError(f"{path}: line 1: column {number} has no name: name it, or set header to false")
        if name in seen:
            raise DataError(f"{path}: line 1: two columns are called {name!r}")
        seen.add(name)
    if all(_number(name) is not None for name in names):
        raise DataError(f"{path}: line 1: names of columns are expected, found numbers: set header to false")
    return names


def _rows(path: Path, lines: "_Lines", reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, fields) of each row; empty lines may stand at the end alone."""
    import csv

    empty = 0
    while True:
        begun, lines.row_left = lines.number + 1, _LONGEST_LINE
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = str(error)
            if "unexpected end of data" in reason:
                reason = "a quote is opened and not closed"
            raise DataError(f"{path}: line {begun}: {reason}") from error
        if not row:
            empty = empty or begun
            continue
        if empty:
            raise DataError(f"{path}: line {empty}: empty, and rows follow it")
        if len(max(row, key=len)) > _LONGEST_FIELD:
            number = 1 + row.index(max(row, key=len))
            raise DataError(f"{path}: line {begun}: field {number} is longer than {_LONGEST_FIELD:,} characters")
        yield begun, row


class _Lines:
    """Lines of text, each checked, none longer than a limit."""

    def __init__(self, path: Path, stream: Any, limit_bytes: float) -> None:
        self.path, self.stream, self.left, self.number = path, stream, limit_bytes, 0
        self.row_left = _LONGEST_LINE

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self.stream.readline(_LONGEST_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        where = f"{self.path}: line {self.number}"
        self.left -= len(line)
        self.row_left -= len(line)
        if len(line) > _LONGEST_LINE:
            raise DataError(f"{where}: longer than {_LONGEST_LINE:,} bytes")
        if self.row_left < 0:
            raise DataError(f"{where}: its row is longer than {_LONGEST_LINE:,} bytes: is a quote not closed?")
        if self.left < 0:
            raise DataError(f"{where}: the text is longer than the limit of bytes")
        if self.number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if b"\0" in line:
            raise DataError(f"{where}: has a byte 0: save the file as UTF-8 text")
        try:
            return str(line, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: byte {error.start} is not UTF-8: save the file as UTF-8") from error


def _number(text: str) -> float | None:
    """A number as a table writes it: no underscores, no infinity."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if "_" not in text and np.isfinite(value) else None


def _exact(digits: str, value: float) -> bool:
    from decimal import Decimal  # Python makes no int of more than 4,300 digits, zeros before them included

    return Decimal(digits) == Decimal(value)


class Column:
    """The values of a column so far.

    Args:
        path: of the file, for messages.
        name: of the column.
        kind: "numbers" or "words"; whichever the first value is where neither is given.
        known: how the kind is known, for messages.
    """

    def __init__(self, path: Path, name: str, kind: str = "", known: str = "before") -> None:
        self.path, self.name, self.kind, self.known = path, name, kind, known
        self.forced = kind == "words"
        self.blocks: list[NDArray[Any]] = []
        self.waiting = 0  # rows without a value before the first one that has one

    def add(self, fields: Sequence[str], places: Sequence[int]) -> None:
        """Take the fields of further rows, which are on these lines."""
        stripped = [field.strip() for field in fields]
        if not self.kind:
            first = next((field for field in stripped if field not in ABSENT), None)
            if first is None:
                self.waiting += len(stripped)
                return
            self.kind = "words" if _number(first) is None else "numbers"
        if self.waiting:
            self.blocks.append(self._nothing(self.waiting))
            self.waiting = 0
        self.blocks.append(self._words(stripped, places) if self.kind == "words" else self._numbers(stripped, places))

    def _numbers(self, fields: list[str], places: Sequence[int]) -> NDArray[np.float64]:
        try:
            values = np.array(list(map(float, fields)))
            if np.isfinite(values).all() and "_" not in "".join(fields) and np.abs(values).max() < _EXACT:
                return values
        except ValueError:
            pass  # a value is missing or wrong: one by one
        values = np.empty(len(fields))
        for number, field in enumerate(fields):
            value = np.nan if field in ABSENT else _number(field)
            if value is None:
                raise DataError(
                    f"{self.path}: line {places[number]}: {self.name!r} has numbers {self.known}, and here "
                    f"{field[:40]!r}: correct it, leave it empty, or name the column in categorical"
                )
            if abs(value) >= _EXACT and field.lstrip("+-").isdigit() and not _exact(field, value):
                raise DataError(
                    f"{self.path}: line {places[number]}: {self.name!r} is {field[:40]}, and whole numbers beyond 2^53 "
                    "lose digits: if they are names, put the column into categorical or ignore"
                )
            values[number] = value
        return values

    def _words(self, fields: list[str], places: Sequence[int]) -> NDArray[Any]:
        found = {field: "" if field in ABSENT else field for field in dict.fromkeys(fields)}
        for field in found if not self.forced else ():
            if _number(field) is not None and field not in ABSENT:
                raise DataError(
                    f"{self.path}: line {places[fields.index(field)]}: {self.name!r} has words before, and here the "
                    f"number {field[:40]}: correct it, or name the column in categorical"
                )
        values = np.empty(len(fields), object)
        values[:] = [found[field] for field in fields]
        return values

    def _nothing(self, count: int) -> NDArray[Any]:
        return np.full(count, "", object) if self.kind == "words" else np.full(count, np.nan)

    def array(self) -> NDArray[Any]:
        """All values; a column without any has numbers."""
        return np.concatenate(self.blocks) if self.blocks else np.full(self.waiting, np.nan)
