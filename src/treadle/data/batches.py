"""Batches from a generator: memory holds one batch, not a second copy of the set."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from treadle.data.dataset import Dataset
from treadle.data.order import check_batch_size
from treadle.data.scale import FittedScale, NoScale
from treadle.errors import DataError


class Batch(NamedTuple):
    """Scaled inputs (B, ...), targets (B,) and the numbers of the samples (B,)."""

    inputs: NDArray[Any]
    targets: NDArray[Any]
    indices: NDArray[np.int64]


def batches(
    dataset: Dataset,
    indices: NDArray[np.int64],
    batch_size: int,
    scale: FittedScale | None = None,
    *,
    drop_last: bool = False,
    dtype: DTypeLike = np.float32,
) -> Iterator[Batch]:
    """Yield the samples of `indices` (M,) in their order, `batch_size` at a time, the last batch with what is left.

    Labels stay integers, the targets of a regression become `dtype`. Raises DataError at once for an empty set, an
    index outside it and an impossible batch size.

    >>> rows = Dataset(np.array([[0], [5], [10]], np.uint8), np.array([0, 1, 0]), ("a", "b"), "train")
    >>> for batch in batches(rows, np.array([2, 0, 1]), 2):
    ...     print(batch.inputs.ravel(), batch.targets)
    [10.  0.] [0 0]
    [5.] [1]
    """
    if not len(dataset):
        raise DataError(f"{dataset.name}: an empty set has no batches")
    check_batch_size(batch_size, len(indices), drop_last)
    if indices.ndim != 1 or indices.dtype.kind not in "ui":
        raise DataError(
            f"{dataset.name}: indices must be integers of shape (M,), found {indices.dtype} {indices.shape}"
        )
    if indices.size and not (indices.min() >= 0 and indices.max() < len(dataset)):
        outside = indices[(indices < 0) | (indices >= len(dataset))][0]
        raise DataError(f"{dataset.name}: index {outside} is outside its {len(dataset)} samples")
    stop = len(indices) - len(indices) % batch_size if drop_last else len(indices)
    return _generate(dataset, indices[:stop], batch_size, scale or NoScale().fit(dataset.inputs), np.dtype(dtype))


def _generate(
    dataset: Dataset, indices: NDArray[np.int64], batch_size: int, scale: FittedScale, dtype: "np.dtype[Any]"
) -> Iterator[Batch]:
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        targets = dataset.targets[chosen]
        if dataset.classes is None:
            targets = targets.astype(dtype, copy=False)
        yield Batch(scale.apply(dataset.inputs[chosen], dtype), targets, chosen)
