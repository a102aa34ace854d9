"""JAX at its best: a whole epoch is one `lax.scan` in one compiled function, shuffling included."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from setting import Data, Epochs, Setting, scaled


def linear(key: jax.Array, inputs: int, outputs: int) -> dict[str, jax.Array]:
    weight = jax.nn.initializers.glorot_uniform()(key, (inputs, outputs), jnp.float32)
    return {"weight": weight, "bias": jnp.zeros(outputs, jnp.float32)}


def scores(params: dict, x: jax.Array) -> jax.Array:
    hidden = jax.nn.relu(x @ params["1"]["weight"] + params["1"]["bias"])
    return hidden @ params["2"]["weight"] + params["2"]["bias"]


def cross_entropy(params: dict, x: jax.Array, y: jax.Array) -> jax.Array:
    log_probabilities = jax.nn.log_softmax(scores(params, x))
    return -jnp.mean(jnp.take_along_axis(log_probabilities, y[:, None], axis=1))


@partial(jax.jit, static_argnames=("batch_size", "learning_rate"), donate_argnames="params")
def epoch(
    params: dict, key: jax.Array, x: jax.Array, y: jax.Array, *, batch_size: int, learning_rate: float
) -> tuple[dict, jax.Array]:
    def step(params: dict, indices: jax.Array) -> tuple[dict, jax.Array]:
        loss, grads = jax.value_and_grad(cross_entropy)(params, x[indices], y[indices])
        return jax.tree.map(lambda p, g: p - learning_rate * g, params, grads), loss * len(indices)

    order = jax.random.permutation(key, len(y))
    whole = len(y) // batch_size * batch_size
    params, losses = jax.lax.scan(step, params, order[:whole].reshape(-1, batch_size))
    total = losses.sum()
    if whole < len(y):
        params, loss = step(params, order[whole:])
        total += loss
    return params, total / len(y)


class Mlp:
    """The model as plain functions."""

    def __init__(self, setting: Setting, data: Data) -> None:
        self.setting = setting
        self.inputs = jnp.asarray(scaled(data.train_images))
        self.labels = jnp.asarray(data.train_labels, jnp.int32)
        self.test = jnp.asarray(scaled(data.test_images)), data.test_labels
        keys = jax.random.split(jax.random.key(setting.seed))
        self.params = {"1": linear(keys[0], 784, 100), "2": linear(keys[1], 100, 10)}

    def train(self, epochs: int, seed: int) -> Epochs:
        """Train with a new order of the samples in each epoch."""
        keys = jax.random.split(jax.random.key(seed), epochs)
        begun, cpu = time.perf_counter(), time.process_time()
        for key in keys:
            self.params, loss = epoch(
                self.params,
                key,
                self.inputs,
                self.labels,
                batch_size=self.setting.batch_size,
                learning_rate=self.setting.learning_rate,
            )
        mean = float(jax.block_until_ready((loss, self.params))[0])
        return Epochs(time.perf_counter() - begun, time.process_time() - cpu, mean)

    def accuracy(self) -> float:
        """Return the accuracy on the test set."""
        inputs, labels = self.test
        return float(np.mean(np.asarray(scores(self.params, inputs)).argmax(1) == labels))


MODELS = {"mlp": Mlp}
