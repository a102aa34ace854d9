"""Names as a reader of a figure wants them: of scores in both languages, and long ones shortened or in lines."""

from __future__ import annotations

import re

from treadle.language import Words
from treadle.metrics.intervals import Score, number
from treadle.text import columns

WIDE = "\u2e80-\u9fff\uff00-\uffef"  # Chinese characters and their punctuation
CLOSING = "，。、：；！？）”"  # which begins no line
_METRICS = {
    "loss": ("loss", "损失"),
    "accuracy": ("accuracy", "准确率"),
    "top_3": ("top-3 accuracy", "前 3 准确率"),
    "top_5": ("top-5 accuracy", "前 5 准确率"),
    "squared_error": ("squared error", "平方误差"),
    "absolute_error": ("absolute error", "绝对误差"),
}
_VALIDATION = "validation_"
STAGES = {
    "data": ("data", "数据"),
    "network": ("network", "网络"),
    "loss": ("loss", "损失"),
    "optimizer": ("optimizer", "优化器"),
    "resources": ("resources", "资源"),
    "training": ("training", "训练"),
    "saving": ("saving", "保存"),
}


def metric_name(key: str, words: Words) -> str:
    """Return what a score is called that a history or a ladder calls by its key.

    >>> metric_name("validation_squared_error", Words("en")), metric_name("validation_loss", Words("zh"))
    ('squared error on the validation set', '验证集损失')
    """
    metric = key.removeprefix(_VALIDATION)
    name = words(*_METRICS.get(metric, (metric, metric)))
    return words(f"{name} on the validation set", f"验证集{name}") if key.startswith(_VALIDATION) else name


def score_text(score: Score, words: Words) -> str:
    """Write a score with its 95 % interval.

    >>> score_text(Score(0.5, (0.4, 0.6)), Words("zh"))
    '0.5000（95 % 区间 0.4000 至 0.6000）'
    """
    if score.interval is None:
        return number(score.value)
    low, high = map(number, score.interval)
    return number(score.value) + words(f" (95 % interval {low} to {high})", f"（95 % 区间 {low} 至 {high}）")


def cut(name: str, most: int) -> str:
    """Return a name in one line, with its middle left out where it is wider than so many letters: ends tell it apart.

    >>> cut("petal length", 20), cut("petal length", 8)
    ('petal length', 'peta…gth')
    """
    name = " ".join(name.split())
    if columns(name) <= most:
        return name
    head, tail = name[: len(name) // 2], name[len(name) // 2 :]
    while columns(head) + columns(tail) >= most:
        head, tail = (head[:-1], tail) if columns(head) > columns(tail) else (head, tail[1:])
    return f"{head}…{tail}"


def wrapped(name: str, width: int, lines: int = 3) -> str:
    """Return a name in lines as wide as so many letters at most, the last one cut where there would be more.

    >>> wrapped("softmax and cross-entropy in place of one number", 20)
    'softmax and cross-\\nentropy in place of\\none number'
    >>> wrapped("用 softmax 与交叉熵", 12)
    '用 softmax\\n与交叉熵'
    """
    latin = rf"[^\s{WIDE}-]{{1,{width - 1}}}-?|-"  # words of Chinese are not parted by blanks: lines end anywhere
    found = [""]
    for unit in re.findall(rf"\s+|[{WIDE}][{CLOSING}]*|{latin}", name):
        if found[-1] and columns(found[-1] + unit.rstrip()) > width:
            found.append("")
        found[-1] += unit if found[-1] else unit.lstrip()
    found = [line.rstrip() for line in found]
    if len(found) > lines:
        found[lines - 1 :] = [found[lines - 1][: -1 if columns(found[lines - 1]) >= width else None] + "…"]
    return "\n".join(found)
