"""Operations done in one pass where they follow each other in a recording, against the tape, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

import treadle as td
from recording import numbers, record, require_same
from treadle import kernels, ops
from treadle.kernels.record import Recorder

cpu = pytest.importorskip("treadle.kernels.cpu")

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


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
    "twice": (
        lambda x, w: ops.relu(conv(ops.max_pool2d(ops.relu(conv(x, w)), size=2)[:, :2], w)),
        ["conv2d_max_pool2d"],
    ),
}


@DTYPES
@pytest.mark.parametrize("n", [1, 5, 16])
@pytest.mark.parametrize(("function", "left"), FUSED.values(), ids=FUSED)
def test_what_is_fused_is_the_same_to_the_bit(function, left, n, dtype):
    names = require_same(function, [images(n, dtype), numbers((3, 2, 3, 3), dtype, 1)], cpu, data=1)
    assert [name for name in names if name in ("conv2d", "conv2d_max_pool2d", "relu", "max_pool2d")][:1] == left
    assert "relu" not in names


@DTYPES
@pytest.mark.parametrize("n", [1, 5, 16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("height", "spread"), [(1, True), (2, True), (3, False), (4, True)])
def test_gradients_of_windows_go_to_the_filters_of_a_first_layer_without_being_written(height, spread, bias, n, dtype):
    def function(x, w, *b):
        return ops.max_pool2d(ops.relu(ops.conv2d(x, w, *b, padding=1)), size=(height, 3))

    x = kernels.batch_array((n, 2, 12, 9), dtype)
    x[...] = numbers(x.shape, dtype)
    arrays = [x, numbers((7, 2, 3, 3), dtype, 1), *([numbers((7,), dtype, 2)] if bias else [])]
    names = require_same(function, arrays, cpu, data=1)
    assert ("conv2d_pooled_weight_gradient" in names) == spread
    assert ("max_pool2d_scatter" in names) != spread
    assert "conv2d_pooled_weight_gradient" not in require_same(function, arrays, cpu)  # the images want gradients too


@DTYPES
@pytest.mark.parametrize("threads", [1, 2])
def test_filters_of_one_tap_are_fused_with_a_pooling(threads, dtype):
    x = kernels.batch_array((16, 24, 16, 16), dtype)
    x[...] = numbers(x.shape, dtype)
    with kernels.use(cpu), kernels.with_threads(threads):
        names = require_same(
            lambda x, w: ops.max_pool2d(ops.relu(ops.conv2d(x, w)), size=2), [x, numbers((64, 24, 1, 1), dtype, 1)], cpu
        )
    assert "conv2d_max_pool2d" in names


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
    require_same(function, [images(5, dtype), numbers((3, 2, 3, 3), dtype, 1)], cpu, data=1)


def test_a_convolution_that_is_itself_wanted_is_not_lost_to_fusion():
    x, w = images(), numbers((3, 2, 3, 3), seed=1)
    recorder, place = Recorder(cpu, [x, w]), np.empty((5, 3, 6, 6))
    with kernels.use(recorder):
        y = conv(td.Tensor(recorder.recorded(x)), td.Tensor(recorder.recorded(w)))
        other = np.empty((5, 3, 6, 6))
        recorder.result(ops.relu(y).data, other)
        recorder.result(y.data, place)
    calls = recorder.finish().calls()
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
        require_same(function, [x.copy(order="K"), w], cpu, data=1)


# --- Batch normalisation -----------------------------------------------------------------------------------------


def norm(y, scale, shift, epsilon=1e-3):
    along = (-1, 1, 1)
    return ops.standardize(y, axes=(0, 2, 3), epsilon=epsilon) * ops.reshape(scale, along) + ops.reshape(shift, along)


def residual(x, w, a, b):
    y = ops.relu(norm(conv(x, w), a, b))
    return ops.relu(norm(conv(y[:, :2], w), a, b) + y)


NORMALIZED = {
    "alone": lambda x, w, a, b: norm(conv(x, w), a, b),
    "relu": lambda x, w, a, b: ops.relu(norm(conv(x, w), a, b)),
    "relu and pool": lambda x, w, a, b: ops.max_pool2d(ops.relu(norm(conv(x, w), a, b)), size=2),
    "after relu": lambda x, w, a, b: norm(ops.relu(conv(x, w)), a, b),
    "residual": residual,
    "twice with one scale": lambda x, w, a, b: norm(norm(conv(x, w), a, b), a, b),
    "shift that is the scale": lambda x, w, a, b: norm(conv(x, w), a, a),
    "of data": lambda x, w, a, b: ops.relu(norm(x, a[:2], b[:2])),
}
SHARED = {
    "output and its relu": lambda y, a, b: (lambda z: z * ops.relu(z))(norm(y, a, b)),
    "output and its relu, joined": lambda y, a, b: (lambda z: ops.concat([z, ops.relu(z)], 1))(norm(y, a, b)),
    "relu twice": lambda y, a, b: (lambda z: ops.concat([ops.relu(z), ops.relu(z)], 1))(norm(y, a, b)),
    "relu used twice": lambda y, a, b: (lambda z: z * ops.exp(z))(ops.relu(norm(y, a, b))),
    "standardised": lambda y, a, b: (
        lambda z: ops.relu(z * ops.reshape(a, (-1, 1, 1)) + ops.reshape(b, (-1, 1, 1))) + z
    )(ops.standardize(y, axes=(0, 2, 3), epsilon=0.1)),
    "standardised, joined": lambda y, a, b: (
        lambda z: ops.concat([z * ops.reshape(a, (-1, 1, 1)) + ops.reshape(b, (-1, 1, 1)), z], 1)
    )(ops.standardize(y, axes=(0, 2, 3), epsilon=0.1)),
    "product": lambda y, a, b: (lambda z: z + ops.reshape(b, (-1, 1, 1)) + ops.exp(z))(
        ops.standardize(y, axes=(0, 2, 3), epsilon=0.1) * ops.reshape(a, (-1, 1, 1))
    ),
    "square": lambda y, a, b: (lambda z: z * z * ops.reshape(a, (-1, 1, 1)) + ops.reshape(b, (-1, 1, 1)))(
        ops.standardize(y, axes=(0, 2, 3), epsilon=0.1)
    ),
    "scale left": lambda y, a, b: (
        ops.reshape(a, (-1, 1, 1)) * ops.standardize(y, axes=(0, 2, 3), epsilon=0.1) + ops.reshape(b, (-1, 1, 1))
    ),
    "scale of each value": lambda y, a, b: (
        ops.standardize(y, axes=(0, 2, 3), epsilon=0.1) * y + ops.reshape(a, (-1, 1, 1))
    ),
    "shift of each value": lambda y, a, b: (
        ops.standardize(y, axes=(0, 2, 3), epsilon=0.1) * ops.reshape(a, (-1, 1, 1)) + y
    ),
    "one scale for all": lambda y, a, b: ops.standardize(y, axes=(0, 2, 3), epsilon=0.1) * ops.sum(a) + ops.sum(b),
    "scale and shift not trained": lambda y, a, b: norm(y, td.Tensor(a.data), td.Tensor(b.data)),
    "scale and its square": lambda y, a, b: norm(y, a * a, b) * ops.reshape(a, (-1, 1, 1)),
}


@DTYPES
@pytest.mark.parametrize("n", [1, 5, 16])
@pytest.mark.parametrize("function", NORMALIZED.values(), ids=NORMALIZED)
def test_batch_normalisation(function, n, dtype):
    arrays = [images(n, dtype), numbers((3, 2, 3, 3), dtype, 1), numbers(3, dtype, 2), numbers(3, dtype, 3)]
    require_same(function, arrays, cpu, data=1)


@DTYPES
@pytest.mark.parametrize("function", SHARED.values(), ids=SHARED)
def test_batch_normalisation_of_which_parts_are_used_elsewhere(function, dtype):
    arrays = [images(5, dtype), numbers((3, 2, 3, 3), dtype, 1), numbers(3, dtype, 2), numbers(3, dtype, 3)]
    require_same(lambda x, w, a, b: function(conv(x, w), a, b), arrays, cpu, data=1)


@DTYPES
@pytest.mark.parametrize("direct", [True, False])
def test_the_gradient_of_a_loss_takes_the_powers_of_the_loss(direct, dtype):
    labels = np.array([3, 0, 2, 2, 1])

    def function(scores):
        return ops.cross_entropy(scores if direct else scores * 0.5, labels)

    scores = numbers((5, 4), dtype)
    require_same(function, [scores], cpu)
    entries = cpu.fuse(record(function, [scores], cpu)[0].entries())
    (gradient,) = (entry for entry in entries if entry.name == "cross_entropy_gradient")
    assert len(gradient.calls) == 1


def test_the_powers_of_other_scores_are_not_taken():
    labels = np.array([3, 0, 2, 2, 1])

    def function(x, y):
        return ops.cross_entropy(x, labels) * ops.cross_entropy(y, labels[::-1].copy())

    arrays = [numbers((5, 4)), numbers((5, 4), seed=1)]
    require_same(function, arrays, cpu)
    require_same(lambda x: function(x, x), arrays[:1], cpu)
