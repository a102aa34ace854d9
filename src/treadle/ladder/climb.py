"""Climbing a ladder: a change is trained with several seeds, compared with what was kept before, and kept or not."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np

from treadle.data import Sets
from treadle.errors import RecipeError, RunError, TrainingError, TreadleError
from treadle.ladder.ladder import BASELINE, Ladder, Rung
from treadle.ladder.result import FORMAT, Climb, Final, Progress, Step
from treadle.ladder.statistics import McNemar, compare, mcnemar
from treadle.ladder.workers import Job, Workers
from treadle.recipe import Recipe
from treadle.runs import load, to_json
from treadle.runs.about import ABOUT, read_about, told
from treadle.runs.files import climbing, replace
from treadle.runs.log import last

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
    and the top. A run that is in the folder already, of the same recipe, seed, data and code, is taken from there.

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
        self.ladder, self.folder, self.workers = ladder, folder, workers
        self.on_step, self.on_progress = on_step, on_progress
        self.seeds = [ladder.baseline.training.seed + number for number in range(ladder.seeds)]
        self.record = folder / f"{ladder.digest()[:12]}.json"
        self.found = Climb(ladder, self.record)
        earlier = _earlier(self.record)
        same = earlier.get("minutes") == ladder.minutes
        self.planned: dict[str, int] = earlier.get("planned", {}) if same else {}
        self.mcnemar: dict[str, Any] = earlier.get("mcnemar", {})
        self.begun = time.monotonic()
        self.data: dict[str, Sets] = {}
        self.runs_left = 0

    def climb(self, views: Sequence[View]) -> Climb:
        ladder, found = self.ladder, self.found
        base = Step(BASELINE, "", ladder.measured(ladder.baseline), kept=True)
        found.steps.append(self._trained(base, "climb", len(ladder.rung)))
        if base.failed is not None:
            raise RunError(f"the baseline cannot be trained: {base.failed}")
        self._told()
        for number, rung in enumerate(ladder.rung):
            step = self._changed(rung, found.top.recipe, "climb", len(ladder.rung) - number - 1)
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
                step.recipe = self.ladder.measured(step.recipe.change(other.values(), f"without {rung.name!r}"))
        except RecipeError as error:
            step.recipe, step.failed = None, str(error)
            return step
        return self._trained(step, "ablate", 0)

    def _changed(self, rung: Rung, recipe: Recipe | None, view: View, left: int) -> Step:
        """A recipe with a change, trained."""
        assert recipe is not None
        stage = rung.stage or next(iter(rung.values())).partition(".")[0]
        step = Step(rung.name, stage, None, name_zh=rung.name_zh)
        try:
            step.recipe = self.ladder.measured(recipe.change(rung.values(), f"rung {rung.name!r}"))
        except RecipeError as error:
            step.failed = str(error)
            return step
        return self._trained(step, view, left)

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
            self._require_same_samples(step.recipe)
            folders = {seed: self._folder(recipe) for seed, recipe in recipes.items()}
        except TreadleError as error:
            step.failed = str(error)
            return step
        plan = f"{view}: {step.name}"
        wanted = self.seeds[: self.planned.get(plan, len(self.seeds))]
        first, rest = wanted[: self.workers.count], wanted[self.workers.count :]
        self.runs_left = len(wanted) + left * len(self.seeds)
        before, trained = time.monotonic(), self.found.trained
        if not self._carry_out(step, {seed: (folders[seed], recipes[seed]) for seed in first}):
            return step
        if self.ladder.minutes is not None and plan not in self.planned:
            took = time.monotonic() - before if self.found.trained > trained else self._seconds(folders[first[0]])
            share = (self.ladder.minutes * 60 - (time.monotonic() - self.begun)) / (left + 1)
            most = max(int(share / max(took, 1e-3)) * self.workers.count, LEAST - len(first), 0)
            there = [seed for seed in rest if _status(folders[seed]) == "finished"]
            rest = [*there, *(seed for seed in rest if seed not in there)][: max(most, len(there))]
        if not self._carry_out(step, {seed: (folders[seed], recipes[seed]) for seed in rest}):
            return step
        for seed in sorted((*first, *rest)):
            about = read_about(folders[seed])
            value = about.history[(about.weights_epoch or 1) - 1].get(self.ladder.metric)
            if value is None:
                step.failed = f"seed {seed}: {self.ladder.metric} is not finite"
                return step
            step.seeds.append(seed)
            step.values.append(float(value))
            step.runs.append(folders[seed].name)
        # the median, for the first run of a process loads the kernels
        step.seconds = float(np.median([self._seconds(folders[seed]) for seed in step.seeds]))
        self.planned[plan] = len(step.seeds)
        return step

    @staticmethod
    def _seconds(folder: Path) -> float:
        return float(sum(epoch["seconds"] for epoch in read_about(folder).history))

    def _require_same_samples(self, recipe: Recipe) -> None:
        """Raise RecipeError where a recipe is judged on other samples than the baseline, so that runs are no pairs."""
        base, sets = self._sets(self.ladder.baseline), self._sets(recipe)
        for name in ("validation", "test"):
            one, other = base.parts()[name].targets, sets.parts()[name].targets
            if one.shape != other.shape or not np.array_equal(one, other):
                raise RecipeError(
                    f"its {name} set has other samples than that of the baseline, so that runs cannot be compared: "
                    "source, split, target and missing belong into the baseline"
                )

    def _carry_out(self, step: Step, runs: dict[int, tuple[Path, Recipe]]) -> bool:
        """Train what is not there yet; whether all went well."""
        seeds = {folder: seed for seed, (folder, _) in runs.items()}
        jobs = []
        for folder, recipe in runs.values():
            status = _status(folder)
            if status == "begun":
                jobs.append(Job(folder, recipe.to_toml()))
                continue
            self.runs_left -= 1
            self.found.taken += 1
            if status != "finished":
                step.failed = f"seed {seeds[folder]}: {status}"
        begun = time.monotonic()
        for done, (job, failed) in enumerate(self.workers.carry_out(iter(jobs)), 1):
            self.runs_left -= 1
            if failed is not None:
                step.failed = f"seed {seeds[job.folder]}: {failed.reason}"
                continue
            self.found.trained += 1
            if self.on_progress:
                per_run = (time.monotonic() - begun) / done
                total = self.found.trained + self.found.taken
                self.on_progress(Progress(step.name, total, self.runs_left, per_run * self.runs_left))
        return step.failed is None

    def _final(self, base: Step, top: Step) -> Final:
        """Open the test set for the baseline and the top."""
        recipes = [step.recipe for step in (base, top) if step.recipe is not None]
        seeds = [seed for seed in base.seeds if seed in top.seeds]
        folders = [[self._folder(recipe.change({"training.seed": seed})) for seed in seeds] for recipe in recipes]
        jobs = [Job(folder, None) for each in folders for folder in each if read_about(folder).test is None]
        for job, failed in self.workers.carry_out(iter(jobs)):
            if failed is not None:
                raise RunError(f"{job.folder}: {failed.reason}")
        metric = self.ladder.metric.removeprefix("validation_")
        values = [[float((read_about(folder).test or {})[metric]) for folder in each] for each in folders]
        comparison = compare(*values, higher_is_better=self.ladder.higher_is_better())
        runs = (folders[0][0].name, folders[1][0].name)
        key = " ".join(runs)
        if key not in self.mcnemar:  # the predictions of some thousand samples take a while
            right = [_right(folder, self._sets(recipe)) for (folder, *_), recipe in zip(folders, recipes, strict=True)]
            told = None if right[0] is None or right[1] is None else asdict(mcnemar(right[0], right[1]))
            self.mcnemar[key] = told
        samples = None if self.mcnemar[key] is None else McNemar(**self.mcnemar[key])
        return Final(metric, values[0], values[1], comparison, samples, runs)

    def _folder(self, recipe: Recipe) -> Path:
        """The folder of a run: named by the recipe, its data and the code, so that what is there is what would come."""
        stages = {name: stage for name, stage in recipe.to_dict().items() if name not in ("resources", "saving")}
        said = json.dumps([stages, recipe.saving.weights, self._sets(recipe).fingerprint(), code()], sort_keys=True)
        return self.folder / "runs" / f"{recipe.network.preset or 'layers'}-{sha256(said.encode()).hexdigest()[:16]}"

    def _sets(self, recipe: Recipe) -> Sets:
        key = recipe.data_key()
        if key not in self.data:
            self.data[key] = recipe.load_data()
        return self.data[key]

    def _told(self) -> None:
        self._save()
        if self.on_step:
            self.on_step(self.found)

    def _save(self) -> None:
        plan = {"minutes": self.ladder.minutes, "planned": self.planned, "mcnemar": self.mcnemar}
        with told(self.folder):
            replace(self.record, to_json({**self.found.to_dict(), **plan}, indent=2).encode("utf-8"))


@cache
def code() -> str:
    """Return what tells this version of the program from others: SHA-256 in hex of its sources."""
    package = Path(__file__).resolve().parents[1]
    found = sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _status(folder: Path) -> str:
    """How a run stands: begun, finished, or why its training cannot be: what failed for another reason may go well."""
    if (folder / ABOUT).exists():
        status = read_about(folder).status
        if status == "finished":
            return status
        if status == "failed":
            with suppress(RunError):
                told = last(folder, "failed")
                if told.get("kind") == TrainingError.__name__:
                    return str(told["error"])
    return "begun"


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
