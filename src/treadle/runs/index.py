"""The index of the runs in a folder: what a list needs of each, in an SQLite file beside them.

index.sqlite holds nothing that the run folders do not: it saves reading those that did not change, and may be removed
at any time. A list is made of the folders that are there: whatever is wrong with the index makes it slower, not wrong.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path

from treadle.errors import RunError
from treadle.runs.about import ABOUT
from treadle.runs.entry import STAMP_OF_NAME, Entry, look, stamp
from treadle.runs.files import alone
from treadle.runs.log import to_json

INDEX = "index.sqlite"
# of the table, and of what an entry holds; an index of another one is made anew
_SCHEMA = zlib.crc32(" ".join(["1", *(field.name for field in fields(Entry))]).encode()) >> 1
_BESIDE = ("-journal", "-wal", "-shm")  # files of SQLite's beside that of the index
_WAL_FIXED = (3, 51, 3)  # 3.7.0 to 3.51.2 may corrupt a file in WAL mode that several processes write to
_TRANSIENT = {"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PERM"}
_LAST = "last"

Known = dict[str, tuple[str, Entry]]  # name → stamp and entry, as the files told it
Tell = Callable[[str], None]


def entries(root: Path, tell: Tell = lambda _: None) -> list[Entry]:
    """Return the runs in a folder, the newest first, and bring its index up to date.

    Args:
        root: folder that holds run folders.
        tell: is called with warnings, such as that a damaged index was set aside.

    Raises:
        RunError: there is no such folder, or it cannot be read.
    """
    known, damage = _read(root / INDEX)
    found: list[Entry] = []
    changed: Known = {}
    names = set()
    for folder in _folders(root):
        seen = look(folder, known.get(folder.name))
        if seen is None:
            continue
        now, entry, standing = seen
        found.append(standing)
        names.add(folder.name)
        if known.get(folder.name) != (now, entry):
            changed[folder.name] = now, entry
    gone = known.keys() - names
    if changed or gone or damage:
        _write(root, changed, gone, damage, tell)
    return sorted(found, key=lambda entry: entry.age, reverse=True)


def rebuild(root: Path, tell: Tell = lambda _: None) -> list[Entry]:
    """Make the index anew from the run folders, whatever it held, and return the runs.

    Raises:
        RunError: there is no such folder, or the index cannot be written.
    """
    known, _ = _read(root / INDEX)
    seen = {folder.name: one for folder in _folders(root) if (one := look(folder))}
    faults: list[str] = []
    if not _write(root, {name: one[:2] for name, one in seen.items()}, known.keys() - seen.keys(), True, faults.append):
        raise RunError("; ".join(faults))
    for fault in faults:
        tell(fault)
    return sorted((one[2] for one in seen.values()), key=lambda entry: entry.age, reverse=True)


def resolve(root: Path, text: str, tell: Tell = lambda _: None) -> Path:
    """Return the folder of a run that is named by "last", its name, a path, or the beginning of its name.

    Raises:
        RunError: there is none, or there are several.
    """
    if text == _LAST:
        found = entries(root, tell)
        if not found:
            raise RunError(f"{root}: has no runs: `treadle run` trains one")
        return root / found[0].name
    inside = Path(text).name == text and text not in ("", ".", "..")
    if inside and stamp(root / text):
        return root / text
    if text and stamp(Path(text)):
        return Path(text).resolve() if Path(text).name in ("", "..") else Path(text)
    if not inside:
        raise RunError(f"{text}: not a run folder, for it has no {ABOUT}")
    names = [folder.name for folder in _folders(root) if stamp(folder)]
    matching = sorted(name for name in names if name.startswith(text))
    if len(matching) == 1:
        return root / matching[0]
    if matching:
        raise RunError(f"{root}: {len(matching)} runs begin with {text!r}, {_some(matching)}: write more of the name")
    raise RunError(f"{root}: no run is called {text!r} or begins so{_near(text, names)}")


def _near(text: str, names: list[str]) -> str:
    import difflib

    if not names:
        return ": it has no runs"
    known = {STAMP_OF_NAME.sub("", name).strip("-"): name for name in names} | {name: name for name in names}
    near = difflib.get_close_matches(text, known, n=1)
    return (f": did you mean {known[near[0]]!r}? " if near else ": ") + "`treadle runs` lists all"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _folders(root: Path) -> Iterator[Path]:
    """Folders that may be runs."""
    try:
        with os.scandir(root) as found:
            names = [one.name for one in found if not one.name.startswith(".") and one.is_dir()]
    except FileNotFoundError as error:
        raise RunError(
            f"{root}: there is no such folder of runs: `treadle run` makes one, or name another with --runs"
        ) from error
    except OSError as error:
        raise RunError(f"{root}: cannot be read: {error.strerror or error}") from error
    return (root / name for name in names)


# the file


def _read(path: Path) -> tuple[Known, bool]:
    """Return what the index holds and is whole, and whether it is damaged. One that cannot be read holds nothing."""
    if not path.exists():
        return {}, False
    try:
        with _open(path) as database:
            return _rows(database), False
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return {}, _is_damage(error, path)


def _rows(database: sqlite3.Connection) -> Known:
    if _schema(database) != _SCHEMA:
        return {}
    known: Known = {}
    for name, when, text, check in database.execute("SELECT name, stamp, entry, checksum FROM runs"):
        try:
            whole = check == _checksum(name, when, text)
        except (TypeError, UnicodeEncodeError):
            whole = False
        if not whole:  # SQLite finds damage to its own structure, not to what a row holds
            raise sqlite3.DatabaseError("a row has another checksum")
        known[name] = when, Entry(**json.loads(text))
    return known


def _write(root: Path, changed: Known, gone: Iterable[str], damage: bool, tell: Tell) -> bool:
    """Put entries into the index and take those that are gone out of it; return whether that was done."""
    path = root / INDEX
    try:
        with alone(root):  # so that nobody writes to a file while it is set aside
            try:
                _change(path, changed, gone, damage)
            except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter of a message with bytes of the file
                if not _is_damage(error, path):
                    raise
                aside = _set_aside(path)
                tell(f"{path}: damaged: {error}; it is now {aside.name}, and a new one is made from the run folders")
                _change(path, changed, (), False)
    except (sqlite3.Error, OSError, RunError) as error:
        tell(f"{path}: the index cannot be written, so that lists take longer: {error}")
        return False
    return True


def _change(path: Path, changed: Known, gone: Iterable[str], check: bool) -> None:
    with _open(path, create=True) as database:
        if check:
            (result,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            if result != "ok":
                raise sqlite3.DatabaseError(result)
            _rows(database)
        mode = "WAL" if sqlite3.sqlite_version_info >= _WAL_FIXED else "DELETE"
        database.execute(f"PRAGMA journal_mode={mode}")
        database.execute("BEGIN IMMEDIATE")
        if _schema(database) != _SCHEMA:
            database.execute("DROP TABLE IF EXISTS runs")
            database.execute(
                "CREATE TABLE runs (name TEXT PRIMARY KEY, stamp TEXT NOT NULL, entry TEXT NOT NULL, "
                "checksum INTEGER NOT NULL) WITHOUT ROWID"
            )
            database.execute(f"PRAGMA user_version={_SCHEMA}")
        database.executemany("DELETE FROM runs WHERE name = ?", [(name,) for name in gone])
        rows = []
        for name, (when, entry) in changed.items():
            text = to_json(asdict(entry))
            with suppress(UnicodeEncodeError):  # a run whose name is not UTF-8 is read each time
                rows.append((name, when, text, _checksum(name, when, text)))
        database.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", rows)
        database.execute("COMMIT")


@contextmanager
def _open(path: Path, create: bool = False) -> Iterator[sqlite3.Connection]:
    address = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"  # rw, for a reader may have to roll back
    database = sqlite3.connect(address, timeout=30.0, isolation_level=None, uri=True)
    try:
        yield database
    finally:
        database.close()


def _schema(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _checksum(name: str, when: str, text: str) -> int:
    return zlib.crc32("\n".join((name, when, text)).encode())


def _is_damage(error: Exception, path: Path) -> bool:
    """Whether an error is of the file's content, rather than of the disk, a right or another process."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith("SQLITE_READONLY"):  # also what a file says of itself in its header
        return os.access(path, os.W_OK)
    return not any(name.startswith(transient) for transient in _TRANSIENT)


def _set_aside(path: Path) -> Path:
    """Rename a damaged index, in place of one set aside before; what SQLite has beside it would spoil a new one."""
    aside = path.with_name(path.name + ".damaged")
    path.replace(aside)
    for ending in _BESIDE:
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return aside
