"""Kernels for the CPU, compiled by Numba: those of `reference`, the ones that matter to speed written anew."""

import os
import sys
from typing import Any

from treadle.kernels import reference

# Read when Numba is imported and its threads start. Threads beyond the cores sleep until they are asked for. Those that
# wait look for work for some 100 µs before they sleep: GNU's OpenMP would look on for milliseconds, which costs as much
# wherever another program takes a core; sleeping at once costs 50 to 150 µs for each kernel.
if "numba" not in sys.modules:
    os.environ.setdefault("NUMBA_NUM_THREADS", str(max(8, os.cpu_count() or 1)))
    os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp tbb workqueue")
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

from treadle.kernels.cpu.compile import compiles
from treadle.kernels.cpu.convolution import conv2d, conv2d_input_gradient, conv2d_weight_gradient
from treadle.kernels.cpu.elementwise import (
    add,
    cross_entropy,
    cross_entropy_gradient,
    relu,
    relu_gradient,
    sum,  # noqa: A004 - kernels carry NumPy's names
)
from treadle.kernels.cpu.fusion import fuse
from treadle.kernels.cpu.normalization import standardize, standardize_gradient, var
from treadle.kernels.cpu.pooling import max_pool2d, max_pool2d_gradient
from treadle.kernels.cpu.product import matmul
from treadle.kernels.cpu.threads import with_threads
from treadle.kernels.cpu.updates import adagrad, adam, average, largest, momentum, nesterov, rmsprop, sgd, take_scaled

__all__ = [
    "adagrad",
    "adam",
    "add",
    "average",
    "compiles",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "cross_entropy",
    "cross_entropy_gradient",
    "fuse",
    "largest",
    "matmul",
    "max_pool2d",
    "max_pool2d_gradient",
    "momentum",
    "nesterov",
    "relu",
    "relu_gradient",
    "rmsprop",
    "sgd",
    "standardize",
    "standardize_gradient",
    "sum",
    "take_scaled",
    "var",
    "with_threads",
]


def __getattr__(name: str) -> Any:
    """Return the kernel of `reference` where there is none here."""
    return getattr(reference, name)
