"""Files opened so that every failure is a DataError that names the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from treadle.errors import DataError


@contextmanager
def open_stream(path: Path) -> Iterator[BufferedIOBase]:
    """Open a file for reading, decoding it piece by piece where its name ends in `.gz`; raises DataError.

    >>> with open_stream(Path("missing.gz")) as stream:
    ...     pass
    Traceback (most recent call last):
    treadle.errors.DataError: missing.gz: no such file
    """
    import gzip
    import zlib

    if not path.exists():
        raise DataError(f"{path}: no such file")
    if not path.is_file():
        raise DataError(f"{path}: expected a file, found a folder or a device")
    try:
        with path.open("rb") as raw:
            if not path.name.endswith(".gz"):
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as stream:
                try:
                    yield stream
                except EOFError as error:
                    raise DataError(
                        f"{path}: truncated gzip: expected the end-of-stream marker, found the end of the file at "
                        f"byte {path.stat().st_size} ({stream.tell()} bytes decoded)"
                    ) from error
                except (gzip.BadGzipFile, zlib.error) as error:
                    raise DataError(
                        f"{path}: damaged gzip at about byte {raw.tell()} ({stream.tell()} bytes decoded): {error}"
                    ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
