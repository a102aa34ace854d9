"""The containers of the data layer: one set of samples, and the three sets a model is built and judged with."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.stored import Stored, digest, taken
from treadle.errors import DataError
from treadle.text import aligned

if TYPE_CHECKING:
    from treadle.data.table import Encoding

_SHOWN_CLASSES = 20  # more columns than this no longer fit a terminal


@dataclass(frozen=True, eq=False)
class Places:
    """Where samples lie in what they were read from: lines or rows by number, or files by name.

    Args:
        unit: what the numbers count, such as "line"; empty for names.
        of: (N,), a number or name for each sample.

    >>> Places("line", np.array([2, 5])).name(1)
    'line 5'
    """

    unit: str
    of: NDArray[Any]

    def name(self, row: int | np.integer[Any]) -> str:
        """Return unit and number, or the name."""
        return f"{self.unit} {self.of[row]}".strip()

    def taken(self, index: slice | NDArray[Any]) -> "Places":
        """Return the places of some samples."""
        return Places(self.unit, self.of[index])


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples with their targets: inputs (N, ...), targets (N,); `classes` names the labels, None means regression.

    Inputs are an array, or stay on disk (`Stored`), where taking samples reads them. `blocks` tells how many samples,
    one after the other, lie together in their file and are best read together, and `window` how many are then shuffled
    together at most; None where that makes no difference. `places` tells where the samples come from.

    >>> digits = Dataset(np.zeros((3, 1, 2, 2), np.uint8), np.array([0, 1, 1]), ("zero", "one"), "train")
    >>> len(digits), digits.shape, digits[1:].labels
    (3, (1, 2, 2), array([1, 1]))
    """

    inputs: NDArray[Any] | Stored
    targets: NDArray[Any]
    classes: tuple[str, ...] | None
    name: str
    blocks: tuple[int, ...] | None = None
    window: int = 1
    places: Places | None = None

    @property
    def images(self) -> NDArray[Any] | Stored:
        """The inputs (N, C, H, W) of a set of images; raises DataError where a sample is a row of features."""
        if self.inputs.ndim != 4:
            raise DataError(
                f"{self.name} has no images: its inputs {self.inputs.shape} are rows of features, use .inputs"
            )
        return self.inputs

    @property
    def labels(self) -> NDArray[Any]:
        """The targets (N,) of a classification, integers 0..C−1; raises DataError where targets are plain numbers."""
        if self.classes is None:
            raise DataError(f"{self.name} has no labels: its targets are numbers to predict, use .targets")
        return self.targets

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample, without N."""
        return self.inputs.shape[1:]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: slice | NDArray[Any]) -> "Dataset":
        if not isinstance(index, slice) and np.ndim(index) != 1:
            raise DataError(f"{self.name}: index with a slice or an array of integers; sample 5 alone is [5:6]")
        places = None if self.places is None else self.places.taken(index)
        return Dataset(taken(self.inputs, index), self.targets[index], self.classes, self.name, places=places)

    def __repr__(self) -> str:
        kind = "regression" if self.classes is None else f"{len(self.classes)} classes"
        return f"Dataset({self.name!r}, inputs {self.inputs.shape} {self.inputs.dtype}, {kind})"


@dataclass(frozen=True, eq=False, repr=False)
class Sets:
    """Train, validation and test set of one source; its repr is the table a person checks before training.

    >>> rows = Dataset(np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1]), ("no", "yes"), "train")
    >>> print(Sets(rows, rows[:2], rows[2:], "tiny", "made up"))
    tiny: made up
    set         samples  shape    dtype  range  targets  range
    train             4   (2,)  float32   0..0    int64   0..1
    validation        2   (2,)  float32   0..0    int64   0..1
    test              2   (2,)  float32   0..0    int64   0..1
    <BLANKLINE>
    class       no  yes
    train        2    2
    validation   1    1
    test         1    1
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    name: str
    origin: str
    encoding: "Encoding | None" = None  # of a table: how its columns became features

    def parts(self) -> dict[str, Dataset]:
        """The three sets by name, in the order they are used."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def fingerprint(self) -> str:
        """SHA-256 in hex over those of all six arrays, of their dtype, shape and values; computed once.

        >>> rows = Dataset(np.zeros((4, 2)), np.zeros(4), None, "train")
        >>> a, b = Sets(rows, rows, rows, "a", ""), Sets(rows, rows, rows[:3], "b", "")
        >>> len(a.fingerprint()), a.fingerprint() == b.fingerprint()
        (64, False)
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        from hashlib import sha256

        found = sha256()
        for part in self.parts().values():
            for array in (part.inputs, part.targets):
                found.update((array.survey.digest if isinstance(array, Stored) else digest(array)).encode())
        return found.hexdigest()

    def __repr__(self) -> str:
        rows = [["set", "samples", "shape", "dtype", "range", "targets", "range"]]
        for name, part in self.parts().items():
            shape, dtype, targets = str(part.shape), str(part.inputs.dtype), str(part.targets.dtype)
            rows.append([name, str(len(part)), shape, dtype, _range(part.inputs), targets, _range(part.targets)])
        lines = [f"{self.name}: {self.origin}", *aligned(rows, "<>")]
        if self.train.classes is not None:
            lines += ["", *aligned(_class_rows(self.parts(), self.train.classes), "<>")]
        return "\n".join(lines)


def class_counts(part: Dataset, count: int) -> NDArray[np.int64]:
    """Samples per label 0..count−1; other labels are left out.

    >>> class_counts(Dataset(np.zeros((3, 1)), np.array([0, 2, 2]), ("a", "b", "c"), "train"), 3)
    array([1, 0, 2])
    """
    known = part.targets[(part.targets >= 0) & (part.targets < count)]
    return np.bincount(known.astype(np.int64), minlength=count).astype(np.int64, copy=False)


def _class_rows(parts: dict[str, Dataset], classes: tuple[str, ...]) -> list[list[str]]:
    shown = classes[:_SHOWN_CLASSES]
    more = [f"({len(classes) - len(shown)} more)"] if len(classes) > len(shown) else []
    rows = [["class", *shown, *more]]
    for name, part in parts.items():
        counts = class_counts(part, len(classes))
        hidden = [str(counts[len(shown) :].sum())] if more else []
        rows.append([name, *(str(count) for count in counts[: len(shown)]), *hidden])
    return rows


def evenly(part: Dataset, most: int) -> tuple[NDArray[np.int64], Dataset]:
    """Return a set in memory with the numbers of its samples: all of them, or of one on disk some, taken evenly.

    >>> rows = Dataset(np.zeros((3, 1)), np.zeros(3), None, "rows")
    >>> evenly(rows, 2)[0].tolist()
    [0, 1, 2]
    """
    if not isinstance(part.inputs, Stored):
        return np.arange(len(part)), part
    numbers = np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).astype(np.int64))
    some = part[numbers]
    return numbers, replace(some, inputs=some.inputs[:])


def extent(array: NDArray[Any] | Stored) -> tuple[float, float]:
    """Return the smallest and the largest of all values.

    >>> extent(np.array([[1, 5], [3, 2]]))
    (1.0, 5.0)
    """
    low, high = (array.survey.low, array.survey.high) if isinstance(array, Stored) else (array, array)
    return float(low.min()), float(high.max())


def _range(array: NDArray[Any] | Stored) -> str:
    if array.dtype.kind not in "buif":
        return "no numbers"
    return "{:.6g}..{:.6g}".format(*extent(array)) if array.size else "empty"
