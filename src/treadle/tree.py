"""Nested containers of leaves: dicts, lists and tuples, the form in which parameters and gradients are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Tree = Any  # a leaf, or a dict, list or tuple of trees


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, leaf) for every leaf, in the order of the containers; path parts are joined by dots.

    >>> list(leaves({"linear1": {"weight": 1, "bias": 2}, "scales": [3, 4]}))
    [('linear1.weight', 1), ('linear1.bias', 2), ('scales.0', 3), ('scales.1', 4)]
    """
    if isinstance(tree, (dict, list, tuple)):
        for key, branch in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(branch, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def tree_map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply a function to the leaves at the same place in one or more trees of the same form.

    >>> tree_map(lambda a, b: a + b, {"w": 1, "b": [2]}, {"w": 10, "b": [20]})
    {'w': 11, 'b': [22]}
    """
    if isinstance(tree, dict):
        for other in others:
            if not isinstance(other, dict) or other.keys() != tree.keys():
                found = list(other) if isinstance(other, dict) else type(other).__name__
                raise ValueError(f"trees differ in form: keys {list(tree)} and {found}")
        return {key: tree_map(function, branch, *(other[key] for other in others)) for key, branch in tree.items()}
    if isinstance(tree, (list, tuple)):
        if any(not isinstance(other, (list, tuple)) or len(other) != len(tree) for other in others):
            raise ValueError("trees differ in form: sequences of other lengths")
        return type(tree)(tree_map(function, *branches) for branches in zip(tree, *others, strict=True))
    return function(tree, *others)


def map_with_path(function: Callable[[str, Any], Any], tree: Tree, path: str = "") -> Tree:
    """Apply a function to the path and the value of every leaf.

    >>> map_with_path(lambda path, leaf: f"{path}={leaf}", {"a": [1, 2]})
    {'a': ['a.0=1', 'a.1=2']}
    """
    if isinstance(tree, dict):
        return {key: map_with_path(function, part, f"{path}.{key}" if path else str(key)) for key, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        parts = (map_with_path(function, part, f"{path}.{n}" if path else str(n)) for n, part in enumerate(tree))
        return type(tree)(parts)
    return function(path, tree)
