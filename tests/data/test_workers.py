"""Threads and processes that fail, are ended, or hang while they read."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
import traceback
import types
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

import slow_makers
from slow_makers import (
    MARGIN,
    HoldingError,
    Maker,
    TwoWordsError,
    children,
    nothing_left,
    one,
    parts_of,
    processes,
    read,
    refused,
    shared,
    threads,
)
from treadle.data import BatchMaker, NoScale, Prefetch, Reading, load_image_folder
from treadle.errors import DataError, MemoryLimitError, WorkerError

pytestmark = pytest.mark.slow

PARTS = parts_of(np.arange(64), 4)
TESTS = Path(slow_makers.__file__).parent
KINDS = [None, "thread", "process"]


@pytest.fixture(autouse=True)
def made():
    """Names of shared memory; none is left, and no process."""
    with nothing_left() as names:
        yield names


def reader(kind, maker, timeout=60.0):
    return Reading(maker, 4, kind and Prefetch(3, 2, kind, timeout))


def told(error):
    return "".join(traceback.format_exception(error))


def read_all(reading):
    read(reading, PARTS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_as_it_is_with_its_traceback_and_its_sample(kind):
    given = []

    def act(reading):
        reading.begin(PARTS, 0)
        while True:
            one(reading, 4)
            given.append(len(given))

    error = refused(KeyError, reader(kind, Maker(slow_makers.raise_key_error, at=46)), act)
    assert error.args == ("no such thing",)
    assert len(given) == 11  # those before it are right
    assert "while reading sample 46 of made up" in error.__notes__
    assert "in raise_key_error\n" in told(error)
    worker = {None: "while", "thread": "in worker 2 (thread)", "process": "in worker 2 (process "}[kind]
    assert error.__notes__[-1].startswith(worker)


@pytest.mark.parametrize(
    ("odd", "kind", "message"),
    [
        (slow_makers.raise_two_words, TwoWordsError, "salt and pepper"),
        (slow_makers.raise_holding, HoldingError, "holds a generator"),
    ],
)
def test_an_error_that_cannot_be_sent_is_told(odd, kind, message):
    assert str(refused(kind, threads(Maker(odd, at=1)), read_all)) == message
    error = refused(RuntimeError, processes(Maker(odd, at=1), timeout=60), read_all)
    assert str(error) == f"{kind.__name__}: {message}"
    assert "while reading sample 1 of made up" in error.__notes__
    assert f"in {odd.__name__}\n" in told(error)


@pytest.mark.parametrize("kind", KINDS)
def test_the_way_out_of_a_program_leads_out_of_it(kind):
    error = refused(SystemExit, reader(kind, Maker(slow_makers.raise_system_exit, at=1)), read_all)
    assert error.code == 3


class Failing(Maker):
    """Raises for some samples, or for so many of them."""

    def __init__(self, samples, most=100):
        super().__init__()
        self.samples, self.most = samples, most

    def take(self, indices, inputs, targets, epoch=0):
        if len(indices) > self.most:
            raise ArithmeticError("too many")
        if bad := sorted(self.samples & set(indices.tolist())):
            raise ArithmeticError(f"sample {bad[0]}")
        super().take(indices, inputs, targets, epoch)


@pytest.mark.parametrize("kind", [None, "thread"])
def test_an_error_of_no_sample_alone_tells_the_batch(kind):
    error = refused(ArithmeticError, reader(kind, Failing(set(), 3)), read_all)
    assert "while reading samples 0, 1, 2, 3 of made up, none of which fails alone" in error.__notes__


@pytest.mark.parametrize("at", range(8))
def test_the_first_sample_that_fails_is_told(at):
    error = refused(ArithmeticError, Reading(Failing({at, 7}), 8), lambda reading: read(reading, [np.arange(8)]))
    assert str(error) == f"sample {at}"
    assert error.__notes__ == [f"while reading sample {at} of made up"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_image_names_its_file(tmp_path, kind):
    for number in range(40):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((3, 3), number, np.uint8)).save(folder / f"{number}.png")
    train = load_image_folder(tmp_path, stream=True).train
    path = train.inputs.source.paths[train.inputs.rows[5]]
    path.write_bytes(path.read_bytes()[:50])
    maker = BatchMaker(train, NoScale().fit(np.zeros((1, 1, 3, 3))), np.dtype(np.float32))
    parts = parts_of(np.arange(len(train)), 4)
    error = refused(DataError, reader(kind, maker), lambda reading: read(reading, parts))
    assert str(error).startswith(f"{path}: ")
    assert f"while reading sample 5 of {train.name}" in error.__notes__


def test_what_cannot_be_sent_is_refused():
    error = refused(DataError, processes(Maker(odd=lambda: None)), read_all)
    assert str(error).startswith("these data cannot be sent to a process: ")
    assert str(error).endswith(": use threads")
    assert "lambda" in str(error)
    with threads(Maker(odd=lambda: None)) as reading:
        read_all(reading)


def test_what_cannot_be_made_in_a_process_is_told(monkeypatch):
    class Unknown(Maker):
        """Made here alone."""

    Unknown.__module__, Unknown.__qualname__ = "unknown_module", "Unknown"
    module = types.ModuleType("unknown_module")
    module.Unknown = Unknown
    monkeypatch.setitem(sys.modules, "unknown_module", module)
    error = refused(ModuleNotFoundError, processes(Unknown(), timeout=60), read_all)
    assert str(error) == "No module named 'unknown_module'"
    assert error.__notes__[-1].startswith("in worker 1 (process ")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
@pytest.mark.parametrize("idle", [False, True])
def test_a_process_that_is_ended_is_named(number, idle):
    found = {}

    def act(reading):
        read(reading, PARTS[:2])
        if not idle:
            reading.begin(PARTS, 0)
            one(reading, 4)
        found.update(pid=min(children()), begun=time.monotonic())
        os.kill(found["pid"], number)
        while True:
            read_all(reading)

    error = str(refused(WorkerError, processes(Maker(seconds=0 if idle else 0.02), timeout=60), act))
    assert time.monotonic() - found["begun"] < MARGIN
    assert f"(process {found['pid']}) was ended by {number.name}, and was to make " in error
    assert ("is memory short?" in error) is (number == signal.SIGKILL)


@pytest.mark.parametrize("at", [0, 30])  # in the first job of all, and later
@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (slow_makers.leave, "ended with exit code 7, and was to make "),
        (slow_makers.kill, "was ended by SIGKILL, and was to make "),
        (slow_makers.stop, " of epoch 1 for more than 0.5 s; where reading may take"),
        (slow_makers.sleep, " of epoch 1 for more than 0.5 s; where reading may take"),
    ],
)
def test_a_process_that_ends_or_hangs_in_its_job_is_named(odd, message, at):
    pids = []

    def act(reading):
        pids.extend(sorted(children()))
        read_all(reading)

    error = str(refused(WorkerError, processes(Maker(odd, at=at)), act))
    assert message in error
    assert "__main__" not in error
    assert any(f"worker {1 + at // 4 % 2} (process {pid})" in error for pid in pids)


def test_a_thread_that_hangs_is_named():
    error = refused(WorkerError, threads(Maker(slow_makers.sleep, at=30)), read_all)
    assert "worker 2 (thread) hangs: it has been at batch 8 of epoch 1 for more than 0.5 s" in str(error)


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_all_workers_hang_and_one_is_named_in_time(kind):
    found = {}

    def act(reading):
        reading.begin(PARTS, 0)
        for _ in range(3):
            one(reading, 4)
        found["begun"] = time.monotonic()
        one(reading, 4)

    error = refused(WorkerError, Reading(slow_makers.Endless(), 4, Prefetch(4, 2, kind)), act)
    assert time.monotonic() - found["begun"] < MARGIN
    assert "hangs: it has been at batch 4 of epoch 1 for more than 4 s" in str(error)


def test_a_stopped_process_does_not_block_what_is_sent_to_it():
    def act(reading):
        read(reading, [np.zeros(1, np.int64)])
        os.kill(min(children()), signal.SIGSTOP)
        read(reading, [np.zeros(100_000, np.int64)] * 40)  # more numbers than a pipe holds

    assert "hangs" in str(refused(WorkerError, processes(Maker(), 100_000, 20, 1), act))


@pytest.mark.parametrize("failing", [1, 2])  # for batches, and for what processes are sent
def test_full_shared_memory_is_told(monkeypatch, made, failing):
    calls = count(1)

    def allocate(descriptor, begin, size):
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    error = str(refused(MemoryLimitError, processes(Maker()), read_all))
    assert "bytes of shared memory: No space left on device: give the container more (--shm-size), or use" in error
    assert len(made) == failing


def test_shared_memory_is_allocated_before_it_is_written_to(made):
    with processes(Maker(count=100_000), 1000, 4) as reading:
        sizes = [Path("/dev/shm", name).stat() for name in made]
        assert all(size.st_blocks * 512 >= size.st_size for size in sizes)
        inputs, places = 100_000 * 3 * 8, 4 * 1000 * (3 * 8 + 8 + 8)  # once for all workers
        assert inputs + places <= sum(size.st_size for size in sizes) < inputs + places + 100_000 * 8 + 10_000
        read(reading, [np.arange(8)])


def test_an_interruption_of_a_copy_lets_shared_memory_go(monkeypatch):
    def interrupted(*arrays):
        del arrays  # no frame of NumPy's would hold them
        raise KeyboardInterrupt

    def act(reading):
        reading.begin(PARTS, 0)
        monkeypatch.setattr(np, "copyto", interrupted)
        one(reading, 4)

    mapped = set(memory_maps())
    error = refused(KeyboardInterrupt, processes(Maker(), timeout=60), act)
    assert error.__traceback__ is not None  # holds the frames, and what they name
    assert set(memory_maps()) <= mapped


def memory_maps():
    """Shared memory that this process has mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line.split(maxsplit=5)[5] for line in lines if "/dev/shm/" in line]


