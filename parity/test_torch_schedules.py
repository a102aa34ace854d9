"""Schedules against torch.optim.lr_scheduler, and optimisers under them against torch.optim."""

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from treadle.optim import (
    OPTIMIZERS,
    SGD,
    Cosine,
    Exponential,
    OneCycle,
    OnPlateau,
    Plan,
    Polynomial,
    Step,
    Warmup,
)

STEPS = 1000
PAIRS = [
    ([Step(120, 0.5)], lambda o: lr_scheduler.StepLR(o, 120, 0.5)),
    ([Exponential(0.997)], lambda o: lr_scheduler.ExponentialLR(o, 0.997)),
    ([Polynomial(700, power=2.0)], lambda o: lr_scheduler.PolynomialLR(o, 700, 2.0)),
    ([Cosine(999)], lambda o: lr_scheduler.CosineAnnealingLR(o, 999)),
    ([Warmup(300, begin=0.2)], lambda o: lr_scheduler.LinearLR(o, 0.2, 1.0, 300)),
    ([OneCycle(1000, by="epoch")], lambda o: lr_scheduler.OneCycleLR(o, 0.02, total_steps=1000, cycle_momentum=False)),
    (
        [Warmup(100, begin=0.2), Cosine(899)],
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 0.2, 1.0, 100), lr_scheduler.CosineAnnealingLR(o, 899)], [100]
        ),
    ),
]
MAKERS = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adagrad": (torch.optim.Adagrad, {}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.9}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
}


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("schedules", "theirs"), PAIRS, ids=[str(schedules) for schedules, _ in PAIRS])
def test_a_thousand_steps_under_a_schedule(schedules, theirs, name, decay):
    lr = 0.02
    ours = OPTIMIZERS[name](lr=lr, weight_decay=decay)
    rng = np.random.default_rng(0)
    p = rng.normal(size=5)
    leaf = torch.tensor(p.copy())
    kind, settings = MAKERS[name]
    optimizer = kind([leaf], lr=lr, weight_decay=decay, **settings)
    scheduler, plan, state, worst = theirs(optimizer), Plan(schedules, steps=1), ours.init(p), 0.0
    for step in range(STEPS):
        noise = 0.5 * rng.normal(size=5)
        factor = plan.factor(step)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(lr * factor, rel=1e-9, abs=1e-15)
        # PyTorch multiplies rates from step to step, which rounds; here both take the rate of the formula
        optimizer.param_groups[0]["lr"] = lr * factor
        p, state = ours.with_lr(lr * factor).step(p, np.sinh(p) / 2 - 0.3 + noise, state)
        leaf.grad = torch.tensor(np.sinh(leaf.numpy()) / 2 - 0.3 + noise)
        optimizer.step()
        scheduler.step()
        worst = max(worst, np.abs(p - leaf.numpy()).max() / np.abs(p).max())
    assert worst <= 1e-12


def test_a_plateau_drops_the_rate_when_theirs_does():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=3, threshold=1e-2, eps=0)
    ours, losses = OnPlateau(rate=0.5, patience=3, threshold=1e-2), []
    for loss in np.random.default_rng(0).uniform(0.5, 1, 200):
        losses.append(float(loss))
        theirs.step(loss)
        assert ours.after(losses) == optimizer.param_groups[0]["lr"]
    assert ours.after(losses) < 1e-6


def test_the_norm_of_a_gradient_is_clipped_as_theirs():
    grads = [np.random.default_rng(n).normal(size=(3, n + 1)) for n in range(3)]
    leaves = [torch.zeros(g.shape, dtype=torch.float64) for g in grads]
    for leaf, g in zip(leaves, grads, strict=True):
        leaf.grad = torch.tensor(g)
    torch.nn.utils.clip_grad_norm_(leaves, 0.5)
    found = SGD(0.1, clip_norm=0.5).regularized(grads, grads)
    for leaf, g in zip(leaves, found, strict=True):
        np.testing.assert_allclose(g, leaf.grad, rtol=1e-6)  # they add 1e-6 to the norm
