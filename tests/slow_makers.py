"""Makers of batches that fail, end their process or sleep, in a module that processes can import."""

import os
import signal
import time
from contextlib import contextmanager, suppress
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
import psutil
import pytest

from treadle.data import Prefetch, Reading, Stored

MARGIN = 5.0  # seconds within which a worker that was killed or hangs is named


class Rows(Stored):
    """Rows of three numbers that follow from theirs."""

    def __init__(self, count):
        self.shape, self.dtype = (count, 3), np.dtype(np.float64)

    def read(self, indices):
        return np.sin(indices[:, None] * np.arange(1.0, 4.0))


class Maker:
    """Makes rows from their numbers; `odd` is called where the sample `at` is among them. A row takes `seconds`."""

    def __init__(self, odd=None, at=-1, seconds=0.0, count=64):
        self.name, self.dtype = "made up", np.dtype(np.float64)
        self.inputs = np.sin(np.arange(3.0 * count)).reshape(count, 3)
        self.targets = np.arange(count) * 7
        self.odd, self.at, self.seconds = odd, at, seconds

    def take(self, indices, inputs, targets, epoch=0):
        time.sleep(self.seconds * len(indices))
        if self.odd and self.at in indices:
            self.odd()
        np.copyto(inputs, self.inputs[indices] + epoch)
        np.copyto(targets, self.targets[indices])


class Endless(Maker):
    """Hangs from the fourth batch of four on."""

    def take(self, indices, inputs, targets, epoch=0):
        if indices[0] >= 12:
            sleep()
        super().take(indices, inputs, targets, epoch)


class TwoWordsError(Exception):
    """Cannot be made anew from its message."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


class HoldingError(Exception):
    """Holds what cannot be sent."""

    def __init__(self):
        super().__init__("holds a generator")
        self.held = (number for number in range(3))


def raise_key_error():
    raise KeyError("no such thing")


def raise_two_words():
    raise TwoWordsError("salt", "pepper")


def raise_holding():
    raise HoldingError


def raise_system_exit():
    raise SystemExit(3)


def leave():
    os._exit(7)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def fault():
    os.kill(os.getpid(), signal.SIGSEGV)


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def sleep():
    time.sleep(1_000_000)


def parts_of(indices, size):
    return [indices[begin : begin + size] for begin in range(0, len(indices), size)]


def one(reading, count, batch_last=False):
    """Read a batch into arrays that are full of something else."""
    maker = reading.maker
    shape, targets = maker.inputs.shape[1:], np.full((count, *maker.targets.shape[1:]), 55, maker.targets.dtype)
    inputs = np.moveaxis(np.full((*shape, count), 55, maker.dtype), -1, 0)
    inputs = inputs if batch_last else np.ascontiguousarray(inputs)
    reading.next(inputs, targets)
    return inputs, targets


def refused(kind, reading, act):
    """The error of that kind with which `act` ends, once the workers are gone."""
    with pytest.raises(kind) as raised, reading:
        act(reading)
    return raised.value


def read(reading, parts, epoch=0, batch_last=False):
    """Read batches from the first on: the bytes of inputs and targets of each."""
    reading.begin(parts, epoch)
    return [tuple(a.tobytes() for a in one(reading, len(part), batch_last)) for part in parts]


def processes(maker, batch_size=4, batches=4, workers=2, timeout=0.5):
    return Reading(maker, batch_size, Prefetch(batches, workers, "process", timeout))


def threads(maker, batch_size=4, batches=4, workers=2, timeout=0.5):
    return Reading(maker, batch_size, Prefetch(batches, workers, "thread", timeout))


def children():
    """Numbers of the processes begun by this one, but for that which clears up after it."""
    found = {one.pid: one for one in psutil.Process().children(recursive=True)}
    for pid, process in list(found.items()):
        with suppress(psutil.ZombieProcess):  # one that nobody waited for counts
            if "resource_tracker" in " ".join(process.cmdline()):
                del found[pid]
    return set(found)


def shared(names):
    """Those names that belong to shared memory."""
    return [name for name in names if Path("/dev/shm", name).exists()]


@contextmanager
def nothing_left():
    """Fail where a process begun inside lives on, or shared memory stays; gives the names of the latter."""
    before, names = children(), []

    class Noted(shared_memory.SharedMemory):
        def __init__(self, name=None, create=False, size=0):
            super().__init__(name, create, size)
            if create:
                names.append(self.name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_memory, "SharedMemory", Noted)
        yield names
    assert children() <= before
    assert not shared(names)
