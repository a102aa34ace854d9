"""The registry: every choice of every stage, and the typed model of each stage made from it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)

from treadle.data import (
    AUGMENTATIONS,
    MISSING,
    SCALES,
    SOURCES,
    SPLITS,
    WORKER_KINDS,
    Prefetch,
)
from treadle.losses import LOSSES
from treadle.metrics import METRICS
from treadle.nn import LAYERS, MODELS
from treadle.optim import AVERAGES, OPTIMIZERS, SCHEDULES, Averaging, OnPlateau, Plan, Schedule
from treadle.recipe.texts import (
    parse_augmentation,
    parse_averaging,
    parse_layer,
    parse_schedule,
    parse_split,
)
from treadle.train import WEIGHTS

_KINDS = dict(
    zip(WORKER_KINDS, ("threads of this process", "processes with memory and lock of their own"), strict=True)
)
_LOGS = {
    "tensorboard": "TensorBoard's event files, in the folder tensorboard of the run",
    "mlflow": "a run of MLflow, in the store that its MLFLOW_TRACKING_URI names",
}
# stage → the setting that chooses → name → what is chosen; a dict per setting, so that a choice is named once
CHOICES: dict[str, dict[str, Mapping[str, Any]]] = {
    "data": {"source": SOURCES, "scale": SCALES, "split": SPLITS, "augment": AUGMENTATIONS, "worker_kind": _KINDS},
    "network": {"preset": MODELS, "layers": LAYERS},
    "loss": {"kind": LOSSES},
    "optimizer": {"kind": OPTIMIZERS, "schedule": SCHEDULES},
    "resources": {"device": {"cpu": "the processor, with NumPy"}},
    "training": {"metrics": METRICS, "averaging": AVERAGES},
    "saving": {"weights": WEIGHTS, "log_to": _LOGS},
}


def _names(stage: str, setting: str) -> Any:
    return Literal[tuple(CHOICES[stage][setting])]


class Stage(BaseModel):
    """Settings of one stage: unknown keys and wrong types are errors, numbers are not made of strings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _stage_of(kind: str, chosen: type[Any], base: type[Stage]) -> type[Stage]:
    """Make the stage model of a dataclass: its fields are the settings, and its own checks are run."""
    hints = get_type_hints(chosen)
    fields: dict[str, Any] = {"kind": (Literal[kind], ...)}
    parameters = inspect.signature(chosen).parameters
    for name, parameter in parameters.items():
        fields[name] = (hints[name], ... if parameter.default is parameter.empty else parameter.default)

    def build(self: Any) -> Any:
        return chosen(**{name: getattr(self, name) for name in parameters})

    def construct(self: Any) -> Any:
        build(self)
        return self

    validators: dict[str, Any] = {"construct": model_validator(mode="after")(construct)}
    model = create_model(f"{chosen.__name__}Stage", __base__=base, __validators__=validators, **fields)
    model.build = build  # type: ignore[attr-defined]
    return model


def _union(choices: Mapping[str, type[Any]], base: type[Stage] = Stage) -> Any:
    models = [_stage_of(kind, chosen, base) for kind, chosen in choices.items()]
    return Annotated[reduce(or_, models), Field(discriminator="kind")]


def _utf8(source: str) -> str:
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a recipe is UTF-8, and {source!r} cannot be: rename the folder") from error
    return source


def _augmentation(text: str) -> str:
    parse_augmentation(text)
    return text


def _split(text: str) -> str:
    parse_split(text)
    return text


class DataStage(Stage):
    """Where the data comes from, what of a table or of images is taken, how it is split, and how it becomes batches.

    Those that are None are left to the source; a setting that a source has no use for is an error.
    """

    source: Annotated[str, AfterValidator(_utf8)] = "mnist"
    target: str | None = None
    categorical: list[str] | None = None
    ignore: list[str] | None = None
    missing: Literal[MISSING] | None = None  # type: ignore[valid-type]
    delimiter: str | None = None
    header: bool | None = None
    size: list[Annotated[int, Field(ge=1, le=4096)]] | None = Field(default=None, min_length=2, max_length=2)
    channels: Literal[1, 3] | None = None
    split: Annotated[str, AfterValidator(_split)] | None = None
    scale: _names("data", "scale") = "minmax"  # type: ignore[valid-type]
    batch_size: int = Field(default=100, ge=1)
    shuffle: bool = True
    drop_last: bool = False
    augment: list[Annotated[str, AfterValidator(_augmentation)]] | None = Field(default=None, min_length=1)
    stream: bool | None = None
    prefetch: int = Field(default=0, ge=0, le=10_000)
    workers: int | None = Field(default=None, ge=1, le=1024)
    worker_kind: Literal[WORKER_KINDS] | None = None  # type: ignore[valid-type]
    worker_timeout: float | None = Field(default=None, gt=0, le=86_400)

    @model_validator(mode="after")
    def _workers_make_batches_ahead(self) -> Self:
        for name in ("workers", "worker_kind", "worker_timeout"):
            if getattr(self, name) is not None and not self.prefetch:
                raise ValueError(
                    f"{name} is of those that make batches ahead: set prefetch to 1 or more, or leave it out"
                )
        return self

    def build_prefetch(self) -> Prefetch:
        """Make the settings of reading ahead."""
        names = ("workers", "worker_kind", "worker_timeout")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return Prefetch(self.prefetch, **given)


