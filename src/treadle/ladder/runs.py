"""The runs of a climb: what is in its folder is taken from there, what is not is trained."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from treadle.data import Sets
from treadle.errors import RecipeError, RunError, TrainingError
from treadle.ladder.result import Progress
from treadle.ladder.workers import Job, Workers
from treadle.recipe import Recipe
from treadle.runs.about import ABOUT, read_about
from treadle.runs.log import last


class Runs:
    """Runs that belong together, for they are judged on the samples of one baseline.

    Args:
        baseline: whose samples these are.
        metric: by which runs are judged.
        folder: of the climb.
        workers: that train.
        on_progress: called when a run is done.
    """

    def __init__(
        self,
        baseline: Recipe,
        metric: str,
        folder: Path,
        workers: Workers,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.baseline, self.metric, self.folder, self.workers = baseline, metric, folder, workers
        self.trained, self.taken = 0, 0
        self.left = 0  # runs that are still to come, for the bar
        self._on_progress = on_progress
        self._sets: dict[str, Sets] = {}

    def sets(self, recipe: Recipe) -> Sets:
        """Return the sets that a recipe names, loaded once."""
        key = recipe.data_key()
        if key not in self._sets:
            self._sets[key] = recipe.load_data()
        return self._sets[key]

    def folder_of(self, recipe: Recipe) -> Path:
        """Return the folder of a run: named by recipe, data and code, so that what is there is what would come."""
        stages = {name: stage for name, stage in recipe.to_dict().items() if name not in ("resources", "saving")}
        said = json.dumps([stages, recipe.saving.weights, self.sets(recipe).fingerprint(), code()], sort_keys=True)
        return self.folder / "runs" / f"{recipe.network.preset or 'layers'}-{sha256(said.encode()).hexdigest()[:16]}"

    def require_same_samples(self, recipe: Recipe) -> None:
        """Raise RecipeError where a recipe is judged on other samples than the baseline, so that runs are no pairs."""
        base, sets = self.sets(self.baseline), self.sets(recipe)
        for name in ("validation", "test"):
            one, other = base.parts()[name].targets, sets.parts()[name].targets
            if one.shape != other.shape or not np.array_equal(one, other):
                raise RecipeError(
                    f"its {name} set has other samples than that of the baseline, so that runs cannot be compared: "
                    "source, split, target and missing belong into the baseline"
                )

    def carry_out(self, name: str, runs: Mapping[Path, Recipe]) -> dict[Path, str]:
        """Train what is not there yet, for what is called `name`; return why runs failed, by folder."""
        failed: dict[Path, str] = {}
        jobs = []
        for folder, recipe in runs.items():
            status = status_of(folder)
            if status == "begun":
                jobs.append(Job(folder, recipe.to_toml()))
                continue
            self.left -= 1
            self.taken += 1
            if status != "finished":
                failed[folder] = status
        begun = time.monotonic()
        for done, (job, why) in enumerate(self.workers.carry_out(iter(jobs)), 1):
            self.left -= 1
            if why is not None:
                failed[job.folder] = why.reason
                continue
            self.trained += 1
            if self._on_progress:
                per_run = (time.monotonic() - begun) / done
                self._on_progress(Progress(name, self.trained + self.taken, self.left, per_run * self.left))
        return failed

    def score(self, folder: Path) -> float | None:
        """Return the metric of a run's weights; None where it is not finite."""
        about = read_about(folder)
        value = about.history[(about.weights_epoch or 1) - 1].get(self.metric)
        return None if value is None else float(value)

    @staticmethod
    def seconds(folder: Path) -> float:
        """Return how long a run was trained."""
        return float(sum(epoch["seconds"] for epoch in read_about(folder).history))

    def open_test_sets(self, folders: Iterable[Path]) -> None:
        """Compute the scores of runs on the test set, where that was not done before."""
        jobs = [Job(folder, None) for folder in folders if read_about(folder).test is None]
        for job, failed in self.workers.carry_out(iter(jobs)):
            if failed is not None:
                raise RunError(f"{job.folder}: {failed.reason}")


def status_of(folder: Path) -> str:
    """Tell how a run stands: begun, finished, or why its training cannot be.

    What failed for another reason, such as a full disk, may go well: it counts as begun.
    """
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


@cache
def code() -> str:
    """Return what tells this version of the program from others: SHA-256 in hex of its sources."""
    package = Path(__file__).resolve().parents[1]
    found = sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
