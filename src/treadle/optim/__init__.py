"""Optimisers: pure update rules over nested containers of arrays; and schedules of their learning rate."""

from treadle.optim.adagrad import AdaGrad
from treadle.optim.adam import Adam, AdamW
from treadle.optim.momentum import Momentum, Nesterov
from treadle.optim.optimizer import Optimizer, Regularized
from treadle.optim.rmsprop import RMSProp
from treadle.optim.sgd import SGD

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
}

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RMSProp",
    "Regularized",
]
