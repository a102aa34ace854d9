"""Losses: from outputs and targets to the one number that training lowers."""

from treadle.losses.classes import BinaryCrossEntropy, CrossEntropy
from treadle.losses.loss import Loss
from treadle.losses.values import AbsoluteError, Huber, SquaredError

LOSSES: dict[str, type[Loss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": Huber,
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
}

__all__ = ["LOSSES", "AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "Huber", "Loss", "SquaredError"]
