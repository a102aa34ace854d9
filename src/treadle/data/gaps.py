"""A look at the missing values of a table, which otherwise end its loading where no policy is stated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treadle.data.table import MISSING, Table
from treadle.data.validity import Finding, Severity

SHOWN = 5  # rows that a finding lists
_KNOWN = ", ".join(MISSING[1:])


@dataclass(frozen=True)
class Gaps:
    """In place of a policy for missing values: they are noted, and filled or left out, so that the rest can be seen.

    Args:
        policy: that was stated, or "error".
        findings: that are added to: an error for each column with missing values that would end a training, a note for
            one that the policy fills.

    >>> table = Table("t", {"x": np.array([1.0, np.nan, 3.0])}, np.array([2, 3, 4]))
    >>> gaps = Gaps("error", [])
    >>> gaps.usable(table, ["x"], np.arange(3))
    (['x'], 'median')
    >>> gaps.findings[0].message, gaps.findings[0].places
    ("'x' has no value in 1 of 3 rows", ('line 3',))
    """

    policy: str
    findings: list[Finding]

    def usable(self, table: Table, names: Sequence[str], rows: NDArray[np.int64]) -> tuple[list[str], str]:
        """Note the missing values of columns that become features.

        Args:
            table: all rows.
            names: of the columns.
            rows: numbers of the training rows.

        Returns:
            Columns with a value in a training row, and the policy by which their gaps are filled: the one that was
            stated, or else the median where there are any.
        """
        usable, policy = [], self.policy
        filling = "median" if self.policy == "error" else self.policy
        for name in names:
            absent = table.missing(name)
            if absent[rows].all():
                self._note("error", table, repr(name), absent, "leave it out with ignore: no training row has a value")
                continue
            usable.append(name)
            number = table.column(name).dtype.kind == "f"
            filled = f"the {filling.replace('_', ' ') if number else 'most frequent word'} of the training rows"
            if absent.any() and self.policy == "error":
                policy = filling
                advice = (
                    f"fill it in, leave these rows or the column out, or state a policy with missing, one of {_KNOWN}"
                )
                self._note("error", table, repr(name), absent, f"{advice}; in this look, {filled} stands in for it")
            elif absent.any():
                self._note("note", table, repr(name), absent, f"nothing: {filled} stands in for it")
        return usable, policy

    def leave_out(self, table: Table, what: str, absent: NDArray[np.bool_]) -> None:
        """Note rows that are left out, for they have no value for `what`, such as the target."""
        self._note("error", table, what, absent, "fill it in, or leave these rows out, as this look does")

    def _note(self, severity: Severity, table: Table, what: str, absent: NDArray[np.bool_], advice: str) -> None:
        rows = tuple(int(row) for row in np.flatnonzero(absent)[:SHOWN])
        message = f"{what} has no value in {int(absent.sum()):,} of {len(table):,} rows"
        places = tuple(f"{table.unit} {table.lines[row]}" for row in rows)
        self.findings.append(Finding(severity, "data", message, rows, advice, places))
