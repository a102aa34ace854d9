"""What findings of a diagnosis are called, mean and advise, in both languages."""

from __future__ import annotations

from dataclasses import dataclass

from treadle.language import Words
from treadle.train import Finding

CHINESE = {
    "vanishing_gradients": (
        "梯度消失",
        "靠近输入的层得到的梯度太小，几乎学不到东西",
        "ReLU、He 初始化、残差连接 (Residual)",
    ),
    "exploding_gradients": ("梯度爆炸", "梯度逐层放大，更新会失控", "更小的初始权重、BatchNorm、梯度裁剪 clip_norm"),
    "dead_relus": ("失活的 ReLU", "这些单元对所有样本都输出 0，不再学习", "更小的学习率、LeakyReLU"),
    "saturated_units": ("饱和的单元", "输出位于曲线平坦处，梯度几乎为 0", "缩放输入、更小的权重"),
    "uninformed_loss": (
        "损失没有优于不看输入的猜测",
        "网络还没有从输入中学到东西",
        "先处理在它之前的发现；检查学习率与数据",
    ),
    "unrelated_targets": (
        "标签与输入似乎无关",
        "没有任何特征对标签的说明多于打乱后的标签",
        "查看样本与其标签 (treadle show)",
    ),
    "softmax_twice": ("softmax 用了两次", "网络输出已是概率，而损失又做一次 softmax，因此损失降不到 0", "去掉其中一个"),
    "high_learning_rate": ("学习率过高", "更新越过最低点，损失反而上升", "treadle lr、预热 (warm-up)"),
    "small_updates": ("更新过小", "权重几乎不变，损失几乎不降", "更大的学习率"),
    "large_updates": ("更新过大", "一步就改变了权重的很大一部分", "更小的学习率、更小的权重衰减"),
}


@dataclass(frozen=True)
class Told:
    """A finding as a report tells it."""

    name: str
    step: int
    layers: tuple[str, ...]
    seen: str
    means: str
    advice: str


def told(finding: Finding, words: Words) -> Told:
    """Return a finding in a language; what was seen then stands as it was written."""
    name = finding.kind.replace("_", " ").replace("relus", "ReLUs")
    means, advice = finding.means, finding.advice
    if finding.kind in CHINESE:
        chinese = CHINESE[finding.kind]
        name, means, advice = words(name, chinese[0]), words(means, chinese[1]), words(advice, chinese[2])
    return Told(name, finding.step, finding.layers, finding.seen, means, advice)
