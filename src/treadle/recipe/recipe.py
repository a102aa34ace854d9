"""The recipe: one choice for each of the seven stages, read from TOML, checked, and written back."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from treadle.data import Augmentation, Finding, Prefetch, Sets, load
from treadle.data.load import asks_for_classes
from treadle.errors import MemoryLimitError, RecipeError, ShapeError
from treadle.losses import Loss
from treadle.nn import MODELS, Module, Sequential, require_memory
from treadle.optim import Averaging, OnPlateau, Optimizer, Schedule
from treadle.recipe.messages import Source, describe, line_of, once, settings_of
from treadle.recipe.stages import (
    CHOICES,
    DataStage,
    LossStage,
    NetworkStage,
    OptimizerStage,
    ResourcesStage,
    SavingStage,
    TrainingStage,
)
from treadle.recipe.texts import parse_augmentation, parse_layer, parse_split

_EXCLUSIVE = {"network.preset": "layers", "network.layers": "preset"}
_LIMIT = 1 << 20  # bytes of a recipe file; a longer one is not a recipe


class Recipe(BaseModel):
    """One choice for each stage. Stages left out of a file take these defaults, except network, loss and optimizer.

    >>> recipe = Recipe.baseline()
    >>> recipe.change({"optimizer.lr": 0.05}).optimizer.lr
    0.05
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    _source: Source = PrivateAttr(default=Source("recipe"))

    data: DataStage = Field(default_factory=DataStage)
    network: NetworkStage
    loss: LossStage
    optimizer: OptimizerStage
    resources: ResourcesStage = Field(default_factory=ResourcesStage)
    training: TrainingStage = Field(default_factory=TrainingStage)
    saving: SavingStage = Field(default_factory=SavingStage)

    @classmethod
    def baseline(cls) -> Self:
        """Return the recipe of the course's baseline on MNIST."""
        text = (files("treadle.recipe") / "baseline.toml").read_text(encoding="utf-8")
        return cls.from_toml(text, "baseline.toml")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a recipe from a TOML file.

        Raises:
            RecipeError: names the file, the line, what was expected and found, and the likely fix.
        """
        return cls.from_toml(read_text(path, "recipe"), str(path))

    @classmethod
    def from_toml(cls, text: str, name: str = "recipe") -> Self:
        """Make the recipe that stands in a TOML text, which is called `name` in messages.

        Raises:
            RecipeError: names the line, what was expected and found, and the likely fix.
        """
        try:
            values = tomllib.loads(text)
        except RecursionError as error:
            raise RecipeError(f"{name}: nested too deeply to be a recipe") from error
        except ValueError as error:  # TOMLDecodeError, or a plain one for a number of thousands of digits
            raise RecipeError(f"{name}: not valid TOML: {error}") from error
        if "baseline" in values or "rung" in values:
            raise RecipeError(f"{name}: is a ladder, not a recipe: treadle climb {name}")
        return cls._validate(values, Source(name, text))

    @classmethod
    def inside(cls, values: Mapping[str, Any], name: str, text: str, *tables: str) -> Self:
        """Return the recipe that stands in some tables of a TOML text, of which `values` are the content.

        Raises:
            RecipeError: names the file, the line, what was expected and found, and the likely fix.
        """
        return cls._validate(values, Source(name, text, tables))

    @classmethod
    def _validate(cls, values: Mapping[str, Any], source: Source) -> Self:
        try:
            recipe = cls.model_validate(values)
            recipe._source = source
            return recipe
        except ValidationError as error:
            details = once(error.errors(include_url=False), values)
            raise RecipeError("\n".join(describe(detail, values, source) for detail in details)) from error

    def change(self, changes: Mapping[str, Any], source: str = "changed recipe") -> Self:
        """Return a recipe with values changed, each named stage.key.

        Giving network.preset replaces network.layers and the other way round. A new kind of loss or optimizer
        takes over the settings that it shares with the old one.

        Raises:
            RecipeError: no such stage or key, or a value that does not fit.
        """
        values = self.model_dump(exclude_unset=True)  # a default of one kind is no setting of another
        for name, value in changes.items():
            stage, _, key = name.partition(".")
            if not key or "." in key or stage not in CHOICES:
                near = difflib.get_close_matches(stage, CHOICES, n=1)
                hint = f"did you mean {near[0]}.{key or '…'}? " if near else ""
                raise RecipeError(
                    f"{source}: {name!r} is not stage.key, such as optimizer.lr; {hint}stages are {', '.join(CHOICES)}"
                )
            section = values.setdefault(stage, {})
            if name in _EXCLUSIVE and f"{stage}.{_EXCLUSIVE[name]}" not in changes:
                section.pop(_EXCLUSIVE[name], None)
            if key == "kind" and value != section.get("kind") and value in list(CHOICES[stage].get("kind", ())):
                known = settings_of(stage, value)
                values[stage] = section = {k: v for k, v in section.items() if k in known or f"{stage}.{k}" in changes}
            section[key] = value
        changed = self._validate(values, Source(source))
        if not any(name.startswith("network.") for name in changes):
            changed._source = self._source  # which is where the network still stands
        return changed

    def to_dict(self) -> dict[str, Any]:
        """Return the stages as plain values, defaults included, what is not set left out."""
        return self.model_dump(exclude_none=True)

    def settings(self) -> dict[str, Any]:
        """Return the values by stage.key, as `change` takes them, defaults included.

        >>> Recipe.baseline().settings()["optimizer.kind"]
        'sgd'
        """
        return {f"{stage}.{key}": value for stage, keys in self.to_dict().items() for key, value in keys.items()}

    def to_toml(self) -> str:
        """Write the recipe as TOML, defaults included.

        >>> Recipe.from_toml(Recipe.baseline().to_toml(), "again") == Recipe.baseline()
        True
        """
        return tomlkit.dumps(self.to_dict())

    def load_data(self, findings: list[Finding] | None = None) -> Sets:
        """Load the sets that the data stage names; targets of a table are classes where the loss compares classes.

        Args:
            findings: where a list is given, it is told of missing values in a table, which are else an error.
        """
        return load(**self._loading(), findings=findings)

    def data_key(self) -> str:
        """Return a text that is the same for recipes that load the same sets."""
        return repr(sorted(self._loading().items()))

    def _loading(self) -> dict[str, Any]:
        """What `load` takes."""
        stage = self.data
        names = ("source", "target", "categorical", "ignore", "missing", "delimiter", "header", "size", "channels")
        return {
            **{name: getattr(stage, name) for name in (*names, "stream")},
            "split": None if stage.split is None else parse_split(stage.split),
            "classes": True if asks_for_classes(stage.source) and self.build_loss().compares == "classes" else None,
        }

    def fit_settings(self) -> dict[str, Any]:
        """Return what `fit`, the range test and the loss surface take of how batches are made, by its name there."""
        return {
            "batch_size": self.data.batch_size,
            "scale": self.data.scale,
            "shuffle": self.data.shuffle,
            "drop_last": self.data.drop_last,
            "augmentations": self.build_augmentations(),
            "seed": self.training.seed,
            "threads": self.resources.threads,
        }

    def training_settings(self) -> dict[str, Any]:
        """Return the arguments of `fit` that say how the recipe trains, but for its metrics and what it saves."""
        return {
            "loss": self.build_loss(),
            "optimizer": self.build_optimizer(),
            "schedule": self.build_schedule(),
            "epochs": self.training.epochs,
            "patience": self.training.patience,
            "averaging": self.build_averaging(),
            "prefetch": self.build_prefetch(),
            **self.fit_settings(),
        }

    def build_prefetch(self) -> Prefetch:
        """Make the settings of reading ahead."""
        return self.data.build_prefetch()

    def build_augmentations(self) -> list[Augmentation]:
        """Make the augmentations."""
        return [parse_augmentation(text) for text in self.data.augment or ()]

    def build_loss(self) -> Loss:
        """Make the loss."""
        return self.loss.build()  # type: ignore[no-any-return]

    def build_optimizer(self) -> Optimizer:
        """Make the optimiser."""
        return self.optimizer.build()  # type: ignore[no-any-return]

    def build_schedule(self) -> list[Schedule | OnPlateau]:
        """Make the schedules of the learning rate."""
        return self.optimizer.build_schedule()  # type: ignore[no-any-return]

    def build_averaging(self) -> Averaging | None:
        """Make the averaging of parameters, if there is to be one."""
        return self.training.build_averaging()

    def build_network(self, classes: Sequence[str] | None, shape: tuple[int, ...]) -> Module:
        """Make the network for data of these classes (None: numbers to predict) and samples of a shape.

        Raises:
            RecipeError: names the recipe and line where the layers do not fit each other, the data or the memory.
        """
        try:
            if self.network.layers is not None:
                network: Module = Sequential(*(parse_layer(text) for text in self.network.layers))
            else:
                outputs = self.build_loss().outputs(None if classes is None else len(classes))
                network = MODELS[str(self.network.preset)](outputs)
            network.output_shape(shape)
            require_memory(network.parameters(shape))
        except (ShapeError, MemoryLimitError) as error:
            key = "layers" if self.network.layers else "preset"
            line = line_of(self._source.text, [*self._source.inside, "network", key])
            place = f"{self._source.name}, line {line}" if line else self._source.name
            raise RecipeError(f"{place}: [network]: {error}") from error
        return network


def read_text(path: str | Path, what: str) -> str:
    """Return the text of a file that is a recipe, or what else is called by its name in messages.

    Raises:
        RecipeError: it cannot be read, is too long, or not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LIMIT + 1)
        if len(content) > _LIMIT:
            raise RecipeError(f"{path}: longer than {_LIMIT:,} bytes, so it is not a {what}")
        return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error
