"""95 % intervals: between which numbers the score on further data of the same kind would lie."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution
RESAMPLES, FEWEST = 1_000, 200
CELLS = 20_000_000  # counts drawn in all resamples together, at most, unless that leaves fewer than FEWEST resamples
_AT_ONCE = 1_000_000  # numbers drawn that are in memory


@dataclass(frozen=True)
class Score:
    """A number with its 95 % interval.

    Args:
        value: NaN where it is not defined.
        interval: None where there is none.
        note: why the value is not defined, or what it leaves out; empty where there is nothing to say.

    >>> print(Score(0.5, (0.4, 0.6))), print(Score(math.nan, note="all targets are equal"))
    0.5000  95 % interval 0.4000 to 0.6000
    undefined: all targets are equal
    (None, None)
    """

    value: float
    interval: tuple[float, float] | None = None
    note: str = ""

    def __str__(self) -> str:
        if math.isnan(self.value) and self.note:
            return f"undefined: {self.note}"
        told = f"{number(self.value)}"
        if self.interval:
            told += f"  95 % interval {number(self.interval[0])} to {number(self.interval[1])}"
        return f"{told}  ({self.note})" if self.note else told

    def to_dict(self) -> dict[str, Any]:
        """Return value, interval and, where there is one, note."""
        plain = {"value": self.value, "interval": None if self.interval is None else list(self.interval)}
        return {**plain, "note": self.note} if self.note else plain


def number(value: float) -> str:
    """Write a number with four digits after the point, or with four that count where it is large or small.

    >>> number(0.98765), number(12345678.0), number(0.000012346), number(0.0)
    ('0.9877', '1.235e+07', '1.235e-05', '0.0000')
    """
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"


def wilson(ones: Array, counts: Array) -> tuple[Array, Array]:
    """95 % intervals of shares ones / counts, as `wilson_interval` of each; NaN where the count is 0.

    >>> low, high = wilson(np.array([95, 0]), np.array([100, 0]))
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.8882, nan], [0.9785, nan])
    """
    n = np.where(counts > 0, counts, np.nan).astype(np.float64)
    p = ones / n
    centre, spread = p + Z95**2 / (2 * n), Z95 * np.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    low, high = (centre - spread) / (1 + Z95**2 / n), (centre + spread) / (1 + Z95**2 / n)
    return np.maximum(0.0, np.minimum(low, p)), np.minimum(1.0, np.maximum(high, p))  # rounding must not put p outside


def wilson_interval(values: Array) -> tuple[float, float]:
    """95 % interval of a share of ones, (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).

    >>> low, high = wilson_interval(np.array([1.0] * 95 + [0.0] * 5))
    >>> round(low, 4), round(high, 4)
    (0.8882, 0.9785)

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.
    """
    low, high = wilson(np.sum(values), np.asarray(len(values)))
    return float(low), float(high)


def normal_interval(values: Array) -> tuple[float, float]:
    """95 % interval of a mean of many values, mean ± z s / √n; −∞ to ∞ for a single one, or where one is not finite.

    >>> low, high = normal_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    >>> round(low, 3), round(high, 3)
    (1.235, 3.765)
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return -math.inf, math.inf
    mean = float(np.mean(values, dtype=np.float64))
    spread = Z95 * float(np.std(values, ddof=1, dtype=np.float64)) / math.sqrt(len(values))
    return mean - spread, mean + spread


def ratio_interval(values: Array, weights: Array) -> tuple[float, float]:
    """95 % interval of Σ values / Σ weights = r over samples, by the deviations dᵢ = vᵢ − r wᵢ: r ± z s_d √n / Σ w.

    Of weights that are all equal it is the interval of the mean.

    >>> low, high = ratio_interval(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4))
    >>> round(low, 3), round(high, 3)
    (1.235, 3.765)

    Source: Cochran, Sampling Techniques, 3rd edition, Wiley 1977, section 2.11.
    """
    total = float(np.sum(weights, dtype=np.float64))
    if len(values) < 2 or not np.isfinite(values).all() or total <= 0:
        return -math.inf, math.inf
    ratio = float(np.sum(values, dtype=np.float64)) / total
    deviations = values - ratio * weights
    spread = Z95 * float(np.std(deviations, ddof=1, dtype=np.float64)) * math.sqrt(len(values)) / total
    return ratio - spread, ratio + spread


