"""Writing objects for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass


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
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = sides.ljust(len(widths), sides[-1])
    lines = ("  ".join(f"{c:{side}{w}}" for c, side, w in zip(row, sides, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]
