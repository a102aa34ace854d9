"""The tape: order, memory, errors, dtypes and determinism."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import treadle as td
from treadle.autodiff.tape import Primitive, gradients, recorded
from treadle.errors import DtypeError, GradientError, LossError, ShapeError
from treadle.tensor import Tensor


class Buffer(np.ndarray):
    """An array that a weak reference can follow."""


def watched(shape):
    array = np.ones(shape).view(Buffer)
    return array, weakref.ref(array)


def counting(calls):
    """Identity of two operands' sum whose pullbacks note that they were called."""

    def pullback(number):
        def rule(k, g, y, a, b):
            calls.append(number)
            return g

        return rule

    return Primitive("counting", lambda k, a, b: a + b, pullback(0), pullback(1))


def test_a_chain_of_100_000_ops_goes_backward_without_recursion():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 1])


@pytest.mark.parametrize("how", ["dropped unused", "retained and dropped", "differentiable"])
def test_a_chain_of_100_000_ops_is_dropped_without_recursion(how):
    x = td.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    if how == "retained and dropped":
        y.backward(retain=True)
        assert x.grad == 1
    if how == "differentiable":
        (g,) = td.grad(y, [x])
        assert g.item() == 1
        del g
    kept = weakref.ref(y.numpy())
    del y
    gc.collect()
    assert kept() is None


def test_diamonds_add_up_in_the_right_order():
    x = td.tensor(3.0, requires_grad=True)
    a = x * x
    b = a * 2.0
    c = a + b  # a is reached over a path of one and a path of two
    (c * a).backward()  # 3 x⁴
    assert x.grad == pytest.approx(12 * 27)


def test_a_ladder_of_diamonds_is_walked_once_per_value():
    x = td.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y  # 2⁶⁰ paths
    y.backward()
    assert x.grad == 2.0**60


def test_an_operand_twice_gets_both_gradients():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 4])


def test_gradients_accumulate_over_two_passes():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    (x * 10.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [12, 14])


def test_an_accumulated_gradient_of_a_number_is_still_an_array():
    x = td.tensor(2.0, requires_grad=True)
    for _ in range(2):
        (x * x).backward()
        assert type(x.grad) is np.ndarray
    x.grad += 1
    assert x.grad == 9


def test_a_freed_graph_is_refused():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    squares = x * x
    squares.sum().backward()
    with pytest.raises(GradientError, match=r"freed it.*retain=True"):
        squares.backward([1.0, 1.0])


def test_a_second_output_over_a_freed_part_is_refused():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    squares = x * x
    first, second = squares.sum(), (squares * squares).sum()
    first.backward()
    with pytest.raises(GradientError, match="freed"):
        second.backward()
    np.testing.assert_array_equal(x.grad, [2, 4])  # the failed pass added nothing


def test_retain_allows_another_pass():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    y.backward(retain=True)
    y.backward()
    np.testing.assert_array_equal(x.grad, [4, 8])
    with pytest.raises(GradientError):
        y.backward()


def test_backward_without_a_path_is_refused():
    with pytest.raises(GradientError, match="requires_grad=True"):
        td.tensor([1.0]).sum().backward()


def test_several_elements_need_a_gradient():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(GradientError, match=r"shape \(2,\) has no single gradient"):
        (x * 2.0).backward()
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2,\)"):
        (x * 2.0).backward([1.0, 1.0, 1.0])


def test_a_single_element_needs_no_gradient_whatever_its_shape():
    x = td.tensor([[3.0]], requires_grad=True)
    (x * x).backward()
    np.testing.assert_array_equal(x.grad, [[6]])


def test_the_graph_is_freed_on_the_way():
    array, alive = watched(10)
    x = td.tensor(np.ones(10), requires_grad=True)
    y = x * Tensor(array)
    del array
    output = y.sum()
    assert alive() is not None
    output.backward()
    assert alive() is None
    assert recorded(x) == [x]


def test_what_no_gradient_needs_is_not_recorded():
    array, alive = watched(10)
    y = Tensor(array) * 2.0
    del array
    assert alive() is None
    assert y.inputs == ()
    assert not y.requires_grad


def test_memory_does_not_grow_while_walking_back():
    """Each step holds the gradient that arrives and the one that leaves; inputs go as they are passed."""
    size, steps = 1_000_000, 20
    x = td.tensor(np.ones(size), requires_grad=True)
    y = x
    for _ in range(steps):
        y = y * y
    tracemalloc.start()
    y.backward(np.ones(size))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * 8 * size
    assert x.grad[0] == 2.0**steps


def test_a_chain_releases_its_values_before_it_ends():
    alive, at_start = [], []

    def forward(k, x):
        out = x.copy().view(Buffer)
        alive.append(weakref.ref(out))
        return out

    def note(k, g, y, x):
        at_start.append(sum(ref() is not None for ref in alive))
        return g

    step = Primitive("step", forward, note)
    y = td.tensor(np.ones(3), requires_grad=True)
    for _ in range(10):
        y = step(y)
    z = y.sum()
    del y
    z.backward()
    assert at_start == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_only_paths_to_wanted_inputs_are_walked():
    calls = []
    op = counting(calls)
    a, b = td.tensor([1.0], requires_grad=True), td.tensor([2.0], requires_grad=True)
    side = op(b, b)  # leads to b only
    output = op(a, side)
    ((_, g),) = gradients(output, [a])
    assert calls == [0]
    np.testing.assert_array_equal(g, [1])


