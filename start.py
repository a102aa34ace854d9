"""Set Treadle up beside this file, on the first call, and run it: Python and git are enough.

    python3 start.py              set up, then `treadle run`: the main job
    python3 start.py test ...     set up with the tools for tests, then `pytest ...`
    python3 start.py ...          set up, then `treadle ...`

The environment is `.venv`. It is made by uv, the one on PATH or else one that pip puts into `.uv`; where that fails, by
venv and pip. TREADLE_SETUP=uv or TREADLE_SETUP=venv forces one way.

It must start on Pythons older than Treadle needs, to say so or to let uv find another: syntax of 3.8.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
NEEDED = (3, 11)
OLDEST_UV = (0, 5)  # the first that knows dependency groups well


class SetupError(Exception):
    """Set-up cannot go on; the message says why and what to do."""


def say(message: str) -> None:
    """Print a line on standard error, which leaves standard output to the command."""
    print(f"start.py: {message}", file=sys.stderr, flush=True)


def job(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the module to run and its arguments.

    >>> job([]), job(["test", "-x"]), job(["choices"])
    (('treadle', ['run']), ('pytest', ['-x']), ('treadle', ['choices']))
    """
    if arguments[:1] == ["test"]:
        return "pytest", arguments[1:] or ["-n", "logical"]  # all tests: side by side, on each core
    return "treadle", arguments or ["run"]


def group(module: str) -> str:
    """Return which packages a module needs: those to run, or those to test as well."""
    return "dev" if module == "pytest" else "run"


def version_text(version: tuple[int, ...]) -> str:
    """Write a version for a person.

    >>> version_text((3, 11))
    '3.11'
    """
    return ".".join(map(str, version))


def environment_python() -> Path:
    """Return where the interpreter of the environment is, made or not."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint() -> str:
    """Return what the environment was made for: these requirements at this place."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()).hexdigest()


def is_ready(needs: str) -> bool:
    """Say whether the environment already holds what is needed; what tests need includes what a run needs."""
    stamps = [VENV / f".ready-{name}" for name in {needs, "dev"}]
    return environment_python().exists() and any(
        stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint() for stamp in stamps
    )


def is_usable_uv(path: Path) -> bool:
    """Say whether a uv starts and is new enough; on PATH it may be a shim for nothing."""
    try:
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    found = re.match(r"uv (\d+)\.(\d+)", done.stdout)
    return done.returncode == 0 and found is not None and (int(found[1]), int(found[2])) >= OLDEST_UV


def find_uv() -> Path | None:
    """Return a usable uv, on PATH or in `.uv`."""
    on_path = shutil.which("uv")
    beside = [ROOT / ".uv" / name for name in ("bin/uv", "bin/uv.exe", "Scripts/uv.exe")]
    candidates = [Path(on_path)] if on_path else []
    return next((path for path in candidates + beside if path.exists() and is_usable_uv(path)), None)


def install_uv() -> Path | None:
    """Put uv into `.uv`, which works on externally managed Pythons too, and return it, or None where that fails."""
    say("no uv found: installing it into .uv with pip")
    target = ["--quiet", "--disable-pip-version-check", "--upgrade", "--target", str(ROOT / ".uv")]
    if call([sys.executable, "-m", "pip", "install", *target, "uv"]) == 0:
        return find_uv()
    return None


def uv_command(uv: Path, needs: str) -> list[str]:
    """Return the command that makes `.venv` or brings it up to date.

    `--inexact` leaves in place what is there already: packages for tests, or installed by hand.
    """
    command = [str(uv), "sync", "--project", str(ROOT), "--inexact"]
    if needs == "run":
        command.append("--no-dev")
    # An environment that is there keeps its Python. A new one gets this one, since uv might download another.
    if not environment_python().exists() and sys.version_info >= NEEDED:
        command += ["--python", sys.executable]
    return command


def requirements(needs: str) -> tuple[list[str], list[str]]:
    """Return what pip has to install besides the project itself, and the constraints on all that it installs."""
    import tomllib  # here: older Pythons do not have it

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [] if needs == "run" else project["dependency-groups"][needs]
    return wanted, project["tool"]["uv"]["constraint-dependencies"]


