"""What a benchmark run fixes for every peer: models, sizes, and the data that all of them read."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np


class Absent(Exception):  # noqa: N818 not an error: a peer says why it cannot take part
    """Raised by a peer that cannot train this model on this machine; the message says why."""


@dataclass(frozen=True)
class Flatten:
    """All values of a sample in one row."""


@dataclass(frozen=True)
class Linear:
    """Fully connected layer with bias."""

    units: int


@dataclass(frozen=True)
class ReLU:
    """max(x, 0)."""


@dataclass(frozen=True)
class Conv:
    """Convolution, zero padding of kernel // 2 on each side."""

    channels: int
    kernel: int
    stride: int = 1
    bias: bool = True


@dataclass(frozen=True)
class MaxPool:
    """Maximum of each square of size × size, without overlap."""

    size: int


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation of each channel: ε 1e-5, running mean and variance keep 0.9 of what they were."""


@dataclass(frozen=True)
class Residual:
    """ReLU(F(x) + S(x)): F = Conv 3×3 (stride), BatchNorm, ReLU, Conv 3×3, BatchNorm; S = x, or Conv 1×1, BatchNorm.

    The shortcut has its convolution where stride or number of channels change. No convolution has a bias.
    """

    channels: int
    stride: int = 1


@dataclass(frozen=True)
class GlobalAveragePool:
    """Mean of each channel over height and width."""


Layer = Flatten | Linear | ReLU | Conv | MaxPool | BatchNorm | Residual | GlobalAveragePool


@dataclass(frozen=True)
class Model:
    """A network with its training: what each peer builds in its own way from the same list of layers.

    `width` and `depth` are units and number of hidden layers, channels and number of convolutions, or channels of the
    first stage and blocks in a stage.
    """

    name: str
    description: str
    optimizer: str
    learning_rate: float
    family: str
    width: int
    depth: int
    data: str = "mnist"

    @property
    def convolutional(self) -> bool:
        """Whether its layers take images rather than rows."""
        return self.family != "mlp"


MODELS = {
    model.name: model
    for model in [
        Model("mlp", "784-100-10, fully connected, ReLU, cross-entropy", "sgd", 0.1, "mlp", 100, 1),
        Model("mlp_adam", "784-100-10, fully connected, ReLU, cross-entropy", "adam", 0.001, "mlp", 100, 1),
        Model(
            "lenet",
            "two times convolution 20@5×5 (padding 2), ReLU, max-pool 2×2; then 980-10; cross-entropy",
            "adam",
            0.001,
            "lenet",
            20,
            2,
        ),
        Model(
            "resnet",
            "convolution 16@3×3, then two residual blocks each of 16, 32 and 64 channels, all with batch "
            "normalisation; global average pool, 64-10; cross-entropy",
            "momentum",
            0.1,
            "resnet",
            16,
            2,
            data="random",
        ),
    ]
}
OPTIMIZERS = {"sgd": "SGD", "momentum": "SGD with momentum 0.9", "adam": "Adam"}
RANDOM_SAMPLES = 5000
RANDOM_SHAPE = (3, 32, 32)


def layers_of(family: str, width: int, depth: int) -> tuple[Layer, ...]:
    """Return the layers of a network for ten classes."""
    if family == "mlp":
        hidden = [layer for _ in range(depth) for layer in (Linear(width), ReLU())]
        return (Flatten(), *hidden, Linear(10))
    if family == "lenet":
        blocks: list[Layer] = []
        for number in range(depth):
            blocks += [Conv(width, 5), ReLU()] + ([MaxPool(2)] if number < 2 else [])
        return (*blocks, Flatten(), Linear(10))
    stages = [
        Residual(width * 2**stage, 2 if stage and not block else 1) for stage in range(3) for block in range(depth)
    ]
    return (Conv(width, 3, bias=False), BatchNorm(), ReLU(), *stages, GlobalAveragePool(), Linear(10))


@dataclass(frozen=True)
class Setting:
    """The same for every peer. `width` and `depth` of 0 are those of the model; only Treadle can `diagnose`."""

    model: str
    batch_size: int
    threads: int
    seed: int
    width: int = 0
    depth: int = 0
    diagnose: bool = True

    @property
    def learning_rate(self) -> float:
        """The step size of the model's optimiser."""
        return MODELS[self.model].learning_rate

    @property
    def optimizer(self) -> str:
        """The name of the model's optimiser: sgd, momentum or adam."""
        return MODELS[self.model].optimizer

    @property
    def convolutional(self) -> bool:
        """Whether the model's layers take images rather than rows."""
        return MODELS[self.model].convolutional

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the model at this width and depth."""
        model = MODELS[self.model]
        return layers_of(model.family, self.width or model.width, self.depth or model.depth)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for the way to a worker."""
        return asdict(self)


@dataclass(frozen=True)
class Epochs:
    """What a peer measured over some epochs of training, without evaluation; `each` epoch alone where it can tell."""

    seconds: float
    cpu_seconds: float
    loss: float
    each: tuple[float, ...] = ()


@dataclass(frozen=True)
class Data:
    """Images uint8 (N, C, H, W) and labels int64 (N,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a sample."""
        return self.train_images.shape[1:]

    def first(self, samples: int) -> Data:
        """Return the same with the first samples of the training set alone."""
        return replace(self, train_images=self.train_images[:samples], train_labels=self.train_labels[:samples])

    def save(self, folder: Path) -> None:
        """Write one file an array."""
        for name in self.__dataclass_fields__:
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path) -> Data:
        """Read what `save` wrote."""
        return cls(**{name: np.load(folder / f"{name}.npy") for name in cls.__dataclass_fields__})


def random_data(samples: int, shape: tuple[int, ...], held_out: int = 1000) -> Data:
    """Return random images and labels, the same each time; validation and test set have `held_out` samples."""
    generator = np.random.default_rng(0)
    arrays = []
    for count in (samples, held_out, held_out):
        arrays.append(np.frombuffer(generator.bytes(count * math.prod(shape)), np.uint8).reshape(count, *shape))
        arrays.append(generator.integers(0, 10, count))
    return Data(*arrays)


def arranged(images: np.ndarray, layout: str) -> np.ndarray:
    """Return images (N, C, H, W) as rows (N, C·H·W), NCHW or NHWC."""
    if layout == "rows":
        return images.reshape(len(images), -1)
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if layout == "NHWC" else images


def scaled(images: np.ndarray, layout: str = "rows") -> np.ndarray:
    """Return images of bytes (N, C, H, W) as float32 in 0–1: rows (N, C·H·W), NCHW or NHWC."""
    return np.true_divide(arranged(images, layout), np.float32(255), dtype=np.float32)