def _layer(text: str) -> str:
    parse_layer(text)
    return text


class NetworkStage(Stage):
    """The network: a preset by name, or a list of layers, each its class in snake case with its arguments."""

    preset: _names("network", "preset") | None = None  # type: ignore[valid-type]
    layers: list[Annotated[str, AfterValidator(_layer)]] | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.preset is None) == (self.layers is None):
            raise ValueError("give either preset or layers, one of the two")
        return self


class ResourcesStage(Stage):
    """What to compute on, and with how many threads in matrix products."""

    device: _names("resources", "device") = "cpu"  # type: ignore[valid-type]
    threads: int = Field(default=1, ge=1, le=1024)


def _averaging(text: str) -> str:
    parse_averaging(text)
    return text


def _each_once(what: str, names: list[str] | None) -> list[str] | None:
    if names and len(set(names)) < len(names):
        raise ValueError(f"{what} is named twice: {', '.join(names)}")
    return names


class TrainingStage(Stage):
    """How long to train, from which seed, what to measure, and whether to look for what goes wrong.

    `evaluate_train` computes the loss on the training set after each epoch, which takes a pass over it. Training
    stops early after `patience` epochs without a lower validation loss. With `averaging` the run is used with an
    average of the parameters.
    """

    epochs: int = Field(default=1, ge=1)
    patience: int | None = Field(default=None, ge=1)
    averaging: Annotated[str, AfterValidator(_averaging)] | None = None
    seed: int = Field(default=0, ge=0)
    metrics: list[_names("training", "metrics")] | None = None  # type: ignore[valid-type]
    diagnose: bool = True
    evaluate_train: bool = False

    @field_validator("metrics")
    @classmethod
    def _metrics_once(cls, metrics: list[str] | None) -> list[str] | None:
        return _each_once("a metric", metrics)

    @model_validator(mode="after")
    def _averaging_begins(self) -> Self:
        if (averaging := self.build_averaging()) is not None:
            averaging.require_begun(self.epochs)
        return self

    def build_averaging(self) -> Averaging | None:
        """Make the averaging of parameters."""
        return None if self.averaging is None else parse_averaging(self.averaging)


class SavingStage(Stage):
    """How often checkpoints are written, in epochs and in steps, how many are kept, and which weights the run uses.

    One is always written at the end. Weights are those of the epoch with the lowest validation loss, or the last.
    `log_to` names what else the figures of the run are logged to.
    """

    checkpoint_every: int = Field(default=1, ge=1)
    checkpoint_steps: int | None = Field(default=None, ge=1)
    keep: int = Field(default=2, ge=1, le=1000)
    weights: _names("saving", "weights") = "best"  # type: ignore[valid-type]
    log_to: list[_names("saving", "log_to")] | None = Field(default=None, min_length=1)  # type: ignore[valid-type]

    @field_validator("log_to")
    @classmethod
    def _logs_once(cls, log_to: list[str] | None) -> list[str] | None:
        return _each_once("a log", log_to)


def _schedule(text: str) -> str:
    parse_schedule(text)
    return text


class ScheduledStage(Stage):
    """What every optimizer may have besides its own settings: schedules of its learning rate, one after the other."""

    schedule: list[Annotated[str, AfterValidator(_schedule)]] | None = Field(default=None, min_length=1)

    @field_validator("schedule")
    @classmethod
    def _follow_one_another(cls, schedule: list[str] | None) -> list[str] | None:
        Plan([parse_schedule(text) for text in schedule or ()], steps=1)
        return schedule

    def build_schedule(self) -> list[Schedule | OnPlateau]:
        """Make the schedules."""
        return [parse_schedule(text) for text in self.schedule or ()]


LossStage = _union(LOSSES)
OptimizerStage = _union(OPTIMIZERS, ScheduledStage)
