"""Runs as text: the table of a list, everything about one, and what differs."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Any

from treadle.cli.options import COMMAND
from treadle.text import aligned

if TYPE_CHECKING:
    from treadle.runs.details import Comparison, Details
    from treadle.runs.entry import Entry

NONE = "–"
FOLDED_FIRST = ("seconds", "note", "optimizer", "data", "epochs", "network", "tags", "validation", "test")
LONG = 30  # characters of a value that gets a line of its own
WIDEST = 28  # characters of network, tags and note in a list
FURTHER = "of epoch: the run was trained further after its test, which is of its weights of that epoch"


def list_text(entries: list[Entry], figure: str | None) -> str:
    """Write the table of a list, as wide as the terminal, and the faults of damaged runs below it.

    Columns that do not fit, the least important first, are folded: they stand in lines of their own below each run.

    Args:
        entries: at least one.
        figure: on the validation set to show, or None for the first metric of each run.
    """
    columns = _columns(entries, figure)
    width = shutil.get_terminal_size().columns
    folded: dict[str, list[str]] = {}
    lines = _table(columns)
    while max(map(len, lines)) > width and (least := [name for name in FOLDED_FIRST if name in columns]):
        folded = {least[0]: columns.pop(least[0]), **folded}
        lines = _table(columns)
    if folded:
        lines = [part for number, line in enumerate(lines) for part in (line, *_below(folded, number, width))]
    faults = [f"{entry.name}: {entry.fault}" for entry in entries if entry.fault]
    told = [FURTHER] if any(entry.tested_epoch is not None for entry in entries) else []
    return "\n".join([*lines, *([""] if told or faults else []), *told, *faults])


def _columns(entries: list[Entry], figure: str | None) -> dict[str, list[str]]:
    """Cells by column, the head first; columns in which all are empty are left out."""
    figures = [figure or entry.metric for entry in entries]
    shared = set(figures) if len(set(figures)) == 1 else set()
    head = next(iter(shared), "")
    columns = {
        "run": ["run", *(entry.name for entry in entries)],
        "status": ["status", *(entry.status for entry in entries)],
        "epochs": ["epochs", *(_epochs(entry) for entry in entries)],
        "validation": [f"val {head}".strip()],
        "test": [f"test {'' if figure else head}".strip() + " (95 %)"],
        "network": ["network", *(_cut(entry.network or "") for entry in entries)],
        "optimizer": ["optimizer", *(_optimizer(entry) for entry in entries)],
        "data": ["data", *(_cut(entry.data or "") for entry in entries)],
        "seconds": ["seconds", *(f"{entry.seconds:.1f}" if entry.epochs_done else "" for entry in entries)],
        "tags": ["tags", *(_cut(" ".join(entry.tags)) for entry in entries)],
        "note": ["note", *(_cut(entry.note) for entry in entries)],
    }
    for entry, name in zip(entries, figures, strict=True):
        told = "" if shared else f"{name} "
        value = entry.validation.get(name)
        columns["validation"].append("" if value is None else f"{told}{value:.4f}")
        tested = entry.metric
        told = "" if shared and not figure else f"{tested} "
        columns["test"].append(told + _score(_of_test(entry, tested)) if entry.test else "")
    return {name: cells for name, cells in columns.items() if any(cells[1:])}


def _below(folded: dict[str, list[str]], row: int, width: int) -> list[str]:
    """The cells of a row in columns that are folded, each after the name of its column; none below the head."""
    told = [f"{cells[0]} {cells[row]}" for cells in folded.values() if row and cells[row]]
    indent = "  "
    return textwrap.wrap(
        ", ".join(told), max(width, 20), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _table(columns: dict[str, list[str]]) -> list[str]:
    sides = "".join(">" if name in ("epochs", "seconds") else "<" for name in columns)
    return aligned(list(zip(*columns.values(), strict=True)), sides)


def _epochs(entry: Entry) -> str:
    return "" if entry.epochs is None else f"{entry.epochs_done}/{entry.epochs}"


def _optimizer(entry: Entry) -> str:
    return " ".join([entry.optimizer or "", "" if entry.lr is None else f"{entry.lr:g}"]).strip()


def _of_test(entry: Entry, name: str) -> dict[str, Any]:
    test = entry.test or {}
    return {"value": test.get(name), "interval": test.get(f"{name}_interval"), "of_epoch": entry.tested_epoch}


def _score(score: dict[str, Any] | None, form: str = "{} ({}–{})") -> str:
    if score is None or score["value"] is None:
        return NONE
    of = "" if score["of_epoch"] is None else f" of epoch {score['of_epoch']}"
    low, high = score["interval"] or (None, None)
    if score["interval"] is None:
        return f"{score['value']:.4f}{of}"
    bounds = ["unknown" if bound is None else f"{bound:.4f}" for bound in (low, high)]
    return form.format(f"{score['value']:.4f}", *bounds) + of


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


# one run


def show_text(found: Details) -> str:
    """Write everything about a run, and how to go on with it."""
    entry = found.entry
    about = [
        ("status", entry.status + (f": {found.error}" if found.error else "")),
        ("fault", entry.fault),
        ("started", entry.started),
        ("data", None if entry.data is None else f"{entry.data}, fingerprint {entry.fingerprint}"),
        ("epochs", _epochs(entry) + f" done, {entry.seconds:.1f} s of training"),
        ("weights", None if entry.weights_epoch is None else f"of epoch {entry.weights_epoch}"),
        ("tags", " ".join(entry.tags)),
        ("note", entry.note),
        ("made with", ", ".join(f"{name} {version}" for name, version in entry.versions.items())),
        ("machine", ", ".join(f"{name} {value}" for name, value in found.machine.items())),
    ]
    parts = [
        [str(found.folder), *aligned([(f"  {name}", value) for name, value in about if value], "<<")],
        found.recipe.to_toml().splitlines() if found.recipe else [],
        _history(found.history),
        [f"! {finding}" for finding in found.findings],
        _test(entry),
        [
            f"checkpoint: {one.epoch} epochs and {one.step} steps done, {one.size / 1e6:.1f} MB"
            for one in found.checkpoints
        ],
        _next(found),
    ]
    return "\n\n".join("\n".join(part).strip("\n") for part in parts if part)


def _history(history: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for record in history for name in record))
    rows = [[_figure(name, record.get(name)) for name in names] for record in history]
    return aligned([[name.replace("_", " ") for name in names], *rows], ">") if rows else []


def _figure(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.{2 if name in ('seconds', 'waited') else 4}f}"
    return NONE if value is None else str(value)


def _test(entry: Entry) -> list[str]:
    if not entry.test:
        return ["the test set was not looked at"]
    of = "" if entry.tested_epoch is None else f", with the weights of epoch {entry.tested_epoch}"
    lines = [f"test set, {entry.test.get('samples', 0):,} samples, looked at once{of}:"]
    names = [name for name in entry.test if name in ("loss", entry.metric) or f"{name}_interval" in entry.test]
    scores = {name: {**_of_test(entry, name), "of_epoch": None} for name in names}  # for the line above tells it
    return lines + [f"  {name} {_score(score, '{}, 95 % interval {} to {}')}" for name, score in scores.items()]


def _next(found: Details) -> list[str]:
    entry, folder = found.entry, found.folder
    if entry.status == "running":
        return ["a process trains it at this moment"]
    if entry.fault:
        return [f"take a copy of the damaged file, or train again; remove it: {COMMAND} runs delete {folder}"]
    lines = []
    if entry.weights_epoch is not None and len(found.shape) == 3:
        lines.append(f"use it: {COMMAND} predict {folder} IMAGE")
    elif entry.weights_epoch is not None and len(found.shape) == 1:
        lines.append(f"use it: {COMMAND} predict {folder} ROWS.csv")
    if entry.status == "finished":
        lines.append(f"train it further: {COMMAND} resume {folder} --epochs {2 * max(entry.epochs_done, 1)}")
    else:
        lines.append(f"go on: {COMMAND} resume {folder}")
    return lines


# several


def diff_text(found: Comparison) -> str:
    """Write what differs between runs, which are numbered, and what their scores do not tell."""
    numbers = [str(number) for number, _ in enumerate(found.runs, 1)]
    scores = {name: [_score(score) for score in values] for name, values in found.scores.items()}
    width = shutil.get_terminal_size().columns
    parts = [aligned(list(zip(numbers, found.runs, strict=True)), "<")]
    for head, rows in (("recipe", _cells(found.recipe)), ("scores", scores), ("other", _cells(found.other))):
        if rows:
            parts.append(_rows(head, numbers, rows, width))
        elif head == "recipe":
            parts.append(["the recipes are the same"])
    parts += [textwrap.wrap(caution, min(width, 100)) for caution in found.cautions]
    return "\n\n".join("\n".join(part) for part in parts)


def _cells(rows: dict[str, list[Any]]) -> dict[str, list[str]]:
    return {name: [_cell(value) for value in values] for name, values in rows.items()}


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_cell(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return NONE if value is None else str(value)


def _rows(head: str, numbers: list[str], rows: dict[str, list[str]], width: int) -> list[str]:
    """A line a name and a column a run; names with long values get a line a run."""
    short = {name: cells for name, cells in rows.items() if max(map(len, cells)) <= LONG}
    lines = aligned([[head, *numbers], *([name, *cells] for name, cells in short.items())], "<")
    if max(map(len, lines)) > width:
        short, lines = {}, [head]
    for name, cells in rows.items():
        if name not in short:
            lines += [name, *(f"  {number}  {cell}" for number, cell in zip(numbers, cells, strict=True))]
    return lines
