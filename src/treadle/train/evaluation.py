"""How good a network is on one set of samples: scores with intervals, classes, calibration, and the worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from treadle.data import Dataset
from treadle.errors import DataError, ShapeError
from treadle.losses import Loss
from treadle.metrics import (
    Calibration,
    ClassReport,
    Metric,
    Score,
    ValueReport,
    calibration_of,
    class_report,
    positive_interval,
    predicted_class,
    ratio_interval,
    value_report,
)
from treadle.metrics.intervals import number
from treadle.tensor import Tensor
from treadle.text import aligned
from treadle.train.step import Array

WORST = 20
_IN_REPORTS = ("accuracy", "squared_error", "absolute_error")  # metrics that the reports print as well


@dataclass(frozen=True)
class Worst:
    """One of the samples with the largest loss.

    Args:
        index: in the set, from 0.
        place: where it lies in what was read, such as "line 5"; empty where that is not known.
        target, prediction: names of classes, or numbers.
        target_probability, prediction_probability: of the two classes; None where the network gives none.
        loss: of this sample, weighted where the loss has weights.
    """

    index: int
    place: str
    target: str | float
    prediction: str | float
    target_probability: float | None
    prediction_probability: float | None
    loss: float


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """All that is told of a network on one set; printing it gives tables.

    Args:
        name: of the set.
        samples: how many it has.
        loss: mean loss with its interval.
        metrics: the scores of the recipe's metrics, by name.
        classes: of data with classes: what is taken for what. Numbers predicted by a regression are rounded to labels.
        calibration: of a network that gives probabilities.
        values: of a network that gives numbers.
        worst: the samples with the largest loss, that with the largest first; of equal ones the first in the set.
    """

    name: str
    samples: int
    loss: Score
    metrics: dict[str, Score]
    classes: ClassReport | None
    calibration: Calibration | None
    values: ValueReport | None
    worst: tuple[Worst, ...]

    def flat(self) -> dict[str, Any]:
        """Return loss, number of samples and metrics, with intervals as loss_interval and <metric>_interval."""
        result: dict[str, Any] = {"loss": self.loss.value, "loss_interval": self.loss.interval, "samples": self.samples}
        for name, score in self.metrics.items():
            result |= {name: score.value, f"{name}_interval": score.interval}
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; reports that there are not are None."""
        reports = {"classes": self.classes, "calibration": self.calibration, "values": self.values}
        return {
            "set": self.name,
            "samples": self.samples,
            "loss": self.loss.to_dict(),
            "metrics": {name: score.to_dict() for name, score in self.metrics.items()},
            **{name: None if report is None else report.to_dict() for name, report in reports.items()},
            "worst": [asdict(sample) for sample in self.worst],
        }

    def __repr__(self) -> str:
        shown = {name: score for name, score in self.metrics.items() if name not in _IN_REPORTS}
        rows = [(name, str(score)) for name, score in {"loss": self.loss, **shown}.items()]
        blocks = ["\n".join([f"{self.name}: {self.samples:,} samples", *aligned(rows, "<")])]
        blocks += [repr(report) for report in (self.classes, self.calibration, self.values) if report is not None]
        if self.worst:
            blocks.append("\n".join([f"the {len(self.worst)} samples with the largest loss", *self._worst_lines()]))
        return "\n\n".join(blocks)

    def _worst_lines(self) -> list[str]:
        probabilities = any(sample.target_probability is not None for sample in self.worst)
        head = ["sample", "place", "target", "prediction", *(["its probability", "of target"] * probabilities), "loss"]
        rows = [head]
        for sample in self.worst:
            cells = [str(sample.index), sample.place, _written(sample.target), _written(sample.prediction)]
            if probabilities:
                cells += [_written(sample.prediction_probability), _written(sample.target_probability)]
            rows.append([*cells, number(sample.loss)])
        if not any(sample.place for sample in self.worst):
            rows = [[row[0], *row[2:]] for row in rows]
            return aligned(rows, "><<>")
        return aligned(rows, "><<<>")


