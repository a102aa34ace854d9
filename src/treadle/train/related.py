"""What is known of targets without the inputs, and whether they belong to these."""

from __future__ import annotations

import numpy as np

from treadle.data.order import draw_some
from treadle.losses import CrossEntropy, Loss, SquaredError
from treadle.train.feed import Feed
from treadle.train.finding import Text
from treadle.train.step import Array

ROWS, FEATURES, BASIS = 2_000, 1_000, 50  # samples, features and classes, at most, to compare inputs with targets
FEW = 100  # samples, of which nothing is said of whether targets belong to them


def best_constant(loss: Loss) -> Text:
    """Return what the loss of one who knows nothing of the inputs is called."""
    if loss == SquaredError():
        return "the variance of the targets", "目标的方差"
    if loss == CrossEntropy():
        return "the entropy of the classes", "类别的熵"
    return "with the best constant", "用最好的常数"


def related(feed: Feed, loss: Loss, outputs: int) -> tuple[bool, Text]:
    """Return whether single features, or their squares, tell more of the targets than of shuffled ones; and in words.

    Args:
        feed: inputs and targets.
        loss: which says whether targets are classes.
        outputs: of the network.
    """
    count = len(feed.inputs)
    if count < FEW:
        return True, (
            f"{count} samples are too few to tell whether the targets belong to them",
            f"{count} 个样本太少，无法判断目标是否与之对应",
        )
    draws = np.random.default_rng(0)
    rows = draw_some(draws, min(ROWS, count), count, feed.blocks)
    x = feed.inputs[rows].reshape(len(rows), -1)
    x = x[:, draws.choice(x.shape[1], min(FEATURES // 2, x.shape[1]), replace=False)].astype(np.float64)
    x -= x.mean(axis=0)
    x = np.concatenate([x, x**2], axis=1)
    x -= x.mean(axis=0)
    y: Array = feed.targets[rows]
    classes = loss.compares == "classes" and y.ndim == 1
    y = np.eye(max(outputs, 2))[y] if classes else y.reshape(len(y), -1)
    y = y @ draws.normal(size=(y.shape[1], BASIS)) if y.shape[1] > BASIS else y
    u, sizes, _ = np.linalg.svd(y - y.mean(axis=0), full_matrices=False)
    basis = u[:, sizes > 1e-9 * sizes.max(initial=0)]
    lengths = np.sqrt((x * x).sum(axis=0))
    varied = lengths > 1e-9 * lengths.max(initial=0)
    x = x[:, varied] / lengths[varied]
    if not x.size:
        return True, (
            "All features looked at are constant, so that nothing tells samples apart",
            "查看过的特征都是常数，因此没有什么能区分样本",
        )
    orders = [basis, *(draws.permutation(basis) for _ in range(19))]
    shares = [float(((order.T @ x) ** 2).sum(axis=0).mean()) for order in orders]
    most = max(shares[1:])
    more = shares[0] > most
    return more, (
        f"The targets explain {shares[0]:.3%} of the variance of a feature or its square, in {len(rows)} samples, "
        f"and {'at most' if more else 'up to'} {most:.3%} when shuffled",
        f"在 {len(rows)} 个样本中，目标能解释特征或其平方的方差的 {shares[0]:.3%}，"
        f"打乱后{'至多' if more else '可达'} {most:.3%}",
    )
