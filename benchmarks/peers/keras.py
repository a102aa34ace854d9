"""Keras on TensorFlow: `compile` and `fit` with their defaults."""

import time

import keras
import numpy as np
import tensorflow as tf
from setting import Data, Epochs, Setting, scaled


class Mlp:
    """The model as keras.Sequential."""

    def __init__(self, setting: Setting, data: Data) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(setting.threads)
        tf.config.threading.set_inter_op_parallelism_threads(setting.threads)
        keras.utils.set_random_seed(setting.seed)
        self.batch_size = setting.batch_size
        self.inputs, self.labels = scaled(data.train_images), data.train_labels
        self.test = scaled(data.test_images), data.test_labels
        self.model = keras.Sequential(
            [keras.Input((784,)), keras.layers.Dense(100, activation="relu"), keras.layers.Dense(10)]
        )
        self.model.compile(
            optimizer=keras.optimizers.SGD(setting.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )

    def train(self, epochs: int, seed: int) -> Epochs:
        """Train with a new order of the samples in each epoch."""
        keras.utils.set_random_seed(seed)
        begun, cpu = time.perf_counter(), time.process_time()
        history = self.model.fit(
            self.inputs, self.labels, batch_size=self.batch_size, epochs=epochs, shuffle=True, verbose=0
        )
        return Epochs(time.perf_counter() - begun, time.process_time() - cpu, history.history["loss"][-1])

    def accuracy(self) -> float:
        """Return the accuracy on the test set."""
        inputs, labels = self.test
        return float(np.mean(self.model.predict(inputs, batch_size=1000, verbose=0).argmax(1) == labels))


MODELS = {"mlp": Mlp}
