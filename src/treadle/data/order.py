"""The order in which samples are read: a pure function of seed and epoch, saved as two integers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import Dataset
from treadle.errors import DataError

WINDOW = 2**26  # bytes of a file whose samples are shuffled together where they lie in blocks
_ORDER_STREAM = 0x0DE  # keeps these random numbers apart from others drawn with the same seed


class OrderState(NamedTuple):
    """How far reading has come: the epoch, and the samples already taken from it."""

    epoch: int = 0
    position: int = 0


@dataclass(frozen=True)
class Order:
    """The order of `size` samples, shuffled anew each epoch; the same seed and epoch always give the same order.

    Samples that lie in blocks are shuffled as far as these can be held in memory: the blocks, and then the samples of
    a few blocks that follow one another.

    Args:
        size: number of samples.
        seed: of the order.
        shuffle: otherwise samples keep the order of the data.
        blocks: how many samples, one after the other, are read together; None where each can be read alone.
        window: samples to shuffle together, at most, where there are blocks; a block is never parted.

    >>> order = Order(size=5, seed=0)
    >>> indices, state = order.next_batch(OrderState(), 3)
    >>> rest, state = order.next_batch(state, 3)
    >>> sorted([*indices.tolist(), *rest.tolist()]), state
    ([0, 1, 2, 3, 4], OrderState(epoch=1, position=0))
    """

    size: int
    seed: int
    shuffle: bool = True
    blocks: tuple[int, ...] | None = None
    window: int = 1

    def __post_init__(self) -> None:
        if self.size < 1:
            raise DataError(f"order: expected at least 1 sample, found {self.size}")
        if self.seed < 0:
            raise DataError(f"order: expected a seed of 0 or more, found {self.seed}")
        if self.blocks is not None and sum(self.blocks) != self.size:
            raise DataError(f"order: blocks of {sum(self.blocks)} samples cannot be those of {self.size}")

    def indices(self, epoch: int) -> NDArray[np.int64]:
        """All sample numbers (size,) in the order of an epoch, read-only.

        >>> Order(4, seed=0, shuffle=False).indices(7)
        array([0, 1, 2, 3])
        """
        blocks = self.blocks if self.shuffle and self.blocks is not None and len(self.blocks) > 1 else None
        return _indices(self.size, self.seed if self.shuffle else None, epoch, blocks, self.window)

    def next_batch(
        self, state: OrderState, batch_size: int, drop_last: bool = False
    ) -> tuple[NDArray[np.int64], OrderState]:
        """The next sample numbers (≤ batch_size,) and the state after them; after an epoch comes (epoch + 1, 0).

        The last batch of an epoch may be smaller; `drop_last` leaves it out. Raises DataError for a batch size below
        1, for one above the number of samples with `drop_last`, and for a state outside the epoch.
        """
        check_batch_size(batch_size, self.size, drop_last)
        epoch, start = state
        if epoch < 0 or not 0 <= start < self.size:
            raise DataError(f"order of {self.size} samples has no state (epoch {epoch}, position {start})")
        if drop_last and self.size - start < batch_size:
            epoch, start = epoch + 1, 0
        stop = min(start + batch_size, self.size)
        over = self.size - stop < (batch_size if drop_last else 1)
        return self.indices(epoch)[start:stop], OrderState(epoch + 1, 0) if over else OrderState(epoch, stop)


def order_of(dataset: Dataset, seed: int, shuffle: bool = True) -> Order:
    """Return the order in which a set is trained on; samples on disk are shuffled as far as their blocks allow.

    >>> order_of(Dataset(np.zeros((4, 1)), np.zeros(4), None, "train"), seed=0, shuffle=False).indices(0)
    array([0, 1, 2, 3])
    """
    return Order(len(dataset), seed, shuffle, dataset.blocks, dataset.window)


def draw_some(
    draws: np.random.Generator, count: int, size: int, blocks: tuple[int, ...] | None = None
) -> NDArray[np.int64]:
    """Return so many different numbers of `size` samples, at random; of few blocks, where samples lie in these.

    >>> draw_some(np.random.default_rng(0), 3, 10, (5, 5)).tolist()
    [2, 4, 1]
    """
    if blocks is None:
        return draws.choice(size, count, replace=False)
    ends = np.cumsum(blocks)
    chosen, found = [], 0
    for block in draws.permutation(len(blocks)):
        chosen.append(np.arange(ends[block] - blocks[block], ends[block]))
        found += blocks[block]
        if found >= count:
            break
    return draws.choice(np.concatenate(chosen), count, replace=False)


def check_batch_size(batch_size: int, size: int, drop_last: bool) -> None:
    """Raise DataError for a batch size below 1, or one that drops every sample.

    >>> check_batch_size(64, 50, drop_last=True)
    Traceback (most recent call last):
    treadle.errors.DataError: batch size 64 with drop_last leaves none of 50 samples
    """
    if batch_size < 1:
        raise DataError(f"batch size must be 1 or more, found {batch_size}")
    if drop_last and batch_size > size:
        raise DataError(f"batch size {batch_size} with drop_last leaves none of {size} samples")


@lru_cache(maxsize=4)  # next_batch asks for the same epoch once a step
def _indices(size: int, seed: int | None, epoch: int, blocks: tuple[int, ...] | None, window: int) -> NDArray[np.int64]:
    if seed is None:
        order = np.arange(size, dtype=np.int64)
    else:
        # Raw random bits are sorted: NumPy promises the same bits in every version, not the same permutation().
        bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(_ORDER_STREAM, epoch)))
        drawn = bits.random_raw(size)
        if blocks is None:
            order = np.argsort(drawn, kind="stable").astype(np.int64, copy=False)
        else:
            windows = _windows(np.array(blocks), bits.random_raw(len(blocks)), window)
            order = np.concatenate([one[np.argsort(drawn[one], kind="stable")] for one in windows])
    order.flags.writeable = False
    return order


def _windows(blocks: NDArray[np.int64], drawn: NDArray[np.uint64], window: int) -> list[NDArray[np.int64]]:
    """Numbers of the samples of each window: blocks in the order drawn, as many in one as it has place for."""
    ends = np.cumsum(blocks)
    windows: list[list[int]] = [[]]
    filled = 0
    for block in np.argsort(drawn, kind="stable").tolist():
        if filled and filled + blocks[block] > window:
            windows.append([])
            filled = 0
        windows[-1].append(block)
        filled += blocks[block]
    return [
        np.concatenate([np.arange(ends[block] - blocks[block], ends[block]) for block in sorted(one)])
        for one in windows
    ]
