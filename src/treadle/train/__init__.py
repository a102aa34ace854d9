"""Training: the loop, and `fit`, which sets it up."""

from treadle.train.estimate import Estimate, estimate
from treadle.train.fit import Interrupted, Run, choose, fit, prepare, score
from treadle.train.loop import State

__all__ = ["Estimate", "Interrupted", "Run", "State", "choose", "estimate", "fit", "prepare", "score"]
