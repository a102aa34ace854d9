"""Coverage-guided fuzzing of the readers of data, runs and recipes: any bytes are read, or refused with their errors.

    pip install atheris
    python fuzz/readers.py all --seconds 60

See docs/fuzzing.md.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import mmap
import re
import resource
import struct
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

if importlib.util.find_spec("atheris") is None:
    print("fuzzing needs Atheris: pip install atheris", file=sys.stderr)
    raise SystemExit(2)
import atheris

PACKAGES = ("treadle", "zipfile", "json", "numpy.lib", "PIL")  # whose branches guide the fuzzing
# what is imported where it is needed, and is here before, since nothing may be imported while a file is read
LATE = (
    "tomlkit",
    "shlex",
    "csv",
    "decimal",
    "difflib",
    "faulthandler",
    "gzip",
    "lzma",
    "psutil",
    "unicodedata",
    "zipfile",
)
LATE += tuple(f"PIL.{kind}ImagePlugin" for kind in ("Bmp", "Jpeg", "Mpo", "Png", "Tiff"))
with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=PACKAGES):
    from targets import TARGETS

    from treadle.data import Sets

    for late in LATE:
        importlib.import_module(late)

SECONDS, MEGABYTES = 10, 128  # of an input at most; memory is counted beyond what is in use before the first
# Python's audit events of what must not happen while a file is read
FORBIDDEN = ("exec", "import", "pickle.", "marshal.", "code.", "subprocess.", "os.", "pty.", "shutil.", "socket.")
FORBIDDEN += ("ctypes.", "urllib.", "http.", "ftplib.", "smtplib.", "sqlite3.", "webbrowser.")
HARMLESS = ("os.listdir", "os.scandir")
TALLY = struct.Struct("3Q")  # inputs accepted, inputs rejected, MB in use before the first


class Guard:
    """Notes and refuses what must not happen while a file is read; a reader may catch what is raised here."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.on, self.seen = str(folder), False, ""
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise RuntimeError for an event that must not happen now."""
        if not self.on:
            return
        wrong = event.startswith(FORBIDDEN) and event not in HARMLESS
        if event == "open":
            wrong = not str(arguments[0]).startswith((self.folder, "/proc/", "/sys/fs/cgroup/"))
        elif event == "compile":  # literals are parsed to a tree, which is not executed; its file is called <unknown>
            wrong = arguments[1] != "<unknown>"
        if wrong:
            self.seen = f"{event} {arguments!r:.200}"
            raise RuntimeError(self.seen)


def used_megabytes() -> int:
    """The most memory in use so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def require_consistent(found: Any) -> None:
    """What a reader returned can be shown, and labels have classes."""
    repr(found)
    for part in found.parts().values() if isinstance(found, Sets) else ():
        assert len(part.inputs) == len(part.targets), f"{part}: {len(part.targets)} targets"
        if part.classes is not None and part.targets.size:
            assert 0 <= part.targets.min() <= part.targets.max() < len(part.classes), f"{part}: labels beyond classes"


def fuzz(name: str, folder: Path, flags: list[str]) -> None:
    """Run libFuzzer in this process, which it ends; the count of inputs is in a file of the folder."""
    target, inside, guard = TARGETS[name], folder / "in", Guard(folder)
    inside.mkdir()
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", RuntimeWarning)  # of NumPy, where numbers overflow
    for content in target.valid():  # what is imported when it is first needed is imported here
        for part in (content, content[: len(content) // 2]):
            with contextlib.suppress(Exception):
                target.read(part, inside)
    with (folder / "tally").open("r+b") as stream:
        tally = mmap.mmap(stream.fileno(), TALLY.size)
    accepted, rejected, before = 0, 0, used_megabytes()

    def one(content: bytes) -> None:
        nonlocal accepted, rejected
        guard.on = True
        try:
            require_consistent(target.read(content, inside))
            accepted += 1
        except target.errors:
            rejected += 1
        finally:
            guard.on = False
        TALLY.pack_into(tally, 0, accepted, rejected, before)
        assert not guard.seen, f"not allowed while a file is read: {guard.seen}"
        more = used_megabytes() - before
        assert more <= MEGABYTES, f"{more} MB more in use than before the first input"

    atheris.Setup([sys.argv[0], *flags], one)
    atheris.Fuzz()


def run(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fuzz a reader in a process of its own and return its figures."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as temporary:
        folder, target = Path(temporary), TARGETS[name]
        corpus = arguments.corpus / name if arguments.corpus else folder / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(target.valid()):
            (corpus / f"valid-{number}").write_bytes(content)
        tokens = ("".join(f"\\x{byte:02x}" for byte in token) for token in target.tokens)
        (folder / "tokens").write_text("".join(f'"{token}"\n' for token in tokens), encoding="ascii")
        (folder / "tally").write_bytes(bytes(TALLY.size))
        flags = [f"-timeout={SECONDS}", "-rss_limit_mb=2048", "-print_final_stats=1"]
        flags += [f"-artifact_prefix={tempfile.gettempdir()}/treadle-{name}-", f"-max_len={target.longest}"]
        if target.tokens:
            flags.append(f"-dict={folder / 'tokens'}")
        if arguments.input:
            flags.append(str(arguments.input))
        else:
            flags += [
                f"-runs={arguments.runs}" if arguments.runs else f"-max_total_time={arguments.seconds}",
                str(corpus),
            ]
        command = [sys.executable, __file__, name, "--inside", temporary, *(f"--flag={flag}" for flag in flags)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        accepted, rejected, before = TALLY.unpack((folder / "tally").read_bytes())
    told = done.stdout.decode("utf-8", "replace")
    covered = re.findall(r"cov: (\d+) ft: (\d+)", told) or [("?", "?")]
    peak = re.findall(r"peak_rss_mb: +(\d+)", told) or ["?"]
    seconds = re.findall(r"Done \d+ runs in (\d+) second", told) or ["0"]
    fault = re.findall(r"Test unit written to (\S+)", told)
    if done.returncode:
        print(told[-4000:], file=sys.stderr)
    return {
        "target": name,
        "inputs": accepted + rejected,
        "inputs/s": round((accepted + rejected) / max(int(seconds[-1]), 1)),
        "coverage": covered[-1][0],
        "features": covered[-1][1],
        "accepted": f"{accepted / max(accepted + rejected, 1):.1%}",
        "rejected": f"{rejected / max(accepted + rejected, 1):.1%}",
        "peak MB": f"{peak[-1]} ({before} before)",
        "faults": (fault or ["process ended"])[0] if done.returncode else "none",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the readers of data.")
    parser.add_argument("target", choices=["all", *TARGETS])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--runs", type=int, help="inputs for each target, in place of seconds")
    parser.add_argument("--corpus", type=Path, help="folder to begin with and to add to")
    parser.add_argument("--input", type=Path, help="try this file alone, such as one of a fault")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--flag", action="append", default=[], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        fuzz(arguments.target, arguments.inside, arguments.flag)
    found = []
    for name in TARGETS if arguments.target == "all" else [arguments.target]:
        found.append(run(name, arguments))
        print(f"{name}: {found[-1]['inputs']:,} inputs, faults: {found[-1]['faults']}", file=sys.stderr)
    print("| " + " | ".join(found[0]) + " |", "|" + " --- |" * len(found[0]), sep="\n")
    for row in found:
        print("| " + " | ".join(f"{value:,}" if isinstance(value, int) else value for value in row.values()) + " |")
    return 1 if any(row["faults"] != "none" for row in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
