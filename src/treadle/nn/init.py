"""Initialisers: what parameters are before training, each from a random stream of its own."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from treadle.errors import TreadleError

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


def ones(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:  # noqa: ARG001
    """All ones, as for the scales of a normalisation."""
    return np.ones(shape)


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


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Array:  # noqa: ARG001
    """A random orthogonal matrix, or orthonormal rows or columns of one: it keeps the length of what it multiplies.

    The matrix is (inputs, units) for Linear and (filters, inputs of a filter) for Conv2d.

    Source: Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks, ICLR 2014; Mezzadri, How to generate random matrices from the classical compact groups, Notices of the
    AMS 2007, for the signs.
    """
    rows = shape[0]
    columns = math.prod(shape[1:])
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.where(np.diag(r) < 0, -1.0, 1.0)  # without this q would not be uniform over all orthogonal matrices
    return (q if rows >= columns else q.T).reshape(shape)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "xavier_uniform": xavier_uniform,
    "xavier_normal": xavier_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "orthogonal": orthogonal,
}


def require_initializer(layer: str, name: str) -> None:
    """Raise TreadleError where no initialiser has that name."""
    if name not in INITIALIZERS:
        raise TreadleError(f"{layer}: no initialiser {name!r}; there are {', '.join(INITIALIZERS)}")
