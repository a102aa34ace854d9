"""Carry a recipe out and keep what it gives in a run folder; go on with a run that was ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle.data import Sets
from treadle.errors import RunError, TreadleError
from treadle.recipe import Recipe
from treadle.runs import checkpoints
from treadle.runs.about import read_about, require_same_data
from treadle.runs.files import locked
from treadle.runs.folder import (
    RECIPE,
    begin,
    end_save,
    keep_recipe,
    load,
    mark,
    record_test,
    save,
    save_evaluation,
)
from treadle.runs.log import LoggedEpochs, log
from treadle.runs.trackers import Trackers, require
from treadle.train import Evaluation, Finding, Interrupted, Progress, Run, State, fit, stopped_early


@dataclass(frozen=True)
class Hooks:
    """What is called while a recipe is carried out, as in `fit`; and on_start, with what a resumed run goes on from.

    `on_start` gets the recipe, the sets, the progress to go on from or None, and what is wrong with later checkpoints.
    """

    on_start: Callable[[Recipe, Sets, Progress | None, list[str]], None] | None = None
    on_step: Callable[[State, int], None] | None = None
    on_epoch: Callable[[Run], object] | None = None
    on_finding: Callable[[Finding], None] | None = None


def train(recipe: Recipe, sets: Sets, folder: Path, hooks: Hooks = Hooks(), *, test: bool = True) -> Run:
    """Train as a recipe says, look at the test set once, and keep all of it in a run folder.

    Checkpoints are written after epochs and steps as the recipe says, and when training is interrupted.

    Args:
        recipe: all choices.
        sets: the data that the recipe names, loaded.
        folder: an empty folder for the run.
        hooks: what to call meanwhile.
        test: whether to look at the test set at the end.

    Raises:
        TreadleError: a subclass says what is wrong.
        Interrupted: on Ctrl-C or SIGTERM, after the run so far was saved.
    """
    require(recipe)
    with locked(folder):
        begin(folder, recipe, sets)
        log(folder, "start", recipe=recipe.to_dict())
        if hooks.on_start:
            hooks.on_start(recipe, sets, None, [])
        with Trackers(folder, recipe, None) as trackers:
            return _carry_out(recipe, sets, folder, hooks, None, None, test, trackers)


def resume(folder: Path, epochs: int | None = None, hooks: Hooks = Hooks(), *, test: bool = True) -> Run:
    """Go on with a run from its last checkpoint; it then is, to the bit, the run that was never ended.

    A run that had looked at its test set is trained further and does not look again. One that stopped early is finished
    whatever its epochs, until its recipe has more patience.

    Args:
        folder: of the run.
        epochs: to train in all, in place of those in its recipe.
        hooks: what to call meanwhile.
        test: whether to look at the test set at the end.

    Raises:
        RunError: it is trained by another process, damaged, finished, or its data has changed.
        TreadleError, Interrupted: as in `train`.
    """
    read_about(folder)  # before the lock, which what is no run does not get
    with locked(folder):
        end_save(folder)
        about = read_about(folder)
        recipe = Recipe.read(folder / RECIPE)
        if epochs is not None:
            recipe = recipe.change({"training.epochs": epochs}, "--epochs")
        progress, faults = checkpoints.newest(folder)
        done = progress.epoch if progress else 0
        if done > recipe.training.epochs or (progress and progress.batch and done == recipe.training.epochs):
            raise RunError(f"{folder}: {done} epochs are done, which --epochs {recipe.training.epochs} cannot undo")
        if about.status == "finished" and done == recipe.training.epochs:
            raise RunError(
                f"{folder}: is finished, with {done} epochs: to train further, give the number of all with --epochs"
            )
        losses = [record["validation_loss"] for record in progress.history] if progress else []
        if about.test is not None and (why := stopped_early(losses, recipe.training.patience)):
            raise RunError(
                f"{folder}: is finished: it stopped early after {done} epochs, for there was {why}: to train further, "
                f"raise patience in its {RECIPE}"
            )
        sets = recipe.load_data()
        require_same_data(folder, about, sets)
        keep_recipe(folder, recipe)  # so that a run that is ended once more still has the epochs it was given
        mark(folder, "running")
        log(folder, "resume", step=progress.step if progress else 0, epochs=recipe.training.epochs, faults=faults)
        if hooks.on_start:
            hooks.on_start(recipe, sets, progress, faults)
        with Trackers(folder, recipe, progress) as trackers:
            return _carry_out(recipe, sets, folder, hooks, progress, about.test, test, trackers)


def _carry_out(
    recipe: Recipe,
    sets: Sets,
    folder: Path,
    hooks: Hooks,
    start: Progress | None,
    tested: dict[str, Any] | None,
    test: bool,
    trackers: Trackers,
) -> Run:
    saving = recipe.saving
    kept = start.step if start else 0
    epochs = LoggedEpochs(folder)
    epochs.log(start.history if start else [])

    def keep(progress: Progress) -> None:
        nonlocal kept
        try:
            path = checkpoints.write(folder, progress, saving.keep)
        except OSError as error:
            raise RunError(
                f"{folder}: a checkpoint cannot be written: {error.strerror or error}; free space or fix it, then go "
                "on with treadle resume"
            ) from error
        kept = progress.step
        log(folder, "checkpoint", durable=True, step=progress.step, file=path.name)

    def on_progress(progress: Progress, run: Run) -> None:
        if progress.batch:
            keep(progress)
        elif progress.epoch % saving.checkpoint_every == 0 or progress.epoch == recipe.training.epochs:
            keep(progress)
            run.tested = tested
            save(folder, recipe, run, "running")

    def on_epoch(run: Run) -> object:
        epochs.log(run.history)
        trackers.epoch(run.history[-1])
        return hooks.on_epoch(run) if hooks.on_epoch else None

    def on_finding(finding: Finding) -> None:
        log(folder, "finding", **finding.to_dict())
        trackers.finding(finding)
        if hooks.on_finding:
            hooks.on_finding(finding)

    try:
        run = fit(
            recipe.build_network(sets.train.classes, sets.train.shape),
            sets,
            **recipe.training_settings(),
            metrics=recipe.training.metrics,
            weights=saving.weights,
            start=start,
            on_progress=on_progress,
            progress_every=saving.checkpoint_steps,
            on_step=hooks.on_step,
            on_epoch=on_epoch,
            diagnose=recipe.training.diagnose,
            evaluate_train=recipe.training.evaluate_train,
            on_finding=on_finding,
        )
        assert run.progress is not None
        if run.step > kept:  # training ended early
            keep(run.progress)
        run.tested = tested
        try:
            if test and tested is None:
                evaluation = run.evaluate(sets.test)
                run.tested = {**evaluation.flat(), "weights_epoch": run.weights_epoch}
                save_evaluation(folder, evaluation)
            save(folder, recipe, run)
        except KeyboardInterrupt as stop:
            raise Interrupted(run, stop) from None
    except Interrupted as interrupted:
        run = interrupted.run
        assert run.progress is not None
        run.tested = tested
        keep(run.progress)
        if run.step:
            save(folder, recipe, run, "interrupted")
        else:
            mark(folder, "interrupted")
        LoggedEpochs(folder).log(run.history)  # by what the log has, for the signal may have come while it was written
        log(folder, "interrupted", step=run.step)
        raise
    except TreadleError as error:
        with suppress(RunError, OSError):  # the error that is told must not be lost for one of telling it
            mark(folder, "failed")
            log(folder, "failed", kind=type(error).__name__, error=str(error))
        if (folder / checkpoints.FOLDER).exists():
            error.add_note(f"the run up to its last checkpoint is saved in {folder}")
        raise
    log(folder, "end", test=run.tested, stopped_early=run.stopped_early)
    trackers.end(run)
    return run


def open_test_set(folder: Path, load_data: Callable[[Recipe], Sets] = Recipe.load_data) -> Evaluation | None:
    """Look at the test set with a run that has not, and keep what is seen; None where it had before.

    `load_data` loads the data of its recipe, for those who have it already.

    Raises:
        RunError: it is trained by another process, damaged, has no weights, or its data has changed.
    """
    with locked(folder):
        if read_about(folder).test is not None:
            return None
        recipe = Recipe.read(folder / RECIPE)
        run = load(folder, load_data(recipe))
        assert run.sets is not None
        evaluation = run.evaluate(run.sets.test)
        run.tested = {**evaluation.flat(), "weights_epoch": run.weights_epoch}
        save_evaluation(folder, evaluation)
        record_test(folder, run.tested)
        log(folder, "test", test=run.tested)
        return evaluation
