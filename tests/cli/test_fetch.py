import json
import os
import re
import signal
import subprocess
import sys

import pytest

import small_public
from serving import Served, serving
from treadle.cli.options import COMMAND
from treadle.data import PUBLIC

FILES = small_public.contents()


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server of small files in place of the published ones, which the table knows; data goes into `data`."""
    with serving() as server:
        server.files |= {f"/{name}": Served(content) for name, content in FILES.items()}
        small_public.install(monkeypatch, tmp_path / "data", FILES, server.address)
        yield server


def test_a_line_tells_the_folder(cli, server, tmp_path):
    assert cli("fetch", "kmnist") == (0, f"kmnist is in {tmp_path / 'data' / 'kmnist'}\n", "")
    assert len(server.requests) == 4
    code, out, err = cli("fetch", "kmnist", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"name": "kmnist", "folder": str(tmp_path / "data" / "kmnist")}
    assert len(server.requests) == 4


def test_without_a_name_all_are_listed(cli, server):
    cli("fetch", "kmnist")
    code, out, err = cli("fetch")
    assert (code, err) == (0, "")
    head, *rows = out.splitlines()
    assert re.split("  +", head) == ["name", "download", "on this machine", "licence", "origin"]
    assert [re.split("  +", row)[0] for row in rows] == list(PUBLIC)
    assert [re.split("  +", row)[2] for row in rows] == ["no", "yes", "no"]
    listed = json.loads(cli("fetch", "--json")[1])
    assert [(one["name"], one["here"], one["bytes"]) for one in listed] == [
        (name, name == "kmnist", public.size) for name, public in PUBLIC.items()
    ]
    assert all(one["licence"] and one["origin"] for one in listed)


def test_errors_end_with_a_message_and_code_2(cli, server):
    code, out, err = cli("fetch", "kminst")
    assert (code, out) == (2, "")
    assert err.startswith("error: no public data is called 'kminst': did you mean 'kmnist'?")
    server.files.clear()
    code, out, err = cli("fetch", "cifar10")
    assert (code, out) == (2, "")
    assert err.startswith("error: cifar10/cifar-10-binary.tar.gz: no address gives the file:\n")
    assert f"  {server.address}/cifar10/cifar-10-binary.tar.gz: HTTP 404 Not Found\n" in err


def test_what_is_not_here_says_how_to_get_it(cli, server):
    code, _, err = cli("run", "--set", "data.source=cifar10")
    assert code == 2
    assert err.startswith("error: cifar10 is not on this machine yet: `treadle fetch cifar10` downloads ")
    assert server.requests == []


def test_help(cli):
    code, out, _ = cli("fetch", "--help")
    assert code == 0
    assert "TREADLE_DATA_DIR" in out
    assert "TREADLE_MIRROR" in out


PROGRAM = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # what starts the tests may ignore it
import pytest, small_public
from treadle.cli import main
with pytest.MonkeyPatch.context() as patch:
    small_public.install(patch, Path("data").resolve(), small_public.contents(), sys.argv[1])
    main(["fetch", "cifar10", *sys.argv[2:]])
"""


def started(server, tmp_path, *arguments, **streams):
    """The command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100", "TERM": "xterm"}
    command = [sys.executable, "-c", PROGRAM, server.address, *arguments]
    return subprocess.Popen(command, cwd=tmp_path, env=environment, **streams)


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
def test_an_interrupt_keeps_what_has_come(server, tmp_path):
    path = "/cifar10/cifar-10-binary.tar.gz"
    server.files[path] = Served(FILES[path[1:]], cut=1000, stall=True)
    part = tmp_path / "data" / "cifar10" / "cifar-10-binary.tar.gz.part"
    with started(server, tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while not part.exists() or part.stat().st_size < 1000:
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert err == f"what has come is kept: {COMMAND} fetch cifar10 goes on from there\ninterrupted\n"
    assert part.read_bytes() == FILES[path[1:]][:1000]
    server.files[path] = Served(FILES[path[1:]])
    with started(server, tmp_path, stdout=subprocess.PIPE, text=True) as again:
        assert again.communicate(timeout=60)[0] == f"cifar10 is in {tmp_path / 'data' / 'cifar10'}\n"
    assert server.requests == [(path, None), (path, "bytes=1000-")]
    assert not part.exists()


@pytest.mark.skipif(os.name == "nt", reason="a terminal is that of POSIX")
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_terminal_shows_a_bar(server, tmp_path, form):
    path = "/cifar10/cifar-10-binary.tar.gz"
    server.files[path] = Served(FILES[path[1:]], pause=0.1)
    import pty  # which Windows has not

    ours, theirs = pty.openpty()
    with started(server, tmp_path, *form, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 1000)
            except OSError:  # what Linux says of a terminal that was closed
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert running.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    if form:
        assert json.loads(text)["name"] == "cifar10"
    else:
        assert re.search(r"cifar10 ━+.* \d+\.\d/\d+\.\d kB \d:\d\d:\d\d left", text)
        assert text.rstrip().endswith(f"cifar10 is in {tmp_path / 'data' / 'cifar10'}")
