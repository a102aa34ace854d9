"""Treadle: build neural networks stage by stage, with evidence for every change."""

from treadle import data, losses, metrics, nn, ops, optim
from treadle.autodiff.check import check_gradients
from treadle.autodiff.functional import value_and_grad
from treadle.nn import draw, summary
from treadle.tensor import Tensor, grad, tensor
from treadle.train import (
    Interrupted,
    LrRange,
    Run,
    Surface,
    Timeline,
    Trace,
    estimate,
    fit,
    loss_surface,
    lr_range,
    timeline,
    trace,
)
from treadle.version import __version__

__all__ = [
    "Interrupted",
    "LrRange",
    "Run",
    "Surface",
    "Tensor",
    "Timeline",
    "Trace",
    "__version__",
    "check_gradients",
    "data",
    "draw",
    "estimate",
    "fit",
    "grad",
    "loss_surface",
    "losses",
    "lr_range",
    "metrics",
    "nn",
    "ops",
    "optim",
    "summary",
    "tensor",
    "timeline",
    "trace",
    "value_and_grad",
]
