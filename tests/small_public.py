"""Stand-ins for the public data sets: a table of small files of the same kind, whose checksums are known here."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace

import numpy as np

from treadle.data import PUBLIC
from treadle.data.download import Remote
from treadle.data.sources import public

TRAIN, TEST = 100, 20


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def archive(members):
    """A tar archive, compressed, the same bytes at each call."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(file.getvalue(), mtime=0)


def cifar_batches():
    """The six batches, TEST records each: the label is that of the record, red its number, green 100, blue 200."""
    batches = {}
    for batch, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        planes = [[np.full(1024, value) for value in (batch * TEST + n, 100, 200)] for n in range(TEST)]
        rows = [np.concatenate([[n % 10], *three]) for n, three in enumerate(planes)]
        batches[f"cifar-10-batches-bin/{name}.bin"] = np.array(rows, np.uint8).tobytes()
    return batches


def contents():
    """The files by name: images that have the number of the sample in each pixel, and labels that count to ten."""
    files = {}
    for name in ("fashion_mnist", "kmnist"):
        for stem, count in (("train", TRAIN), ("t10k", TEST)):
            number = np.arange(count) + (count == TEST) * TRAIN + (name == "kmnist")
            files[f"{name}/{stem}-images-idx3-ubyte.gz"] = idx(np.ones((1, 28, 28)) * number[:, None, None])
            files[f"{name}/{stem}-labels-idx1-ubyte.gz"] = idx(np.arange(count) % 10)
    readme = {"cifar-10-batches-bin/readme.html": b"not read"}
    files["cifar10/cifar-10-binary.tar.gz"] = archive(readme | cifar_batches())
    return files


def install(monkeypatch, folder, files, address="http://127.0.0.1:9"):
    """Put the sizes and checksums of the files into the table, with one address each, and set the folder of data."""
    monkeypatch.setenv("TREADLE_DATA_DIR", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("TREADLE_MIRROR", raising=False)
    monkeypatch.setattr(public, "_RECORDS", TEST)
    for name, known in PUBLIC.items():
        remotes = tuple(
            Remote(
                file.name,
                len(files[file.name]),
                hashlib.sha256(files[file.name]).hexdigest(),
                (f"{address}/{file.name}",),
            )
            for file in known.files
        )
        monkeypatch.setitem(PUBLIC, name, replace(known, files=remotes))


def write(folder, files):
    """Put the files where a download would."""
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
