"""`treadle climb`: from a baseline upwards, one change a rung, with evidence for each."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from treadle.cli.options import COMMAND, Json
from treadle.cli.unread import dropped
from treadle.ladder import Climb, Ladder, Progress, Step, Sweep, View
from treadle.ladder import climb as climb_ladder
from treadle.ladder.statistics import MOST_SEEDS, p_text
from treadle.runs import to_json

MOST_SHOWN, BEST_SHOWN = 12, 5  # values that were tried: where there are more, the best of them are told
NAME = 34  # characters of a line with the name of a rung
WIDTHS = (7, 8, 18, 6, 5, 7, 8)
HEAD = ("mean", "change", "95 % interval", "p", "seeds", "seconds", "per s", "verdict")
VIEWS: dict[View, str] = {
    "ablate": "each kept change left out of the top: what it is worth there",
    "alone": "each kept change made to the baseline alone",
}


@dropped("climb")
def climb(
    ladder: Annotated[Path | None, Parameter(help="A ladder in TOML; without it, the course's on MNIST.")] = None,
    /,
    *,
    seeds: Annotated[int | None, Parameter(help="Seeds a rung, in place of those in the ladder.")] = None,
    minutes: Annotated[float | None, Parameter(help="Time for training, in place of that in the ladder.")] = None,
    workers: Annotated[
        int | None, Parameter(help="Trainings side by side; as many as cores allow unless told.")
    ] = None,
    ablate: Annotated[bool, Parameter(help="Also leave each kept change out of the top.", negative=())] = False,
    alone: Annotated[bool, Parameter(help="Also make each kept change to the baseline alone.", negative=())] = False,
    climbs: Annotated[Path, Parameter(help="Folder of climbs and their runs.")] = Path("climbs"),
    json: Json = False,
) -> None:
    """Climb a ladder: a baseline, then one change after the other, each trained with several seeds and judged.

    A change is better or worse where a paired test over seeds says so at a level of 5 % for all rungs together; else it
    cannot be told, and how many seeds would tell is said. A rung may try several values (sweep, or search with Optuna):
    they are compared by seeds of their own, and the best is then judged as any change is. Changes are judged on the
    validation set; the test set is opened at the end. Runs that are there already are not trained again, so that a
    climb that was interrupted goes on.
    """
    chosen = Ladder.course() if ladder is None else Ladder.read(ladder)
    changes: dict[str, Any] = {}
    if seeds is not None:
        changes["seeds"] = seeds
    if minutes is not None:
        changes["minutes"] = minutes
    chosen = chosen.changed(changes)
    views: list[View] = ["climb"]
    views += ["ablate"] if ablate else []
    views += ["alone"] if alone else []
    report: JsonReport | TextReport = JsonReport() if json else TextReport(chosen)
    try:
        with report:
            found = climb_ladder(
                chosen, climbs, workers=workers, views=views, on_step=report.step, on_progress=report.progress
            )
    except KeyboardInterrupt:
        print(f"the runs so far are in {climbs}: the same command goes on from there", file=sys.stderr)
        raise
    report.end(found)


class JsonReport:
    """One JSON object a line: a step when it is judged, and at the end all."""

    def __enter__(self) -> JsonReport:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is shown meanwhile."""

    def step(self, found: Climb) -> None:
        """Print the step."""
        print(to_json({"event": "step", **found.steps[-1].to_dict()}), flush=True)

    def progress(self, progress: Progress) -> None:
        """Print how far it is."""
        print(to_json({"event": "progress", **asdict(progress)}), flush=True)

    def end(self, found: Climb) -> None:
        """Print the views, the final comparison and what was trained."""
        told = found.to_dict()
        print(
            to_json(
                {
                    "event": "end",
                    "top": found.top.name,
                    "views": told["views"],
                    "final": told["final"],
                    "trained": found.trained,
                    "taken": found.taken,
                    "record": str(found.record),
                    "top_recipe": None if found.top_recipe is None else str(found.top_recipe),
                }
            )
        )


