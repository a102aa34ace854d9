"""One table of calls of every op, shared by the gradient checks and by the comparisons with other libraries."""

import numpy as np

import cases_network
from case import INF, LAYOUTS, NAN, Table

CASES = Table(cases_network.CASES)
add, kink = CASES.add, CASES.kink

# One operand, element by element -------------------------------------------------------------------------------

for op in [
    "abs", "erf", "exp", "gelu", "leaky_relu", "log", "negative", "relu", "sigmoid", "sign", "silu", "softplus", "sqrt",
    "tanh",
]:  # fmt: skip
    add(op, "typical", (3, 4))
    add(op, "0-d", ())
    add(op, "size 0", (2, 0, 3))
    add(op, "one element", (1, 1))
    add(op, "four dimensions", (2, 3, 1, 2))
    for layout_name, change in LAYOUTS.items():
        add(op, layout_name, (3, 4), layout=change)

kink("abs", "at 0", [[-1.0, 0.0, -0.0, 2.0]], [[-1, 0, 0, 1]])
kink("relu", "at 0", [[-1.0, 0.0, -0.0, 2.0]], [[0, 0, 0, 1]])
kink("sign", "at 0", [[-1.0, 0.0, -0.0, 2.0]], [[0, 0, 0, 0]])
kink("sqrt", "at 0", [[0.0, 4.0]], [[INF, 0.25]])
kink("exp", "of -inf", [[-INF, 0.0]], [[0, 1]])
kink("sigmoid", "far out", [[-1e4, 1e4, -INF, INF]], [[0, 0, 0, 0]])
kink("tanh", "far out", [[-1e4, 1e4, -INF, INF]], [[0, 0, 0, 0]])

for name, low, high in [("both limits", -1.0, 1.0), ("lower limit", -0.5, None), ("upper limit", None, 0.5)]:
    add("clip", name, (3, 4), low=low, high=high)
add("clip", "0-d", (), low=-1.0, high=1.0)
add("clip", "size 0", (0, 3), low=-1.0, high=1.0)
add("clip", "four dimensions", (2, 3, 1, 2), low=-1.0, high=0.3)
for layout_name, change in LAYOUTS.items():
    add("clip", layout_name, (3, 4), layout=change, low=-1.0, high=1.0)
kink("clip", "on the limits", [[-2.0, -1.0, 0.0, 1.0, 2.0]], [[0, 1, 1, 1, 0]], low=-1.0, high=1.0)
kink("clip", "limits that meet", [[-1.0, 0.5, 2.0]], [[0, 1, 0]], low=0.5, high=0.5)

# Two operands, element by element ------------------------------------------------------------------------------

for op in ["add", "subtract", "multiply", "divide", "maximum", "minimum", "power"]:
    add(op, "typical", [(3, 4), (3, 4)])
    add(op, "both 0-d", [(), ()])
    add(op, "0-d left", [(), (3,)])
    add(op, "0-d right", [(3,), ()])
    add(op, "size 0", [(0, 3), (0, 3)])
    add(op, "size 0 broadcast left", [(1, 3), (0, 3)])
    add(op, "size 0 broadcast right", [(2, 0), ()])
    add(op, "broadcast left", [(4,), (3, 4)])
    add(op, "broadcast right", [(3, 4), (1, 4)])
    add(op, "broadcast both ways", [(3, 1), (1, 4)])
    add(op, "more dimensions right", [(4, 1), (2, 1, 3)])
    for layout_name, change in LAYOUTS.items():
        add(op, layout_name, [(3, 4), (3, 4)], layout=change)
    add(op, "number left", (3,), lambda ops, x, op=op: getattr(ops, op)(1.3, x))
    add(op, "number right", (3,), lambda ops, x, op=op: getattr(ops, op)(x, 1.3))
    add(op, "whole number left", (3,), lambda ops, x, op=op: getattr(ops, op)(2, x))
    add(op, "whole number right", (3,), lambda ops, x, op=op: getattr(ops, op)(x, 2))

for op in ["add", "subtract", "multiply", "divide", "power"]:
    add(op, "the same operand twice", (3,), lambda ops, x, op=op: getattr(ops, op)(x, x))

for op, larger in [("maximum", 1.0), ("minimum", 0.0)]:
    kink(op, "ties", [[1.0, 2.0, 3.0], [1.0, 1.0, 5.0]], [[0.5, larger, 1 - larger], [0.5, 1 - larger, larger]])
    kink(op, "ties of zeros", [[0.0, -0.0], [-0.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]])
    kink(
        op, "ties in broadcasting", [[1.0, 1.0], [[1.0], [3.0]]], [[1.5 - larger, 1.5 - larger], [[1.0], [2 * larger]]]
    )
    kink(op, "tie with a number", [[0.0, 1.0]], [[0.5, larger]], lambda ops, x, op=op: getattr(ops, op)(x, 0.0))

