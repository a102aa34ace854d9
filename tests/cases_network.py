"""Rows of the table of `cases` for the ops of layers: activations, images, normalisation and random masks."""

from typing import Any

import numpy as np

from case import INF, LAYOUTS, NAN, Table, plain

CASES = Table()
add, kink = CASES.add, CASES.kink

# Activations beside those above --------------------------------------------------------------------------------

for op in ["relu_gradient", "gelu_gradient", "silu_gradient"]:
    add(op, "typical", [(3, 4), (3, 4)])
    add(op, "0-d", [(), ()])
    add(op, "size 0", [(2, 0, 3), (2, 0, 3)])
    add(op, "one element", [(1, 1), (1, 1)])
    add(op, "four dimensions", [(2, 3, 1, 2), (2, 3, 1, 2)])
    for layout_name, change in LAYOUTS.items():
        add(op, layout_name, [(3, 4), (3, 4)], layout=change)
kink("relu_gradient", "at 0", [[1.0, 2.0, 3.0], [-1.0, 0.0, 2.0]], [[0, 0, 1], [0, 0, 0]])
add("leaky_relu", "steep", (3, 4), slope=0.3)
add("leaky_relu", "negative slope", (3, 4), slope=-0.5)
kink("leaky_relu", "at 0", [[-1.0, 0.0, 2.0]], [[0.1, 0.1, 1]], slope=0.1)
kink("softplus", "far out", [[-1e4, 0.0, 1e4, -INF, INF]], [[0, 0.5, 1, 0, 1]])
kink("erf", "far out", [[-1e3, 1e3, -INF, INF]], [[0, 0, 0, 0]])
kink("gelu", "far out", [[-1e3, 0.0, 1e3]], [[0, 0.5, 1]])
kink("silu", "far out", [[-1e3, 0.0, 1e3]], [[0, 0.5, 1]])

# Images --------------------------------------------------------------------------------------------------------

CONVOLUTIONS: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("typical", (2, 2, 5, 4), (3, 2, 3, 2), {}),
    ("padding", (2, 1, 4, 4), (2, 1, 3, 3), {"padding": 1}),
    ("padding unlike in rows and columns", (1, 2, 3, 5), (1, 2, 2, 3), {"padding": (2, 1)}),
    ("stride", (1, 2, 6, 5), (2, 2, 2, 2), {"stride": 2}),
    ("stride larger than the window", (1, 1, 7, 8), (2, 1, 2, 1), {"stride": (3, 4)}),
    ("stride that leaves out the last column", (1, 1, 4, 6), (1, 1, 2, 3), {"stride": 2}),
    ("dilation", (1, 2, 6, 5), (1, 2, 2, 3), {"dilation": (3, 2)}),
    (
        "everything at once",
        (2, 4, 6, 7),
        (4, 2, 2, 3),
        {"stride": (2, 1), "padding": (1, 2), "dilation": (2, 1), "groups": 2},
    ),
    ("two groups", (1, 4, 3, 3), (2, 2, 2, 2), {"groups": 2}),
    ("a group a channel", (2, 3, 3, 3), (6, 1, 2, 2), {"groups": 3}),
    ("1×1", (2, 3, 2, 2), (2, 3, 1, 1), {}),
    ("1×1 with stride", (1, 2, 5, 4), (2, 2, 1, 1), {"stride": 2}),
    ("window as large as the image", (2, 2, 3, 3), (2, 2, 3, 3), {}),
    ("window larger than the image but for padding", (1, 1, 2, 2), (1, 1, 4, 3), {"padding": 1}),
    ("one sample", (1, 1, 3, 3), (1, 1, 2, 2), {}),
    ("no sample", (0, 2, 4, 4), (3, 2, 3, 3), {"padding": 1}),
]


def _outputs(x: tuple[int, ...], w: tuple[int, ...], settings: dict[str, Any]) -> tuple[int, ...]:
    """Shape of the outputs of a convolution, by counting where a window may begin."""

    def count(axis: int) -> int:
        stride, padding, dilation = (
            value[axis] if isinstance(value, tuple) else value
            for value in (settings.get("stride", 1), settings.get("padding", 0), settings.get("dilation", 1))
        )
        length = x[2 + axis] + 2 * padding
        return sum(begin + dilation * (w[2 + axis] - 1) < length for begin in range(0, length, stride))

    return (x[0], w[0], count(0), count(1))


def _convolution(name: str, x: tuple[int, ...], w: tuple[int, ...], settings: dict[str, Any], layout: Any) -> None:
    add("conv2d", name, [x, w], layout=layout, **settings)
    add("conv2d", f"{name}, with b", [x, w, w[:1]], layout=layout, **settings)
    y = _outputs(x, w, settings)
    add("conv2d_input_gradient", name, [y, w], layout=layout, shape=x, **settings)
    add("conv2d_weight_gradient", name, [y, x], layout=layout, shape=w, **settings)


for name, x, w, options in CONVOLUTIONS:
    _convolution(name, x, w, options, plain)
