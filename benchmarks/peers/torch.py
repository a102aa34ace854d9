"""PyTorch: the loop of its tutorials with all data in one tensor and fused optimisers, which are its fastest here.

Variants: eager; eager as its tutorials write it, with optimisers as they are by default and batches by indexing; with
images and weights in channels-last order; forward pass with loss under torch.compile.
"""

import math
import time

import numpy as np
import torch
from setting import (
    Absent,
    BatchNorm,
    Conv,
    Data,
    Epochs,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    MaxPool,
    ReLU,
    Residual,
    Setting,
    arranged,
    scaled,
)
from torch import nn


class ResidualBlock(nn.Module):
    """`setting.Residual`."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add main path and shortcut."""
        return nn.functional.relu(self.main(x) + self.shortcut(x), inplace=True)


def build_layer(layer: Layer, shape: tuple[int, ...]) -> nn.Module:
    match layer:
        case Flatten():
            return nn.Flatten()
        case Linear(units):
            return nn.Linear(math.prod(shape), units)
        case ReLU():
            return nn.ReLU(inplace=True)
        case Conv(channels, kernel, stride, bias):
            return nn.Conv2d(shape[0], channels, kernel, stride, padding=kernel // 2, bias=bias)
        case MaxPool(size):
            return nn.MaxPool2d(size)
        case BatchNorm():
            return nn.BatchNorm2d(shape[0])
        case Residual(channels, stride):
            return ResidualBlock(shape[0], channels, stride)
        case GlobalAveragePool():
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def build(layers: tuple[Layer, ...], shape: tuple[int, ...]) -> nn.Sequential:
    """Return the network for samples of a shape; weights begin as in the other peers."""
    built: list[nn.Module] = []
    sample = torch.zeros(1, *shape)
    for layer in layers:
        built.append(build_layer(layer, tuple(sample.shape[1:])).eval())
        with torch.no_grad():
            sample = built[-1](sample)
    model = nn.Sequential(*built).train()
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def optimizer(name: str, model: nn.Module, learning_rate: float, fused: bool | None) -> torch.optim.Optimizer:
    """Return the optimiser: fused, it takes a third off a step of small batches for Adam."""
    if name == "adam":
        return torch.optim.Adam(model.parameters(), lr=learning_rate, fused=fused)
    momentum = 0.9 if name == "momentum" else 0.0
    return torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, fused=fused)


class Trainer:
    """The model as nn.Sequential. With `keep_bytes` the images stay bytes and are scaled when a batch is made."""

    def __init__(self, setting: Setting, data: Data, variant: str, keep_bytes: bool = False) -> None:
        torch.set_num_threads(setting.threads)
        torch.manual_seed(setting.seed)
        self.batch_size = setting.batch_size
        self.keep_bytes = keep_bytes
        self.channels_last = variant == "channels_last"
        self.plain = variant == "plain"
        if self.channels_last and not setting.convolutional:
            raise Absent("the model has no convolution")
        self.layout = "rows" if not setting.convolutional else "NHWC" if self.channels_last else "NCHW"
        self.inputs = torch.from_numpy((arranged if keep_bytes else scaled)(data.train_images, self.layout))
        self.labels = torch.from_numpy(data.train_labels)
        self.test = data.test_images, data.test_labels
        self.model = build(setting.layers, data.shape if setting.convolutional else (math.prod(data.shape),))
        if self.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.optimizer = optimizer(setting.optimizer, self.model, setting.learning_rate, None if self.plain else True)
        self.criterion = nn.CrossEntropyLoss()
        self.loss = self.plain_loss
        if variant == "compile":
            require_compiler()
            # Shapes are fixed: with dynamic ones a smaller last batch would slow all others down.
            self.loss = torch.compile(self.plain_loss, dynamic=False)

    def plain_loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a batch."""
        return self.criterion(self.model(inputs), labels)

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the inputs of a batch in the layout of the model."""
        inputs = self.inputs[indices] if self.plain else self.inputs.index_select(0, indices)
        if self.keep_bytes:
            inputs = inputs.to(torch.float32).div_(255)
        return inputs.permute(0, 3, 1, 2) if self.channels_last else inputs

    def train(self, epochs: int, seed: int) -> Epochs:
        """Train with a new order of the samples in each epoch."""
        generator = torch.Generator().manual_seed(seed)
        self.model.train()
        begun, cpu, ends = time.perf_counter(), time.process_time(), []
        for _ in range(epochs):
            losses = []
            batches = torch.randperm(len(self.labels), generator=generator).split(self.batch_size)
            for indices in batches:
                self.optimizer.zero_grad()
                loss = self.loss(self.batch(indices), self.labels.index_select(0, indices))
                loss.backward()
                self.optimizer.step()
                losses.append(loss.detach())
            sizes = torch.tensor([len(indices) for indices in batches])
            mean = float((torch.stack(losses) * sizes).sum() / sizes.sum())
            ends.append(time.perf_counter())
        each = tuple(end - start for start, end in zip([begun, *ends], ends, strict=False))
        return Epochs(ends[-1] - begun, time.process_time() - cpu, mean, each)

    def accuracy(self) -> float:
        """Return the accuracy on the test set."""
        images, labels = self.test
        inputs = torch.from_numpy(scaled(images, self.layout))
        if self.channels_last:
            inputs = inputs.permute(0, 3, 1, 2)
        self.model.eval()
        with torch.no_grad():
            predicted = np.concatenate([self.model(part).argmax(1).numpy() for part in inputs.split(1000)])
        return float(np.mean(predicted == labels))


def require_compiler() -> None:
    """Raise Absent where torch.compile cannot compile a small function: it needs a C++ compiler and its OpenMP."""
    try:
        torch.compile(lambda x: (x * 2).relu().sum())(torch.ones(8))
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise Absent(f"torch.compile does not work on this machine: {reason[:200]}") from error
