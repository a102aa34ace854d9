import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.tree import leaves, map_with_path, tree_map

trees = st.recursive(
    st.integers(),
    lambda inner: (
        st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
        | st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
)


def test_leaves_in_the_order_of_the_containers():
    tree = {"b": [1, {"y": 2, "x": (3,)}], "a": 4, "empty": {}, "none": None}
    expected = [("b.0", 1), ("b.1.y", 2), ("b.1.x.0", 3), ("a", 4), ("none", None)]
    assert list(leaves(tree)) == expected
    assert list(leaves(7)) == [("", 7)]
    assert list(leaves([7], "root")) == [("root.0", 7)]


@given(trees)
def test_mapping_keeps_the_form(tree):
    assert tree_map(lambda leaf: leaf, tree) == tree
    assert map_with_path(lambda path, leaf: leaf, tree) == tree
    double = tree_map(lambda leaf: 2 * leaf, tree)
    assert [(path, 2 * leaf) for path, leaf in leaves(tree)] == list(leaves(double))
    assert tree_map(lambda a, b, c: a + b - c, tree, double, double) == tree


@given(trees)
def test_map_with_path_gives_the_paths_of_leaves(tree):
    paths = [path for path, _ in leaves(tree)]
    assert [leaf for _, leaf in leaves(map_with_path(lambda path, leaf: path, tree))] == paths


def test_mapping_leaves_the_tree_as_it_is():
    tree = {"a": [1, (2, 3)]}
    mapped = tree_map(lambda leaf: leaf + 1, tree)
    assert tree == {"a": [1, (2, 3)]}
    assert mapped == {"a": [2, (3, 4)]}
    assert type(mapped["a"][1]) is tuple


def test_keys_are_matched_by_name():
    assert tree_map(lambda a, b: a - b, {"x": 1, "y": 2}, {"y": 20, "x": 10}) == {"x": -9, "y": -18}


@pytest.mark.parametrize(
    ("tree", "other", "message"),
    [
        ({"a": 1}, {"b": 1}, r"keys \['a'\] and \['b'\]"),
        ({"a": 1}, {"a": 1, "b": 2}, r"keys \['a'\] and \['a', 'b'\]"),
        ({"a": 1}, [1], r"keys \['a'\] and list"),
        ({"a": {"b": 1}}, {"a": 5}, r"keys \['b'\] and int"),
        ([1, 2], [1], "sequences of other lengths"),
        ([1, 2], {"a": 1, "b": 2}, "sequences"),
        ((1,), 1, "sequences"),
    ],
)
def test_trees_of_other_forms_are_refused(tree, other, message):
    with pytest.raises(ValueError, match=message):
        tree_map(lambda a, b: a, tree, other)
    with pytest.raises(ValueError, match=message):
        tree_map(lambda a, b, c: a, tree, tree, other)
