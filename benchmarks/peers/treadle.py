"""Treadle as a user has it: `fit` on images of bytes, which it scales batch by batch inside the timed part."""

import time

import numpy as np
from setting import (
    MODELS,
    Absent,
    BatchNorm,
    Conv,
    Data,
    Epochs,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Residual,
    Setting,
)

import treadle as td
from treadle.tree import leaves

CLASSES = tuple("0123456789")
EVALUATION_BATCH = 1000


def build(setting: Setting) -> td.nn.Module:
    """Return the network: the preset where there is one of this size, otherwise its layers."""
    if setting.model == "resnet":
        if setting.width or setting.depth:
            raise Absent("the preset resnet_small has one size")
        if "resnet_small" not in td.nn.MODELS:
            raise Absent("this version of Treadle has no resnet_small")
        return td.nn.MODELS["resnet_small"](10)
    try:
        return td.nn.Sequential(*map(build_layer, setting.layers))
    except AttributeError as error:
        raise Absent(f"this version of Treadle lacks a layer: {error}") from None


def build_layer(layer: Layer) -> td.nn.Module:
    match layer:
        case Flatten():
            return td.nn.Flatten()
        case Linear(units):
            return td.nn.Linear(units)
        case ReLU():
            return td.nn.ReLU()
        case Conv(channels, kernel, stride, bias):
            padding = kernel // 2
            return td.nn.Conv2d(
                channels, kernel, stride=stride, padding=padding, bias=bias, weight_init="xavier_uniform"
            )
        case MaxPool(size):
            return td.nn.MaxPool2d(size)
        case BatchNorm() | Residual() | GlobalAveragePool():
            raise Absent(f"{layer} is part of a preset alone")


def optimizer(name: str, learning_rate: float) -> td.optim.Optimizer:
    if name == "momentum":
        return td.optim.Momentum(learning_rate, momentum=0.9)
    return td.optim.OPTIMIZERS[name](lr=learning_rate)


def sets_of(data: Data) -> td.data.Sets:
    return td.data.Sets(
        td.data.Dataset(data.train_images, data.train_labels, CLASSES, "train"),
        td.data.Dataset(data.validation_images, data.validation_labels, CLASSES, "validation"),
        td.data.Dataset(data.test_images, data.test_labels, CLASSES, "test"),
        "benchmark",
        "benchmark",
    )


class Trainer:
    """The model through `fit`, continued from the parameters of the call before."""

    def __init__(self, setting: Setting, data: Data, variant: str) -> None:  # noqa: ARG002 there is one way
        self.setting = setting
        self.sets = sets_of(data)
        self.network = build(setting)
        self.optimizer = optimizer(MODELS[setting.model].optimizer, setting.learning_rate)
        specification = leaves(self.network.parameters(data.shape))
        self.parameters = sum(leaf.size for _, leaf in specification if leaf.trained)
        self.run: td.Run | None = None

    def train(self, epochs: int, seed: int) -> Epochs:
        """Train; `history` has the wall seconds without evaluation, and the CPU seconds are taken from step to step.

        The first step of each epoch begins after an evaluation, so it is counted as the mean of the others.
        """
        cpu, seen, begun = 0.0, 0, 0.0

        def on_step(_state: object, steps: int) -> None:
            nonlocal cpu, seen, begun
            now = time.process_time()
            if seen % steps:
                cpu += (now - begun) * steps / (steps - 1)
            begun = now
            seen += 1

        self.run = td.fit(
            self.network,
            self.sets,
            loss="cross_entropy",
            optimizer=self.optimizer,
            batch_size=self.setting.batch_size,
            epochs=epochs,
            seed=seed,
            threads=self.setting.threads,
            diagnose=self.setting.diagnose,
            parameters=self.run.parameters if self.run else None,
            on_step=on_step,
        )
        history = self.run.history
        each = tuple(epoch["seconds"] for epoch in history)
        return Epochs(sum(each), cpu, history[-1]["train_loss"], each)

    def accuracy(self) -> float:
        """Return the accuracy on the test set."""
        assert self.run is not None
        images, labels = self.sets.test.images, self.sets.test.labels
        pieces = range(0, len(images), EVALUATION_BATCH)
        predicted = np.concatenate([self.run.predict(images[i : i + EVALUATION_BATCH]).argmax(1) for i in pieces])
        return float(np.mean(predicted == labels))
