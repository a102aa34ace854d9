"""Treadle: build neural networks stage by stage, with evidence for every change."""

from typing import Any

from treadle import starting

starting.guard()  # before the rest, which takes a while

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

_LATER = {  # they import what few need
    "Ladder": "ladder",
    "Recipe": "recipe",
    "Rung": "ladder",
    "climb": "ladder",
    "figure": "figures",
}

__all__ = [
    "Interrupted",
    "Ladder",
    "LrRange",
    "Recipe",
    "Run",
    "Rung",
    "Surface",
    "Tensor",
    "Timeline",
    "Trace",
    "__version__",
    "check_gradients",
    "climb",
    "data",
    "draw",
    "estimate",
    "figure",
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


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'treadle' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"treadle.{_LATER[name]}"), name)
