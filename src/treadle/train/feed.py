"""Samples on their way into training: targets as the loss takes them, inputs in one pass if possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from treadle import kernels
from treadle.data import Augmentation, BatchMaker, Dataset
from treadle.losses import Loss

Array = np.ndarray[Any, np.dtype[Any]]


class Feed(BatchMaker):
    """Inputs and targets of a data set, in the form in which network and loss take them.

    Args:
        data: the samples.
        scale: fitted.
        loss: says what targets are.
        dtype: of the inputs, and of targets that are numbers.
        augmentations: random changes of images; the epoch and the seed decide what is drawn.
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
        super().__init__(data, scale, dtype, augmentations, seed)
        self.targets = loss.targets(data.targets, dtype)
        # small integers under one scale are exact in float32, so that scaling them one by one gives the same bits
        small = data.inputs.dtype.kind in "ui" and data.inputs.dtype.itemsize <= 2 and data.inputs.dtype.isnative
        in_memory = isinstance(data.inputs, np.ndarray)
        one_pass = in_memory and small and scale.offset.size == 1 and dtype.itemsize >= 4
        self._one_pass = [dtype.type(value.item()) for value in (scale.offset, scale.factor)] if one_pass else None

    def _scaled(self, indices: Array, out: Array) -> None:
        if self._one_pass:
            kernels.active().take_scaled(self.inputs, indices, *self._one_pass, out)
        else:
            super()._scaled(indices, out)
