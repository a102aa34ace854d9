from pathlib import Path

import pytest

from treadle import folders


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "home/.cache/treadle"),
        ("linux", {"XDG_CACHE_HOME": ""}, "home/.cache/treadle"),
        ("linux", {"XDG_CACHE_HOME": "given"}, "given/treadle"),
        ("darwin", {"XDG_CACHE_HOME": "given"}, "home/Library/Caches/treadle"),
        ("win32", {}, "home/AppData/Local/treadle"),
        ("win32", {"LOCALAPPDATA": "given"}, "given/treadle"),
    ],
)
def test_each_system_has_its_place(monkeypatch, platform, environment, expected):
    monkeypatch.setattr(folders.sys, "platform", platform)
    monkeypatch.setattr(folders.Path, "home", lambda: Path("home"))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert folders.user_cache() == Path(expected)