for exponent in [0, 1, 2, 3, -1, -2, 0.5, -0.5]:
    add("power", f"exponent {exponent}", (3, 2), lambda ops, x, b=exponent: ops.power(x, b))
for exponent in [0, 1, 2, 3, -1]:
    negative = lambda ops, x, b=exponent: ops.power(ops.negative(x), b)  # noqa: E731
    add("power", f"negative base, exponent {exponent}", (3,), negative)
kink(
    "power",
    "negative base, whole exponents",
    [[-2.0, -2.0, -2.0, -2.0], [0.0, 1.0, 2.0, -1.0]],
    [[0, 1, -4, -0.25], [NAN, NAN, NAN, NAN]],
)
kink("power", "0 to the 0", [[0.0, 2.0], [0.0, 0.0]], [[0, 0], [0, np.log(2)]])
kink("power", "0 to positive powers", [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]], [[1, 0, 0], [0, 0, 0]])
kink("power", "0 to the number 0", [[0.0, 2.0]], [[0, 0]], lambda ops, x: ops.power(x, 0))
kink("power", "0 to the number 1", [[0.0, 2.0]], [[1, 1]], lambda ops, x: ops.power(x, 1))
kink("power", "0 to the number 2", [[0.0, 2.0]], [[0, 4]], lambda ops, x: ops.power(x, 2))
kink("power", "0 to the number 0.5", [[0.0, 4.0]], [[INF, 0.25]], lambda ops, x: ops.power(x, 0.5))
kink("power", "the number 0 as base", [[0.0, 1.0, 2.0]], [[0, 0, 0]], lambda ops, x: ops.power(0.0, x))

MASK = np.array([[True, False, True, False], [False, False, False, False], [True, True, True, True]])
add("where", "typical", [(3, 4), (3, 4)], lambda ops, a, b: ops.where(MASK, a, b))
add("where", "0-d", [(), ()], lambda ops, a, b: ops.where(np.array(True), a, b))
add("where", "size 0", [(0, 4), (4,)], lambda ops, a, b: ops.where(MASK[:0], a, b))
add("where", "broadcast mask", [(3, 4), (3, 4)], lambda ops, a, b: ops.where(MASK[:, :1], a, b))
add("where", "broadcast left", [(4,), (3, 4)], lambda ops, a, b: ops.where(MASK, a, b))
add("where", "broadcast right", [(3, 4), ()], lambda ops, a, b: ops.where(MASK, a, b))
add("where", "mask larger than both", [(4,), (3, 1)], lambda ops, a, b: ops.where(MASK, a, b))
add("where", "number left", (3, 4), lambda ops, b: ops.where(MASK, 0.0, b))
add("where", "number right", (3, 4), lambda ops, a: ops.where(MASK, a, 0.0))
add("where", "list as mask", [(2,), (2,)], lambda ops, a, b: ops.where([True, False], a, b))
for layout_name, change in LAYOUTS.items():
    add("where", layout_name, [(3, 4), (3, 4)], lambda ops, a, b: ops.where(MASK, a, b), layout=change)
kink(
    "where",
    "NaN not taken",
    [[1.0, NAN], [INF, 2.0]],
    [[1, 0], [0, 1]],
    lambda ops, a, b: ops.where([True, False], a, b),
)

# Reductions ----------------------------------------------------------------------------------------------------

for op in ["sum", "mean", "var", "max", "min", "logsumexp"]:
    add(op, "all", (3, 4))
    add(op, "0-d", ())
    add(op, "one element", (1,))
    add(op, "axis 0", (3, 4), axis=0)
    add(op, "axis -1", (3, 4), axis=-1)
    add(op, "keepdims", (3, 4), axis=1, keepdims=True)
    add(op, "all, keepdims", (3, 4), keepdims=True)
    add(op, "two axes of four", (2, 3, 2, 2), axis=(0, 2))
    add(op, "axes out of order, keepdims", (2, 3, 2), axis=(-1, 0), keepdims=True)
    add(op, "no result", (3, 0), axis=0)
    for layout_name, change in LAYOUTS.items():
        add(op, layout_name, (3, 4), layout=change, axis=0)
add("sum", "of nothing", (2, 0), axis=1)
kink("logsumexp", "of nothing", [np.zeros((2, 0))], [np.zeros((2, 0))], axis=1)
for ddof in [1, 2]:
    add("var", f"ddof {ddof}", (3, 4), axis=0, ddof=ddof)
