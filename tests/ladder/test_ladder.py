import pytest

from treadle.errors import RecipeError
from treadle.ladder import Ladder, Rung
from treadle.recipe import Recipe

TEXT = """seeds = 3
keep = "always"

[baseline]
data = { source = "digits", batch_size = 20 }
network = { preset = "softmax" }
loss = { kind = "cross_entropy" }
optimizer = { kind = "sgd", lr = 0.05 }

[[rung]]
name = "a hidden layer"
stage = "network"
change = { network.preset = "mlp_relu" }

[[rung]]
name = "Adam"
change = { "optimizer.kind" = "adam", optimizer.lr = 0.005 }
keep = "if better"
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "ladder.toml").write_text(text, encoding="utf-8")
        return Ladder.read(tmp_path / "ladder.toml")

    return read


def test_what_a_file_says(read):
    ladder = read(TEXT)
    assert (ladder.seeds, ladder.metric, ladder.keep, ladder.minutes) == (3, "validation_accuracy", "always", None)
    assert ladder.baseline.data.source == "digits"
    assert [rung.name for rung in ladder.rung] == ["a hidden layer", "Adam"]
    assert ladder.rung[1].values() == {"optimizer.kind": "adam", "optimizer.lr": 0.005}
    assert (ladder.rung[0].keep, ladder.rung[1].keep) == (None, "if better")
    assert ladder.higher_is_better()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("seeds = 3", "seeds = 0", "ladder.toml, line 1: seeds should be greater than or equal to 1, found '0'"),
        (
            "seeds = 3",
            'seeds = "3"',
            "ladder.toml, line 1: seeds should be a valid integer, found '3': leave out the quotes",
        ),
        ("seeds = 3", "seed = 3", "ladder.toml, line 1: unknown key 'seed': did you mean 'seeds'?"),
        (
            "seeds = 3",
            "seeds = 3\nmetric = 'accuracy'",
            "ladder.toml, line 2: no metric is called 'accuracy': there are",
        ),
        (
            'preset = "softmax"',
            'preset = "softmix"',
            "ladder.toml, line 6: network.preset is 'softmix': did you mean 'softmax'",
        ),
        ("[baseline]", "[base]", "ladder.toml: a ladder begins with [baseline]"),
        ('name = "Adam"', 'name = "a hidden layer"', "ladder.toml, line 15: two rungs are called 'a hidden layer'"),
        ('name = "Adam"\n', "", "rung 2 needs a value for name"),
        (
            '"optimizer.kind" = "adam"',
            'optimizer.knd = "adam"',
            "line 15: rung 'Adam': unknown key 'knd' in [optimizer]",
        ),
        ('stage = "network"', 'stage = "loss"', "line 10: the stage is loss, and the change is one of network"),
        ('stage = "network"', 'stage = "net"', "line 12: rung.1.stage should be 'data', 'network'"),
        ('keep = "if better"', 'keep = "never"', "rung.2.keep should be 'if better' or 'always', found 'never'"),
        ('name = "Adam"', 'name = "baseline"', "two rungs are called 'baseline', or one as the baseline is"),
        ('name = "Adam"', 'name = " "', "rung.2.name should be "),
        ("optimizer.lr = 0.005", "training.seed = 7", "rung 'Adam' changes training.seed, which no score depends on"),
        ("optimizer.lr = 0.005", "resources.threads = 2", "changes resources.threads, which no score depends on"),
        ('{ network.preset = "mlp_relu" }', "{ network = {} }", "rung 'a hidden layer' changes nothing"),
        ("optimizer.lr = 0.005", 'optimizer.lr = 1, "optimizer.lr" = 2', "a change gives optimizer.lr twice"),
        ("seeds = 3", "minutes = inf", "minutes should be less than or equal to 1000000"),
        ("seeds = 3", "seeds = [", "ladder.toml: not valid TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(read, old, new, expected):
    assert old in TEXT
    with pytest.raises(RecipeError) as caught:
        read(TEXT.replace(old, new, 1))
    assert expected in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.toml: cannot be read: No such file"):
        Ladder.read(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(RecipeError, match="byte 0 is not UTF-8"):
        Ladder.read(tmp_path / "a.toml")


def test_the_courses_ladder():
    ladder = Ladder.course()
    stages = [rung.stage for rung in ladder.rung]
    assert len(stages) >= 10
    assert set(stages) == {"loss", "data", "network", "optimizer"}
    assert ladder.seeds == 5
    assert ladder.baseline.network.preset == "baseline"


def test_in_python():
    ladder = Ladder(
        baseline=Recipe.baseline(), rung=[Rung(name="faster", change={"optimizer.lr": 0.02})], metric="validation_loss"
    )
    ladder.require_valid()
    assert not ladder.higher_is_better()
    assert ladder.changed({"seeds": 2}).seeds == 2
    with pytest.raises(RecipeError, match="seeds should be greater than or equal to 1"):
        ladder.changed({"seeds": 0})
    with pytest.raises(RecipeError, match="ladder: no metric is called 'loss'"):
        ladder.changed({"metric": "loss"}).require_valid()


def test_ladders_are_told_apart_by_what_they_say():
    one, other = Ladder.course(), Ladder.course()
    assert one.digest() == other.digest() == one.changed({"minutes": 1.0}).digest()
    assert one.digest() != one.changed({"seeds": 4}).digest()


def test_the_metric_is_measured():
    ladder = Ladder.course().changed({"metric": "validation_top_3"})
    recipe = ladder.baseline.change({"network.preset": "softmax", "loss.kind": "cross_entropy"})
    assert ladder.measured(recipe).training.metrics == ["accuracy", "top_3"]
    assert Ladder.course().measured(recipe) is recipe
    unset = Recipe.from_toml('network.preset="softmax"\nloss.kind="cross_entropy"\noptimizer={kind="adam"}')
    assert ladder.measured(unset).training.metrics == ["top_3"]
