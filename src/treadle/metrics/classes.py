"""How well classes are told apart: the confusion matrix, and precision, recall and F1 of each class and on average."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from treadle.metrics.intervals import Array, Score, drawn_counts, number, percentile_interval, wilson
from treadle.text import aligned

SHOWN = 20  # more classes than this, and their table shows those told worst, and no matrix
_CELL = 10  # letters of a class's name above a column
RATES = ("precision", "recall", "f1")


@dataclass(frozen=True, eq=False, repr=False)
class ClassReport:
    """Counts of true and predicted classes with all that follows from them; printing it gives tables.

    Of a class with TP samples rightly predicted, FP wrongly predicted as it and FN of it predicted as others:
    precision TP / (TP + FP), recall TP / (TP + FN), F1 2 TP / (2 TP + FP + FN), which is their harmonic mean. Precision
    is not defined (NaN) where no sample is predicted as the class, recall where it has no sample, F1 where neither.

    The 95 % intervals of each class are Wilson's, given TP + FP, TP + FN or TP + FP + FN; F1 is 2J / (1 + J) of the
    share J = TP / (TP + FP + FN), and so are the ends of its interval. Averages leave out the classes where a score is
    not defined, and say so; their intervals are those of the percentile bootstrap over samples, see
    `percentile_interval`.

    Args:
        classes: names, C of them.
        cells: (M, 3), true class, predicted class and number of samples, where there are any; in order.
        elsewhere: (C,), samples of each class whose prediction is none of the classes.

    >>> report = class_report(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 1]), ("no", "yes"))
    >>> report.confusion.tolist(), report.precision.tolist(), report.recall.tolist(), report.f1.round(3).tolist()
    ([[1, 1], [0, 3]], [1.0, 0.75], [0.5, 1.0], [0.667, 0.857])

    Source: van Rijsbergen, Information Retrieval, 2nd edition, Butterworths 1979; intervals of averages: Efron and
    Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993, chapter 13.
    """

    classes: tuple[str, ...]
    cells: Array
    elsewhere: Array

    @property
    def confusion(self) -> Array:
        """The confusion matrix (C, C): samples by true class in rows and predicted class in columns."""
        matrix = np.zeros((len(self.classes),) * 2, np.int64)
        matrix[self.cells[:, 0], self.cells[:, 1]] = self.cells[:, 2]
        return matrix

    @cached_property
    def support(self) -> Array:
        """Samples of each class (C,)."""
        return self.elsewhere + self._sums(self.cells[:, 0])

    @cached_property
    def predicted(self) -> Array:
        """Samples predicted as each class (C,)."""
        return self._sums(self.cells[:, 1])

    @cached_property
    def hits(self) -> Array:
        """Samples of each class predicted as it (C,)."""
        return self._sums(np.where(self.cells[:, 0] == self.cells[:, 1], self.cells[:, 0], len(self.classes)))

    @property
    def precision(self) -> Array:
        """Of the samples predicted as each class, the share that are of it (C,)."""
        return _share(self.hits, self.predicted)

    @property
    def recall(self) -> Array:
        """Of the samples of each class, the share predicted as it (C,)."""
        return _share(self.hits, self.support)

    @property
    def f1(self) -> Array:
        """Harmonic mean of precision and recall of each class (C,)."""
        return _share(2 * self.hits, self.predicted + self.support)

    def intervals(self, rate: str) -> Array:
        """95 % intervals (C, 2) of "precision", "recall" or "f1" of each class, NaN where that is not defined."""
        either = self.predicted + self.support - self.hits
        low, high = wilson(self.hits, {"precision": self.predicted, "recall": self.support, "f1": either}[rate])
        pairs = np.stack([low, high], axis=1)
        return 2 * pairs / (1 + pairs) if rate == "f1" else pairs

    @cached_property
    def accuracy(self) -> Score:
        """Share of samples whose class is predicted."""
        right, count = self.hits.sum(), self.support.sum()
        low, high = wilson(right, count)
        return Score(float(right / count), (float(low), float(high)))

    @cached_property
    def averages(self) -> dict[str, Score]:
        """Precision, recall and F1 averaged over classes: macro_…, all the same, and weighted_…, by support.

        `macro_recall` is balanced accuracy, `weighted_recall` accuracy.
        """
        values = _averages(self.hits[None], self.predicted[None], self.support[None])
        found: dict[str, list[Array]] = {name: [] for name in values}
        for counts in self._resampled():
            for name, resampled in _averages(*counts).items():
                found[name].append(resampled)
        notes, made = self._left_out(), {}
        for name, (value,) in values.items():
            interval = percentile_interval(np.concatenate(found[name]), float(value), 0.0, 1.0)
            made[name] = Score(float(value), None if math.isnan(value) else interval, notes[name.split("_")[1]])
        return made | {"weighted_recall": self.accuracy}

    @property
    def balanced_accuracy(self) -> Score:
        """Mean recall of the classes that have samples."""
        return self.averages["macro_recall"]

    def confusions(self, most: int = SHOWN) -> list[tuple[str, str, int]]:
        """Return the most frequent mistakes: true class, predicted class, samples."""
        wrong = self.cells[self.cells[:, 0] != self.cells[:, 1]]
        chosen = wrong[np.argsort(-wrong[:, 2], kind="stable")[:most]]
        return [(self.classes[true], self.classes[found], int(count)) for true, found, count in chosen.tolist()]

    def undefined(self, index: int) -> str:
        """Return why precision, recall or F1 of a class are not defined, empty where all are."""
        missing = [] if self.support[index] else ["no sample"]
        return " and ".join(missing + ([] if self.predicted[index] else ["none predicted"]))

    def to_dict(self) -> dict[str, Any]:
        """Return counts and scores as plain values; the confusion matrix as its cells that are not 0."""
        pairs = {rate: self.intervals(rate) for rate in RATES}
        rates = {rate: getattr(self, rate) for rate in RATES}
        return {
            "accuracy": self.accuracy.to_dict(),
            "balanced_accuracy": self.balanced_accuracy.to_dict(),
            "averages": {name: score.to_dict() for name, score in self.averages.items()},
            "classes": [
                {
                    "name": name,
                    "support": int(self.support[i]),
                    "predicted": int(self.predicted[i]),
                    **{rate: {"value": float(rates[rate][i]), "interval": pairs[rate][i].tolist()} for rate in RATES},
                    "undefined": self.undefined(i),
                }
                for i, name in enumerate(self.classes)
            ],
            "confusion": dict(zip(("true", "predicted", "samples"), self.cells.T.tolist(), strict=True)),
            "no_class_predicted": self.elsewhere.tolist(),
        }

    def __repr__(self) -> str:
        averages = {name.replace("_f1", "_F1").replace("_", " "): score for name, score in self.averages.items()}
        scores = {"accuracy": self.accuracy, "balanced accuracy": self.averages["macro_recall"]}
        scores |= {name: score for name, score in averages.items() if not name.endswith("recall")}
        few = len(self.classes) <= SHOWN
        lines = [*aligned([(name, str(score)) for name, score in scores.items()], "<"), ""]
        lines += self._class_lines() + [""] + (self._matrix_lines() if few else self._confusion_lines())
        if nowhere := int(self.elsewhere.sum()):
            lines.append(f"predicted as none of the classes: {nowhere}")
        return "\n".join(lines)

    def _sums(self, groups: Array) -> Array:
        """Sums of the cells' samples by group 0..C−1 (C,); group C is left out."""
        sums = np.bincount(groups, weights=self.cells[:, 2], minlength=len(self.classes) + 1)
        return sums[: len(self.classes)].astype(np.int64)  # exact: sums of float64 up to 2⁵³

    def _left_out(self) -> dict[str, str]:
        count, empty, unseen = len(self.classes), self.support == 0, self.predicted == 0
        told = {
            "precision": (unseen, "with no sample predicted as theirs"),
            "recall": (empty, "without samples"),
            "f1": (empty & unseen, "neither predicted nor with samples"),
        }
        return {
            rate: f"without {int(out.sum())} of {count} classes, {why}" if out.any() else ""
            for rate, (out, why) in told.items()
        }

    def _resampled(self) -> Iterator[tuple[Array, Array, Array]]:
        """Hits, predicted and support (B, C) of resamples, through multinomial counts of the cells."""
        nowhere = np.flatnonzero(self.elsewhere)
        true = np.concatenate([self.cells[:, 0], nowhere])
        found = np.concatenate([self.cells[:, 1], np.full(len(nowhere), len(self.classes))])
        totals = np.concatenate([self.cells[:, 2], self.elsewhere[nowhere]])
        by_true, by_predicted = np.argsort(true, kind="stable"), np.argsort(found, kind="stable")
        diagonal = np.flatnonzero(true == found)
        for counts in drawn_counts(totals):
            hits = np.zeros((len(counts), len(self.classes)), np.int64)
            hits[:, true[diagonal]] = counts[:, diagonal]
            yield (
                hits,
                _grouped(counts[:, by_predicted], found[by_predicted], len(self.classes)),
                _grouped(counts[:, by_true], true[by_true], len(self.classes)),
            )

    def _class_lines(self) -> list[str]:
        rows = [["class", "samples", "predicted", "precision", "95 %", "recall", "95 %", "F1", "95 %", ""]]
        shown = range(len(self.classes))
        more = []
        if len(self.classes) > SHOWN:
            f1 = np.where(np.isnan(self.f1), 2.0, self.f1)
            shown = np.argsort(f1, kind="stable")[:SHOWN].tolist()
            more = [f"({len(self.classes) - SHOWN} more classes, of higher F1)"]
        pairs = {rate: self.intervals(rate) for rate in RATES}
        for i in shown:
            row = [self.classes[i], str(self.support[i]), str(self.predicted[i])]
            for rate in RATES:
                value, (low, high) = getattr(self, rate)[i], pairs[rate][i]
                row += ["-", "-"] if math.isnan(value) else [number(value), f"{low:.2f}–{high:.2f}"]
            rows.append([*row, self.undefined(i)])
        return [*aligned(rows, "<>>>>>>>><"), *more]

    def _matrix_lines(self) -> list[str]:
        names = [name if len(name) <= _CELL else f"{name[: _CELL - 1]}…" for name in self.classes]
        rows = [["true \\ predicted", *names]]
        rows += [[name, *map(str, row)] for name, row in zip(self.classes, self.confusion.tolist(), strict=True)]
        return aligned(rows, "<>")

    def _confusion_lines(self) -> list[str]:
        found = self.confusions()
        if not found:
            return ["no class is taken for another"]
        rows: list[Sequence[str]] = [("true", "predicted as", "samples")]
        return aligned([*rows, *((true, other, str(count)) for true, other, count in found)], "<<>")


