"""Training: the loop, and `fit`, which sets it up; and what a step of it computes, op by op."""

from treadle.train.distributions import Distributions, distributions
from treadle.train.early_stopping import stopped_early
from treadle.train.estimate import Estimate, estimate
from treadle.train.evaluation import Evaluation, evaluation_of
from treadle.train.finding import Finding
from treadle.train.fit import WEIGHTS, fit
from treadle.train.loop import State
from treadle.train.lr_range import LrRange, lr_range
from treadle.train.prepare import choose, prepare
from treadle.train.progress import Progress
from treadle.train.run import Interrupted, Run, score
from treadle.train.signals import Terminated, terminating
from treadle.train.surface import Surface, loss_surface
from treadle.train.timeline import Timeline, timeline
from treadle.train.trace import Op, Trace, trace

__all__ = [
    "WEIGHTS",
    "Distributions",
    "Estimate",
    "Evaluation",
    "Finding",
    "Interrupted",
    "LrRange",
    "Op",
    "Progress",
    "Run",
    "State",
    "Surface",
    "Terminated",
    "Timeline",
    "Trace",
    "choose",
    "distributions",
    "estimate",
    "evaluation_of",
    "fit",
    "loss_surface",
    "lr_range",
    "prepare",
    "score",
    "stopped_early",
    "terminating",
    "timeline",
    "trace",
]
