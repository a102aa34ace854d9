"""The namespace of kernels: complete, and each a plain function of arrays."""

import ast
import inspect
from pathlib import Path

import treadle.ops
from treadle.kernels import reference


def used_kernels():
    """Every name that an op reads from `k`."""
    names = set()
    for path in Path(treadle.ops.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "k":
                names.add(node.attr)
    return names


def test_the_ops_use_exactly_the_listed_kernels_but_those_of_updates():
    updates = {name for name in reference.__all__ if getattr(reference, name).__module__ == "treadle.kernels.updates"}
    assert used_kernels() | {"swapaxes"} == set(reference.__all__) - updates
    assert all(callable(getattr(reference, name)) for name in reference.__all__)


def test_every_kernel_written_here_is_documented_and_listed():
    functions = {
        name: value
        for name, value in vars(reference).items()
        if inspect.isfunction(value) and value.__module__ == reference.__name__ and not name.startswith("_")
    }
    assert functions.keys() <= set(reference.__all__)
    assert all(function.__doc__ for function in functions.values())


def test_a_pullback_can_run_on_ops_in_place_of_kernels():
    missing = {name for name in used_kernels() if not hasattr(treadle.ops, name)}
    assert missing == set()
