"""Proposals of values by Optuna, from what those before came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from treadle.errors import TreadleError
from treadle.ladder.values import Search


def require_optuna() -> Any:
    """Return Optuna, or raise TreadleError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise TreadleError("a rung with a search needs Optuna: pip install 'treadle[search]'") from error
    return optuna


class Proposals:
    """A search with Optuna's tree-structured Parzen estimator, kept in memory: the same scores bring the same values.

    Args:
        search: what is tried.
        higher_is_better: of the scores.
        seed: of the sampler.

    Source: Bergstra, Bardenet, Bengio and Kégl, Algorithms for hyper-parameter optimization, NeurIPS 2011.
    """

    def __init__(self, search: Search, *, higher_is_better: bool, seed: int) -> None:
        self.search = search
        self._optuna = optuna = require_optuna()
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self._study = optuna.create_study(
                sampler=optuna.samplers.TPESampler(seed=seed % 2**32),
                direction="maximize" if higher_is_better else "minimize",
            )
        finally:
            optuna.logging.set_verbosity(verbosity)
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[dict[str, Any]]:
        """Return values for trials, whose scores are to be told before more are asked for."""
        self._asked = [self._study.ask() for _ in range(count)]
        return [self._values(trial) for trial in self._asked]

    def _values(self, trial: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, one in self.search.ranges.items():
            whole = isinstance(one.low, int) and isinstance(one.high, int)
            suggest = trial.suggest_int if whole else trial.suggest_float
            found[key] = suggest(key, one.low, one.high, log=one.log)
        for key, some in self.search.choices.items():
            found[key] = some[trial.suggest_categorical(key, list(range(len(some))))]
        return found

    def tell(self, scores: Sequence[float | None]) -> None:
        """Take the scores of what was asked for; None where there is none."""
        failed = self._optuna.trial.TrialState.FAIL
        for trial, score in zip(self._asked, scores, strict=True):
            if score is None:
                self._study.tell(trial, state=failed)
            else:
                self._study.tell(trial, score)