for layout_name, change in LAYOUTS.items():
    _convolution(layout_name, (2, 2, 4, 3), (2, 2, 2, 2), {"padding": 1}, change)

for name, shape, options in [
    ("typical", (2, 2, 4, 4), {"size": 2}),
    ("stride given", (1, 2, 5, 5), {"size": 2, "stride": 1}),
    ("windows that overlap", (1, 1, 7, 6), {"size": 3, "stride": 2}),
    ("stride larger than the window", (1, 1, 7, 8), {"size": 2, "stride": (3, 4)}),
    ("rows and columns left over", (1, 1, 5, 7), {"size": (2, 3)}),
    ("padding", (1, 2, 4, 5), {"size": 3, "stride": 2, "padding": 1}),
    ("padding unlike in rows and columns", (1, 1, 3, 4), {"size": (2, 4), "stride": (1, 2), "padding": (1, 2)}),
    ("one window", (2, 1, 3, 2), {"size": (3, 2)}),
    ("size 1", (1, 2, 2, 2), {"size": 1}),
    ("no sample", (0, 2, 4, 4), {"size": 2}),
    *((layout_name, (2, 2, 4, 4), {"size": 2}) for layout_name in LAYOUTS),
]:
    change = LAYOUTS.get(name, plain)
    stride = options.get("stride", options["size"])
    window = options["size"] if isinstance(options["size"], tuple) else (options["size"],) * 2
    y = _outputs(shape, (shape[1], 1, *window), {**options, "stride": stride})
    for op in ["max_pool2d", "avg_pool2d"]:
        add(op, name, shape, layout=change, **options)
    add("avg_pool2d_gradient", name, y, layout=change, shape=shape, **options)
    run = lambda ops, g, x, o=options: ops.max_pool2d_gradient(g, ops.max_pool2d(x, **o), x, **o)  # noqa: E731
    add("max_pool2d_gradient", name, [y, shape], run, layout=change)
    run = lambda ops, z, x, o=options: ops.max_pool2d_select(z, ops.max_pool2d(x, **o), x, **o)  # noqa: E731
    add("max_pool2d_select", name, [shape, shape], run, layout=change)
kink("max_pool2d", "ties go to the first", [[[[[1.0, 1.0], [1.0, 1.0]]]]], [[[[[1, 0], [0, 0]]]]], size=2)
kink(
    "max_pool2d",
    "ties in rows and columns",
    [[[[[0.0, 2.0, 1.0], [2.0, 2.0, 1.0], [0.0, 2.0, 1.0]]]]],
    [[[[[0, 2, 0], [1, 1, 0], [0, 0, 0]]]]],
    size=2,
    stride=1,
)
kink("max_pool2d", "NaN", [[[[[1.0, NAN], [3.0, 2.0]]]]], [[[[[0, 1], [0, 0]]]]], size=2)
kink(
    "max_pool2d",
    "-inf beside the border",
    [[[[[-INF, -INF], [-INF, -INF]]]]],
    [[[[[1, 1], [1, 1]]]]],
    size=2,
    padding=1,
)

# Normalisation -------------------------------------------------------------------------------------------------

for name, shape, axes in [
    ("columns", (4, 3), 0),
    ("rows", (3, 4), 1),
    ("channels of images", (2, 3, 2, 2), (0, 2, 3)),
    ("samples of images", (2, 2, 3, 2), (1, 2, 3)),
    ("all", (3, 4), None),
    ("two elements", (2, 3), 0),
    ("last axis", (2, 2, 3), -1),
    ("no sample", (0, 3), 1),
    *((layout_name, (3, 4), 0) for layout_name in LAYOUTS),
]:
    change = LAYOUTS.get(name, plain)
    add("standardize", name, shape, layout=change, axes=axes, epsilon=0.1)
    add("standardize_gradient", name, [shape] * 3, layout=change, axes=axes, epsilon=0.1)
add("standardize", "without epsilon", (5, 2), axes=0, epsilon=0.0)
kink("standardize", "constant", [np.full((3, 2), 0.1)], [np.zeros((3, 2))], axes=0, epsilon=1e-5)
kink("standardize", "one element", [[[7.0, 8.0]]], [[[0, 0]]], axes=0, epsilon=1e-5)

# Random masks --------------------------------------------------------------------------------------------------

for name, shape, rate, key in [
    ("typical", (3, 4), 0.5, 1),
    ("small rate", (3, 4), 0.1, 2),
    ("large rate", (3, 4), 0.9, 3),
    ("rate 0", (2, 3), 0.0, 4),
    ("rate 1", (2, 3), 1.0, 5),
    ("0-d", (), 0.5, 6),
    ("size 0", (0, 3), 0.5, 7),
    ("images", (2, 2, 3, 3), 0.25, 8),
    ("largest key", (3, 4), 0.5, 2**64 - 1),
]:
    run = lambda ops, x, rate=rate, key=key: ops.multiply(  # noqa: E731
        x,
        ops.dropout_mask(np.array(key, np.uint64), salt=12345, shape=tuple(x.shape), rate=rate, dtype=x.dtype),
    )
    add("dropout_mask", name, shape, run)
