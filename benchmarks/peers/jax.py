"""JAX at its best: one compiled function for an epoch, shuffling included, or for a step where there are convolutions.

XLA on the CPU runs a convolution inside `lax.scan` without its fast library: a step of LeNet took 720 ms there, and
31 ms in a compiled step of its own, on one core. Max-pooling is a maximum over a reshaped array, since the gradient of
`lax.reduce_window` took as long as all the rest. The variant im2col writes convolutions as matrix products, in one
`lax.scan`.
"""

import math
import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from setting import (
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
    scaled,
)

Tree = Any
Layers = tuple[Layer, ...]


def parts(layer: Residual, inputs: int) -> tuple[Layers, Layers]:
    """Return the layers of the main path and of the shortcut of a residual block."""
    channels, stride = layer.channels, layer.stride
    main = (Conv(channels, 3, stride, bias=False), BatchNorm(), ReLU(), Conv(channels, 3, bias=False), BatchNorm())
    changes = stride != 1 or inputs != channels
    return main, (Conv(channels, 1, stride, bias=False), BatchNorm()) if changes else ()


def glorot(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.nn.initializers.glorot_uniform()(key, shape, jnp.float32)


def init(layers: Layers, shape: tuple[int, ...], key: jax.Array) -> tuple[Tree, Tree, tuple[int, ...]]:
    """Return parameters, running statistics and the shape of an output for samples of a shape (H, W, C) or (F,)."""
    params, statistics = [], []
    for layer, layer_key in zip(layers, jax.random.split(key, len(layers) + 1), strict=False):
        trained: Tree = {}
        running: Tree = {}
        match layer:
            case Flatten():
                shape = (math.prod(shape),)
            case Linear(units):
                trained = {"weight": glorot(layer_key, (shape[0], units)), "bias": jnp.zeros(units, jnp.float32)}
                shape = (units,)
            case Conv(channels, kernel, stride, bias):
                trained = {"weight": glorot(layer_key, (kernel, kernel, shape[-1], channels))}
                if bias:
                    trained["bias"] = jnp.zeros(channels, jnp.float32)
                shape = (-(-shape[0] // stride), -(-shape[1] // stride), channels)
            case MaxPool(size):
                shape = (shape[0] // size, shape[1] // size, shape[2])
            case BatchNorm():
                ones, zeros = jnp.ones(shape[-1], jnp.float32), jnp.zeros(shape[-1], jnp.float32)
                trained, running = {"scale": ones, "shift": zeros}, {"mean": zeros + 0, "variance": ones + 0}
            case Residual():
                keys = jax.random.split(layer_key)
                main, shortcut = parts(layer, shape[-1])
                first, first_running, after = init(main, shape, keys[0])
                second, second_running, _ = init(shortcut, shape, keys[1])
                trained, running = {"main": first, "shortcut": second}, {"main": first_running}
                running["shortcut"] = second_running
                shape = after
            case GlobalAveragePool():
                shape = (shape[-1],)
        params.append(trained)
        statistics.append(running)
    return params, statistics, shape


def convolve(x: jax.Array, weight: jax.Array, stride: int, im2col: bool) -> jax.Array:
    kernel = weight.shape[0]
    before = kernel // 2
    if not im2col:
        padding = ((before, before), (before, before))
        return lax.conv_general_dilated(
            x, weight, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    height, width = -(-x.shape[1] // stride), -(-x.shape[2] // stride)
    padded = jnp.pad(x, ((0, 0), (before, before), (before, before), (0, 0)))
    windows = [
        padded[:, i : i + stride * (height - 1) + 1 : stride, j : j + stride * (width - 1) + 1 : stride]
        for i in range(kernel)
        for j in range(kernel)
    ]
    columns = jnp.concatenate(windows, axis=-1)
    product = columns.reshape(-1, columns.shape[-1]) @ weight.reshape(-1, weight.shape[-1])
    return product.reshape(len(x), height, width, weight.shape[-1])


def apply(
    layers: Layers, params: Tree, statistics: Tree, x: jax.Array, training: bool, im2col: bool
) -> tuple[jax.Array, Tree]:
    """Return the outputs and the running statistics after them."""
    after = []
    for layer, p, s in zip(layers, params, statistics, strict=True):
        running = s
        match layer:
            case Flatten():
                x = x.reshape(len(x), -1)
            case Linear():
                x = x @ p["weight"] + p["bias"]
            case ReLU():
                x = jax.nn.relu(x)
            case Conv(_, _, stride, bias):
                x = convolve(x, p["weight"], stride, im2col)
                x = x + p["bias"] if bias else x
            case MaxPool(size):
                n, height, width, channels = x.shape
                cut = x[:, : height // size * size, : width // size * size]
                x = cut.reshape(n, height // size, size, width // size, size, channels).max((2, 4))
            case BatchNorm():
                mean, variance = s["mean"], s["variance"]
                if training:
                    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
                    count = x.size // x.shape[-1]
                    unbiased = variance * (count / (count - 1))
                    running = {
                        "mean": 0.9 * s["mean"] + 0.1 * mean,
                        "variance": 0.9 * s["variance"] + 0.1 * unbiased,
                    }
                factor = p["scale"] * lax.rsqrt(variance + 1e-5)
                x = (x - mean) * factor + p["shift"]
            case Residual():
                main, shortcut = parts(layer, x.shape[-1])
                first, main_running = apply(main, p["main"], s["main"], x, training, im2col)
                second, shortcut_running = apply(shortcut, p["shortcut"], s["shortcut"], x, training, im2col)
                running = {"main": main_running, "shortcut": shortcut_running}
                x = jax.nn.relu(first + second)
            case GlobalAveragePool():
                x = x.mean((1, 2))
        after.append(running)
    return x, after


def update(optimizer: str, learning_rate: float, params: Tree, grads: Tree, state: Tree) -> tuple[Tree, Tree]:
    """Return parameters and the optimiser's state after a step."""
    tree_map = jax.tree.map
    if optimizer == "sgd":
        return tree_map(lambda p, g: p - learning_rate * g, params, grads), state
    if optimizer == "momentum":
        velocity = tree_map(lambda v, g: 0.9 * v + g, state["velocity"], grads)
        return tree_map(lambda p, v: p - learning_rate * v, params, velocity), {"velocity": velocity}
    count = state["count"] + 1
    mean = tree_map(lambda m, g: 0.9 * m + 0.1 * g, state["mean"], grads)
    square = tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, state["square"], grads)
    rate, root = learning_rate / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)
    params = tree_map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-8), params, mean, square)
    return params, {"mean": mean, "square": square, "count": count}


def optimizer_state(optimizer: str, params: Tree) -> Tree:
    zeros = partial(jax.tree.map, jnp.zeros_like)
    if optimizer == "sgd":
        return {}
    if optimizer == "momentum":
        return {"velocity": zeros(params)}
    return {"mean": zeros(params), "square": zeros(params), "count": jnp.zeros((), jnp.float32)}


class Trainer:
    """The model as plain functions; `state` is parameters, running statistics and the optimiser's state."""

    def __init__(self, setting: Setting, data: Data, variant: str) -> None:
        self.im2col = variant == "im2col"
        if self.im2col and not setting.convolutional:
            raise Absent("the model has no convolution")
        self.setting, self.layers = setting, setting.layers
        self.layout = "NHWC" if setting.convolutional else "rows"
        self.inputs = jnp.asarray(scaled(data.train_images, self.layout))
        self.labels = jnp.asarray(data.train_labels, jnp.int32)
        self.test = data.test_images, data.test_labels
        params, statistics, _ = init(self.layers, self.inputs.shape[1:], jax.random.key(setting.seed))
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
        self.state = params, statistics, optimizer_state(setting.optimizer, params)
        self.whole_epochs = self.im2col or not setting.convolutional
        self.epoch = jax.jit(self._epoch, donate_argnums=0)
        self.step = jax.jit(self._step, donate_argnums=0, static_argnames="size")
        self.permutation = jax.jit(partial(jax.random.permutation, x=len(self.labels)))

    def _loss(self, params: Tree, statistics: Tree, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Tree]:
        scores, statistics = apply(self.layers, params, statistics, x, training=True, im2col=self.im2col)
        log_probabilities = jax.nn.log_softmax(scores)
        return -jnp.mean(jnp.take_along_axis(log_probabilities, y[:, None], axis=1)), statistics

    def _batch(self, state: Tree, indices: jax.Array, inputs: jax.Array, labels: jax.Array) -> tuple[Tree, jax.Array]:
        params, statistics, optimizer = state
        objective = jax.value_and_grad(self._loss, has_aux=True)
        (loss, statistics), grads = objective(params, statistics, inputs[indices], labels[indices])
        params, optimizer = update(self.setting.optimizer, self.setting.learning_rate, params, grads, optimizer)
        return (params, statistics, optimizer), loss * len(indices)

    def _epoch(self, state: Tree, key: jax.Array, inputs: jax.Array, labels: jax.Array) -> tuple[Tree, jax.Array]:
        size = self.setting.batch_size
        order = jax.random.permutation(key, len(labels))
        whole = len(labels) // size * size
        step = partial(self._batch, inputs=inputs, labels=labels)
        total = jnp.zeros(())
        if whole:
            state, losses = lax.scan(step, state, order[:whole].reshape(-1, size))
            total += losses.sum()
        if whole < len(labels):
            state, loss = step(state, order[whole:])
            total += loss
        return state, total / len(labels)

    def _step(
        self, state: Tree, order: jax.Array, start: jax.Array, inputs: jax.Array, labels: jax.Array, *, size: int
    ) -> tuple[Tree, jax.Array]:
        return self._batch(state, lax.dynamic_slice(order, (start,), (size,)), inputs, labels)

    def _stepwise(self, key: jax.Array) -> jax.Array:
        count, size = len(self.labels), self.setting.batch_size
        order, losses = self.permutation(key), []
        for start in range(0, count, size):
            self.state, loss = self.step(
                self.state, order, start, self.inputs, self.labels, size=min(size, count - start)
            )
            losses.append(loss)
        return jnp.stack(losses).sum() / count

    def train(self, epochs: int, seed: int) -> Epochs:
        """Train with a new order of the samples in each epoch."""
        keys = jax.random.split(jax.random.key(seed), epochs)
        begun, cpu = time.perf_counter(), time.process_time()
        for key in keys:
            if self.whole_epochs:
                self.state, loss = self.epoch(self.state, key, self.inputs, self.labels)
            else:
                loss = self._stepwise(key)
        mean = float(jax.block_until_ready((loss, self.state))[0])
        return Epochs(time.perf_counter() - begun, time.process_time() - cpu, mean)

    def accuracy(self) -> float:
        """Return the accuracy on the test set."""
        images, labels = self.test
        inputs = jnp.asarray(scaled(images, self.layout))
        params, statistics, _ = self.state
        scores = jax.jit(lambda p, s, x: apply(self.layers, p, s, x, training=False, im2col=self.im2col)[0])
        predicted = [np.asarray(scores(params, statistics, inputs[i : i + 1000])) for i in range(0, len(labels), 1000)]
        return float(np.mean(np.concatenate(predicted).argmax(1) == labels))
