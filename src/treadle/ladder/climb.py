"""Climbing a ladder: a change is trained with several seeds, compared with what was kept before, and kept or not."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from treadle.data import Sets
from treadle.errors import RecipeError, RunError, TreadleError
from treadle.ladder.ladder import BASELINE, Ladder, Rung
from treadle.ladder.result import FORMAT, Climb, Final, Progress, Step
from treadle.ladder.runs import Runs, status_of
from treadle.ladder.search import require_optuna
from treadle.ladder.statistics import McNemar, compare, mcnemar
from treadle.ladder.sweep import try_values
from treadle.ladder.workers import Workers
from treadle.recipe import Recipe
from treadle.runs import load, to_json
from treadle.runs.about import read_about, told
from treadle.runs.files import climbing, replace

LEAST = 2  # seeds, where time is short: one tells nothing of the spread
View = Literal["climb", "ablate", "alone"]


def climb(
    ladder: Ladder,
    folder: Path,
    *,
    workers: int | None = None,
    views: Sequence[View] = ("climb",),
    on_step: Callable[[Climb], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Climb:
    """Climb a ladder, and return what each change brought.

    Every recipe is trained from the same seeds, so that runs are paired: same order of samples, same initial weights
    where shapes allow it. Changes are judged on the validation set; the test set is opened at the end, for the baseline
    and the top. Where a rung tries several values, these are compared by other seeds, and the one with the best mean is
    the change that is judged: what made a value the best of several has no part in the test. A run that is in the
    folder already, of the same recipe, seed, data and code, is taken from there.

    Args:
        ladder: what to climb.
        folder: for the climb's runs and its record, climb.json.
        workers: processes that train side by side; unless told, as many as there are cores for their threads.
        views: what to show beside the climb: "ablate", each kept change left out of the top; "alone", each change made
            to the baseline alone.
        on_step: called when a step is judged.
        on_progress: called when a run is done.

    Raises:
        TreadleError: a subclass says what is wrong.
        KeyboardInterrupt: on Ctrl-C; runs that were begun have saved their state, and the next climb goes on there.
    """
    ladder.require_valid()
    if any(rung.search is not None for rung in ladder.rung):
        require_optuna()
    if workers is not None and workers < 1:
        raise TreadleError(f"workers should be a whole number of at least 1, found {workers}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made: {error.strerror or error}") from error
    count = workers or max(1, _cores() // ladder.baseline.resources.threads)
    with climbing(folder), Workers(count) as processes:
        return _Climber(ladder, folder, processes, on_step, on_progress).climb(views)


class _Climber:
    def __init__(
        self,
        ladder: Ladder,
        folder: Path,
        workers: Workers,
        on_step: Callable[[Climb], None] | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.ladder, self.folder, self.on_step = ladder, folder, on_step
        self.runs = Runs(ladder.baseline, ladder.metric, folder, workers, on_progress)
        self.seeds = ladder.judging()
        self.changes: dict[str, dict[str, Any]] = {}  # by rung, with the values that were chosen
        self.record = folder / f"{ladder.digest()[:12]}.json"
        self.found = Climb(ladder, self.record)
        earlier = _earlier(self.record)
        same = earlier.get("minutes") == ladder.minutes
        self.planned: dict[str, int] = earlier.get("planned", {}) if same else {}
        self.mcnemar: dict[str, Any] = earlier.get("mcnemar", {})
        self.begun = time.monotonic()

    def climb(self, views: Sequence[View]) -> Climb:
        ladder, found = self.ladder, self.found
        base = Step(BASELINE, "", ladder.measured(ladder.baseline), kept=True)
        found.steps.append(self._trained(base, "climb", self._planned(ladder.rung)))
        if base.failed is not None:
            raise RunError(f"the baseline cannot be trained: {base.failed}")
        self._told()
        for number, rung in enumerate(ladder.rung):
            step = self._changed(rung, found.top.recipe, "climb", self._planned(ladder.rung[number + 1 :]))
            self._compare(step, found.top, len(ladder.rung))
            step.kept = step.failed is None and ((rung.keep or ladder.keep) == "always" or step.verdict == "better")
            found.steps.append(step)
            self._told()
        if found.top is not base:
            found.final = self._final(base, found.top)
            assert found.top.recipe is not None
            found.top_recipe = self.record.with_name(f"{self.record.stem}-top.toml")
            with told(self.folder):
                replace(found.top_recipe, found.top.recipe.to_toml().encode("utf-8"))
        for view in views:
            if view != "climb":
                found.views[view] = list(self._view(view))
        self._save()
        return found

    def _view(self, view: View) -> Iterator[Step]:
        kept = [rung for rung, step in zip(self.ladder.rung, self.found.steps[1:], strict=True) if step.kept]
        base, top = self.found.steps[0], self.found.top
        for rung in kept:
            if view == "alone":
                step = self._changed(rung, base.recipe, view, 0)
                self._compare(step, base, len(kept))
            else:
                step = self._without(rung, [one for one in kept if one is not rung])
                self._compare(top, step, len(kept), into=step)
            yield step

    def _without(self, rung: Rung, others: Sequence[Rung]) -> Step:
        """The top of the ladder without a change."""
        step = Step(rung.name, rung.stage or "", self.found.steps[0].recipe, name_zh=rung.name_zh)
        try:
            for other in others:
                assert step.recipe is not None
                step.recipe = self.ladder.measured(
                    step.recipe.change(self.changes[other.name], f"without {rung.name!r}")
                )
        except RecipeError as error:
            step.recipe, step.failed = None, str(error)
            return step
        return self._trained(step, "ablate", 0)

    def _changed(self, rung: Rung, recipe: Recipe | None, view: View, left: int) -> Step:
        """A recipe with a change, trained; the values to try are tried in the climb alone."""
        assert recipe is not None
        step = Step(rung.name, rung.stage or rung.settings()[0].partition(".")[0], None, name_zh=rung.name_zh)
        if rung.name not in self.changes and not self._chosen(rung, recipe, step, view, left):
            return step
        try:
            step.recipe = self.ladder.measured(recipe.change(self.changes[rung.name], f"rung {rung.name!r}"))
        except RecipeError as error:
            step.failed = str(error)
            return step
        return self._trained(step, view, left)

    def _chosen(self, rung: Rung, recipe: Recipe, step: Step, view: View, left: int) -> bool:
        """Find the change of a rung, where it has values to try the best of them; whether there is one."""
        values: dict[str, Any] | None = {}
        if rung.tried():
            plan, own = f"{view}: {step.name}, rounds", self._planned([rung])
            self.runs.left = own + left
            seconds = self._seconds_left() * (own - len(self.seeds)) / (own + left)
            step.sweep, self.planned[plan] = try_values(
                rung, recipe, self.runs, self.ladder, rounds=self.planned.get(plan), seconds=seconds
            )
            values = step.sweep.values
            if values is None:
                step.failed = f"none of the {len(step.sweep.trials)} values can be used: {step.sweep.trials[0].failed}"
                return False
        self.changes[rung.name] = {**rung.values(), **(values or {})}
        return True

    def _planned(self, rungs: Sequence[Rung]) -> int:
        """How many runs some rungs take if time does not matter."""
        return sum(len(self.seeds) + rung.trials() * self.ladder.search_seeds for rung in rungs)

    def _seconds_left(self) -> float:
        minutes = self.ladder.minutes
        return math.inf if minutes is None else minutes * 60 - (time.monotonic() - self.begun)

    def _compare(self, step: Step, before: Step, comparisons: int, into: Step | None = None) -> None:
        """Compare a step with another over the seeds that both have."""
        if step.failed is not None or before.failed is not None:
            return
        shared = [seed for seed in step.seeds if seed in before.seeds]
        one, other = ([of.values[of.seeds.index(seed)] for seed in shared] for of in (before, step))
        (into or step).comparison = compare(
            one, other, higher_is_better=self.ladder.higher_is_better(), comparisons=comparisons
        )

    def _trained(self, step: Step, view: View, left: int) -> Step:
        """Train a recipe with the seeds, as many as time allows, and put into the step what they gave."""
        assert step.recipe is not None
        recipes = {seed: step.recipe.change({"training.seed": seed}) for seed in self.seeds}
        try:
            self.runs.require_same_samples(step.recipe)
            folders = {seed: self.runs.folder_of(recipe) for seed, recipe in recipes.items()}
        except TreadleError as error:
            step.failed = str(error)
            return step
        plan = f"{view}: {step.name}"
        wanted = self.seeds[: self.planned.get(plan, len(self.seeds))]
        first, rest = wanted[: self.runs.workers.count], wanted[self.runs.workers.count :]
        self.runs.left = len(wanted) + left
        before, trained = time.monotonic(), self.runs.trained
        if not self._carry_out(step, {seed: (folders[seed], recipes[seed]) for seed in first}):
            return step
        if self.ladder.minutes is not None and plan not in self.planned:
            took = time.monotonic() - before if self.runs.trained > trained else self.runs.seconds(folders[first[0]])
            share = self._seconds_left() * len(self.seeds) / (len(self.seeds) + left)
            most = max(int(share / max(took, 1e-3)) * self.runs.workers.count, LEAST - len(first), 0)
            there = [seed for seed in rest if status_of(folders[seed]) == "finished"]
            rest = [*there, *(seed for seed in rest if seed not in there)][: max(most, len(there))]
        if not self._carry_out(step, {seed: (folders[seed], recipes[seed]) for seed in rest}):
            return step
        for seed in sorted((*first, *rest)):
            value = self.runs.score(folders[seed])
            if value is None:
                step.failed = f"seed {seed}: {self.ladder.metric} is not finite"
                return step
            step.seeds.append(seed)
            step.values.append(value)
            step.runs.append(folders[seed].name)
        # the median, for the first run of a process loads the kernels
        step.seconds = float(np.median([self.runs.seconds(folders[seed]) for seed in step.seeds]))
        self.planned[plan] = len(step.seeds)
        return step

    def _carry_out(self, step: Step, runs: dict[int, tuple[Path, Recipe]]) -> bool:
        """Train what is not there yet; whether all went well."""
        failed = self.runs.carry_out(step.name, dict(runs.values()))
        for seed, (folder, _) in runs.items():
            if folder in failed:
                step.failed = f"seed {seed}: {failed[folder]}"
        return step.failed is None

    def _final(self, base: Step, top: Step) -> Final:
        """Open the test set for the baseline and the top."""
        recipes = [step.recipe for step in (base, top) if step.recipe is not None]
        seeds = [seed for seed in base.seeds if seed in top.seeds]
        seeded = [[recipe.change({"training.seed": seed}) for seed in seeds] for recipe in recipes]
        folders = [[self.runs.folder_of(one) for one in each] for each in seeded]
        self.runs.open_test_sets(folder for each in folders for folder in each)
        metric = self.ladder.metric.removeprefix("validation_")
        values = [[float((read_about(folder).test or {})[metric]) for folder in each] for each in folders]
        comparison = compare(*values, higher_is_better=self.ladder.higher_is_better())
        runs = (folders[0][0].name, folders[1][0].name)
        key = " ".join(runs)
        if key not in self.mcnemar:  # the predictions of some thousand samples take a while
            right = [
                _right(folder, self.runs.sets(recipe)) for (folder, *_), recipe in zip(folders, recipes, strict=True)
            ]
            told = None if right[0] is None or right[1] is None else asdict(mcnemar(right[0], right[1]))
            self.mcnemar[key] = told
        samples = None if self.mcnemar[key] is None else McNemar(**self.mcnemar[key])
        return Final(metric, values[0], values[1], comparison, samples, runs)

    def _told(self) -> None:
        self._save()
        if self.on_step:
            self.on_step(self.found)

    def _save(self) -> None:
        self.found.trained, self.found.taken = self.runs.trained, self.runs.taken
        plan = {"minutes": self.ladder.minutes, "planned": self.planned, "mcnemar": self.mcnemar}
        with told(self.folder):
            replace(self.record, to_json({**self.found.to_dict(), **plan}, indent=2).encode("utf-8"))


def _right(folder: Path, sets: Sets) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Which samples of the test set a run has right; None where there are no classes."""
    if sets.test.classes is None:
        return None
    run = load(folder)
    outputs = run.predict(sets.test.inputs[:])
    predicted = np.rint(outputs[:, 0]) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
    return np.asarray(predicted == sets.test.targets)


def _earlier(record: Path) -> dict[str, Any]:
    """The record of an earlier climb, so that the same table comes again; nothing where there is none."""
    if not record.exists():
        return {}
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        if found["format"] == FORMAT and isinstance(found["planned"], dict) and isinstance(found["mcnemar"], dict):
            return dict(found)
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise RunError(f"{record}: damaged, or written by another version: move it away, and the climb is made anew")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
