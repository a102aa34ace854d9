"""Figures of recipes from the registry, on images with classes and on a regression, in both languages."""

import pytest

from drawings import texts
from treadle.figures import FIGURES, figure
from treadle.recipe import Recipe

pytestmark = pytest.mark.slow

SETTINGS = {
    "timeline": {"seconds": 0.05},
    "learning_rate": {"steps": 8},
    "surface": {"steps": 10, "finest": 5, "samples": 30},
    "weights_surface": {"steps": 10, "finest": 5, "samples": 30},
    "gradient": {"finest": 5, "samples": 30},
}
NAMES = ["data_tree", "scaling", "squared_and_absolute", "sheet", *SETTINGS]
NUMBERS = {
    "data_tree": 3,
    "scaling": 4,
    "timeline": 5,
    "sigmoid": 6,
    "softmax": 8,
    "cross_entropy": 18,
    "weights_surface": 41,
    "squared_and_absolute": 42,
    "gradient": 48,
    "descent": 49,
    "learning_rate": 50,
}


@pytest.mark.parametrize("source", ["digits", "diabetes"])
@pytest.mark.parametrize("name", NAMES)
def test_each_is_drawn_with_its_values_in_both_languages(name, source):
    recipe = Recipe.baseline().change({"data.source": source, "data.batch_size": 10, "optimizer.lr": 0.001})
    english, chinese = (figure(name, recipe, language=words, **SETTINGS.get(name, {})) for words in ("en", "zh"))
    assert english.tables
    assert all(table.rows() for table in english.tables)
    assert texts(english.svg())
    assert english.html().startswith("<!")
    for text in (english.title, english.caption):
        assert text.isascii() or not any("\u4e00" <= letter <= "\u9fff" for letter in text)
    for text in (chinese.title, chinese.caption):
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text)
    assert [len(table.columns) for table in english.tables] == [len(table.columns) for table in chinese.tables]


def test_they_have_the_numbers_of_the_course():
    assert {name: FIGURES[name].number for name in NUMBERS} == NUMBERS
