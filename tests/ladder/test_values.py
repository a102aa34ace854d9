import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import treadle as td
from treadle.errors import RecipeError
from treadle.ladder import Ladder, Rung
from treadle.ladder.values import Range, Search, combinations, flat
from treadle.recipe import Recipe

TEXT = """seeds = 3

[baseline]
data = { source = "digits", batch_size = 20 }
network = { preset = "softmax" }
loss = { kind = "cross_entropy" }
optimizer = { kind = "sgd", lr = 0.05 }

[[rung]]
name = "Adam, at its rate"
change = { optimizer.kind = "adam" }
[rung.sweep]
"optimizer.lr" = [0.001, 0.01]
data.batch_size = [10, 20, 50]

[[rung]]
name = "searched"
[rung.search]
trials = 7
optimizer.lr = { low = 0.001, high = 1.0, log = true }
data.batch_size = { low = 10, high = 50 }
network.preset = ["mlp", "mlp_relu"]
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "ladder.toml").write_text(text, encoding="utf-8")
        return Ladder.read(tmp_path / "ladder.toml")

    return read


def test_what_a_file_says(read):
    ladder = read(TEXT)
    swept, searched = ladder.rung
    assert swept.sweep == {"optimizer.lr": [0.001, 0.01], "data.batch_size": [10, 20, 50]}
    assert (swept.trials(), searched.trials(), ladder.search_seeds) == (6, 7, 2)
    assert swept.settings() == ["optimizer.kind", "optimizer.lr", "data.batch_size"]
    assert swept.changes()[1] == {"optimizer.kind": "adam", "optimizer.lr": 0.001, "data.batch_size": 20}
    assert searched.search.ranges == {
        "optimizer.lr": Range(low=0.001, high=1.0, log=True),
        "data.batch_size": Range(low=10, high=50),
    }
    assert searched.search.choices == {"network.preset": ["mlp", "mlp_relu"]}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"optimizer.lr" = [0.001, 0.01]', '"optimizer.lr" = 0.1', "optimizer.lr should be a list of values to try"),
        ('"optimizer.lr" = [0.001, 0.01]', '"optimizer.lr" = []', "optimizer.lr should be a list of values to try"),
        ('"optimizer.lr" = [0.001, 0.01]', '"optimizer.lr" = [0.1, 0.1]', "optimizer.lr has 0.1 twice"),
        ('"optimizer.lr" = [0.001, 0.01]', '"optimizer.lr" = [0.1, -1.0]', "line 9: rung 'Adam, at its rate': "),
        ('"optimizer.lr" = [0.001, 0.01]', '"optimizer.knd" = ["adam"]', "unknown key 'knd' in [optimizer]"),
        ('"optimizer.lr" = [0.001, 0.01]', '"optimizer.kind" = ["adam"]', "optimizer.kind is in its change and among"),
        ('"optimizer.lr" = [0.001, 0.01]', '"training.seed" = [1, 2]', "changes training.seed, which no score depends"),
        ('"optimizer.lr" = [0.001, 0.01]', "optimizer.lr = { low = 0.1, high = 1 }", "which [rung.search] takes"),
        (
            "data.batch_size = [10, 20, 50]",
            f"data.batch_size = {list(range(1, 502))}",
            "1,002 combinations are more than 1,000: [rung.search] tries some of them",
        ),
        ("[rung.search]", "[rung.sweep]\noptimizer.lr = [1]\n[rung.search]", "give sweep or search, one of the two"),
        ("trials = 7", "trials = 0", "search.trials should be greater than or equal to 1, found '0'"),
        ("low = 0.001, high = 1.0", "low = 1.0, high = 0.001", "low should be a number less than high, found 1.0 and"),
        ("low = 0.001, high = 1.0", "low = 0.0, high = 1.0", "low should be greater than 0 where log is true"),
        ("low = 0.001, high = 1.0", "low = 1.0, high = nan", "low should be a number less than high"),
        ("low = 0.001, high = 1.0", "low = 1.0", "rung 2 needs a value for search.optimizer.lr.high"),
        ("log = true", "lg = true", "unknown key 'lg': did you mean 'log'? there are low, high, log"),
        ("log = true", "log = 1", "search.optimizer.lr.log should be a valid boolean, found '1'"),
        ("low = 0.001", "low = -0.5", "line 16: rung 'searched': "),
        ('["mlp", "mlp_relu"]', '["mlp", "none"]', "network.preset is 'none'"),
        ('network.preset = ["mlp", "mlp_relu"]', "network.preset = 3", "should be a list of values to try, found '3'"),
        ("[rung.sweep]", "[rung.swep]", "unknown key 'swep': did you mean 'sweep'?"),
        ("seeds = 3", "search_seeds = 0", "line 1: search_seeds should be greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_told(read, old, new, expected):
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    if "low = -0.5" in new:
        text = text.replace(", log = true", "")
    with pytest.raises(RecipeError) as caught:
        read(text)
    assert expected in str(caught.value)
    assert "ladder.toml, line " in str(caught.value)


def test_in_python():
    rung = td.Rung(name="rate", sweep={"optimizer": {"lr": [0.01, 0.1]}})
    assert rung.changes() == [{"optimizer.lr": 0.01}, {"optimizer.lr": 0.1}]
    search = td.Rung(name="rate", search={"trials": 3, "optimizer.lr": {"low": 0.01, "high": 0.1}})
    assert search.trials() == 3
    assert Rung(name="again", search=search.search) == search.model_copy(update={"name": "again"})
    for wrong in ({"sweep": {}}, {"search": {"trials": 3}}, {"sweep": 3}, {"search": []}):
        with pytest.raises(ValidationError):
            td.Rung(name="rate", **wrong)
    with pytest.raises(RecipeError, match="changes nothing: give change, sweep or search"):
        Ladder(baseline=Recipe.baseline(), rung=[td.Rung(name="nothing")]).require_valid()


def test_seeds_of_a_search_judge_nothing_however_many_judge():
    ladder = Ladder(baseline=Recipe.baseline().change({"training.seed": 7}), seeds=1000, search_seeds=1000)
    assert not set(ladder.judging()) & set(ladder.searching())
    assert ladder.judging()[0] == 7
    assert len(set(ladder.searching())) == 1000


def test_ladders_are_told_apart_by_their_values():
    def digest(**values):
        return Ladder(baseline=Recipe.baseline(), rung=[Rung(name="a", **values)]).digest()

    some = [
        {"sweep": {"optimizer.lr": [0.1, 0.2]}},
        {"sweep": {"optimizer.lr": [0.2, 0.1]}},
        {"search": {"optimizer.lr": {"low": 0.1, "high": 0.2}}},
        {"search": {"optimizer.lr": [0.1, 0.2]}},
        {"search": {"trials": 5, "optimizer.lr": [0.1, 0.2]}},
    ]
    assert len({digest(**values) for values in some}) == 5


values = st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)


@given(st.dictionaries(st.sampled_from(["a.x", "a.y", "b.z"]), values, min_size=1))
def test_combinations_are_all_and_each_once(sweep):
    found = list(combinations(sweep))
    assert len(found) == math.prod(len(some) for some in sweep.values())
    assert len({tuple(one.items()) for one in found}) == len(found)
    assert all(one[key] in sweep[key] for one in found for key in sweep)


@given(st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from("xyz"), st.integers(), min_size=1)))
def test_nested_tables_are_the_same_as_dotted_keys(nested):
    dotted = {f"{stage}.{key}": value for stage, some in nested.items() for key, value in some.items()}
    assert flat(nested) == dotted == flat(dotted)


def test_corners_of_a_search():
    search = Search(ranges={"a.x": Range(low=1, high=9)}, choices={"a.y": ["p", "q", "r"]})
    assert search.corners() == [
        {"a.x": 1, "a.y": "p"},
        {"a.x": 9, "a.y": "p"},
        {"a.x": 1, "a.y": "q"},
        {"a.x": 1, "a.y": "r"},
    ]
