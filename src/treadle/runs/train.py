"""Carry a recipe out and keep what it gives in a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from treadle.data import Sets
from treadle.recipe import Recipe
from treadle.runs.folder import save
from treadle.train import Finding, Interrupted, Run, State, fit


def train(
    recipe: Recipe,
    sets: Sets,
    folder: Path,
    *,
    on_step: Callable[[State, int], None] | None = None,
    on_epoch: Callable[[Run], None] | None = None,
    on_finding: Callable[[Finding], None] | None = None,
) -> Run:
    """Train as a recipe says, writing the run folder as often as it says, and at the end.

    Args:
        recipe: all choices.
        sets: the data that the recipe names, loaded.
        folder: an empty folder for the run.
        on_step, on_epoch, on_finding: as in `fit`.

    Raises:
        TreadleError: a subclass says what is wrong.
        Interrupted: on Ctrl-C, after the run so far was saved.
    """

    def after_epoch(run: Run) -> None:
        if len(run.history) % recipe.saving.checkpoint_every == 0:
            save(folder, recipe, run)
        if on_epoch:
            on_epoch(run)

    try:
        run = fit(
            recipe.build_network(sets.train.classes, sets.train.shape),
            sets,
            loss=recipe.build_loss(),
            optimizer=recipe.build_optimizer(),
            schedule=recipe.build_schedule(),
            epochs=recipe.training.epochs,
            prefetch=recipe.build_prefetch(),
            metrics=recipe.training.metrics,
            **recipe.fit_settings(),
            on_step=on_step,
            on_epoch=after_epoch,
            diagnose=recipe.training.diagnose,
            on_finding=on_finding,
        )
    except Interrupted as interrupted:
        save(folder, recipe, interrupted.run)
        raise
    if len(run.history) % recipe.saving.checkpoint_every:
        save(folder, recipe, run)
    return run
