"""Names as a reader of a figure wants them: of scores in both languages, and long ones shortened or in lines."""

from __future__ import annotations

import textwrap
import unicodedata

from treadle.language import Words
from treadle.metrics.intervals import Score, number

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


def width_of(text: str) -> int:
    """Return how wide a text is, in Latin letters: characters of Chinese are as wide as two.

    >>> width_of("abc"), width_of("损失")
    (3, 4)
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def cut(name: str, most: int) -> str:
    """Return a name in one line, with its middle left out where it is wider than so many letters: ends tell it apart.

    >>> cut("petal length", 20), cut("petal length", 8)
    ('petal length', 'peta…gth')
    """
    name = " ".join(name.split())
    if width_of(name) <= most:
        return name
    head, tail = name[: len(name) // 2], name[len(name) // 2 :]
    while width_of(head) + width_of(tail) >= most:
        head, tail = (head[:-1], tail) if width_of(head) > width_of(tail) else (head, tail[1:])
    return f"{head}…{tail}"


def wrapped(name: str, width: int, lines: int = 3) -> str:
    """Return a name in lines of so many letters, the last one cut where there would be more.

    >>> wrapped("softmax and cross-entropy in place of one number", 20)
    'softmax and cross-\\nentropy in place of\\none number'
    """
    narrow = width * len(name) // max(width_of(name), 1)
    found = textwrap.wrap(name, max(narrow, 2), max_lines=lines, placeholder="…")
    return "\n".join(found)
