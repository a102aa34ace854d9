"""Findings: what looks at a training show, what it means, and what to try."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from treadle.data.order import draw_some
from treadle.losses import CrossEntropy, SquaredError
from treadle.train.look import Look
from treadle.train.step import Array, Gradients

VANISHED, EXPLODED = 1e-4, 1e3  # gradient at the first layer by that at the last
DEAD = 0.75  # share of the units of a ReLU
SATURATED = 0.8  # share of the outputs of a sigmoid or tanh
SMALL, LARGE = 1e-5, 0.2  # ‖Δp‖ / ‖p‖
UNINFORMED = 0.98  # share of the loss of one who knows nothing of the inputs
SLOW = 0.9  # share of it above which targets are compared with inputs
ENOUGH = 300  # steps, after which a loss should have fallen below it
ROWS, FEATURES, BASIS = 2_000, 1_000, 50  # samples, features and classes, at most, to compare inputs with targets
FEW = 100  # samples, of which nothing is said of whether targets belong to them
STEADY = 32  # samples, over which a mean loss can be compared with another


@dataclass(frozen=True, repr=False)
class Finding:
    """Something that looks wrong with a training.

    Args:
        kind: vanishing_gradients, exploding_gradients, dead_relus, saturated_units, uninformed_loss, unrelated_targets,
            softmax_twice, high_learning_rate, small_updates or large_updates.
        step: of the run, after which it was found.
        layers: paths of layers or parameters, where it is theirs.
        seen, means, advice: what was seen, what it means, what to try.
    """

    kind: str
    step: int
    layers: tuple[str, ...]
    seen: str
    means: str
    advice: str

    def __repr__(self) -> str:
        where = f" in {', '.join(self.layers)}" if self.layers else ""
        name = self.kind.replace("_", " ").replace("relus", "ReLUs")
        return f"step {self.step}: {name}{where}: {self.seen}\n  {self.means}\n  Try {self.advice}"

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return {**asdict(self), "layers": list(self.layers)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Finding:
        """Make a finding of what `to_dict` returned."""
        return cls(**{**values, "layers": tuple(values["layers"])})


class Judge:
    """What looks mean. A look may mislead, so that most judgements rest on two or three in a row."""

    def __init__(self, gradients: Gradients, outputs: int, steps: int) -> None:
        self.looks: list[Look] = []
        self._loss, self._feed = gradients.loss, gradients.feed
        self._outputs, self._steps = outputs, steps

    def findings(self, known: set[str]) -> list[Finding]:
        """Return what the looks so far show and was not known."""
        tests = (
            self._softmax_twice,
            self._high_learning_rate,
            self._exploding_gradients,
            self._vanishing_gradients,
            self._dead_relus,
            self._saturated_units,
            self._large_updates,
        )
        found = [finding for test in tests if (finding := test()) and finding.kind not in known]
        causes = known | {finding.kind for finding in found}
        for test in (self._small_updates, self._uninformed_loss):
            finding = test(causes)
            if finding and finding.kind not in causes:
                found.append(finding)
                causes.add(finding.kind)
        return found

    @cached_property
    def _level(self) -> float:
        """Loss of one who knows the targets and nothing of the inputs."""
        targets = self._feed.targets
        if len(targets) > 10_000:
            targets = targets[np.random.default_rng(0).integers(0, len(targets), 10_000)]
        level = self._loss.uninformed(targets, self._outputs, self._feed.dtype)
        return level if level > 0 else math.nan  # 0 where there is one class alone: nothing to be learnt

    @property
    def _steady(self) -> list[Look]:
        """Looks whose mean loss is that of enough samples."""
        return [look for look in self.looks if look.trained >= STEADY]

    @property
    def _first(self) -> float:
        """Loss that the training began with; NaN where it is below 0, or rests on few samples and no level is known."""
        first = self.looks[0]
        known = first.trained >= STEADY or not math.isnan(self._level)  # a single sample says little, the level more
        return first.before if known and first.before > 0 else math.nan

    def _last(self, count: int, least: int = 1) -> list[Look]:
        """The last looks if there are so many from a step on, else none."""
        found = [look for look in self.looks if look.step >= least][-count:]
        return found if len(found) == count else []

    def _finding(self, kind: str, layers: Sequence[str], seen: str, means: str, advice: str) -> Finding:
        return Finding(kind, self.looks[-1].step, tuple(layers), seen, means, advice)

    def _softmax_twice(self) -> Finding | None:
        scores = isinstance(self._loss, CrossEntropy) and not self._loss.from_probabilities
        if not (scores and self.looks[-1].distributions):
            return None
        floor = math.log(math.e + self._outputs - 1) - 1
        return self._finding(
            "softmax_twice",
            (),
            f"the outputs of the network are probabilities, and the loss applies softmax to them again; after "
            f"{self.looks[-1].step} steps it is {self.looks[-1].loss:.4g}",
            f"The loss cannot fall below ln(e + {self._outputs - 1}) − 1 = {floor:.5f} for {self._outputs} classes, "
            "however good the network",
            "leaving softmax out of the network, or CrossEntropy(from_probabilities=True)",
        )

    def _high_learning_rate(self) -> Finding | None:
        last = self._last(3)
        steep = [look.steepness for look in last]
        if last and all(value > 2 for value in steep):
            times = float(np.median(steep))
            steps = ", ".join(str(look.step) for look in last)
            return self._finding(
                "high_learning_rate",
                (),
                f"the loss of a batch rose with the update for that batch, at the steps {steps}: by the curvature met, "
                f"the steps were {times:.3g} times as long as the way to the lowest point",
                "A step more than twice that long leads uphill; training oscillates or diverges",
                f"a learning rate of 1/{times:.2g} of this, a warm-up, or `treadle lr`",
            )
        last = [look for look in self._steady[-1:] if look.step >= 16 and look is self.looks[-1]]
        first = self._first
        if last and last[0].loss > 1.5 * first and not last[0].loss < 1.5 * self._level:
            steepness = last[0].steepness
            curved = f"; by the curvature met, a step was {steepness:.3g} times as long as the way to the lowest point"
            return self._finding(
                "high_learning_rate",
                (),
                f"the loss has grown to {last[0].loss:.4g} on average since the look before; it began with {first:.4g}"
                f"{curved if steepness > 1 else ''}",
                "The steps lead uphill, for they are too long",
                "a tenth of the learning rate, gradient clipping, or `treadle lr`",
            )
        return None

    def _flow(self) -> list[dict[str, float]]:
        """The gradients of the last two looks, each by that at the last layer with weights."""
        found = []
        for look in self._last(2):
            *_, last = look.arriving.values() or [0.0]
            if not last > 0:
                return []
            found.append({path: g / last for path, g in look.arriving.items()})
        return found

    def _exploding_gradients(self) -> Finding | None:
        flow = self._flow()
        ratios = {path: min(ratio.get(path, 0.0) for ratio in flow) for path in (flow[-1] if flow else ())}
        layers = [path for path, ratio in ratios.items() if ratio > EXPLODED]
        if not layers:
            return None
        return self._finding(
            "exploding_gradients",
            layers,
            f"the gradient that arrives is up to {max(ratios.values()):.2g} times that at {list(ratios)[-1]}",
            "Each layer makes the gradient larger on its way back; the first layers take steps far too long",
            "smaller initial weights (Xavier, He), BatchNorm, or clip_norm",
        )

    def _vanishing_gradients(self) -> Finding | None:
        flow = self._flow()
        if not flow or any(idle == units for idle, units in self.looks[-1].idle.values()):
            return None  # where no unit is active no gradient passes, which is another finding
        ratios = {path: max(ratio.get(path, 1.0) for ratio in flow) for path in flow[-1]}
        layers = [path for path, ratio in ratios.items() if ratio < VANISHED]
        if not layers:
            return None
        return self._finding(
            "vanishing_gradients",
            layers,
            f"the gradient that arrives is down to {min(ratios.values()):.2g} of that at {list(ratios)[-1]}",
            "Each layer makes the gradient smaller on its way back; the first layers hardly learn",
            "ReLU in place of Sigmoid or Tanh, initial weights for it (He), BatchNorm, Residual, or fewer layers",
        )

    def _dead_relus(self) -> Finding | None:
        last = self._last(3)
        if not last:
            return None
        shares = {path: [look.idle[path] for look in last if path in look.idle] for path in last[-1].idle}
        dead = {p: seen for p, seen in shares.items() if all(idle > DEAD * units for idle, units in seen)}
        if not dead:
            return None
        counts = ", ".join(f"{seen[-1][0]} of {seen[-1][1]}" for seen in dead.values())
        return self._finding(
            "dead_relus",
            list(dead),
            f"units {counts} gave 0 for all {last[-1].samples} samples, in three looks",
            "No gradient passes a ReLU that gives 0, so that these units do not learn any more",
            "a lower learning rate, He's initial weights, scaled inputs, or LeakyReLU",
        )

    def _saturated_units(self) -> Finding | None:
        last = self._last(3)
        if not last:
            return None
        shares = {path: [look.saturated.get(path, 0.0) for look in last] for path in last[-1].saturated}
        flat = {path: seen[-1] for path, seen in shares.items() if min(seen) > SATURATED}
        if not flat:
            return None
        return self._finding(
            "saturated_units",
            list(flat),
            f"{', '.join(f'{share:.0%}' for share in flat.values())} of the outputs lie where the slope is below a "
            "hundredth of the largest, in three looks",
            "Hardly any gradient passes a sigmoid or tanh that is flat, so that the layers before it hardly learn",
            "scaled inputs, smaller initial weights (Xavier), a lower learning rate, or ReLU",
        )

    def _large_updates(self) -> Finding | None:
        last = self._last(2, least=16)
        if not last:
            return None
        ratios = {path: min(look.updates[path] for look in last) for path in last[-1].updates}
        large = {path: ratio for path, ratio in ratios.items() if ratio > LARGE}
        if not large:
            return None
        return self._finding(
            "large_updates",
            list(large),
            f"a step changes the weights by {max(large.values()):.2g} of their own size or more, in two looks",
            "About a thousandth is usual; weights replaced within a few steps keep nothing of what they learnt",
            "a lower learning rate, less weight decay, a warm-up, or `treadle lr`",
        )

    def _small_updates(self, causes: set[str]) -> Finding | None:
        last = self._last(3, least=16)
        if causes or not last or not last[-1].loss > 0.9 * self._first or last[-1].loss < 0.9 * self._level:
            return None  # who has learnt may take small steps
        largest = max((max(look.updates.values(), default=1.0) for look in last), default=1.0)
        if largest >= SMALL:
            return None
        return self._finding(
            "small_updates",
            (),
            f"a step changes no weight by more than {largest:.2g} of its own size, in three looks, and the loss is "
            f"{last[-1].loss:.4g} after {self._first:.4g}",
            "About a thousandth is usual; it would take many thousand steps to get anywhere",
            "a learning rate ten or a hundred times as large, or `treadle lr`",
        )

    def _uninformed_loss(self, causes: set[str]) -> Finding | None:
        last = self._steady[-2:]
        end = self.looks[-1].step == self._steps >= 100
        if len(last) < 2 or not (last[0].step >= ENOUGH or end) or math.isnan(self._level):
            return None
        share = min(look.loss for look in last) / self._level
        told = (
            f"after {self.looks[-1].step} steps the loss is {last[-1].loss:.5g}; who knows how often each target comes "
            f"and nothing of the inputs reaches {self._level:.5g} ({self._constant})"
        )
        if share > SLOW and not causes and not self._related[0]:
            return self._unrelated(told)
        if share < UNINFORMED or causes & {"unrelated_targets"}:
            return None
        return self._finding(
            "uninformed_loss",
            (),
            told if causes else f"{told}. {self._related[1]}",
            "The network has learnt next to nothing of the inputs so far"
            + (": see the findings before" if causes else ", or there is little in them to be learnt"),
            "what they advise"
            if causes
            else "another learning rate (`treadle lr`), scaled inputs, or another network; "
            "a few samples alone must be learnt by heart",
        )

    def learnt_by_heart(self, validation_loss: float) -> Finding | None:
        """Judge the validation loss of an epoch: targets that do not belong to the inputs can be learnt by heart."""
        last = self._steady[-1:]
        if not last or not (last[0].loss < UNINFORMED * self._level < validation_loss) or self._related[0]:
            return None
        return self._unrelated(
            f"the loss on the training set falls, to {last[0].loss:.5g}, and on the validation set it is "
            f"{validation_loss:.5g}; who knows nothing of the inputs reaches {self._level:.5g} ({self._constant})"
        )

    @property
    def _constant(self) -> str:
        names = ((SquaredError(), "the variance of the targets"), (CrossEntropy(), "the entropy of the classes"))
        return next((name for loss, name in names if self._loss == loss), "with the best constant")

    def _unrelated(self, told: str) -> Finding:
        return self._finding(
            "unrelated_targets",
            (),
            f"{told}. {self._related[1]}",
            "The targets may not belong to the inputs: shuffled one without the other, or shifted by some rows",
            "looking at samples with their targets, and at the code that pairs them",
        )

    @cached_property
    def _related(self) -> tuple[bool, str]:
        """Whether single features, or their squares, tell more of the targets than of shuffled ones; and in words."""
        count = len(self._feed.inputs)
        if count < FEW:
            return True, f"{count} samples are too few to tell whether the targets belong to them"
        draws = np.random.default_rng(0)
        rows = draw_some(draws, min(ROWS, count), count, self._feed.blocks)
        x = self._feed.inputs[rows].reshape(len(rows), -1)
        x = x[:, draws.choice(x.shape[1], min(FEATURES // 2, x.shape[1]), replace=False)].astype(np.float64)
        x -= x.mean(axis=0)
        x = np.concatenate([x, x**2], axis=1)
        x -= x.mean(axis=0)
        y: Array = self._feed.targets[rows]
        classes = self._loss.compares == "classes" and y.ndim == 1
        y = np.eye(max(self._outputs, 2))[y] if classes else y.reshape(len(y), -1)
        y = y @ draws.normal(size=(y.shape[1], BASIS)) if y.shape[1] > BASIS else y
        u, sizes, _ = np.linalg.svd(y - y.mean(axis=0), full_matrices=False)
        basis = u[:, sizes > 1e-9 * sizes.max(initial=0)]
        lengths = np.sqrt((x * x).sum(axis=0))
        varied = lengths > 1e-9 * lengths.max(initial=0)
        x = x[:, varied] / lengths[varied]
        if not x.size:
            return True, "All features looked at are constant, so that nothing tells samples apart"
        orders = [basis, *(draws.permutation(basis) for _ in range(19))]
        shares = [float(((order.T @ x) ** 2).sum(axis=0).mean()) for order in orders]
        more = shares[0] > max(shares[1:])
        return more, (
            f"The targets explain {shares[0]:.3%} of the variance of a feature or its square, in {len(rows)} samples, "
            f"and {'at most' if more else 'up to'} {max(shares[1:]):.3%} when shuffled"
        )
