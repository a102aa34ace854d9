"""Ready networks by name, each a function of the number of outputs."""

from __future__ import annotations

from collections.abc import Callable

from treadle.errors import ShapeError
from treadle.nn.layers import Flatten, Linear, ReLU, Sigmoid
from treadle.nn.module import Module, Sequential


def baseline(outputs: int) -> Module:
    """One fully connected layer to one output: with squared error, the digit as a number.

    >>> baseline(1)
    Sequential(Flatten(), Linear(1))
    """
    if outputs != 1:
        raise ShapeError(
            f"the preset 'baseline' has one output and this loss needs {outputs}: take the preset 'softmax', "
            "which is the same layer with an output for each class"
        )
    return Sequential(Flatten(), Linear(1))


def softmax(outputs: int) -> Module:
    """One fully connected layer to a score for each class: with cross-entropy, softmax regression."""
    if outputs == 1:
        raise ShapeError(
            "the preset 'softmax' gives a score for each class, and this loss compares one number: choose the loss "
            "cross_entropy"
        )
    return Sequential(Flatten(), Linear(outputs))


def mlp(outputs: int) -> Module:
    """Two hidden layers of 10 with sigmoid, as in the course."""
    return Sequential(Flatten(), Linear(10), Sigmoid(), Linear(10), Sigmoid(), Linear(outputs))


def mlp_relu(outputs: int) -> Module:
    """One hidden layer of 100 with ReLU."""
    return Sequential(Flatten(), Linear(100, weight_init="he_normal"), ReLU(), Linear(outputs))


MODELS: dict[str, Callable[[int], Module]] = {
    "baseline": baseline,
    "softmax": softmax,
    "mlp": mlp,
    "mlp_relu": mlp_relu,
}
