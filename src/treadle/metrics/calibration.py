"""Whether probabilities are what they claim to be: reliability, calibration error, Brier score, log loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.metrics.intervals import RESAMPLES, Array, Score, number, percentile_interval, positive_interval
from treadle.metrics.metric import predicted_class
from treadle.text import aligned

BINS = 15


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """Confidence beside accuracy, in bins of equal width; printing it gives a table.

    Args:
        counts: (B,), samples whose confidence, the probability of the predicted class, lies in each bin: bin b of B
            holds (b/B, (b+1)/B], and the first one 0 as well.
        confidence: (B,), mean confidence of these samples; NaN where there are none.
        accuracy: (B,), share of them whose class is predicted; NaN where there are none.
        error: expected calibration error e = Σ counts/N |accuracy − confidence|. Few samples alone make it larger than
            0: its interval is `percentile_interval` of a parametric bootstrap, which draws the bins' sums of
            confidence − right from the normal distribution of their covariance over samples. It begins at 0 where e is
            within the 97.5 % point of samples whose predicted class is right as often as their confidence says.
        brier: Brier score, mean of Σ_c (p_c − t_c)² over samples, for one-hot t: from 0 to 2.
        log_loss: mean of −log p of the class; infinite where one is 0.

    Source: Guo and others, On calibration of modern neural networks, ICML 2017; Brier, Verification of forecasts
    expressed in terms of probability, Monthly Weather Review 78, 1950; Efron and Tibshirani, An Introduction to the
    Bootstrap, Chapman & Hall 1993, chapters 6 and 13; samples that are calibrated: Bröcker and Smith, Increasing the
    reliability of reliability diagrams, Weather and Forecasting 22, 2007.
    """

    counts: Array
    confidence: Array
    accuracy: Array
    error: Score
    brier: Score
    log_loss: Score

    def to_dict(self) -> dict[str, Any]:
        """Return bins and scores as plain values."""
        return {
            "expected_calibration_error": self.error.to_dict(),
            "brier_score": self.brier.to_dict(),
            "log_loss": self.log_loss.to_dict(),
            "bins": {
                "edges": np.linspace(0, 1, len(self.counts) + 1).tolist(),
                "samples": self.counts.tolist(),
                "confidence": self.confidence.tolist(),
                "accuracy": self.accuracy.tolist(),
            },
        }

    def __repr__(self) -> str:
        scores = [("expected calibration error", self.error), ("Brier score", self.brier), ("log loss", self.log_loss)]
        rows = [["confidence", "samples", "mean", "accuracy"]]
        edges = np.linspace(0, 1, len(self.counts) + 1)
        for b in np.flatnonzero(self.counts):
            cells = [number(float(self.confidence[b])), number(float(self.accuracy[b]))]
            rows.append([f"{edges[b]:.2f}–{edges[b + 1]:.2f}", str(self.counts[b]), *cells])
        return "\n".join([*aligned([(name, str(score)) for name, score in scores], "<"), "", *aligned(rows, "<>")])


def calibration_of(probabilities: Array, labels: Array, bins: int = BINS) -> Calibration:
    """Compare probabilities (N, C) with labels (N,). NaN makes all scores NaN, and such samples are in no bin.

    Args:
        probabilities: one for each class.
        labels: 0 to C − 1.
        bins: how many.

    >>> found = calibration_of(np.array([[0.75, 0.25], [1.0, 0.0], [0.25, 0.75]]), np.array([0, 0, 0]), bins=2)
    >>> found.counts.tolist(), found.confidence.round(4).tolist(), found.accuracy.round(4).tolist()
    ([0, 3], [nan, 0.8333], [nan, 0.6667])
    >>> round(found.error.value, 4), round(found.brier.value, 4)
    (0.1667, 0.4167)
    """
    rows, probabilities = np.arange(len(labels)), probabilities.astype(np.float64, copy=False)
    predicted = predicted_class(probabilities)
    confidence = np.where(predicted < 0, np.nan, probabilities[rows, predicted])
    right = (predicted == labels).astype(np.float64)
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
    place = np.where(np.isnan(confidence), bins, place)
    counts = np.bincount(place, minlength=bins + 1)[:bins]
    sums = [np.bincount(place, weights=values, minlength=bins + 1)[:bins] for values in (confidence, right)]
    confident, accurate = (np.divide(each, counts, out=np.full(bins, np.nan), where=counts > 0) for each in sums)
    own = probabilities[rows, labels]
    squares = np.maximum(np.einsum("nc,nc->n", probabilities, probabilities) - 2 * own + 1, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):  # the logarithm of 0 is meant: the loss is infinite
        losses = 0.0 - np.log(own)
    return Calibration(
        counts,
        confident,
        accurate,
        _error(place, confidence, right, bins),
        _mean(squares, 2.0),
        _mean(losses, math.inf),
    )


def _mean(values: Array, most: float) -> Score:
    low, high = positive_interval(values)
    return Score(float(np.mean(values)), (low, min(high, most)))


def _error(place: Array, confidence: Array, right: Array, bins: int) -> Score:
    """Σ over bins of |Σ of confidence − right| / N."""
    if np.isnan(confidence).any():
        return Score(math.nan, note="a probability is not a number")
    count, gaps = len(confidence), confidence - right

    def summed(values: Array) -> Array:
        return np.bincount(place, weights=values, minlength=bins)

    sums = summed(gaps)
    value = float(np.abs(sums).sum() / count)
    # covariance of the sums: diag(spread²) − sums sumsᵀ / N = spread (I − u uᵀ) spread, whose root is known
    spread = np.sqrt(summed(gaps**2))
    u = np.divide(sums, spread * math.sqrt(count), out=np.zeros(bins), where=spread > 0)
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(RESAMPLES, bins))
    noise -= np.outer(noise @ u, u) / (1 + math.sqrt(max(0.0, 1 - float(u @ u))))
    drawn = sums + spread * noise
    low, high = percentile_interval(np.abs(drawn).sum(axis=1) / count, value, 0.0, 1.0)
    calibrated = generator.normal(size=(RESAMPLES, bins)) * np.sqrt(summed(confidence * (1 - confidence)).clip(0))
    by_chance = np.percentile(np.abs(calibrated).sum(axis=1) / count, 97.5)
    return Score(value, (0.0 if value <= by_chance else low, high))
