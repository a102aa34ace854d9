"""What names of recipes, metrics and verdicts are called in both languages."""

from __future__ import annotations

from treadle.language import Words

METRICS = {
    "loss": ("loss", "损失"),
    "accuracy": ("accuracy", "准确率"),
    "top_3": ("top-3 accuracy", "前 3 准确率"),
    "top_5": ("top-5 accuracy", "前 5 准确率"),
    "squared_error": ("squared error", "平方误差"),
    "absolute_error": ("absolute error", "绝对误差"),
}
SETS = {"train": ("training set", "训练集"), "validation": ("validation set", "验证集"), "test": ("test set", "测试集")}
STAGES = {
    "data": ("data", "数据"),
    "network": ("network", "网络"),
    "loss": ("loss", "损失"),
    "optimizer": ("optimizer", "优化器"),
    "resources": ("resources", "资源"),
    "training": ("training", "训练"),
    "saving": ("saving", "保存"),
    "": ("", ""),
}
VERDICTS = {
    "baseline": ("baseline", "基线"),
    "better": ("better", "更好"),
    "worse": ("worse", "更差"),
    "cannot tell": ("cannot tell", "无法判断"),
    "failed": ("failed", "失败"),
}


def metric_name(name: str, words: Words) -> str:
    """Return what a metric is called; `validation_` and `train_` say of which set it is.

    >>> from treadle.language import Words
    >>> metric_name("validation_accuracy", Words("zh"))
    '验证集准确率'
    """
    for part, (en, zh) in (("validation", ("validation", "验证集")), ("train", ("training", "训练集"))):
        if name.startswith(f"{part}_"):
            rest = metric_name(name.removeprefix(f"{part}_"), words)
            return words(f"{en} {rest}", f"{zh}{rest}")
    known = METRICS.get(name, (name.replace("_", " "),) * 2)
    return words(*known)
