import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as arrow
import pytest
from PIL import Image
from pyarrow.parquet import write_table

from treadle.data import (
    decode_image,
    load_idx_folder,
    load_mnist_json,
    load_npy_folder,
    load_npz,
    load_parquet,
    load_table,
    read_delimited,
    read_idx,
)
from treadle.errors import DataError, MemoryLimitError

# fuzz/readers.py does the same guided by coverage; see docs/fuzzing.md


class Reader(NamedTuple):
    name: str  # of the file
    valid: bytes
    read: Callable[[Path], Any]
    wrap: Callable[[bytes], bytes] = bytes  # around what was damaged


def written(save: Callable[..., None], *arrays: Any, **named: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *arrays, **named)
    return stream.getvalue()


def picture(kind: str, mode: str, **settings: Any) -> bytes:
    colours = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).convert(mode)
    return written(lambda stream: colours.save(stream, kind, **settings))


def folder_of_labels(path: Path) -> Any:
    for name, content in (("train-images-idx3", IMAGES), ("t10k-images-idx3", IMAGES), ("t10k-labels-idx1", LABELS)):
        (path.parent / f"{name}-ubyte").write_bytes(content)
    return load_idx_folder(path.parent)


def folder_of_arrays(path: Path) -> Any:
    for name, array in (("x", X), ("y", Y)):
        if path.stem != name:
            np.save(path.with_name(f"{name}.npy"), array)
    return repr(load_npy_folder(path.parent))  # reads the inputs, which stay on disk


IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 0, 2, *range(24)])
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 6, 0, 1, 2, 0, 1, 2])
SET = [[[0] * 783 + [200]], [3]]
TABLE = "age,city,y\n" + "".join(f'{i},"{"Oslo" if i % 3 else "Rome"}",{i / 7}\n' for i in range(20))
X, Y = np.arange(60.0).reshape(20, 3), np.arange(20) % 2
ROWS = arrow.table({"a": [*range(19), None], "b": ["Oslo", "Rome"] * 10, "y": np.arange(20) / 7})
SMALL = {"max_pixels": 1 << 16}
READERS = [
    Reader("images", IMAGES, read_idx),
    Reader("images.gz", gzip.compress(IMAGES, mtime=0), read_idx),
    Reader("train-labels-idx1-ubyte", LABELS, folder_of_labels),
    Reader("mnist.json.gz", json.dumps([SET] * 3).encode(), load_mnist_json, lambda text: gzip.compress(text, 1)),
    Reader("delimited.csv", TABLE.encode(), read_delimited),
    Reader("delimited.csv.gz", gzip.compress(TABLE.encode(), mtime=0), read_delimited),
    Reader("table.csv", TABLE.encode(), lambda path: load_table(path, missing="median")),
    Reader("plain.npz", written(np.savez, x=X, y=Y), load_npz),
    Reader("compressed.npz", written(np.savez_compressed, x=X, y=Y), load_npz),
    Reader("x.npy", written(np.save, X), folder_of_arrays),
    Reader("y.npy", written(np.save, Y.astype(str)), folder_of_arrays),
    Reader("rows.parquet", written(lambda to: write_table(ROWS, to)), lambda path: load_parquet(path, missing="mean")),
    Reader("grey.png", picture("PNG", "L"), lambda path: decode_image(path, **SMALL)),
    Reader("palette.png", picture("PNG", "P", transparency=255), lambda path: decode_image(path, channels=3, **SMALL)),
    Reader("colour.jpg", picture("JPEG", "RGB"), lambda path: decode_image(path, size=(3, 5), **SMALL)),
    Reader("grey.bmp", picture("BMP", "L"), lambda path: decode_image(path, channels=1, **SMALL)),
]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Cut, change, put in, leave out, repeat, or swap some bytes."""
    first, second = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    before, part, after = content[:first], content[first:second], content[second:]
    some = rng.randbytes(rng.randint(1, 4))
    near = first + rng.randint(0, 4)
    changes = [
        before,
        before + bytes(byte ^ (1 << rng.randrange(8)) for byte in content[first:near]) + content[near:],
        before + bytes([rng.choice((0, 1, 127, 128, 255))]) + content[first + 1 :],
        before + some + content[first:],
        before + content[near:],
        before + after,
        before + part + part + after,
        before + after + part,
    ]
    return rng.choice(changes)


@pytest.mark.parametrize("reader", READERS, ids=[reader.name for reader in READERS])
def test_a_damaged_file_is_read_or_refused(tmp_path, reader):
    path = tmp_path / reader.name  # holds the file at fault where this fails
    path.write_bytes(reader.wrap(reader.valid))
    assert reader.read(path) is not None
    rng, refused = random.Random(reader.name), 0
    for _ in range(400):
        content = reader.valid
        for _ in range(rng.randint(1, 3)):
            content = damaged(content, rng)
        path.write_bytes(reader.wrap(content))
        try:
            reader.read(path)
        except (DataError, MemoryLimitError):
            refused += 1
    assert refused > 100
