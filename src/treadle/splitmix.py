"""SplitMix64: random bits as a function of numbers, without a state, the same on every machine.

Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def mixed(z: Any) -> Any:
    """Mix the bits of numbers, an array of uint64, so that each of them depends on all."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # arrays wrap around without a warning
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def splitmix64(seed: Any, number: Any) -> Any:
    """Return the output of that number, from 1, of SplitMix64 begun with a seed, both arrays of uint64.

    >>> int(splitmix64(np.zeros(1, np.uint64), np.ones(1, np.uint64))[0])
    16294208416658607535
    """
    return mixed(seed + number * np.uint64(0x9E3779B97F4A7C15))
