"""The rules of `suggest`: what is seen of a recipe and its training, and the change that may be worth trying."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from treadle.data import Sets
from treadle.nn import Module
from treadle.nn.module import snake_case
from treadle.recipe import Recipe
from treadle.train import Finding

ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "gelu", "silu", "softplus")
FLAT = ("sigmoid", "tanh")  # whose slope goes to 0 on both sides
ADAPTIVE = ("adam", "adamw", "rmsprop", "adagrad")
UNEVEN = 3.0  # times as many samples of one class as of another
APART = 1.25  # times the loss of the training set
FALLING = 0.01  # share of the loss by which it fell in the last epoch
WIDE = 3.0  # times the range of 0 to 1, from which inputs are scaled
FEW_STEPS = 10  # in an epoch


@dataclass(frozen=True)
class Situation:
    """What the rules look at.

    Args:
        recipe: as it is.
        sets: its data.
        network: that it makes for these.
        findings: of its diagnosis, by kind.
        history: figures of the epochs that ended.
        whole: whether these are all that the recipe asks for.
        failed: why training ended early, else None.
    """

    recipe: Recipe
    sets: Sets
    network: Module
    findings: Mapping[str, Finding]
    history: list[dict[str, Any]]
    whole: bool
    failed: str | None = None

    @property
    def image(self) -> bool:
        """Whether samples are images."""
        return len(self.sets.train.shape) == 3

    @property
    def classes(self) -> int:
        """How many classes there are; 0 where targets are numbers."""
        return len(self.sets.train.classes or ())

    def layers(self) -> list[str]:
        """Return the kinds of all layers, in snake case, as in a recipe."""
        return list(_kinds(self.network, self.sets.train.shape))

    def losses(self, name: str) -> list[float]:
        """Return a loss of each epoch; NaN where it was not finite."""
        return [math.nan if record.get(name) is None else float(record[name]) for record in self.history]

    @property
    def overfitted(self) -> bool:
        """Whether the loss of the validation set ends well above that of the training set."""
        train, validation = self.losses("train_loss"), self.losses("validation_loss")
        return bool(train) and 0 < APART * train[-1] < validation[-1]


@dataclass(frozen=True)
class Proposal:
    """A change worth trying.

    Args:
        name: what it is, for people.
        change: values by stage.key.
        why: what it was proposed for.
    """

    name: str
    change: dict[str, Any]
    why: str

    @property
    def stage(self) -> str:
        """The stage that its first key belongs to."""
        return next(iter(self.change)).partition(".")[0]


Rule = Callable[[Situation], Iterator[Proposal]]


def classes_are_no_numbers(s: Situation) -> Iterator[Proposal]:
    """A loss of numbers on classes: cross-entropy, with an output for each class."""
    if not s.classes or s.recipe.build_loss().compares == "classes":
        return
    change: dict[str, Any] = {"loss.kind": "cross_entropy"}
    if s.recipe.network.preset == "baseline":
        change["network.preset"] = "softmax"
    elif s.recipe.network.layers is not None:
        *before, last = s.recipe.network.layers
        change["network.layers"] = [*before, re.sub(r"^(linear )(units=)?\d+", rf"\g<1>{s.classes}", last)]
    if s.recipe.optimizer.kind == "sgd" and s.recipe.optimizer.lr < 0.1:
        change["optimizer.lr"] = 0.1
    yield Proposal(
        f"a class is not a number: {s.classes} outputs, cross-entropy",
        change,
        f"{s.recipe.loss.kind} measures how far class {s.classes - 1} is from class 0, as if classes were numbers",
    )


def softmax_once(s: Situation) -> Iterator[Proposal]:
    """Softmax in the network and in the loss."""
    if "softmax_twice" in s.findings:
        change = {"loss.from_probabilities": True}
        yield Proposal("softmax once", change, f"found: {s.findings['softmax_twice'].means}")


def scaled_inputs(s: Situation) -> Iterator[Proposal]:
    """Inputs as they are, far from 0 to 1."""
    if s.recipe.data.scale != "none":
        return
    some = np.asarray(s.sets.train.inputs[: min(len(s.sets.train), 2_000)], np.float64)
    largest = float(np.abs(some).max(initial=0.0))
    spans = np.ptp(some.reshape(len(some), -1), axis=0)
    spans = spans[spans > 0]
    uneven = not s.image and spans.size > 1 and float(spans.max() / spans.min()) > 10
    if largest > WIDE or uneven:
        kind = "minmax" if s.image else "standard"
        yield Proposal(
            f"scaled inputs: {kind}",
            {"data.scale": kind},
            f"inputs are up to {largest:.3g}" + (", features of very different ranges" if uneven else "")
            + ": one learning rate suits no two of them",
        )  # fmt: skip


def shuffled(s: Situation) -> Iterator[Proposal]:
    """Samples always in the order of the data."""
    if not s.recipe.data.shuffle:
        why = "samples come in the order of the data: what lies together in it pulls one step after the other one way"
        yield Proposal("shuffled samples", {"data.shuffle": True}, why)


def smaller_steps(s: Situation) -> Iterator[Proposal]:
    """A loss that rises or is no number: a lower learning rate."""
    kinds = [kind for kind in ("high_learning_rate", "large_updates") if kind in s.findings]
    if not kinds and s.failed is None:
        return
    why = f"found: {s.findings[kinds[0]].seen}" if kinds else f"training failed: {s.failed}"
    yield Proposal("a tenth of the learning rate", {"optimizer.lr": _digits(s.recipe.optimizer.lr / 10)}, why)


def larger_steps(s: Situation) -> Iterator[Proposal]:
    """A loss that does not move: a higher learning rate."""
    if s.failed is not None or s.findings.keys() & {"high_learning_rate", "large_updates", "unrelated_targets"}:
        return
    kind = next((kind for kind in ("small_updates", "uninformed_loss") if kind in s.findings), None)
    if kind is not None and s.recipe.optimizer.lr > 0:
        lr = _digits(s.recipe.optimizer.lr * 10)
        yield Proposal("ten times the learning rate", {"optimizer.lr": lr}, f"found: {s.findings[kind].seen}")


def clipped_gradients(s: Situation) -> Iterator[Proposal]:
    """Gradients that grow on their way back, or a loss that is no number."""
    if s.recipe.optimizer.clip_norm is None and ("exploding_gradients" in s.findings or s.failed is not None):
        found = s.findings.get("exploding_gradients")
        why = f"training failed: {s.failed}" if found is None else f"found: {found.seen}"
        yield Proposal("gradients clipped to a norm of 1", {"optimizer.clip_norm": 1.0}, why)


def relu(s: Situation) -> Iterator[Proposal]:
    """Sigmoid or tanh in hidden layers, through which gradients vanish."""
    kinds = s.layers()
    hidden = [kind for kind in kinds[:-1] if kind in FLAT]
    if not hidden:
        return
    found = s.findings.get("vanishing_gradients") or s.findings.get("saturated_units")
    why = (
        f"found: {found.seen}"
        if found is not None
        else f"the slope of {hidden[0]} is small away from 0: gradients shrink with each of its {len(hidden)} layers"
    )
    if s.recipe.network.layers is None:
        yield Proposal("ReLU in place of sigmoid", {"network.preset": "mlp_relu"}, why)
        return
    *before, last = s.recipe.network.layers
    yield Proposal(
        f"ReLU in place of {hidden[0]}",
        {"network.layers": [*("relu" if text.split()[0] in FLAT else text for text in before), last]},
        why,
    )


def leaky_relu(s: Situation) -> Iterator[Proposal]:
    """ReLUs that give 0 for all samples."""
    layers = s.recipe.network.layers
    if "dead_relus" in s.findings and layers is not None and any(text.split()[0] == "relu" for text in layers):
        change = ["leaky_relu" if text.split()[0] == "relu" else text for text in layers]
        yield Proposal(
            "LeakyReLU in place of ReLU", {"network.layers": change}, f"found: {s.findings['dead_relus'].seen}"
        )


def hidden_layer(s: Situation) -> Iterator[Proposal]:
    """A network without a hidden layer."""
    if not set(s.layers()) & set(ACTIVATIONS):
        preset = "mlp_relu" if s.image else "mlp_tabular"
        why = "the network has no hidden layer: it can only add up its inputs, each with a weight"
        yield Proposal("a hidden layer with ReLU" if s.image else "hidden layers", {"network.preset": preset}, why)


def convolution(s: Situation) -> Iterator[Proposal]:
    """Images, and a network that does not know which pixels lie side by side."""
    if s.image and "conv2d" not in s.layers():
        why = "samples are images, and the network does not know which pixels lie side by side"
        yield Proposal("convolution", {"network.preset": "lenet"}, why)


def momentum(s: Situation) -> Iterator[Proposal]:
    """Plain stochastic gradient descent."""
    if s.recipe.optimizer.kind == "sgd":
        lr = _digits(s.recipe.optimizer.lr / (10 if _too_fast(s) else 3))
        why = (
            "steps of SGD know nothing of those before; Momentum goes on where they agree, so that less of a rate does"
        )
        yield Proposal("Momentum", {"optimizer.kind": "momentum", "optimizer.lr": lr}, why)


def adam(s: Situation) -> Iterator[Proposal]:
    """One learning rate for all parameters."""
    if s.recipe.optimizer.kind not in ADAPTIVE:
        why = "Adam has a rate for each parameter, by how large its gradients were"
        yield Proposal("Adam", {"optimizer.kind": "adam", "optimizer.lr": 0.001}, why)


def smaller_batches(s: Situation) -> Iterator[Proposal]:
    """An epoch of few steps."""
    size = s.recipe.data.batch_size
    steps = -(-len(s.sets.train) // size)
    smaller = max(8, len(s.sets.train) // 50)
    if steps < FEW_STEPS and smaller < size:
        why = f"an epoch is {steps} step{'s' * (steps != 1)} alone; more of them learn more from the same samples"
        yield Proposal(f"batches of {smaller}", {"data.batch_size": smaller}, why)


def more_epochs(s: Situation) -> Iterator[Proposal]:
    """A loss that was still falling when training ended."""
    losses = s.losses("validation_loss")
    if not s.whole or s.failed is not None or not losses or not math.isfinite(losses[-1]):
        return
    if len(losses) == 1 and not s.overfitted:
        why = "each sample was seen once"
    elif len(losses) > 1 and losses[-1] < (1 - FALLING) * min(losses[:-1]):
        why = f"the validation loss was still falling at the end, from {losses[-2]:.4g} to {losses[-1]:.4g}"
    else:
        return
    epochs = 2 * s.recipe.training.epochs
    yield Proposal(f"{epochs} epochs", {"training.epochs": epochs}, why)


def falling_rate(s: Situation) -> Iterator[Proposal]:
    """A validation loss that goes up and down."""
    losses = s.losses("validation_loss")
    rises = sum(one < other for one, other in itertools.pairwise(losses))
    if s.recipe.optimizer.schedule is None and not s.overfitted and s.whole and 3 * rises >= len(losses) > 2:
        epochs = s.recipe.training.epochs
        why = f"the validation loss rose in {rises} of {len(losses) - 1} epochs: steps are too long to settle"
        yield Proposal(
            "a learning rate that falls to 0, by a cosine", {"optimizer.schedule": [f"cosine {epochs}"]}, why
        )


def weight_decay(s: Situation) -> Iterator[Proposal]:
    """Learnt by heart: smaller weights."""
    if not s.overfitted or s.recipe.optimizer.weight_decay > 0:
        return
    if s.recipe.optimizer.kind == "adam":
        yield Proposal("weight decay: AdamW", {"optimizer.kind": "adamw", "optimizer.weight_decay": 0.01}, _apart(s))
    else:
        yield Proposal("weight decay", {"optimizer.weight_decay": 1e-3}, _apart(s))


def augmentation(s: Situation) -> Iterator[Proposal]:
    """Learnt by heart: images that are never twice the same."""
    if s.image and s.recipe.data.augment is None and s.overfitted:
        pixels = max(1, min(s.sets.train.shape[1:]) // 14)
        yield Proposal(
            f"augmentation: shifts of up to {pixels} pixel{'s' * (pixels > 1)}",
            {"data.augment": [f"shift {pixels}"]},
            _apart(s),
        )


def best_weights(s: Situation) -> Iterator[Proposal]:
    """The last weights, after the validation loss has risen."""
    losses = s.losses("validation_loss")
    if s.recipe.saving.weights == "last" and len(losses) > 1 and min(losses[:-1]) < losses[-1]:
        best = losses.index(min(losses)) + 1
        why = f"the validation loss was lowest after epoch {best} of {len(losses)}, and the last weights are used"
        yield Proposal("the weights of the best epoch", {"saving.weights": "best"}, why)


def weights_of_classes(s: Situation) -> Iterator[Proposal]:
    """Classes with few samples beside others with many."""
    if not s.classes or s.recipe.loss.kind != "cross_entropy" or s.recipe.loss.weights is not None:
        return
    counts = np.bincount(np.asarray(s.sets.train.targets), minlength=s.classes)
    if counts.min() == 0 or counts.max() < UNEVEN * counts.min():
        return
    weights = [_digits(len(s.sets.train) / (s.classes * count)) for count in counts.tolist()]
    names = s.sets.train.classes or ()
    why = (
        f"class {names[int(counts.argmin())]} has {counts.min():,} samples, class {names[int(counts.argmax())]} "
        f"{counts.max():,}: judge it by macro F1 as well, for accuracy may fall"
    )
    yield Proposal("classes weighted by how rare they are", {"loss.weights": weights}, why)


FIRST: tuple[Rule, ...] = (classes_are_no_numbers, softmax_once)  # those after them take them for granted
RULES: tuple[Rule, ...] = (
    shuffled,
    scaled_inputs,
    smaller_steps,
    larger_steps,
    clipped_gradients,
    best_weights,
    momentum,
    adam,
    relu,
    leaky_relu,
    hidden_layer,
    weight_decay,
    augmentation,
    weights_of_classes,
    falling_rate,
    smaller_batches,
    more_epochs,
    convolution,
)


def _kinds(module: Module, shape: tuple[int, ...]) -> Iterator[str]:
    children = list(module.children(shape))
    if not children:
        yield snake_case(type(module).__name__)
    for _, child, inside in children:
        yield from _kinds(child, inside)


def _too_fast(s: Situation) -> bool:
    return s.failed is not None or bool(s.findings.keys() & {"high_learning_rate", "large_updates"})


def _apart(s: Situation) -> str:
    train, validation = s.losses("train_loss")[-1], s.losses("validation_loss")[-1]
    return f"the loss is {train:.4g} on the training set and {validation:.4g} on the validation set"


def _digits(value: float) -> float:
    """A number with two digits, as one would write it."""
    return float(f"{value:.2g}")
