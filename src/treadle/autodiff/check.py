"""The public gradient check: the tape's gradients against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from treadle import kernels
from treadle.autodiff.tape import Value, _constant, gradients, recorded
from treadle.errors import GradientError

# (f(−2h) − 8 f(−h) + 8 f(h) − f(2h)) / 12h: with h = 1e-4 both its truncation and its rounding stay near 1e-12
STENCIL = ((-2, 1), (-1, -8), (1, 8), (2, -1))


def check_gradients(
    function: Callable[..., Any], *inputs: Any, rtol: float = 1e-6, atol: float = 1e-8, h: float = 1e-4
) -> None:
    """Compare the gradient of a function by every input with central differences, in float64.

    f'(x) ≈ (f(x−2h) − 8 f(x−h) + 8 f(x+h) − f(x+2h)) / 12h

    A function with many outputs is checked along one fixed direction of them. Where the function is not
    differentiable within 2h of an input (ReLU at 0, ties of max), the comparison means nothing.

    Args:
        function: takes one tensor for each input, returns a tensor.
        inputs: arrays to check at, converted to float64.
        rtol, atol: the largest difference allowed is atol + rtol · |central difference|.
        h: step of the differences, scaled by max(1, |x|).

    Raises:
        GradientError: names the op whose rule is wrong, its input, and the worst element with both numbers.

    >>> import treadle as td
    >>> td.check_gradients(lambda a, b: (a * b).sum(), [1.0, 2.0], [3.0, 4.0])

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 25.3.6.
    """
    arrays = [np.array(value, dtype=np.float64) for value in inputs]
    tensors = [Value.result_type(array, requires_grad=True) for array in arrays]
    output = function(*tensors)
    if not isinstance(output, Value) or not output.requires_grad:
        raise GradientError("the function's result does not depend on its inputs through ops, so it has no gradient")
    direction = _direction(output.data)
    try:
        found = [g for _, g in gradients(output, tensors, direction, retain=True)]
    except Exception as error:  # a rule that returns a wrong shape breaks the rules after it
        raise GradientError(_find_op(output, rtol, atol, h) or f"the backward pass failed: {error}") from error

    def along(array: Any, number: int) -> float:
        changed = [array if n == number else other for n, other in enumerate(arrays)]
        return float(np.sum(direction * function(*(Value.result_type(a) for a in changed)).data))

    for number, array in enumerate(arrays):
        trouble = _compare(found[number], partial(along, number=number), array, rtol, atol, h)
        if trouble:
            culprit = _find_op(output, rtol, atol, h)
            if culprit:
                raise GradientError(culprit)
            raise GradientError(
                f"gradient of the function by input {number} is wrong {trouble}; each op alone passes, so the "
                "function is not smooth here or leaves the tape (for example through .numpy())"
            )


def _direction(output: Any) -> Any:
    """A fixed direction of the outputs with no zero and no symmetry; 1 where there is one output."""
    return np.ones(output.shape) if output.size == 1 else np.cos(np.arange(output.size) + 1.0).reshape(output.shape)


def _compare(g: Any, along: Callable[[Any], float], array: Any, rtol: float, atol: float, h: float) -> str | None:
    """Say where a gradient differs most from central differences, or None where it agrees everywhere."""
    if g is None:
        g = np.zeros_like(array)
    if g.shape != array.shape or g.dtype != array.dtype:
        return f"in form: it has shape {g.shape} and dtype {g.dtype}, the input {array.shape} and {array.dtype}"
    expected = np.empty_like(array)
    for place in np.ndindex(array.shape):
        step = h * max(1.0, abs(float(array[place])))
        total = 0.0
        for offset, weight in STENCIL:
            moved = array.copy()
            moved[place] += offset * step
            total += weight * along(moved)
        expected[place] = total / (12 * step)
    excess = np.abs(g - expected) - (atol + rtol * np.abs(expected))
    wrong = ~(excess <= 0)  # a NaN is wrong
    if not wrong.any():
        return None
    worst = tuple(int(i) for i in np.unravel_index(np.argmax(np.where(np.isnan(excess), np.inf, excess)), excess.shape))
    return (
        f"at element {worst}: the tape says {float(g[worst]):.10g}, central differences {float(expected[worst]):.10g} "
        f"({int(wrong.sum())} of {wrong.size} elements differ by more than rtol {rtol:g}, atol {atol:g})"
    )


def _find_op(output: Value, rtol: float, atol: float, h: float) -> str | None:
    """Check every recorded op alone, at the inputs it had, and describe the first whose rule is wrong."""
    k = kernels.active()
    for value in recorded(output):
        primitive = value.primitive
        if primitive is None or value.inputs is None:
            continue
        arguments = [operand.data if isinstance(operand, Value) else _constant(operand) for operand in value.inputs]
        direction = _direction(value.data)
        for number, operand in enumerate(value.inputs):
            if not isinstance(operand, Value) or not operand.requires_grad:
                continue

            def along(
                array: Any, value: Value = value, number: int = number, at: Any = arguments, d: Any = direction
            ) -> float:
                changed = [array if n == number else other for n, other in enumerate(at)]
                return float(np.sum(d * value.primitive.forward(k, *changed, **value.settings)))  # type: ignore[union-attr]

            try:
                g = primitive.pullback(number, k, direction, value.data, *arguments, **value.settings)
            except Exception as error:
                return f"gradient of op {primitive.name!r} by its input {number} failed: {error}"
            trouble = _compare(np.asarray(g), along, operand.data, rtol, atol, h)
            if trouble:
                return f"gradient of op {primitive.name!r} by its input {number} is wrong {trouble}"
    return None
