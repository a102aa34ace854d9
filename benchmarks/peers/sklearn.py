"""scikit-learn: MLPClassifier, an epoch by `partial_fit`, without momentum and penalty."""

import time

import numpy as np
from setting import Absent, Data, Epochs, Setting, scaled
from sklearn.neural_network import MLPClassifier


class Trainer:
    """The model as MLPClassifier."""

    def __init__(self, setting: Setting, data: Data, variant: str) -> None:  # noqa: ARG002 there is one way
        if setting.convolutional:
            raise Absent("scikit-learn has no convolution")
        self.inputs, self.labels = scaled(data.train_images), data.train_labels
        self.test = data.test_images, data.test_labels
        self.classes = np.arange(10)
        units = [layer.units for layer in setting.layers if hasattr(layer, "units")]
        sizes = [self.inputs.shape[1], *units]
        self.parameters = sum((a + 1) * b for a, b in zip(sizes, units, strict=False))
        self.model = MLPClassifier(
            hidden_layer_sizes=tuple(units[:-1]),
            activation="relu",
            solver=setting.optimizer,
            learning_rate_init=setting.learning_rate,
            momentum=0,
            nesterovs_momentum=False,
            alpha=0,
            batch_size=setting.batch_size,
            random_state=np.random.RandomState(setting.seed),
        )

    def train(self, epochs: int, seed: int) -> Epochs:  # noqa: ARG002 the order comes from the model's own generator
        """Train with a new order of the samples in each epoch."""
        begun, cpu = time.perf_counter(), time.process_time()
        for _ in range(epochs):
            self.model.partial_fit(self.inputs, self.labels, classes=self.classes)
        return Epochs(time.perf_counter() - begun, time.process_time() - cpu, float(self.model.loss_))

    def accuracy(self) -> float:
        """Return the accuracy on the test set."""
        images, labels = self.test
        return float(self.model.score(scaled(images), labels))
