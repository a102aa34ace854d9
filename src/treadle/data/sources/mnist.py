"""MNIST as published, packed losslessly beside this module; see MNIST.md there for origin and licence."""

from pathlib import Path

import numpy as np

from treadle.data.dataset import Dataset, Sets
from treadle.errors import DataError

PACKED = Path(__file__).with_name("mnist.xz")
SHA256 = "69bd15132a70501a55ccc9cf0d3ffb3de973edb9ec353720cf437f8d199393c7"
_TRAIN, _TEST, _SIDE = 60_000, 10_000, 28
_ORIGIN = (
    "published by LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/\n"
    "validation: the last 10,000 of the 60,000 published training images"
)


def load_mnist(path: str | Path = PACKED) -> Sets:
    """Load the packaged MNIST: images uint8 (N, 1, 28, 28), labels int64 (N,); 50,000 / 10,000 / 10,000 samples.

    By Yann LeCun, Corinna Cortes and Christopher J.C. Burges (http://yann.lecun.com/exdb/mnist/), commonly stated to
    be under CC BY-SA 3.0. The last 10,000 of the 60,000 published training images are the validation set. Arrays are
    read-only. Raises DataError for a missing file and for content of another SHA-256 than the published images have.

    >>> load_mnist("missing.xz")
    Traceback (most recent call last):
    treadle.errors.DataError: missing.xz: cannot be read: No such file or directory
    """
    content = np.frombuffer(_unpack(Path(path)), np.uint8)
    labels = content[: _TRAIN + _TEST].astype(np.int64)
    labels.flags.writeable = False
    # a copy, for which NumPy asks for large pages: samples drawn from all over it are read in two thirds of the time
    images = content[_TRAIN + _TEST :].reshape(-1, 1, _SIDE, _SIDE).copy()
    images.flags.writeable = False
    classes = tuple(str(digit) for digit in range(10))
    cut = _TRAIN - 10_000
    return Sets(
        Dataset(images[:cut], labels[:cut], classes, "train"),
        Dataset(images[cut:_TRAIN], labels[cut:_TRAIN], classes, "validation"),
        Dataset(images[_TRAIN:], labels[_TRAIN:], classes, "test"),
        "mnist",
        _ORIGIN,
    )


def _unpack(path: Path) -> bytes:
    # The content: all labels, then all images, training before test.
    import lzma
    from hashlib import sha256

    size = (_TRAIN + _TEST) * (1 + _SIDE * _SIDE)
    try:
        content = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(path.read_bytes(), max_length=size + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except lzma.LZMAError as error:
        raise DataError(f"{path}: damaged: {error}") from error
    found = sha256(content).hexdigest()
    if found != SHA256:
        raise DataError(f"{path}: damaged: expected content with SHA-256 {SHA256}, found {found}")
    return content