def class_report(labels: Array, predicted: Array, classes: tuple[str, ...]) -> ClassReport:
    """Count labels (N,) and predicted classes (N,), of which those outside 0..C−1 are none of the classes."""
    count = len(classes)
    labels = np.asarray(labels).astype(np.int64)
    known = (predicted >= 0) & (predicted < count)
    flat, counts = np.unique(labels[known] * count + predicted[known], return_counts=True)
    cells = np.stack([flat // count, flat % count, counts], axis=1).astype(np.int64)
    return ClassReport(classes, cells, np.bincount(labels[~known], minlength=count).astype(np.int64))


def _share(part: Array, whole: Array) -> Array:
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))


def _averages(hits: Array, predicted: Array, support: Array) -> dict[str, Array]:
    """Averages over classes (B,) from counts (B, C), of the classes where a score is defined; NaN where none is."""
    rates = {"precision": (hits, predicted), "recall": (hits, support), "f1": (2 * hits, predicted + support)}
    made = {}
    for kind in ("macro", "weighted"):
        for rate, (part, whole) in rates.items():
            weights = (whole > 0) * (support if kind == "weighted" else 1)
            values = np.where(whole > 0, part / np.maximum(whole, 1), 0.0)
            made[f"{kind}_{rate}"] = _share((values * weights).sum(axis=1), weights.sum(axis=1))
    return made


def _grouped(counts: Array, groups: Array, size: int) -> Array:
    """Sums (B, size) of columns of counts (B, M) by group, which is in order; groups from `size` on are left out."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    sums = np.zeros((len(counts), size + 1), np.int64)
    sums[:, groups[starts]] = np.add.reduceat(counts, starts, axis=1)
    return np.asarray(sums[:, :size])
