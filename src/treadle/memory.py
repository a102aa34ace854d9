"""How much memory there is; what is larger is refused before it is allocated."""

from pathlib import Path

from treadle.errors import MemoryLimitError

_CGROUPS = Path("/sys/fs/cgroup")


def available() -> int:
    """Return the bytes of memory that can be allocated: of the machine, or of the container if that has less.

    >>> available() > 0
    True
    """
    import psutil

    return min(int(psutil.virtual_memory().available), *_left_in_cgroups())


def require_available(what: str, needed: int, advice: str) -> None:
    """Raise MemoryLimitError where something needs more bytes than are available.

    >>> require_available("3 rows", 2**80, "leave some out")
    Traceback (most recent call last):
    treadle.errors.MemoryLimitError: 3 rows need 1125899906842624.0 GiB, and ... GiB are available: leave some out
    """
    found = available()
    if needed > found:
        raise MemoryLimitError(
            f"{what} need {needed / 2**30:.1f} GiB, and {found / 2**30:.1f} GiB are available: {advice}"
        )


def _left_in_cgroups() -> list[int]:
    """What is left under each limit on the memory of this process that Linux has; pages of files can be given up."""
    left = [2**63]
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return left
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            root, names = _CGROUPS / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        elif not controllers:
            root, names = _CGROUPS, ("memory.max", "memory.current", "")
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):  # each group around has its limit; a container may see its own as root
            if folder.is_relative_to(root):
                left += _left(folder, *names)
    return left


def _left(folder: Path, limit: str, usage: str, prefix: str) -> list[int]:
    try:
        most, used = ((folder / name).read_text(encoding="ascii").strip() for name in (limit, usage))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        cached = sum(int(statistics.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive"))
        return [] if most == "max" else [max(0, int(most) - int(used) + cached)]
    except (OSError, ValueError):
        return []