def test_constants_cost_no_pullback():
    calls = []
    op = counting(calls)
    op(td.tensor([1.0], requires_grad=True), td.tensor([2.0])).backward()
    op(td.tensor([1.0]), td.tensor([2.0], requires_grad=True)).backward()
    assert calls == [0, 1]


def test_each_rule_is_called_once_where_many_paths_meet():
    calls = []
    op = counting(calls)
    x = td.tensor([1.0], requires_grad=True)
    shared = op(x, [0.0])
    (shared * shared + shared).sum().backward()
    assert calls == [0]
    np.testing.assert_array_equal(x.grad, [3])


def test_the_gradient_by_an_intermediate_value():
    x = td.tensor(2.0, requires_grad=True)
    y = x * x
    z = y * y
    g_y, g_z, g_x = td.grad(z, [y, z, x])
    assert (g_y.item(), g_z.item(), g_x.item()) == (8, 1, 32)


def test_the_gradient_by_what_did_not_take_part_is_none():
    x, other = td.tensor(2.0, requires_grad=True), td.tensor(3.0, requires_grad=True)
    found = td.grad(x * x, [other, x])
    assert found[0] is None
    assert found[1].item() == 4


def test_third_derivative():
    x = td.tensor(2.0, requires_grad=True)
    y = x**5
    for expected in [80.0, 160.0, 240.0, 240.0, 120.0]:
        (y,) = td.grad(y, [x])
        assert y.item() == pytest.approx(expected, rel=1e-14)


def test_gradients_do_not_alias():
    a, b = td.tensor([1.0, 2.0], requires_grad=True), td.tensor([3.0, 4.0], requires_grad=True)
    arriving = np.ones(2)
    (a + b).backward(arriving)
    a.grad[0] = 99
    np.testing.assert_array_equal(b.grad, [1, 1])
    np.testing.assert_array_equal(arriving, [1, 1])
    a.sum().backward()  # the gradient of a sum is a view that cannot be written to
    a.grad += 1


def test_the_same_bits_in_every_repetition():
    def run():
        rng = np.random.default_rng(0)
        w = td.tensor(rng.standard_normal((20, 30)).astype(np.float32), requires_grad=True)
        x = td.tensor(rng.standard_normal((7, 20)).astype(np.float32))
        h = td.ops.tanh(x @ w)
        parts = [h * float(n) for n in range(5)]
        td.ops.cross_entropy(sum(parts) + h, np.arange(7)).mean().backward()
        return w.grad.tobytes()

    assert len({run() for _ in range(20)}) == 1


def test_float64_is_kept():
    x = td.tensor(np.array([0.1]), requires_grad=True)
    y = x * 3.0
    y.backward()
    assert y.dtype == x.grad.dtype == np.float64
    assert td.tensor([0.1]).dtype == np.float64


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "matmul"])
@pytest.mark.parametrize("other", [np.float64, np.float16, np.int64])
def test_dtypes_do_not_mix(name, other):
    with pytest.raises(DtypeError, match=rf"^{name}: float32 and {np.dtype(other)} do not mix"):
        getattr(td.ops, name)(td.tensor(np.ones(2, np.float32)), np.ones(2, other))


def test_dtypes_do_not_mix_in_ops_of_many_inputs():
    a, b = np.ones(2, np.float32), np.ones(2)
    with pytest.raises(DtypeError, match=r"^concat: float32 and float64"):
        td.ops.concat([a, b])
    with pytest.raises(DtypeError, match=r"^where: float64 and float32"):
        td.ops.where([True, False], b, a)


@pytest.mark.parametrize("number", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2)], ids=repr)
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "power", "maximum", "minimum"])
def test_numbers_are_weak(name, number):
    x = td.tensor(np.array([0.5, 1.5], np.float32), requires_grad=True)
    for y in (getattr(td.ops, name)(x, number), getattr(td.ops, name)(number, x)):
        assert y.dtype == np.float32
        x.grad = None
        y.sum().backward()
        assert x.grad.dtype == np.float32


@pytest.mark.parametrize("number", [1, 1.0, np.float64(1), np.float32(1)], ids=repr)
def test_numbers_as_settings_are_weak(number):
    x = td.tensor(np.array([0.5, 1.5], np.float32), requires_grad=True)
    for y in (
        td.ops.clip(x, -number, number),
        td.ops.clip(x, None, number),
        td.ops.pad(x, [(1, 1)], number),
        td.ops.where([True, False], x, number),
        td.ops.where([True, False], number, x),
    ):
        x.grad = None
        y.sum().backward()
        assert y.dtype == x.grad.dtype == np.float32


