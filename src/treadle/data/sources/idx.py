"""IDX, the file format that MNIST was published in: magic, sizes of the dimensions, then the numbers."""

import math
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import Dataset, Sets
from treadle.data.sources.stream import open_stream
from treadle.errors import DataError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 32
_DEFLATE_RATIO = 1032  # no deflate stream expands further than this
_FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def read_idx(path: str | Path, *, limit_bytes: int = 2**32) -> NDArray[Any]:
    """Read one IDX file, plain or `.gz`, into an array of its type and shape; raises DataError with the byte offset.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "labels"
    >>> _ = file.write_bytes(bytes([0, 0, 0x08, 1, 0, 0, 0, 3, 5, 0, 4]))
    >>> read_idx(file)
    array([5, 0, 4], dtype=uint8)
    """
    path = Path(path)
    with open_stream(path) as stream:
        magic = stream.read(4)
        dtype = _dtype(path, magic)
        sizes = stream.read(4 * magic[3])
        start = 4 + 4 * magic[3]
        if len(sizes) < 4 * magic[3]:
            raise DataError(
                f"{path}: truncated at byte {4 + len(sizes)}: expected {magic[3]} dimensions of 4 bytes each, "
                f"found {len(sizes)} bytes"
            )
        shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
        size = _checked_size(path, shape, dtype, limit_bytes)
        array = np.empty(math.prod(shape), dtype)
        found = _fill(stream, memoryview(array.view(np.uint8).data))
        if found < size:
            raise DataError(
                f"{path}: truncated at byte {start + found}: expected {size} bytes for shape {shape}, found {found}"
            )
        if stream.read(1):
            raise DataError(f"{path}: trailing bytes at byte {start + size}: expected the end after shape {shape}")
    return array.astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _dtype(path: Path, magic: bytes) -> "np.dtype[Any]":
    if len(magic) < 4:
        raise DataError(f"{path}: truncated at byte {len(magic)}: expected a magic of 4 bytes, found {len(magic)}")
    if magic[:2] != b"\0\0":
        hint = "; it is gzip: its name must end in .gz" if magic[:2] == b"\x1f\x8b" else ""
        raise DataError(f"{path}: bad magic at byte 0: expected 00 00, found {magic[:2].hex(' ')}{hint}")
    if magic[2] not in _TYPES:
        known = ", ".join(f"{code:02x}" for code in _TYPES)
        raise DataError(f"{path}: unknown type code at byte 2: expected one of {known}, found {magic[2]:02x}")
    if not 1 <= magic[3] <= _MAX_DIMENSIONS:
        raise DataError(f"{path}: bad magic at byte 3: expected 1 to {_MAX_DIMENSIONS} dimensions, found {magic[3]}")
    return np.dtype(_TYPES[magic[2]])


def _checked_size(path: Path, shape: tuple[int, ...], dtype: "np.dtype[Any]", limit: int) -> int:
    # Before anything is allocated. A zero among the sizes must not hide that the others overflow.
    size = math.prod(shape) * dtype.itemsize
    if math.prod(max(n, 1) for n in shape) * dtype.itemsize > limit:
        raise DataError(f"{path}: dimensions {shape} at byte 4 need {size} bytes, more than the limit of {limit}")
    on_disk, start = path.stat().st_size, 4 + 4 * len(shape)
    if path.name.endswith(".gz"):
        if size > on_disk * _DEFLATE_RATIO:
            raise DataError(
                f"{path}: truncated: dimensions {shape} at byte 4 need {size} bytes, "
                f"{on_disk} bytes of gzip cannot hold them"
            )
    elif on_disk != start + size:
        problem = "truncated" if on_disk < start + size else "trailing bytes"
        raise DataError(
            f"{path}: {problem} at byte {min(on_disk, start + size)}: "
            f"expected a file of {start + size} bytes for shape {shape}, found {on_disk}"
        )
    return size


def _fill(stream: BufferedIOBase, target: memoryview) -> int:
    found = 0
    while found < len(target):
        count = stream.readinto(target[found : found + (1 << 20)])
        if not count:
            break
        found += count
    return found


def load_idx_folder(folder: str | Path) -> Sets:
    """Read the four files of a folder in MNIST's layout: `train-images-idx3-ubyte`, … , with or without `.gz`.

    Of 60,000 training images the last 10,000 are the validation set; of any other number, the last sixth.
    Raises DataError for a missing or damaged file, and where images and labels differ in number.

    >>> load_idx_folder("missing")
    Traceback (most recent call last):
    treadle.errors.DataError: missing: no train-images-idx3-ubyte, with or without .gz
    """
    folder = Path(folder)
    paths = [_find(folder, stem) for stem in _FILES]
    train = _images_and_labels(paths[0], paths[1])
    test = _images_and_labels(paths[2], paths[3])
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(
            f"{paths[2]}: expected images of shape {train[0].shape[1:]} as in training, found {test[0].shape[1:]}"
        )
    count = len(train[0])
    if count < 2:
        raise DataError(f"{paths[0]}: expected at least 2 images to split off a validation set, found {count}")
    cut = count - (10_000 if count == 60_000 else max(1, count // 6))
    classes = tuple(str(label) for label in range(1 + int(max(train[1].max(), test[1].max(initial=0)))))

    def part(name: str, pair: tuple[NDArray[Any], NDArray[Any]], where: slice) -> Dataset:
        return Dataset(pair[0][where], pair[1][where], classes, name)

    return Sets(
        part("train", train, slice(cut)),
        part("validation", train, slice(cut, count)),
        part("test", test, slice(None)),
        folder.resolve().name,
        f"IDX files in {folder}; validation: the last {count - cut} of {count} training images",
    )


def _find(folder: Path, stem: str) -> Path:
    for name in (f"{stem}-ubyte", stem.replace("-idx", ".idx") + "-ubyte"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise DataError(f"{folder}: no {stem}-ubyte, with or without .gz")


def _images_and_labels(image_path: Path, label_path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.ndim != 3:
        raise DataError(f"{image_path}: expected 3 dimensions (N, H, W), found shape {images.shape}")
    if labels.ndim != 1 or labels.dtype.kind not in "ui":
        raise DataError(f"{label_path}: expected integers of shape (N,), found {labels.dtype} {labels.shape}")
    if len(images) != len(labels):
        raise DataError(f"{label_path}: {len(labels)} labels for {len(images)} images in {image_path.name}")
    if labels.size and (labels.min() < 0 or labels.max() > 65_535):
        raise DataError(f"{label_path}: expected labels in 0..65535, found {labels.min()}..{labels.max()}")
    images, labels = images[:, None], labels.astype(np.int64)
    images.flags.writeable = labels.flags.writeable = False
    return images, labels
