"""LeNet trained by Treadle and by PyTorch from the same weights on the same batches: for a test and a benchmark.

Two float32 programs of the same rules still differ by rounding, and training lets the difference grow from step to
step. How far they may differ is measured rather than guessed: PyTorch trains in float32 several times, with the samples
of each batch in other orders. The rules are then the same, and sums are added in other orders. How far these runs lie
from PyTorch in float64 is the noise of float32, and Treadle should lie no farther away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import treadle as td

BATCH, RATE = 100, 0.001


def network() -> td.nn.Module:
    return td.nn.Sequential(
        td.nn.Conv2d(20, 5, padding=2),
        td.nn.ReLU(),
        td.nn.MaxPool2d(2),
        td.nn.Conv2d(20, 5, padding=2),
        td.nn.ReLU(),
        td.nn.MaxPool2d(2),
        td.nn.Flatten(),
        td.nn.Linear(10),
    )


def start(seed: int) -> Any:
    """Return the weights that both begin with."""
    return network().init((1, 28, 28), seed=seed)


def train_treadle(sets: td.data.Sets, seed: int, epochs: int = 1, threads: int = 1) -> tuple[np.ndarray, td.Run]:
    """Return the loss of each step, and the run."""
    losses: list[float] = []
    run = td.fit(
        network(),
        sets,
        loss="cross_entropy",
        optimizer=td.optim.Adam(RATE),
        batch_size=BATCH,
        epochs=epochs,
        seed=seed,
        threads=threads,
        parameters=start(seed),
        on_step=lambda state, _: losses.append(float(state.loss)),
    )
    return np.array(losses), run


def model_of(parameters: Any, dtype: torch.dtype) -> torch.nn.Sequential:
    """Return the network in PyTorch with these weights."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 20, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 20, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(980, 10),
    ).to(dtype)
    with torch.no_grad():
        for place, name in ((0, "conv2d1"), (3, "conv2d2"), (7, "linear1")):
            weight = np.array(parameters[name]["weight"])
            model[place].weight.copy_(torch.from_numpy(weight.T if weight.ndim == 2 else weight))
            model[place].bias.copy_(torch.from_numpy(np.array(parameters[name]["bias"])))
    return model


def train_torch(
    sets: td.data.Sets, seed: int, epochs: int = 1, dtype: torch.dtype = torch.float32, within: int | None = None
) -> tuple[np.ndarray, torch.nn.Sequential]:
    """Return the loss of each step, and the model; `within` is a seed that reorders the samples inside each batch."""
    model, losses = model_of(start(seed), dtype), []
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    images, labels = torch.tensor(sets.train.images), torch.tensor(sets.train.labels)
    shuffled = None if within is None else np.random.default_rng(within)
    order = td.data.Order(len(images), seed)
    for epoch in range(epochs):
        for rows in np.split(order.indices(epoch), range(BATCH, len(images), BATCH)):
            chosen = torch.from_numpy(np.array(rows if shuffled is None else shuffled.permutation(rows)))
            loss = torch.nn.functional.cross_entropy(model(images[chosen].to(dtype) / 255), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return np.array(losses), model


def accuracy_of(model: torch.nn.Sequential, data: td.data.Dataset) -> float:
    """Return the share of right classes."""
    images = torch.tensor(data.images)
    dtype = model[0].weight.dtype
    with torch.no_grad():
        predicted = torch.cat([model(part.to(dtype) / 255).argmax(1) for part in images.split(1000)])
    return float(np.mean(predicted.numpy() == data.labels))


def distances(sets: td.data.Sets, seed: int, runs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how far Treadle and PyTorch in float32 lie from PyTorch in float64, step by step.

    Returns:
        |loss − loss in float64| of Treadle (steps,) and of each run of PyTorch (runs, steps), the first of them with
        the samples in Treadle's order; and the losses in float64 (steps,).
    """
    exact = train_torch(sets, seed, dtype=torch.float64)[0]
    noise = [np.abs(train_torch(sets, seed, within=n or None)[0] - exact) for n in range(runs)]
    return np.abs(train_treadle(sets, seed)[0] - exact), np.array(noise), exact


def root_mean_square(x: np.ndarray) -> Any:
    """Over the last axis, the steps."""
    return np.sqrt(np.mean(np.square(x), axis=-1))
