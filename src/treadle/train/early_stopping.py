"""Early stopping: whether the epochs so far show that more of them are of no use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def stopped_early(losses: Sequence[float], patience: int | None) -> str | None:
    """Return why training stops after epochs with these validation losses; None where it goes on.

    It stops once `patience` epochs in a row had no lower validation loss than the lowest before them. That is a
    function of the losses alone, so that a training that goes on from its progress stops where the whole one does.

    Args:
        losses: of all epochs; NaN is lower than none.
        patience: epochs, at least 1; None: training never stops early.

    >>> stopped_early([0.5, 0.4, 0.45, 0.41], patience=3)
    >>> stopped_early([0.5, 0.4, 0.45, 0.41, 0.4], patience=3)
    'no validation loss lower than that of epoch 2 in the 3 epochs after it'

    Source: Prechelt, Early stopping – but when?, 1998 (stopping after so many strips without improvement).
    """
    known = [np.inf if np.isnan(loss) else loss for loss in losses]
    if patience is None or not known:
        return None
    best = int(np.argmin(known)) + 1 if min(known) < np.inf else 0
    if len(known) - best < patience:
        return None
    since = f"{patience} epoch{'s' if patience > 1 else ''}"
    return (
        f"no validation loss lower than that of epoch {best} in the {since} after it"
        if best
        else f"no finite validation loss in {since}"
    )
