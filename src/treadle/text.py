"""Writing objects for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from unicodedata import east_asian_width


def constructor(made: object) -> str:
    """Write the call that makes an object of a dataclass: what has no default, and of the rest what differs from it.

    >>> from treadle.optim import Momentum
    >>> constructor(Momentum(0.1, clip_norm=1.0))
    'Momentum(0.1, clip_norm=1.0)'
    """
    settings = fields(made) if is_dataclass(made) else ()  # other classes tell nothing of theirs
    needed = [repr(getattr(made, field.name)) for field in settings if field.default is MISSING]
    chosen = [
        f"{field.name}={value!r}"
        for field in settings
        if field.default is not MISSING and (value := getattr(made, field.name)) != field.default
    ]
    return f"{type(made).__name__}({', '.join(needed + chosen)})"


def aligned(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Write rows of cells as lines whose columns stand one below the other, two blanks apart.

    Args:
        rows: of one length.
        sides: "<" or ">" for each column, to the left or to the right; the last stands for all that follow.

    >>> aligned([("layer", "size"), ("linear1", "10")], "<>")
    ['layer    size', 'linear1    10']
    """
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    sides = sides.ljust(len(widths), sides[-1])
    lines = []
    for row in rows:
        blanks = (" " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True))
        cells = (c + blank if side == "<" else blank + c for c, side, blank in zip(row, sides, blanks, strict=True))
        lines.append("  ".join(cells).rstrip())
    return lines


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes: Chinese characters are two wide.

    >>> columns("loss"), columns("损失")
    (4, 4)
    """
    return sum(1 + (east_asian_width(character) in "WF") for character in text)