def run(tmp_path, script, **settings):
    path = tmp_path / "script.py"
    path.write_text("import sys\nimport numpy as np\nfrom slow_makers import *\n" + textwrap.dedent(script))
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.Popen(
        [sys.executable, "-P", str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def test_a_program_ends_although_a_thread_hangs(tmp_path):
    script = """
        with threads(Maker(sleep, at=9)) as reading:
            read(reading, parts_of(np.arange(64), 4))
    """
    process = run(tmp_path, script)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert error.splitlines()[-1].startswith("treadle.errors.WorkerError: worker 1 (thread) hangs")


@pytest.mark.parametrize("samples", [64, 300_000])  # what is sent to a process at its start fits into a pipe, or not
def test_a_program_without_a_guard_is_told_of_it(tmp_path, samples):
    script = f"""
        with processes(Maker(count={samples})) as reading:
            read(reading, parts_of(np.arange(64), 4))
    """
    process = run(tmp_path, script)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    # a worker that is ended while it makes memory of its own leaves that to Python's tracker, which may tell of it last
    told = [line for line in error.splitlines() if "resource_tracker" not in line][-1]
    assert told.startswith("treadle.errors.WorkerError: worker ")
    assert "`if __name__ == '__main__':`" in told


LIVING = """
    if __name__ == "__main__":
        with nothing_left() as names, processes(Maker({odd}), batches={batches}) as reading:
            read(reading, parts_of(np.arange(32), 4))
            reading.begin(parts_of(np.arange(32, 64), 4), 0)
            print(*children(), *names, flush=True)
            time.sleep(1000)
"""


def within(seconds, done):
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    return done()


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # nobody may ask for its exit code
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize(("odd", "batches"), [("", 4), ("sleep, at=32", 4)])
def test_workers_end_with_the_process_that_began_them(tmp_path, odd, batches):
    process = run(tmp_path, LIVING.format(odd=odd, batches=batches))
    first, second, *names = process.stdout.readline().split()
    assert len(shared(names)) == 2
    process.kill()
    assert within(MARGIN, lambda: gone(int(first)) and gone(int(second)))
    assert within(60, lambda: not shared(names))
    _, error = process.communicate(timeout=60)
    assert "Traceback" not in error


def test_ctrl_c_reaches_the_program_alone(tmp_path):
    process = run(tmp_path, LIVING.format(odd="", batches=4), start_new_session=True)
    names = process.stdout.readline().split()[2:]
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert error.count("Traceback") == 1
    assert error.splitlines()[-1] == "KeyboardInterrupt"
    assert len(names) == 2
    assert not shared(names)


def test_workers_go_on_after_a_ctrl_c_that_the_program_handles(tmp_path):
    script = """
        if __name__ == "__main__":
            signal.signal(signal.SIGINT, lambda number, frame: print("seen", flush=True))
            with processes(Maker(), timeout=60) as reading:
                read(reading, parts_of(np.arange(32), 4))
                print("begun", flush=True)
                sys.stdin.readline()
                time.sleep(0.5)  # for workers to end, if they did
                print(len(read(reading, parts_of(np.arange(32), 4))), flush=True)
    """
    process = run(tmp_path, script, start_new_session=True, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "begun\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "seen\n"
    assert process.communicate("go on\n", timeout=60) == ("8\n", "")


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_program_that_is_stopped_for_a_while_goes_on(tmp_path, kind):
    script = f"""
        if __name__ == "__main__":
            with {kind}(Maker(seconds=0.1), timeout=1.5, workers=1, batches=1) as reading:
                for _ in range(2):
                    read(reading, parts_of(np.arange(16), 4))
                    print("read", flush=True)
    """
    process = run(tmp_path, script, start_new_session=True)
    assert process.stdout.readline() == "read\n"
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(2.5)
    os.killpg(process.pid, signal.SIGCONT)
    output, error = process.communicate(timeout=60)
    assert (output, error, process.returncode) == ("read\n", "", 0)
