"""Downloading files of known size and checksum: from one address after the other, going on where it was cut off."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle.errors import DataError

_PIECE = 1 << 16
_TRIES = 3  # at one address, as long as each brings something


@dataclass(frozen=True)
class Remote:
    """A file that can be downloaded.

    Args:
        name: path below the folder it is downloaded into, and below the address of a mirror of that folder.
        size: in bytes.
        sha256: of its content, in hex.
        urls: its addresses, https or http, the first to be tried first.
    """

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]

    def is_in(self, folder: str | Path) -> bool:
        """Whether the folder has the whole file, with the right checksum; raises DataError where it cannot be read.

        >>> Remote("a.gz", 1, "…", ()).is_in("missing")
        False
        """
        path = Path(folder) / self.name
        try:
            return path.is_file() and path.stat().st_size == self.size and _sha256(path) == self.sha256
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def download(
    remote: Remote,
    folder: str | Path,
    on_progress: Callable[[int, int], None] | None = None,
    timeout: float = 20.0,
) -> Path:
    """Download a file into a folder and return its path; what is there with the right checksum stays as it is.

    What has come lies in `<name>.part`, and after an interruption only the rest is asked for. The environment variable
    TREADLE_MIRROR, the address of a folder such as http://localhost:8000/, is tried before the file's own addresses.

    Args:
        remote: the file.
        folder: made where it does not exist.
        on_progress: called with the number of bytes that are here and that of all.
        timeout: seconds without a byte after which an address is given up.

    Raises:
        DataError: an address that is not http or https, a folder that cannot be written, or no address that gives a
            file with the right checksum; the message has the reason for each address.

    >>> download(Remote("a.gz", 1, "…", ("ftp://example.org/a.gz",)), "missing")
    Traceback (most recent call last):
    treadle.errors.DataError: ftp://example.org/a.gz: expected an address that begins with https:// or http://
    """
    addresses = _addresses(remote)
    path = Path(folder) / remote.name
    if remote.is_in(folder):
        return path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        reasons = []
        for url in addresses:
            reason = _try(url, part, remote, on_progress, timeout)
            if not reason:
                part.replace(path)
                return path
            reasons.append(f"  {url}: {reason}")
    except OSError as error:  # of the disk, for those of the network are reasons
        raise DataError(f"{part}: cannot be written: {error.strerror or error}") from error
    raise DataError(
        f"{remote.name}: no address gives the file:\n" + "\n".join(reasons) + "\n"
        f"Try again later, name a mirror of yours in TREADLE_MIRROR, or put the file there by hand, as {path}"
    )


class _AddressError(Exception):
    """What went wrong with an address."""


def _addresses(remote: Remote) -> list[str]:
    mirror = os.environ.get("TREADLE_MIRROR")
    urls = [*([f"{mirror.rstrip('/')}/{remote.name}"] if mirror else []), *remote.urls]
    for url in urls:
        if not url.lower().startswith(("https://", "http://")):
            where = "TREADLE_MIRROR: " if mirror and url == urls[0] else ""
            raise DataError(f"{where}{url}: expected an address that begins with https:// or http://")
    return urls


def _try(
    url: str, part: Path, remote: Remote, on_progress: Callable[[int, int], None] | None, timeout: float
) -> str | None:
    """Complete the part from one address; return why that failed, or None."""
    reason = ""
    for _ in range(_TRIES):
        before = _size(part)
        try:
            _receive(url, part, remote, on_progress, timeout)
        except _AddressError as failed:
            reason = str(failed)
            if _size(part) <= before:
                break
            continue
        found = _sha256(part)
        if _size(part) == remote.size and found == remote.sha256:
            return None
        part.unlink()
        reason = f"other content: expected SHA-256 {remote.sha256}, found {found}"
        if not before:
            break  # otherwise what lay there before may be at fault
    return reason


def _receive(
    url: str, part: Path, remote: Remote, on_progress: Callable[[int, int], None] | None, timeout: float
) -> None:
    done = _size(part)
    if done >= remote.size:
        return
    response, done = _ask(url, done, timeout)
    with response:
        length = response.headers["Content-Length"]
        if length and length.isdigit() and done + int(length) != remote.size:
            raise _AddressError(f"other content: expected {remote.size:,} bytes, found {done + int(length):,}")
        _write(response, part, done, remote, on_progress, timeout)


def _write(
    response: Any,
    part: Path,
    done: int,
    remote: Remote,
    on_progress: Callable[[int, int], None] | None,
    timeout: float,
) -> None:
    from http.client import HTTPException

    with part.open("ab" if done else "wb") as file:
        while done < remote.size:  # and no byte more, whatever is sent
            if on_progress:
                on_progress(done, remote.size)
            try:
                piece = response.read1(min(_PIECE, remote.size - done))
            except (OSError, HTTPException) as error:
                raise _AddressError(f"{_why(error, timeout)}, after {done:,} of {remote.size:,} bytes") from error
            if not piece:
                raise _AddressError(f"ended after {done:,} of {remote.size:,} bytes")
            file.write(piece)
            file.flush()  # so that a kill loses nothing
            done += len(piece)
        os.fsync(file.fileno())
    if on_progress:
        on_progress(done, remote.size)


def _ask(url: str, start: int, timeout: float) -> tuple[Any, int]:
    """Ask for the bytes from `start` on; return the response, and where what it brings begins."""
    from http.client import HTTPException
    from urllib import request
    from urllib.error import HTTPError

    opener = request.OpenerDirector()
    for handler in (  # not those of file: and ftp:, which an address could lead to
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPRedirectHandler,
        request.HTTPErrorProcessor,
        request.UnknownHandler,
    ):
        opener.add_handler(handler())
    headers = {"User-Agent": "treadle", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        response: Any = opener.open(request.Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        error.close()
        if start and error.code == 416:
            return _ask(url, 0, timeout)
        raise _AddressError(f"HTTP {error.code} {error.reason}") from error
    except (OSError, HTTPException, UnicodeError) as error:
        raise _AddressError(_why(error, timeout)) from error
    if not start or response.status != 206:
        return response, 0
    if not (response.headers["Content-Range"] or "").startswith(f"bytes {start}-"):
        response.close()
        return _ask(url, 0, timeout)
    return response, start


def _why(error: Exception, timeout: float) -> str:
    cause = getattr(error, "reason", error)  # urllib wraps what the system says
    if isinstance(cause, TimeoutError):
        return f"no answer for {timeout:g} seconds"
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    from hashlib import file_digest

    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
