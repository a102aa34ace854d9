import numpy as np
import pytest
import torch

from treadle.optim import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSProp
from treadle.tree import tree_map

STEPS = 1000
O = torch.optim
DECAY = {"weight_decay": 0.1}
PAIRS = [
    (SGD(0.05), lambda p: O.SGD(p, lr=0.05)),
    (SGD(0.05, **DECAY), lambda p: O.SGD(p, lr=0.05, **DECAY)),
    (Momentum(0.02), lambda p: O.SGD(p, lr=0.02, momentum=0.9)),
    (Momentum(0.02, 0.8, **DECAY), lambda p: O.SGD(p, lr=0.02, momentum=0.8, **DECAY)),
    (Nesterov(0.02), lambda p: O.SGD(p, lr=0.02, momentum=0.9, nesterov=True)),
    (Nesterov(0.02, 0.8, **DECAY), lambda p: O.SGD(p, lr=0.02, momentum=0.8, nesterov=True, **DECAY)),
    (AdaGrad(0.05), lambda p: O.Adagrad(p, lr=0.05)),
    (AdaGrad(0.05, 1e-3, **DECAY), lambda p: O.Adagrad(p, lr=0.05, eps=1e-3, **DECAY)),
    (RMSProp(0.005), lambda p: O.RMSprop(p, lr=0.005, alpha=0.9)),
    (RMSProp(0.005, 0.99, 1e-3, **DECAY), lambda p: O.RMSprop(p, lr=0.005, eps=1e-3, **DECAY)),
    (Adam(), lambda p: O.Adam(p)),
    (Adam(0.02, 0.8, 0.99, 1e-3), lambda p: O.Adam(p, lr=0.02, betas=(0.8, 0.99), eps=1e-3)),
    (Adam(0.02, **DECAY), lambda p: O.Adam(p, lr=0.02, **DECAY)),
    (AdamW(0.02), lambda p: O.AdamW(p, lr=0.02)),
    (AdamW(0.02, 0.8, 0.99, 1e-3, **DECAY), lambda p: O.AdamW(p, lr=0.02, betas=(0.8, 0.99), eps=1e-3, **DECAY)),
]


def compare(ours, theirs, gradient, dtype=np.float64):
    """Largest difference of all points of both descents, relative to the largest parameter."""
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(4, 3)).astype(dtype), "b": [rng.normal(size=3).astype(dtype)]}
    state = ours.init(params)
    leaves = [torch.tensor(params["w"]), torch.tensor(params["b"][0])]
    optimizer, worst = theirs(leaves), 0.0
    for step in range(STEPS):
        params, state = ours.step(params, tree_map(lambda p, step=step: gradient(p, step), params), state)
        for leaf in leaves:
            leaf.grad = torch.tensor(gradient(leaf.numpy(), step))
        optimizer.step()
        for mine, other in zip((params["w"], params["b"][0]), leaves, strict=True):
            worst = max(worst, np.abs(mine - other.numpy()).max() / np.abs(mine).max())
    return worst


def noisy_valley(p, step):
    """The gradient of Σ cosh(p)/2 − 0.3 p, steep far out, with noise that depends on the step alone."""
    return np.sinh(p) / 2 - 0.3 + 0.5 * np.random.default_rng(step).normal(size=p.shape).astype(p.dtype)


def quiet(p, step):
    """Gradients that do not depend on the parameters, of sizes from 1e−12 to 1e12, some of them zero."""
    rng = np.random.default_rng(step)
    return (rng.normal(size=p.shape) * 10.0 ** rng.integers(-12, 13) * (rng.random(p.shape) < 0.8)).astype(p.dtype)


@pytest.mark.parametrize("gradient", [noisy_valley, quiet])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=[repr(ours) for ours, _ in PAIRS])
def test_a_thousand_steps(ours, theirs, gradient):
    assert compare(ours, theirs, gradient) <= 1e-12


def test_where_the_square_of_a_gradient_leaves_float32():
    with np.errstate(over="ignore"):
        far = lambda p, step: np.full(p.shape, 1e30, np.float32)  # noqa: E731
        assert compare(Adam(0.1), lambda p: torch.optim.Adam(p, lr=0.1), far, np.float32) == 0