def call(command: list[str], env: dict[str, str] | None = None) -> int:
    """Run a command to its end and return its exit code, 127 where it does not start."""
    try:
        return subprocess.call(command, env=env)
    except OSError as error:
        say(f"{command[0]}: {error.strerror}")
        return 127


def setup_with_uv(needs: str) -> bool:
    """Make or update `.venv` with uv and say whether that worked."""
    uv = find_uv() or install_uv()
    if uv is None:
        say("uv could not be installed")
        return False
    if sys.version_info < NEEDED:
        say(f"this is Python {version_text(sys.version_info[:2])}: uv looks for {version_text(NEEDED)} or newer")
    say(f"setting up .venv with {uv}")
    # An active environment of someone else's is none of uv's business here.
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    code = call(uv_command(uv, needs), {**env, "UV_PROJECT_ENVIRONMENT": str(VENV)})
    if code != 0:
        say(f"uv ended with exit code {code}")
    return code == 0


def setup_with_venv(needs: str) -> None:
    """Make or update `.venv` with venv and pip, or raise SetupError."""
    if sys.version_info < NEEDED:
        raise SetupError(
            f"Treadle needs Python {version_text(NEEDED)} or newer, and {sys.executable} is "
            f"{version_text(sys.version_info[:3])}: run this file with a newer one, as in `python3.11 start.py`, "
            "or install uv, which finds or fetches one"
        )
    python = str(environment_python())
    if not environment_python().exists():
        say(f"making .venv with {sys.executable} -m venv")
        if call([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
            raise SetupError(
                "the environment could not be made: install the package of your system that holds Python's venv "
                "(python3-venv on Debian and Ubuntu), or install uv, then run this again"
            )
    elif subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode != 0:
        say("adding pip to .venv")
        call([python, "-m", "ensurepip"])
    say("installing Treadle and its requirements into .venv with pip")
    wanted, constraints = requirements(needs)
    file = VENV / "constraints.txt"
    file.write_text("\n".join(constraints), encoding="utf-8")
    options = ["--quiet", "--disable-pip-version-check", "--constraint", str(file)]
    code = call([python, "-m", "pip", "install", *options, "--editable", str(ROOT), *wanted])
    if code != 0:
        raise SetupError(f"pip ended with exit code {code}: its message above says why; mend it and run this again")


def setup(needs: str, way: str) -> None:
    """Make `.venv` fit what is needed, by one way or by the first that works, or raise SetupError."""
    if way not in ("", "uv", "venv"):
        raise SetupError(f"TREADLE_SETUP is {way!r}: give uv or venv, or leave it unset")
    if is_ready(needs):
        return
    if way == "venv" or not setup_with_uv(needs):
        if way == "uv":
            raise SetupError("uv did not set up .venv, and TREADLE_SETUP=uv allows no other way: unset it, or mend uv")
        setup_with_venv(needs)
    (VENV / f".ready-{needs}").write_text(fingerprint(), encoding="utf-8")


def hand_over(module: str, arguments: list[str]) -> int:
    """Run the module in the environment, as this process where the system can, and return its exit code."""
    env = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    if module == "treadle":  # hints that the command prints shall be what can be typed here
        env["TREADLE_COMMAND"] = f"{Path(sys.executable).name} {Path(sys.argv[0])}"
    env["PATH"] = str(environment_python().parent) + os.pathsep + env.get("PATH", os.defpath)
    # -P: a file of the user's beside the command, such as random.py, is not taken for a module.
    command = [str(environment_python()), "-P", "-m", module, *arguments]
    if module == "pytest":
        os.chdir(ROOT)
    if os.name != "nt":
        os.execve(command[0], command, env)
    child = subprocess.Popen(command, env=env)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the child has it too, and decides
            continue


def main(arguments: list[str]) -> int:
    """Set up, hand over, and return the exit code."""
    module, rest = job(arguments)
    try:
        setup(group(module), os.environ.get("TREADLE_SETUP", ""))
    except SetupError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("interrupted; run it again to go on")
        return 130
    say(" ".join(["running", module, *rest]))
    return hand_over(module, rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
