"""Where in a picture its values stand, so that a page can tell the one under the pointer."""

from __future__ import annotations

from typing import Any

import numpy as np

MOST = 4_000  # points of one series: more cannot be told apart


def series_of(figure: Any) -> list[tuple[Any, Any, Any]]:
    """Return artist, axes and points of each series of a figure of matplotlib.

    Lines and scattered points that have a label of their own are series. What a series is in the SVG gets its number as
    an id, so that it can be hidden.
    """
    found: list[tuple[Any, Any, Any]] = []
    for axes in figure.axes:
        for artist in (*axes.lines, *axes.collections):
            points = _points(artist)
            if str(artist.get_label()).startswith("_") or points is None or not 0 < len(points) <= MOST:
                continue
            artist.set_gid(f"series-{len(found)}")
            found.append((artist, axes, points))
    return found


def marks_of(figure: Any) -> list[dict[str, Any]]:
    """Return the series of a figure that was drawn: label, colour, places as shares of the picture, and values.

    Until it was drawn its axes are not where they will be.
    """
    found: list[dict[str, Any]] = []
    size = [figure.bbox.width, figure.bbox.height]
    for artist, axes, points in series_of(figure):
        with np.errstate(all="ignore"):
            places = _transform(artist, axes).transform(points) / size
        seen = np.isfinite(places).all(axis=1) & (places >= 0).all(axis=1) & (places <= 1).all(axis=1)
        found.append(
            {
                "label": str(artist.get_label()),
                "colour": _colour(artist),
                "x": " ".join(axes.get_xlabel().split()),
                "y": " ".join(axes.get_ylabel().split()),
                "places": [[round(float(a), 5), round(1 - float(b), 5)] for a, b in places[seen]],
                "values": [[_number(a), _number(b)] for a, b in points[seen]],
            }
        )
    return found


def _points(artist: Any) -> Any:
    from matplotlib.collections import PathCollection

    if hasattr(artist, "get_xydata"):
        return np.asarray(artist.get_xydata(), dtype=np.float64)
    if not isinstance(artist, PathCollection):  # areas and contours have no points
        return None
    return np.asarray(np.ma.filled(np.ma.asarray(artist.get_offsets(), dtype=np.float64), np.nan))


def _transform(artist: Any, axes: Any) -> Any:
    return artist.get_transform() if hasattr(artist, "get_xydata") else artist.get_offset_transform() or axes.transData


def _colour(artist: Any) -> str:
    from matplotlib.colors import to_hex

    if hasattr(artist, "get_color"):
        return str(to_hex(artist.get_color()))
    inside, edges = (np.atleast_2d(colours) for colours in (artist.get_facecolor(), artist.get_edgecolor()))
    hollow = not len(inside) or bool((inside[0, :3] == 1).all()) or inside[0, 3] == 0
    return str(to_hex((edges if hollow else inside)[0])) if len(edges) or not hollow else "black"


def _number(value: float) -> float:
    return float(f"{value:.6g}")