@np.errstate(all="ignore")  # overflow shows in the numbers themselves
def evaluation_of(
    outputs: Array, loss: Loss, data: Dataset, metrics: Sequence[Metric] = (), worst: int = WORST
) -> Evaluation:
    """Judge the outputs (N, K) of a network on a set of N samples.

    Metrics and reports rest on predictions that are computed from the outputs in float64, so that small probabilities
    do not become equal.

    Args:
        outputs: scores or numbers, as they leave the network.
        loss: what the network was trained with.
        data: the set; inputs are not looked at.
        metrics: what to score besides.
        worst: how many of the samples with the largest loss are told.

    Raises:
        DataError: the set is empty.
        ShapeError: outputs are not what the loss needs for each sample.
        LossError: loss and targets do not fit.

    >>> import treadle as td
    >>> from treadle.metrics import METRICS
    >>> rows = td.data.Dataset(np.zeros((4, 1)), np.array([0, 1, 1, 0]), ("no", "yes"), "test")
    >>> scores = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [3.0, 0.0]])
    >>> found = evaluation_of(scores, td.losses.CrossEntropy(), rows, [METRICS["accuracy"]])
    >>> found.metrics["accuracy"].value, found.classes.confusion.tolist(), found.worst[0].index
    (0.75, [[2, 0], [1, 1]], 2)
    """
    count, classes = len(data), data.classes
    if not count:
        raise DataError(f"{data.name}: the set is empty, and nothing can be judged on it")
    needed = loss.outputs(None if classes is None else len(classes))
    if outputs.shape != (count, needed):
        raise ShapeError(
            f"{data.name}: {count} samples and {type(loss).__name__} need outputs of shape ({count}, {needed}), "
            f"found {outputs.shape}"
        )
    targets = loss.targets(data.targets, outputs.dtype)
    score, losses = _loss(loss, outputs, targets)
    predictions = loss.predict(Tensor(outputs.astype(np.float64))).numpy()
    scores = {metric.name: metric.per_sample(predictions, data.targets) for metric in metrics}
    probabilities = predictions if loss.compares == "classes" and _distributions(predictions) else None
    found = None if classes is None else predicted_class(predictions)
    return Evaluation(
        data.name,
        count,
        score,
        {
            metric.name: Score(float(np.mean(scores[metric.name])), metric.interval(scores[metric.name]))
            for metric in metrics
        },
        None if classes is None or found is None else class_report(data.labels, found, classes),
        None if probabilities is None else calibration_of(probabilities, data.labels),
        value_report(predictions[:, 0], data.targets) if loss.compares == "values" else None,
        () if losses is None else _worst(losses, predictions, probabilities, loss, data, worst),
    )


def _loss(loss: Loss, outputs: Array, targets: Array) -> tuple[Score, Array | None]:
    """Mean loss with its interval, and the losses of samples if the loss gives them."""
    value = loss(Tensor(outputs), targets).item()
    if type(loss).each is Loss.each:
        note = (
            f"no interval, and no worst samples: {type(loss).__name__} has no method `each` for the losses of samples"
        )
        return Score(value, (-math.inf, math.inf), note), None
    losses = loss.each(Tensor(outputs), targets).numpy().astype(np.float64)
    interval = positive_interval if loss.nonnegative else ratio_interval
    low, high = interval(losses, loss.sample_weights(targets))
    return Score(value, (min(low, value), max(high, value))), losses  # rounding must not put the loss outside


def _distributions(predictions: Array) -> bool:
    """Whether rows are probabilities; those that are not finite may have been."""
    finite = predictions[np.isfinite(predictions).all(axis=1)]
    return bool(((finite >= 0) & (finite <= 1)).all() and (np.abs(finite.sum(axis=1) - 1) <= 1e-3).all())


def _worst(
    losses: Array, predictions: Array, probabilities: Array | None, loss: Loss, data: Dataset, most: int
) -> tuple[Worst, ...]:
    rows = np.argsort(-np.where(np.isnan(losses), math.inf, losses), kind="stable")[:most].tolist()
    best = predicted_class(predictions[rows]).tolist()
    made = []
    for row, found in zip(rows, best, strict=True):
        target: str | float = float(data.targets[row])
        prediction: str | float = float(predictions[row, 0])
        if loss.compares == "classes" and data.classes is not None:
            target, prediction = data.classes[int(target)], data.classes[found] if found >= 0 else "none"
        given = probabilities is not None
        of_target = float(predictions[row, int(data.targets[row])]) if given else None
        of_prediction = (float(predictions[row, found]) if found >= 0 else math.nan) if given else None
        place = "" if data.places is None else data.places.name(row)
        made.append(Worst(row, place, target, prediction, of_target, of_prediction, float(losses[row])))
    return tuple(made)


def _written(cell: str | float | None) -> str:
    return cell if isinstance(cell, str) else "" if cell is None else number(cell)
