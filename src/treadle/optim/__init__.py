"""Optimisers: pure update rules over nested containers; schedules of their learning rate; averages of parameters."""

from treadle.optim.adagrad import AdaGrad
from treadle.optim.adam import Adam, AdamW
from treadle.optim.averaging import AVERAGES, EMA, SWA, Averaging
from treadle.optim.momentum import Momentum, Nesterov
from treadle.optim.optimizer import Optimizer, Regularized
from treadle.optim.rmsprop import RMSProp
from treadle.optim.schedule import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    OnPlateau,
    Plan,
    Polynomial,
    Schedule,
    Step,
    Warmup,
)
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
    "AVERAGES",
    "EMA",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "SWA",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Averaging",
    "Constant",
    "Cosine",
    "Exponential",
    "Momentum",
    "Nesterov",
    "OnPlateau",
    "OneCycle",
    "Optimizer",
    "Plan",
    "Polynomial",
    "RMSProp",
    "Regularized",
    "Schedule",
    "Step",
    "Warmup",
]
