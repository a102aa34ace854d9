"""Ladders: a baseline and one change after the other, each judged by repeated seeds."""

from treadle.ladder.climb import View, climb
from treadle.ladder.ladder import Ladder, Rung
from treadle.ladder.result import Climb, Final, Progress, Step
from treadle.ladder.statistics import Comparison, McNemar, compare, mcnemar, seeds_needed

__all__ = [
    "Climb",
    "Comparison",
    "Final",
    "Ladder",
    "McNemar",
    "Progress",
    "Rung",
    "Step",
    "View",
    "climb",
    "compare",
    "mcnemar",
    "seeds_needed",
]
