"""The trace of the course's LeNet against PyTorch with hooks: every value and gradient between the layers."""

import numpy as np
import torch
from lenet_pair import model_of, network, start

import treadle as td
from treadle.tree import tree_map

LAYERS = ["conv2d1", "relu1", "max_pool2d1", "conv2d2", "relu2", "max_pool2d2", "flatten1", "linear1"]


def test_every_value_of_lenet_is_that_of_pytorch_with_hooks():
    mnist = td.data.load("mnist").train
    images, labels = mnist.images[:20].astype(np.float64) / 255, mnist.labels[:20]
    parameters = tree_map(lambda leaf: leaf.astype(np.float64), start(0))
    found = td.trace(network(), (images, labels), "cross_entropy", parameters=parameters)

    model, values, arrived, left = model_of(start(0), torch.float64), {}, {}, {}

    def keep(name):
        def forward(_module, inputs, output):
            values[name] = (inputs[0].detach().clone(), output.detach().clone())

        def backward(_module, by_inputs, by_outputs):
            left[name], arrived[name] = by_inputs[0], by_outputs[0]

        return forward, backward

    for name, module in zip(LAYERS, model, strict=True):
        forward, backward = keep(name)
        module.register_forward_hook(forward)
        module.register_full_backward_hook(backward)
    x = torch.tensor(images, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(model(x), torch.tensor(labels))
    loss.backward()

    def close(ours, theirs):
        assert ours.shape == tuple(theirs.shape)
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-9, atol=1e-12)

    assert {op.layer for op in found} == {*LAYERS, "loss"}
    assert found.loss == float(loss.detach()) or abs(found.loss - float(loss.detach())) < 1e-12
    for name in LAYERS:
        ops = found[name]
        close(ops[0].inputs[0], values[name][0])
        close(ops[-1].output, values[name][1])
        close(ops[-1].gradient, arrived[name])
        close(ops[0].gradients[0], left[name])
    close(found.gradients["input"], x.grad)
    for place, name in ((0, "conv2d1"), (3, "conv2d2"), (7, "linear1")):
        weight = model[place].weight.grad
        close(found.gradients[f"{name}.weight"], weight.T if name == "linear1" else weight)
        close(found.gradients[f"{name}.bias"], model[place].bias.grad)
