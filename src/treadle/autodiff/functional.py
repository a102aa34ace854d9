"""Gradients of functions of nested containers of arrays, the form in which training uses the tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from treadle.autodiff.tape import Value, gradients
from treadle.errors import DtypeError
from treadle.tree import Tree, leaves, tree_map


def value_and_grad(function: Callable[..., Any]) -> Callable[..., tuple[Any, Tree]]:
    """Return a function that computes both a function's value and its gradient by the first argument.

    Args:
        function: takes a tree of tensors first, returns a tensor of one element.

    Returns:
        A function of a tree of float arrays (and the further arguments) that returns (value, gradients): an
        array of one element and a tree of the form of the first argument. A leaf that the value does not
        depend on gets zeros. Gradients may share memory with one another: do not change them in place.

    Raises:
        DtypeError: a leaf is not of floats.

    >>> import numpy as np
    >>> loss = lambda params, x: ((x @ params["w"]) ** 2).sum()
    >>> value, grads = value_and_grad(loss)({"w": np.array([1.0, 2.0])}, np.eye(2))
    >>> float(value), grads["w"].tolist()
    (5.0, [2.0, 4.0])
    """

    def differentiated(params: Tree, *args: Any, **kwargs: Any) -> tuple[Any, Tree]:
        tracked = tree_map(_tracked, params)
        output = function(tracked, *args, **kwargs)
        found = {id(value): g for value, g in gradients(output, [leaf for _, leaf in leaves(tracked)])}

        def gradient(leaf: Value) -> Any:
            g = found[id(leaf)]
            return np.zeros(leaf.data.shape, leaf.data.dtype) if g is None else g

        return output.data, tree_map(gradient, tracked)

    return differentiated


def _tracked(leaf: Any) -> Any:
    data = leaf.data if isinstance(leaf, Value) else leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    if not np.issubdtype(data.dtype, np.floating):
        raise DtypeError(f"only floats have gradients, found a parameter of {data.dtype}")
    return Value.result_type(data, requires_grad=True)
