"""What a benchmark run fixes for every peer, and the data that all of them read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Model:
    """A network with its training: what each peer builds in its own way."""

    name: str
    description: str
    optimizer: str
    learning_rate: float


MODELS = {
    model.name: model
    for model in [
        Model("mlp", "784-100-10, fully connected, ReLU, cross-entropy", "SGD", 0.1),
    ]
}


@dataclass(frozen=True)
class Setting:
    """The same for every peer."""

    model: str
    batch_size: int
    threads: int
    seed: int

    @property
    def learning_rate(self) -> float:
        """The step size of the model's optimiser."""
        return MODELS[self.model].learning_rate

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for the way to a worker."""
        return asdict(self)


@dataclass(frozen=True)
class Epochs:
    """What a peer measured over some epochs of training, without evaluation."""

    seconds: float
    cpu_seconds: float
    loss: float


@dataclass(frozen=True)
class Data:
    """Images uint8 (N, 1, 28, 28) and labels int64 (N,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def save(self, folder: Path) -> None:
        """Write one file an array."""
        for name in self.__dataclass_fields__:
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path) -> Data:
        """Read what `save` wrote."""
        return cls(**{name: np.load(folder / f"{name}.npy") for name in cls.__dataclass_fields__})


def scaled(images: np.ndarray) -> np.ndarray:
    """Return the images as float32 in 0–1, (N, 784)."""
    return (images.reshape(len(images), -1) / np.float32(255)).astype(np.float32)