class TextReport:
    """A table that grows by a row for each rung, and on a terminal a bar with the time left."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self.console = Console(highlight=False, soft_wrap=True, emoji=False)
        self.bar: Bar | None = None
        self.task: Any = None
        self.shown = 0

    def __enter__(self) -> TextReport:
        changes, seeds = _many(len(self.ladder.rung), "change"), _many(self.ladder.seeds, "seed")
        self._print(f"{changes} to a baseline, {seeds} each, judged by {self.ladder.metric.replace('_', ' ')}\n")
        self._row("rung", HEAD)
        if sys.stdout.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self.bar = Bar(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task("training", total=None, left="")
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def _print(self, text: str = "") -> None:
        self.console.print(text, markup=False)

    def _row(self, name: str, cells: tuple[str, ...]) -> None:
        first, *rest = textwrap.wrap(name, NAME)
        figures = "  ".join(cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=False))
        self._print(f"{first:<{NAME}}  {figures}  {cells[-1]}".rstrip())
        for line in rest:
            self._print(line)

    def step(self, found: Climb) -> None:
        """Print the rows that are new."""
        for step in found.steps[self.shown :]:
            kept = " (not kept)" if step.comparison and not step.kept else ""
            self._row(step.name, (*cells(step)[:-1], cells(step)[-1] + kept))
            if step.sweep is not None:
                self._print("\n".join(tried(step.sweep)))
            if step.failed:
                self._print(textwrap.indent(textwrap.fill(step.failed, 100), "  "))
        self.shown = len(found.steps)

    def progress(self, progress: Progress) -> None:
        """Move the bar."""
        if self.bar:
            left = "" if progress.seconds_left is None else f"about {progress.seconds_left / 60:.1f} min left"
            total = progress.done + progress.left
            self.bar.update(
                self.task, description=progress.name[:NAME], total=total, completed=progress.done, left=left
            )

    def end(self, found: Climb) -> None:
        """Print the other views, the look at the test set, and where all is."""
        for view, steps in found.views.items():
            self._print(f"\n{VIEWS[view]}")  # type: ignore[index]
            for step in steps:
                self._row(step.name, cells(step))
        fewer = [step for step in found.steps if not step.failed and len(step.seeds) < self.ladder.seeds]
        if fewer and self.ladder.minutes is not None:
            self._print(f"\nfewer than {self.ladder.seeds} seeds where the {self.ladder.minutes:g} minutes did not do")
        if found.final is None:
            self._print("\nno change was kept: the test set was not opened")
        else:
            final, comparison = found.final, found.final.comparison
            low, high = comparison.interval
            means = [sum(values) / len(values) for values in (final.baseline, final.top)]
            self._print(f"\ntest set, opened once, for the baseline and the top, {len(final.top)} seeds each:")
            self._print(
                f"  {final.metric} {means[0]:.4f} → {means[1]:.4f}, change {comparison.mean:+.4f}, 95 % interval "
                f"{low:+.4f} to {high:+.4f}, {comparison.test}, p {p_text(comparison.p)}"
            )
            if comparison.verdict == "worse":
                self._print(
                    "  the top is worse there: what was better on the validation samples, seed by seed, is not so on "
                    "others; more samples, or another split, would tell more"
                )
            if final.samples is not None:
                seen = final.samples
                self._print(
                    f"  of its samples, with the first seed, {seen.only_after:,} are right only at the top, "
                    f"{seen.only_before:,} only at the baseline: McNemar's test, p {p_text(seen.p)}"
                )
        self._print(
            f"\n{found.trained} runs were trained, {found.taken} were there already; the record is {found.record}"
        )
        if found.top_recipe is not None:
            self._print(f"train the top: {COMMAND} run {found.top_recipe}")


def cells(step: Step) -> tuple[str, ...]:
    """Return the figures of a row and its verdict."""
    if step.failed is not None:
        return ("", "", "", "", "", "", "", "failed (not kept)")
    mean = f"{sum(step.values) / len(step.values):.4f}"
    seeds, seconds = str(len(step.seeds)), f"{step.seconds:.2f}"
    found = step.comparison
    if found is None:
        return (mean, "", "", "", seeds, seconds, "", "")
    low, high = found.interval
    needed = ""
    if found.seeds_needed is not None:
        needed = f": {found.seeds_needed:,} seeds {'or more ' * (found.seeds_needed >= MOST_SEEDS)}might"
    interval = f"{low:+.4f} to {high:+.4f}" if isfinite(low) else "one seed"
    if len(found.differences) > 1 and not isfinite(low):
        interval = "all the same"
    rate = f"{found.mean / step.seconds:+.4f}" if step.seconds else ""
    p = p_text(found.adjusted) if len(found.differences) > 1 else ""
    return (mean, f"{found.mean:+.4f}", interval, p, seeds, seconds, rate, step.verdict + needed)


def tried(sweep: Sweep) -> list[str]:
    """Return the lines that tell which values were tried, what came of each, and which was chosen."""
    seeds = f"{len(sweep.seeds)} other{' seeds each' if len(sweep.seeds) > 1 else ' seed'}"
    trials = list(enumerate(sweep.trials))
    told = trials if len(trials) <= MOST_SHOWN else [trials[place] for place in _best_first(sweep)[:BEST_SHOWN]]
    lines = [f"  {_many(len(trials), 'value')} tried, mean of {seeds}:"]
    for place, trial in told:
        values = ", ".join(f"{key} = {_shown(value)}" for key, value in trial.values.items())
        came = f"failed: {trial.failed}" if trial.mean is None else f"{trial.mean:.4f}"
        chosen = ", chosen" if place == sweep.chosen else ""
        lines += textwrap.wrap(f"{values}: {came}{chosen}", 110, initial_indent="    ", subsequent_indent="      ")
    if len(told) < len(trials):
        lines.append(f"    and {len(trials) - len(told)} others, which the record tells")
    return lines


def _best_first(sweep: Sweep) -> list[int]:
    """The places of the chosen trial and of those that come near it, then of those that failed."""
    means = {place: trial.mean for place, trial in enumerate(sweep.trials) if trial.mean is not None}
    if sweep.chosen is None:
        return list(range(len(sweep.trials)))
    top = means[sweep.chosen]
    near = sorted(means, key=lambda place: (abs(means[place] - top), place != sweep.chosen))
    return [*near, *(place for place in range(len(sweep.trials)) if place not in means)]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else to_json(value)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
