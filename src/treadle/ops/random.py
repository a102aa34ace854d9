"""Random masks as pure functions of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from treadle.autodiff.tape import Primitive
from treadle.errors import TreadleError

if TYPE_CHECKING:
    from treadle.tensor import Tensor

__all__ = ["dropout_mask"]

_dropout_mask = Primitive("dropout_mask", lambda k, key, **settings: k.dropout_mask(key, **settings))


def dropout_mask(key: Any, *, salt: int, shape: tuple[int, ...], rate: float, dtype: DTypeLike) -> Tensor:
    """1 / (1 − rate) with probability 1 − rate, else 0, element by element; no gradient flows to the key.

    The bits are those of SplitMix64, from key, salt and the place of the element alone: the same on every machine,
    whatever the order in which elements are computed.

    Args:
        key: whole number, 0-d uint64, of one training step.
        salt: whole number from 0 to 2³² − 1 that tells apart the masks of one step.
        shape: of the mask.
        rate: probability of 0, from 0 to 1.
        dtype: of the mask.

    Raises:
        TreadleError: rate or salt is out of range.

    >>> import treadle as td
    >>> td.ops.dropout_mask(7, salt=0, shape=(8,), rate=0.5, dtype="float64").numpy()
    array([2., 2., 2., 2., 0., 0., 2., 2.])

    Source: Srivastava et al., Dropout, JMLR 2014; Steele, Lea and Flood, Fast splittable pseudorandom number
    generators, OOPSLA 2014.
    """
    if not 0 <= rate <= 1:
        raise TreadleError(f"dropout_mask: rate must be from 0 to 1, found {rate!r}")
    if not 0 <= salt < 2**32:
        raise TreadleError(f"dropout_mask: salt must be from 0 to 2³² − 1, found {salt!r}")
    key = key if hasattr(key, "dtype") else np.asarray(key, np.uint64)
    return _dropout_mask(key, salt=int(salt), shape=tuple(shape), rate=float(rate), dtype=np.dtype(dtype))
