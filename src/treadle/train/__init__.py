"""Training: the loop, and `fit`, which sets it up."""

from treadle.train.fit import Interrupted, Run, choose, fit, prepare, score
from treadle.train.loop import State

__all__ = ["Interrupted", "Run", "State", "choose", "fit", "prepare", "score"]
