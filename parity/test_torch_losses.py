import numpy as np
import pytest
import torch

import treadle as td
from treadle.losses import AbsoluteError, BinaryCrossEntropy, CrossEntropy, Huber, SquaredError

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}


def both(loss, reference, outputs, targets):
    ours = td.tensor(outputs, requires_grad=True)
    value = loss(ours, targets)
    value.backward()
    theirs = torch.tensor(outputs, requires_grad=True)
    expected = reference(theirs, torch.tensor(targets))
    expected.backward()
    return (value.item(), ours.grad), (expected.item(), theirs.grad.numpy())


def agree(found, expected, dtype):
    assert found[1].dtype == expected[1].dtype == dtype
    np.testing.assert_allclose(found[0], expected[0], rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(found[1], expected[1], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] / 10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (64, 1), (5, 3)])
@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        (SquaredError(), torch.nn.functional.mse_loss),
        (SquaredError(halved=True), lambda z, y: torch.nn.functional.mse_loss(z, y) / 2),
        (AbsoluteError(), torch.nn.functional.l1_loss),
        (Huber(0.7), lambda z, y: torch.nn.functional.huber_loss(z, y, delta=0.7)),
    ],
    ids=["squared", "halved", "absolute", "huber"],
)
def test_losses_of_numbers(loss, reference, shape, dtype):
    outputs, targets = np.random.default_rng(0).normal(size=(2, *shape)).astype(dtype) * 3
    targets.flat[0] = outputs.flat[0]
    agree(*both(loss, reference, outputs, targets), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("shape", [(1, 2), (16, 10), (100, 3)])
def test_cross_entropy_of_scores(shape, scale, dtype):
    rng = np.random.default_rng(0)
    scores, labels = (scale * rng.normal(size=shape)).astype(dtype), rng.integers(0, shape[1], shape[0])
    agree(*both(CrossEntropy(), torch.nn.functional.cross_entropy, scores, labels), dtype)
    one_hot = np.eye(shape[1], dtype=dtype)[labels]
    agree(*both(CrossEntropy(), torch.nn.functional.cross_entropy, scores, one_hot), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_probabilities(dtype):
    rng = np.random.default_rng(0)
    p, labels = rng.dirichlet(np.ones(10), 50).astype(dtype), rng.integers(0, 10, 50)
    found, expected = both(
        CrossEntropy(from_probabilities=True), lambda p, y: torch.nn.functional.nll_loss(torch.log(p), y), p, labels
    )
    agree(found, expected, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_smoothed_and_weighted_cross_entropy(scale, smoothing, weighted, dtype):
    rng = np.random.default_rng(0)
    scores, labels = (scale * rng.normal(size=(16, 10))).astype(dtype), rng.integers(0, 10, 16)
    weights = rng.uniform(0, 2, 10) * (rng.random(10) < 0.8) if weighted else None
    w = torch.tensor(weights.astype(dtype)) if weighted else None

    def theirs(z, y):
        return torch.nn.functional.cross_entropy(z, y, weight=w, label_smoothing=smoothing)

    loss = CrossEntropy(smoothing=smoothing, weights=weights)
    agree(*both(loss, theirs, scores, labels), dtype)
    agree(*both(loss, theirs, scores, rng.dirichlet(np.ones(10), 16).astype(dtype)), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_binary_cross_entropy(scale, dtype):
    rng = np.random.default_rng(0)
    scores, labels = (scale * rng.normal(size=(50, 1))).astype(dtype), rng.integers(0, 2, 50)
    theirs = torch.nn.functional.binary_cross_entropy_with_logits
    agree(*both(BinaryCrossEntropy(), lambda z, y: theirs(z[:, 0], y.to(z.dtype)), scores, labels), dtype)
