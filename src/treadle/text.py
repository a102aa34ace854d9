"""Writing objects for people."""

from __future__ import annotations

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
