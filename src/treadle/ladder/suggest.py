"""Suggesting the next rungs: a recipe is trained for a moment, or its run is read, and rules propose changes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomlkit

from treadle.data import Sets
from treadle.errors import RecipeError, TrainingError, TreadleError
from treadle.ladder.ladder import Ladder, Rung
from treadle.ladder.rules import FIRST, RULES, Proposal, Situation
from treadle.recipe import Recipe
from treadle.runs.about import read_about, require_same_data
from treadle.runs.folder import RECIPE
from treadle.runs.log import last
from treadle.train import Finding, Interrupted, Run, State, estimate, fit
from treadle.train.loop import Enough

SECONDS = 20.0
OF_NETWORK = ("vanishing_gradients", "exploding_gradients", "dead_relus", "saturated_units")
# settings that leave the work of a step as it is
SAME_STEPS = {
    "data.shuffle",
    "data.scale",
    "optimizer.lr",
    "optimizer.schedule",
    "training.epochs",
    "saving.weights",
}


@dataclass(frozen=True)
class Suggestion:
    """A proposal with what it costs.

    Args:
        proposal: the change and why it was proposed.
        cost: seconds of a training with the change, by those of a training without; measured over some steps, or
            by multiply-adds where these cannot be taken.
    """

    proposal: Proposal
    cost: float

    @property
    def times(self) -> str:
        """The cost with two digits.

        >>> Suggestion(Proposal("a", {"optimizer.lr": 0.1}, "b"), 341.2).times
        '340'
        """
        return f"{float(f'{self.cost:.2g}'):,g}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self.proposal), "stage": self.proposal.stage, "cost": self.cost}


def look(recipe: Recipe, sets: Sets, seconds: float = SECONDS) -> Situation:
    """Train a recipe for so many seconds at most, and return what a diagnosis and the losses of its epochs show."""
    network = recipe.build_network(sets.train.classes, sets.train.shape)
    findings: list[Finding] = []
    history: list[dict[str, Any]] = []
    failed = None
    begun = time.monotonic()

    def step(state: State, steps: int) -> None:  # noqa: ARG001
        if time.monotonic() - begun > seconds:
            raise Enough

    def epoch(run: Run) -> None:
        history[:] = run.history

    try:
        fit(
            network,
            sets,
            **recipe.training_settings(),
            on_step=step,
            on_epoch=epoch,
            on_finding=findings.append,
        )
    except Enough:
        pass
    except Interrupted:
        raise KeyboardInterrupt from None
    except TrainingError as error:
        failed = str(error)
    return _situation(recipe, sets, findings, history, failed)


def look_at_run(folder: Path) -> Situation:
    """Return what a run recorded of its training.

    Raises:
        TreadleError: a subclass says what is wrong with the run or its data.
    """
    about, recipe = read_about(folder), Recipe.read(folder / RECIPE)
    sets = recipe.load_data()
    require_same_data(folder, about, sets)
    failed = None
    if about.status == "failed":
        with suppress(TreadleError):
            told = last(folder, "failed")
            failed = str(told["error"]) if told.get("kind") == TrainingError.__name__ else None
    return _situation(recipe, sets, about.findings, about.history, failed)


def _situation(
    recipe: Recipe, sets: Sets, findings: Sequence[Finding], history: list[dict[str, Any]], failed: str | None
) -> Situation:
    return Situation(
        recipe,
        sets,
        recipe.build_network(sets.train.classes, sets.train.shape),
        {one.kind: one for one in findings},
        history,
        len(history) == recipe.training.epochs,
        failed,
    )


def proposals(situation: Situation) -> list[Proposal]:
    """Return the changes that the rules propose, each tried on the recipe and its data; none that it has already."""
    first, assumed = _first(situation)
    return first + _rest(assumed)


def _first(situation: Situation) -> tuple[list[Proposal], Situation]:
    """What has to be right before anything else, and the situation after it."""
    found: list[Proposal] = []
    for one in (one for rule in FIRST for one in rule(situation)):
        if _fits(one, situation):
            found.append(one)
            recipe, sets = situation.recipe.change(one.change), situation.sets
            network = recipe.build_network(sets.train.classes, sets.train.shape)
            findings = {kind: situation.findings[kind] for kind in OF_NETWORK if kind in situation.findings}
            situation = Situation(recipe, sets, network, findings, [], False)  # of its losses nothing is known
    return found, situation


def _rest(situation: Situation) -> list[Proposal]:
    found = [one for rule in RULES for one in rule(situation) if _fits(one, situation)]
    layers = [one for one in found if "network.layers" in one.change]
    return [one for one in found if one not in layers[1:]]  # a list of layers would undo the one before it


def _fits(proposal: Proposal, situation: Situation) -> bool:
    """Whether a change changes something, and the network then fits the data."""
    sets = situation.sets
    with suppress(TreadleError):
        changed = situation.recipe.change(proposal.change, f"proposal {proposal.name!r}")
        if changed != situation.recipe:
            network = changed.build_network(sets.train.classes, sets.train.shape)
            outputs = changed.build_loss().outputs(len(sets.train.classes) if sets.train.classes else None)
            return network.output_shape(sets.train.shape) == (outputs,)
    return False


def suggest(situation: Situation) -> list[Suggestion]:
    """Return the changes that the rules propose: what has to be right first, then cheap ones before costly ones.

    They are sorted by multiply-adds and epochs, which are the same each time; of two within a factor of √2 that one
    comes first whose rule does.
    """
    first, assumed = _first(situation)
    before, sets = situation.recipe, situation.sets
    rest = [(one, assumed.recipe.change(one.change)) for one in _rest(assumed)]
    work = _work(assumed.recipe, sets)
    rest.sort(key=lambda of: max(0, round(math.log2(_work(of[1], sets) / work))))
    made = [(one, assumed.recipe) for one in first] + rest
    base = _seconds_per_epoch(before, sets) if made else None
    taken = _seconds_per_epoch(assumed.recipe, sets) if first else base
    told = []
    for one, recipe in made:
        own = taken if one in first or one.change.keys() <= SAME_STEPS else _seconds_per_epoch(recipe, sets)
        if base is None or own is None:
            cost = _work(recipe, sets) / _work(before, sets)
        else:
            cost = own / base * recipe.training.epochs / before.training.epochs
        told.append(Suggestion(one, cost))
    return told


def _work(recipe: Recipe, sets: Sets) -> int:
    """Multiply-adds of a training for each of its samples."""
    network = recipe.build_network(sets.train.classes, sets.train.shape)
    return max(1, network.multiply_adds(sets.train.shape)) * recipe.training.epochs


def _seconds_per_epoch(recipe: Recipe, sets: Sets) -> float | None:
    """How long an epoch of a recipe takes, without evaluation; None where its loss is not finite."""
    with suppress(TrainingError):
        return estimate(
            recipe.build_network(sets.train.classes, sets.train.shape),
            sets,
            loss=recipe.build_loss(),
            optimizer=recipe.build_optimizer().with_lr(0.0),  # a rate that is too high ends training
            **recipe.fit_settings(),
        ).seconds_per_epoch
    return None


def ladder_of(situation: Situation, suggestions: Sequence[Suggestion]) -> Ladder:
    """Return a ladder whose rungs are what was suggested."""
    metric = "validation_accuracy" if situation.classes else "validation_loss"
    rungs = [Rung(name=one.proposal.name, stage=one.proposal.stage, change=one.proposal.change) for one in suggestions]
    return Ladder(baseline=situation.recipe, rung=rungs, metric=metric)


def ladder_text(ladder: Ladder, suggestions: Sequence[Suggestion]) -> str:
    """Return a ladder as TOML, with the reason of each rung above it.

    Raises:
        RecipeError: it cannot be climbed.
    """
    ladder.require_valid()
    document = tomlkit.document()
    document.add(tomlkit.comment("Suggested by treadle suggest, cheap changes first: treadle climb takes it as it is."))
    document.add("seeds", tomlkit.item(ladder.seeds))
    document.add("metric", tomlkit.item(ladder.metric))
    # what is not set stays so, for a default of one kind of optimizer would become a setting of the next
    document.add("baseline", tomlkit.item(ladder.baseline.model_dump(exclude_unset=True, exclude_none=True)))
    text = tomlkit.dumps(document)
    for rung, one in zip(ladder.rung, suggestions, strict=True):
        change = tomlkit.inline_table()
        change.update(rung.change)
        table = tomlkit.document()
        table.add("name", tomlkit.item(rung.name))
        table.add("stage", tomlkit.item(str(rung.stage)))
        table.add("change", change)
        why = " ".join(one.proposal.why.split())
        text += f"\n[[rung]]\n# {why}; costs {one.times} times the training as it is\n{tomlkit.dumps(table)}"
    if Ladder.from_toml(text, "suggested ladder") != ladder:
        raise RecipeError("the suggested ladder does not read as it was written")
    return text
