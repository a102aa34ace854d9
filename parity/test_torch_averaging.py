"""Averages of parameters beside those of torch.optim.swa_utils, on the same course of training."""

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn, update_bn

import treadle as td
from treadle.data import Dataset, Sets
from treadle.train.averaging import settle_running
from treadle.tree import leaves

NAMES = {  # of Treadle and of torch
    "linear1.weight": "0.weight",
    "linear1.bias": "0.bias",
    "batch_norm1.scale": "1.weight",
    "batch_norm1.shift": "1.bias",
    "batch_norm1.running_mean": "1.running_mean",
    "batch_norm1.running_var": "1.running_var",
    "linear2.weight": "3.weight",
    "linear2.bias": "3.bias",
}
NETWORK = td.nn.Sequential(td.nn.Linear(6), td.nn.BatchNorm(), td.nn.ReLU(), td.nn.Linear(3))


def rows(size=50):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (size, 4))
    return Dataset(x, np.argmax(x[:, :3], axis=1), ("a", "b", "c"), "rows")


def trained(averaging, **settings):
    """Train; return the run and the parameters after every step, by torch's names."""
    steps = []

    def on_step(state, _):
        steps.append(in_torch(state.params))

    sets = Sets(rows(), rows(20), rows(20), "rows", "made up")
    run = td.fit(
        NETWORK, sets, loss="cross_entropy", optimizer=td.optim.Adam(0.02), averaging=averaging, batch_size=10,
        shuffle=False, weights="last", on_step=on_step, dtype=np.float64, **settings,
    )  # fmt: skip
    return run, steps


def in_torch(params):
    found = {NAMES[path]: torch.tensor(leaf.copy()) for path, leaf in leaves(params)}
    return {name: tensor.T if tensor.ndim == 2 else tensor for name, tensor in found.items()}


def model():
    layers = torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.ReLU(), torch.nn.Linear(6, 3)
    return torch.nn.Sequential(*layers).double()


def averaged(steps, average, running):
    peer = model()
    whole = AveragedModel(peer, multi_avg_fn=average, use_buffers=running)
    for step in steps:
        peer.load_state_dict(step, strict=False)
        whole.update_parameters(peer)
    return whole


def close(params, peer):
    expected = peer.module.state_dict()
    for name, tensor in in_torch(params).items():  # torch has the share of an epoch in float32
        np.testing.assert_allclose(tensor.numpy(), expected[name].numpy(), rtol=0, atol=3e-8, err_msg=name)


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_ema_but_for_its_start(decay):
    """Torch's average begins as the first parameters; weights of the corrected one are its own, scaled to sum 1."""
    run, steps = trained(td.optim.EMA(decay), epochs=4)
    peer = averaged(steps, get_ema_multi_avg_fn(decay), running=True)
    first, count = steps[0], len(steps)
    share = 1 - decay**count  # torch: dⁿ⁻¹ p₁ + Σ (1 − d) dⁿ⁻ⁱ pᵢ from i = 2; here the first has (1 − d) dⁿ⁻¹
    expected = peer.module.state_dict()
    for name, tensor in in_torch(run.parameters).items():
        corrected = (expected[name] - decay**count * first[name]) / share
        np.testing.assert_allclose(tensor.numpy(), corrected.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)


def test_swa_with_its_running_means():
    run, steps = trained(td.optim.SWA(3), epochs=6)
    peer = averaged(steps[14::5], get_swa_multi_avg_fn(), running=False)
    scaled = torch.tensor(run.scale.apply(rows().inputs, np.float64))
    update_bn([scaled[i : i + 10] for i in range(0, 50, 10)], peer)
    close(run.parameters, peer)


def test_settled_means_whatever_they_were():
    run, _ = trained(td.optim.SWA(1), epochs=2)
    inputs = run.scale.apply(rows().inputs, np.float64)
    params = NETWORK.init((4,), seed=5, dtype=np.float64)
    peer = AveragedModel(model())
    peer.module.load_state_dict(in_torch(params), strict=False)
    update_bn([torch.tensor(inputs[i : i + 7]) for i in range(0, 49, 7)], peer)
    settle_running(NETWORK, params, [(inputs[i : i + 7], 0) for i in range(0, 49, 7)])
    close(params, peer)
