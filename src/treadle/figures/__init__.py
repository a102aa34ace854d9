"""Figures, drawn from data and runs as SVG; they need the extra `figures`, which brings matplotlib."""

from treadle.figures.lr_range import draw_lr_range

__all__ = ["draw_lr_range"]