kink("mean", "of nothing", [np.zeros((2, 0))], [np.zeros((2, 0))], axis=1)
kink("var", "constant", [np.full((2, 3), 0.1)], [np.zeros((2, 3))], axis=1)
for op in ["max", "min"]:
    kink(op, "ties", [[1.0, 1.0, 1.0, 1.0]], [[0.25] * 4])
    kink(op, "ties along axis 0", [[[0.0, 3.0], [0.0, 3.0]]], [[[0.5, 0.5], [0.5, 0.5]]], axis=0)
    kink(op, "NaN", [[1.0, NAN, 3.0]], [[0, 1, 0]])
kink("max", "ties in one row", [[[2.0, 2.0, 1.0], [1.0, 2.0, 3.0]]], [[[0.5, 0.5, 0], [0, 0, 1]]], axis=1)
kink("min", "ties in one row", [[[2.0, 2.0, 3.0], [1.0, 2.0, 3.0]]], [[[0.5, 0.5, 0], [1, 0, 0]]], axis=1)
kink("logsumexp", "with -inf", [[0.0, -INF, 0.0]], [[0.5, 0, 0.5]])

for op in ["softmax", "log_softmax"]:
    add(op, "typical", (3, 4))
    add(op, "0-d", (), axis=None)
    add(op, "one class", (3, 1))
    add(op, "axis 0", (3, 4), axis=0)
    add(op, "all axes", (3, 4), axis=None)
    add(op, "two axes", (2, 3, 4), axis=(0, 2))
    add(op, "middle axis of four", (2, 3, 2, 2), axis=1)
    add(op, "size 0", (0, 4))
    add(op, "no class", (3, 0))
    for layout_name, change in LAYOUTS.items():
        add(op, layout_name, (3, 4), layout=change)
kink("softmax", "far out", [[1e4, 0.0, -1e4, -INF]], [[0, 0, 0, 0]])
kink("log_softmax", "far out", [[1e4, 0.0, -1e4]], [[-2, 1, 1]])

# Matrix products -----------------------------------------------------------------------------------------------

for name, left, right in [
    ("vector by vector", (3,), (3,)),
    ("matrix by vector", (2, 3), (3,)),
    ("vector by matrix", (3,), (3, 2)),
    ("matrix by matrix", (2, 3), (3, 4)),
    ("batch", (5, 2, 3), (5, 3, 4)),
    ("batch by matrix", (5, 2, 3), (3, 4)),
    ("matrix by batch", (2, 3), (5, 3, 4)),
    ("batch by vector", (5, 2, 3), (3,)),
    ("vector by batch", (3,), (5, 3, 2)),
    ("batch dimensions broadcast both ways", (5, 1, 2, 3), (2, 3, 4)),
    ("batch of one", (1, 2, 3), (5, 3, 2)),
    ("inner size 0", (2, 0), (0, 3)),
    ("inner size 0, vectors", (0,), (0,)),
    ("no rows", (0, 3), (3, 2)),
    ("empty batch", (0, 2, 3), (3, 2)),
    ("one by one", (1, 1), (1, 1)),
]:
    add("matmul", name, [left, right])
for layout_name, change in LAYOUTS.items():
    add("matmul", layout_name, [(4, 3), (3, 4)], layout=change)
    add("matmul", f"batch, {layout_name}", [(2, 4, 3), (2, 3, 4)], layout=change)
add("matmul", "the same operand twice", (3, 3), lambda ops, x: ops.matmul(x, x))

# Shapes --------------------------------------------------------------------------------------------------------

for name, old, new in [
    ("typical", (3, 4), (2, 6)),
    ("flatten", (2, 3, 2), (-1,)),
    ("-1 in the middle", (2, 6), (2, -1, 3)),
    ("to 0-d", (1, 1), ()),
    ("0-d", (), (1, 1)),
    ("size 0", (0, 3), (3, 0, 2)),
    ("the same", (3, 4), (3, 4)),
]:
    add("reshape", name, old, shape=new)
add("reshape", "one number", (2, 3), shape=6)
for layout_name, change in LAYOUTS.items():
    add("reshape", layout_name, (3, 4), layout=change, shape=(6, 2))

add("transpose", "typical", (3, 4))
for name, old, axes in [
    ("three axes", (2, 3, 4), (1, 2, 0)),
    ("negative axes", (2, 3, 4), (-1, 0, 1)),
    ("as it was", (2, 3), (0, 1)),
    ("four axes", (2, 3, 1, 2), (3, 1, 0, 2)),
    ("0-d", (), None),
    ("vector", (3,), None),
    ("size 0", (2, 0, 3), None),
]:
    add("transpose", name, old, axes=axes)
