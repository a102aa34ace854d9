"""Small valid files of each format that the readers read, to start from, and what makes wrong ones whole enough."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin
from safetensors.numpy import save

import treadle as td
from treadle import data
from treadle.runs.checkpoints import to_bytes


def joined(*parts: bytes) -> bytes:
    """Several files as one input: two bytes of length before each but the last."""
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts[:-1]) + parts[-1]


def pieces(content: bytes, count: int) -> list[bytes]:
    """The files in an input that `joined` made."""
    found = []
    for _ in range(count - 1):
        end = 2 + int.from_bytes(content[:2], "big")
        found.append(content[2:end])
        content = content[end:]
    return [*found, content]


def idx(code: str, *shape: int) -> bytes:
    codes = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
    numbers = np.arange(np.prod(shape, dtype=int)).astype(f">{code}")
    return bytes([0, 0, codes[code], len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + numbers.tobytes()


def idx_files() -> list[bytes]:
    return [idx(code, 2, 3) for code in ("u1", "i1", "i2", "i4", "f4", "f8")] + [idx("u1", 0), idx("u1", *[1] * 32)]


def idx_folders() -> list[bytes]:
    return [joined(idx("u1", 6, 2, 2), idx(code, 6), idx("u1", 2, 2, 2), idx("u1", 2)) for code in ("u1", "i4")]


def json_files() -> list[bytes]:
    rows = [json.dumps([value] * 784, separators=(",", ":")) for value in (0, 7, 0.5)]
    dark, whole, half = (f"[[{row}],[3]]" for row in rows)
    return [f"[{one},{two},{three}]".encode() for one, two, three in ((dark,) * 3, (whole,) * 3, (dark, dark, half))]


def tables() -> list[bytes]:
    rows = "".join(f"{i},{'' if i == 3 else i / 7},{'ab'[i % 2]},{i % 3}\n" for i in range(12))
    classes = "".join(f"{i},{'no' if i % 2 else 'yes'}\n" for i in range(9))
    huge = "".join(f"{'' if i == 3 else '1e308'},{i}\n" for i in range(12))
    named = (f"a,b,word,y\n{rows}", f"a,y\n{classes}", f"a,y\n{huge}", 'x,"y ""z"\n1,"a\nb"\n')
    return [text.encode() for text in named]


def npy(array: Any, **settings: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **settings)
    return stream.getvalue()


def npz(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def array_pairs() -> list[tuple[bytes, bytes]]:
    """Inputs and targets; the last have an object, which must never be unpickled."""
    labels = np.arange(9) % 3
    images = np.asfortranarray(np.arange(36, dtype=np.uint8).reshape(9, 2, 2))
    return [
        (npy(np.ones((9, 2))), npy(labels)),
        (npy(images, version=(2, 0)), npy(labels.astype(str))),
        (npy(np.ones((9, 4, 4, 3), np.float16)), npy(labels[:, None] / 2)),
        (npy(np.array([None, print]), allow_pickle=True), npy(labels)),
    ]


def npz_files() -> list[bytes]:
    packed = io.BytesIO()
    sets = {"x_train": [[1.0, 2]] * 3, "y_train": [0, 1, 0], "x_val": [[1.0, 2]], "y_val": [0]}
    np.savez_compressed(packed, **sets, x_test=[[1.0, 2]], y_test=[1])
    return [npz(x=x, y=y) for x, y in array_pairs()] + [packed.getvalue()]


def images(kind: str, *modes: str, **settings: Any) -> list[bytes]:
    """An image of each mode, with a byte before it that says how it is to be read."""
    found = []
    for number, mode in enumerate(modes):
        image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 12)).convert("L" if mode == "I;16" else "RGB")
        stream = io.BytesIO()
        image.convert(mode).save(stream, kind, **settings)
        found.append(bytes([number]) + stream.getvalue())
    return found


def png_files() -> list[bytes]:
    exif, text = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x0112] = 1
    text.add_text("a", "b", zip=True)
    text.add_itxt("c", "d", zip=True)
    return [
        *images("PNG", "1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        *images("PNG", "L", "P", exif=exif, pnginfo=text, transparency=0, dpi=(72, 72)),
        *images("PNG", "L", save_all=True, append_images=[Image.new("L", (3, 3))]),
    ]


def png_pixels() -> list[bytes]:
    """PNG files whose pixels are not compressed, as `png` takes them."""
    found = images("PNG", "1", "L", "LA", "P", "RGB", "RGBA")
    return [one[:1] + png(one[1:], zlib.decompress) for one in found]


def png(content: bytes, change: Callable[[bytes], bytes] | None = None) -> bytes:
    """The file with its checksums made right, and its pixels changed."""
    done, rest = content[:8], content[8:]
    while len(rest) >= 8:
        length, kind = rest[:4], rest[4:8]
        end = 8 + int.from_bytes(length, "big")
        body, rest = rest[8:end], rest[4 + end :]
        if kind == b"IDAT" and change:
            body = change(body)
            length = len(body).to_bytes(4, "big")
        done += length + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
    return done + rest


def jpeg_files() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 1
    return images("JPEG", "L", "RGB", "CMYK") + images("JPEG", "L", "RGB", progressive=True, exif=exif)


def bmp_files() -> list[bytes]:
    """Those that Pillow writes, with run lengths of 8 and 4 bits, and of no width."""
    runs = bytes([3, 1, 0, 0, 0, 3, 1, 2, 3, 0, 0, 2, 1, 0, 0, 1])
    packed = []
    for width, bits, code in ((4, 8, 1), (4, 4, 2), (0, 8, 0)):
        header = struct.pack("<IiiHHIIiiII", 40, width, 2, 1, bits, code, len(runs), 1, 1, 16, 0)
        start = 14 + len(header) + 64
        packed.append(b"\1BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + bytes(range(64)) + runs)
    return images("BMP", "1", "L", "P", "RGB") + packed


def parquet_files() -> list[bytes]:
    """Numbers, words, yes and no, and gaps, written in several ways, with a byte before them as in `images`."""
    import pyarrow as arrow
    from pyarrow import parquet

    columns = {
        "a": [1, 2, None, 4] * 4,
        "b": [0.5, None, 1.5, 2.5] * 4,
        "c": ["x", "y", None, "x"] * 4,
        "d": [True, False, True, True] * 4,
        "y": ["no", "yes"] * 8,
    }
    ways = ({"compression": "none"}, {"use_dictionary": False}, {"row_group_size": 5}, {"data_page_version": "2.0"})
    found = []
    for number, settings in enumerate(ways, 1):
        stream = io.BytesIO()
        parquet.write_table(arrow.table(columns), stream, store_schema=number == 1, **settings)
        found.append(bytes([number]) + stream.getvalue())
    return found


RECIPE = """[network]
layers = ["linear 3"]

