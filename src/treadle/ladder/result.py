"""What a climb has come to: its steps, other views of them, and the look at the test set."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from treadle.ladder.ladder import BASELINE, Ladder
from treadle.ladder.statistics import Comparison, McNemar
from treadle.language import Words
from treadle.recipe import Recipe

FORMAT = 1


@dataclass
class Trial:
    """Values that were tried.

    Args:
        values: by stage.key.
        scores: of the metric on the validation set, for each seed of the search.
        failed: why they cannot be chosen, else None.
    """

    values: dict[str, Any]
    scores: list[float] = field(default_factory=list)
    failed: str | None = None

    @property
    def mean(self) -> float | None:
        """Mean of the scores; None where there is nothing to choose."""
        return None if self.failed is not None else sum(self.scores) / len(self.scores)


@dataclass
class Sweep:
    """What a rung tried before it was judged.

    Args:
        seeds: by which values were compared, none of those that judge.
        trials: the values.
        chosen: place of the best mean among them; None where all failed.
    """

    seeds: list[int]
    trials: list[Trial]
    chosen: int | None = None

    @property
    def values(self) -> dict[str, Any] | None:
        """The values that were chosen."""
        return None if self.chosen is None else self.trials[self.chosen].values

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        trials = [{**asdict(trial), "mean": trial.mean} for trial in self.trials]
        return {"seeds": self.seeds, "trials": trials, "chosen": self.values}


@dataclass
class Step:
    """A recipe of a climb with what its runs gave.

    Args:
        name: of the rung, or "baseline".
        name_zh: the same in Chinese, where the ladder has it.
        stage: that the change belongs to; empty for the baseline.
        recipe: the whole recipe, with the first of the seeds; None where the change could not be made.
        seeds: that were trained.
        values: of the metric, for each seed.
        seconds: of training, median over seeds.
        runs: names of their folders, for each seed.
        comparison: with the recipe before it; None for the baseline, and where nothing could be compared.
        kept: whether later rungs build on it.
        failed: why there is nothing to compare, else None.
        sweep: the values that were tried before, of which the recipe has the best; None where there was one change.
    """

    name: str
    stage: str
    recipe: Recipe | None
    seeds: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    seconds: float = 0.0
    runs: list[str] = field(default_factory=list)
    comparison: Comparison | None = None
    kept: bool = False
    failed: str | None = None
    sweep: Sweep | None = None
    name_zh: str | None = None

    def title(self, words: Words) -> str:
        """Return its name in a language, or the one that it has."""
        if self.name == BASELINE:
            return words(BASELINE, "基线")
        return words(self.name, self.name_zh or self.name)

    @property
    def verdict(self) -> str:
        """Baseline, better, worse, cannot tell, or failed."""
        if self.failed is not None:
            return "failed"
        return BASELINE if self.comparison is None else self.comparison.verdict

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        values = {
            name: getattr(self, name)
            for name in ("name", "name_zh", "stage", "seeds", "values", "seconds", "runs", "kept")
        }
        return {
            **values,
            "verdict": self.verdict,
            "failed": self.failed,
            "comparison": None if self.comparison is None else asdict(self.comparison),
            "recipe": None if self.recipe is None else self.recipe.to_dict(),
            "sweep": None if self.sweep is None else self.sweep.to_dict(),
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
