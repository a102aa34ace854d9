"""Batches made ahead are those made in time, to the bit."""

import queue
import threading

import numpy as np
import pytest

from slow_makers import Maker, Rows, children, one, parts_of, processes, read, threads
from treadle.data import (
    BatchMaker,
    Dataset,
    MinMax,
    Noise,
    NoScale,
    Order,
    OrderState,
    Prefetch,
    Reading,
    Shift,
    Standard,
    augment,
    batches,
)
from treadle.errors import DataError

CHANGES = (Shift(2), Noise(0.1))


def images(count=50):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 2, 6, 5), dtype=np.uint8)
    return Dataset(pixels, np.arange(count) % 3, ("a", "b", "c"), "pictures")


def maker_of(data=None, dtype=np.float32):
    data = data or images()
    return BatchMaker(data, Standard().fit(data.inputs), np.dtype(dtype), CHANGES, seed=3)


def as_bytes(*arrays):
    return tuple(array.tobytes() for array in arrays)


@pytest.fixture(scope="module")
def wanted():
    """Bytes of each batch of two epochs, made in time, and the numbers of their samples."""
    order, found = Order(50, seed=1), {}
    with Reading(maker_of(), 8) as reading:
        for epoch in (0, 1):
            parts = parts_of(order.indices(epoch), 8)
            found[epoch] = parts, read(reading, parts, epoch)
    return found


def test_batches_made_in_time_have_each_sample_as_it_is_alone(wanted):
    data = images()
    scale = Standard().fit(data.inputs)
    black = scale.apply(np.zeros((1, 2, 6, 5), np.uint8), np.dtype(np.float32))[0, :, :1, :1]
    for epoch, (parts, found) in wanted.items():
        assert [len(part) for part in parts] == [8] * 6 + [2]
        for part, batch in zip(parts, found, strict=True):
            alone = [
                augment(scale.apply(data.inputs[[n]], np.float32), CHANGES, np.array([n]), black, seed=3, epoch=epoch)
                for n in part
            ]
            assert batch == as_bytes(np.concatenate(alone), data.targets[part])
    assert wanted[0][1] != wanted[1][1]


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("kind", ["thread", "process"])
def test_batches_made_ahead_are_the_same_in_the_same_order(wanted, kind, workers):
    (first, some), (second, others) = wanted[0], wanted[1]
    before = threading.active_count()
    with Reading(maker_of(), 8, Prefetch(3, workers, kind, 60)) as reading:
        assert read(reading, first, 0) == some
        assert read(reading, second, 1) == others  # one epoch after the other
        assert read(reading, first[3:], 0) == some[3:]  # from the middle on
        reading.begin(first, 0)
        assert as_bytes(*one(reading, 8)) == some[0]
        assert read(reading, second[1:6], 1) == others[1:6]  # what was read ahead is not wanted; the last is dropped
        assert read(reading, [first[6], first[0]], 0) == [some[6], some[0]]
        assert read(reading, [], 0) == []
        assert [times.epoch for times in reading.times[:14]] == [0] * 7 + [1] * 7
        assert {times.worker for times in reading.times[:7]} == set(range(1, workers + 1))
        assert len(children()) == (workers if kind == "process" else 0)
    assert threading.active_count() == before


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_training_goes_on_in_the_middle_of_an_epoch(wanted, kind):
    order, state, parts = Order(50, seed=1), OrderState(0, 24), []
    while state.epoch == 0:
        indices, state = order.next_batch(state, 8)
        parts.append(indices)
    data = batches(
        images(),
        np.concatenate(parts),
        8,
        Standard().fit(images().inputs),
        augmentations=CHANGES,
        seed=3,
        prefetch=Prefetch(2, 2, kind, 60),
    )
    found = list(data)
    assert [as_bytes(batch.inputs, batch.targets) for batch in found] == wanted[0][1][3:]
    assert [batch.indices.tolist() for batch in found] == [part.tolist() for part in wanted[0][0][3:]]


def test_a_generator_of_batches_that_is_left_early_ends_its_workers():
    data = batches(images(), np.arange(50), 8, drop_last=True, prefetch=Prefetch(4, 2, "process", 60))
    np.testing.assert_array_equal(next(data).inputs, images().inputs[:8])
    assert len(children()) == 2
    data.close()
    assert not children()
    assert len(list(batches(images(), np.arange(50), 8, drop_last=True, prefetch=Prefetch(4, 2)))) == 6


def rows_on_disk():
    data = Dataset(Rows(30), np.random.default_rng(1).normal(size=(30, 2)), None, "rows")
    return BatchMaker(data, NoScale().fit(data.inputs), np.dtype(np.float64))


