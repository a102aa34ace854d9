"""Samples on their way into training: read, scaled and written where a step wants them, in one pass if possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle import kernels
from treadle.data import Augmentation, Dataset, augment
from treadle.errors import DataError
from treadle.losses import Loss

Array = np.ndarray[Any, np.dtype[Any]]


class Feed:
    """Inputs and targets of a data set, in the form in which network and loss take them.

    Args:
        data: the samples.
        scale: fitted.
        loss: says what targets are.
        dtype: of the inputs, and of targets that are numbers.
        augmentations: random changes of images; `epoch` and the seed decide what is drawn.
        seed: of these.
    """

    def __init__(
        self,
        data: Dataset,
        scale: Any,
        loss: Loss,
        dtype: np.dtype[Any],
        augmentations: Sequence[Augmentation] = (),
        seed: int = 0,
    ) -> None:
        self.inputs, self.scale, self.dtype = data.inputs, scale, dtype
        self.augmentations, self.seed, self.epoch = tuple(augmentations), seed, 0
        if self.augmentations:
            if data.inputs.ndim != 4:
                raise DataError(f"augmentation changes images (C, H, W), and samples have shape {data.shape}")
            black = scale.apply(np.zeros((1, *data.shape), data.inputs.dtype), dtype)
            self._fill = black[0, :, :1, :1]
        self.targets = loss.targets(data.targets, dtype)
        # small integers under one scale are exact in float32, so that scaling them one by one gives the same bits
        small = data.inputs.dtype.kind in "ui" and data.inputs.dtype.itemsize <= 2
        self._one_pass = small and scale.offset.size == 1 and dtype.itemsize >= 4

    def take(self, indices: Array, inputs: Array, targets: Array) -> None:
        """Write the samples of some numbers (N,) into inputs (N, …) and targets (N, …)."""
        if self._one_pass:
            offset, factor = (self.dtype.type(value.item()) for value in (self.scale.offset, self.scale.factor))
            kernels.active().take_scaled(self.inputs, indices, offset, factor, inputs)
        else:
            np.copyto(inputs, self.scale.apply(self.inputs[indices], self.dtype))
        if self.augmentations:
            changed = augment(inputs, self.augmentations, indices, self._fill, seed=self.seed, epoch=self.epoch)
            np.copyto(inputs, changed)
        np.take(self.targets, indices, axis=0, out=targets)
