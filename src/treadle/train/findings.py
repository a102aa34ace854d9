"""What looks at a training show, what it means, and what to try: the tests behind its findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from treadle.losses import CrossEntropy
from treadle.train.finding import Finding, Text, joined
from treadle.train.look import Look
from treadle.train.related import best_constant, related
from treadle.train.step import Gradients

VANISHED, EXPLODED = 1e-4, 1e3  # gradient at the first layer by that at the last
DEAD = 0.75  # share of the units of a ReLU
SATURATED = 0.8  # share of the outputs of a sigmoid or tanh
SMALL, LARGE = 1e-5, 0.2  # ‖Δp‖ / ‖p‖
UNINFORMED = 0.98  # share of the loss of one who knows nothing of the inputs
SLOW = 0.9  # share of it above which targets are compared with inputs
ENOUGH = 300  # steps, after which a loss should have fallen below it
STEADY = 32  # samples, over which a mean loss can be compared with another


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

    def _finding(self, kind: str, layers: Sequence[str], seen: Text, means: Text, advice: Text) -> Finding:
        english, chinese = zip(seen, means, advice, strict=True)
        return Finding(kind, self.looks[-1].step, tuple(layers), *english, chinese)

    def _softmax_twice(self) -> Finding | None:
        scores = isinstance(self._loss, CrossEntropy) and not self._loss.from_probabilities
        if not (scores and self.looks[-1].distributions):
            return None
        floor = f"ln(e + {self._outputs - 1}) − 1 = {math.log(math.e + self._outputs - 1) - 1:.5f}"
        return self._finding(
            "softmax_twice",
            (),
            (
                f"the outputs of the network are probabilities, and the loss applies softmax to them again; after "
                f"{self.looks[-1].step} steps it is {self.looks[-1].loss:.4g}",
                f"网络的输出已是概率，而损失又对它们做一次 softmax；{self.looks[-1].step} 步之后"
                f"损失为 {self.looks[-1].loss:.4g}",
            ),
            (
                f"The loss cannot fall below {floor} for {self._outputs} classes, however good the network",
                f"有 {self._outputs} 个类别时，无论网络多好，损失都不会低于 {floor}",
            ),
            (
                "leaving softmax out of the network, or CrossEntropy(from_probabilities=True)",
                "从网络中去掉 softmax，或使用 CrossEntropy(from_probabilities=True)",
            ),
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
                (
                    f"the loss of a batch rose with the update for that batch, at the steps {steps}: by the curvature "
                    f"met, the steps were {times:.3g} times as long as the way to the lowest point",
                    f"在第 {steps} 步，按一批样本所作的更新反而使这一批的损失上升：按所遇到的曲率，"
                    f"步长是到最低点距离的 {times:.3g} 倍",
                ),
                (
                    "A step more than twice that long leads uphill; training oscillates or diverges",
                    "步长超过该距离的两倍就会走上坡；训练会振荡或发散",
                ),
                (
                    f"a learning rate of 1/{times:.2g} of this, a warm-up, or `treadle lr`",
                    f"把学习率降到现在的 1/{times:.2g}、预热 (warm-up)，或 `treadle lr`",
                ),
            )
        last = [look for look in self._steady[-1:] if look.step >= 16 and look is self.looks[-1]]
        first = self._first
        if last and last[0].loss > 1.5 * first and not last[0].loss < 1.5 * self._level:
            steepness = last[0].steepness
            curved = (
                f"; by the curvature met, a step was {steepness:.3g} times as long as the way to the lowest point",
                f"；按所遇到的曲率，步长是到最低点距离的 {steepness:.3g} 倍",
            )
            english, chinese = curved if steepness > 1 else ("", "")
            return self._finding(
                "high_learning_rate",
                (),
                (
                    f"the loss has grown to {last[0].loss:.4g} on average since the look before; it began with "
                    f"{first:.4g}{english}",
                    f"自上次查看以来，损失平均已升到 {last[0].loss:.4g}；开始时为 {first:.4g}{chinese}",
                ),
                ("The steps lead uphill, for they are too long", "步长太大，因此在走上坡"),
                (
                    "a tenth of the learning rate, gradient clipping, or `treadle lr`",
                    "把学习率降到十分之一、梯度裁剪，或 `treadle lr`",
                ),
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
            (
                f"the gradient that arrives is up to {max(ratios.values()):.2g} times that at {list(ratios)[-1]}",
                f"传到的梯度最大是 {list(ratios)[-1]} 处的 {max(ratios.values()):.2g} 倍",
            ),
            (
                "Each layer makes the gradient larger on its way back; the first layers take steps far too long",
                "梯度在反向传播中逐层变大；最前面的层步长过大",
            ),
            (
                "smaller initial weights (Xavier, He), BatchNorm, or clip_norm",
                "更小的初始权重 (Xavier、He)、BatchNorm，或 clip_norm",
            ),
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
            (
                f"the gradient that arrives is down to {min(ratios.values()):.2g} of that at {list(ratios)[-1]}",
                f"传到的梯度最小只有 {list(ratios)[-1]} 处的 {min(ratios.values()):.2g} 倍",
            ),
            (
                "Each layer makes the gradient smaller on its way back; the first layers hardly learn",
                "梯度在反向传播中逐层变小；最前面的层几乎学不到东西",
            ),
            (
                "ReLU in place of Sigmoid or Tanh, initial weights for it (He), BatchNorm, Residual, or fewer layers",
                "用 ReLU 代替 Sigmoid 或 Tanh、配合它的初始权重 (He)、BatchNorm、残差连接 (Residual)，或更少的层",
            ),
        )

    def _dead_relus(self) -> Finding | None:
        last = self._last(3)
        if not last:
            return None
        shares = {path: [look.idle[path] for look in last if path in look.idle] for path in last[-1].idle}
        dead = {p: seen for p, seen in shares.items() if all(idle > DEAD * units for idle, units in seen)}
        if not dead:
            return None
        counts = [seen[-1] for seen in dead.values()]
        return self._finding(
            "dead_relus",
            list(dead),
            (
                f"units {', '.join(f'{idle} of {units}' for idle, units in counts)} gave 0 for all "
                f"{last[-1].samples} samples, in three looks",
                f"在三次查看中，{'、'.join(f'{idle}/{units}' for idle, units in counts)} 个单元对全部 "
                f"{last[-1].samples} 个样本都输出 0",
            ),
            (
                "No gradient passes a ReLU that gives 0, so that these units do not learn any more",
                "梯度无法通过输出为 0 的 ReLU，因此这些单元不再学习",
            ),
            (
                "a lower learning rate, He's initial weights, scaled inputs, or LeakyReLU",
                "更小的学习率、He 初始化、缩放输入，或 LeakyReLU",
            ),
        )

    def _saturated_units(self) -> Finding | None:
        last = self._last(3)
        if not last:
            return None
        shares = {path: [look.saturated.get(path, 0.0) for look in last] for path in last[-1].saturated}
        flat = {path: seen[-1] for path, seen in shares.items() if min(seen) > SATURATED}
        if not flat:
            return None
        told = [f"{share:.0%}" for share in flat.values()]
        return self._finding(
            "saturated_units",
            list(flat),
            (
                f"{', '.join(told)} of the outputs lie where the slope is below a hundredth of the largest, in three "
                "looks",
                f"在三次查看中，{'、'.join(told)} 的输出处于斜率不到最大值百分之一的位置",
            ),
            (
                "Hardly any gradient passes a sigmoid or tanh that is flat, so that the layers before it hardly learn",
                "平坦的 sigmoid 或 tanh 几乎不传梯度，因此它之前的层几乎学不到东西",
            ),
            (
                "scaled inputs, smaller initial weights (Xavier), a lower learning rate, or ReLU",
                "缩放输入、更小的初始权重 (Xavier)、更小的学习率，或 ReLU",
            ),
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
            (
                f"a step changes the weights by {max(large.values()):.2g} of their own size or more, in two looks",
                f"在两次查看中，一步对权重的改变达到其自身大小的 {max(large.values()):.2g} 倍或更多",
            ),
            (
                "About a thousandth is usual; weights replaced within a few steps keep nothing of what they learnt",
                "通常约为千分之一；几步之内就被换掉的权重留不住学到的东西",
            ),
            (
                "a lower learning rate, less weight decay, a warm-up, or `treadle lr`",
                "更小的学习率、更小的权重衰减、预热 (warm-up)，或 `treadle lr`",
            ),
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
            (
                f"a step changes no weight by more than {largest:.2g} of its own size, in three looks, and the loss is "
                f"{last[-1].loss:.4g} after {self._first:.4g}",
                f"在三次查看中，一步对任何权重的改变都不超过其自身大小的 {largest:.2g} 倍，"
                f"损失为 {last[-1].loss:.4g}，此前为 {self._first:.4g}",
            ),
            (
                "About a thousandth is usual; it would take many thousand steps to get anywhere",
                "通常约为千分之一；这样要走成千上万步才有进展",
            ),
            (
                "a learning rate ten or a hundred times as large, or `treadle lr`",
                "把学习率增大十倍或百倍，或 `treadle lr`",
            ),
        )

    def _uninformed_loss(self, causes: set[str]) -> Finding | None:
        last = self._steady[-2:]
        end = self.looks[-1].step == self._steps >= 100
        if len(last) < 2 or not (last[0].step >= ENOUGH or end) or math.isnan(self._level):
            return None
        share = min(look.loss for look in last) / self._level
        constant, chinese = best_constant(self._loss)
        told = (
            f"after {self.looks[-1].step} steps the loss is {last[-1].loss:.5g}; who knows how often each target comes "
            f"and nothing of the inputs reaches {self._level:.5g} ({constant})",
            f"{self.looks[-1].step} 步之后损失为 {last[-1].loss:.5g}；只知道各个目标出现的频率而完全不看输入时为 "
            f"{self._level:.5g}（{chinese}）",
        )
        if share > SLOW and not causes and not self._related[0]:
            return self._unrelated(told)
        if share < UNINFORMED or causes & {"unrelated_targets"}:
            return None
        if causes:
            return self._finding(
                "uninformed_loss",
                (),
                told,
                (
                    "The network has learnt next to nothing of the inputs so far: see the findings before",
                    "网络至今几乎没有从输入中学到东西：见前面的发现",
                ),
                ("what they advise", "按前面的建议去做"),
            )
        return self._finding(
            "uninformed_loss",
            (),
            joined(told, self._related[1]),
            (
                "The network has learnt next to nothing of the inputs so far, or there is little in them to be learnt",
                "网络至今几乎没有从输入中学到东西，或者其中本来就没有多少可学",
            ),
            (
                "another learning rate (`treadle lr`), scaled inputs, or another network; a few samples alone must be "
                "learnt by heart",
                "换一个学习率 (`treadle lr`)、缩放输入，或换一个网络；只给几个样本时，网络必须能把它们背下来",
            ),
        )

    def learnt_by_heart(self, validation_loss: float) -> Finding | None:
        """Judge the validation loss of an epoch: targets that do not belong to the inputs can be learnt by heart."""
        last = self._steady[-1:]
        if not last or not (last[0].loss < UNINFORMED * self._level < validation_loss) or self._related[0]:
            return None
        constant, chinese = best_constant(self._loss)
        return self._unrelated(
            (
                f"the loss on the training set falls, to {last[0].loss:.5g}, and on the validation set it is "
                f"{validation_loss:.5g}; who knows nothing of the inputs reaches {self._level:.5g} ({constant})",
                f"训练集上的损失降到 {last[0].loss:.5g}，而验证集上为 {validation_loss:.5g}；完全不看输入时为 "
                f"{self._level:.5g}（{chinese}）",
            )
        )

    def _unrelated(self, told: Text) -> Finding:
        return self._finding(
            "unrelated_targets",
            (),
            joined(told, self._related[1]),
            (
                "The targets may not belong to the inputs: shuffled one without the other, or shifted by some rows",
                "目标可能与输入不对应：只打乱了其中之一，或错开了若干行",
            ),
            (
                "looking at samples with their targets, and at the code that pairs them",
                "查看样本及其目标 (`treadle show`)，以及把它们配对的程序",
            ),
        )

    @cached_property
    def _related(self) -> tuple[bool, Text]:
        return related(self._feed, self._loss, self._outputs)
