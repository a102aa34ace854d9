import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.data import Dataset, Order, OrderState
from treadle.data.order import draw_some, order_of
from treadle.errors import DataError

sizes = st.integers(1, 60)


@given(sizes, st.integers(0, 2**64), st.integers(0, 1000))
def test_an_epoch_holds_every_sample_once(size, seed, epoch):
    indices = Order(size, seed).indices(epoch)
    assert indices.dtype == np.int64
    assert sorted(indices.tolist()) == list(range(size))


def test_order_follows_seed_and_epoch_and_nothing_else():
    order = Order(1000, 3)
    first = order.indices(5).tolist()
    np.random.PCG64(1).random_raw()
    assert Order(1000, 3).indices(5).tolist() == first
    assert order.indices(6).tolist() != first
    assert Order(1000, 4).indices(5).tolist() != first


def test_the_order_is_the_same_in_every_version():
    assert Order(10, 0).indices(0).tolist() == [5, 8, 4, 7, 9, 3, 1, 0, 2, 6]
    assert Order(10, 0).indices(1).tolist() == [3, 9, 5, 8, 0, 6, 4, 2, 7, 1]


def test_indices_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        Order(3, 0).indices(0)[0] = 1


def walk(order: Order, state: OrderState, steps: int, batch_size: int, drop_last: bool):
    taken = []
    for _ in range(steps):
        epoch = state.epoch
        indices, state = order.next_batch(state, batch_size, drop_last)
        taken.append((epoch, indices.tolist()))
    return taken, state


@given(sizes, st.integers(1, 70), st.booleans(), st.booleans(), st.integers(0, 12), st.integers(0, 12))
def test_resuming_gives_what_an_uninterrupted_pass_gives(size, batch_size, drop_last, shuffle, before, after):
    if drop_last:
        batch_size = min(batch_size, size)
    order = Order(size, 7, shuffle)
    whole, end = walk(order, OrderState(), before + after, batch_size, drop_last)
    first, state = walk(order, OrderState(), before, batch_size, drop_last)
    epoch, position = state  # saved as two integers
    rest, resumed_end = walk(Order(size, 7, shuffle), OrderState(epoch, position), after, batch_size, drop_last)
    assert first + rest == whole
    assert resumed_end == end


@given(sizes, st.integers(1, 70))
def test_the_batches_of_an_epoch_are_its_indices(size, batch_size):
    order, state, taken = Order(size, 1), OrderState(), []
    while state.epoch == 0:
        indices, state = order.next_batch(state, batch_size)
        taken += indices.tolist()
    assert taken == order.indices(0).tolist()
    assert state == (1, 0)


def test_drop_last_leaves_only_full_batches():
    order, state, lengths = Order(10, 1), OrderState(), []
    while state.epoch < 2:
        indices, state = order.next_batch(state, 4, drop_last=True)
        lengths.append(len(indices))
    assert lengths == [4, 4, 4, 4]


def test_a_larger_batch_size_after_resuming_with_drop_last_goes_on_with_the_next_epoch():
    indices, state = Order(10, 1).next_batch(OrderState(0, 8), 4, drop_last=True)
    assert indices.tolist() == Order(10, 1).indices(1)[:4].tolist()
    assert state == (1, 4)


def test_unshuffled_order_counts():
    assert Order(4, 9, shuffle=False).indices(3).tolist() == [0, 1, 2, 3]


def test_impossible_orders_and_states_are_refused():
    for size, seed in ((0, 0), (3, -1)):
        with pytest.raises(DataError, match="order: expected"):
            Order(size, seed)
    for state in (OrderState(0, 5), OrderState(0, -1), OrderState(-1, 0)):
        with pytest.raises(DataError, match="has no state"):
            Order(5, 0).next_batch(state, 2)
    with pytest.raises(DataError, match="1 or more"):
        Order(5, 0).next_batch(OrderState(), 0)
    with pytest.raises(DataError, match="leaves none"):
        Order(5, 0).next_batch(OrderState(), 6, drop_last=True)


