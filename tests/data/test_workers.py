"""Threads and processes that fail, are ended, or hang while they read."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
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
    shared,
    threads,
)
from treadle.data import BatchMaker, NoScale, Prefetch, Reading, load_image_folder
from treadle.errors import DataError, MemoryLimitError, WorkerError

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


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_comes_as_it_is_with_its_traceback_and_its_sample(kind):
    maker = Maker(slow_makers.raise_key_error, at=46)
    with pytest.raises(KeyError, match="no such thing") as raised, reader(kind, maker) as reading:
        reading.begin(PARTS, 0)
        for _ in range(11):
            one(reading, 4)
        one(reading, 4)
    assert "while reading sample 46 of made up" in raised.value.__notes__
    assert "in raise_key_error\n" in told(raised.value)
    worker = {None: "while", "thread": "in worker 2 (thread)", "process": "in worker 2 (process "}[kind]
    assert raised.value.__notes__[-1].startswith(worker)
    assert not children()


@pytest.mark.parametrize(
    ("odd", "kind", "message"),
    [
        (slow_makers.raise_two_words, TwoWordsError, "salt and pepper"),
        (slow_makers.raise_holding, HoldingError, "holds a generator"),
    ],
)
def test_an_error_that_cannot_be_sent_is_told(odd, kind, message):
    with pytest.raises(kind, match=message), threads(Maker(odd, at=1)) as reading:
        read(reading, PARTS)
    with pytest.raises(RuntimeError, match=f"{kind.__name__}: {message}") as raised:
        with processes(Maker(odd, at=1), timeout=60) as reading:
            read(reading, PARTS)
    assert "while reading sample 1 of made up" in raised.value.__notes__
    assert f"in {odd.__name__}\n" in told(raised.value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_way_out_of_a_program_leads_out_of_it(kind):
    with pytest.raises(SystemExit) as raised, reader(kind, Maker(slow_makers.raise_system_exit, at=1)) as reading:
        read(reading, PARTS)
    assert raised.value.code == 3


class Many(Maker):
    """Cannot make more than two rows that have the sample 9 among them."""

    def take(self, indices, inputs, targets, epoch=0):
        if len(indices) > 2 and 9 in indices:
            raise ArithmeticError("too many")


def test_an_error_of_no_sample_alone_tells_the_batch():
    for reading in (reader(None, Many()), reader("thread", Many())):
        with pytest.raises(ArithmeticError) as raised, reading:
            read(reading, PARTS)
        assert "while reading samples 8, 9, 10, 11 of made up, none of which fails alone" in raised.value.__notes__


@pytest.mark.parametrize("at", range(8))
def test_the_first_sample_that_fails_is_told(at):
    class Failing(Maker):
        def take(self, indices, inputs, targets, epoch=0):
            if bad := sorted(set(indices.tolist()) & {at, 7, 90}):
                raise ArithmeticError(f"sample {bad[0]}")

    with pytest.raises(ArithmeticError, match=f"sample {at}") as raised, Reading(Failing(), 8) as reading:
        read(reading, [np.arange(8)])
    assert raised.value.__notes__ == [f"while reading sample {at} of made up"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_image_names_its_file(tmp_path, kind):
    for number in range(40):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((3, 3), number, np.uint8)).save(folder / f"{number}.png")
    train = load_image_folder(tmp_path, stream=True).train
    place = 5
    path = train.inputs.source.paths[train.inputs.rows[place]]
    path.write_bytes(path.read_bytes()[:50])
    maker = BatchMaker(train, NoScale().fit(np.zeros((1, 1, 3, 3))), np.dtype(np.float32))
    with pytest.raises(DataError) as raised, reader(kind, maker) as reading:
        read(reading, parts_of(np.arange(len(train)), 4))
    assert str(raised.value).startswith(f"{path}: ")
    assert f"while reading sample {place} of {train.name}" in raised.value.__notes__


def test_what_cannot_be_sent_is_refused():
    maker = Maker(odd=lambda: None)
    with pytest.raises(DataError, match="these data cannot be sent to a process: .*lambda.*: use threads"):
        processes(maker).__enter__()
    with threads(maker) as reading:
        assert len(read(reading, PARTS)) == 16


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
@pytest.mark.parametrize("idle", [False, True])
def test_a_process_that_is_ended_is_named(number, idle):
    maker = Maker(seconds=0 if idle else 0.02)
    with pytest.raises(WorkerError) as raised, processes(maker, timeout=60) as reading:
        read(reading, PARTS[:2])
        pid = min(children())
        if not idle:
            reading.begin(PARTS, 0)
            one(reading, 4)
        begun = time.monotonic()
        os.kill(pid, number)
        while True:
            read(reading, PARTS)
    assert time.monotonic() - begun < MARGIN
    assert f"(process {pid}) was ended by {number.name}, and was to make " in str(raised.value)
    assert ("is memory short?" in str(raised.value)) is (number == signal.SIGKILL)


def test_a_process_that_leaves_is_named():
    for at in (0, 30):  # in the first job of all, and later
        with pytest.raises(WorkerError) as raised, processes(Maker(slow_makers.leave, at=at), timeout=60) as reading:
            pids = children()
            begun = time.monotonic()
            read(reading, PARTS)
        assert time.monotonic() - begun < MARGIN
        assert "ended with exit code 7, and was to make" in str(raised.value)
        assert "__main__" not in str(raised.value)
        assert any(f"(process {pid})" in str(raised.value) for pid in pids)


def test_a_process_that_hangs_is_named():
    for odd in (slow_makers.stop, slow_makers.sleep):
        with pytest.raises(WorkerError) as raised, processes(Maker(odd, at=30)) as reading:
            pids = children()
            read(reading, PARTS)
        assert "hangs: it has been at batch 8 of epoch 1 for more than 0.5 s" in str(raised.value)
        assert any(f"worker 2 (process {pid})" in str(raised.value) for pid in pids)


def test_a_thread_that_hangs_is_named():
    with pytest.raises(WorkerError) as raised, threads(Maker(slow_makers.sleep, at=30)) as reading:
        read(reading, PARTS)
    assert "worker 2 (thread) hangs: it has been at batch 8 of epoch 1 for more than 0.5 s" in str(raised.value)


class Endless(Maker):
    """All workers hang in the fourth batch and in the fifth."""

    def take(self, indices, inputs, targets, epoch=0):
        if indices[0] >= 12:
            threading.Event().wait()
        super().take(indices, inputs, targets, epoch)


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_all_workers_hang(kind):
    with pytest.raises(WorkerError, match="hangs"), Reading(Endless(), 4, Prefetch(4, 2, kind)) as reading:
        reading.begin(PARTS, 0)
        for _ in range(3):
            one(reading, 4)
        begun = time.monotonic()
        one(reading, 4)
    assert time.monotonic() - begun < MARGIN


def test_a_stopped_process_does_not_block_what_is_sent_to_it():
    wide = [np.zeros(100_000, np.int64)] * 40  # more numbers than a pipe holds
    with pytest.raises(WorkerError, match="hangs"), processes(Maker(), 100_000, 20, 1) as reading:
        read(reading, [np.zeros(1, np.int64)])
        os.kill(min(children()), signal.SIGSTOP)
        read(reading, wide)


def test_full_shared_memory_is_told(monkeypatch):
    for failing in (1, 2):  # for batches, and for the inputs
        calls = count(1)

        def allocate(descriptor, begin, size, calls=calls, failing=failing):
            if next(calls) == failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "posix_fallocate", allocate)
        with pytest.raises(MemoryLimitError) as raised:
            processes(Maker()).__enter__()
        assert "bytes of shared memory: No space left on device: give the container more (--shm-size)" in str(
            raised.value
        )
        assert next(calls) == failing + 1


def test_shared_memory_is_allocated_before_it_is_written_to(made):
    with processes(Maker(count=100_000), 1000, 4) as reading:
        assert len(made) == 2
        for name in made:
            found = Path("/dev/shm", name).stat()
            assert found.st_blocks * 512 >= found.st_size
        assert sum(Path("/dev/shm", name).stat().st_size for name in made) >= 100_000 * 24 + 4 * 1000 * (24 + 8)
        assert len(children()) == 2
        read(reading, [np.arange(8)])


def test_an_interruption_of_a_copy_lets_shared_memory_go(monkeypatch):
    def interrupted(*arrays):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised, processes(Maker(), timeout=60) as reading:
        reading.begin(PARTS, 0)
        monkeypatch.setattr(np, "copyto", interrupted)
        one(reading, 4)
    assert raised.value.__traceback__ is not None
    assert not any(reading._slots.memory._memory._buf or ())  # closed although the traceback is held


def run(tmp_path, script, **settings):
    path = tmp_path / "script.py"
    path.write_text("import sys\nimport numpy as np\nfrom slow_makers import *\n" + textwrap.dedent(script))
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
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
    assert error.splitlines()[-1].startswith("treadle.errors.WorkerError: worker ")
    assert "`if __name__ == '__main__':`" in error.splitlines()[-1]


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
