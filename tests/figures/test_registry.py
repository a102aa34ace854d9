"""The registry of figures: each is drawn from what it needs in both languages, with settings that are known."""

import inspect
import re

import numpy as np
import pytest

import digit_climb
import treadle as td
from drawings import chinese, texts
from figures import test_of_recipes
from treadle.errors import TreadleError
from treadle.figures import FIGURES, Drawing, Figure, Source, Table, figure
from treadle.language import ENGLISH, Words

pytestmark = pytest.mark.slow

COURSE = {3, 4, 5, 6, 8, 18, 41, 42, 48, 49, 50}
SETTINGS = {"histograms": {"steps": 4, "looks": 2}}
FROM_RECIPE = {"histograms"}
FROM_RUN = {"learning_curves", "confusion", "mistakes", "calibration", "predictions", "filters", "feature_maps"}
FROM_CLIMB = {"staircase", "order_of_credit"}
FROM_NOTHING = {"sigmoid", "softmax", "cross_entropy", "descent"}
NO_WORDS = {"sigmoid", "descent"}  # their pictures have symbols and names of optimisers alone
SENTENCE = re.compile(r"\b[A-Za-z]+( [a-z]{2,}\b){3}")  # four words of English in a row


def test_each_figure_is_drawn_by_some_test():
    here = FROM_NOTHING | FROM_RECIPE | FROM_RUN | FROM_CLIMB
    assert here | set(test_of_recipes.NAMES) == set(FIGURES)
    assert {name for name, one in FIGURES.items() if one.needs == "nothing"} == FROM_NOTHING
    assert {name for name, one in FIGURES.items() if one.needs == "run"} == FROM_RUN
    assert {name for name, one in FIGURES.items() if one.needs == "climb"} == FROM_CLIMB
    assert {name for name, one in FIGURES.items() if one.needs == "recipe"} == FROM_RECIPE | set(test_of_recipes.NAMES)


def test_figures_of_the_course_have_their_numbers():
    numbers = [one.number for one in FIGURES.values() if one.number is not None]
    assert set(numbers) == COURSE
    assert len(numbers) == len(COURSE)


@pytest.fixture(scope="module")
def sources(digits_run, diabetes_run, climb_record):
    """What figures are drawn from, each read once."""
    made = {
        "nothing": Source(digit_climb.recipe()),
        "recipe": Source(digit_climb.recipe()),
        "run": Source(digits_run),
        "regression": Source(diabetes_run),
        "climb": Source(climb_record),
    }
    return made.__getitem__


@pytest.mark.parametrize("name", sorted(FROM_NOTHING | FROM_RECIPE | FROM_RUN | FROM_CLIMB))
def test_each_is_drawn_in_both_languages(name, sources):
    source = sources("regression" if name == "predictions" else FIGURES[name].needs)
    both = [figure(name, source, language=language, **SETTINGS.get(name, {})) for language in ("en", "zh")]
    english, other = both
    assert all(isinstance(drawing, Drawing) for drawing in both)
    assert english.tables
    assert all(table.rows() for table in english.tables)
    # the same numbers, under other names
    assert [len(table.rows()) for table in english.tables] == [len(table.rows()) for table in other.tables]
    for one, two in zip(english.tables, other.tables, strict=True):
        for here, there in zip(one.columns.values(), two.columns.values(), strict=True):
            assert repr([v for v in here if isinstance(v, float)]) == repr([v for v in there if isinstance(v, float)])
    pages = [drawing.html() for drawing in both]
    here, there = (texts(page[page.index("<svg") : page.index("</svg>") + 6]) for page in pages)
    named = {step.name_zh for step in digit_climb.ladder().rung}
    assert not [text for text in [*here, english.title, english.caption] if chinese(text) and text not in named]
    assert chinese(other.caption)
    assert any(chinese(text) for text in there) or name in NO_WORDS
    why = [step.failed for step in source.climb.steps if step.failed] if source.kind == "climb" else []
    for text in [*there, other.title, other.caption, *(name for table in other.tables for name in table.columns)]:
        said = text.removeprefix("失败：").rstrip("…")  # errors are told in English
        assert not SENTENCE.search(text) or any(said in error for error in why)
    for page, language in zip(pages, ("en", "zh-CN"), strict=True):
        assert f'<html lang="{language}">' in page


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_what_it_shows_is_told_in_both_languages(name):
    english, other = FIGURES[name].shows
    assert not chinese(english)
    assert chinese(other)


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_settings_that_are_unknown_are_refused(name):
    known = FIGURES[name].settings()
    assert "words" not in known
    assert all(one.default is not inspect.Parameter.empty for one in known.values())
    with pytest.raises(TreadleError, match=r"^this figure has no setting 'thickness': ") as refused:
        figure(name, digit_climb.recipe(), language="en", thickness=3)
    assert all(one in str(refused.value) for one in known)
    for one in known:
        with pytest.raises(TreadleError, match=f"did you mean '{one}'"):
            figure(name, digit_climb.recipe(), language="en", **{f"{one}x": 3})


@pytest.mark.parametrize("name", sorted(name for name, one in FIGURES.items() if one.settings()))
def test_a_setting_of_another_type_is_refused(name):
    for setting in FIGURES[name].settings():
        with pytest.raises(TreadleError, match=f"^the setting {setting} should be .*, found "):
            figure(name, digit_climb.recipe(), language="en", **{setting: {"a": object()}})


def test_settings_may_be_of_numpy():
    (table,) = figure("softmax", language="en", scores=np.zeros(2)).tables
    assert table.columns["softmax"] == [0.5, 0.5]
    for value in ("abc", 3, ["a"]):
        with pytest.raises(TreadleError, match="the setting scores should be a "):
            figure("softmax", language="en", scores=value)


def test_an_unknown_figure_or_language_is_refused():
    with pytest.raises(TreadleError, match="no figure is called 'sofmax': did you mean 'softmax'"):
        figure("sofmax")
    with pytest.raises(TreadleError, match='language should be "en" or "zh", found '):
        figure("softmax", language="de")


def test_the_language_is_that_of_the_system_unless_told(monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert chinese(figure("softmax").caption)
    assert not chinese(figure("softmax", language="en").title)
    monkeypatch.setenv("LC_ALL", "C")
    assert not chinese(figure("softmax").caption)


def test_settings_go_to_where_they_belong():
    def take(source, *, steps=1, words="none of the settings"):
        return (steps, [source])

    def draw(steps, source, *, smooth=2, words=ENGLISH):
        table = Table("t", {"steps": [steps], "smooth": [smooth], "source": source})
        return Drawing("", "", (table,), lambda figure: None, 1, 1, words)

    made = Figure(("a", "b"), draw, take=take)
    assert set(made.settings()) == {"steps", "smooth"}  # that draw calls an argument of its own so, hides nothing
    assert made.made("s").tables[0].rows() == [(1, 2, "s")]
    assert made.made("s", Words("zh"), steps=5, smooth=6).tables[0].rows() == [(5, 6, "s")]
    with pytest.raises(TreadleError, match="no setting 'source': there are steps, smooth"):
        made.made("s", source=1)
    with pytest.raises(TreadleError, match="no setting 'words'"):
        made.made("s", **{"words": "zh"})
    with pytest.raises(TreadleError, match="no setting 'name'"):
        figure("softmax", **{"name": "sigmoid"})


def test_figures_can_be_had_from_the_package():
    assert td.figure("softmax", language="en").tables[0].rows() == figure("softmax", language="en").tables[0].rows()
