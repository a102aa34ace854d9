"""PyTorch, eager: the loop of its tutorials, with all data in one tensor rather than a DataLoader, which is slower."""

import time

import numpy as np
import torch
from setting import Data, Epochs, Setting, scaled
from torch import nn


class Mlp:
    """The model as nn.Sequential."""

    def __init__(self, setting: Setting, data: Data) -> None:
        torch.set_num_threads(setting.threads)
        torch.manual_seed(setting.seed)
        self.batch_size = setting.batch_size
        self.inputs, self.labels = torch.from_numpy(scaled(data.train_images)), torch.from_numpy(data.train_labels)
        self.test = torch.from_numpy(scaled(data.test_images)), data.test_labels
        self.model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
        for layer in self.model[::2]:  # as the other peers begin by default
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=setting.learning_rate)
        self.loss = nn.CrossEntropyLoss()

    def train(self, epochs: int, seed: int) -> Epochs:
        """Train with a new order of the samples in each epoch."""
        generator = torch.Generator().manual_seed(seed)
        begun, cpu = time.perf_counter(), time.process_time()
        for _ in range(epochs):
            total = torch.zeros(())
            for indices in torch.randperm(len(self.labels), generator=generator).split(self.batch_size):
                self.optimizer.zero_grad()
                loss = self.loss(self.model(self.inputs[indices]), self.labels[indices])
                loss.backward()
                self.optimizer.step()
                total += loss.detach() * len(indices)
            mean = total.item() / len(self.labels)
        return Epochs(time.perf_counter() - begun, time.process_time() - cpu, mean)

    def accuracy(self) -> float:
        """Return the accuracy on the test set."""
        inputs, labels = self.test
        with torch.no_grad():
            return float(np.mean(self.model(inputs).argmax(1).numpy() == labels))


MODELS = {"mlp": Mlp}
