"""Keras on TensorFlow: `compile` and `fit`, the step compiled by XLA, which is the default, and ten steps a call."""

import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers as kl
from setting import (
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
    scaled,
)

# Fewer returns to Python: a step of the small networks takes half the time. More than ten gain nothing.
STEPS_PER_EXECUTION = 10


def normalize(x: keras.KerasTensor) -> keras.KerasTensor:
    return kl.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def convolve(x: keras.KerasTensor, channels: int, kernel: int, stride: int, bias: bool) -> keras.KerasTensor:
    """Convolve with padding on both sides; "same" would pad one side alone where the stride is 2."""
    padding = "same"
    if stride != 1:
        padding = "valid"
        x = kl.ZeroPadding2D(kernel // 2)(x) if kernel > 1 else x
    return kl.Conv2D(channels, kernel, stride, padding=padding, use_bias=bias)(x)


def apply(layer: Layer, x: keras.KerasTensor) -> keras.KerasTensor:
    match layer:
        case Flatten():
            return kl.Flatten()(x)
        case Linear(units):
            return kl.Dense(units)(x)
        case ReLU():
            return kl.ReLU()(x)
        case Conv(channels, kernel, stride, bias):
            return convolve(x, channels, kernel, stride, bias)
        case MaxPool(size):
            return kl.MaxPooling2D(size)(x)
        case BatchNorm():
            return normalize(x)
        case Residual(channels, stride):
            main = kl.ReLU()(normalize(convolve(x, channels, 3, stride, bias=False)))
            main = normalize(convolve(main, channels, 3, 1, bias=False))
            if stride != 1 or x.shape[-1] != channels:
                x = normalize(convolve(x, channels, 1, stride, bias=False))
            return kl.ReLU()(kl.Add()([main, x]))
        case GlobalAveragePool():
            return kl.GlobalAveragePooling2D()(x)


def optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    if name == "adam":
        return keras.optimizers.Adam(learning_rate, epsilon=1e-8)
    return keras.optimizers.SGD(learning_rate, momentum=0.9 if name == "momentum" else 0.0)


class Trainer:
    """The model through the functional API."""

    def __init__(self, setting: Setting, data: Data, variant: str) -> None:  # noqa: ARG002 there is one way
        tf.config.threading.set_intra_op_parallelism_threads(setting.threads)
        tf.config.threading.set_inter_op_parallelism_threads(setting.threads)
        keras.utils.set_random_seed(setting.seed)
        self.batch_size = setting.batch_size
        self.layout = "NHWC" if setting.convolutional else "rows"
        self.inputs, self.labels = scaled(data.train_images, self.layout), data.train_labels
        self.test = data.test_images, data.test_labels
        inputs = keras.Input(self.inputs.shape[1:])
        x = inputs
        for layer in setting.layers:
            x = apply(layer, x)
        self.model = keras.Model(inputs, x)
        self.parameters = sum(int(np.prod(weight.shape)) for weight in self.model.trainable_weights)
        self.model.compile(
            optimizer=optimizer(setting.optimizer, setting.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=STEPS_PER_EXECUTION,
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
        images, labels = self.test
        predicted = self.model.predict(scaled(images, self.layout), batch_size=1000, verbose=0).argmax(1)
        return float(np.mean(predicted == labels))
