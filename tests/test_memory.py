"""How much memory there is where a container, or the groups of Linux around a process, have limits."""

from pathlib import Path

import psutil
import pytest

from treadle import memory
from treadle.errors import MemoryLimitError

MACHINE = 2**40
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
V2 = ("memory.max", "memory.current", "")


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A machine with 1 TiB whose groups are folders, and whose process is in those that are written."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": MACHINE})())
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    read = Path.read_text

    def read_text(path, *arguments, **settings):
        mine = tmp_path / "self"
        return read(mine if str(path) == "/proc/self/cgroup" else path, *arguments, **settings)

    monkeypatch.setattr(Path, "read_text", read_text)
    (tmp_path / "self").write_text("", encoding="utf-8")
    return tmp_path


def group(folder, names, most, used, active=0, inactive=0):
    folder.mkdir(parents=True, exist_ok=True)
    limit, usage, prefix = names
    (folder / limit).write_text(f"{most}\n", encoding="ascii")
    (folder / usage).write_text(f"{used}\n", encoding="ascii")
    lines = f"cache 7\n{prefix}active_file {active}\n{prefix}inactive_file {inactive}\nactive_anon 9\n"
    (folder / "memory.stat").write_text(lines, encoding="ascii")


def belong(root, *lines):
    (root / "self").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_without_groups_the_machine_decides(groups):
    assert memory.available() == MACHINE
    (groups / "self").unlink()
    assert memory.available() == MACHINE


@pytest.mark.parametrize("inside", ["/docker/abc", "/"])
def test_version_1(groups, inside):
    belong(groups, "9:name=systemd:/", "4:memory:/docker/abc", "3:cpuset:/", "0::/")
    group(groups / "cgroup/memory" / inside.lstrip("/"), V1, 1000, 700, 50, 100)
    assert memory.available() == 1000 - 700 + 150  # pages of files can be given up


@pytest.mark.parametrize("inside", ["/system.slice/job", "/"])
def test_version_2(groups, inside):
    belong(groups, "0::/system.slice/job")
    group(groups / "cgroup" / inside.lstrip("/"), V2, 1000, 700, 50, 100)
    assert memory.available() == 450


def test_the_tightest_of_the_groups_around_decides(groups):
    belong(groups, "0::/outer/middle/inner")
    group(groups / "cgroup/outer", V2, 5000, 4900)
    group(groups / "cgroup/outer/middle", V2, "max", 4000)
    group(groups / "cgroup/outer/middle/inner", V2, 3000, 1000)
    group(groups / "cgroup/other", V2, 10, 5)
    group(groups, V2, 10, 5)  # beyond the root of the groups
    assert memory.available() == 100
    group(groups / "cgroup/outer", V2, "max", 4900)
    assert memory.available() == 2000


def test_no_limit_and_more_than_the_machine_has(groups):
    belong(groups, "4:memory:/a", "0::/b")
    group(groups / "cgroup/memory/a", V1, 2**63 - 4096, 700)
    group(groups / "cgroup/b", V2, "max", 700)
    assert memory.available() == MACHINE


def test_a_group_that_is_over_its_limit_has_nothing_left(groups):
    belong(groups, "0::/a")
    group(groups / "cgroup/a", V2, 1000, 1200)
    assert memory.available() == 0
    with pytest.raises(MemoryLimitError, match=r"3 rows need 0\.0 GiB, and 0\.0 GiB are available: leave some out"):
        memory.require_available("3 rows", 1, "leave some out")


@pytest.mark.parametrize("content", ["", "many", "12\n13"])
def test_files_that_say_nothing_are_left_out(groups, content):
    belong(groups, "0::/a")
    group(groups / "cgroup/a", V2, 1000, 500)
    (groups / "cgroup/a/memory.max").write_text(content, encoding="ascii")
    assert memory.available() == MACHINE
    (groups / "cgroup/a/memory.max").unlink()
    assert memory.available() == MACHINE


def test_what_fits_passes():
    memory.require_available("a byte", 1, "")
    with pytest.raises(MemoryLimitError, match=r"rows need 1024\.0 GiB, and \d+\.\d GiB are available: take fewer"):
        memory.require_available("rows", 2**40, "take fewer")
