"""Tables: columns of numbers or words, and how they become rows of features that a network takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from treadle.errors import DataError, suggest
from treadle.memory import require_available

if TYPE_CHECKING:
    from treadle.data.stored import Stored

MISSING = ("error", "mean", "median", "most_frequent")
MOST_CATEGORIES = 1_000
_TOGETHER = 2_048  # rows written at a time, all their features: those stay in the cache


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length: numbers with NaN where one is missing, or str objects with "" where a word is.

    Args:
        name: of the file, for messages.
        columns: by name, (N,).
        lines: (N,), the line of each row in its file, for messages.
        unit: what `lines` counts, for messages.
    """

    name: str
    columns: Mapping[str, NDArray[Any]]
    lines: NDArray[np.int64]
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int | np.integer[Any]) -> str:
        """Return file and line of a row, for messages.

        >>> Table("a.csv", {"x": np.zeros(2)}, np.array([2, 3])).place(1)
        'a.csv: line 3'
        """
        return f"{self.name}: {self.unit} {self.lines[row]}"

    def rows(self, encoding: "Encoding") -> "NDArray[Any] | Stored":
        """Return rows of features (N, F)."""
        return encoding.apply(self)

    def blocks(self) -> NDArray[np.int64] | None:
        """Return the numbers of the rows (B + 1,) between which they are best read together; None where any will do."""
        return None

    def column(self, name: str) -> NDArray[Any]:
        """Return a column; raises DataError with the nearest name."""
        if name not in self.columns:
            raise DataError(f"{self.name}: no column is called {name!r}: {suggest(name, self.columns)}")
        return self.columns[name]

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return where a column has no value; raises DataError as `column` does."""
        column = self.column(name)
        absent: NDArray[np.bool_] = np.isnan(column) if column.dtype.kind == "f" else np.equal(column, "").astype(bool)
        return absent


@dataclass(frozen=True)
class Feature:
    """What one column becomes.

    Args:
        column: its name.
        categories: of words, one feature each, 1 for the row's own and 0 else; None for numbers.
        fill: what stands for a missing value, from the training rows; None where no policy was stated.
    """

    column: str
    categories: tuple[str, ...] | None = None
    fill: float | str | None = None

    @property
    def names(self) -> list[str]:
        """Names of the features.

        >>> Feature("city", ("Oslo", "Rome")).names
        ['city=Oslo', 'city=Rome']
        """
        return [self.column] if self.categories is None else [f"{self.column}={one}" for one in self.categories]


@dataclass(frozen=True)
class Encoding:
    """How columns become features, fitted on the training rows alone.

    Numbers stay; words become one feature a category, which is 1 for the category of the row and 0 else. A missing
    value is an error, or filled with what the policy says of the training rows.
    """

    features: tuple[Feature, ...]

    @classmethod
    def fit(cls, table: Table, columns: Sequence[str], rows: NDArray[np.int64], missing: str = "error") -> "Encoding":
        """Fit on the training rows of some columns.

        Args:
            table: all rows.
            columns: that become features.
            rows: numbers of the training rows.
            missing: "error"; or what stands for a missing number: "mean", "median" or "most_frequent". For a missing
                word it is the most frequent in any case.

        Raises:
            DataError: a missing value without a policy, with its row; a column with nothing but missing values or with
                too many categories.

        >>> table = Table("t", {"x": np.array([1.0, np.nan, 3.0])}, np.array([2, 3, 4]))
        >>> Encoding.fit(table, ["x"], np.arange(3), "mean").apply(table)
        array([[1.],
               [2.],
               [3.]])
        """
        if missing not in MISSING:
            raise DataError(f"missing: no policy is called {missing!r}: {suggest(missing, MISSING)}")
        return cls(tuple(_feature(table, name, rows, missing) for name in columns))

    @property
    def names(self) -> list[str]:
        """Names of all features, in the order of the rows."""
        return [name for feature in self.features for name in feature.names]

    def apply(self, table: Table) -> NDArray[Any]:
        """Return rows of features (N, F), float32 where all columns of numbers are, else float64.

        Raises:
            DataError: a missing column or value, unknown words.
        """
        widths = [len(feature.names) for feature in self.features]
        require_available(
            f"{table.name}: {len(table):,} rows of {sum(widths):,} features",
            2 * 8 * len(table) * sum(widths),  # a split copies
            "leave out columns of many words with ignore",
        )
        columns = [self._encoded(table, feature) for feature in self.features]
        double = any(column.dtype == np.float64 for column in columns)
        rows = np.empty((len(table), sum(widths)), np.float64 if double else np.float32)
        _write(columns, widths, rows)
        return rows

    def write(self, table: Table, rows: NDArray[Any]) -> None:
        """Write rows of features into an array (N, F); raises DataError as `apply` does.

        >>> rows = np.empty((2, 2), np.float32)
        >>> encoding = Encoding((Feature("city", ("Oslo", "Rome")),))
        >>> encoding.write(Table("t", {"city": np.array(["Rome", "Oslo"], object)}, np.array([2, 3])), rows)
        >>> rows
        array([[0., 1.],
               [1., 0.]], dtype=float32)
        """
        columns = [self._encoded(table, feature) for feature in self.features]
        _write(columns, [len(feature.names) for feature in self.features], rows)

    def _encoded(self, table: Table, feature: Feature) -> NDArray[Any]:
        """Return the numbers of a column without gaps, or the place of each word among the categories."""
        column = table.column(feature.column)
        if (column.dtype.kind == "f") != (feature.categories is None):
            expected, found = ("numbers", "words") if feature.categories is None else ("words", "numbers")
            raise DataError(f"{table.name}: column {feature.column!r} should have {expected}, found {found}")
        absent = table.missing(feature.column)
        if absent.any():
            if feature.fill is None:
                raise _missing(table, feature.column, absent)
            column = column.copy()
            column[absent] = feature.fill
        if feature.categories is None:
            return column
        numbers = {one: number for number, one in enumerate(feature.categories)}
        codes = np.array([numbers.get(word, -1) for word in column], np.int64)
        if (codes < 0).any():
            row = int(np.argmax(codes < 0))
            raise DataError(
                f"{table.place(row)}: {feature.column!r} is {column[row]!r}, which no training row has: correct it, or "
                "leave the row or the column out"
            )
        return codes

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "features": [
                {
                    "column": one.column,
                    "categories": None if one.categories is None else list(one.categories),
                    "fill": one.fill,
                }
                for one in self.features
            ]
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "Encoding":
        """Rebuild what `to_dict` gave.

        >>> encoding = Encoding((Feature("city", ("Oslo", "Rome")), Feature("age", fill=30.0)))
        >>> Encoding.from_dict(encoding.to_dict()) == encoding
        True
        """
        features = []
        for one in saved["features"]:
            categories = one["categories"]
            features.append(Feature(one["column"], None if categories is None else tuple(categories), one["fill"]))
        return cls(tuple(features))


def _write(columns: Sequence[NDArray[Any]], widths: Sequence[int], rows: NDArray[Any]) -> None:
    """Write numbers, and 1 at the place of each word, into rows (N, F)."""
    for first in range(0, len(rows), _TOGETHER):
        place, begin = slice(first, first + _TOGETHER), 0
        some = rows[place]
        for column, width in zip(columns, widths, strict=True):
            if column.dtype.kind == "f":
                some[:, begin] = column[place]
            else:
                some[:, begin : begin + width] = 0
                some[np.arange(len(some)), begin + column[place]] = 1
            begin += width


def _feature(table: Table, name: str, rows: NDArray[np.int64], missing: str) -> Feature:
    absent = table.missing(name)
    if absent.any() and missing == "error":
        raise _missing(table, name, absent)
    known = table.column(name)[rows][~absent[rows]]
    if not len(known):
        raise DataError(f"{table.name}: column {name!r} has no value in any training row: leave it out with ignore")
    if known.dtype.kind == "f":
        if missing == "error":
            return Feature(name)
        with np.errstate(all="ignore"):
            fill = float(_FILLS[missing](known))
        if not np.isfinite(fill):
            raise DataError(
                f"{table.name}: column {name!r} has a {missing} of {fill}, which fills no gap: some numbers are too "
                "large or infinite: correct them, or leave it out with ignore"
            )
        return Feature(name, None, fill)
    categories = tuple(sorted(set(known.tolist())))
    if len(categories) > MOST_CATEGORIES:
        raise DataError(
            f"{table.name}: column {name!r} has {len(categories):,} different words in {len(known):,} training rows, "
            f"more than {MOST_CATEGORIES:,}: if they name the rows, leave it out with ignore"
        )
    return Feature(name, categories, str(_most_frequent(known)) if missing != "error" else None)


def _most_frequent(values: NDArray[Any]) -> Any:
    """The first in order among those that come most often."""
    found, counts = np.unique(values, return_counts=True)
    return found[np.argmax(counts)]


_FILLS: dict[str, Callable[[NDArray[Any]], Any]] = {
    "mean": np.mean,
    "median": np.median,
    "most_frequent": _most_frequent,
}


def _missing(table: Table, name: str, absent: NDArray[np.bool_]) -> DataError:
    row, count = int(np.argmax(absent)), int(absent.sum())
    more = f", and {count - 1} more" if count > 1 else ""
    return DataError(
        f"{table.place(row)}{more}: {name!r} has no value: fill it in, or state a policy with "
        f"missing, one of {', '.join(MISSING[1:])}"
    )
