"""The course's `mnist.json.gz`: one JSON array [train, validation, test], each [images, labels], read as a stream."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treadle.data.dataset import Dataset, Sets
from treadle.data.sources.nested import Leaf, read_lists
from treadle.errors import DataError

_NAMES = ("train", "validation", "test")
_PARTS = ("images", "labels")
_SIDE = 28
_PIXELS = _SIDE * _SIDE
_BLOCK = 256  # rows turned into an array at a time


def load_mnist_json(path: str | Path, *, limit_bytes: int = 2**30) -> Sets:
    """Read the file in bounded memory; `origin` says whether its pixels were 0–255 integers or 0–1 numbers.

    Integers 0..255 stay uint8, numbers in 0..1 become float32. Raises DataError with the offset in the decoded text,
    or the row, for anything else; `limit_bytes` bounds the decoded text.

    >>> load_mnist_json("missing.json.gz")
    Traceback (most recent call last):
    treadle.errors.DataError: missing.json.gz: no such file
    """
    path = Path(path)
    reader = _Reader(path)
    read_lists(path, reader.opened, reader.leaf, reader.closed, depth=4, limit_bytes=limit_bytes)
    return reader.sets()


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts = [0, 0, 0, 0, 0]  # lists begun so far in the current list, by depth
        self.rows: list[list[float]] = []
        self.pixels = _Pixels(path)
        self.blocks: list[list[NDArray[Any]]] = [[], [], []]
        self.images = [0, 0, 0]
        self.labels: list[NDArray[np.int64]] = []

    @property
    def where(self) -> str:
        return f"{self.path}: {_NAMES[self.counts[1] - 1]}"

    def opened(self, depth: int, offset: int) -> None:
        self.counts[depth - 1] += 1
        self.counts[depth] = 0
        if depth == 2 and self.counts[1] > 3:
            raise DataError(f"{self.path}: offset {offset}: expected 3 sets (train, validation, test), found a fourth")
        if depth == 3 and self.counts[2] > 2:
            raise DataError(f"{self.where}: offset {offset}: expected [images, labels], found a third list")
        if depth == 4 and self.counts[2] == 2:
            raise DataError(f"{self.where} labels: offset {offset}: expected numbers, found a list")

    def leaf(self, depth: int, leaf: Leaf) -> None:
        if depth == 4:
            self._image(leaf)
        elif depth == 3 and self.counts[2] == 2:
            self.labels.append(self._labels(leaf.numbers()))
        elif depth < 3 or not leaf.empty:
            expected = ("", "3 sets", "[images, labels]", f"images as lists of {_PIXELS} numbers")[depth]
            found = "an empty list" if leaf.empty else "numbers"
            raise DataError(f"{self.path}: offset {leaf.offset}: expected {expected}, found {found}")

    def closed(self, depth: int, offset: int) -> None:
        if depth == 3 and self.counts[2] == 1:
            self._flush()
        elif depth == 2:
            if self.counts[2] != 2:
                raise DataError(f"{self.where}: offset {offset}: expected [images, labels], found images alone")
            images, labels = self.images[self.counts[1] - 1], len(self.labels[-1])
            if images != labels:
                raise DataError(f"{self.where}: {images} images but {labels} labels")
        elif depth == 1 and self.counts[1] != 3:
            raise DataError(f"{self.path}: expected 3 sets (train, validation, test), found {self.counts[1]}")

    def _image(self, leaf: Leaf) -> None:
        row = leaf.numbers()
        if len(row) != _PIXELS:
            raise DataError(
                f"{self.where} images: row {self.counts[3] - 1}: expected {_PIXELS} numbers, found {len(row)}"
            )
        self.images[self.counts[1] - 1] += 1
        self.rows.append(row)
        if len(self.rows) == _BLOCK:
            self._flush()

    def _flush(self) -> None:
        if self.rows:
            index = self.counts[1] - 1
            block = self.pixels.block(self.rows, _NAMES[index], self.images[index] - len(self.rows))
            self.blocks[index].append(block)
            self.rows = []

    def _labels(self, numbers: list[float]) -> NDArray[np.int64]:
        values = _float64(numbers)
        wrong = ~((values >= 0) & (values <= 9) & (values == np.floor(values)))
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(f"{self.where} labels: row {row}: expected an integer 0..9, found {numbers[row]}")
        return values.astype(np.int64)

    def sets(self) -> Sets:
        classes = tuple(str(digit) for digit in range(10))
        parts: dict[str, Dataset] = {}
        for index, name in enumerate(_NAMES):
            blocks, self.blocks[index] = self.blocks[index], []
            rows = np.concatenate([np.empty((0, _PIXELS), self.pixels.dtype), *blocks], dtype=self.pixels.dtype)
            images, labels = rows.reshape(-1, 1, _SIDE, _SIDE), self.labels[index]
            images.flags.writeable = labels.flags.writeable = False
            parts[name] = Dataset(images, labels, classes, name)
        found = "integers 0..255" if self.pixels.dtype == np.uint8 else "numbers 0..1"
        origin = f"the course's JSON in {self.path}; pixels: {found}"
        name = self.path.name.removesuffix(".json.gz")
        return Sets(parts["train"], parts["validation"], parts["test"], name, origin)


class _Pixels:
    # Which of the two ranges a file uses is only known at its end: a file may begin with black rows.
    # Until then whole numbers are held as uint8 and others as float32, and the first row of either kind is kept.
    def __init__(self, path: Path) -> None:
        self.path = path
        self.fraction = ""
        self.above_one = ""

    @property
    def dtype(self) -> "np.dtype[Any]":
        return np.dtype(np.uint8 if self.above_one else np.float32)

    def block(self, rows: list[list[float]], name: str, first: int) -> NDArray[Any]:
        values = np.stack([_float64(row) for row in rows])

        def place(mask: NDArray[np.bool_]) -> str:
            row, column = np.unravel_index(int(mask.argmax()), mask.shape)
            return f"{name} images: row {first + int(row)} has pixel {rows[int(row)][int(column)]!r:.40}"

        if not (values.min() >= 0 and values.max() <= 255):
            wrong = ~((values >= 0) & (values <= 255))
            raise DataError(f"{self.path}: {place(wrong)}: expected 0..255 or 0..1")
        whole = values.astype(np.uint8)
        fractional = whole != values
        if not self.fraction and fractional.any():
            self.fraction = place(fractional)
        if not self.above_one and values.max() > 1:
            self.above_one = place(values > 1)
        if self.fraction and self.above_one:
            raise DataError(
                f"{self.path}: expected integers 0..255 or numbers 0..1, but {self.fraction} and {self.above_one}"
            )
        return values.astype(np.float32) if fractional.any() else whole


def _float64(numbers: list[float]) -> NDArray[np.float64]:
    try:
        return np.array(numbers, np.float64)
    except OverflowError:  # an integer of hundreds of digits: out of any range that is checked
        return np.array([float("inf") if abs(number) > 1e300 else number for number in numbers], np.float64)
