"""Recorded computations, run again on other numbers, against the same computations done anew, to the bit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cases import CASES
from recording import numbers, record, require_same
from treadle import ops
from treadle.kernels import reference
from treadle.kernels.record import NotRecordable, Recorder

cpu = pytest.importorskip("treadle.kernels.cpu")

BOTH = pytest.mark.parametrize("k", [reference, cpu], ids=["reference", "cpu"])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@BOTH
@DTYPES
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_op_and_its_gradients(case, k, dtype):
    require_same(lambda *xs: case.run(ops, *xs), [array.astype(dtype) for array in case.inputs], k)


# --- Where results go --------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a + b,  # both gradients are what arrives
        lambda a, b: ops.tanh(a + b),  # both are one array, made by a kernel
        lambda a, b: ops.reshape(a, (4, 3)) + ops.reshape(b, (4, 3)),  # views
        lambda a, b: a * a + ops.exp(a),  # no gradient of b
        lambda a, b: ops.exp(a) * ops.stack([b, b])[1],
        lambda a, b: ops.concat([ops.tanh(a + b), a]) * ops.concat([b, ops.tanh(a + b)]),
        lambda a, b: ops.sum(a) + 0.0 * ops.sum(b),
        lambda a, b: ops.matmul(a, ops.transpose(a)) + ops.matmul(b, ops.transpose(b)),
    ],
)
def test_gradients_that_are_views_shared_or_none(function, k):
    require_same(function, [numbers((3, 4)), numbers((3, 4), seed=1)], k)


@BOTH
def test_products_of_vectors(k):
    require_same(ops.matmul, [numbers(5), numbers(5, seed=1)], k)
    require_same(lambda a, b: ops.matmul(a, b) * a, [numbers(5), numbers(5, seed=1)], k)


@BOTH
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: ops.conv2d(x, w, padding=1),
        lambda x, w: ops.max_pool2d(x, size=2),
        lambda x, w: ops.max_pool2d(x, size=3, stride=1, padding=1),
        lambda x, w: ops.avg_pool2d(x, size=2),
        lambda x, w: ops.relu(x),
        lambda x, w: ops.standardize(x, axes=(0, 2, 3), epsilon=1e-3),
    ],
)
def test_gradients_of_images_go_to_memory_in_the_order_of_the_axes(function, n, k):
    require_same(function, [numbers((n, 2, 6, 6)), numbers((4, 2, 3, 3), seed=1)], k)


# --- What cannot be recorded ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * float(x[0].data),
        lambda x: x * x[0].item(),
        lambda x: x if x.sum().data > 0 else -x,
        lambda x: x * np.asarray(x.data),
        lambda x: x * np.sort(x.data),
        lambda x: x * np.sum(x.data),
        lambda x: x * np.add.reduce(x.data),
        lambda x: x * max(x.data),
        lambda x: x * int(x[0].data),
        lambda x: x * np.add(x.data, 1, out=np.empty(4)),
        lambda x: x * sum(value for value in x.data),
        lambda x: x[x > 0],  # as many elements as the numbers say
        lambda x: ops.sum(x[x > 0]),
        lambda x: x * np.modf(x.data)[0],
        lambda x: x * divmod(x.data, 0.5)[1],
    ],
)
def test_a_look_at_numbers_is_refused(function):
    with pytest.raises(NotRecordable, match="looks at the numbers of an array"):
        record(function, [numbers(4)], reference)


@BOTH
def test_an_array_as_a_setting_is_refused(k):
    class Kernels:
        scaled = staticmethod(lambda x, *, by: x * by)

    recorder = Recorder(Kernels, inputs := [numbers(3)])
    (x,) = map(recorder.recorded, inputs)
    with pytest.raises(NotRecordable, match="an array given to scaled as a setting"):
        recorder.scaled(x, by=x)
    with pytest.raises(NotRecordable):
        recorder.scaled(x, by=(1, x))
    assert recorder.scaled(x, by=2.0).shape == (3,)


# --- Kernels and constants ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [lambda x: x, lambda x: x[::-1], lambda x: x.T, lambda x: x[1:] * 1.0])
def test_kernels_that_return_their_input_or_a_view_of_it(kernel):
    class Kernels:
        strange = staticmethod(kernel)

    x, place = numbers(6), np.empty(len(kernel(np.empty(6))))
    recorder = Recorder(Kernels, [x])
    recorder.result(recorder.strange(recorder.strange(recorder.recorded(x)))[:3], place[:3])
    calls = recorder.finish().calls()
    x[...] = numbers(6, seed=1)
    for function, arguments in calls:
        function(*arguments)
    np.testing.assert_array_equal(place[:3], kernel(kernel(x))[:3])


@BOTH
def test_constants_changed_in_their_place_take_effect(k):
    factor = numbers(4, seed=1)
    x = numbers((3, 4))
    _, recording, places = record(lambda x: x * factor, [x], k)
    factor *= 2
    for function, arguments in recording.calls():
        function(*arguments)
    np.testing.assert_array_equal(places[0], x * factor)


def test_the_outline_tells_constants_settings_and_operands_apart():
    x, y = numbers(4), numbers(4, seed=1)
    outlines = [
        str(record(function, [x, y], reference)[0].outline)
        for function in (
            lambda x, y: x * 2.0,
            lambda x, y: x * 3.0,
            lambda x, y: y * 2.0,
            lambda x, y: x * np.full(4, 2.0),
            lambda x, y: x * np.full(4, 3.0),
            lambda x, y: x / 2.0,
            lambda x, y: ops.clip(x, 0.0, 1.0),
            lambda x, y: ops.clip(x, 0.0, 2.0),
            lambda x, y: x[1:],
            lambda x, y: x[:-1],
            lambda x, y: x[np.arange(1000) % 4],
            lambda x, y: x[np.where(np.arange(1000) == 500, 1, np.arange(1000)) % 4],
            lambda x, y: ops.leaky_relu(x, slope=0.1),
            lambda x, y: ops.leaky_relu(x, slope=0.2),
        )
    ]
    assert Counter(outlines).most_common(1)[0][1] == 1
