"""Treadle as a user has it: `fit` on images of bytes, which it scales batch by batch inside the timed part."""

import time

import numpy as np
from setting import Data, Epochs, Setting

import treadle as td


class Mlp:
    """The model through `fit`, continued from the parameters of the call before."""

    def __init__(self, setting: Setting, data: Data) -> None:
        classes = tuple("0123456789")
        self.setting = setting
        self.sets = td.data.Sets(
            td.data.Dataset(data.train_images, data.train_labels, classes, "train"),
            td.data.Dataset(data.validation_images, data.validation_labels, classes, "validation"),
            td.data.Dataset(data.test_images, data.test_labels, classes, "test"),
            "mnist",
            "benchmark",
        )
        self.network = td.nn.Sequential(td.nn.Flatten(), td.nn.Linear(100), td.nn.ReLU(), td.nn.Linear(10))
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
            optimizer=td.optim.SGD(self.setting.learning_rate),
            batch_size=self.setting.batch_size,
            epochs=epochs,
            seed=seed,
            threads=self.setting.threads,
            parameters=self.run.parameters if self.run else None,
            on_step=on_step,
        )
        history = self.run.history
        return Epochs(sum(epoch["seconds"] for epoch in history), cpu, history[-1]["train_loss"])

    def accuracy(self) -> float:
        """Return the accuracy on the test set."""
        assert self.run is not None
        predicted = np.concatenate(
            [
                self.run.predict(self.sets.test.images[i : i + 1000]).argmax(1)
                for i in range(0, len(self.sets.test), 1000)
            ]
        )
        return float(np.mean(predicted == self.sets.test.labels))


MODELS = {"mlp": Mlp}
