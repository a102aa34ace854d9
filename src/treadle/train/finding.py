"""A finding: something that looks wrong with a training, in both languages."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from treadle.language import ENGLISH, Words

Text = tuple[str, str]  # English and Chinese

NAMES: dict[str, Text] = {
    "vanishing_gradients": ("vanishing gradients", "梯度消失"),
    "exploding_gradients": ("exploding gradients", "梯度爆炸"),
    "dead_relus": ("dead ReLUs", "失活的 ReLU"),
    "saturated_units": ("saturated units", "饱和的单元"),
    "uninformed_loss": ("uninformed loss", "损失没有优于不看输入的猜测"),
    "unrelated_targets": ("unrelated targets", "目标与输入似乎无关"),
    "softmax_twice": ("softmax twice", "softmax 用了两次"),
    "high_learning_rate": ("high learning rate", "学习率过高"),
    "small_updates": ("small updates", "更新过小"),
    "large_updates": ("large updates", "更新过大"),
}


def joined(one: Text, other: Text) -> Text:
    """Return a sentence and one that follows it."""
    return f"{one[0]}. {other[0]}", f"{one[1]}。{other[1]}"


@dataclass(frozen=True, repr=False)
class Finding:
    """Something that looks wrong with a training.

    Args:
        kind: vanishing_gradients, exploding_gradients, dead_relus, saturated_units, uninformed_loss, unrelated_targets,
            softmax_twice, high_learning_rate, small_updates or large_updates.
        step: of the run, after which it was found.
        layers: paths of layers or parameters, where it is theirs.
        seen, means, advice: what was seen, what it means, what to try.
        chinese: the same three in Chinese; none in runs that were recorded without.
    """

    kind: str
    step: int
    layers: tuple[str, ...]
    seen: str
    means: str
    advice: str
    chinese: tuple[str, str, str] | None = None

    def name(self, words: Words) -> str:
        """Return what its kind is called."""
        return words(*NAMES.get(self.kind, (self.kind, self.kind)))  # a newer version may know others

    def told(self, words: Words) -> tuple[str, str, str]:
        """Return what was seen, what it means and what to try, as it was written where Chinese is missing."""
        if words.language == "zh" and self.chinese:
            return self.chinese
        return self.seen, self.means, self.advice

    def __repr__(self) -> str:
        where = f" in {', '.join(self.layers)}" if self.layers else ""
        return f"step {self.step}: {self.name(ENGLISH)}{where}: {self.seen}\n  {self.means}\n  Try {self.advice}"

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return {**asdict(self), "layers": list(self.layers), "chinese": self.chinese and list(self.chinese)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Finding:
        """Make a finding of what `to_dict` returned."""
        chinese = values.get("chinese")
        return cls(**{**values, "layers": tuple(values["layers"]), "chinese": chinese and tuple(chinese)})
