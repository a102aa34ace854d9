"""A trace: every op of a network and its loss on a batch, with what went in, what came out, and the gradients.

It is read off the tape that training walks, not computed again.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from treadle import kernels, ops
from treadle.autodiff.tape import Value, gradients, place, recorded
from treadle.errors import TreadleError, suggest
from treadle.losses import LOSSES, Loss
from treadle.nn import Mode, Module
from treadle.tensor import Tensor
from treadle.text import aligned
from treadle.train.prepare import choose
from treadle.train.run import Run
from treadle.tree import Tree, leaves, map_with_path

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, repr=False)
class Op:
    """One op of a trace.

    Args:
        number: from 0, in the order of the forward pass.
        layer: path of the layer that computed it, "loss" for the loss.
        name: of the op, as in `td.ops`.
        formula, rule: of the op and of its gradients, from its documentation.
        settings: of the op, such as a stride, labels included.
        names: where each input comes from: a parameter's path, "input", the number of an op as in "#3", or "constant".
        inputs, output: arrays.
        gradient: that arrives at the output.
        gradients: that leave towards the inputs, None where none does.
    """

    number: int
    layer: str
    name: str
    formula: str
    rule: str
    settings: dict[str, Any]
    names: tuple[str, ...]
    inputs: tuple[Any, ...]
    output: Array
    gradient: Array
    gradients: tuple[Array | None, ...]

    def __repr__(self) -> str:
        lines = [f"#{self.number} {self.name} in {self.layer or 'the network'}: {self.formula}"]
        lines += [f"  {name} = {_shown(array)}" for name, array in zip(self.names, self.inputs, strict=True)]
        lines += [f"  {key} = {_shown(value)}" for key, value in self.settings.items()]
        lines += [f"  output = {_shown(self.output)}", f"  gradient that arrives, g = {_shown(self.gradient)}"]
        lines += [f"  rule: {self.rule}"]
        lines += [
            f"  gradient that leaves to {name} = {_shown(g)}"
            for name, g in zip(self.names, self.gradients, strict=True)
            if g is not None
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the op as plain values; numbers that are not finite become None."""
        return {
            "number": self.number,
            "layer": self.layer,
            "op": self.name,
            "formula": self.formula,
            "rule": self.rule,
            "settings": {key: _plain(value) for key, value in self.settings.items()},
            "inputs": [{"from": n, "value": _plain(x)} for n, x in zip(self.names, self.inputs, strict=True)],
            "output": _plain(self.output),
            "gradient": _plain(self.gradient),
            "gradients": [_plain(g) for g in self.gradients],
        }


