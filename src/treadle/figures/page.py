"""Pages with figures: HTML in one file, without network, whose pictures answer to the pointer."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from treadle.language import Words

if TYPE_CHECKING:
    from treadle.figures.drawing import Drawing

SHOWN = 200  # rows of a table in the page itself; its CSV has all


def page(title: str, words: Words, parts: Sequence[str]) -> str:
    """Return a page whose body is parts of HTML, one after the other."""
    return render("page.html", title=title, words=words, parts=parts)


def fragment(drawing: Drawing, svg: str, marks: list[dict[str, Any]]) -> str:
    """Return the part of a page that shows a figure: picture, caption, and values as tables."""
    tables = [
        {
            "name": table.name,
            "columns": list(table.columns),
            "rows": [[_written(cell) for cell in row] for row in table.rows()[:SHOWN]],
            "count": len(table.rows()),
            "all": _json({"name": table.name, "columns": {k: list(v) for k, v in table.columns.items()}}),
        }
        for table in drawing.tables
    ]
    picture = svg[svg.index("<svg") :]  # without the prologue of a file
    return render(
        "figure.html", drawing=drawing, picture=picture, marks=_json(marks), tables=tables, words=drawing.words
    )


def render(template: str, package: str = "treadle.figures", /, **values: Any) -> str:
    """Fill in a template from the folder `templates` of a package; values are escaped."""
    return str(environment(package).get_template(template).render(**values))


@cache
def environment(package: str) -> Any:
    """Return Jinja with the templates of a package."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["asset"] = _asset
    return made


def _asset(name: str) -> str:
    return (files("treadle.figures") / "templates" / name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    """JSON that may stand inside a script element; what JSON has no number for is null."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _written(cell: Any) -> str:
    if isinstance(cell, bool) or (not isinstance(cell, float) and not hasattr(cell, "dtype")):
        return str(cell)
    return f"{cell:.6g}"
