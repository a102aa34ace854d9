"""What all figures are: a picture with the values it shows, written as SVG, PNG or an interactive page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from html import escape
from typing import Any

from treadle.errors import TreadleError
from treadle.figures.marks import marks_of, series_of
from treadle.language import ENGLISH, Words

BLUE, GREEN, RED, GREY = "#4477aa", "#228833", "#ee6677", "#bbbbbb"  # apart for colour-blind readers too (Tol, bright)
PATHS = (BLUE, RED, GREEN, "#ccbb44", "#66ccee", "#aa3377")  # of the same set
FORMATS = ("svg", "png", "html")
DPI = 150
# what systems and their packages have for Chinese, simplified characters first
CHINESE = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "PingFang SC",
    "Microsoft YaHei",
    "SimHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Heiti SC",
    "Noto Sans CJK JP",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)


@dataclass(frozen=True)
class Table:
    """Values that a figure shows, as they are: columns of one length.

    Args:
        name: of the table.
        columns: values by the name of the column.

    >>> Table("losses", {"epoch": [1, 2], "loss": [0.5, 0.25]}).rows()
    [(1, 0.5), (2, 0.25)]
    """

    name: str
    columns: Mapping[str, Sequence[Any]]

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the values of each row."""
        return list(zip(*self.columns.values(), strict=True))


@dataclass(frozen=True)
class Drawing:
    """A figure with the values it shows.

    Args:
        title: what it shows.
        caption: how to read it, in a sentence or two.
        tables: the values.
        draw: draws into an empty figure of matplotlib.
        width, height: inches.
        words: the language of its texts.
    """

    title: str
    caption: str
    tables: tuple[Table, ...]
    draw: Callable[[Any], None] = field(repr=False)
    width: float
    height: float
    words: Words = ENGLISH

    def svg(self) -> str:
        """Return the picture as SVG, with texts as text: who shows it chooses the font."""
        return self._drawn()[0]

    def png(self) -> bytes:
        """Return the picture as PNG.

        Raises:
            TreadleError: this machine has no font with a character of the texts.
        """
        with _settings(), warnings.catch_warnings():
            warnings.filterwarnings("error", message=r"Glyph \d+")
            figure = self._figure()
            file = io.BytesIO()
            try:
                figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
            except UserWarning as warning:
                raise TreadleError(
                    f"this machine has no font with a character of the figure ({warning}): install one, such as Noto "
                    "Sans CJK for Chinese, or write SVG or HTML, where the reader's machine chooses the font"
                ) from None
        return file.getvalue()

    def html(self) -> str:
        """Return a page of its own: the picture, which answers to the pointer, its caption and its values."""
        from treadle.figures.page import page

        return page(self.title, self.words, [self.fragment()])

    def fragment(self) -> str:
        """Return the part of a page that shows this figure; `page` has what makes it answer to the pointer."""
        from treadle.figures.page import fragment

        svg, marks = self._drawn()
        return fragment(self, svg, marks)

    def _repr_html_(self) -> str:
        height = round(96 * 1.2 * self.height) + 260  # beside the picture: title, caption and values
        source = escape(self.html(), quote=True)
        return f'<iframe srcdoc="{source}" style="width: 100%; height: {height}px; border: 0"></iframe>'

    def _figure(self) -> Any:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(self.width, self.height), layout="constrained")
        self.draw(figure)
        return figure

    def _drawn(self) -> tuple[str, list[dict[str, Any]]]:
        with _settings(), warnings.catch_warnings():
            # widths of characters that no font here has are guessed; the reader's machine has its own fonts
            warnings.filterwarnings("ignore", message=r"Glyph \d+")
            figure = self._figure()
            series_of(figure)  # which names them in the SVG
            file = io.StringIO()
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
            return file.getvalue(), marks_of(figure)


@contextmanager
def _settings() -> Iterator[None]:
    """Matplotlib's own settings and those of all figures, whatever the user's are: the same bytes on each machine."""
    from matplotlib import rc_context, rcdefaults, rcParams

    with rc_context():
        rcdefaults()
        rcParams.update(
            {
                "font.family": ["DejaVu Sans", *_chinese_fonts(), "sans-serif"],
                "svg.fonttype": "none",
                "svg.hashsalt": "treadle",
                "axes.spines.top": False,
                "axes.spines.right": False,
            }
        )
        yield


@cache
def _chinese_fonts() -> tuple[str, ...]:
    """Which fonts with Chinese characters this machine has."""
    from matplotlib import font_manager

    manager = font_manager.fontManager

    def found() -> tuple[str, ...]:
        there = {font.name for font in manager.ttflist}
        return tuple(name for name in CHINESE if name in there)

    if not found():  # matplotlib keeps a list of fonts, which lacks those that were installed since
        for path in sorted(set(font_manager.findSystemFonts()) - {font.fname for font in manager.ttflist}):
            with suppress(OSError, RuntimeError, ValueError):  # a file that is damaged, or a kind that cannot be drawn
                manager.addfont(path)
    return found()
