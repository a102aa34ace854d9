"""Climbing a ladder: a change is trained with several seeds, compared with what was kept before, and kept or not."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np

from treadle.data import Sets
from treadle.errors import RecipeError, RunError, TreadleError
from treadle.ladder.ladder import Ladder, Rung
from treadle.ladder.statistics import Comparison, McNemar, compare, mcnemar
from treadle.ladder.workers import Job, Workers
from treadle.recipe import Recipe
from treadle.runs import load, to_json
from treadle.runs.about import ABOUT, read_about
from treadle.runs.files import replace
from treadle.runs.log import last

BASELINE = "baseline"
FORMAT = 1
LEAST = 2  # seeds, where time is short: one tells nothing of the spread
View = Literal["climb", "ablate", "alone"]


@dataclass
class Step:
    """A recipe of a climb with what its runs gave.

    Args:
        name: of the rung, or "baseline".
        stage: that the change belongs to; empty for the baseline.
        recipe: the whole recipe, with the first of the seeds; None where the change could not be made.
        seeds: that were trained.
        values: of the metric, for each seed.
        seconds: of training, median over seeds.
        comparison: with the recipe before it; None for the baseline, and where nothing could be compared.
        kept: whether later rungs build on it.
        failed: why there is nothing to compare, else None.
    """

    name: str
    stage: str
    recipe: Recipe | None
    seeds: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    seconds: float = 0.0
    comparison: Comparison | None = None
    kept: bool = False
    failed: str | None = None

    @property
    def verdict(self) -> str:
        """Baseline, better, worse, cannot tell, or failed."""
        if self.failed is not None:
            return "failed"
        return BASELINE if self.comparison is None else self.comparison.verdict

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        values = {name: getattr(self, name) for name in ("name", "stage", "seeds", "values", "seconds", "kept")}
        return {
            **values,
            "verdict": self.verdict,
            "failed": self.failed,
            "comparison": None if self.comparison is None else asdict(self.comparison),
            "recipe": None if self.recipe is None else self.recipe.to_dict(),
        }


@dataclass
class Final:
    """The last look: the baseline and the top of the ladder on the test set, which is opened for it.

    Args:
        metric: on the test set.
        baseline, top: its values, for each seed.
        comparison: of these.
        samples: which test samples only one of both has right, with the first seed; None where there are no classes.
        runs: names of these two runs.
    """

    metric: str
    baseline: list[float]
    top: list[float]
    comparison: Comparison
    samples: McNemar | None
    runs: tuple[str, str]


@dataclass
class Climb:
    """What a climb has come to.

    Args:
        ladder: that was climbed.
        steps: the baseline and the rungs so far.
        views: rows of other views: each kept change left out of the top ("ablate"), or made to the baseline alone.
        final: once the climb is at its end, and a change was kept.
        trained: how many runs were trained now, and `taken` how many were there already.
        record: file of all this as JSON.
        top_recipe: file of the recipe at the top, once the climb is at its end and a change was kept.
    """

    ladder: Ladder
    record: Path
    steps: list[Step] = field(default_factory=list)
    views: dict[str, list[Step]] = field(default_factory=dict)
    final: Final | None = None
    trained: int = 0
    taken: int = 0
    top_recipe: Path | None = None

    @property
    def top(self) -> Step:
        """The last step that was kept."""
        return next(step for step in reversed(self.steps) if step.kept)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "format": FORMAT,
            "ladder": self.ladder.to_dict(),
            "steps": [step.to_dict() for step in self.steps],
            "views": {view: [step.to_dict() for step in steps] for view, steps in self.views.items()},
            "final": None if self.final is None else asdict(self.final),
        }


@dataclass(frozen=True)
class Progress:
    """How far a climb is: runs that are done, those that are left, and a guess of the seconds these take."""

    name: str
    done: int
    left: int
    seconds_left: float | None


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
        workers: processes that train side by side; one for each core unless told.
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
    with Workers(workers or _cores()) as processes:
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
        self.earlier = _earlier(self.record)
        steps = self.earlier.get("steps", ())
        self.planned = {step["name"]: len(step["seeds"]) for step in steps if step["seeds"]}
        self.begun = time.monotonic()
        self.data: dict[str, Sets] = {}

    def climb(self, views: Sequence[View]) -> Climb:
        ladder, found = self.ladder, self.found
        self.folder.mkdir(parents=True, exist_ok=True)
        base = Step(BASELINE, "", ladder.measured(ladder.baseline), kept=True)
        found.steps.append(self._trained(base, len(ladder.rung)))
        if base.failed is not None:
            raise RunError(f"the baseline cannot be trained: {base.failed}")
        self._told()
        for number, rung in enumerate(ladder.rung):
            step = self._changed(rung.name, rung, found.top.recipe, len(ladder.rung) - number - 1)
            self._compare(step, found.top, len(ladder.rung))
            step.kept = step.failed is None and ((rung.keep or ladder.keep) == "always" or step.verdict == "better")
            found.steps.append(step)
            self._told()
        if found.top is not base:
            found.final = self._final(base, found.top)
            assert found.top.recipe is not None
            found.top_recipe = self.record.with_name(f"{self.record.stem}-top.toml")
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
                step = self._changed(rung.name, rung, base.recipe, 0)
                self._compare(step, base, len(kept))
            else:
                step = self._without(rung, [one for one in kept if one is not rung])
                self._compare(top, step, len(kept), into=step)
            yield step

    def _without(self, rung: Rung, others: Sequence[Rung]) -> Step:
        """The top of the ladder without a change."""
        step = Step(rung.name, rung.stage or "", self.found.steps[0].recipe)
        try:
            for other in others:
                assert step.recipe is not None
                step.recipe = step.recipe.change(other.values(), f"without {rung.name!r}")
        except RecipeError as error:
            step.recipe, step.failed = None, str(error)
            return step
        return self._trained(step, 0)

    def _changed(self, name: str, rung: Rung, recipe: Recipe | None, left: int) -> Step:
        """A recipe with a change, trained."""
        assert recipe is not None
        stage = rung.stage or next(iter(rung.values())).partition(".")[0]
        step = Step(name, stage, None)
        try:
            step.recipe = self.ladder.measured(recipe.change(rung.values(), f"rung {name!r}"))
        except RecipeError as error:
            step.failed = str(error)
            return step
        return self._trained(step, left)

    def _compare(self, step: Step, before: Step, comparisons: int, into: Step | None = None) -> None:
        """Compare a step with another over the seeds that both have."""
        if step.failed is not None or before.failed is not None:
            return
        shared = [seed for seed in step.seeds if seed in before.seeds]
        one, other = ([of.values[of.seeds.index(seed)] for seed in shared] for of in (before, step))
        (into or step).comparison = compare(
            one, other, higher_is_better=self.ladder.higher_is_better(), comparisons=comparisons
        )

    def _trained(self, step: Step, left: int) -> Step:
        """Train a recipe with the seeds, as many as time allows, and put into the step what they gave."""
        assert step.recipe is not None
        recipes = {seed: step.recipe.change({"training.seed": seed}) for seed in self.seeds}
        try:
            folders = {seed: self._folder(recipe) for seed, recipe in recipes.items()}
        except TreadleError as error:
            step.failed = str(error)
            return step
        wanted = self.seeds[: self.planned.get(step.name, len(self.seeds))]
        first = wanted[: self.workers.count]
        before, trained = time.monotonic(), self.found.trained
        if not self._carry_out(step, {seed: (folders[seed], recipes[seed]) for seed in first}, left):
            return step
        rest = wanted[len(first) :]
        new = self.found.trained > trained and step.name not in self.planned
        if new and self.ladder.minutes is not None:
            share = (self.ladder.minutes * 60 - (time.monotonic() - self.begun)) / (left + 1)
            rounds = int(share / (time.monotonic() - before))
            rest = rest[: max(rounds * self.workers.count, LEAST - len(first), 0)]
        if not self._carry_out(step, {seed: (folders[seed], recipes[seed]) for seed in rest}, left):
            return step
        seconds: list[float] = []
        for seed in (*first, *rest):
            about = read_about(folders[seed])
            assert about.weights_epoch is not None
            step.seeds.append(seed)
            step.values.append(float(about.history[about.weights_epoch - 1][self.ladder.metric]))
            seconds.append(sum(epoch["seconds"] for epoch in about.history))
        step.seconds = float(np.median(seconds))  # the first run of a process loads the kernels
        return step

    def _carry_out(self, step: Step, runs: dict[int, tuple[Path, Recipe]], left: int) -> bool:
        """Train what is not there yet; whether all went well."""
        stands = {folder: _status(folder) for folder, _ in runs.values()}
        seeds = {folder: seed for seed, (folder, _) in runs.items()}
        for folder, status in stands.items():
            if status == "failed":
                step.failed = f"seed {seeds[folder]}: {last(folder, 'failed')['error']}"
        jobs = [Job(folder, recipe.to_toml()) for folder, recipe in runs.values() if stands[folder] in (None, "begun")]
        self.found.taken += len(runs) - len(jobs)
        begun = time.monotonic()
        for done, (job, failed) in enumerate(self.workers.carry_out(iter(jobs)), 1):
            if failed is not None:
                step.failed = f"seed {seeds[job.folder]}: {failed.reason}"
                continue
            self.found.trained += 1
            if self.on_progress:
                per_run = (time.monotonic() - begun) / done
                rest = len(jobs) - done + left * len(self.seeds)
                self.on_progress(Progress(step.name, done, rest, per_run * rest))
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
        known = (self.earlier.get("final") or {}) if not jobs else {}
        if known.get("runs") == list(runs):  # the predictions of some thousand samples take a while
            samples = None if known["samples"] is None else McNemar(**known["samples"])
        else:
            right = [_right(folder, self._sets(recipe)) for (folder, *_), recipe in zip(folders, recipes, strict=True)]
            samples = None if right[0] is None or right[1] is None else mcnemar(right[0], right[1])
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
        replace(self.record, to_json(self.found.to_dict(), indent=2).encode("utf-8"))


@cache
def code() -> str:
    """Return what tells this version of the program from others: SHA-256 in hex of its sources."""
    package = Path(__file__).resolve().parents[1]
    found = sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _status(folder: Path) -> Literal["begun", "failed", "finished"] | None:
    """How a run stands; None where there is none."""
    if not (folder / ABOUT).exists():
        return None
    status = read_about(folder).status
    return status if status in ("failed", "finished") else "begun"


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
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) and found.get("format") == FORMAT else {}
    except (OSError, ValueError):
        return {}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
