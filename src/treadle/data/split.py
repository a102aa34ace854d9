"""Splits: which samples train, which choose settings, and which test. Each sample is in one set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from treadle.errors import DataError

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class RandomSplit:
    """Any sample into any set, by shares of all samples.

    Args:
        validation, test: shares of the samples; the rest is for training.
        seed: of the order that is cut; apart from that of training, so that runs with other seeds keep their test set.

    Raises:
        DataError: shares that leave a set empty.

    >>> [part.tolist() for part in RandomSplit(validation=0.25, test=0.25).parts(np.zeros(8))]
    [[0, 4, 5, 7], [2, 3], [1, 6]]
    """

    kind: ClassVar[str] = "random"
    needs: ClassVar[str] = ""
    validation: float = 0.15
    test: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.validation < 1 and 0 < self.test < 1 and self.validation + self.test < 1):
            raise ValueError(
                f"split: validation and test should be shares above 0 that leave some for training, found "
                f"{self.validation} and {self.test}"
            )
        if self.seed < 0:
            raise ValueError(f"split: seed must be at least 0, found {self.seed}")

    def parts(self, strata: NDArray[Any]) -> tuple[Indices, Indices, Indices]:
        """Return the numbers of the samples of each set, sorted.

        Args:
            strata: (N,), one value a sample: not used here, classes for `StratifiedSplit`, groups for `GroupedSplit`.
        """
        return self._checked(self._cut(np.arange(len(strata))))

    def _cut(self, indices: Indices) -> list[Indices]:
        """Shuffle some numbers and cut them by the shares; of few, each set gets one before training gets more."""
        order = self._shuffled(indices)
        test = _count(self.test, len(order))
        validation = min(_count(self.validation, len(order)), max(len(order) - test - 1, 0))
        return [order[validation + test :], order[:validation], order[validation : validation + test]]

    def _shuffled(self, indices: Indices) -> Indices:
        """Shuffle some numbers by the seed and the first of them, so that classes have orders of their own."""
        bits = _bits(self.seed, len(indices), int(indices[0]) if len(indices) else 0)
        order: Indices = indices[np.argsort(bits, kind="stable")]
        return order

    def _checked(self, parts: Sequence[Indices]) -> tuple[Indices, Indices, Indices]:
        for name, part in zip(("training", "validation", "test"), parts, strict=True):
            if not len(part):
                raise DataError(
                    f"split: no sample is left for {name}, of {sum(map(len, parts))} with shares of {self.validation} "
                    f"for validation and {self.test} for test: give more samples, or other shares"
                )
        train, validation, test = (np.sort(part) for part in parts)
        return train, validation, test


@dataclass(frozen=True, kw_only=True)
class StratifiedSplit(RandomSplit):
    """Each class by the shares, so that all sets have the same shares of classes, up to rounding.

    Args:
        validation, test, seed: as for `RandomSplit`.

    >>> parts = StratifiedSplit(validation=0.25, test=0.25).parts(np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    >>> [int((part < 4).sum()) for part in parts]
    [2, 1, 1]
    """

    kind: ClassVar[str] = "stratified"
    needs: ClassVar[str] = "classes"

    def parts(self, strata: NDArray[Any]) -> tuple[Indices, Indices, Indices]:
        """Return the numbers of the samples of each set, sorted; `strata` are the classes (N,)."""
        _, counts = np.unique(strata, return_counts=True)
        test = _spread(self.test, counts, counts - 1)
        validation = _spread(self.validation, counts, counts - 1 - test)
        of_class = np.split(np.argsort(strata, kind="stable"), np.cumsum(counts)[:-1])
        parts: list[list[Indices]] = [[], [], []]
        for mine, v, t in zip(of_class, validation, test, strict=True):
            order = self._shuffled(mine)
            for part, some in zip(parts, (order[v + t :], order[:v], order[v : v + t]), strict=True):
                part.append(some)
        return self._checked([np.concatenate([np.empty(0, np.int64), *part]) for part in parts])


@dataclass(frozen=True)
class GroupedSplit(RandomSplit):
    """Whole groups into one set each, such as all rows of a patient, by shares of the groups.

    Args:
        column: name of the column that tells the group; it is no feature.
        validation, test, seed: as for `RandomSplit`.

    >>> [part.tolist() for part in GroupedSplit("patient").parts(np.array(["a", "b", "a", "c", "b"]))]
    [[0, 2], [3], [1, 4]]
    """

    kind: ClassVar[str] = "grouped"
    needs: ClassVar[str] = "groups"
    column: str | int

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "column", str(self.column))  # columns without names are called 0, 1, …

    def parts(self, strata: NDArray[Any]) -> tuple[Indices, Indices, Indices]:
        """Return the numbers of the samples of each set, sorted; `strata` are the groups (N,)."""
        _, group = np.unique(strata, return_inverse=True)
        groups = self._cut(np.arange(group.max(initial=-1) + 1))
        return self._checked([np.flatnonzero(np.isin(group, part)) for part in groups])


SPLITS: dict[str, type[RandomSplit]] = {split.kind: split for split in (RandomSplit, StratifiedSplit, GroupedSplit)}


def _bits(seed: int, count: int, first: int) -> NDArray[np.uint64]:
    """Random numbers to sort by: of PCG64 itself, which NumPy keeps the same across versions."""
    return np.random.PCG64(np.random.SeedSequence([seed, first])).random_raw(count)


def _count(share: float, count: int) -> int:
    return max(round(share * count), 1 if count > 2 else 0)


def _spread(share: float, counts: NDArray[np.int64], most: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each class make up a share of all, at most so many: what rounding leaves goes by the remainders."""
    wanted = share * counts
    found: Indices = np.minimum(np.floor(wanted).astype(np.int64), np.maximum(most, 0))
    left = round(share * int(counts.sum())) - int(found.sum())
    for place in np.argsort(found - wanted, kind="stable"):
        if left > 0 and found[place] < most[place]:
            found[place] += 1
            left -= 1
    return found
