"""Pages of figures: complete in themselves, with every value, and safe whatever the names in them."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from treadle.figures import Drawing, Table, page
from treadle.language import Words

HOSTILE = "</script><script>alert(1)</script>"
LOADING = {"src", "href", "srcset", "data", "action", "formaction", "poster", "background", "xlink:href"}
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Elements(HTMLParser):
    """The elements of a page with their attributes, texts, and whether each that is opened is closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.found, self.open, self.texts, self.within = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)
        self.within.append((tuple(self.open), data))


def require_complete(text):
    """Raise AssertionError unless a page loads nothing, has a policy that forbids it to, and closes its elements."""
    elements = Elements(text)
    assert elements.open == []
    (policy,) = [one["content"] for tag, one in elements.found if one.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    for tag, attributes in elements.found:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert not [name for name in attributes if name.startswith("on")], f"{tag} has a handler"
        for name in LOADING & attributes.keys():
            assert attributes[name].startswith(("data:", "#")), f"{tag} loads {attributes[name][:80]}"
    css = "".join(data for open_, data in elements.within if open_ and open_[-1] == "style")
    assert not re.search(r"@import|url\((?!#|\"?data:)", css)
    code = "".join(data for open_, data in elements.within if open_ and open_[-1] == "script")
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import)\(", code)
    return elements


def made(title="Losses", table=None, draw=None, words="en"):
    table = table or Table("losses", {"epoch": [1, 2], "loss": [0.5, 0.25]})
    draw = draw or (lambda figure: figure.subplots().plot([1, 2], [0.5, 0.25], label="train"))
    return Drawing(title, "A caption.", (table,), draw, 4, 3, Words(words))


def values_of(text):
    """Tables of a page, as its script saves them as CSV."""
    found = re.findall(r'<script type="application/json" class="all">(.*?)</script>', text, re.DOTALL)
    return [json.loads(one, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")) for one in found]


def marks_in(text):
    (found,) = re.findall(r'<script type="application/json" class="marks">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


@pytest.mark.parametrize("words", ["en", "zh"])
def test_a_page_is_complete_in_itself(words):
    text = made(words=words).html()
    elements = require_complete(text)
    assert text.startswith("<!doctype html>")
    assert ("html", {"lang": {"en": "en", "zh": "zh-CN"}[words]}) in elements.found
    assert ("meta", {"charset": "utf-8"}) in elements.found
    assert [tag for tag, _ in elements.found].count("svg") == 1
    assert "<?xml" not in text
    assert {"en": "Save as CSV", "zh": "保存为 CSV"}[words] in elements.texts
    assert {"en": "Values: losses (2)", "zh": "数值：losses (2)"}[words] in elements.texts


def test_names_cannot_end_what_they_stand_in():
    table = Table(HOSTILE, {HOSTILE: [HOSTILE, "<!--"], "b": ["<img src=x onerror=alert(1)>", "&amp;"]})

    def draw(figure):
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], label=HOSTILE)
        axes.set_xlabel(HOSTILE)
        axes.set_title(HOSTILE)

    text = made(HOSTILE, table, draw).html()
    elements = require_complete(text)
    assert not [tag for tag, attributes in elements.found if tag == "img"]
    scripts = [data for open_, data in elements.within if open_ and open_[-1] == "script"]
    assert not [data for data in scripts if data.startswith("alert")]
    assert [tag for tag, _ in elements.found].count("script") == 3  # marks, values, and the page's own
    assert values_of(text) == [{"name": HOSTILE, "columns": {key: list(v) for key, v in table.columns.items()}}]
    assert marks_in(text)[0]["label"] == marks_in(text)[0]["x"] == HOSTILE
    assert elements.texts.count(HOSTILE) >= 4  # title of page and figure, column and cell, as it is


def test_all_rows_are_there_for_csv():
    count = page.SHOWN + 57
    values = np.random.default_rng(0).normal(size=count)
    text = made(table=Table("many", {"row": range(count), "value": values})).html()
    (table,) = values_of(text)
    assert table["columns"] == {"row": list(range(count)), "value": values.tolist()}  # to the last bit
    assert text.count("<tr>") == 1 + page.SHOWN
    assert "The first 200 of 257 rows; the CSV file has all." in Elements(text).texts
    assert f"{values[0]:.6g}" in Elements(text).texts
    few = made(table=Table("few", {"row": range(page.SHOWN)})).html()
    assert few.count("<tr>") == 1 + page.SHOWN
    assert "The first" not in few


def test_values_of_all_kinds():
    columns = {
        "float": [float("nan"), float("inf"), -float("inf"), 0.1],
        "numpy": [np.float32(0.1), np.float64(np.nan), np.int64(3), np.bool_(True)],
        "other": ["a", True, None, 10**20],
    }
    text = made(table=Table("kinds", columns)).html()
    (table,) = values_of(text)
    assert table["columns"]["float"] == [None, None, None, 0.1]
    assert table["columns"]["numpy"] == [float(np.float32(0.1)), None, 3, True]
    assert table["columns"]["other"] == ["a", True, None, 10**20]
    shown = Elements(text).texts
    for cell in ("nan", "inf", "-inf", "0.1", "3", "True", "None", str(10**20)):
        assert cell in shown
