import doctest
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "start.py"


@pytest.fixture
def start(tmp_path, monkeypatch):
    """start.py as a module that takes a temporary folder for its own."""
    spec = importlib.util.spec_from_file_location("start", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text(SOURCE.with_name("pyproject.toml").read_text(encoding="utf-8"))
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.delenv("TREADLE_SETUP", raising=False)
    return module


def put_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def put_environment(start):
    put_program(start.environment_python(), "exit 0")


def record_calls(start, monkeypatch, codes):
    """Replace the running of commands: each call ends with the code of the first word of `codes` found in it."""
    calls = []

    def call(command, env=None):
        calls.append(command)
        code = next((code for word, code in codes.items() if word in command), 0)
        if code == 0 and ("sync" in command or "venv" in command):
            put_environment(start)
        return code

    monkeypatch.setattr(start, "call", call)
    return calls


def test_doctests(start):
    assert doctest.testmod(start).failed == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("treadle", ["run"])),
        (["test"], ("pytest", ["-n", "logical"])),
        (["test", "-k", "name", "tests"], ("pytest", ["-k", "name", "tests"])),
        (["choices"], ("treadle", ["choices"])),
        (["run", "test"], ("treadle", ["run", "test"])),
        (["--help"], ("treadle", ["--help"])),
    ],
)
def test_job(start, arguments, expected):
    assert start.job(arguments) == expected


posix = pytest.mark.skipif(os.name == "nt", reason="the stand-ins for uv are shell scripts")


