"""Fonts for Chinese: those that matplotlib knows, and those that were installed since it listed them."""

from types import SimpleNamespace

from matplotlib import font_manager

from treadle.figures.drawing import _chinese_fonts


class Manager:
    """A list of fonts that lacks what was installed since."""

    def __init__(self):
        self.ttflist = [SimpleNamespace(name="DejaVu Sans", fname="a.ttf")]

    def addfont(self, path):
        if path == "damaged.ttf":
            raise RuntimeError("cannot load face")
        self.ttflist.append(SimpleNamespace(name="SimHei", fname=path))


def test_fonts_installed_since_matplotlib_listed_them_are_found(monkeypatch):
    monkeypatch.setattr(font_manager, "fontManager", Manager())
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: ["a.ttf", "damaged.ttf", "new.ttf"])
    _chinese_fonts.cache_clear()
    try:
        assert _chinese_fonts() == ("SimHei",)
        assert [font.fname for font in font_manager.fontManager.ttflist] == ["a.ttf", "new.ttf"]
    finally:
        _chinese_fonts.cache_clear()
