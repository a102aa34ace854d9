"""Kernels for the CPU, compiled by Numba: those of `reference`, the ones that matter to speed written anew."""

from treadle.kernels.reference import *  # noqa: F403
from treadle.kernels.cpu.convolution import conv2d, conv2d_input_gradient, conv2d_weight_gradient
from treadle.kernels.cpu.elementwise import (
    adam,
    cross_entropy,
    cross_entropy_gradient,
    largest,
    momentum,
    relu,
    relu_gradient,
    sgd,
    take_scaled,
    sum,  # noqa: A004 - kernels carry NumPy's names
)
from treadle.kernels.cpu.fusion import fuse
from treadle.kernels.cpu.normalization import standardize, standardize_gradient, var
from treadle.kernels.cpu.pooling import max_pool2d, max_pool2d_gradient
from treadle.kernels.cpu.product import matmul
from treadle.kernels.cpu.threads import with_threads

__all__ = [
    "adam",
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
    "relu",
    "relu_gradient",
    "sgd",
    "take_scaled",
    "standardize",
    "standardize_gradient",
    "sum",
    "var",
    "with_threads",
]