@posix
def test_uv_on_path_comes_first(start, tmp_path, monkeypatch):
    put_program(tmp_path / "bin/uv", "echo uv 0.8.0")
    put_program(tmp_path / ".uv/bin/uv", "echo uv 0.8.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert start.find_uv() == tmp_path / "bin/uv"


@posix
@pytest.mark.parametrize("text", ["exit 127", "echo uv 0.4.30", "echo something else"])
def test_unusable_uv_on_path_is_passed_over(start, tmp_path, monkeypatch, text):
    put_program(tmp_path / "bin/uv", text)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert start.find_uv() is None
    put_program(tmp_path / ".uv/bin/uv", "echo uv 0.8.0")
    assert start.find_uv() == tmp_path / ".uv/bin/uv"


def test_uv_command_for_a_run_leaves_out_the_packages_for_tests(start):
    assert "--no-dev" in start.uv_command(Path("uv"), "run")
    assert "--no-dev" not in start.uv_command(Path("uv"), "dev")
    assert "--inexact" in start.uv_command(Path("uv"), "run")


def test_uv_gets_this_python_for_a_new_environment_only(start):
    assert start.uv_command(Path("uv"), "run")[-2:] == ["--python", sys.executable]
    put_environment(start)
    assert "--python" not in start.uv_command(Path("uv"), "run")


def test_uv_looks_for_a_python_where_this_one_is_too_old(start, monkeypatch):
    monkeypatch.setattr(start, "NEEDED", (sys.version_info[0], sys.version_info[1] + 1))
    assert "--python" not in start.uv_command(Path("uv"), "run")


def test_setup_with_uv_is_done_once(start, monkeypatch):
    calls = record_calls(start, monkeypatch, {})
    monkeypatch.setattr(start, "find_uv", lambda: Path("uv"))
    start.setup("dev", "")
    assert [command[1] for command in calls] == ["sync"]
    start.setup("dev", "")
    start.setup("run", "")  # what tests need includes what a run needs
    assert len(calls) == 1


def test_setup_is_done_again_for_tests_and_for_new_requirements(start, tmp_path, monkeypatch):
    calls = record_calls(start, monkeypatch, {})
    monkeypatch.setattr(start, "find_uv", lambda: Path("uv"))
    start.setup("run", "")
    start.setup("dev", "")
    assert len(calls) == 2
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write("\n")
    start.setup("dev", "")
    assert len(calls) == 3


def test_missing_uv_is_installed_beside_the_project(start, tmp_path, monkeypatch):
    calls = record_calls(start, monkeypatch, {})
    found = iter([None, Path("uv")])
    monkeypatch.setattr(start, "find_uv", lambda: next(found))
    start.setup("run", "")
    assert calls[0][-3:] == ["--target", str(tmp_path / ".uv"), "uv"]
    assert calls[1][:2] == ["uv", "sync"]


@pytest.mark.parametrize("failing", ["uv", "sync"])
def test_where_uv_fails_venv_and_pip_follow(start, monkeypatch, failing):
    calls = record_calls(start, monkeypatch, {failing: 1})
    monkeypatch.setattr(start, "find_uv", lambda: Path("/uv") if failing == "sync" else None)
    start.setup("run", "")
    assert calls[-2][1:3] == ["-m", "venv"]
    assert calls[-1][1:4] == ["-m", "pip", "install"]
    assert start.is_ready("run")
    assert not start.is_ready("dev")


def test_forced_venv_asks_for_no_uv(start, monkeypatch):
    calls = record_calls(start, monkeypatch, {})
    monkeypatch.setattr(start, "find_uv", lambda: pytest.fail("uv was looked for"))
    start.setup("dev", "venv")
    assert any(word.startswith("pytest") for word in calls[-1])
    constraints = Path(calls[-1][calls[-1].index("--constraint") + 1]).read_text(encoding="utf-8")
    assert "numpy<3" in constraints.splitlines()


def test_forced_uv_that_fails_is_an_error(start, monkeypatch):
    record_calls(start, monkeypatch, {"sync": 1})
    monkeypatch.setattr(start, "find_uv", lambda: Path("uv"))
    with pytest.raises(start.SetupError, match="TREADLE_SETUP=uv"):
        start.setup("run", "uv")
    assert not start.is_ready("run")


@pytest.mark.parametrize(("failing", "message"), [("venv", "python3-venv"), ("pip", "pip ended with exit code 1")])
def test_failing_venv_or_pip_is_an_error_that_says_what_to_do(start, monkeypatch, failing, message):
    record_calls(start, monkeypatch, {failing: 1})
    with pytest.raises(start.SetupError, match=message):
        start.setup("run", "venv")
    assert not start.is_ready("run")


def test_too_old_python_is_named_with_the_version_needed(start, monkeypatch, capsys):
    monkeypatch.setattr(start, "NEEDED", (sys.version_info[0], sys.version_info[1] + 1))
    monkeypatch.setenv("TREADLE_SETUP", "venv")
    assert start.main([]) == 2
    error = capsys.readouterr().err
    assert f"needs Python {sys.version_info[0]}.{sys.version_info[1] + 1} or newer" in error
    assert len(error.splitlines()) == 1


def test_unknown_way_is_refused(start, monkeypatch, capsys):
    monkeypatch.setenv("TREADLE_SETUP", "conda")
    assert start.main([]) == 2
    assert "'conda': give uv or venv" in capsys.readouterr().err


def test_interrupted_setup_leaves_no_traceback(start, monkeypatch, capsys):
    def interrupt(needs, way):
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "setup", interrupt)
    assert start.main([]) == 130
    assert "interrupted" in capsys.readouterr().err


@posix
def test_exit_code_and_working_directory_of_the_command(tmp_path):
    """The whole way but for the installation: an environment that is ready, with a stand-in for its Python."""
    spec = importlib.util.spec_from_file_location("start", SOURCE)
    start = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(start)
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    for name in ("start.py", "pyproject.toml"):
        (project / name).write_bytes(SOURCE.with_name(name).read_bytes())
    start.ROOT, start.VENV = project, project / ".venv"
    put_program(start.environment_python(), 'pwd; echo "$@"; exit 7')
    (start.VENV / ".ready-dev").write_text(start.fingerprint(), encoding="utf-8")

    def run(*arguments):
        command = [sys.executable, str(project / "start.py"), *arguments]
        return subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)

    done = run("evaluate", "some file")
    assert done.returncode == 7
    assert done.stdout.splitlines() == [str(elsewhere), "-P -m treadle evaluate some file"]
    assert done.stderr == "start.py: running treadle evaluate some file\n"
    assert run("test", "-x").stdout.splitlines() == [str(project), "-P -m pytest -x"]
