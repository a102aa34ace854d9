"""What tests of figures read in them."""

from xml.etree import ElementTree

from treadle.language import Words

BOTH = (Words("en"), Words("zh"))


def texts(svg):
    return {text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()}


def has(svg, *wanted):
    found = " ".join(" ".join(texts(svg)).split())
    return [text for text in wanted if text not in found] == []


def chinese(text):
    return any("一" <= character <= "鿿" for character in text)


def drawn(draw, *arguments, **settings):
    """Draw in both languages, and return the English drawing: same tables in size, and Chinese where it should be."""
    english, other = (draw(*arguments, **settings, words=words) for words in BOTH)
    assert chinese(other.title)
    assert chinese(other.caption)
    assert not chinese(english.title + english.caption)
    shapes = [[(len(t.columns), len(t.rows())) for t in one.tables] for one in (english, other)]
    assert shapes[0] == shapes[1]
    assert english.svg() == english.svg()
    other.svg()
    return english