[loss]
kind = "cross_entropy"

[optimizer]
kind = "adam"
lr = 0.1
schedule = ["warmup 1", "cosine 2"]

[data]
source = "wine"
batch_size = 10
"""


def _run() -> Any:
    draws = np.random.default_rng(0)
    rows = data.Dataset(draws.random((30, 2)), np.arange(30) % 3, ("a", "b", "c"), "rows")
    sets = data.Sets(rows, rows, rows, "rows", "made up")
    network = td.nn.Sequential(td.nn.Linear(3))
    return td.fit(network, sets, loss="cross_entropy", optimizer=td.optim.Adam(0.1), batch_size=10, epochs=2)


def checkpoints() -> list[bytes]:
    """Return checkpoints of small trainings."""
    return [to_bytes(_run().progress), to_bytes(replace(_run().progress, diagnosis=None, best=None))]


def weights() -> list[bytes]:
    """Return weights that fit RECIPE and `about`."""
    return [save({"linear1.weight": np.zeros((2, 3), kind), "linear1.bias": np.zeros(3, kind)}) for kind in "fd"]


def about() -> dict[str, Any]:
    """Return what run.json holds for RECIPE."""
    part = {"name": "rows", "fingerprint": "0", "shape": [2], "dtype": "float64", "range": [0.0, 1.0]}
    return {
        "format": 2,
        "status": "finished",
        "started": None,
        "data": {**part, "classes": ["a", "b", "c"], "encoding": None},
        "scale": {"kind": "minmax", "offset": [0.0], "factor": [1.0]},
        "metrics": ["accuracy"],
        "steps": 6,
        "history": [{"epoch": 1, "train_loss": 1.0}],
        "findings": [],
        "test": None,
        "weights_epoch": 1,
        "weights_sha256": None,
    }


def runs() -> list[bytes]:
    """Return run.json of this format and of the one before."""
    return [json.dumps(about()).encode(), json.dumps({**about(), "format": 1}).encode()]


def ladders() -> list[bytes]:
    """Return a ladder."""
    inside = RECIPE.replace("[", "[baseline.", 1).replace("\n\n[", "\n\n[baseline.")
    return [f"seeds = 2\n{inside}\n[[rung]]\nname = 'b'\nchange = {{ optimizer.lr = 0.2 }}\n".encode()]
