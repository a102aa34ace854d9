import json

import pytest

from figures.test_page import require_complete
from figures.test_registry import FROM_CLIMB
from treadle.figures import FIGURES

pytestmark = pytest.mark.slow

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def test_all_are_listed_in_both_languages(cli):
    code, out, err = cli("figure", "--language", "en")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:] if not line.startswith(" ")] == list(FIGURES)
    code, out, _ = cli("figure", "--language", "zh")
    assert out.split()[0] == "图"
    code, out, err = cli("figure", "--json", "--language", "en")
    rows = json.loads(out)
    assert {row["name"]: row["number"] for row in rows} == {name: one.number for name, one in FIGURES.items()}
    assert rows[0].keys() == {"name", "number", "needs", "shows"}
    assert {row["name"] for row in rows if row["needs"] == "climb"} == FROM_CLIMB


def test_the_ending_of_the_output_is_what_is_written(cli, tmp_path):
    code, out, err = cli("figure", "softmax", "--language", "en")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "drawn in softmax.svg"
    assert "0.878788" in out or "0.878878" in out
    assert (tmp_path / "softmax.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert cli("figure", "softmax", "-o", "a.PNG", "--language", "en")[0] == 0
    assert (tmp_path / "a.PNG").read_bytes()[:8] == SIGNATURE
    assert cli("figure", "softmax", "--output", "a.html", "--language", "zh")[0] == 0
    require_complete((tmp_path / "a.html").read_text(encoding="utf-8"))


def test_json_has_all_values(cli, tmp_path):
    code, out, err = cli(
        "figure", "learning_rate", "-o", "lr.svg", "--json", "--language", "en", "--with", "steps=8",
        "--set", "data.source=diabetes", "--set", "network.layers=['linear 1']", "--set", "loss.kind=squared_error",
        "--set", "training.metrics=['absolute_error']",
    )  # fmt: skip
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told.keys() == {"name", "title", "caption", "file", "values"}
    assert (told["name"], told["file"]) == ("learning_rate", "lr.svg")
    for columns in told["values"].values():
        assert len({len(values) for values in columns.values()}) == 1


def test_settings_are_values_of_toml(cli):
    code, out, err = cli("figure", "softmax", "--json", "--with", "scores=[0, 0]", "--language", "en")
    assert (code, err) == (0, "")
    assert json.loads(out)["values"]["softmax"]["softmax"] == [0.5, 0.5]
    code, out, _ = cli("figure", "sigmoid", "--json", "--with", "low=-1", "--with", "high = 1.0", "--language", "en")
    assert code == 0


def test_figures_of_runs_and_climbs(cli, digits_run, climb_record):
    code, out, err = cli("figure", "confusion", digits_run, "--language", "en")
    assert (code, err) == (0, "")
    code, out, err = cli("figure", "staircase", climb_record, "--language", "zh", "--json")
    assert (code, err) == (0, "")
    assert "更好" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sofmax"], "no figure is called 'sofmax': did you mean 'softmax'?"),
        (["softmax", "-o", "a.pdf"], "a.pdf: a figure is written as .svg, .png or .html"),
        (["softmax", "-o", "a"], "a: a figure is written as .svg, .png or .html"),
        (["softmax", "-o", "none/a.svg"], "none/a.svg: cannot be written: there is no folder none"),
        (["softmax", "--with", "scores"], "--with scores: expected key=value"),
        (["softmax", "--with", "score=[1]"], "this figure has no setting 'score': did you mean 'scores'?"),
        (["softmax", "--with", "name=x"], "this figure has no setting 'name': "),
        (["softmax", "--with", "words=zh"], "this figure has no setting 'words': "),
        (["softmax", "--with", "language=zh"], "--with language=zh: the language is no setting: use --language zh"),
        (["softmax", "none.toml", "--set", "a"], "--set a: expected stage.key=value"),
        (["sheet", "none.toml"], "none.toml: "),
        (["confusion"], "this figure needs a run: give its folder, its name, or last"),
        (["staircase"], "this figure needs a climb: give the record that `treadle climb` told"),
    ],
)
def test_what_does_not_fit_is_told(cli, arguments, message, tmp_path):
    code, out, err = cli("figure", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert not list(tmp_path.glob("*.svg"))


def test_an_unknown_language_is_refused(cli):
    code, out, err = cli("figure", "softmax", "--language", "de")
    assert (code, out) == (2, "")
    assert "language" in err
