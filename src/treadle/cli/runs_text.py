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
LEFT_OUT_FIRST = ("seconds", "note", "optimizer", "data", "epochs", "network", "tags", "validation", "test")
LONG = 30  # characters of a value that gets a line of its own
WIDEST = 28  # characters of network, tags and note in a list


def list_text(entries: list[Entry], figure: str | None) -> str:
    """Write the table of a list, as wide as the terminal, and the faults of damaged runs below it.

    Args:
        entries: at least one.
        figure: on the validation set to show, or None for the first metric of each run.
    """
    columns = _columns(entries, figure)
    width = shutil.get_terminal_size().columns
    left_out: list[str] = []
    lines = _table(columns)
    while max(map(len, lines)) > width and (least := [name for name in LEFT_OUT_FIRST if name in columns]):
        left_out.append(least[0])
        del columns[least[0]]
        lines = _table(columns)
    if left_out:
        lines += ["", f"left out for want of width: {', '.join(reversed(left_out))}; --json has all"]
    faults = [f"{entry.name}: {entry.fault}" for entry in entries if entry.fault]
    return "\n".join([*lines, *([""] if faults else []), *faults])


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


def _table(columns: dict[str, list[str]]) -> list[str]:
    sides = "".join(">" if name in ("epochs", "seconds") else "<" for name in columns)
    return aligned(list(zip(*columns.values(), strict=True)), sides)


def _epochs(entry: Entry) -> str:
    return "" if entry.epochs is None else f"{entry.epochs_done}/{entry.epochs}"


def _optimizer(entry: Entry) -> str:
    return " ".join([entry.optimizer or "", "" if entry.lr is None else f"{entry.lr:g}"]).strip()


def _of_test(entry: Entry, name: str) -> dict[str, Any]:
    test = entry.test or {}
    return {"value": test.get(name), "interval": test.get(f"{name}_interval")}


def _score(score: dict[str, Any] | None, form: str = "{} ({}–{})") -> str:
    if score is None or score["value"] is None:
        return NONE
    low, high = score["interval"] or (None, None)
    if score["interval"] is None:
        return f"{score['value']:.4f}"
    bounds = ["unknown" if bound is None else f"{bound:.4f}" for bound in (low, high)]
    return form.format(f"{score['value']:.4f}", *bounds)


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
    epoch = entry.test.get("weights_epoch")
    of = "" if epoch in (None, entry.weights_epoch) else f", with the weights of epoch {epoch}"
    lines = [f"test set, {entry.test.get('samples', 0):,} samples, looked at once{of}:"]
    names = [name for name in entry.test if name in ("loss", entry.metric) or f"{name}_interval" in entry.test]
    return lines + [f"  {name} {_score(_of_test(entry, name), '{}, 95 % interval {} to {}')}" for name in names]


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
