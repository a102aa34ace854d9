import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from small_sets import three_classes
from treadle.errors import RunError
from treadle.recipe import Recipe
from treadle.runs import create, save, train
from treadle.runs import index as index_module
from treadle.runs.entry import Entry, look
from treadle.runs.files import is_locked, locked
from treadle.runs.folder import begin
from treadle.runs.index import INDEX, entries, rebuild, resolve
from treadle.runs.tags import change_tags, read_tags
from treadle.runs.trash import TRASH, delete, restore, trashed

pytestmark = pytest.mark.slow

SETS = three_classes()
RECIPE = Recipe.baseline().change(
    {
        "network.layers": ["linear 5", "tanh", "linear 3"],
        "loss.kind": "cross_entropy",
        "optimizer.lr": 0.25,
        "training.epochs": 3,
        "training.seed": 7,
    }
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of runs with one in it, and that run."""
    root = tmp_path_factory.mktemp("trained") / "runs"
    folder = create(root, "layers")
    return root, folder, train(RECIPE, SETS, folder)


@pytest.fixture
def root(tmp_path, trained):
    """A folder with three runs, a, b and c, of which c began last."""
    root = tmp_path / "runs"
    for number, name in enumerate("abc"):
        shutil.copytree(trained[1], root / name)
        edit(root / name, started=f"2024-05-06T07:08:0{number}+00:00")
    return root


def edit(folder, **changes):
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def names(root, **options):
    return [entry.name for entry in entries(root, pytest.fail, **options)]


def status(folder):
    return look(folder)[2].status


def rows(root):
    with sqlite3.connect(root / INDEX) as database:
        found = dict(database.execute("SELECT name, entry FROM runs"))
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    return found


# what an entry tells


def test_entry_tells_what_the_files_hold(trained):
    _, folder, run = trained
    (entry,) = entries(folder.parent)
    best = min(run.history, key=lambda record: record["validation_loss"])
    assert entry == Entry(
        name=folder.name,
        status="finished",
        started=json.loads((folder / "run.json").read_text())["started"],
        data="three",
        fingerprint=SETS.fingerprint(),
        network="linear 5, tanh, linear 3",
        loss="cross_entropy",
        optimizer="sgd",
        lr=0.25,
        epochs_done=3,
        epochs=3,
        seed=7,
        weights_epoch=best["epoch"],
        validation={"loss": best["validation_loss"], "accuracy": best["validation_accuracy"]},
        test=json.loads(json.dumps(run.tested)),
        seconds=sum(record["seconds"] for record in run.history),
        versions={"treadle": "0.1.0", "numpy": np.__version__, "python": sys.version.split()[0]},
    )
    assert entry == entries(folder.parent)[0]  # out of the index


def test_newest_first_and_by_number_where_the_second_is_the_same(root):
    assert names(root) == ["c", "b", "a"]
    for number in (10, 2):
        shutil.copytree(root / "c", root / f"c-{number}")
    assert names(root) == ["c-10", "c-2", "c", "b", "a"]
    edit(root / "a", started=None)  # as in a run of format 1, whose name tells it
    (root / "a").rename(root / "2030-01-02-030405-a")
    assert names(root)[0] == "2030-01-02-030405-a"


def test_run_of_format_1_is_listed_and_not_rewritten(root):
    edit(root / "b", format=1)
    before = (root / "b" / "run.json").read_bytes()
    assert names(root) == ["c", "a", "b"]
    assert (root / "b" / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("file", "content", "fault"),
    [
        ("run.json", b"{", "run.json: damaged: "),
        ("run.json", b'{"format": 99}', "run.json: has format 99"),
        ("run.json", None, "run.json is missing"),
        ("recipe.toml", b"[data", "recipe.toml: not valid TOML"),
        ("recipe.toml", None, "recipe.toml: cannot be read"),
        ("tags.json", b"[]", "tags.json: damaged: "),
        ("tags.json", b'{"format": 2}', "tags.json: has format 2"),
        ("tags.json", b"\xff", "tags.json: damaged: "),
    ],
)
def test_damaged_run_is_listed_with_its_fault(root, file, content, fault):
    if content is None:
        (root / "b" / file).unlink()
    else:
        (root / "b" / file).write_bytes(content)
    for _ in range(2):
        found = {entry.name: entry for entry in entries(root, pytest.fail)}
        assert {name: entry.status for name, entry in found.items()} == {
            "a": "finished",
            "b": "damaged",
            "c": "finished",
        }
        assert found["b"].fault.startswith(fault)
    shutil.copy(root / "a" / "run.json", root / "b")
    shutil.copy(root / "a" / "recipe.toml", root / "b")
    (root / "b" / "tags.json").unlink(missing_ok=True)
    assert {entry.status for entry in entries(root)} == {"finished"}


@pytest.mark.parametrize("change", [{"history": [{"epoch": 1, "seconds": "1"}]}, {"test": {"accuracy": "0.9"}}])
def test_words_for_numbers_are_damage(root, change):
    edit(root / "b", **change)
    (found,) = (entry for entry in entries(root) if entry.name == "b")
    assert found.fault == "run.json: damaged: history and test should hold numbers"


def test_folders_that_are_no_runs_are_not_listed(root):
    (root / "notes").mkdir()
    (root / "file").write_text("")
    (root / ".hidden").mkdir()
    shutil.copy(root / "a" / "run.json", root / ".hidden")
    assert names(root) == ["c", "b", "a"]


def test_no_folder_of_runs(tmp_path):
    with pytest.raises(RunError, match=r"none: there is no such folder of runs: `treadle run` makes one"):
        entries(tmp_path / "none")


# status


def test_running_while_the_lock_is_held_and_killed_after(root):
    edit(root / "b", status="running")
    assert status(root / "b") == "killed"
    with locked(root / "b"):
        assert status(root / "b") == "running"
        assert [entry.status for entry in entries(root)] == ["finished", "running", "finished"]
    assert [entry.status for entry in entries(root)] == ["finished", "killed", "finished"]
    with locked(root / "a"):  # a finished run that is trained further
        assert status(root / "a") == "running"


def test_run_that_is_just_beginning_is_no_damage(root):
    (root / "b" / "run.json").unlink()
    with locked(root / "b"):
        found = look(root / "b")[2]
    assert (found.status, found.fault) == ("running", None)


def test_run_that_ends_between_two_looks_is_not_killed(root, monkeypatch):
    edit(root / "b", status="running")

    def ends(folder):
        edit(folder, status="finished")
        return False

    monkeypatch.setattr("treadle.runs.entry.is_locked", ends)
    assert status(root / "b") == "finished"


def test_looks_neither_see_one_another_nor_keep_a_training_from_its_lock(root):
    (root / "b" / "lock").touch()
    seen, ended = [], threading.Event()

    def look_often():
        while not ended.is_set():
            seen.append(is_locked(root / "b"))

    lookers = [threading.Thread(target=look_often) for _ in range(3)]
    for looker in lookers:
        looker.start()
    while len(seen) < 1000:
        time.sleep(0.001)
    assert not any(seen)
    for _ in range(50):
        with locked(root / "b"):
            pass
    ended.set()
    for looker in lookers:
        looker.join()


def test_lock_that_cannot_be_read_is_not_held(root):
    (root / "b" / "lock").unlink()
    try:
        (root / "b" / "lock").symlink_to("lock")  # to itself
    except OSError:
        pytest.skip("no right to make links")
    assert status(root / "b") == "finished"


# the index is derived


def test_index_follows_the_folders(root, trained):
    assert rows(root).keys() == set() if not entries(root) else {"a", "b", "c"}
    shutil.rmtree(root / "b")
    shutil.copytree(root / "a", root / "from elsewhere")
    change_tags(root / "c", add=["kept"])
    found = {entry.name: entry for entry in entries(root)}
    assert found.keys() == rows(root).keys() == {"a", "c", "from elsewhere"}
    assert found["c"].tags == ["kept"]
    edit(root / "a", status="interrupted")
    assert {entry.name: entry.status for entry in entries(root)}["a"] == "interrupted"
    (root / INDEX).unlink()
    assert entries(root) == rebuild(root) == entries(root)


def test_only_folders_that_changed_are_read(root, monkeypatch):
    entries(root)
    read = []
    original = index_module.look.__globals__["read_entry"]
    monkeypatch.setitem(
        index_module.look.__globals__, "read_entry", lambda folder: read.append(folder.name) or original(folder)
    )
    entries(root)
    assert read == []
    edit(root / "b", status="failed")
    change_tags(root / "c", note="looked at")
    assert {entry.name: (entry.status, entry.note) for entry in entries(root)} == {
        "a": ("finished", ""),
        "b": ("failed", ""),
        "c": ("finished", "looked at"),
    }
    assert sorted(read) == ["b", "c"]


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read(root):
    edit(root / "b", status="failed")
    before = (root / "b" / "run.json").stat()
    entries(root)
    (root / "b" / "new").write_text((root / "b" / "run.json").read_text().replace('"failed"', '"killer"'))
    os.utime(root / "b" / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (root / "b" / "new").replace(root / "b" / "run.json")
    assert {entry.name: entry.status for entry in entries(root)}["b"] == "damaged"


def test_index_of_another_version_is_made_anew(root):
    entries(root)
    with sqlite3.connect(root / INDEX) as database:
        database.execute("DROP TABLE runs")
        database.execute("CREATE TABLE runs (other TEXT)")
        database.execute("PRAGMA user_version=1")
    database.close()
    assert names(root) == ["c", "b", "a"]
    assert rows(root).keys() == {"a", "b", "c"}


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\x00" + bytes(range(256)) * 20])
def test_damaged_index_is_set_aside_and_made_anew(root, content):
    (root / INDEX).write_bytes(content)
    (root / (INDEX + "-journal")).write_bytes(b"of the damaged one")
    warnings = []
    assert [entry.name for entry in entries(root, warnings.append)] == ["c", "b", "a"]
    (warning,) = warnings
    assert warning.startswith(f"{root / INDEX}: damaged: ")
    assert "it is now index.sqlite.damaged, and a new one is made" in warning
    assert (root / (INDEX + ".damaged")).read_bytes() == content
    assert names(root) == ["c", "b", "a"]
    assert rows(root).keys() == {"a", "b", "c"}


def test_lists_are_right_whatever_bytes_of_the_index_are_changed(root):
    """Damage of a few bytes, of many, and cuts: no list is wrong, and the next index is whole."""
    for number in range(15):
        shutil.copytree(root / "a", root / f"copy-{number}", ignore=shutil.ignore_patterns("checkpoints"))
    expected = entries(root)
    whole = (root / INDEX).read_bytes()
    draws = random.Random(0)
    aside = 0
    for number in range(60):
        content = bytearray(whole)
        places = range(100) if number % 4 == 0 else range(len(content))  # the header is small, and matters most
        for _ in range(draws.choice((1, 3, 300))):
            content[draws.choice(places)] = draws.randrange(256)
        cut = len(content) if draws.random() < 0.8 else draws.randrange(len(content))
        (root / INDEX).write_bytes(content[:cut])
        warnings = []
        assert entries(root, warnings.append) == expected
        aside += bool(warnings)
        assert entries(root, pytest.fail) == expected
    assert aside > 20
    assert rebuild(root) == expected
    assert rows(root).keys() == {entry.name for entry in expected}


def test_index_that_cannot_be_written_makes_lists_slower_and_not_wrong(root):
    (root / INDEX).mkdir()
    warnings = []
    assert [entry.name for entry in entries(root, warnings.append)] == ["c", "b", "a"]
    assert [warning.split(": ")[1] for warning in warnings] == [
        "the index cannot be written, so that lists take longer"
    ]
    with pytest.raises(RunError, match="the index cannot be written"):
        rebuild(root)


@pytest.mark.skipif(os.name == "nt", reason="names there are UTF-16")
def test_name_that_is_not_utf8(root):
    try:
        os.rename(root / "a", os.fsencode(root) + b"/\xff")  # noqa: PTH104
    except OSError:
        pytest.skip("names here are UTF-8")
    for _ in range(2):
        assert names(root) == ["c", "b", "\udcff"]
    assert rows(root).keys() == {"b", "c"}


@pytest.mark.parametrize(("version", "mode"), [((3, 51, 2), "delete"), ((3, 51, 3), "wal"), ((3, 52, 0), "wal")])
def test_wal_only_where_sqlite_has_no_known_bug(root, monkeypatch, version, mode):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert names(root) == ["c", "b", "a"]
    with sqlite3.connect(root / INDEX) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == (mode,)
    database.close()
    change_tags(root / "a", add=["x"])
    assert names(root) == ["c", "b", "a"]
    assert rows(root).keys() == {"a", "b", "c"}


def test_sqlite_is_loaded_when_runs_are_listed():
    code = "import sys, treadle, treadle.runs, treadle.cli; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# names


def test_a_run_is_named_by_name_path_beginning_or_last(root, monkeypatch):
    (root / "a").rename(root / "2024-05-06-softmax")
    (root / "b").rename(root / "2024-05-07-softmax")
    monkeypatch.chdir(root.parent)
    runs = Path("runs")
    assert resolve(runs, "last") == runs / "c"
    assert resolve(runs, "2024-05-06-softmax") == runs / "2024-05-06-softmax"
    assert resolve(runs, "2024-05-07") == runs / "2024-05-07-softmax"
    assert resolve(runs, "runs/c") == resolve(runs, "runs/c/") == runs / "c"
    assert resolve(Path("elsewhere"), str(root / "c")) == root / "c"
    monkeypatch.chdir(root / "c")
    assert resolve(Path("elsewhere"), ".") == root / "c"
    for text, message in {
        "2024": "2 runs begin with '2024', 2024-05-06-softmax, 2024-05-07-softmax: write more of the name",
        "2024-05-06-sotfmax": "did you mean '2024-05-06-softmax'? `treadle runs` lists all",
        "zzz": "no run is called 'zzz' or begins so: `treadle runs` lists all",
        "x/y": "x/y: not a run folder",
        "": ": not a run folder",
    }.items():
        with pytest.raises(RunError) as caught:
            resolve(root, text)
        assert message in str(caught.value)


# tags


def test_tags_are_added_once_and_taken(root):
    assert change_tags(root / "a", add=["one", "two", "one"], note="why").tags == ["one", "two"]
    assert change_tags(root / "a", add=["two", "三"]).tags == ["one", "two", "三"]
    assert change_tags(root / "a", remove=["one"]).tags == ["two", "三"]
    found = read_tags(root / "a")
    assert (found.tags, found.note) == (["two", "三"], "why")
    with pytest.raises(RunError, match=r"has no tag 'tow': did you mean 'two'\?"):
        change_tags(root / "a", remove=["tow"])
    assert read_tags(root / "b").tags == []


@pytest.mark.parametrize("tag", ["", "two words", "a,b", "-x", "x" * 51, "a\nb", "\x1b[0m"])
def test_what_is_no_tag(root, tag):
    with pytest.raises(RunError, match="is no tag: a tag is a word"):
        change_tags(root / "a", add=[tag])
    assert not (root / "a" / "tags.json").exists()


def test_tags_of_a_run_that_is_trained(root):
    with locked(root / "a"):
        change_tags(root / "a", add=["early"])
        save(root / "a", RECIPE, train_state(root / "a"))
    assert read_tags(root / "a").tags == ["early"]


def train_state(folder):
    from treadle.runs import load

    return load(folder, SETS)


def test_no_tag_is_lost_among_processes(root):
    code = (
        "import sys; from pathlib import Path; from treadle.runs.tags import change_tags\n"
        "for number in range(20): change_tags(Path(sys.argv[1]), add=[f'{sys.argv[2]}-{number}'])"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, root / "a", str(number)]) for number in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert sorted(read_tags(root / "a").tags) == sorted(f"{one}-{number}" for one in range(3) for number in range(20))


# trash


def test_delete_and_restore(root):
    before = {path.name: path.read_bytes() for path in (root / "b").iterdir() if path.is_file()}
    assert delete(root / "b") == root / TRASH / "b"
    assert names(root) == ["c", "a"]
    assert trashed(root) == ["b"]
    assert restore(root, "b") == root / "b"
    assert names(root) == ["c", "b", "a"]
    after = {path.name: path.read_bytes() for path in (root / "b").iterdir() if path.is_file()}
    assert {name: after[name] for name in before} == before


def test_names_that_are_taken(root):
    for place in ("b", "b-2"):
        assert delete(root / "b") == root / TRASH / place
        shutil.copytree(root / "a", root / "b")
    assert restore(root, "b") == root / "b-2"
    assert restore(root, "b-2") == root / "b-2-2"
    assert trashed(root) == []
    assert set(names(root)) == {"a", "b", "b-2", "b-2-2", "c"}


def test_what_cannot_be_deleted_or_restored(root):
    with locked(root / "b"), pytest.raises(RunError, match="is being trained: stop that first"):
        delete(root / "b")
    shutil.rmtree(root / "a")
    with pytest.raises(RunError, match="there is no such folder"):
        delete(root / "a")
    assert not (root / "a").exists()
    with pytest.raises(RunError, match="has no run 'b': it is empty"):
        restore(root, "b")
    delete(root / "b")
    with pytest.raises(RunError, match=r"has no run '\.\./c': there are b"):
        restore(root, "../c")


# several processes

WORKER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
import numpy as np
from test_index import RECIPE, SETS
from treadle.runs import create, load, save
from treadle.runs.files import locked
from treadle.runs.folder import begin
from treadle.runs.index import entries
from treadle.runs.tags import change_tags
root, source = map(Path, sys.argv[1:3])
run = load(source, SETS)
print("ready", flush=True)
def fail(warning): raise AssertionError(warning)
while True:
    folder = create(root, "made")
    with locked(folder):
        begin(folder, RECIPE, SETS)
        save(folder, RECIPE, run, "running")
        save(folder, RECIPE, run)
    print("saved", folder.name, flush=True)
    change_tags(folder, add=["t"])
    print("tagged", folder.name, flush=True)
    entries(root, fail)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is of POSIX")
def test_nothing_is_lost_where_processes_are_killed(tmp_path, trained):
    """A short form of soak/index.py."""
    root = tmp_path / "many"
    root.mkdir()
    paths = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    command = [sys.executable, "-c", WORKER, root, trained[1], *paths]
    draws = random.Random(0)
    told = []
    for _ in range(2):
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
        ]
        for process in running:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        for process in running:
            time.sleep(draws.uniform(0.1, 0.6))
            process.send_signal(signal.SIGKILL)
        for process in running:
            out, err = process.communicate(timeout=60)
            assert (process.returncode, err) == (-signal.SIGKILL, "")
            told += [line.split() for line in out.splitlines(keepends=True) if line.endswith("\n")]
    listed = {entry.name: entry for entry in entries(root, pytest.fail)}
    assert listed.keys() == {path.parent.name for path in root.glob("*/recipe.toml")}
    assert rows(root).keys() == listed.keys()
    assert told
    for what, name in told:
        assert listed[name].status == "finished"
        assert what == "saved" or listed[name].tags == ["t"]
        train_state(root / name)
    assert sorted(rebuild(root), key=lambda one: one.name) == sorted(listed.values(), key=lambda one: one.name)


def test_begin_alone_is_killed_or_running(tmp_path):
    folder = create(tmp_path, "a")
    with locked(folder):
        begin(folder, RECIPE, SETS)
        assert status(folder) == "running"
    assert status(folder) == "killed"
