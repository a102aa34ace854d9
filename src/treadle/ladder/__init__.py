"""Ladders: a baseline and one change after the other, each judged by repeated seeds."""

from treadle.ladder.climb import View, climb
from treadle.ladder.ladder import Ladder, Rung
from treadle.ladder.result import Climb, Final, Progress, Step, Sweep, Trial
from treadle.ladder.statistics import Comparison, McNemar, compare, mcnemar, seeds_needed
from treadle.ladder.suggest import Suggestion, ladder_of, look, look_at_run, suggest
from treadle.ladder.values import Range, Search

__all__ = [
    "Climb",
    "Comparison",
    "Final",
    "Ladder",
    "McNemar",
    "Progress",
    "Range",
    "Rung",
    "Search",
    "Step",
    "Suggestion",
    "Sweep",
    "Trial",
    "View",
    "climb",
    "compare",
    "ladder_of",
    "look",
    "look_at_run",
    "mcnemar",
    "seeds_needed",
    "suggest",
]
