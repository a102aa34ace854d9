"""Data that is larger than the memory available is refused before it is allocated."""

from treadle.errors import MemoryLimitError


def require_available(what: str, needed: int, advice: str) -> None:
    """Raise MemoryLimitError where something needs more bytes than are available.

    >>> require_available("3 rows", 2**80, "leave some out")
    Traceback (most recent call last):
    treadle.errors.MemoryLimitError: 3 rows need 1125899906842624.0 GiB, and ... GiB are available: leave some out
    """
    import psutil

    available = psutil.virtual_memory().available
    if needed > available:
        raise MemoryLimitError(
            f"{what} need {needed / 2**30:.1f} GiB, and {available / 2**30:.1f} GiB are available: {advice}"
        )
