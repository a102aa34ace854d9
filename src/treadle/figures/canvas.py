"""What all figures share: matplotlib, imported when a figure is drawn, and the way from a figure to SVG."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from treadle.errors import TreadleError

BLUE, GREEN, RED, GREY = "#4477aa", "#228833", "#ee6677", "#bbbbbb"  # apart for colour-blind readers too (Tol, bright)
PATHS = (BLUE, RED, GREEN, "#ccbb44", "#66ccee", "#aa3377")  # of the same set


def drawn(draw: Callable[[Any], None], width: float, height: float) -> str:
    """Call a function with an empty figure of so many inches and return what it drew as SVG.

    Raises:
        TreadleError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TreadleError(
            "figures need matplotlib: install it with `pip install treadle[figures]`, or `pip install matplotlib`"
        ) from error
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "treadle",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