@dataclass(frozen=True, repr=False)
class Trace(Sequence[Op]):
    """The ops of a forward pass in order, with the gradients of the backward pass.

    `trace[3]` is an op by number, `trace["conv2d1"]` the ops of a layer, `trace["conv2d1", "conv2d"]` one of them.

    Args:
        ops: in order.
        loss: its value.
        gradients: of the parameters, by path, and of the inputs as "input".
        samples: how many there are in the batch.
    """

    ops: tuple[Op, ...]
    loss: float
    gradients: dict[str, Array]
    samples: int

    def __len__(self) -> int:
        return len(self.ops)

    def __iter__(self) -> Iterator[Op]:
        return iter(self.ops)

    @overload
    def __getitem__(self, key: int) -> Op: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Op, ...]: ...
    @overload
    def __getitem__(self, key: str) -> tuple[Op, ...]: ...
    @overload
    def __getitem__(self, key: tuple[str, str]) -> Op: ...
    def __getitem__(self, key: Any) -> Any:
        """Return an op by number, those of a layer by its path, or one of a layer by path and name."""
        if isinstance(key, (int, slice)):
            return self.ops[key]
        layer, name = key if isinstance(key, tuple) else (key, None)
        found = tuple(op for op in self.ops if op.layer == layer or op.layer.startswith(f"{layer}."))
        if not found:
            raise TreadleError(
                f"no op was computed in layer {layer!r}: {suggest(layer, dict.fromkeys(op.layer for op in self.ops))}"
            )
        if name is None:
            return found
        named = [op for op in found if op.name == name]
        if len(named) != 1:
            raise TreadleError(
                f"layer {layer} has {len(named)} ops {name}: "
                + ", ".join(f"#{op.number} {op.name}" for op in (named or found))
            )
        return named[0]

    def __repr__(self) -> str:
        """A line for each op: shapes, the sizes of its output and of the gradient that arrives."""
        rows = [("#", "layer", "op", "from", "output", "|output|", "|gradient|")]
        for op in self.ops:
            shape = "×".join(map(str, op.output.shape)) or "one number"
            sizes = (f"{_size(op.output):.3g}", f"{_size(op.gradient):.3g}")
            rows.append((str(op.number), op.layer, op.name, ", ".join(op.names), shape, *sizes))
        lines = aligned(rows, "<")
        return "\n".join([*lines, f"loss {self.loss:.6g}; sizes are root mean squares"])

    def origin(self, samples: Sequence[int] | Array | None = None) -> str:
        """Tell where the first number comes from that is not finite: op, layer, sample, and the range of the inputs.

        Args:
            samples: numbers to name the samples of the batch by; from 0 where none are given.

        Returns:
            A clause, or nothing where every number is finite.
        """
        numbers = np.arange(self.samples) if samples is None else samples
        for op in self.ops:
            place = f"{op.name} in {op.layer or 'the network'}"
            for name, x in zip(op.names, op.inputs, strict=True):
                if not _finite(x):
                    return f"{name}, an input of {place}, {_first_not_finite(x, numbers)}"
            if not _finite(op.output):
                return f"the output of {place} {_first_not_finite(op.output, numbers)}, {_ranges(op.inputs)}"
        for op in reversed(self.ops):
            for name, g in zip(op.names, op.gradients, strict=True):
                if g is not None and not _finite(g):
                    place = f"{op.name} in {op.layer or 'the network'}"
                    found = _first_not_finite(g, numbers)
                    return f"the gradient that leaves {place} to {name} {found}, {_ranges(op.inputs)}"
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON; numbers that are not finite become None."""
        return {
            "loss": _plain(self.loss),
            "ops": [op.to_dict() for op in self.ops],
            "gradients": {path: _plain(g) for path, g in self.gradients.items()},
        }


def trace(
    network: Module | Run,
    batch: Sequence[Any],
    loss: Loss | str | None = None,
    *,
    parameters: Tree | None = None,
    seed: int = 0,
    training: bool = True,
) -> Trace:
    """Compute a network and its loss on a batch, forward and backward, and return every op with its gradients.

    Args:
        network: a module; or a run, with its parameters, its loss and its kernels.
        batch: inputs (N, …) and targets (N, …), one sample or many; of a run in the units of its data.
        loss: a loss or its name; that of the run where none is given.
        parameters: of the network; those that it begins with by `seed` where none are given.
        seed: of the parameters, and of what is random in training.
        training: whether layers such as Dropout and BatchNorm2d do as in training.

    Raises:
        TreadleError: a subclass says what does not fit.

    >>> import numpy as np, treadle as td
    >>> network = td.nn.Sequential(td.nn.Linear(1))
    >>> parameters = {"linear1": {"weight": np.array([[2.0]]), "bias": np.array([1.0])}}
    >>> found = td.trace(network, (np.array([[3.0]]), np.array([[5.0]])), "squared_error", parameters=parameters)
    >>> found
    #  layer    op        from                  output  |output|  |gradient|
    0  linear1  matmul    input, linear1.weight  1×1     6         4
    1  linear1  add       #0, linear1.bias       1×1     7         4
    2  loss     subtract  #1, constant           1×1     2         4
    3  loss     multiply  #2, #2                 1×1     4         1
    4  loss     sum       #3                     one number  4     1
    5  loss     multiply  #4, constant           one number  4     1
    loss 4; sizes are root mean squares
    >>> found["linear1", "matmul"].gradients[1]
    array([[12.]])
    """
    if len(batch) < 2:
        raise TreadleError(f"a batch should be inputs and targets, found {len(batch)} part")
    inputs, targets = np.asarray(batch[0]), np.asarray(batch[1])
    used = kernels.active()
    if isinstance(network, Run):
        run, network = network, network.network
        parameters = run.parameters if parameters is None else parameters
        loss = run.loss if loss is None else loss
        inputs, used = run.scale.apply(inputs, run.dtype), run.kernels
    if loss is None:
        raise TreadleError("a trace of a network needs a loss: give one, or its name")
    loss = choose("loss", LOSSES, loss)() if isinstance(loss, str) else loss
    if parameters is None:
        dtype = inputs.dtype if inputs.dtype.kind == "f" else np.float32
        parameters = network.init(inputs.shape[1:], seed=seed, dtype=dtype)
    dtype = next((leaf.dtype for _, leaf in leaves(parameters)), inputs.dtype)
    names: dict[int, str] = {}

    def tracked(path: str, array: Any) -> Tensor:
        value = Tensor(np.asarray(array), requires_grad=True)
        names[id(value)] = path
        return value

    values = map_with_path(tracked, parameters)
    start = tracked("input", inputs.astype(dtype, copy=False))
    mode = Mode(training=training, key=np.array(seed, np.uint64), updates={})
    with kernels.use(used), kernels.with_threads(1), np.errstate(all="ignore"):
        outputs = network(values, start, mode)
        with place("loss"):
            result = loss(outputs, loss.targets(targets, dtype))
        order = [value for value in recorded(result) if value.primitive is not None]
        arrived: dict[int, tuple[Any, dict[int, Any]]] = {}
        wanted = [start, *(value for _, value in leaves(values))]
        found = gradients(result, wanted, retain=True, observe=lambda v, g, left: arrived.__setitem__(id(v), (g, left)))
    names |= {id(value): f"#{number}" for number, value in enumerate(order)}
    traced = tuple(_op(number, value, names, *arrived[id(value)]) for number, value in enumerate(order))
    return Trace(traced, result.item(), {names[id(value)]: g for value, g in found if g is not None}, len(inputs))


def _op(number: int, value: Value, names: dict[int, str], g: Any, left: dict[int, Any]) -> Op:
    assert value.primitive is not None
    operands = value.inputs or ()
    formula, rule = _documented(value.primitive.name)
    return Op(
        number=number,
        layer=value.place,
        name=value.primitive.name,
        formula=formula,
        rule=rule,
        settings=dict(value.settings),
        names=tuple(names.get(id(operand), "constant") for operand in operands),
        inputs=tuple(operand.data if isinstance(operand, Value) else operand for operand in operands),
        output=value.data,
        gradient=g,
        gradients=tuple(left.get(place) for place in range(len(operands))),
    )


def _documented(name: str) -> tuple[str, str]:
    """Formula and gradient rule of an op, which begin its documentation."""
    text = " ".join((inspect.getdoc(getattr(ops, name, None)) or "").split("\n\n")[0].split())
    formula, _, rule = re.sub(r"Gradients?( by \w+)?: ", "\n", text, count=1).partition("\n")
    return formula.strip().rstrip("."), rule.strip().rstrip(".")


def _size(array: Any) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if np.size(array) else 0.0


def _shown(value: Any) -> str:
    """A value for the terminal: small arrays whole, of large ones shape and range."""
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.size <= 12:
        return np.array2string(value, precision=6, separator=", ").replace("\n", " ")
    return f"{value.dtype} {value.shape}, from {value.min():.4g} to {value.max():.4g}, size {_size(value):.4g}"


def _plain(value: Any) -> Any:
    """Plain values for JSON; an array with its shape and type."""
    if isinstance(value, np.ndarray):
        numbers = value.astype(object)
        if value.dtype.kind == "f":
            numbers[~np.isfinite(value)] = None
        return {"shape": list(value.shape), "dtype": str(value.dtype), "values": numbers.tolist()}
    if isinstance(value, (np.generic,)):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value if isinstance(value, (bool, int, str, type(None))) else repr(value)


def _finite(value: Any) -> bool:
    return not isinstance(value, (np.ndarray, float)) or bool(np.isfinite(value).all())


def _first_not_finite(array: Any, numbers: Any) -> str:
    array = np.asarray(array)
    place = np.argwhere(~np.isfinite(array))[0]
    sample = f" for sample {numbers[place[0]]}" if array.ndim and len(array) == len(numbers) else ""
    return f"is {array[tuple(place)]:g}{sample}"


def _ranges(inputs: Sequence[Any]) -> str:
    arrays = [np.asarray(x) for x in inputs if isinstance(x, (np.ndarray, float)) and np.size(x)]
    return "with inputs " + " and ".join(f"from {array.min():.4g} to {array.max():.4g}" for array in arrays)