many_blocks = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(sum)


@given(many_blocks, st.integers(1, 30), st.integers(0, 2**64), st.integers(0, 1000))
def test_blocks_are_read_a_few_at_a_time(blocks, window, seed, epoch):
    size = sum(blocks)
    order = Order(size, seed, blocks=tuple(blocks), window=window)
    indices = order.indices(epoch)
    assert indices.dtype == np.int64
    assert sorted(indices.tolist()) == list(range(size))
    assert indices.tolist() == Order(size, seed, True, tuple(blocks), window).indices(epoch).tolist()
    if len(blocks) == 1:
        assert indices.tolist() == Order(size, seed).indices(epoch).tolist()
        return
    block_of = np.repeat(np.arange(len(blocks)), blocks)[indices]
    places = {block: np.flatnonzero(block_of == block) for block in set(block_of.tolist())}
    for place in range(size):  # blocks of which samples came before, or are yet to come, fit into one window
        begun = [block for block, own in places.items() if own[0] <= place <= own[-1]]
        assert sum(blocks[block] for block in begun) <= max(window, blocks[block_of[place]])


@given(many_blocks, st.integers(1, 30), st.integers(1, 20))
def test_resuming_with_blocks(blocks, window, batch_size):
    order = Order(sum(blocks), 3, blocks=tuple(blocks), window=window)
    taken, end = walk(order, OrderState(), 8, batch_size, False)
    half, state = walk(order, OrderState(), 4, batch_size, False)
    assert (half + walk(order, OrderState(*state), 4, batch_size, False)[0], end) == (taken, end)


def test_blocks_and_their_samples_are_shuffled_anew_each_epoch():
    blocks = (100,) * 20
    order = Order(2000, 0, blocks=blocks, window=400)
    epochs = [order.indices(epoch) for epoch in range(2)]
    firsts = [set((indices[:400] // 100).tolist()) for indices in epochs]
    assert firsts[0] != firsts[1]
    for indices in epochs:
        for begin in range(0, 2000, 400):
            found = indices[begin : begin + 400]
            assert len(set((found // 100).tolist())) == 4
            assert abs(np.corrcoef(np.arange(400), found)[0, 1]) < 0.2
    assert Order(2000, 0, False, blocks, 400).indices(0).tolist() == list(range(2000))
    # every block comes first now and then
    assert len({int(order.indices(epoch)[0]) // 100 for epoch in range(200)}) == 20


def test_the_order_with_blocks_is_the_same_in_every_version():
    assert Order(10, 0, blocks=(3, 3, 4), window=6).indices(0).tolist() == [5, 4, 3, 1, 0, 2, 8, 7, 9, 6]


def test_blocks_of_another_number_of_samples_are_refused():
    with pytest.raises(DataError, match="order: blocks of 9 samples cannot be those of 10"):
        Order(10, 0, blocks=(3, 6))


def test_a_set_has_the_order_of_its_blocks():
    rows = Dataset(np.zeros((10, 2)), np.arange(10.0), None, "train", (3, 3, 4), 6)
    assert order_of(rows, 5) == Order(10, 5, True, (3, 3, 4), 6)
    assert order_of(rows[:5], 5, shuffle=False) == Order(5, 5, False)


@given(many_blocks, st.integers(0, 100), st.integers(0, 2**32))
def test_some_samples_are_drawn_of_few_blocks(blocks, count, seed):
    size = sum(blocks)
    count = min(count, size)
    found = draw_some(np.random.default_rng(seed), count, size, tuple(blocks))
    assert len(set(found.tolist())) == len(found) == count
    assert set(found.tolist()) <= set(range(size))
    used = set(np.repeat(np.arange(len(blocks)), blocks)[found].tolist())
    assert sum(blocks[block] for block in used) - max((blocks[block] for block in used), default=0) < max(count, 1)
    assert sorted(draw_some(np.random.default_rng(seed), size, size)) == list(range(size))
