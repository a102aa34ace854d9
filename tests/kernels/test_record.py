"""Recorded computations, run again on other numbers, against the same computations done anew, to the bit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import treadle as td
from cases import CASES
from treadle import kernels, ops
from treadle.autodiff.tape import gradients
from treadle.kernels import reference
from treadle.kernels.record import NotRecordable, Recorder

cpu = pytest.importorskip("treadle.kernels.cpu")

BOTH = pytest.mark.parametrize("k", [reference, cpu], ids=["reference", "cpu"])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def compute(function, arrays, put, wrap=lambda array: array):
    """Forward and backward through a function of tensors; `put` gets the output and each gradient."""
    tensors = [td.Tensor(wrap(array), requires_grad=True) for array in arrays]
    out = function(*tensors)
    put(0, out.data)
    if out.requires_grad:
        direction = np.cos(np.arange(out.size) + 1.0).reshape(out.shape).astype(out.dtype)
        for number, (_, g) in enumerate(gradients(out, tensors, direction), 1):
            put(number, g)


def record(function, arrays, k):
    """Return the recorder, the calls, and where the results go."""
    recorder, places = Recorder(k, arrays), {}

    def put(number, value):
        shape, dtype = (arrays[number - 1].shape, arrays[number - 1].dtype) if number else (value.shape, value.dtype)
        places[number] = np.full(shape, 77, dtype)
        recorder.result(value, places[number])

    with kernels.use(recorder), np.errstate(all="ignore"):
        compute(function, arrays, put, recorder.recorded)
    return recorder, recorder.finish(), places


def require_same(function, arrays, k, changes=2):
    """Run a recording on the numbers it was made with and on others; fail unless all results are those of the tape."""
    recorder, calls, places = record(function, arrays, k)
    for change in range(changes + 1):
        for array in arrays if change else ():
            array[...] = np.roll(array, change).reshape(array.shape)[::-1] if array.ndim else array * 0.5
        with np.errstate(all="ignore"):
            for call, arguments in calls:
                call(*arguments)
            wanted = {}
            with kernels.use(k):
                compute(function, arrays, wanted.__setitem__)
        for number, place in places.items():
            value = np.zeros_like(place) if wanted[number] is None else wanted[number]
            np.testing.assert_array_equal(place, value, err_msg=f"result {number}, numbers {change}")
    return [entry.name for entry in getattr(k, "fuse", list)(recorder.entries)]


def numbers(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


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


# --- Fusion ------------------------------------------------------------------------------------------------------


def images(n=5, dtype=np.float64):
    array = kernels.batch_array((n, 2, 6, 6), dtype)
    array[...] = numbers(array.shape, dtype)
    return array


def conv(x, w):
    return ops.conv2d(x, w, padding=1)


FUSED = {
    "conv, relu": (lambda x, w: ops.relu(conv(x, w)), ["conv2d"]),
    "conv, relu, pool": (lambda x, w: ops.max_pool2d(ops.relu(conv(x, w)), size=2), ["conv2d_max_pool2d"]),
    "conv, pool": (lambda x, w: ops.max_pool2d(conv(x, w), size=(3, 2)), ["conv2d_max_pool2d"]),
    "conv, relu, overlapping pool": (lambda x, w: ops.max_pool2d(ops.relu(conv(x, w)), size=3, stride=2), ["conv2d"]),
}


@DTYPES
@pytest.mark.parametrize("n", [1, 5, 16])
@pytest.mark.parametrize(("function", "left"), FUSED.values(), ids=FUSED)
def test_what_is_fused_is_the_same_to_the_bit(function, left, n, dtype):
    names = require_same(function, [images(n, dtype), numbers((3, 2, 3, 3), dtype, 1)], cpu)
    assert [name for name in names if name in ("conv2d", "conv2d_max_pool2d", "relu", "max_pool2d")][:1] == left
    assert "relu" not in names
    assert "relu_gradient" not in names or "pool" not in str(names)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: conv(x, w) * ops.relu(conv(x, w)),
        lambda x, w: (lambda y: y * ops.relu(y))(conv(x, w)),
        lambda x, w: (lambda y: ops.concat([y, ops.relu(y)], axis=1))(conv(x, w)),
        lambda x, w: (lambda y: ops.concat([ops.relu(y), ops.relu(y * -1.0)], axis=1))(conv(x, w)),
        lambda x, w: (lambda y: ops.max_pool2d(y, size=2) + y[:, :, :3, 3:])(conv(x, w)),
        lambda x, w: (lambda y: ops.max_pool2d(y, size=2) + ops.sum(y))(ops.relu(conv(x, w))),
        lambda x, w: (lambda y: ops.max_pool2d(y, size=2) + ops.max_pool2d(y, size=2, stride=2))(ops.relu(conv(x, w))),
        lambda x, w: (lambda y: ops.concat([ops.max_pool2d(y, size=2), y[:, :, :3, :3]], 1))(ops.relu(conv(x, w))),
        lambda x, w: (lambda y: ops.max_pool2d(ops.concat([y, y], 1), size=2))(conv(x, w)),
        lambda x, w: (lambda y: ops.concat([ops.max_pool2d(y, size=3), ops.reshape(y, (-1, 3, 2, 2))]))(conv(x, w)),
        lambda x, w: (lambda y: ops.relu(y + ops.relu(y)))(conv(x, w)),
        lambda x, w: ops.relu(ops.relu(conv(x, w))),
        lambda x, w: ops.max_pool2d(ops.relu(conv(x, w))[:, ::-1], size=2),
    ],
)
@DTYPES
def test_a_convolution_that_is_used_elsewhere_too(function, dtype):
    require_same(function, [images(5, dtype), numbers((3, 2, 3, 3), dtype, 1)], cpu)


def test_a_convolution_that_is_itself_wanted_is_not_lost_to_fusion():
    x, w = images(), numbers((3, 2, 3, 3), seed=1)
    recorder, place = Recorder(cpu, [x, w]), np.empty((5, 3, 6, 6))
    with kernels.use(recorder):
        y = conv(td.Tensor(recorder.recorded(x)), td.Tensor(recorder.recorded(w)))
        other = np.empty((5, 3, 6, 6))
        recorder.result(ops.relu(y).data, other)
        recorder.result(y.data, place)
    calls = recorder.finish()
    x *= 3
    for function, arguments in calls:
        function(*arguments)
    wanted = cpu.conv2d(x, w, stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1)
    np.testing.assert_array_equal(place, wanted)
    np.testing.assert_array_equal(other, np.maximum(wanted, 0))


def test_values_that_are_not_finite_pass_fused_layers_as_others():
    x, w = images(), numbers((3, 2, 3, 3), seed=1)
    x[0, 0, 2, 2], x[1, 1, 3, 3], x[2, 0, 0, 0] = np.nan, np.inf, -np.inf
    for function, _ in FUSED.values():
        require_same(function, [x.copy(order="K"), w], cpu)


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
    with pytest.raises(NotRecordable, match="an array given to scaled as a setting"):
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
    calls = recorder.finish()
    x[...] = numbers(6, seed=1)
    for function, arguments in calls:
        function(*arguments)
    np.testing.assert_array_equal(place[:3], kernel(kernel(x))[:3])


@BOTH
def test_constants_changed_in_their_place_take_effect(k):
    factor = numbers(4, seed=1)
    x = numbers((3, 4))
    _, calls, places = record(lambda x: x * factor, [x], k)
    factor *= 2
    for function, arguments in calls:
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
