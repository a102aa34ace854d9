"""Initialisers: what parameters are before training, each from a random stream of its own."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
# of a stream, the shape, and how many inputs feed an output (fan in) and outputs an input feeds (fan out)
Initializer = Callable[[np.random.Generator, tuple[int, ...], int, int], Array]


def stream(seed: int, path: str) -> np.random.Generator:
    """Return the random stream of one parameter, from the seed and its path alone.

    Layers of the same name and shape so begin with the same weights in two networks, whatever stands around
    them, which pairs their runs.

    >>> bool(stream(0, "linear1.weight").random() == stream(0, "linear1.weight").random())
    True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(path.encode())])))


def zeros(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:  # noqa: ARG001
    """All zeros, as for biases; weights that are all equal would stay equal."""
    return np.zeros(shape)


def xavier_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
    """Uniform on ±√(6 / (fan in + fan out)), for sigmoid and tanh.

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward networks, AISTATS 2010.
    """
    limit = math.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


def xavier_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:
    """Normal with deviation √(2 / (fan in + fan out)), for sigmoid and tanh.

    Source: Glorot and Bengio, 2010.
    """
    return rng.normal(0, math.sqrt(2 / (fan_in + fan_out)), shape)


def he_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:  # noqa: ARG001
    """Uniform on ±√(6 / fan in), for ReLU.

    Source: He et al., Delving deep into rectifiers, ICCV 2015.
    """
    limit = math.sqrt(6 / fan_in)
    return rng.uniform(-limit, limit, shape)


def he_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:  # noqa: ARG001
    """Normal with deviation √(2 / fan in), for ReLU.

    Source: He et al., 2015.
    """
    return rng.normal(0, math.sqrt(2 / fan_in), shape)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
}
