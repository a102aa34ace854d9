"""The report of a run or a climb: what was tried, what it brought, why it is believed, and how to repeat it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from treadle.data import Sets
from treadle.figures import FIGURES, Source
from treadle.figures.names import STAGES, metric_name
from treadle.figures.page import page, render
from treadle.figures.staircase import VERDICTS
from treadle.ladder import Climb, Comparison, Step, Sweep
from treadle.ladder.statistics import LEVEL, MOST_SEEDS, p_text
from treadle.language import Language, Words, system_language
from treadle.metrics import METRICS
from treadle.nn import summary
from treadle.runs.about import ABOUT, read_json

STATUS = {
    "running": ("running, or was ended", "正在进行，或已被中止"),
    "interrupted": ("interrupted", "被中断"),
    "failed": ("failed", "失败"),
}
PACKAGE = "treadle.report"
SMALL = 1e-3


def report(source: Source, *, language: Language | None = None, command: str = "treadle") -> str:
    """Return a page of HTML, complete in itself, on a run or a climb.

    Args:
        source: a run, or a climb with its runs.
        language: "en" or "zh"; that of the system unless told.
        command: as the reader calls the program.

    Raises:
        TreadleError: the source is neither, or its data or runs are not there.
    """
    words = Words(language or system_language())
    return _climb(source, words, command) if source.kind == "climb" else _run(source, words, command)


def _climb(source: Source, words: Words, command: str) -> str:
    climb = source.climb
    metric = metric_name(climb.ladder.metric, words)
    base, top = climb.steps[0], climb.top
    sets = source.sets
    epochs = max(len(history) for histories in source.histories.values() for history in histories)
    title = words(f"{sets.name}: from a baseline to {top.name}", f"{sets.name}：从基线到“{top.title(words)}”")
    if top is base:
        title = words(f"{sets.name}: the baseline and what was tried", f"{sets.name}：基线与各种尝试")
    body = render(
        "climb.html",
        PACKAGE,
        words=words,
        title=title,
        climb=climb,
        metric=metric,
        base=base,
        top=top,
        rows=[_row(step, climb, words) for step in climb.steps],
        views={view: [_row(step, None, words) for step in steps] for view, steps in climb.views.items()},
        final=climb.final,
        test_metric=metric_name(climb.final.metric, words) if climb.final else "",
        between=_between(climb.final.comparison, words) if climb.final else "",
        level=LEVEL,
        unsure=[step for step in climb.steps if step.verdict == "cannot tell"],
        number=number,
        signed=signed,
        mean=fmean,
        p=p_text,
        **_common(source, words, command),
        figures=_figures(source, words, ["staircase", *(["learning_curves"] if epochs > 1 else [])]),
        details=_figures(source, words, _of_run(source)),
        ladder=climb.ladder.to_toml(),
    )
    return page(title, words, [body])


def _run(source: Source, words: Words, command: str) -> str:
    about = source.about
    name = source.run_folder.name
    title = words(f"{source.sets.name}: the run {name}", f"{source.sets.name}：运行 {name}")
    recipe = source.recipe
    body = render(
        "run.html",
        PACKAGE,
        words=words,
        title=title,
        about=about,
        unfinished="" if about.status == "finished" else words(*STATUS[about.status]),
        findings=[(finding, finding.name(words), *finding.told(words)) for finding in about.findings],
        scores=_scores(about.test, words),
        summary=summary(source.run.network, source.sets.train.shape).text(words),
        choices=[(words(*STAGES[stage]), _settings(keys)) for stage, keys in recipe.to_dict().items()],
        number=number,
        **_common(source, words, command),
        figures=_figures(source, words, ["learning_curves", *_of_run(source)]),
    )
    return page(title, words, [body])


def _common(source: Source, words: Words, command: str) -> dict[str, Any]:
    """What both reports tell: data, recipe, versions and machine."""
    made = read_json(source.run_folder / ABOUT)
    return {
        "command": command,
        "data": _data(source.sets, words),
        "fingerprint": source.sets.fingerprint(),
        "recipe": source.recipe.to_toml(),
        "started": (made.get("started") or "").replace("T", " "),
        "versions": made.get("made_with") or {},
        "machine": made.get("machine") or {},
        "run": source.run_folder.name,
    }


def _data(sets: Sets, words: Words) -> list[tuple[str, int, str]]:
    names = {"train": ("training", "训练集"), "validation": ("validation", "验证集"), "test": ("test", "测试集")}
    return [(words(*names[name]), len(part), "×".join(map(str, part.shape))) for name, part in sets.parts().items()]


def _of_run(source: Source) -> list[str]:
    """Which figures tell of the run itself, by its data and network."""
    classes, shape = source.sets.train.classes, source.sets.train.shape
    names = ["predictions"] if source.run.loss.compares == "values" else []
    names += ["confusion"] if classes is not None else []
    names += ["calibration"] if source.run.loss.compares == "classes" else []
    names += ["mistakes"]
    return names + (["filters"] if len(shape) == 3 else [])


def _figures(source: Source, words: Words, names: Sequence[str]) -> list[str]:
    return [FIGURES[name].made(source, words).fragment() for name in names]


@dataclass(frozen=True)
class Row:
    """A step of a climb in the table of a report, as texts."""

    name: str
    stage: str
    changes: list[tuple[str, str, str]]
    tried: list[tuple[str, str, bool]]
    mean: str
    change: str
    interval: str
    p: str
    seeds: int
    seconds: str
    rate: str
    verdict: str
    kind: str
    kept: bool
    failed: str | None


def _row(step: Step, climb: Climb | None, words: Words) -> Row:
    """A step as a row; with its climb, also what it changed and tried."""
    found = step.comparison
    return Row(
        name=step.title(words),
        stage=words(*STAGES[step.stage]) if step.stage else "",
        changes=[] if climb is None else _changes(step, climb),
        tried=[] if climb is None or step.sweep is None else _tried(step.sweep),
        mean=number(fmean(step.values)) if step.values else "",
        change="" if found is None else signed(found.mean),
        interval="" if found is None else _interval(found, words),
        p="" if found is None or len(found.differences) < 2 else p_text(found.adjusted),
        seeds=len(step.seeds),
        seconds=f"{step.seconds:.2f}" if step.values else "",
        rate=f"{found.mean / step.seconds:+.3g}" if found and step.seconds else "",
        verdict=_verdict(step, words),
        kind=step.verdict.replace(" ", "-"),
        kept=step.kept,
        failed=step.failed,
    )


def _verdict(step: Step, words: Words) -> str:
    text = words(*VERDICTS[step.verdict][:2])
    needed = step.comparison.seeds_needed if step.comparison else None
    if needed is None:
        return text
    many = words(f"{needed:,} or more", f"{needed:,} 个或更多") if needed >= MOST_SEEDS else f"{needed:,}"
    return words(f"{text}: {many} seeds might", f"{text}：{many}{'' if needed >= MOST_SEEDS else ' 个'}种子也许能判断")


def _interval(found: Comparison, words: Words) -> str:
    low, high = found.interval
    if math.isfinite(low):
        return words(f"{signed(low)} to {signed(high)}", f"{signed(low)} 至 {signed(high)}")
    return words("all the same", "完全相同") if len(found.differences) > 1 else words("one seed", "一个种子")


def _between(found: Comparison, words: Words) -> str:
    """The interval of a difference within a sentence, where there is one."""
    if not all(map(math.isfinite, found.interval)):
        return ""
    return words(", 95 % interval ", "，95% 区间 ") + _interval(found, words)


def _changes(step: Step, climb: Climb) -> list[tuple[str, str, str]]:
    """Which settings a rung names: what they were in the recipe kept before, and what they are."""
    rung = next((rung for rung in climb.ladder.rung if rung.name == step.name), None)
    if rung is None or step.recipe is None:
        return []
    place = next(number for number, one in enumerate(climb.steps) if one is step)
    before = next(one.recipe for one in reversed(climb.steps[:place]) if one.kept)
    one, other = before.settings() if before else {}, step.recipe.settings()
    return [(name, _shown(one.get(name)), _shown(other.get(name))) for name in rung.settings()]


def _tried(sweep: Sweep) -> list[tuple[str, str, bool]]:
    """Values that were tried: their mean, and whether they were chosen."""
    return [
        (
            _settings(trial.values),
            "–" if trial.mean is None else number(trial.mean),
            place == sweep.chosen,
        )
        for place, trial in enumerate(sweep.trials)
    ]


def _settings(keys: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {_shown(value)}" for key, value in keys.items())


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value)) or "–"
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _scores(test: dict[str, Any] | None, words: Words) -> list[tuple[str, str, str]]:
    """Scores on the test set with their intervals."""
    if test is None:
        return []
    rows = []
    for name in ("loss", *METRICS):
        if test.get(name) is not None:
            pair = test.get(f"{name}_interval")
            between = words("{} to {}", "{} 至 {}").format(*map(number, pair)) if pair and None not in pair else ""
            rows.append((metric_name(name, words), number(test[name]), between))
    return rows


def number(value: float) -> str:
    """Write a score: four places where it is a share, four digits where it is not."""
    return f"{value:.4f}" if SMALL <= abs(value) < 1 else f"{value:.4g}"


def signed(value: float) -> str:
    """Write a difference with its sign."""
    return f"{value:+.4f}" if abs(value) < 1 else f"{value:+.4g}"
