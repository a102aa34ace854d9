"""What is fuzzed: how bytes get into each reader, and from which valid files it begins."""

import gzip
import hashlib
import importlib.util
import json
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import files

from treadle import data
from treadle.errors import DataError, MemoryLimitError, RecipeError, RunError
from treadle.ladder import Ladder
from treadle.recipe import Recipe
from treadle.runs import load
from treadle.runs.about import parse_about
from treadle.runs.checkpoints import from_bytes
from treadle.runs.folder import _read_weights

LIMIT = 1 << 22  # bytes, where a reader takes a limit


class Target(NamedTuple):
    """How bytes get into a reader, valid inputs to start from, tokens of the format, longest input, and its errors."""

    read: Callable[[bytes, Path], Any]
    valid: Callable[[], list[bytes]]
    tokens: tuple[bytes, ...] = ()
    longest: int = 4096
    errors: tuple[type[Exception], ...] = (DataError, MemoryLimitError)


def file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read_idx_folder(content: bytes, folder: Path) -> data.Sets:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    for name, part in zip(names, files.pieces(content, 4), strict=True):
        file(folder, f"{name}-ubyte", part)
    return data.load_idx_folder(folder)


def read_table(content: bytes, folder: Path) -> data.Sets:
    way = content[0] if content else 0
    classes, missing = (None, True, False)[way // 4 % 3], data.MISSING[way % 4]
    return data.load_table(file(folder, "a.csv", content[1:]), classes=classes, missing=missing, header=way < 128)


def read_npz(content: bytes, folder: Path) -> data.Sets:
    return data.load_npz(file(folder, "a.npz", content), limit_bytes=LIMIT)


def read_npy_folder(content: bytes, folder: Path) -> data.Sets:
    for name, part in zip("xy", files.pieces(content, 2), strict=True):
        file(folder, f"{name}.npy", part)
    return data.load_npy_folder(folder)


def read_parquet(content: bytes, folder: Path) -> data.Sets:
    way = content[0] if content else 0
    words = ["a"] if way > 200 else []
    path = file(folder, "a.parquet", content[1:])
    return data.load_parquet(path, categorical=words, missing=data.MISSING[way % 4], stream=way % 3 == 0)


def read_image(name: str, change: Callable[[bytes], bytes] = bytes) -> Callable[[bytes, Path], Any]:
    def read(content: bytes, folder: Path) -> Any:
        way = content[0] if content else 0
        channels, size = (None, 1, 3)[way % 3], (None, (3, 5))[way // 3 % 2]
        return data.decode_image(
            file(folder, name, change(content[1:])), channels=channels, size=size, max_pixels=2**16
        )

    return read


def read_run(content: bytes, folder: Path) -> Any:
    file(folder, "run.json", content)
    return parse_about(folder)


def read_weights(content: bytes, folder: Path) -> Any:
    file(folder, "weights.safetensors", content)
    return _read_weights(folder, hashlib.sha256(content).hexdigest(), *network())


@cache
def network() -> tuple[Any, tuple[int, ...]]:
    """The network of `files.RECIPE`, and the shape of a sample."""
    about = files.about()["data"]
    shape = tuple(about["shape"])
    return Recipe.from_toml(files.RECIPE).build_network(about["classes"], shape), shape


def read_run_folder(content: bytes, folder: Path) -> Any:
    about = {**files.about(), "weights_sha256": hashlib.sha256(content).hexdigest()}
    file(folder, "run.json", json.dumps(about).encode())
    file(folder, "recipe.toml", files.RECIPE.encode())
    file(folder, "weights.safetensors", content)
    return load(folder).parameters


NUMBERS = (b"NA", b"nan", b"1e308", b"-1e308", b"9007199254740993", b"1_0", b"inf", b"0.5", b"1e999", b"0" * 60)
HEADER = (
    b"{'descr': '<f8', ",
    b"'fortran_order': True, ",
    b"'shape': (3,), }",
    b"|O",
    b"<U3",
    b"|S3",
    b"<c16",
    b"<M8[s]",
)
CHUNKS = tuple(b"IHDR PLTE IDAT IEND tRNS acTL fcTL fdAT eXIf iTXt tEXt zTXt iCCP gAMA pHYs".split())
MARKERS = tuple(bytes([255, code]) for code in (0xC0, 0xC2, 0xC4, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE1, 0xE2, 0xED))

TARGETS = {
    "idx": Target(lambda c, to: data.read_idx(file(to, "a", c), limit_bytes=LIMIT), files.idx_files),
    "idx_gz": Target(
        lambda c, to: data.read_idx(file(to, "a.gz", c), limit_bytes=LIMIT),
        lambda: [gzip.compress(one, mtime=0) for one in files.idx_files()],
    ),
    "idx_folder": Target(read_idx_folder, files.idx_folders),
    "mnist_json": Target(
        lambda c, to: data.load_mnist_json(file(to, "a.json.gz", gzip.compress(c, 1)), limit_bytes=LIMIT),
        files.json_files,
        (b"[", b"]", b"],[", b"[[", b"]]", *NUMBERS),
        16384,
    ),
    "delimited": Target(
        lambda c, to: data.read_delimited(file(to, "a.csv", c), limit_bytes=LIMIT),
        files.tables,
        (b'"', b'""', b"\r\n", *NUMBERS),
        16384,
    ),
    "table": Target(
        read_table, lambda: [bytes([way]) + one for way in (0, 1, 2, 3, 5, 130) for one in files.tables()], NUMBERS
    ),
    "npz": Target(
        read_npz, files.npz_files, (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b".npy", b"x", b"y")
    ),
    "npz_arrays": Target(
        lambda c, to: read_npz(files.npz(**dict(zip("xy", files.pieces(c, 2), strict=True))), to),
        lambda: [files.joined(*pair) for pair in files.array_pairs()],
        HEADER,
    ),
    "npy_folder": Target(read_npy_folder, lambda: [files.joined(*pair) for pair in files.array_pairs()], HEADER),
    "png": Target(read_image("a.png", files.png), files.png_files, CHUNKS),
    "png_pixels": Target(
        read_image("a.png", lambda c: files.png(c, lambda body: zlib.compress(body, 1))), files.png_pixels, CHUNKS
    ),
    "jpeg": Target(read_image("a.jpg"), files.jpeg_files, (b"Exif\0\0", b"MPF\0", b"JFIF\0", b"Adobe", *MARKERS)),
    "bmp": Target(read_image("a.bmp"), files.bmp_files),
}
STAGES = tuple(b"[data] [network] [loss] [optimizer] [resources] [training] [saving] layers= kind= preset= lr=".split())
RUN_ERRORS = (RunError, RecipeError, MemoryLimitError)
TARGETS |= {
    "checkpoint": Target(
        lambda c, _: from_bytes(c, "a"),
        files.checkpoints,
        (b'"F32"', b'"dtype":', b'"shape":[', b"NaN"),
        errors=RUN_ERRORS,
    ),
    "weights": Target(
        read_weights, files.weights, (b'"F32"', b'"F64"', b'"dtype":', b'"shape":[', b"__metadata__"), errors=RUN_ERRORS
    ),
    "run_folder": Target(
        read_run_folder, files.weights, (b'"F32"', b'"F64"', b'"dtype":', b'"shape":['), errors=RUN_ERRORS
    ),
    "run_json": Target(read_run, files.runs, (b'"format"', b"null", b"[]", b"{}", b"1e999"), errors=RUN_ERRORS),
    "recipe": Target(
        lambda c, to: Recipe.read(file(to, "a.toml", c)), lambda: [files.RECIPE.encode()], STAGES, errors=RUN_ERRORS
    ),
    "ladder": Target(lambda c, to: Ladder.read(file(to, "a.toml", c)), files.ladders, STAGES, errors=RUN_ERRORS),
}
if importlib.util.find_spec("pyarrow"):
    TARGETS["parquet"] = Target(read_parquet, files.parquet_files, (b"PAR1", b"ARROW:schema"))