def mirrored():
    data = images(30)
    data = Dataset(data.inputs[::2, :, ::-1, 1:4], data.targets[::2], data.classes, "every other")
    return BatchMaker(data, MinMax().fit(data.inputs), np.dtype(np.float64))


@pytest.mark.parametrize("kind", [None, "thread", "process"])
@pytest.mark.parametrize(("make", "batch_last"), [(rows_on_disk, False), (mirrored, True)])
def test_layouts_number_types_and_samples_on_disk(kind, make, batch_last):
    maker = make()
    order = np.random.default_rng(2).permutation(len(maker.inputs))
    prefetch = kind and Prefetch(2, 2, kind, 60)
    with Reading(maker, 4, prefetch, batch_last=batch_last) as reading:
        parts = parts_of(order, 4)
        reading.begin(parts, 0)
        for part in parts:
            inputs, targets = one(reading, len(part), batch_last)
            if make is rows_on_disk:
                np.testing.assert_array_equal(inputs, np.sin(part[:, None] * np.arange(1.0, 4.0)))
            else:
                pixels = images(30).inputs[::2, :, ::-1, 1:4].astype(float)
                scaled = (pixels - pixels.min()) / (pixels.max() - pixels.min())
                np.testing.assert_allclose(inputs, scaled[part], rtol=1e-14)
                assert inputs.transpose(1, 2, 3, 0).flags.c_contiguous
            np.testing.assert_array_equal(targets, maker.targets[part])


@pytest.mark.parametrize(("batches", "workers"), [(1, 1), (1, 3), (2, 3), (100, 2)])
def test_few_and_many_places(batches, workers):
    maker, parts = Maker(), parts_of(np.arange(64)[::-1], 5)
    with Reading(maker, 5) as reading:
        wanted = read(reading, parts, 2)
    assert wanted[0] == as_bytes(np.sin(np.arange(192.0)).reshape(64, 3)[:58:-1] + 2, np.arange(63, 58, -1) * 7)
    with threads(maker, 5, batches, workers, 60) as reading:
        assert read(reading, parts, 2) == wanted
    with processes(maker, 5, batches, min(workers, 2), 60) as reading:
        assert read(reading, parts, 2) == wanted


def test_a_thousand_places_fill_no_pipe():
    parts = parts_of(np.arange(2000) % 64, 2)
    with Reading(Maker(), 2) as reading:
        wanted = read(reading, parts)
    with processes(Maker(), 2, 1000, 1, 60) as reading:
        assert read(reading, parts) == wanted


class Counting(Maker):
    """Tells the number of each batch as it begins to make it."""

    def __init__(self):
        super().__init__()
        self.begun = queue.SimpleQueue()

    def take(self, indices, inputs, targets, epoch=0):
        self.begun.put(int(indices[0]))
        super().take(indices, inputs, targets, epoch)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_as_many_batches_are_made_ahead_as_there_are_places(workers):
    maker, parts = Counting(), parts_of(np.arange(40), 4)
    with threads(maker, 4, 3, workers, 60) as reading:
        reading.begin(parts, 0)
        seen = {maker.begun.get(timeout=60) for _ in range(3)}
        assert seen == {0, 4, 8}
        for given in range(1, 8):
            assert maker.begun.empty()
            one(reading, 4)
            assert maker.begun.get(timeout=60) == 4 * (given + 2)


def test_what_is_waited_for_and_when_batches_were_read():
    with threads(Maker(seconds=0.001), 4, 2, 2, 60) as reading:
        read(reading, parts_of(np.arange(40), 4), 5)
    assert reading.waited == pytest.approx(sum(one.wait_end - one.wait_begin for one in reading.times))
    for times in reading.times:
        assert times.read_begin < times.read_end <= times.wait_end
        assert times.read_end - times.read_begin >= 0.004
        assert times.epoch == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batches": -1}, "batches should be a whole number of at least 0, found -1"),
        ({"batches": 1.5}, "batches should be a whole number of at least 0, found 1.5"),
        ({"batches": True}, "batches should be a whole number of at least 0, found True"),
        ({"workers": 0}, "workers should be a whole number of at least 1, found 0"),
        ({"worker_kind": "fibre"}, "worker_kind should be one of thread, process, found 'fibre'"),
        ({"worker_timeout": 0}, "worker_timeout should be seconds above 0, up to 1,000,000, found 0"),
        ({"worker_timeout": float("nan")}, "found nan"),
        ({"worker_timeout": float("inf")}, "found inf"),
        ({"worker_timeout": "4"}, "found '4'"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(DataError) as refused:
        Prefetch(**settings)
    assert message in str(refused.value)


def test_the_longest_timeout_can_be_waited_for():
    for reader in (threads, processes):
        with reader(Maker(), 4, 2, 1, 1_000_000) as reading:
            assert len(read(reading, parts_of(np.arange(16), 4))) == 4
