"""`treadle runs`: the runs in a folder: listing, showing, comparing, tagging, deleting."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from treadle.cli.options import COMMAND, Json
from treadle.cli.runs_text import diff_text, list_text, show_text
from treadle.errors import RunError, suggest
from treadle.metrics import METRICS
from treadle.runs import to_json

if TYPE_CHECKING:
    from treadle.runs.entry import Entry

runs = App(
    name="runs",
    help="List, show, compare, tag and delete runs. Without a command: list.\n\n"
    "A RUN is the name of its folder, the beginning of that name where no other run begins so, the path of its folder, "
    "or last, the run that began last.",
    sort_key=2.5,  # after resume
    result_action="return_value",
)
Status = Literal["running", "interrupted", "failed", "finished", "killed", "damaged"]
Folder = Annotated[Path, Parameter(name="--runs", help="Folder that holds the runs.")]
Named = Annotated[str, Parameter(help="Name, beginning of a name, path, or last.")]
Several = Annotated[str, Parameter(help="Names, beginnings of names, paths, or last.")]
Tag = Annotated[str, Parameter(help="Words, such as baseline.")]


def list_(
    *unknown: Annotated[str, Parameter(show=False)],
    status: Annotated[
        list[Status] | None, Parameter(help="Only runs that stand so. May be repeated: any of them.", negative=())
    ] = None,
    tag: Annotated[
        list[str] | None, Parameter(help="Only runs with this tag. May be repeated: all of them.", negative=())
    ] = None,
    data: Annotated[
        str | None, Parameter(help="Only runs on this data: its name, or the beginning of its fingerprint.")
    ] = None,
    sort: Annotated[
        str | None, Parameter(help="Sort by this figure on the validation set, best first: loss, accuracy …")
    ] = None,
    runs: Folder = Path("runs"),
    json: Json = False,
) -> None:
    """List runs, the newest first: status, epochs, validation figure, test score with its 95 % interval, tags.

    A run is running while a process trains it, and killed if none does and it neither ended nor was interrupted.
    Columns that do not fit the terminal are folded, the least important first, into lines below each run.
    """
    if unknown:  # for the command may be left out
        raise RunError(f"no command of runs is called {unknown[0]!r}: {suggest(unknown[0], COMMANDS)}")
    found = _entries(runs)
    chosen = [
        entry
        for entry in found
        if (not status or entry.status in status)
        and set(tag or ()) <= set(entry.tags)
        and (data is None or entry.data == data or bool(data and (entry.fingerprint or "").startswith(data)))
    ]
    if sort is not None:
        known = sorted({name for entry in found for name in entry.validation} | {"loss"})
        if sort not in known:
            raise RunError(f"--sort {sort}: no run has this figure: {suggest(sort, known)}")
        sign = -1 if sort in METRICS and METRICS[sort].higher_is_better else 1
        values = {entry.name: entry.validation.get(sort) for entry in chosen}
        chosen.sort(key=lambda entry: sign * value if (value := values[entry.name]) is not None else float("inf"))
    if json:
        print(to_json([asdict(entry) for entry in chosen]))
    elif not found:
        print(f"no runs in {runs} yet: `{COMMAND} run` trains one")
    elif not chosen:
        print(f"none of the {len(found)} runs in {runs} is such; {_kinds(found)}")
    else:
        print(list_text(chosen, sort))


def show(run: Named = "last", /, *, runs: Folder = Path("runs"), json: Json = False) -> None:
    """Show everything about a run, and how to go on with it.

    Recipe, figures of each epoch, findings, test score with its 95 % interval, checkpoints, machine and versions.
    """
    from treadle.runs.details import details

    found = details(_folder(runs, run))
    print(to_json(found.to_dict()) if json else show_text(found))


def diff(*run: Several, runs: Folder = Path("runs"), json: Json = False) -> None:
    """Compare runs: what differs in their recipes, their scores with 95 % intervals, what else differs.

    One run of each recipe does not tell which recipe is better, for another seed moves scores too: that takes several
    seeds of each.
    """
    from treadle.runs.details import compare, details

    folders = _folders(runs, run)
    if len(folders) < 2:
        raise RunError(f"two or more runs are needed to compare: {COMMAND} runs diff RUN RUN")
    found = compare([details(folder) for folder in folders])
    print(to_json(found.to_dict()) if json else diff_text(found))


def tag(run: Named, /, *tags: Tag, runs: Folder = Path("runs"), json: Json = False) -> None:
    """Give a run tags, to find it by; also while it is trained. They are kept in its folder, in tags.json."""
    _require(tags, "runs tag RUN TAG…")
    _change(runs, run, json, add=tags)


def untag(run: Named, /, *tags: Tag, runs: Folder = Path("runs"), json: Json = False) -> None:
    """Take tags from a run."""
    _require(tags, "runs untag RUN TAG…")
    _change(runs, run, json, remove=tags)


def note(
    run: Named,
    /,
    *text: Annotated[str, Parameter(help="The note, in place of the one before; without it, the note is removed.")],
    runs: Folder = Path("runs"),
    json: Json = False,
) -> None:
    """Write a note on a run, such as why it was made. It is kept in its folder, in tags.json."""
    _change(runs, run, json, note=" ".join(text))


def delete(*run: Several, runs: Folder = Path("runs"), json: Json = False) -> None:
    """Move runs to the trash, the folder .trash beside them; not those that are being trained.

    treadle runs restore brings one back. To free the space, remove .trash by hand.
    """
    from treadle.runs import trash
    from treadle.runs.files import is_locked

    _require(run, "runs delete RUN…")
    folders = _folders(runs, run)
    for folder in folders:  # all are looked at before one is moved
        if is_locked(folder):
            raise RunError(f"{folder}: is being trained, and nothing was deleted: stop it first, with Ctrl-C or kill")
    moved = [(folder, trash.delete(folder)) for folder in folders]
    if json:
        print(to_json([{"run": str(folder), "trash": str(place)} for folder, place in moved]))
        return
    for folder, place in moved:
        elsewhere = "" if folder.parent == Path("runs") else f" --runs {folder.parent}"
        print(f"{folder} is now {place}\n  bring it back: {COMMAND} runs restore {place.name}{elsewhere}")


def restore(
    run: Annotated[str, Parameter(help="Name of its folder in the trash; without it, what is there is listed.")] = "",
    /,
    *,
    runs: Folder = Path("runs"),
    json: Json = False,
) -> None:
    """Bring a run back from the trash; it gets a number where its name has been taken meanwhile."""
    from treadle.runs import trash

    if not run:
        names = trash.trashed(runs)
        print(to_json(names) if json else "\n".join(names) or f"the trash of {runs} is empty")
        return
    place = trash.restore(runs, run)
    print(to_json({"run": str(place)}) if json else f"restored as {place}")


def rebuild(*, runs: Folder = Path("runs"), json: Json = False) -> None:
    """Make the index of runs anew from their folders. A list does what is needed by itself; this is for doubts."""
    from treadle.runs.index import INDEX
    from treadle.runs.index import rebuild as made_anew

    found = made_anew(runs, _warn)
    damaged = sum(entry.fault is not None for entry in found)
    if json:
        print(to_json({"runs": len(found), "damaged": damaged}))
    else:
        print(f"{runs / INDEX}: {len(found)} runs" + (f", {damaged} of them damaged" if damaged else ""))


COMMANDS: dict[str, Callable[..., Any]] = {
    "list": list_,
    "show": show,
    "diff": diff,
    "tag": tag,
    "untag": untag,
    "note": note,
    "delete": delete,
    "restore": restore,
    "rebuild": rebuild,
}
runs.default(list_)
for number, (name, command) in enumerate(COMMANDS.items()):
    runs.command(App(name=name, default_command=command, sort_key=number))


def _require(given: tuple[str, ...], usage: str) -> None:
    if not given:
        raise RunError(f"nothing given: {COMMAND} {usage}")


def _change(root: Path, run: str, json: bool, **changes: Any) -> None:
    from treadle.runs.tags import change_tags

    folder = _folder(root, run)
    changed = change_tags(folder, **changes)
    if json:
        print(to_json({"run": str(folder), "tags": changed.tags, "note": changed.note}))
        return
    print(f"{folder}: {'tags ' + ' '.join(changed.tags) if changed.tags else 'no tags'}")
    if changed.note:
        print(f"  {changed.note}")


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _entries(root: Path) -> list[Entry]:
    from treadle.runs.index import entries  # here, for SQLite is loaded with it

    return entries(root, _warn)


def _folder(root: Path, run: str) -> Path:
    from treadle.runs.index import resolve

    return resolve(root, run, _warn)


def _folders(root: Path, given: tuple[str, ...]) -> list[Path]:
    """The folders of runs, each once however it is named."""
    found = [_folder(root, run) for run in given]
    return list({folder.resolve(): folder for folder in found}.values())


def _kinds(entries: list[Entry]) -> str:
    """What a list can be narrowed by."""
    parts = {
        "status": [entry.status for entry in entries],
        "data": [entry.data for entry in entries if entry.data],
        "tags": [tag for entry in entries for tag in entry.tags],
    }
    return "; ".join(f"{name}: {', '.join(sorted(set(found))) or 'none'}" for name, found in parts.items())
