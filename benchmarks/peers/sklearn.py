"""scikit-learn: MLPClassifier, an epoch by `partial_fit`, without momentum and penalty."""

import time

import numpy as np
from setting import Data, Epochs, Setting, scaled
from sklearn.neural_network import MLPClassifier


class Mlp:
    """The model as MLPClassifier."""

    def __init__(self, setting: Setting, data: Data) -> None:
        self.inputs, self.labels = scaled(data.train_images), data.train_labels
        self.test = scaled(data.test_images), data.test_labels
        self.classes = np.arange(10)
        self.model = MLPClassifier(
            hidden_layer_sizes=(100,),
            activation="relu",
            solver="sgd",
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
        return float(self.model.score(*self.test))


MODELS = {"mlp": Mlp}
