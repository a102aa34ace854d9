import numpy as np
import pytest
import torch

import treadle as td
from treadle.data import Order
from treadle.nn import Flatten, Linear, ReLU, Sequential, Sigmoid

STEPS, BATCH, LR = 200, 100, 0.5


@pytest.fixture(scope="module")
def sets():
    """The images of the first 200 steps, so that they are one epoch."""
    mnist = td.data.load("mnist")
    return td.data.Sets(mnist.train[: STEPS * BATCH], mnist.validation[:1000], mnist.test[:1000], "mnist", "")


def train_ours(sets, activation, dtype):
    network = Sequential(Flatten(), Linear(100), activation, Linear(10))
    start, losses = network.init((1, 28, 28), seed=0, dtype=dtype), []
    run = td.fit(
        network,
        sets,
        loss="cross_entropy",
        optimizer=td.optim.SGD(LR),
        batch_size=BATCH,
        seed=0,
        dtype=dtype,
        on_step=lambda state, _: losses.append(state.loss),
    )
    return start, np.array(losses), run


def train_torch(sets, activation, dtype, start):
    """The same in PyTorch alone: its own layers, loss, gradient and optimiser, from the same weights and order."""
    kind = {np.float32: torch.float32, np.float64: torch.float64}[dtype]
    model = torch.nn.Sequential(torch.nn.Linear(784, 100), activation, torch.nn.Linear(100, 10)).to(kind)
    with torch.no_grad():
        for layer, name in ((model[0], "linear1"), (model[2], "linear2")):
            layer.weight.copy_(torch.tensor(start[name]["weight"].T.copy()))
            layer.bias.copy_(torch.tensor(start[name]["bias"]))
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=LR), []
    images = torch.tensor(sets.train.images.reshape(-1, 784)).to(kind) * (1 / 255)
    labels = torch.tensor(sets.train.labels)
    for rows in torch.tensor(Order(len(images), 0).indices(0).copy()).split(BATCH):
        loss = torch.nn.functional.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), model


# Both sum in the order of their own matrix products. Losses and weights so differ by a few roundings, 4e-7 in float32
# and 1e-15 in float64 as measured; the tolerances leave room for other processors and thread counts.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 5e-6), (np.float64, 1e-10)])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(ReLU(), torch.nn.ReLU()), (Sigmoid(), torch.nn.Sigmoid())], ids=["relu", "sigmoid"]
)
def test_two_hundred_steps_on_mnist(sets, ours, theirs, dtype, tolerance):
    start, losses, run = train_ours(sets, ours, dtype)
    expected, model = train_torch(sets, theirs, dtype, start)
    assert len(losses) == len(expected) == STEPS
    np.testing.assert_allclose(losses, expected, rtol=0, atol=tolerance)
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) / 2
    for name, layer in (("linear1", model[0]), ("linear2", model[2])):
        found = run.parameters[name]
        np.testing.assert_allclose(found["weight"].T, layer.weight.detach().numpy(), rtol=0, atol=tolerance)
        np.testing.assert_allclose(found["bias"], layer.bias.detach().numpy(), rtol=0, atol=tolerance)
    with torch.no_grad():
        images = torch.tensor(sets.test.images.reshape(-1, 784)).to(model[0].weight.dtype) * (1 / 255)
        scores = torch.softmax(model(images), dim=1).numpy()
    np.testing.assert_allclose(run.predict(sets.test.images), scores, rtol=0, atol=tolerance)
