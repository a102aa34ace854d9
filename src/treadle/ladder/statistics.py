"""What repeated seeds say of a change: paired differences, their interval, a test, and how many seeds would tell."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.05  # of all comparisons of a climb together
POWER = 0.8  # with which the seeds that are advised would tell an effect of the size that was seen
MOST_SEEDS = 1000
Verdict = Literal["better", "worse", "cannot tell"]


@dataclass(frozen=True)
class Comparison:
    """A change judged by runs that share their seeds with those before it.

    Args:
        differences: after minus before, a number for each seed.
        mean: of the differences.
        interval: 95 % interval of their mean; from −∞ to ∞ for one seed, or where all differences are the same.
        test: what p is of.
        p: two-sided, of no difference; 1 where nothing can be said.
        comparisons: that share the level of 5 %.
        adjusted: p times these comparisons, at most 1.
        verdict: better or worse where adjusted is at most 5 %.
        seeds_needed: that would tell a difference of this size 4 times of 5; None where the verdict is known, where
            there is no difference, or where a single seed says nothing of the spread.
    """

    differences: tuple[float, ...]
    mean: float
    interval: tuple[float, float]
    test: str
    p: float
    comparisons: int
    adjusted: float
    verdict: Verdict
    seeds_needed: int | None


def compare(
    before: Sequence[float], after: Sequence[float], *, higher_is_better: bool, comparisons: int = 1
) -> Comparison:
    """Judge a change by a paired t-test over seeds, with Bonferroni's correction over the comparisons of a climb.

    mean ± t s / √n. A climb decides on a change before it tries the next, so that a correction must not wait for later
    p-values: each comparison gets an equal share of the level. Where all differences are the same, s is 0 and the test
    says nothing of chance; a sign test then takes its place.

    Args:
        before, after: (n,) values of the metric, of the same seeds in the same order.
        higher_is_better: of the metric.
        comparisons: that the climb makes.

    Raises:
        ValueError: lengths differ, there are none, or a value is not finite.

    >>> found = compare([0.90, 0.91, 0.89], [0.95, 0.95, 0.95], higher_is_better=True)
    >>> round(found.mean, 4), found.verdict, round(found.p, 4)
    (0.05, 'better', 0.0131)

    Source: Student, The probable error of a mean, Biometrika 6, 1908; Dunn, Multiple comparisons among means, JASA 56,
    1961.
    """
    if len(before) != len(after) or not len(after):
        raise ValueError(f"pairs need as many values before as after, found {len(before)} and {len(after)}")
    first, second = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a value is not finite")
    differences = second - first
    from scipy import special  # of scipy.stats the import takes longer than a climb that was made before

    n, mean = len(differences), float(differences.mean())
    spread = float(differences.std(ddof=1)) if n > 1 else math.nan
    interval, p, test = (-math.inf, math.inf), 1.0, "none: one seed"
    if n > 1 and spread > 1e-12 * abs(mean):
        half = float(special.stdtrit(n - 1, 1 - LEVEL / 2)) * spread / math.sqrt(n)
        interval, test = (mean - half, mean + half), "paired t-test"
        p = float(2 * special.stdtr(n - 1, -abs(mean) / spread * math.sqrt(n)))
    elif n > 1:
        test = "sign test"
        p = 1.0 if mean == 0 else _binomial(0, n)
    adjusted = min(1.0, p * comparisons)
    verdict: Verdict = "cannot tell"
    if adjusted <= LEVEL:
        verdict = "better" if (mean > 0) is higher_is_better else "worse"
    needed = None
    if verdict == "cannot tell" and n > 1 and mean != 0:
        signs = math.ceil(1 - math.log2(LEVEL / comparisons))  # the least n with 2 · 0.5ⁿ · comparisons ≤ 5 %
        needed = seeds_needed(abs(mean) / spread, comparisons) if test == "paired t-test" else signs
    return Comparison(tuple(differences.tolist()), mean, interval, test, p, comparisons, adjusted, verdict, needed)


def seeds_needed(effect: float, comparisons: int = 1) -> int:
    """Return how many seeds a paired t-test needs to tell a standardised effect 4 times of 5, at most 1,000.

    The least n with P(T > t) ≥ 0.8 for T of the noncentral t-distribution with n − 1 degrees and effect · √n.

    >>> seeds_needed(1.0), seeds_needed(0.5)
    (10, 34)

    Source: Cohen, Statistical power analysis for the behavioral sciences, 1988.
    """
    from scipy import special

    def power(n: int) -> float:
        limit = special.stdtrit(n - 1, 1 - LEVEL / comparisons / 2)
        return 1 - float(
            special.nctdtr(n - 1, min(effect, 10.0) * math.sqrt(n), limit)
        )  # larger ones are told by 3 seeds

    high = 2
    while high < MOST_SEEDS and not power(high) >= POWER:
        high *= 2
    found = bisect_left(range(MOST_SEEDS), True, high // 2, min(high, MOST_SEEDS), key=lambda n: power(n) >= POWER)
    return max(2, found)


@dataclass(frozen=True)
class McNemar:
    """Two classifiers on the same samples: how many only one of them has right, and the exact test of these.

    Args:
        only_before: samples that only the first has right.
        only_after: samples that only the second has right.
        p: two-sided, of both being as good.
    """

    only_before: int
    only_after: int
    p: float


def mcnemar(before: ArrayLike, after: ArrayLike) -> McNemar:
    """Compare which samples two classifiers have right; where both are as good, samples that differ fall either way.

    >>> mcnemar([True, False, False, False, False, False], [True, True, True, True, True, True])
    McNemar(only_before=0, only_after=5, p=0.0625)

    Source: McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12,
    1947.
    """
    first, second = np.asarray(before, bool), np.asarray(after, bool)
    if first.shape != second.shape:
        raise ValueError(f"both classifiers need the same samples, found {first.size} and {second.size}")
    lost, won = int((first & ~second).sum()), int((~first & second).sum())
    return McNemar(lost, won, _binomial(min(lost, won), lost + won))


def _binomial(k: int, n: int) -> float:
    """Two-sided p-value of at most k successes of n, each as likely as not."""
    from scipy import special

    return min(1.0, 2 * float(special.bdtr(k, n, 0.5)))


def p_text(p: float) -> str:
    """Write a p-value for people.

    >>> p_text(0.0004), p_text(0.0312)
    ('<0.001', '0.031')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"
