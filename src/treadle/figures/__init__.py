"""Figures, drawn from data and runs as SVG; they need the extra `figures`, which brings matplotlib."""

from treadle.figures.lr_range import draw_lr_range
from treadle.figures.sheet import draw_sheet
from treadle.figures.surface import draw_descent, draw_surface
from treadle.figures.timeline import draw_timeline

__all__ = ["draw_descent", "draw_lr_range", "draw_sheet", "draw_surface", "draw_timeline"]
