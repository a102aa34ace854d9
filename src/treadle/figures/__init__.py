"""Figures, drawn from data, recipes, runs and climbs, with matplotlib and Jinja (the extra `figures`)."""

from treadle.figures.drawing import Drawing, Table
from treadle.figures.lr_range import draw_lr_range
from treadle.figures.registry import FIGURES, Figure, figure
from treadle.figures.sheet import draw_sheet
from treadle.figures.source import Source
from treadle.figures.surface import draw_surface
from treadle.figures.timeline import draw_timeline

__all__ = [
    "FIGURES",
    "Drawing",
    "Figure",
    "Source",
    "Table",
    "draw_lr_range",
    "draw_sheet",
    "draw_surface",
    "draw_timeline",
    "figure",
]
