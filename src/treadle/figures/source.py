"""What a figure is drawn from: a recipe, a run or a climb, given as an object or as a place on the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from treadle.data import Dataset, Sets
from treadle.errors import TreadleError
from treadle.ladder import Climb
from treadle.ladder.record import read_climb
from treadle.recipe import Recipe
from treadle.runs import load
from treadle.runs.about import ABOUT, About, read_about
from treadle.runs.folder import RECIPE
from treadle.train import Evaluation, Run

Kind = Literal["nothing", "recipe", "run", "climb"]


class Source:
    """A recipe, a run or a climb, and what follows from it, each computed when it is first asked for.

    Args:
        given: a `Recipe`, `Sets`, `Run` or `Climb`; a recipe's TOML file, a run's folder, or the record of a climb;
            None for the baseline on MNIST.
        changes: values by stage.key that are changed in the recipe.

    Raises:
        TreadleError: there is no such thing.
    """

    def __init__(
        self, given: Recipe | Sets | Run | Climb | Path | str | None = None, changes: Mapping[str, Any] | None = None
    ) -> None:
        self.given = Path(given) if isinstance(given, str) else given
        self.changes = dict(changes or {})
        self.folder: Path | None = None
        self._file: Path | None = None
        if isinstance(self.given, Path):
            if (self.given / ABOUT).exists():
                self.folder = self.given
            elif self.given.suffix == ".json" or self.given.is_dir():
                self.given = read_climb(self.given)
            else:
                self._file = self.given
        if self.changes and not (self.given is None or self._file or isinstance(self.given, Recipe)):
            raise TreadleError("only a recipe can be changed: a run and a climb are what they are")

    @property
    def kind(self) -> Kind:
        """What it is at most: a run has a recipe, and so has a climb, that at its top."""
        if isinstance(self.given, Climb):
            return "climb"
        return "run" if self.folder is not None or isinstance(self.given, Run) else "recipe"

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe; of a climb that at its top."""
        if isinstance(self.given, Climb):
            recipe = self.given.top.recipe
            assert recipe is not None
            return recipe
        if self.folder is not None:
            return Recipe.read(self.folder / RECIPE)
        if isinstance(self.given, (Run, Sets)):
            raise TreadleError(
                f"this figure needs a recipe: give one, or the folder of a run, in place of {type(self.given).__name__}"
            )
        recipe = self.given if isinstance(self.given, Recipe) else Recipe.read(self._file) if self._file else None
        recipe = recipe or Recipe.baseline()
        return recipe.change(self.changes) if self.changes else recipe

    @cached_property
    def sets(self) -> Sets:
        """The data."""
        if isinstance(self.given, Sets):
            return self.given
        if isinstance(self.given, Run) and self.given.sets is not None:
            return self.given.sets
        return self.recipe.load_data()

    @cached_property
    def run(self) -> Run:
        """The trained run with its data; of a climb the first at its top."""
        if isinstance(self.given, Run):
            return self.given
        return load(self.run_folder, self.sets)

    @cached_property
    def climb(self) -> Climb:
        """The climb."""
        if not isinstance(self.given, Climb):
            raise TreadleError("this figure needs a climb: give the record that `treadle climb` told")
        return self.given

    @cached_property
    def about(self) -> About:
        """What is written of the run."""
        return read_about(self.run_folder)

    @cached_property
    def validation(self) -> Dataset:
        """The validation set, on which figures judge: the test set is looked at once, by the run itself."""
        return self.sets.validation

    @cached_property
    def evaluation(self) -> Evaluation:
        """How good the run is on the validation set."""
        return self.run.evaluate(self.validation)

    @cached_property
    def histories(self) -> dict[str, Sequence[list[dict[str, Any]]]]:
        """Epochs by what was trained: the history of a run; of a climb those of each seed, for each step."""
        if isinstance(self.given, Climb):
            root = self.given.record.parent / "runs"
            return {
                step.name: [read_about(root / name).history for name in step.runs]
                for step in self.given.steps
                if step.runs
            }
        if isinstance(self.given, Run):
            return {"": [self.given.history]}
        return {"": [self.about.history]}

    @property
    def run_folder(self) -> Path:
        """The folder of the run; of a climb that of the first at its top."""
        if isinstance(self.given, Climb):
            return self.given.record.parent / "runs" / self.given.top.runs[0]
        if self.folder is None:
            raise TreadleError("this figure needs a run: give its folder, its name, or last")
        return self.folder
