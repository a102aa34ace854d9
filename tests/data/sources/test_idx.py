import gzip
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from treadle.data import load_idx_folder, read_idx
from treadle.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def header(code: int, *sizes: int) -> bytes:
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


arrays = st.sampled_from([*CODES]).flatmap(
    lambda code: hnp.arrays(np.dtype(code), hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)


@given(arrays, st.booleans())
def test_every_type_and_shape_comes_back(tmp_path_factory, array, zipped):
    path = tmp_path_factory.mktemp("idx") / ("a.gz" if zipped else "a")
    path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    got = read_idx(path)
    assert got.dtype == array.dtype
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, array)


GOOD = idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3))
BAD = [
    (b"", "truncated at byte 0: expected a magic of 4 bytes, found 0"),
    (b"\0\0\x08", "truncated at byte 3"),
    (b"\1\2\x08\1" + GOOD[4:], "bad magic at byte 0: expected 00 00, found 01 02"),
    (b"\0\0\x07\1" + GOOD[4:], "unknown type code at byte 2: expected one of 08, .* found 07"),
    (b"\0\0\x08\0" + GOOD[4:], "bad magic at byte 3: expected 1 to 32 dimensions, found 0"),
    (b"\0\0\x08\xff" + GOOD[4:], "bad magic at byte 3.*found 255"),
    (GOOD[:9], "truncated at byte 9: expected 2 dimensions of 4 bytes each, found 5 bytes"),
    (GOOD[:-1], "truncated at byte 17: expected .*18 bytes for shape .*found 17"),
    (GOOD + b"xy", "trailing bytes at byte 18: expected .*18 bytes for shape .*found 20"),
    (header(0x08, 2**32 - 1, 2**32 - 1) + b"x", "more than the limit of 4294967296"),
    (header(0x0E, 2**31, 2**31, 2**31) + b"x", "more than the limit"),
    (header(0x08, 2**32 - 1, 2**32 - 1, 0), "more than the limit"),
    (header(0x08, 2**31) + b"x", "truncated at byte 9"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_bad_plain_files_are_refused_with_the_offset(tmp_path, content, message):
    path = tmp_path / "a-idx"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"a-idx: .*{message}"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


GZIP_MESSAGES = {
    GOOD[:-1]: r"truncated at byte 17: expected 6 bytes for shape \(2, 3\), found 5",
    GOOD + b"xy": "trailing bytes at byte 18",
    BAD[-1][0]: "truncated: dimensions .* need 2147483648 bytes, .* bytes of gzip cannot hold them",
}


@pytest.mark.parametrize(("content", "message"), [(c, GZIP_MESSAGES.get(c, m)) for c, m in BAD])
def test_bad_content_in_gzip_is_refused_with_the_offset(tmp_path, content, message):
    path = tmp_path / "a-idx.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=f"a-idx.gz: .*{message}"):
        read_idx(path)


def test_a_bomb_stops_at_the_declared_size(tmp_path):
    path = tmp_path / "bomb.gz"
    packer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as file:
        file.write(packer.compress(header(0x08, 1000)))
        for _ in range(200):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.flush())
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="trailing bytes at byte 1008"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_limit_of_the_caller_holds(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(1000, np.uint8))))
    assert read_idx(path, limit_bytes=1000).shape == (1000,)
    with pytest.raises(DataError, match="need 1000 bytes, more than the limit of 999"):
        read_idx(path, limit_bytes=999)


def test_damaged_gzip_is_named(tmp_path):
    path = tmp_path / "a.gz"
    good = gzip.compress(GOOD)
    crc = good[:-8] + bytes([good[-8] ^ 1]) + good[-7:]
    for content, message in [
        (crc, "damaged gzip.*CRC"),
        (good[:-9], "truncated gzip: expected the end-of-stream marker"),
        (good[:15], "truncated gzip"),
        (GOOD, "damaged gzip.*Not a gzipped file"),
        (good[:12] + b"\xff\xff\xff" + good[15:], "(damaged|truncated) gzip"),
        (good + b"garbage", "damaged gzip"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"a.gz: {message}"):
            read_idx(path)


def test_gzip_without_its_ending_gets_a_hint(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(GOOD))
    with pytest.raises(DataError, match=r"it is gzip: its name must end in \.gz"):
        read_idx(tmp_path / "a")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_idx(tmp_path / "none")
    with pytest.raises(DataError, match="expected a file"):
        read_idx(tmp_path)


def write_folder(folder: Path, train: int, test: int, style: str = "-idx", end: str = "") -> None:
    for stem, count in (("train", train), ("t10k", test)):
        images = np.arange(count * 4, dtype=np.uint8).reshape(count, 2, 2)
        for kind, array in (("images{}3", images), ("labels{}1", (np.arange(count) % 3).astype(np.uint8))):
            content = idx_bytes(array)
            name = f"{stem}-{kind.format(style)}-ubyte{end}"
            (folder / name).write_bytes(gzip.compress(content, 1) if end else content)


@pytest.mark.parametrize(("style", "end"), [("-idx", ""), ("-idx", ".gz"), (".idx", ""), (".idx", ".gz")])
def test_a_folder_is_read_under_all_its_names(tmp_path, style, end):
    write_folder(tmp_path, 12, 3, style, end)
    sets = load_idx_folder(tmp_path)
    assert [len(part) for part in sets.parts().values()] == [10, 2, 3]
    assert sets.train.shape == (1, 2, 2)
    assert sets.train.classes == ("0", "1", "2")
    assert sets.validation.labels.tolist() == [1, 2]
    assert sets.train.labels.dtype == np.int64
    assert "last 2 of 12" in sets.origin
    assert sets.name == tmp_path.name
    for part in sets.parts().values():
        assert not part.inputs.flags.writeable
        assert not part.targets.flags.writeable


def test_sixty_thousand_images_are_split_as_in_the_course(tmp_path):
    write_folder(tmp_path, 60_000, 1)
    assert len(load_idx_folder(tmp_path).validation) == 10_000


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-labels-idx1-ubyte", np.zeros(11, np.uint8), "11 labels for 12 images"),
        ("train-labels-idx1-ubyte", np.zeros((12, 1), np.uint8), "expected integers of shape"),
        ("train-labels-idx1-ubyte", np.zeros(12, np.float32), "expected integers of shape"),
        ("train-labels-idx1-ubyte", np.full(12, -1, np.int8), "expected labels in 0..65535, found -1"),
        ("train-images-idx3-ubyte", np.zeros((12, 4), np.uint8), r"expected 3 dimensions \(N, H, W\)"),
        ("t10k-images-idx3-ubyte", np.zeros((3, 2, 3), np.uint8), "as in training"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(tmp_path, name, array, message):
    write_folder(tmp_path, 12, 3)
    (tmp_path / name).write_bytes(idx_bytes(array))
    with pytest.raises(DataError, match=message):
        load_idx_folder(tmp_path)


def test_a_missing_file_and_too_few_images_are_refused(tmp_path):
    write_folder(tmp_path, 1, 3)
    with pytest.raises(DataError, match="at least 2 images"):
        load_idx_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="no t10k-labels-idx1-ubyte"):
        load_idx_folder(tmp_path)
