"""Layers and networks: functions of parameters and inputs."""

from treadle.nn.init import INITIALIZERS
from treadle.nn.layers import Flatten, Linear, ReLU, Sigmoid, Softmax, Tanh
from treadle.nn.models import MODELS
from treadle.nn.module import Module, Parameter, Sequential, require_memory, snake_case
from treadle.nn.summary import Summary, summary

LAYERS: dict[str, type[Module]] = {
    snake_case(layer.__name__): layer for layer in (Flatten, Linear, Sigmoid, ReLU, Tanh, Softmax)
}

__all__ = [
    "INITIALIZERS",
    "LAYERS",
    "MODELS",
    "Flatten",
    "Linear",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Summary",
    "Tanh",
    "require_memory",
    "summary",
]
