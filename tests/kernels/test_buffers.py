"""Places in memory for arrays by the calls that need them, and calls bound to such memory."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording import numbers, record, require_same
from treadle import kernels, ops
from treadle.kernels import ALIGNMENT, reference
from treadle.kernels.buffers import Layout, Life, Recording, Space, assign, flat

cpu = pytest.importorskip("treadle.kernels.cpu")

BOTH = pytest.mark.parametrize("k", [reference, cpu], ids=["reference", "cpu"])
LIVES = st.lists(
    st.builds(
        lambda size, first, calls: Life(size, first, first + calls),
        st.integers(0, 1000),
        st.integers(0, 30),
        st.integers(0, 10),
    ),
    max_size=40,
)


def root(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


# --- Places ------------------------------------------------------------------------------------------------------


@given(LIVES)
def test_arrays_that_live_at_the_same_time_lie_apart(lives):
    offsets, size = assign(lives)
    places = [range(begin, begin + life.size) for begin, life in zip(offsets, lives, strict=True)]
    assert all(place.start % ALIGNMENT == 0 and 0 <= place.start <= place.stop <= size for place in places)
    for number, (a, here) in enumerate(zip(lives, places, strict=True)):
        for b, there in zip(lives[:number], places[:number], strict=True):
            if a.first <= b.last and b.first <= a.last:
                assert here.stop <= there.start or there.stop <= here.start


@given(LIVES)
def test_memory_is_no_more_than_all_arrays_and_no_less_than_those_of_a_call(lives):
    _, size = assign(lives)
    whole = [-(-life.size // ALIGNMENT) * ALIGNMENT for life in lives]
    of_calls = [
        sum(n for n, life in zip(whole, lives, strict=True) if life.first <= call <= life.last) for call in range(42)
    ]
    assert max(of_calls) <= size <= sum(whole)


def test_a_chain_needs_two_places():
    lives = [Life(640, number, number + 1) for number in range(50)]
    assert assign(lives) == ([640 * (number % 2) for number in range(50)], 2 * 640)


# --- Space -------------------------------------------------------------------------------------------------------

ARRAYS = {
    "plain": np.zeros((3, 4)),
    "transposed": np.zeros((3, 4), np.float32).T,
    "reversed": np.zeros((3, 4))[::-1, ::-2],
    "with gaps": np.zeros((6, 8), bool)[1:-1, ::3],
    "number": np.zeros(()),
    "empty": np.zeros((0, 3)),
    "empty, reversed": np.zeros((3, 0))[::-1],
    "repeated": np.broadcast_to(np.zeros(3), (4, 3)),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_in_space_have_their_layout_and_lie_side_by_side(array):
    layout = Layout.of(array)
    space = Space([layout] * 3)
    for made in space.arrays:
        assert (made.shape, made.dtype, made.strides) == (array.shape, array.dtype, array.strides)
    for number, made in enumerate(space.arrays, 1):
        made[...] = number
    for number, made in enumerate(space.arrays, 1):
        assert (made == array.dtype.type(number)).all()
        if made.size:
            assert space.find(made)[0] == number - 1


def test_views_are_found_and_others_are_not():
    space = Space([Layout.of(np.zeros((4, 6)))] * 2)
    x = space.arrays[1]
    assert space.find(x) == space.find(x.T) == space.find(np.broadcast_to(x, (3, 4, 6))) == (1, 0)
    assert space.find(x[1:, 2]) == (1, 8 * (6 + 2))
    assert space.find(x[::-1, ::-1]) == (1, 8 * 23)
    assert space.find(x[3].view(np.uint8)) == (1, 8 * 18)
    assert space.find(np.zeros((4, 6))) is None
    assert space.find(x[4:]) is None


# --- Recordings ----------------------------------------------------------------------------------------------------


def test_arguments_in_tuples_move_and_keep_what_kernels_are_compiled_for():
    x, space = np.arange(4.0), Space([Layout.of(np.zeros(4))] * 2)
    a, b = space.arrays
    fixed = np.broadcast_to(b[1:3], (2, 2))
    seen = []
    recording = Recording(
        [(np.copyto, (a, x)), (lambda *given: seen.append(given), (a, (x, (b[::-1], "same")), fixed))], space
    )
    memory = np.zeros(recording.size + 8, np.uint8)
    for function, arguments in recording.calls(memory):
        function(*arguments)
    ((first, (same, (second, text)), third),) = seen
    assert same is x
    assert text == "same"
    assert first.tolist() == x.tolist()
    assert all(np.shares_memory(array, memory) for array in (first, second, third))
    assert second.strides == (-8,)
    assert third.strides == (0, 8)
    assert np.shares_memory(second, third)
    assert not np.shares_memory(first, second)
    assert [array.flags.writeable for array in (first, second, third)] == [True, True, False]
    assert not space.memory.any()


def test_memory_is_free_as_soon_as_the_calls_are_let_go():
    space = Space([Layout.of(np.zeros(1000))])
    recording = Recording([(np.copyto, (space.arrays[0], 1.0))], space)
    memory = np.zeros(recording.size, np.uint8)
    calls, seen = recording.calls(memory), weakref.ref(memory)
    gc.disable()  # memory that waits for the collector of cycles would be there beside the next
    try:
        del memory, calls
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("size", [kernels.LARGE - 1, kernels.BLOCK, kernels.BLOCK + 1])
def test_what_shares_no_block_is_free_as_soon_as_it_is_let_go(size):
    array = kernels.aligned_empty((size,), np.uint8)
    seen = weakref.ref(root(array))
    kernels.aligned_empty((kernels.LARGE,), np.uint8)
    del array
    assert seen() is None


def test_flat():
    assert list(flat(((), 1, ((2, "34"), [5]), ((),)))) == [1, 2, "34", [5]]


# --- Networks ------------------------------------------------------------------------------------------------------


def images(n=5, channels=4):
    array = kernels.batch_array((n, channels, 8, 8), np.float32)
    array[...] = numbers(array.shape, np.float32)
    return array


def normal(x):
    return ops.standardize(x, axes=(0, 2, 3), epsilon=1e-3)


def blocks(x, w, scale, shift, count=6):
    for _ in range(count):
        inside = normal(ops.conv2d(x, w, padding=1)) * ops.reshape(scale, (-1, 1, 1)) + ops.reshape(shift, (-1, 1, 1))
        x = ops.relu(ops.relu(inside) + x)
    return x


def joined(x, w, scale, shift):
    pooled = ops.max_pool2d(ops.conv2d(x, w, padding=1), size=3, stride=2, padding=1)
    left, right = pooled[:, :2] * 2.0, ops.transpose(pooled, (0, 1, 3, 2))[:, 2:, ::-1]
    y = ops.concat([left, ops.avg_pool2d(x, size=2)[:, 1:3], right], axis=1)
    y = ops.stack([ops.tanh(y), ops.exp(y) * 0.1, y])[1:]
    flat = ops.reshape(ops.sum(y, axis=0), (len(x.data), -1))
    return ops.matmul(flat, ops.transpose(flat)) * ops.sum(scale) + ops.log_softmax(flat, axis=1)[:, :1] * ops.sum(
        shift
    )


def dense(x, w, scale, shift):
    x = ops.reshape(x, (len(x.data), -1))
    for _ in range(4):
        x = ops.gelu(ops.standardize(x, axes=(1,), epsilon=1e-3)) + x[:, ::-1]
    return ops.matmul(x[:, :36], ops.reshape(w, (36, 4))) * scale + shift


@BOTH
@pytest.mark.parametrize("network", [blocks, joined, dense])
def test_networks_give_the_same_in_shared_memory(network, k):
    arrays = [images(), numbers((4, 4, 3, 3), np.float32, 1), numbers(4, np.float32, 2), numbers(4, np.float32, 3)]
    require_same(network, arrays, k, data=1)


@BOTH
def test_a_recording_holds_less_than_what_it_computes(k):
    arrays = [images(100), numbers((4, 4, 3, 3), np.float32, 1), numbers(4, np.float32, 2), numbers(4, np.float32, 3)]
    recorder, recording, places = record(blocks, arrays, k, data=1)
    computed = sum(entry.out.nbytes for entry in recorder.entries() if entry.calls)
    given = [*arrays, *places.values()]
    calls = recording.calls(np.empty(recording.size, np.uint8))
    parts = [part for _, arguments in calls for part in flat(arguments) if isinstance(part, np.ndarray)]
    roots = {id(root(part)): root(part) for part in parts if not any(np.shares_memory(part, other) for other in given)}
    held = sum(array.nbytes for array in roots.values())
    assert recording.size <= held < computed / 2


@BOTH
def test_nothing_is_computed_while_calls_are_planned(k):
    arrays = [images(), numbers((4, 4, 3, 3), np.float32, 1), numbers(4, np.float32, 2), numbers(4, np.float32, 3)]
    for network in (blocks, joined, dense):
        _, recording, _ = record(network, arrays, k, data=1)
        assert not recording.space.memory.any()
