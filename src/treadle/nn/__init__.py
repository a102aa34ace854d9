"""Layers and networks: functions of parameters and inputs."""

from treadle.nn.convolution import AvgPool2d, Conv2d, GlobalAvgPool2d, MaxPool2d
from treadle.nn.drawing import draw
from treadle.nn.init import INITIALIZERS
from treadle.nn.layers import GELU, Flatten, LeakyReLU, Linear, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from treadle.nn.mode import EVALUATION, Mode
from treadle.nn.models import MODELS
from treadle.nn.module import Module, Parameter, Residual, Sequential, require_memory, snake_case
from treadle.nn.normalization import BatchNorm, Dropout, LayerNorm
from treadle.nn.summary import Memory, Summary, summary

# Residual has layers inside, which the line of text for a layer in a recipe has no form for.
LAYERS: dict[str, type[Module]] = {
    snake_case(layer.__name__): layer
    for layer in (
        Flatten,
        Linear,
        Conv2d,
        MaxPool2d,
        AvgPool2d,
        GlobalAvgPool2d,
        BatchNorm,
        LayerNorm,
        Dropout,
        Sigmoid,
        Tanh,
        ReLU,
        LeakyReLU,
        GELU,
        SiLU,
        Softplus,
        Softmax,
    )
}

__all__ = [
    "EVALUATION",
    "GELU",
    "INITIALIZERS",
    "LAYERS",
    "MODELS",
    "AvgPool2d",
    "BatchNorm",
    "Conv2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Memory",
    "Mode",
    "Module",
    "Parameter",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Summary",
    "Tanh",
    "draw",
    "require_memory",
    "summary",
]
