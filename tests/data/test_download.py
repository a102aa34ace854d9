import hashlib
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from serving import Served, serving
from treadle.data.download import Remote, download
from treadle.errors import DataError

CONTENT = np.random.default_rng(0).bytes(300_000)
HALF = len(CONTENT) // 2
OTHER = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("TREADLE_MIRROR", raising=False)
    with serving() as server:
        yield server


def remote(*urls, name="set/a.bin"):
    return Remote(name, len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), urls)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_comes_whole_and_progress_is_told(server, tmp_path):
    server.files["/a"] = Served(CONTENT)
    told = []
    path = download(remote(f"{server.address}/a"), tmp_path / "new", lambda *progress: told.append(progress))
    assert path == tmp_path / "new" / "set" / "a.bin"
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == ["new/set/a.bin"]
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)


def test_an_interrupted_download_asks_for_the_missing_bytes_alone(server, tmp_path):
    server.files["/a"] = Served(CONTENT, cut=HALF)
    told = []
    path = download(remote(f"{server.address}/a"), tmp_path, lambda *progress: told.append(progress))
    assert path.read_bytes() == CONTENT
    assert server.requests == [("/a", None), ("/a", f"bytes={HALF}-")]
    assert told == sorted(told)


def test_what_an_earlier_call_left_is_gone_on_from(server, tmp_path):
    server.files |= {"/a": Served(CONTENT), "/stall": Served(CONTENT, cut=10_000, stall=True)}
    with pytest.raises(DataError, match=r"stall: no answer for 0\.2 seconds, after 30,000 of 300,000 bytes"):
        download(remote(f"{server.address}/stall"), tmp_path, timeout=0.2)
    assert server.requests == [("/stall", None), ("/stall", "bytes=10000-"), ("/stall", "bytes=20000-")]
    assert files(tmp_path) == ["set/a.bin.part"]
    assert (tmp_path / "set" / "a.bin.part").read_bytes() == CONTENT[:30_000]
    server.requests.clear()
    assert download(remote(f"{server.address}/a"), tmp_path).read_bytes() == CONTENT
    assert server.requests == [("/a", "bytes=30000-")]
    assert files(tmp_path) == ["set/a.bin"]


@pytest.mark.parametrize("answer", [{"ranges": False}, {"wrong_range": True}, {"length": False}])
@pytest.mark.parametrize("left", [CONTENT[:HALF], CONTENT[:1], OTHER, CONTENT + b"more", bytes(HALF), CONTENT])
def test_whatever_is_left_and_answered_the_file_is_right(server, tmp_path, answer, left):
    server.files["/a"] = Served(CONTENT, **answer)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.bin.part").write_bytes(left)
    assert download(remote(f"{server.address}/a"), tmp_path).read_bytes() == CONTENT
    assert files(tmp_path) == ["set/a.bin"]
    assert len(server.requests) <= 2


