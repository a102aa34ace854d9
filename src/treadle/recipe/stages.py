"""The registry: every choice of every stage, and the typed model of each stage made from it."""

from __future__ import annotations

import dataclasses
import inspect
import shlex
import tomllib
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator

from treadle.data import SCALES, SOURCES
from treadle.losses import LOSSES
from treadle.metrics import METRICS
from treadle.nn import LAYERS, MODELS, Module
from treadle.optim import OPTIMIZERS

# stage → the setting that chooses → name → what is chosen; a dict per setting, so that a choice is named once
CHOICES: dict[str, dict[str, Mapping[str, Any]]] = {
    "data": {"source": SOURCES, "scale": SCALES},
    "network": {"preset": MODELS, "layers": LAYERS},
    "loss": {"kind": LOSSES},
    "optimizer": {"kind": OPTIMIZERS},
    "resources": {"device": {"cpu": "the processor, with NumPy"}},
    "training": {"metrics": METRICS},
    "saving": {},
}


def _names(stage: str, setting: str) -> Any:
    return Literal[tuple(CHOICES[stage][setting])]


class Stage(BaseModel):
    """Settings of one stage: unknown keys and wrong types are errors, numbers are not made of strings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _stage_of(kind: str, chosen: type[Any]) -> type[Stage]:
    """Make the stage model of a dataclass: its fields are the settings, and its own checks are run."""
    hints = get_type_hints(chosen)
    fields: dict[str, Any] = {"kind": (Literal[kind], ...)}
    for field in dataclasses.fields(chosen):
        default = ... if field.default is dataclasses.MISSING else field.default
        fields[field.name] = (hints[field.name], default)

    def build(self: Any) -> Any:
        return chosen(**{field.name: getattr(self, field.name) for field in dataclasses.fields(chosen)})

    def construct(self: Any) -> Any:
        build(self)
        return self

    model = create_model(
        f"{chosen.__name__}Stage",
        __base__=Stage,
        __validators__={"construct": model_validator(mode="after")(construct)},
        **fields,
    )
    model.build = build  # type: ignore[attr-defined]
    return model


def _union(choices: Mapping[str, type[Any]]) -> Any:
    models = [_stage_of(kind, chosen) for kind, chosen in choices.items()]
    return Annotated[reduce(or_, models), Field(discriminator="kind")]


class DataStage(Stage):
    """Where the data comes from and how it becomes batches."""

    source: str = "mnist"
    scale: _names("data", "scale") = "minmax"  # type: ignore[valid-type]
    batch_size: int = Field(default=100, ge=1)
    shuffle: bool = True
    prefetch: Literal[0] = 0


class NetworkStage(Stage):
    """The network: a preset by name, or a list of layers, each its class in snake case with its arguments."""

    preset: _names("network", "preset") | None = None  # type: ignore[valid-type]
    layers: list[str] | None = Field(default=None, min_length=1)

    @field_validator("layers")
    @classmethod
    def _layers_exist(cls, layers: list[str] | None) -> list[str] | None:
        for text in layers or []:
            parse_layer(text)
        return layers

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.preset is None) == (self.layers is None):
            raise ValueError("give either preset or layers, one of the two")
        return self


class ResourcesStage(Stage):
    """What to compute on. Without `threads`, as many as the machine has."""

    device: _names("resources", "device") = "cpu"  # type: ignore[valid-type]
    threads: int | None = Field(default=None, ge=1)


class TrainingStage(Stage):
    """How long to train, from which seed, and what to measure."""

    epochs: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0)
    metrics: list[_names("training", "metrics")] | None = None  # type: ignore[misc]


class SavingStage(Stage):
    """How often the run folder is written, in epochs; it is always written at the end."""

    checkpoint_every: int = Field(default=1, ge=1)


LossStage = _union(LOSSES)
OptimizerStage = _union(OPTIMIZERS)


def parse_layer(text: str) -> Module:
    """Make a layer from its text in a recipe; only registered names are looked up.

    Raises:
        ValueError: no layer has that name, or its arguments are wrong.

    >>> parse_layer("linear 10 weight_init=he_normal")
    Linear(units=10, bias=True, weight_init='he_normal')
    """
    name, *parts = shlex.split(text) or [""]
    if name not in LAYERS:
        raise ValueError(f"no layer is called {name!r}; there are {', '.join(LAYERS)}")
    positional = [parse_value(part) for part in parts if "=" not in part]
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    try:
        bound = inspect.signature(LAYERS[name]).bind(*positional, **{k: parse_value(v) for k, v in named.items()})
    except TypeError as error:
        raise ValueError(f"layer {text!r}: {error}; it takes {inspect.signature(LAYERS[name])}") from error
    return LAYERS[name](*bound.args, **bound.kwargs)


def parse_value(text: str) -> Any:
    """Read a value as TOML does, or as a string where it is none: `0.1`, `true`, `[1, 2]`, `adam`.

    >>> parse_value("0.1"), parse_value("true"), parse_value("adam")
    (0.1, True, 'adam')
    """
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text
