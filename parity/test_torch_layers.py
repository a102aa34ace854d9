"""Layers against those of PyTorch: outputs, gradients by parameters and inputs, and what training changes."""

import numpy as np
import pytest
import torch
from torch import nn as theirs

import treadle as td
from treadle import nn as ours
from treadle.tensor import Tensor
from treadle.tree import leaves

IMAGES = [(1, 3, 8, 8), (4, 3, 9, 7), (2, 6, 5, 11)]
TOLERANCE = {np.float64: {"rtol": 1e-10, "atol": 1e-12}, np.float32: {"rtol": 2e-5, "atol": 2e-5}}


def compare(layer, module, shape, parameters, training=False, dtype=np.float64):
    """Outputs and gradients of both with the same parameters, which `parameters` pairs by name; return the updates."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(dtype)
    params = {name: rng.normal(size=leaf.shape).astype(dtype) for name, leaf in layer.parameters(shape[1:]).items()}
    params |= {name: np.abs(leaf) for name, leaf in params.items() if name == "running_var"}
    module = module.to(torch.float64 if dtype == np.float64 else torch.float32).train(training)
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert params.keys() == parameters.keys()
    with torch.no_grad():
        for name, found in parameters.items():
            leaf = params[name]
            named[found].copy_(torch.as_tensor(leaf.T if isinstance(layer, ours.Linear) else leaf))

    tracked = {name: Tensor(leaf, requires_grad=True) for name, leaf in params.items()}
    leaf = Tensor(x, requires_grad=True)
    updates = {}
    y = layer(tracked, leaf, ours.Mode(training=training, updates=updates))
    assert y.shape == (shape[0], *layer.output_shape(shape[1:]))
    arriving = rng.normal(size=y.shape).astype(dtype)
    y.backward(arriving)

    their_leaf = torch.tensor(x, requires_grad=True)
    expected = module(their_leaf)
    expected.backward(torch.as_tensor(arriving))
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), **TOLERANCE[dtype])
    np.testing.assert_allclose(leaf.grad, their_leaf.grad.numpy(), **TOLERANCE[dtype])
    for name, found in parameters.items():
        if not isinstance(named[found], theirs.Parameter):
            assert tracked[name].grad is None
            continue
        grad = named[found].grad.numpy()
        scale = max(1.0, float(np.abs(grad).max()))
        mine = tracked[name].grad / scale
        np.testing.assert_allclose(
            mine, (grad.T if isinstance(layer, ours.Linear) else grad) / scale, **TOLERANCE[dtype]
        )
    return {name: (updates.get(id(leaf)), named[parameters[name]]) for name, leaf in params.items()}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", IMAGES, ids=str)
@pytest.mark.parametrize("size", [1, 3, (2, 5)], ids=str)
@pytest.mark.parametrize("stride", [1, 2, (3, 1)], ids=str)
@pytest.mark.parametrize("padding", [0, 1, (0, 2)], ids=str)
@pytest.mark.parametrize("dilation", [1, (2, 1)], ids=str)
@pytest.mark.parametrize("groups", [1, 3])
def test_convolution(shape, size, stride, padding, dilation, groups, dtype):
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": groups == 1}
    named = {"weight": "weight", "bias": "bias"} if settings["bias"] else {"weight": "weight"}
    compare(ours.Conv2d(6, size, **settings), theirs.Conv2d(shape[1], 6, size, **settings), shape, named, dtype=dtype)


@pytest.mark.parametrize("shape", IMAGES, ids=str)
@pytest.mark.parametrize(
    ("size", "padding"), [(1, 0), (2, 0), (2, 1), (3, 1), ((2, 3), (1, 0)), (4, 2)], ids=str
)  # fmt: skip
@pytest.mark.parametrize("stride", [None, 1, (3, 2)], ids=str)
@pytest.mark.parametrize("kind", ["MaxPool2d", "AvgPool2d"])
def test_pooling(kind, shape, size, stride, padding):
    compare(getattr(ours, kind)(size, stride, padding), getattr(theirs, kind)(size, stride, padding), shape, {})


@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_global_pooling(shape):
    compare(ours.GlobalAvgPool2d(), theirs.Sequential(theirs.AdaptiveAvgPool2d(1), theirs.Flatten()), shape, {})


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_of_max_pooling_goes_to_the_same_of_several(seed):
    x = np.random.default_rng(seed).integers(0, 3, (2, 3, 7, 8)).astype(float)
    for size, stride, padding in ((2, 2, 0), (3, 1, 1), (3, 2, 1), (2, 1, 1)):
        leaf, their_leaf = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y = ours.MaxPool2d(size, stride, padding)({}, leaf)
        arriving = np.random.default_rng(seed).normal(size=y.shape)
        y.backward(arriving)
        theirs.MaxPool2d(size, stride, padding)(their_leaf).backward(torch.as_tensor(arriving))
        np.testing.assert_allclose(leaf.grad, their_leaf.grad.numpy(), rtol=1e-14, atol=1e-15)


NORMALISATIONS = {"scale": "weight", "shift": "bias", "running_mean": "running_mean", "running_var": "running_var"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("momentum", [0.1, 0.7, 1.0])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(8, 5), (2, 3), (4, 3, 5, 2), (1, 2, 3, 3)], ids=str)
def test_batch_normalisation(shape, training, momentum, dtype):
    kind = theirs.BatchNorm1d if len(shape) == 2 else theirs.BatchNorm2d
    module = kind(shape[1], momentum=momentum)
    found = compare(ours.BatchNorm(momentum), module, shape, NORMALISATIONS, training, dtype)
    for name in ("running_mean", "running_var"):
        after, expected = found[name]
        if training:
            np.testing.assert_allclose(after, expected.numpy(), **TOLERANCE[dtype])
            assert after.dtype == dtype
        else:
            assert after is None
    assert found["scale"][0] is found["shift"][0] is None


@pytest.mark.parametrize("shape", [(8, 5), (1, 3), (4, 3, 5, 2)], ids=str)
def test_layer_normalisation(shape):
    compare(ours.LayerNorm(1e-3), theirs.LayerNorm(shape[1:], 1e-3), shape, {"scale": "weight", "shift": "bias"})


@pytest.mark.parametrize(
    ("layer", "module"),
    [
        (ours.Sigmoid(), theirs.Sigmoid()),
        (ours.Tanh(), theirs.Tanh()),
        (ours.ReLU(), theirs.ReLU()),
        (ours.LeakyReLU(), theirs.LeakyReLU()),
        (ours.LeakyReLU(0.3), theirs.LeakyReLU(0.3)),
        (ours.GELU(), theirs.GELU()),
        (ours.SiLU(), theirs.SiLU()),
        (ours.Softplus(), theirs.Softplus()),
        (ours.Softmax(), theirs.Softmax(-1)),
        (ours.Flatten(), theirs.Flatten()),
        (ours.Dropout(0.5), theirs.Dropout(0.5)),  # in evaluation
    ],
    ids=str,
)
def test_layers_without_parameters(layer, module):
    compare(layer, module, (5, 4, 3), {})


def test_linear():
    compare(ours.Linear(4), theirs.Linear(7, 4), (5, 7), {"weight": "weight", "bias": "bias"})


class Block(theirs.Module):
    """The residual block with the same layers."""

    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.body = theirs.Sequential(
            theirs.Conv2d(inputs, filters, 3, stride, 1, bias=False),
            theirs.BatchNorm2d(filters),
            theirs.ReLU(),
            theirs.Conv2d(filters, filters, 3, 1, 1, bias=False),
            theirs.BatchNorm2d(filters),
        )
        self.shortcut = theirs.Sequential(
            *([theirs.Conv2d(inputs, filters, 1, stride, bias=False), theirs.BatchNorm2d(filters)] * (stride > 1))
        )

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def test_the_residual_network_in_training():
    """The preset of treadle and the same layers of PyTorch, with the parameters of the one in the other."""
    network = ours.MODELS["resnet_small"](10)
    params = network.init((3, 16, 16), seed=0, dtype=np.float64)
    blocks = [(16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)]
    module = theirs.Sequential(
        theirs.Conv2d(3, 16, 3, 1, 1, bias=False), theirs.BatchNorm2d(16), theirs.ReLU(),
        *(Block(*block) for block in blocks),
        theirs.AdaptiveAvgPool2d(1), theirs.Flatten(), theirs.Linear(64, 10),
    ).double()  # fmt: skip
    layers = [part for part in module.modules() if isinstance(part, theirs.Conv2d | theirs.BatchNorm2d | theirs.Linear)]
    state = [part for layer in layers for part in (*layer.parameters(), *layer.buffers()) if part.ndim]
    flat = [leaf for _, leaf in leaves(params)]
    assert len(state) == len(flat)
    with torch.no_grad():
        for part, leaf in zip(state, flat, strict=True):
            part.copy_(torch.as_tensor(leaf.T if leaf.ndim == 2 else leaf))

    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(6, 3, 16, 16)), rng.integers(0, 10, 6)
    updates = {}
    mode = ours.Mode(training=True, updates=updates)
    value, grads = td.value_and_grad(lambda p: td.losses.CrossEntropy()(network(p, x, mode), labels))(params)
    expected = theirs.functional.cross_entropy(module(torch.as_tensor(x)), torch.as_tensor(labels))
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=1e-10)
    for part, leaf, (path, grad) in zip(state, flat, leaves(grads), strict=True):
        if isinstance(part, theirs.Parameter):
            wanted = part.grad.numpy()
            np.testing.assert_allclose(grad, wanted.T if grad.ndim == 2 else wanted, rtol=1e-7, atol=1e-9, err_msg=path)
            assert id(leaf) not in updates
        else:
            np.testing.assert_allclose(updates[id(leaf)], part.numpy(), rtol=1e-10, atol=1e-12, err_msg=path)
