"""One image file as an input."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.errors import DataError

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP"}
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
ORIENTATION = 0x0112  # the EXIF tag
_ORIENTED = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}  # where Pillow looks for it
_SCAN, _MOST_SCANS = b"\xff\xda", 100  # of a progressive JPEG: some bytes of a scan go over all pixels
_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK, _HEADER = struct.Struct(">I4s"), struct.Struct(">IIBBBBB")
PNG_BIT_DEPTH = 24  # its byte in the file: Pillow reduces 16-bit colour to 8 without a word
_PIXEL, _REST = 8, 2**24  # bytes that a file may have for each pixel, and beside these


def read_image(path: str | Path, shape: tuple[int, int, int], *, max_pixels: int = 64_000_000) -> NDArray[np.uint8]:
    """Read a PNG, JPEG or BMP file of exactly `shape` (C, H, W) as uint8; C is 1 (grey) or 3 (red, green, blue).

    Where C is 1, colour becomes grey as 0.299 R + 0.587 G + 0.114 B. Raises DataError for another size or format,
    transparency, several frames, 16 bits a channel, an EXIF rotation, and a damaged file.

    >>> read_image("missing.png", (1, 28, 28))
    Traceback (most recent call last):
    treadle.errors.DataError: missing.png: no such file
    """
    if shape[0] not in (1, 3):
        raise DataError(f"{path}: an image has 1 or 3 channels, the input needs {shape[0]}")
    pixels = decode_image(path, max_pixels=max_pixels, channels=shape[0])
    if pixels.shape[1:] != shape[1:]:
        (height, width), (found_height, found_width) = shape[1:], pixels.shape[1:]
        raise DataError(
            f"{path}: expected {width}×{height} pixels (width×height), found {found_width}×{found_height}; "
            f"resize it to {width}×{height}"
        )
    return pixels


def decode_image(
    path: str | Path,
    *,
    channels: int | None = None,
    size: tuple[int, int] | None = None,
    max_pixels: int = 64_000_000,
) -> NDArray[np.uint8]:
    """Read a PNG, JPEG or BMP file as uint8 (C, H, W).

    Args:
        path: of the file.
        channels: 1 for grey, 3 for red, green and blue; those of the file where None.
        size: height and width to bring it to, each axis by itself: by the average over what a new pixel covers, or a
            line between the nearest two; the file's own where None.
        max_pixels: most that a file may have.

    Raises:
        DataError: as `read_image`, except for the size.
    """
    path = path if isinstance(path, Path) else Path(path)
    content = _png_content(path, max_pixels)
    if content is not None and (plain := _plain_png(content, max_pixels)) is not None:
        return _pixels(plain, channels, size)
    with opened(path, max_pixels, MODES, content) as (image, _):
        image.load()
        _check_decoded(path, image)
        image.info.pop("transparency", None)  # there is none, and Pillow would warn of it
        return _pixels(image, channels, size)


def _pixels(image: Any, channels: int | None, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    grey = channels == 1 or (channels is None and image.mode in ("1", "L", "LA"))
    mode = "L" if grey else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if size is not None:
        from PIL.Image import Resampling

        image = image.resize(size[::-1], Resampling.BILINEAR)
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, -1)
    return pixels.transpose(2, 0, 1).copy()


def _png_content(path: Path, max_pixels: int) -> bytes | None:
    """The bytes of a file that is called PNG; None for others, and where `opened` has to tell what is wrong."""
    if path.suffix != ".png":
        return None
    try:
        return _content(path, max_pixels)
    except (OSError, DataError):
        return None


def _plain_png(content: bytes, max_pixels: int) -> Any:
    """The image of a PNG file that has pixels of 8 bits, grey or RGB, and nothing else; None for any other file.

    Pillow's general reader takes more time for each file than the decoding of a small image.
    """
    from zlib import crc32

    if not content.startswith(_PNG) or len(content) < 57:  # of a file with one chunk of data
        return None
    place, data = 8, []
    while place + 12 <= len(content):
        length, kind = _CHUNK.unpack_from(content, place)
        end = place + 12 + length
        if end > len(content) or kind != (b"IHDR" if place == 8 else b"IEND" if end == len(content) else b"IDAT"):
            return None
        if crc32(content[place + 4 : end - 4]) != int.from_bytes(content[end - 4 : end]):
            return None
        data.append(content[place + 8 : end - 4])
        place = end
    if place != len(content) or len(data) < 3 or len(data[0]) != _HEADER.size or data[-1]:
        return None
    width, height, bits, colour, *rest = _HEADER.unpack(data[0])
    mode = {0: "L", 2: "RGB"}.get(colour)
    if bits != 8 or mode is None or any(rest) or not 0 < width * height <= max_pixels:
        return None
    from PIL import Image

    try:
        return Image.frombytes(mode, (width, height), b"".join(data[1:-1]), "zip", mode)
    except (ValueError, OSError):
        return None


@contextmanager
def opened(
    path: Path, max_pixels: int, modes: tuple[str, ...], content: bytes | None = None
) -> Iterator[tuple[Any, bytes]]:
    """Open an image and check its header; yield it and the content of its file, which is read unless it is given.

    Raises:
        DataError: no such file, another format or mode, too many pixels, several frames; and, whatever a decoder raises
            inside the `with` block, a damaged file.
    """
    if not path.is_file():
        raise DataError(f"{path}: {'expected a file' if path.exists() else 'no such file'}")
    expected = SUFFIXES.get(path.suffix.lower())
    if expected is None:
        raise DataError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}, found {path.suffix or 'no ending'}")
    try:
        content = _content(path, max_pixels) if content is None else content
        with _opened(path, content) as image:
            _check_header(path, image, content, expected, max_pixels, modes)
            yield image, content
    except DataError:
        raise
    except Exception as error:  # decoders raise many types on damaged files, all of which mean the same here
        raise DataError(f"{path}: damaged or truncated image: {error}") from error


def _content(path: Path, max_pixels: int) -> bytes:
    """The bytes of a file, no more than so many pixels may need."""
    most = _PIXEL * max_pixels + _REST
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise DataError(f"{path}: has {size:,} bytes, and {max_pixels} pixels need {most:,} at most")
        return file.read(size)


def _opened(path: Path, content: bytes) -> Any:
    """The image with its header read. `Image.open` would also warn of sizes, which no thread can catch alone."""
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin

    readers: dict[bytes, Any] = {
        _PNG: PngImagePlugin.PngImageFile,
        b"\xff\xd8\xff": JpegImagePlugin.jpeg_factory,
        b"BM": BmpImagePlugin.BmpImageFile,
    }
    try:
        for start, read in readers.items():
            if content.startswith(start):
                return read(BytesIO(content))
    except (SyntaxError, IndexError, TypeError, struct.error) as error:  # of these Pillow makes UnidentifiedImageError
        raise DataError(f"{path}: not an image in one of the formats PNG, JPEG, BMP: {error}") from error
    raise DataError(f"{path}: not an image in one of the formats PNG, JPEG, BMP")


def _check_header(
    path: Path, image: Any, content: bytes, expected: str, max_pixels: int, modes: tuple[str, ...]
) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise DataError(f"{path}: {width}×{height} is more than {max_pixels} pixels")
    if image.format != expected:
        raise DataError(f"{path}: mislabelled: the name says {expected}, the content is {image.format}")
    if getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{path}: expected one image, found {image.n_frames} frames")
    if image.info.get("progressive") and content.count(_SCAN) > _MOST_SCANS:
        raise DataError(f"{path}: more than {_MOST_SCANS} scans, each of which takes time: save it again")
    if image.format == "PNG" and content[PNG_BIT_DEPTH] == 16 and "I;16" not in modes:
        raise DataError(f"{path}: 16 bits a channel; save it with 8")
    if image.mode not in modes:
        raise DataError(f"{path}: colour mode {image.mode} is not supported; save it as grey or RGB with 8 bits")


def _check_decoded(path: Path, image: Any) -> None:
    orientation = 1 if _ORIENTED.isdisjoint(image.info) else image.getexif().get(ORIENTATION, 1)
    if orientation != 1:
        raise DataError(f"{path}: rotated by its EXIF orientation {orientation}; save it upright")
    transparent = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    if transparent and image.convert("RGBA").getchannel("A").getextrema()[0] < 255:
        raise DataError(f"{path}: has transparent pixels; flatten it on a background")
