import numpy as np
import pytest

import treadle as td


@pytest.fixture(scope="module")
def mnist():
    return td.data.load("mnist")


# 0.9219, 0.9233, 0.9226 and 0.9776, 0.9775, 0.9776 on the test set with the seeds 0, 1, 2
@pytest.mark.parametrize(
    ("network", "lr", "batch_size", "epochs", "parameters", "accuracy"),
    [("softmax", 0.6, 500, 20, 7850, 0.92), ("mlp_relu", 0.5, 100, 10, 79_510, 0.975)],
)
def test_accuracy_on_mnist(mnist, network, lr, batch_size, epochs, parameters, accuracy):
    optimizer = td.optim.SGD(lr)
    run = td.fit(
        network, mnist, loss="cross_entropy", optimizer=optimizer, batch_size=batch_size, epochs=epochs, seed=0
    )
    found = run.test()
    assert found["samples"] == 10_000
    assert found["accuracy"] >= accuracy
    assert td.summary(run.network, mnist.train).parameters == parameters
    assert run.step == epochs * 50_000 // batch_size
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]
    predicted = run.predict(mnist.test.images).argmax(axis=1)
    assert (predicted == mnist.test.labels).mean() == found["accuracy"]


def test_the_baseline_comes_near_the_least_squares_of_the_pixels(mnist):
    optimizer = td.optim.SGD(0.01)
    run = td.fit("baseline", mnist, loss="squared_error", optimizer=optimizer, metrics=["accuracy"], epochs=3)
    x = np.c_[mnist.train.images.reshape(50_000, 784) / 255, np.ones(50_000)]
    y = mnist.train.labels
    weights = np.linalg.lstsq(x.T @ x, x.T @ y, rcond=1e-10)[0]
    least = np.mean((x @ weights - y) ** 2)
    found = np.mean((run.predict(mnist.train.images)[:, 0] - y) ** 2)
    assert least <= found < 1.1 * least
    # a model that learnt nothing has the variance of the labels, and a number for a class is a poor fit
    assert round(float(np.r_[y, mnist.validation.labels].var()), 2) == 8.35
    assert run.test()["loss"] < 0.5 * 8.35
    assert run.test()["accuracy"] < 0.35
