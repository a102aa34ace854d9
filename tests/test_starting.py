"""Ctrl-C and SIGTERM while the command is imported."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
posix = pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
# what starts the tests may ignore Ctrl-C, as a shell does in the background, and its children then do as well
INTERRUPTIBLE = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.fixture(params=["module", "script"])
def command(request, tmp_path):
    """The command as `python -m treadle`, and as the script that an installer makes."""
    if request.param == "module":
        return ["-m", "treadle"]
    module, _, function = PROJECT["scripts"]["treadle"].partition(":")
    path = tmp_path / "bin" / "treadle"
    path.parent.mkdir()
    path.write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n", encoding="utf-8")
    return [str(path)]


def run(command, imported, number, tmp_path):
    """Run a command that gets a signal while it imports a module."""
    stand_in = tmp_path / "stand_ins" / f"{imported}.py"
    stand_in.parent.mkdir()
    stand_in.write_text(f"import os, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(60)\n", encoding="utf-8")
    paths = os.pathsep.join([str(stand_in.parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTIBLE, sys.executable, "-P", *command, "choices"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("imported", ["numpy", "cyclopts"])  # by the package, and by its command
def test_a_signal_during_imports_ends_without_a_traceback(command, imported, number, code, tmp_path):
    done = run(command, imported, number, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "interrupted\n")


@posix
def test_other_programs_keep_their_signals(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import treadle\n", encoding="utf-8")
    done = run([str(path)], "numpy", signal.SIGINT, tmp_path)
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
    program = "import signal, treadle; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
