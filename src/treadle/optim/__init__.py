"""Optimisers: pure update rules over nested containers of arrays."""

from treadle.optim.adam import Adam
from treadle.optim.momentum import Momentum
from treadle.optim.optimizer import Optimizer
from treadle.optim.sgd import SGD

OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "momentum": Momentum, "adam": Adam}

__all__ = ["OPTIMIZERS", "SGD", "Adam", "Momentum", "Optimizer"]
