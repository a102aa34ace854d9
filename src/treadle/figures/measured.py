"""Measurements that figures of a recipe show, made with the recipe's own choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from treadle.figures.source import Source
from treadle.train import LrRange, Surface, Timeline, loss_surface, lr_range, timeline


def timeline_of(source: Source, *, seconds: float = 1.0) -> tuple[Timeline]:
    """Measure how long steps of a recipe read and train, `seconds` for each way of reading."""
    network, settings = _made(source)
    return (timeline(network, source.sets, seconds=seconds, always=True, **settings),)


def lr_range_of(source: Source, *, low: float = 1e-5, high: float = 10.0, steps: int = 100) -> tuple[LrRange]:
    """Train a recipe for some steps with each of several learning rates."""
    network, settings = _made(source)
    return (lr_range(network, source.sets, low=low, high=high, steps=steps, **settings),)


def surface_of(
    source: Source,
    *,
    directions: str | Sequence[str] = "pca",
    steps: int = 500,
    samples: int = 1_000,
    seconds: float = 20.0,
    finest: int = 33,
) -> tuple[Surface]:
    """Compute the loss of a recipe over a plane, and the path of its optimiser."""
    network, settings = _made(source)
    settings["optimizers"] = [settings.pop("optimizer")]
    found = loss_surface(
        network,
        source.sets,
        directions=directions,
        steps=steps,
        samples=samples,
        seconds=seconds,
        finest=finest,
        **settings,
    )
    return (found,)


def _made(source: Source) -> tuple[Any, dict[str, Any]]:
    """The network of a recipe, and what else training takes."""
    recipe, sets = source.recipe, source.sets
    settings = {"loss": recipe.build_loss(), "optimizer": recipe.build_optimizer(), **recipe.fit_settings()}
    return recipe.build_network(sets.train.classes, sets.train.shape), settings
