"""The public gradient check: the tape's gradients against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from treadle import kernels
from treadle.autodiff.tape import Value, _constant, gradients, recorded
from treadle.errors import GradientError

# (f(−2h) − 8 f(−h) + 8 f(h) − f(2h)) / 12h: near 1, with h = 1e-4, its truncation and its rounding stay near 1e-12
STENCIL = ((-2, 1), (-1, -8), (1, 8), (2, -1))
# Where that does not agree with the tape, other steps tell whether it is accurate: a function that bends soon needs
# a smaller one, a large value on which little depends a larger one.
SCALES = (4096.0, 64.0, 8.0, 1.0, 1 / 8, 1 / 64, 1 / 512)

UNSURE = "cannot be told by central differences"


def check_gradients(
    function: Callable[..., Any], *inputs: Any, rtol: float = 1e-6, atol: float = 1e-8, h: float = 1e-4
) -> None:
    """Compare the gradient of a function by every input with central differences, in float64.

    f'(x) ≈ (f(x−2h) − 8 f(x−h) + 8 f(x+h) − f(x+2h)) / 12h

    A function with many outputs is checked along one fixed direction of them. Where the tape and the differences
    disagree, further steps are tried; where these disagree among themselves and with the tape alike, because
    rounding drowns the difference, the check rests on that of every op alone. Where the function is not
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

    def along(array: Any, number: int) -> Any:
        changed = [array if n == number else other for n, other in enumerate(arrays)]
        return direction * function(*(Value.result_type(a) for a in changed)).data

    for number, array in enumerate(arrays):
        trouble = _compare(found[number], partial(along, number=number), array, rtol, atol, h)
        if trouble:
            culprit = _find_op(output, rtol, atol, h)
            if culprit:
                raise GradientError(culprit)
            if trouble is not UNSURE:
                raise GradientError(
                    f"gradient of the function by input {number} {trouble}; each op alone passes, so the "
                    "function is not smooth here or leaves the tape (for example through .numpy())"
                )


def _direction(output: Any) -> Any:
    """A fixed direction of the outputs with no zero and no symmetry; 1 where there is one output."""
    return np.ones(output.shape) if output.size == 1 else np.cos(np.arange(output.size) + 1.0).reshape(output.shape)


def _difference(along: Callable[[Any], Any], array: Any, place: tuple[int, ...], step: float) -> float:
    """The central difference at one element; outputs that do not depend on it cancel exactly."""
    total = np.zeros(())
    with np.errstate(all="ignore"):  # a large step may leave the domain, which shows as NaN
        for offset, weight in STENCIL:
            moved = array.copy()
            moved[place] += offset * step
            total = total + weight * along(moved)
        return float(np.sum(total)) / (12 * step)


def _refined(along: Callable[[Any], Any], array: Any, place: tuple[int, ...], h: float) -> tuple[float, float]:
    """The derivative at one element by the two neighbouring steps that agree best, and by how much they differ."""
    steps = [scale * h * max(1.0, abs(float(array[place]))) for scale in SCALES]
    found = [_difference(along, array, place, step) for step in steps]
    gaps = [abs(first - second) for first, second in pairwise(found)]
    best = min(range(len(gaps)), key=lambda i: gaps[i] if np.isfinite(gaps[i]) else np.inf)
    return found[best + 1], gaps[best]


def _compare(g: Any, along: Callable[[Any], Any], array: Any, rtol: float, atol: float, h: float) -> str | None:
    """Say where a gradient differs most from central differences, UNSURE where these cannot tell, or None."""
    if g is None:
        g = np.zeros_like(array)
    if g.shape != array.shape or g.dtype != array.dtype:
        return (
            f"is wrong in form: it has shape {g.shape} and dtype {g.dtype}, the input {array.shape} and {array.dtype}"
        )
    wrong: dict[tuple[int, ...], tuple[float, float]] = {}  # place → how far beyond what is allowed, and the difference
    unsure = False
    for place in np.ndindex(array.shape):
        expected = _difference(along, array, place, h * max(1.0, abs(float(array[place]))))
        if abs(g[place] - expected) <= atol + rtol * abs(expected):
            continue
        expected, gap = _refined(along, array, place, h)
        allowed, apart = atol + rtol * abs(expected), abs(float(g[place]) - expected)
        if apart <= allowed and gap <= allowed:
            continue
        if gap <= allowed or apart > 100 * gap or np.isnan(g[place]):
            wrong[place] = (np.inf if np.isnan(apart) else apart - allowed, expected)
        else:
            unsure = True
    if wrong:
        worst = max(wrong, key=lambda place: wrong[place][0])
        return (
            f"is wrong at element {worst}: the tape says {float(g[worst]):.10g}, central differences "
            f"{wrong[worst][1]:.10g} ({len(wrong)} of {array.size} elements differ by more than rtol {rtol:g}, "
            f"atol {atol:g})"
        )
    return UNSURE if unsure else None


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
            ) -> Any:
                changed = [array if n == number else other for n, other in enumerate(at)]
                return d * value.primitive.forward(k, *changed, **value.settings)  # type: ignore[union-attr]

            try:
                g = primitive.pullback(number, k, direction, value.data, *arguments, **value.settings)
            except Exception as error:
                return f"gradient of op {primitive.name!r} by its input {number} failed: {error}"
            trouble = _compare(np.asarray(g), along, operand.data, rtol, atol, h)
            if trouble and trouble is not UNSURE:
                return f"gradient of op {primitive.name!r} by its input {number} {trouble}"
    return None
