"""What a machine can check of the data before the first step."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import Dataset, Sets, class_counts
from treadle.data.stored import Stored
from treadle.errors import DataError

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing found in the data.

    Args:
        severity: an error stops training, a warning is shown before it, a note is told by `examine` alone.
        where: name of the set, or "data" for what concerns all.
        message: what was found.
        rows: numbers of the first samples in the set that it concerns; of the first rows where that is "data".
        advice: what to do.
        places: where these samples come from, such as "line 7" of a file.
    """

    severity: Severity
    where: str
    message: str
    rows: tuple[int, ...] = ()
    advice: str = ""
    places: tuple[str, ...] = ()


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Return findings with errors first, then warnings, then notes."""
    order = ("error", "warning", "note")
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def check(sets: Sets) -> list[Finding]:
    """Check counts, shapes, finite values, labels and classes of the three sets; no findings is the empty list.

    >>> rows = Dataset(np.zeros((2, 3), np.float32), np.array([0, 2]), ("no", "yes"), "train")
    >>> for finding in check(Sets(rows, rows[:1], rows[:1], "tiny", "made up")):
    ...     print(f"{finding.severity} in {finding.where}: {finding.message}")
    error in train: row 1 has label 2, expected 0..1 (2 classes)
    warning in train: no sample of class yes
    warning in validation: no sample of class yes
    warning in test: no sample of class yes
    """
    findings: list[Finding] = []
    for name, part in sets.parts().items():
        errors = [*_counts(part), *_shape(part, sets.train), *_finite(part), *_labels(part)]
        findings += [Finding("error", name, message) for message in errors]
        findings += [Finding("warning", name, message) for message in _missing_classes(part)]
    return findings


def require_valid(sets: Sets) -> None:
    """Raise DataError that lists every error of `check`; warnings pass.

    >>> rows = Dataset(np.zeros((0, 3), np.float32), np.zeros(0), None, "train")
    >>> require_valid(Sets(rows, rows, rows, "none", ""))
    Traceback (most recent call last):
    treadle.errors.DataError: none: 3 errors in the data
    train: the set is empty
    validation: the set is empty
    test: the set is empty
    """
    errors = [finding for finding in check(sets) if finding.severity == "error"]
    if errors:
        lines = [f"{finding.where}: {finding.message}" for finding in errors]
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        raise DataError("\n".join([f"{sets.name}: {count} in the data", *lines]))


def _counts(part: Dataset) -> list[str]:
    if not len(part.inputs) and not len(part.targets):
        return ["the set is empty"]
    if part.targets.ndim != 1:
        return [f"targets have shape {part.targets.shape}, expected (N,)"]
    if len(part.inputs) != len(part.targets):
        return [f"{len(part.inputs)} samples but {len(part.targets)} targets"]
    return []


def _shape(part: Dataset, train: Dataset) -> list[str]:
    messages = []
    if part.shape != train.shape:
        messages.append(f"samples have shape {part.shape}, those of train {train.shape}")
    if part.inputs.dtype != train.inputs.dtype:
        messages.append(f"inputs are {part.inputs.dtype}, those of train {train.inputs.dtype}")
    if part.classes != train.classes:
        messages.append("classes differ from those of train")
    return messages


def _finite(part: Dataset) -> list[str]:
    messages = []
    for field, array in (("input", part.inputs), ("target", part.targets)):
        if array.dtype.kind not in "buif":
            messages.append(f"{field}s are {array.dtype}, expected real numbers")
        elif array.dtype.kind == "f" and (found := _first_odd(array)):
            messages.append(f"row {found[0][0]} has the {field} {found[1]}, expected finite values")
    return messages


def _first_odd(array: NDArray[Any] | Stored) -> tuple[tuple[int, ...], float] | None:
    """Place and value of the first that is not finite."""
    if isinstance(array, Stored):
        return array.survey.odd
    finite = np.isfinite(array)
    if finite.all():
        return None
    place = tuple(int(n) for n in np.unravel_index(int(finite.argmin()), array.shape))
    return place, float(array[place])


def _labels(part: Dataset) -> list[str]:
    if part.classes is None or part.targets.ndim != 1 or part.targets.dtype.kind not in "buif":
        return []
    labels, count = part.targets, len(part.classes)
    if labels.dtype.kind not in "ui":
        fractional = labels != np.floor(labels) if labels.dtype.kind == "f" else np.zeros(len(labels), bool)
        detail = f"; row {fractional.argmax()} has {labels[fractional.argmax()]}" if fractional.any() else ""
        return [f"labels are {labels.dtype}, expected integers{detail}"]
    wrong = (labels < 0) | (labels >= count)
    if wrong.any():
        row = int(wrong.argmax())
        return [f"row {row} has label {labels[row]}, expected 0..{count - 1} ({count} classes)"]
    return []


def _missing_classes(part: Dataset) -> list[str]:
    if part.classes is None or part.targets.ndim != 1 or part.targets.dtype.kind not in "ui" or not part.targets.size:
        return []
    counts = class_counts(part, len(part.classes))
    missing = [name for name, count in zip(part.classes, counts, strict=True) if count == 0]
    return [f"no sample of class {', '.join(missing)}"] if missing else []