for layout_name, change in LAYOUTS.items():
    add("transpose", layout_name, (3, 4), layout=change)

for name, old, a, b in [
    ("typical", (3, 4), 0, 1),
    ("last two", (2, 3, 4), -1, -2),
    ("first and last", (2, 3, 4), 0, -1),
    ("an axis with itself", (2, 3), 1, 1),
    ("four axes", (2, 3, 1, 2), 1, 3),
    ("vector", (3,), 0, 0),
    ("size 0", (2, 0, 3), 0, 1),
]:
    add("swapaxes", name, old, a=a, b=b)
for layout_name, change in LAYOUTS.items():
    add("swapaxes", layout_name, (3, 4), layout=change, a=0, b=1)

for name, old, new in [
    ("typical", (4,), (3, 4)),
    ("0-d", (), (2, 3)),
    ("0-d to 0-d", (), ()),
    ("column", (3, 1), (3, 4)),
    ("row and column", (1, 1), (3, 4)),
    ("the same", (3, 4), (3, 4)),
    ("to size 0", (1, 3), (0, 3)),
    ("two new axes", (2, 1), (4, 3, 2, 2)),
]:
    add("broadcast_to", name, old, shape=new)
for layout_name, change in LAYOUTS.items():
    add("broadcast_to", layout_name, (3, 4), layout=change, shape=(2, 3, 4))

INDEX_MASK = np.array([[True, False, True, True], [False] * 4, [False, True, False, False]])
for name, old, index in [
    ("integer", (3, 4), 1),
    ("negative integer", (3, 4), -1),
    ("one element", (3, 4), (2, 1)),
    ("element of a vector", (3,), 0),
    ("0-d by ()", (), ()),
    ("0-d by ...", (), ...),
    ("0-d by None", (), None),
    ("slice", (5, 2), slice(1, 4)),
    ("every other", (5, 2), slice(None, None, 2)),
    ("reversed", (5, 2), slice(None, None, -1)),
    ("reversed both", (3, 4), (slice(None, None, -2), slice(None, None, -1))),
    ("empty slice", (5, 2), slice(3, 3)),
    ("new axes", (3, 4), (None, slice(None), None, 2)),
    ("ellipsis", (2, 3, 4), (..., 1)),
    ("ellipsis between", (2, 3, 4), (0, ..., slice(1, 3))),
    ("integers", (4, 2), np.array([2, 0, 3])),
    ("repeated integers", (4, 2), np.array([2, 0, 2, 2])),
    ("list", (4, 2), [3, 3, -4]),
    ("matrix of integers", (4,), np.array([[0, 1], [1, 3]])),
    ("pairs", (3, 4), (np.array([0, 2, 2]), np.array([3, 1, 1]))),
    ("integers that broadcast", (3, 4), (np.array([[0], [2]]), np.array([1, 1, 3]))),
    ("slice and repeated integers", (3, 4), (slice(1, None), np.array([1, 1, 3]))),
    ("integers, None, slice", (3, 4), (np.array([0, 0]), None, slice(1, 3))),
    ("no integers", (4, 2), np.array([], dtype=np.int64)),
    ("mask", (3, 4), INDEX_MASK),
    ("mask of rows", (3, 4), np.array([True, False, True])),
    ("mask of nothing", (3, 4), np.zeros((3, 4), bool)),
    ("size 0", (0, 3), (slice(None), 1)),
]:
    add("getitem", name, old, index=index)
for layout_name, change in LAYOUTS.items():
    add("getitem", layout_name, (3, 4), layout=change, index=(slice(None), np.array([0, 0, 2])))

for name, old, index, new in [
    ("typical", (3,), np.array([2, 0, 3]), (4,)),
    ("repeated", (4,), np.array([1, 1, 0, 1]), (3,)),
    ("list", (3,), [0, 2, 2], (4,)),
    ("rows", (3, 2), np.array([1, 1, 0]), (4, 2)),
    ("pairs", (3,), (np.array([0, 1, 1]), np.array([2, 0, 0])), (2, 3)),
    ("slice", (2, 3), slice(1, 3), (4, 3)),
    ("integer", (3,), 1, (2, 3)),
    ("0-d", (), (1, 2), (2, 3)),
    ("0-d into 0-d", (), ..., ()),
    ("mask", (4,), INDEX_MASK, (3, 4)),
    ("size 0", (0,), np.array([], dtype=np.int64), (3,)),
    ("one number to many places", (), np.array([0, 0, 2]), (3,)),
    ("row to many rows", (1, 2), np.array([0, 0, 2]), (3, 2)),
]:
    add("scatter_add", name, old, index=index, shape=new)
