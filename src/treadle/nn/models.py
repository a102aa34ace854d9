"""Ready networks by name, each a function of the number of outputs."""

from __future__ import annotations

from collections.abc import Callable

from treadle.errors import ShapeError
from treadle.nn.convolution import Conv2d, GlobalAvgPool2d, MaxPool2d
from treadle.nn.layers import GELU, Flatten, Linear, ReLU, Sigmoid
from treadle.nn.module import Module, Residual, Sequential
from treadle.nn.normalization import BatchNorm, Dropout, LayerNorm


def baseline(outputs: int) -> Module:
    """One fully connected layer to one output: with squared error, the digit as a number.

    >>> baseline(1)
    Sequential(Flatten(), Linear(1))
    """
    if outputs != 1:
        raise ShapeError(
            f"the preset 'baseline' has one output and this loss needs {outputs}: take the preset 'softmax', "
            "which is the same layer with an output for each class"
        )
    return Sequential(Flatten(), Linear(1))


def softmax(outputs: int) -> Module:
    """One fully connected layer to a score for each class: with cross-entropy, softmax regression."""
    if outputs == 1:
        raise ShapeError(
            "the preset 'softmax' gives a score for each class, and this loss compares one number: choose the loss "
            "cross_entropy"
        )
    return Sequential(Flatten(), Linear(outputs))


def mlp(outputs: int) -> Module:
    """Two hidden layers of 10 with sigmoid, as in the course."""
    return Sequential(Flatten(), Linear(10), Sigmoid(), Linear(10), Sigmoid(), Linear(outputs))


def mlp_relu(outputs: int) -> Module:
    """One hidden layer of 100 with ReLU."""
    return Sequential(Flatten(), Linear(100, weight_init="he_normal"), ReLU(), Linear(outputs))


def mlp_tabular(outputs: int) -> Module:
    """For rows of features: two hidden layers of 128 with layer normalisation, GELU and dropout of 0.1."""
    hidden = [layer for _ in range(2) for layer in (Linear(128), LayerNorm(), GELU(), Dropout(0.1))]
    return Sequential(Flatten(), *hidden, Linear(outputs))


def lenet(outputs: int) -> Module:
    """Two convolutions of 20 filters 5×5 with ReLU, each before max-pooling by 2; the course's convolutional network.

    After LeCun et al., Gradient-based learning applied to document recognition, Proceedings of the IEEE 1998.
    """
    images = [layer for _ in range(2) for layer in (Conv2d(20, 5, padding=2), ReLU(), MaxPool2d(2))]
    return Sequential(*images, Flatten(), Linear(outputs))


def vgg_small(outputs: int) -> Module:
    """Pairs of 3×3 convolutions of 32 and of 64 filters, each pair before max-pooling by 2; dropout; 128 units.

    After Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR 2015.
    """
    images: list[Module] = []
    for filters in (32, 64):
        images += [layer for _ in range(2) for layer in (Conv2d(filters, 3, padding=1), ReLU())]
        images += [MaxPool2d(2)]
    dense = (Linear(128, weight_init="he_uniform"), ReLU(), Dropout(0.5), Linear(outputs))
    return Sequential(*images, Flatten(), *dense)


def resnet_small(outputs: int) -> Module:
    """Residual network for small images: 16, 32 and 64 filters, two residual blocks each; 14 layers with weights.

    After He et al., Deep residual learning for image recognition, CVPR 2016, section 4.2, with 1×1 convolutions
    where the shape changes.
    """
    layers: list[Module] = [*_normalised(16, 3), ReLU()]
    for filters, stride in ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        inside = (*_normalised(filters, 3, stride), ReLU(), *_normalised(filters, 3))
        layers += [Residual(*inside, shortcut=_normalised(filters, 1, stride) if stride > 1 else None), ReLU()]
    return Sequential(*layers, GlobalAvgPool2d(), Linear(outputs))


def _normalised(filters: int, size: int, stride: int = 1) -> list[Module]:
    """A convolution, and batch normalisation, whose shift makes its bias superfluous."""
    return [Conv2d(filters, size, stride, padding=size // 2, bias=False, weight_init="he_normal"), BatchNorm()]


MODELS: dict[str, Callable[[int], Module]] = {
    "baseline": baseline,
    "softmax": softmax,
    "mlp": mlp,
    "mlp_relu": mlp_relu,
    "mlp_tabular": mlp_tabular,
    "lenet": lenet,
    "vgg_small": vgg_small,
    "resnet_small": resnet_small,
}
