"""Where the system keeps what programs can make or fetch again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_cache() -> Path:
    """Return Treadle's folder among the user's caches: XDG_CACHE_HOME or ~/.cache on Linux; it may not exist yet.

    >>> user_cache().name
    'treadle'
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "treadle"