for layout_name, change in LAYOUTS.items():
    add("scatter_add", layout_name, (3, 4), layout=change, index=np.array([1, 0, 1]), shape=(2, 4))

for name, olds, axis in [
    ("typical", [(2, 3), (2, 3)], 0),
    ("unequal lengths", [(2, 3), (1, 3), (4, 3)], 0),
    ("axis 1", [(2, 3), (2, 1)], 1),
    ("axis -1", [(2, 1, 3), (2, 1, 2)], -1),
    ("one array", [(2, 3)], 0),
    ("an empty one", [(2, 3), (0, 3)], 0),
    ("all empty", [(2, 0), (2, 0)], 1),
    ("vectors", [(3,), (1,)], 0),
    ("four dimensions", [(2, 1, 3, 2), (2, 2, 3, 2)], 1),
]:
    add("concat", name, olds, lambda ops, *xs, axis=axis: ops.concat(xs, axis))
add("concat", "the same twice", (2, 3), lambda ops, x: ops.concat([x, x], 1))
for name, olds, axis in [
    ("axis 0", [(2, 3), (2, 3)], 0),
    ("axis 1", [(2, 3), (2, 3)], 1),
    ("axis 2", [(2, 3), (2, 3)], 2),
    ("axis -1", [(2, 3), (2, 3), (2, 3)], -1),
    ("axis -2", [(2, 3), (2, 3)], -2),
    ("0-d", [(), (), ()], 0),
    ("one array", [(3,)], 0),
    ("size 0", [(0, 3), (0, 3)], 1),
]:
    add("stack", name, olds, lambda ops, *xs, axis=axis: ops.stack(xs, axis))
for op in ["concat", "stack"]:
    for layout_name, change in LAYOUTS.items():
        run = lambda ops, *xs, op=op: getattr(ops, op)(xs, 1)  # noqa: E731
        add(op, layout_name, [(3, 4), (3, 4)], run, layout=change)

for name, old, width, value in [
    ("typical", (2, 3), [(1, 2), (0, 1)], 0.0),
    ("value", (2, 3), [(1, 0), (2, 2)], -7.5),
    ("no width", (2, 3), [(0, 0), (0, 0)], 1.0),
    ("vector", (3,), [(2, 1)], 0.0),
    ("0-d", (), [], 0.0),
    ("size 0", (0, 3), [(2, 1), (0, 0)], 3.0),
    ("three dimensions", (2, 1, 3), [(0, 1), (1, 1), (1, 0)], 0.5),
    ("minus infinity", (2,), [(1, 1)], -INF),
]:
    if value == -INF:
        run = lambda ops, x, width=width: ops.exp(ops.pad(x, width, -INF))  # noqa: E731
        add("pad", name, old, run)
    else:
        add("pad", name, old, width=width, value=value)
for layout_name, change in LAYOUTS.items():
    add("pad", layout_name, (3, 4), layout=change, width=[(1, 1), (2, 0)])

# Losses --------------------------------------------------------------------------------------------------------

for name, old, labels in [
    ("typical", (3, 4), [1, 0, 3]),
    ("all of one class", (3, 4), [2, 2, 2]),
    ("two classes", (4, 2), [0, 1, 1, 0]),
    ("one class", (2, 1), [0, 0]),
    ("one sample", (1, 5), [4]),
    ("no sample", (0, 4), []),
]:
    array = np.array(labels, dtype=np.int64)
    add("cross_entropy", name, old, labels=array)
    run = lambda ops, g, s, labels=array: ops.cross_entropy_gradient(g, s, labels)  # noqa: E731
    add("cross_entropy_gradient", name, [old[:1], old], run)
for layout_name, change in LAYOUTS.items():
    add("cross_entropy", layout_name, (3, 4), layout=change, labels=np.array([1, 0, 3]))
    run = lambda ops, g, s: ops.cross_entropy_gradient(g, s, np.array([1, 0, 3]))  # noqa: E731
    add("cross_entropy_gradient", layout_name, [(3,), (3, 4)], run, layout=change)
add("cross_entropy", "labels in uint8", (2, 4), labels=np.array([3, 0], dtype=np.uint8))
kink(
    "cross_entropy",
    "far out",
    [[[1e4, 0.0, -1e4], [1e4, 0.0, -1e4]]],
    [[[0, 0, 0], [1, 0, -1]]],
    labels=np.array([0, 2]),
)
