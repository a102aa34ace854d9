"""Array kernels: arrays in, arrays out, no gradients. A backend is a namespace with the names of `reference`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from treadle.kernels import reference

__all__ = ["active", "reference", "use"]

_active: ContextVar[Any] = ContextVar("kernels", default=reference)


def active() -> Any:
    """Return the kernels that ops run on now: `reference`, unless `use` chose others."""
    return _active.get()


@contextmanager
def use(kernels: Any) -> Iterator[None]:
    """Run the ops inside the `with` block on other kernels, for example on jax.numpy while tracing.

    >>> with use(reference):
    ...     active() is reference
    True
    """
    token = _active.set(kernels)
    try:
        yield
    finally:
        _active.reset(token)