def positive_interval(values: Array, weights: Array | None = None) -> tuple[float, float]:
    """95 % interval of a mean, or of Σ values / Σ weights = r, of values that cannot be negative: r e^(± z s_r / r).

    It is symmetric around log r, whose standard error is s_r / r, that of r being s_r as in `normal_interval` and
    `ratio_interval`. So it never goes below 0, as those do where values are few and some of them far larger than most;
    and it holds the truth more often than these cut off at 0, for they lie too low there.

    >>> low, high = positive_interval(np.array([0.0, 0.0, 0.0, 4.0]))
    >>> round(low, 3), round(high, 3)
    (0.141, 7.099)

    Source: Meeker and Escobar, Statistical Methods for Reliability Data, Wiley 1998, chapter 7.
    """
    low, high = normal_interval(values) if weights is None else ratio_interval(values, weights)
    if not math.isfinite(low):
        return max(low, 0.0), high
    ratio, spread = low / 2 + high / 2, high / 2 - low / 2
    if ratio <= 0:  # all values are 0, but for rounding
        return max(low, 0.0), max(high, 0.0)
    return ratio * math.exp(-spread / ratio), ratio * math.exp(spread / ratio)


def median_interval(values: Array) -> tuple[float, float]:
    """95 % interval of a median: the values whose ranks are those of the binomial of n and ½; −∞ to ∞ of fewer than 6.

    Whatever the distribution, n values have their median between those of rank r and n + 1 − r, counted from 1, unless
    fewer than r lie on one side of it. r is the largest with 2 P(fewer than r) ≤ 0.05.

    >>> median_interval(np.arange(1.0, 11.0))
    (2.0, 9.0)

    Source: Conover, Practical Nonparametric Statistics, 3rd edition, Wiley 1999, section 3.2.
    """
    n = len(values)
    if n < 6 or not np.isfinite(values).all():
        return -math.inf, math.inf
    # binomial(n, ½) in logarithms, upward from where its tail is beyond double precision
    rank = first = max(0, int(n / 2 - 20 * math.sqrt(n)))
    log = math.lgamma(n + 1) - math.lgamma(first + 1) - math.lgamma(n - first + 1) - n * math.log(2)
    tail = math.exp(log)
    while 2 * tail <= 0.05:
        rank += 1
        log += math.log((n - rank + 1) / rank)
        tail += math.exp(log)
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[n - rank])


def drawn(size: int, seed: int = 0) -> Iterator[Array]:
    """Yield numbers of samples (B, size), drawn with replacement: B resamples at a time, 1,000 in all.

    The seed is one of their own, so that a score of the same samples has the same interval at each call.

    >>> [numbers.shape for numbers in drawn(2)]
    [(1000, 2)]
    """
    generator, left = np.random.default_rng(seed), RESAMPLES
    while left:
        now = min(left, max(1, _AT_ONCE // size))
        yield generator.integers(0, size, (now, size))
        left -= now


def drawn_counts(counts: Array, seed: int = 0) -> Iterator[Array]:
    """Yield counts (B, M) of resamples of samples that are alike within each of M cells, of which `counts` (M,) tells.

    There are 1,000 resamples of up to 20,000 cells, and fewer of more, at least 200.

    >>> [found.sum(axis=1).tolist()[:2] for found in drawn_counts(np.array([3, 7]))]
    [[10, 10]]
    """
    total = int(counts.sum())
    generator, left = np.random.default_rng(seed), min(RESAMPLES, max(FEWEST, CELLS // len(counts)))
    while left:
        now = min(left, max(1, _AT_ONCE // len(counts)))
        yield generator.multinomial(total, counts / total, size=now)
        left -= now


def percentile_interval(
    found: Array, value: float, least: float = -math.inf, most: float = math.inf
) -> tuple[float, float]:
    """95 % interval of a score from what it is in resamples (B,): their 2.5 and 97.5 % points, told apart from bias.

    Resamples lie to one side of the score where it is biased, as F1 of many classes with few samples each, by as much
    as it lies to that side of the truth itself. So one end moves away by twice their mean distance, which leaves
    scores without bias their plain percentile interval.

    Args:
        found: resamples in which the score is not defined (NaN) are left out; −∞ to ∞ where those are most.
        value: the score of the samples themselves.
        least, most: what the score can be.

    >>> percentile_interval(np.arange(1001.0), 500.0), percentile_interval(np.arange(1001.0), 510.0)
    ((25.0, 975.0), (25.0, 995.0))

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993, chapters 10 (bias) and 13.
    """
    defined = found[~np.isnan(found)]
    if 2 * len(defined) <= len(found):
        return -math.inf, math.inf
    low, high = (float(end) for end in np.percentile(defined, [2.5, 97.5]))
    shift = 2 * (value - float(np.mean(defined)))
    low, high = min(low, low + shift, value), max(high, high + shift, value)
    return max(low, least), min(high, most)