@pytest.mark.parametrize("data", [[1, 2], [True], np.arange(3), [1j]], ids=str)
def test_only_floats_have_gradients(data):
    with pytest.raises(DtypeError, match="only floats have gradients"):
        td.tensor(data, requires_grad=True)


@pytest.mark.parametrize(
    ("op", "run"),
    [
        ("add", lambda a, b: a + b),
        ("multiply", lambda a, b: a * b),
        ("maximum", td.ops.maximum),
        ("matmul", lambda a, b: a @ b.T),
        ("concat", lambda a, b: td.ops.concat([a, b], 1)),
    ],
)
def test_shapes_that_do_not_fit_name_the_op_and_both(op, run):
    b = td.tensor(np.ones((4, 5)))
    shape = r"\(5, 4\)" if op == "matmul" else r"\(4, 5\)"
    with pytest.raises(ShapeError, match=rf"^{op}: shapes \(2, 3\) and {shape} do not fit"):
        run(td.tensor(np.ones((2, 3))), b)


@pytest.mark.parametrize(
    ("message", "run"),
    [
        ("^reshape: shapes .*2, 3.*", lambda x: td.ops.reshape(x, (4, 2))),
        ("^broadcast_to: ", lambda x: td.ops.broadcast_to(x, (3, 3))),
        ("^transpose: 1 axes given for 2 dimensions", lambda x: td.ops.transpose(x, (0,))),
        ("^transpose: axes .* name one axis twice", lambda x: td.ops.transpose(x, (0, 0))),
        ("^sum: axis 2 is out of range for 2 dimensions", lambda x: td.ops.sum(x, 2)),
        ("^softmax: axis -3 is out of range", lambda x: td.ops.softmax(x, -3)),
        ("^swapaxes: axis 5", lambda x: td.ops.swapaxes(x, 0, 5)),
        ("^getitem: .*out of bounds", lambda x: td.ops.getitem(x, 7)),
        ("^getitem: .*", lambda x: td.ops.getitem(x, (0, 0, 0))),
        ("^scatter_add: ", lambda x: td.ops.scatter_add(x, [0, 9], (3, 3))),
        ("^pad: 1 pairs of widths given", lambda x: td.ops.pad(x, [(1, 1)])),
        ("^pad: ", lambda x: td.ops.pad(x, [(1, 1), (-1, 0)])),
        ("^stack: all shapes must be equal", lambda x: td.ops.stack([x, x[0]])),
        ("^concat: nothing to join", lambda x: td.ops.concat([])),
        ("^stack: ", lambda x: td.ops.stack([])),
        ("^concat: axis 0 is out of range for 0 dimensions", lambda x: td.ops.concat([1.0, 2.0])),
        ("^matmul: ", lambda x: td.ops.matmul(x, 2.0)),
        ("^max: .*", lambda x: td.ops.max(x[:0])),
        ("^var: 0 elements are too few", lambda x: td.ops.var(x[:0])),
        ("^var: 2 elements are too few for ddof=2", lambda x: td.ops.var(x, 0, ddof=2)),
        (r"^cross_entropy: .*\(2, 3\) and \(3,\)", lambda x: td.ops.cross_entropy(x, [0, 1, 2])),
        (r"^cross_entropy: .*\(2, 3\) and \(2, 1\)", lambda x: td.ops.cross_entropy(x, [[0], [1]])),
        (r"^cross_entropy: .*\(3,\) and \(1,\)", lambda x: td.ops.cross_entropy(x[0], [0])),
    ],
)
def test_misfits_are_shape_errors_that_name_the_op(message, run):
    with pytest.raises(ShapeError, match=message):
        run(td.tensor(np.arange(6.0).reshape(2, 3)))


@pytest.mark.parametrize("labels", [[0, 3], [0, -1], [0.0, 1.0], [True, False]], ids=str)
def test_labels_that_are_none_are_refused(labels):
    with pytest.raises(LossError, match="labels must be integers from 0 to 2"):
        td.ops.cross_entropy(np.ones((2, 3)), labels)


def test_integers_become_floats_where_floats_come_out():
    assert td.ops.var([1, 2]).item() == 0.25
    np.testing.assert_allclose(td.ops.softmax([0, 0]).numpy(), [0.5, 0.5])
    np.testing.assert_allclose(td.ops.log_softmax([0, 0]).numpy(), np.log([0.5, 0.5]))
    np.testing.assert_allclose(td.ops.logsumexp([0, 0]).numpy(), np.log(2))
    np.testing.assert_allclose(td.ops.cross_entropy([[0, 0]], [0]).numpy(), [np.log(2)])
    np.testing.assert_allclose(td.ops.mean([1, 2]).numpy(), 1.5)


def test_tensors_as_indices():
    x = td.tensor([1.0, 2.0, 3.0], requires_grad=True)
    places = td.tensor([2, 2, 0])
    x[places].sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 0, 2])
    np.testing.assert_array_equal(td.ops.scatter_add([1.0, 2.0, 4.0], places, (3,)).numpy(), [4, 0, 3])
    np.testing.assert_allclose(td.ops.cross_entropy(np.zeros((3, 4)), places).numpy(), np.log([4.0, 4, 4]))
