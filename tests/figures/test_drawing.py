"""What all drawings share: tables, SVG and PNG, the same bytes each time, and fonts that are not there."""

import html
import re
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib import pyplot

from drawings import texts
from treadle.errors import TreadleError
from treadle.figures import Drawing, Table, drawing
from treadle.language import Words

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def lines(figure):
    axes = figure.subplots()
    axes.plot([1, 2, 3], [0.5, 0.25, 0.125], label="a < b & c")
    axes.set_title("−1 损失")
    axes.legend()


def made(draw=lines, words="en"):
    table = Table("losses", {"epoch": [1, 2, 3], "loss": [0.5, 0.25, 0.125]})
    return Drawing("Losses", "How losses fall.", (table,), draw, 4, 3, Words(words))


def test_rows_of_a_table():
    assert Table("t", {"a": [1, 2], "b": ["x", "y"]}).rows() == [(1, "x"), (2, "y")]
    assert Table("t", {}).rows() == []
    with pytest.raises(ValueError, match="shorter"):
        Table("t", {"a": [1, 2], "b": ["x"]}).rows()


def test_svg_is_well_formed_and_has_its_texts_as_texts():
    svg = made().svg()
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == ("288pt", "216pt")  # 4 × 3 inches of 72 points
    assert {"a < b & c", "−1 损失"} <= texts(svg)


def test_the_same_drawing_gives_the_same_bytes():
    assert made().svg() == made().svg()
    assert made().png() == made().png()
    assert made().html() == made().html()


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    frame = made()._repr_html_()
    source = re.fullmatch(r'<iframe srcdoc="([^"]*)" style="[^"]*"></iframe>', frame)
    assert html.unescape(source[1]) == made().html()


def test_neither_settings_nor_figures_of_the_user_are_touched_or_matter():
    svg, png = made().svg(), made().png()
    before = dict(matplotlib.rcParams)
    made().svg()
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []
    with matplotlib.rc_context({"savefig.bbox": "tight", "font.size": 30, "svg.fonttype": "path", "savefig.dpi": 30}):
        assert made().svg() == svg
        assert made().png() == png


def test_png_has_its_size():
    png = made().png()
    assert png[:8] == SIGNATURE
    size = [int.from_bytes(png[at : at + 4], "big") for at in (16, 20)]
    assert size == [4 * drawing.DPI, 3 * drawing.DPI]


def test_a_character_that_no_font_has_is_an_error_of_png_alone(monkeypatch):
    monkeypatch.setattr(drawing, "_chinese_fonts", lambda: ())
    for kind in ("svg", "html"):
        assert "损失" in getattr(made(), kind)()  # the reader's machine has its own fonts
    with pytest.raises(TreadleError, match=r"no font with a character of the figure .*install one, such as Noto Sans"):
        made().png()

    def latin(figure):
        figure.subplots().set_title("loss")

    assert made(latin).png()[:8] == SIGNATURE


def test_an_empty_figure_can_be_drawn():
    empty = Drawing("nothing", "", (), lambda figure: None, 1, 1)
    assert "<text" not in empty.svg()
    assert empty.png()[:8] == SIGNATURE
    assert '<script type="application/json" class="marks">[]</script>' in empty.html()
