"""Batches from a generator: memory holds one batch, or those that are made ahead, not a second copy of the set."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from treadle.data.augment import Augmentation, augment
from treadle.data.dataset import Dataset
from treadle.data.order import check_batch_size
from treadle.data.reading import Prefetch, Reading
from treadle.data.scale import FittedScale, NoScale
from treadle.errors import DataError


class Batch(NamedTuple):
    """Scaled inputs (B, ...), targets (B,) and the numbers of the samples (B,)."""

    inputs: NDArray[Any]
    targets: NDArray[Any]
    indices: NDArray[np.int64]


class BatchMaker:
    """Makes batches of a data set: takes samples by their numbers, scales them, and changes them at random.

    Args:
        data: the samples.
        scale: fitted.
        dtype: of the inputs, and of targets that are numbers.
        augmentations: random changes of images, decided by seed, epoch and number of the sample.
        seed: of these.
    """

    def __init__(
        self,
        data: Dataset,
        scale: FittedScale,
        dtype: "np.dtype[Any]",
        augmentations: Sequence[Augmentation] = (),
        seed: int = 0,
    ) -> None:
        self.name, self.inputs, self.scale, self.dtype = data.name, data.inputs, scale, dtype
        self.blocks = data.blocks
        self.targets = data.targets.astype(dtype, copy=False) if data.classes is None else data.targets
        self.augmentations, self.seed = tuple(augmentations), seed
        if self.augmentations:
            if data.inputs.ndim != 4:
                raise DataError(f"augmentation changes images (C, H, W), and samples have shape {data.shape}")
            black = scale.apply(np.zeros((1, *data.shape), data.inputs.dtype), dtype)
            self._fill = black[0, :, :1, :1]

    def take(self, indices: NDArray[np.int64], inputs: NDArray[Any], targets: NDArray[Any], epoch: int = 0) -> None:
        """Write the samples of some numbers (N,) into inputs (N, …) and targets (N, …)."""
        self._scaled(indices, inputs)
        if self.augmentations:
            np.copyto(inputs, augment(inputs, self.augmentations, indices, self._fill, seed=self.seed, epoch=epoch))
        np.take(self.targets, indices, axis=0, out=targets)

    def _scaled(self, indices: NDArray[np.int64], out: NDArray[Any]) -> None:
        np.copyto(out, self.scale.apply(self.inputs[indices], self.dtype))


def batches(
    dataset: Dataset,
    indices: NDArray[np.int64],
    batch_size: int,
    scale: FittedScale | None = None,
    *,
    drop_last: bool = False,
    dtype: DTypeLike = np.float32,
    augmentations: Sequence[Augmentation] = (),
    seed: int = 0,
    epoch: int = 0,
    prefetch: Prefetch | None = None,
) -> Iterator[Batch]:
    """Yield the samples of `indices` (M,) in their order, `batch_size` at a time, the last batch with what is left.

    Labels stay integers, the targets of a regression become `dtype`. However batches are made, they have the same
    samples, order and bits.

    Args:
        dataset: the samples.
        indices: (M,), numbers of samples.
        batch_size: samples in a batch.
        scale: fitted; none leaves the numbers as they are.
        drop_last: leave out the last batch where it is smaller.
        dtype: of the inputs.
        augmentations, seed, epoch: random changes of images, and what decides them.
        prefetch: how batches are made ahead by threads or processes; each when it is needed unless told otherwise.

    Raises:
        DataError: at once for an empty set, an index outside it and an impossible batch size.
        WorkerError: a worker was ended, or hangs.

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
    parts = [indices[begin : begin + batch_size] for begin in range(0, stop, batch_size)]
    maker = BatchMaker(dataset, scale or NoScale().fit(dataset.inputs), np.dtype(dtype), augmentations, seed)
    return _generate(maker, parts, batch_size, epoch, prefetch)


def _generate(
    maker: BatchMaker, parts: Sequence[NDArray[np.int64]], batch_size: int, epoch: int, prefetch: Prefetch | None
) -> Iterator[Batch]:
    with Reading(maker, batch_size, prefetch) as reading:
        reading.begin(parts, epoch)
        for chosen in parts:
            inputs = np.empty((len(chosen), *maker.inputs.shape[1:]), maker.dtype)
            targets = np.empty((len(chosen), *maker.targets.shape[1:]), maker.targets.dtype)
            reading.next(inputs, targets)
            yield Batch(inputs, targets, chosen)
