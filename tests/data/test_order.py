import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.data import Order, OrderState
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
