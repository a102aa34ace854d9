"""Trying the values of a rung: each is trained with seeds that judge nothing else, and the best mean is chosen."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from treadle.errors import TreadleError
from treadle.ladder.ladder import Ladder, Rung
from treadle.ladder.result import Sweep, Trial
from treadle.ladder.runs import Runs, status_of
from treadle.ladder.search import Proposals
from treadle.ladder.values import combinations
from treadle.recipe import Recipe

TOGETHER = 4  # trials of a search that are proposed at once, whatever the number of workers, so that it changes nothing


def best(means: Sequence[float | None], *, higher_is_better: bool) -> int | None:
    """Return the place of the best mean, the first of equal ones; None where there is none.

    >>> best([0.7, None, 0.9, 0.9], higher_is_better=True)
    2
    """
    sign = -1 if higher_is_better else 1
    found = [(sign * mean, place) for place, mean in enumerate(means) if mean is not None]
    return min(found)[1] if found else None


def try_values(
    rung: Rung, recipe: Recipe, runs: Runs, ladder: Ladder, *, rounds: int | None, seconds: float
) -> tuple[Sweep, int]:
    """Train a recipe with each value that a rung tries, and choose one.

    Work is done in rounds: of a sweep, one seed for all values; of a search, some trials with all seeds. The first is
    made in any case.

    Args:
        rung: with a sweep or a search.
        recipe: that the rung changes.
        runs: of the climb.
        ladder: which says seeds and metric.
        rounds: that are made; as many as time allows unless told.
        seconds: that they may take; what is there already takes none.

    Returns:
        What was tried, and in how many rounds.
    """
    trying = _Trying(rung, recipe, runs, ladder)
    begun, trained = time.monotonic(), runs.trained
    made = kept = 0
    for work in trying.rounds():
        if rounds is not None and made >= rounds:
            break
        if rounds is None and made and any(status_of(folder) != "finished" for folder in work):
            spent = time.monotonic() - begun if runs.trained > trained else trying.spent()
            if spent * (made + 1) / made > seconds:
                break
        trying.carry_out(work)
        made, kept = made + 1, len(trying.sweep.trials)
    sweep = trying.sweep
    del sweep.trials[kept:]  # those of a round that was not made
    sweep.seeds = sweep.seeds[: max((len(trial.scores) for trial in sweep.trials), default=0)]
    sweep.chosen = best([trial.mean for trial in sweep.trials], higher_is_better=ladder.higher_is_better())
    return sweep, made


class _Trying:
    def __init__(self, rung: Rung, recipe: Recipe, runs: Runs, ladder: Ladder) -> None:
        self.rung, self.recipe, self.runs, self.ladder = rung, recipe, runs, ladder
        self.sweep = Sweep(ladder.searching(), [])
        self._folders: list[dict[int, Path]] = []  # of each trial, by seed
        self._recipes: dict[Path, Recipe] = {}

    def rounds(self) -> Iterator[list[Path]]:
        """Yield the folders of the runs of each round, whose scores are asked for before the next."""
        if self.rung.search is None:
            self._add(combinations(self.rung.sweep or {}))
            for seed in self.sweep.seeds:
                yield self._of(range(len(self.sweep.trials)), [seed])
            return
        higher, seed = self.ladder.higher_is_better(), self.ladder.baseline.training.seed
        proposals = Proposals(self.rung.search, higher_is_better=higher, seed=seed)
        while (left := self.rung.search.trials - len(self.sweep.trials)) > 0:
            begin = len(self.sweep.trials)
            self._add(proposals.ask(min(TOGETHER, left)))
            yield self._of(range(begin, len(self.sweep.trials)), self.sweep.seeds)
            proposals.tell([trial.mean for trial in self.sweep.trials[begin:]])

    def _add(self, some: Iterable[dict[str, Any]]) -> None:
        for values in some:
            trial, folders = Trial(values), {}
            try:
                changed = self.recipe.change({**self.rung.values(), **values}, f"rung {self.rung.name!r}")
                changed = self.ladder.measured(changed)
                self.runs.require_same_samples(changed)
                for seed in self.sweep.seeds:
                    seeded = changed.change({"training.seed": seed})
                    folders[seed] = self.runs.folder_of(seeded)
                    self._recipes[folders[seed]] = seeded
            except TreadleError as error:
                trial.failed, folders = str(error), {}
            self.sweep.trials.append(trial)
            self._folders.append(folders)

    def _of(self, places: Iterable[int], seeds: Iterable[int]) -> list[Path]:
        """The folders of trials that have not failed, each once."""
        wanted = [place for place in places if self.sweep.trials[place].failed is None]
        return list(dict.fromkeys(self._folders[place][seed] for seed in seeds for place in wanted))

    def carry_out(self, work: Sequence[Path]) -> None:
        """Do the runs of a round and give their scores to the trials."""
        done = set(work)
        failed = self.runs.carry_out(self.rung.name, {folder: self._recipes[folder] for folder in work})
        for trial, folders in zip(self.sweep.trials, self._folders, strict=True):
            for seed, folder in folders.items():
                if folder not in done or trial.failed is not None:
                    continue
                score = None if folder in failed else self.runs.score(folder)
                if score is None:
                    why = failed.get(folder, f"{self.ladder.metric} is not finite")
                    trial.failed = f"seed {seed}: {why}"
                else:
                    trial.scores.append(score)

    def spent(self) -> float:
        """Seconds of the runs so far, which were all there before, as if they were trained now."""
        done = [folder for folder in self._recipes if status_of(folder) == "finished"]
        return sum(map(self.runs.seconds, done)) / self.runs.workers.count
