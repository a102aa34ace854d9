"""`treadle suggest`: changes to a recipe that are worth trying next, cheap ones first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from treadle.cli.options import COMMAND, Changes, Json, find_run, read_recipe
from treadle.errors import RecipeError, TreadleError
from treadle.ladder.suggest import SECONDS, Suggestion, ladder_of, ladder_text, look, look_at_run
from treadle.ladder.suggest import suggest as suggested
from treadle.runs import to_json

Of = Annotated[
    str | None,
    Parameter(
        name="RECIPE",
        help="A recipe in TOML, or a run: its folder, its name in the folder runs, or last; the baseline without it.",
    ),
]


def suggest(
    of: Of = None,
    /,
    *,
    changes: Changes = None,
    output: Annotated[
        Path | None, Parameter(help="Also write the changes as a ladder in TOML, for the command climb.")
    ] = None,
    seconds: Annotated[float, Parameter(help="Time to train a recipe for a look at it.")] = SECONDS,
    json: Json = False,
) -> None:
    """Suggest which changes to a recipe to try next, and why: cheap ones first.

    A recipe is trained for a moment and looked at; of a run, what it recorded is. Rules then tell what may be worth
    trying, such as ReLU where gradients vanish in sigmoids, or more epochs where the loss was still falling. The cost
    is the time of a training with the change, by that of one without. None of it is evidence: `climb` gives that.
    """
    if not 0 < seconds <= 86_400:
        raise TreadleError(f"--seconds should be more than 0 and at most 86,400, found {seconds:g}")
    if output is not None:
        if output.exists():
            raise TreadleError(f"{output}: is there already: give another --output, or move it away")
        if not output.resolve().parent.is_dir():
            raise TreadleError(f"{output}: cannot be written: there is no folder {output.parent}")
    if of is None or of.endswith(".toml"):
        recipe = read_recipe(None if of is None else Path(of), changes)
        if sys.stderr.isatty() and not json:
            print(f"training for at most {seconds:g} seconds …", file=sys.stderr)
        situation = look(recipe, recipe.load_data(), seconds)
    else:
        if changes:
            raise RecipeError("--set changes a recipe, and a run is what it is: give its recipe.toml with --set")
        situation = look_at_run(find_run(Path(of)))
    found = suggested(situation)
    if output is not None and found:
        text = ladder_text(ladder_of(situation, found), found)
        try:
            with output.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise TreadleError(f"{output}: cannot be written: {error.strerror or error}") from error
    epochs, of_epochs = len(situation.history), situation.recipe.training.epochs
    if json:
        told: dict[str, Any] = {
            "recipe": situation.recipe.to_dict(),
            "epochs_seen": epochs,
            "failed": situation.failed,
            "findings": [finding.to_dict() for finding in situation.findings.values()],
            "suggestions": [one.to_dict() for one in found],
        }
        print(to_json({**told, "ladder": None if output is None or not found else str(output)}))
        return
    seen = f"{epochs} of {of_epochs} epoch{'s' * (of_epochs != 1)}"
    print(f"looked at {seen}{'' if situation.failed is None else f'; training failed: {situation.failed}'}\n")
    if not found:
        print("no rule has anything to suggest" + (": no ladder was written" if output is not None else ""))
        return
    _print(found)
    if output is None:
        print(f"\nfor evidence, write them as a ladder: {COMMAND} suggest{f' {of}' if of else ''} --output ladder.toml")
    else:
        print(f"\nfor evidence: {COMMAND} climb {output}")


def _print(found: list[Suggestion]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    for name in ("suggestion", "stage", "cost", "why"):
        table.add_column(name, overflow="fold", justify="right" if name == "cost" else "left")
    for one in found:
        change = "".join(f"\n{key} = {to_json(value)}" for key, value in one.proposal.change.items())
        table.add_row(one.proposal.name + change, one.proposal.stage, f"×{one.times}", one.proposal.why)
    Console(highlight=False, markup=False, emoji=False).print(table)
