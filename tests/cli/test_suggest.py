"""`treadle suggest`: the table, JSON, and the ladder it writes."""

import json

import pytest

from treadle.ladder import Ladder


@pytest.fixture
def poor(recipe):
    """The recipe on the small digits, with plain SGD in the order of the data."""
    text = recipe.read_text(encoding="utf-8").replace("kind = 'adam'", "kind = 'sgd'")
    recipe.write_text(text.replace("batch_size = 10\n", "batch_size = 10\nshuffle = false\n"), encoding="utf-8")
    return recipe


def test_the_table(cli, poor):
    code, out, err = cli("suggest", poor)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "looked at 3 of 3 epochs"
    assert lines[2].split() == ["suggestion", "stage", "cost", "why"]
    for text in ("shuffled samples ", "data.shuffle = true", "Momentum ", 'network.preset = "lenet"'):
        assert text in out
    assert out.index("shuffled samples") < out.index("convolution")
    assert f"write them as a ladder: treadle suggest {poor} --output ladder.toml" in " ".join(out.split())


def test_json_and_the_ladder(cli, poor, tmp_path):
    code, out, err = cli("suggest", poor, "--json", "--output", "ladder.toml", "--set", "training.epochs=1")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["epochs_seen"], told["failed"], told["ladder"]) == (1, None, "ladder.toml")
    assert told["recipe"]["training"]["epochs"] == 1
    names = [one["name"] for one in told["suggestions"]]
    assert {"shuffled samples", "Momentum", "convolution"} <= set(names)
    assert all(one["cost"] > 0 and one["why"] and one["stage"] in told["recipe"] for one in told["suggestions"])
    ladder = Ladder.read(tmp_path / "ladder.toml")
    assert [rung.name for rung in ladder.rung] == names
    assert [rung.change for rung in ladder.rung] == [one["change"] for one in told["suggestions"]]
    code, _, err = cli("suggest", poor, "--output", "ladder.toml")
    assert (code, err) == (
        2,
        "error: ladder.toml: is there already: give another --output, or move it away\n",
    )


def test_the_ladder_is_climbed(cli, poor):
    assert cli("suggest", poor, "--output", "ladder.toml")[1].endswith("for evidence: treadle climb ladder.toml\n")
    code, out, err = cli("climb", "ladder.toml", "--seeds", 1, "--workers", 1, "--json")
    assert (code, err) == (0, "")
    steps = [line for line in map(json.loads, out.splitlines()) if line["event"] == "step"]
    assert len(steps) > 3
    assert [step["failed"] for step in steps] == [None] * len(steps)


def test_of_a_run(cli, poor):
    assert cli("run", poor)[0] == 0
    code, out, err = cli("suggest", "last")
    assert (code, err) == (0, "")
    assert "shuffled samples" in out
    code, _, err = cli("suggest", "last", "--set", "optimizer.lr=1")
    assert (code, err.startswith("error: --set changes a recipe, and a run is what it is")) == (2, True)


def test_nothing_to_suggest(cli, digits, tmp_path):
    text = (
        f"[data]\nsource = '{digits}'\nbatch_size = 4\n[network]\npreset = 'lenet'\n[loss]\nkind = 'cross_entropy'\n"
        "[optimizer]\nkind = 'adam'\nlr = 1e-3\n[training]\nepochs = 50\n"
    )
    (tmp_path / "good.toml").write_text(text, encoding="utf-8")
    code, out, err = cli("suggest", "good.toml", "--seconds", "0.001", "--output", "ladder.toml")
    assert (code, err) == (0, "")
    assert out == "looked at 0 of 50 epochs\n\nno rule has anything to suggest: no ladder was written\n"
    assert not (tmp_path / "ladder.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["none.toml"], "error: none.toml: cannot be read: No such file"),
        (["none"], "error: none"),
        (["--seconds", "0"], "error: --seconds should be more than 0 and at most 86,400, found 0"),
        (["--seconds", "nan"], "error: --seconds should be more than 0"),
        (["--output", "no/ladder.toml"], "error: no/ladder.toml: cannot be written: there is no folder no"),
    ],
)
def test_what_is_wrong_is_told(cli, arguments, expected):
    code, _, err = cli("suggest", *arguments)
    assert code == 2
    assert err.startswith(expected)