def test_a_server_that_has_less_than_is_left_begins_anew(server, tmp_path):
    server.files |= {"/short": Served(CONTENT[: HALF // 2]), "/a": Served(CONTENT)}
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.bin.part").write_bytes(CONTENT[:HALF])
    two = remote(f"{server.address}/short", f"{server.address}/a")
    assert download(two, tmp_path).read_bytes() == CONTENT
    # 416 for what it does not have, then its size is known to be wrong before anything is thrown away
    assert server.requests == [("/short", f"bytes={HALF}-"), ("/short", None), ("/a", f"bytes={HALF}-")]


@pytest.mark.parametrize("wrong", [OTHER, CONTENT[:-1], CONTENT + b"x", b""])
@pytest.mark.parametrize("length", [True, False])
def test_other_content_leads_to_the_next_address(server, tmp_path, wrong, length):
    server.files |= {"/wrong": Served(wrong, length=length), "/a": Served(CONTENT)}
    assert download(remote(f"{server.address}/wrong", f"{server.address}/a"), tmp_path).read_bytes() == CONTENT
    assert files(tmp_path) == ["set/a.bin"]


def test_no_more_than_the_size_is_written(server, tmp_path):
    server.files["/a"] = Served(OTHER + bytes(10_000_000), length=False)
    sizes = []
    with pytest.raises(DataError, match="other content: expected SHA-256"):
        download(remote(f"{server.address}/a"), tmp_path, lambda done, _: sizes.append(done))
    assert max(sizes) == len(CONTENT)
    assert files(tmp_path) == []


def test_when_all_fail_each_address_has_its_reason(server, tmp_path):
    server.files |= {
        "/wrong": Served(OTHER),
        "/short": Served(CONTENT[:-1]),
        "/file": Served(b"", redirect=f"file://{__file__}"),
        "/stall": Served(CONTENT, cut=0, stall=True),
    }
    names = ["none", "wrong", "short", "file", "stall"]
    closed = "http://127.0.0.1:9/a"  # the port of the discard service, where nobody listens
    with pytest.raises(DataError) as refused:
        download(remote(*(f"{server.address}/{name}" for name in names), closed), tmp_path, timeout=0.3)
    head, *reasons, advice = str(refused.value).splitlines()
    assert head == "set/a.bin: no address gives the file:"
    expected = ["HTTP 404 Not Found", "other content: expected SHA-256", "found 299,999", "file", "no answer for 0.3 s"]
    for line, name, reason in zip(reasons, [*names, ""], [*expected, "efused"], strict=True):
        assert line.startswith(f"  {server.address}/{name}: " if name else f"  {closed}: ")
        assert reason in line
    assert advice.startswith("Try again later, ")
    assert advice.endswith(f"put the file there by hand, as {tmp_path / 'set' / 'a.bin'}")
    assert not (tmp_path / "set" / "a.bin").exists()


def test_what_is_there_is_kept_without_a_request(server, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.bin").write_bytes(CONTENT)
    assert download(remote(f"{server.address}/a"), tmp_path) == tmp_path / "set" / "a.bin"
    assert server.requests == []


@pytest.mark.parametrize("there", [OTHER, b""])
def test_what_is_there_and_damaged_is_downloaded_again(server, tmp_path, there):
    server.files["/a"] = Served(CONTENT)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.bin").write_bytes(there)
    assert download(remote(f"{server.address}/a"), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("end", ["", "/"])
def test_a_mirror_of_the_users_own_comes_first(server, tmp_path, monkeypatch, end):
    monkeypatch.setenv("TREADLE_MIRROR", f"{server.address}/mine{end}")
    server.files |= {"/mine/set/a.bin": Served(CONTENT), "/b": Served(CONTENT)}
    download(remote(f"{server.address}/b"), tmp_path / "one")
    assert [path for path, _ in server.requests] == ["/mine/set/a.bin"]
    download(remote(f"{server.address}/b", name="b.bin"), tmp_path / "two")
    assert [path for path, _ in server.requests[1:]] == ["/mine/b.bin", "/b"]


@pytest.mark.parametrize("address", ["file:///etc/hosts", "ftp://example.org/a", "data:,a", "example.org/a", ""])
def test_other_addresses_than_those_of_the_web_are_refused(tmp_path, monkeypatch, address):
    with pytest.raises(DataError, match=f"^{address}: expected an address that begins with https:// or http://"):
        download(remote(address), tmp_path)
    if address:
        monkeypatch.setenv("TREADLE_MIRROR", address)
        with pytest.raises(DataError, match=f"^TREADLE_MIRROR: {address}/set/a.bin: expected an address"):
            download(remote("https://example.org/a"), tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:port/", "http://", "http://a b/", "http://" + 70 * "x" + ".ü/"])
def test_addresses_that_are_none_are_a_reason(tmp_path, address):
    with pytest.raises(DataError, match="no address gives the file"):
        download(remote(address), tmp_path)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path, monkeypatch):
    server.files["/a"] = Served(CONTENT)
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(DataError, match=r"taken.a\.bin\.part: cannot be written: "):
        download(remote(f"{server.address}/a", name="taken/a.bin"), tmp_path)

    def fail(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DataError, match=r"a\.bin\.part: cannot be written: No space left on device"):
        download(remote(f"{server.address}/a"), tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
def test_a_kill_leaves_what_the_next_call_goes_on_from(server, tmp_path):
    server.files |= {"/slow": Served(CONTENT, cut=HALF, stall=True), "/a": Served(CONTENT)}
    slow = remote(f"{server.address}/slow")
    code = (
        f"from treadle.data.download import *; download({slow!r}, {str(tmp_path)!r}, lambda *d: print(*d, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as killed:
        while not killed.stdout.readline().startswith(f"{HALF} "):
            assert killed.poll() is None
        killed.send_signal(signal.SIGKILL)
    part = tmp_path / "set" / "a.bin.part"
    left = part.stat().st_size
    assert left == HALF
    assert part.read_bytes() == CONTENT[:left]
    server.requests.clear()
    assert download(remote(f"{server.address}/a"), tmp_path).read_bytes() == CONTENT
    assert server.requests == [("/a", f"bytes={left}-")]


def test_what_trickles_is_taken_as_it_comes(server, tmp_path):
    """A timeout is that of a silence, not of the whole file."""
    server.files["/a"] = Served(CONTENT, pause=0.1)
    assert download(remote(f"{server.address}/a"), tmp_path, timeout=0.5).read_bytes() == CONTENT
    assert server.requests == [("/a", None)]


def test_addresses_that_moved_are_followed_with_what_was_asked_for(server, tmp_path):
    server.files |= {"/a": Served(CONTENT, cut=HALF), "/old": Served(b"", redirect=f"{server.address}/a")}
    assert download(remote(f"{server.address}/old"), tmp_path).read_bytes() == CONTENT
    rest = f"bytes={HALF}-"
    assert server.requests == [("/old", None), ("/a", None), ("/old", rest), ("/a", rest)]
