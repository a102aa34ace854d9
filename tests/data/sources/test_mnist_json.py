import gzip
import json
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from treadle.data import load_mnist_json
from treadle.errors import DataError

DARK = "[" + ", ".join(["0"] * 784) + "]"
GREY = "[" + ", ".join(["0"] * 783 + ["200"]) + "]"
HALF = "[" + ", ".join(["0"] * 783 + ["0.5"]) + "]"
SET = f"[[{GREY}, {DARK}], [3, 9]]"
GOOD = f"[{SET}, {SET}, {SET}]"


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode(), 1))
    return path


def three(first: str) -> str:
    return f"[{first}, {SET}, {SET}]"


counts = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))


@given(counts, st.data(), st.booleans(), st.sampled_from([None, (",", ":"), (" ,\n", ":")]))
def test_what_json_writes_comes_back(tmp_path_factory, sizes, data, fractional, separators):
    parts = []
    for size in sizes:
        elements = st.floats(0, 1, width=32) if fractional else st.integers(0, 255)
        dtype = np.float32 if fractional else np.uint8
        images = data.draw(hnp.arrays(dtype, (size, 784), elements=elements, fill=st.just(0)))
        images[0, 0], images[0, 1] = (0.25, 1) if fractional else (2, 255)
        parts.append((images, data.draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))))
    text = json.dumps([[images.tolist(), labels] for images, labels in parts], separators=separators)
    sets = load_mnist_json(write(tmp_path_factory.mktemp("json") / "mnist.json.gz", text))
    for part, (images, labels) in zip(sets.parts().values(), parts, strict=True):
        assert part.images.dtype == images.dtype
        np.testing.assert_array_equal(part.images.reshape(-1, 784), images)
        assert part.labels.tolist() == labels
        assert not part.inputs.flags.writeable
    assert ("numbers 0..1" if fractional else "integers 0..255") in repr(sets)


def test_many_rows_cross_blocks_and_pieces(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (300, 784)), rng.integers(0, 10, 300)
    one = [images.tolist(), labels.tolist()]
    sets = load_mnist_json(write(tmp_path / "m.json.gz", json.dumps([one, one, one])))
    np.testing.assert_array_equal(sets.test.images.reshape(300, 784), images)
    np.testing.assert_array_equal(sets.test.labels, labels)


def test_the_range_is_decided_over_the_whole_file(tmp_path):
    dark = f"[[{DARK}], [0]]"
    path = tmp_path / "m.json.gz"
    assert load_mnist_json(write(path, f"[{dark}, {dark}, {SET}]")).train.images.dtype == np.uint8
    sets = load_mnist_json(write(path, f"[{dark}, {dark}, [[{HALF}], [0]]]"))
    assert {part.images.dtype for part in sets.parts().values()} == {np.dtype(np.float32)}
    assert load_mnist_json(write(path, f"[{dark}, {dark}, {dark}]")).train.images.dtype == np.float32


OFFSETS = [
    ("{" + GOOD[1:], "offset 0: found an object, expected arrays of numbers only"),
    ('[{"a": 1, "a": 2}]', "offset 1: found an object"),
    (GOOD.replace("200", "NaN", 1), f"offset {GOOD.index('200')}: found NaN, expected finite numbers"),
    (GOOD.replace("200", "Infinity", 1), f"offset {GOOD.index('200')}: found Infinity"),
    (GOOD.replace("200", "-Infinity", 1), f"offset {GOOD.index('200') + 1}: found Infinity"),
    (GOOD.replace("200", '"a"', 1), f"offset {GOOD.index('200')}: found a string"),
    (GOOD.replace("200", "true", 1), f"offset {GOOD.index('200')}: found 't'"),
    ("\ufeff" + GOOD, "offset 0: found"),
    (GOOD.replace("200", "1.2.3", 1), f"offset {GOOD.index('200') + 3}: expected numbers"),
    (GOOD.replace("200", "", 1), "expected numbers"),
    ("[" * 5 + GOOD, "offset 4: expected lists nested 4 deep, found one deeper"),
    ("[" * 100_000, "offset 4: expected lists nested 4 deep"),
    (GOOD[:-1], f"truncated at offset {len(GOOD) - 1}: expected 1 more closing brackets"),
    (GOOD[: len(GOOD) // 2], "truncated at offset"),
    ("", "offset 0: expected an array, found nothing"),
    ("12", "offset 0: expected an array, found '12'"),
    ("]", "offset 0: expected an array, found a closing bracket"),
    (GOOD + " 1", f"trailing text at offset {len(GOOD) + 1}"),
    (GOOD + "\n[]", f"trailing text at offset {len(GOOD) + 1}"),
    (GOOD + "]", f"trailing text at offset {len(GOOD)}"),
    ("[1, [2]]", "offset 1: expected a list, found '1,'"),
    (f"[{SET} {SET}, {SET}]", "expected a comma between two lists, found nothing"),
    (f"[{SET},, {SET}, {SET}]", "expected a comma between two lists, found ',,'"),
    (f"[{SET}, {SET}, {SET},]", "expected a bracket, found ','"),
    ("[]", "offset 1: expected 3 sets, found an empty list"),
    ("[1, 2, 3]", "offset 1: expected 3 sets, found numbers"),
    ("[[]]", r"expected \[images, labels\], found an empty list"),
    ("[[[1, 2], [1]]]", "expected images as lists of 784 numbers, found numbers"),
]
STRUCTURE = [
    (f"[{SET}, {SET}]", r"expected 3 sets \(train, validation, test\), found 2"),
    (f"[{SET}, {SET}, {SET}, {SET}]", "found a fourth"),
    (three(f"[[{GREY}]]"), r"train: .*expected \[images, labels\], found images alone"),
    (three(f"[[{GREY}], [1], [2]]"), "train: .*found a third list"),
    (three(f"[[{GREY}], [[1]]]"), "train labels: .*expected numbers, found a list"),
    (three(f"[[{GREY}, {GREY}], [1]]"), "train: 2 images but 1 labels"),
    (f"[{SET}, {SET}, [[], [1]]]", "test: 0 images but 1 labels"),
    (three(f"[[{GREY}, [1, 2]], [1, 2]]"), "train images: row 1: expected 784 numbers, found 2"),
    (three(f"[[{GREY}], [1.5]]"), "train labels: row 0: expected an integer 0..9, found 1.5"),
    (f"[{SET}, [[{GREY}, {GREY}], [1, 10]], {SET}]", "validation labels: row 1: expected an integer 0..9, found 10"),
    (three(f"[[{GREY}], [-1]]"), "row 0: expected an integer 0..9, found -1"),
    (three(f"[[{GREY}], [1e999]]"), "row 0: expected an integer 0..9, found inf"),
    (three(f"[[{GREY}], [{'9' * 400}]]"), "row 0: expected an integer 0..9"),
    (three(f"[[{GREY}], [{'9' * 5000}]]"), "offset .*digits"),
    (GOOD.replace("200", "256", 1), "train images: row 0 has pixel 256: expected 0..255 or 0..1"),
    (GOOD.replace("200", "-1", 1), "row 0 has pixel -1"),
    (GOOD.replace("200", "1e400", 1), "row 0 has pixel inf"),
    (GOOD.replace("200", "9" * 400, 1), "row 0 has pixel 999"),
    (three(f"[[{HALF}], [1]]"), "train images: row 0 has pixel 0.5 and validation images: row 0 has pixel 200"),
    (three(f"[[{GREY.replace('200', '20.5')}], [1]]"), "row 0 has pixel 20.5 and train images: row 0 has pixel 20.5"),
]


@pytest.mark.parametrize(("text", "message"), OFFSETS + STRUCTURE, ids=lambda text: text[:30])
def test_bad_text_is_refused_with_its_place(tmp_path, text, message):
    with pytest.raises(DataError, match=f"(?s)m.json.gz: .*{message}"):
        load_mnist_json(write(tmp_path / "m.json.gz", text))


def test_an_empty_set_is_left_to_the_check_of_the_data(tmp_path):
    assert len(load_mnist_json(write(tmp_path / "m.json.gz", f"[{SET}, {SET}, [[], []]]")).test) == 0


def test_damaged_gzip_is_named(tmp_path):
    path = tmp_path / "m.json.gz"
    good = gzip.compress(GOOD.encode())
    for content, message in [
        (good[:-8] + bytes([good[-8] ^ 1]) + good[-7:], "damaged gzip.*CRC"),
        (good[:-12], "truncated gzip"),
        (GOOD.encode(), "damaged gzip.*Not a gzipped file"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"m.json.gz: {message}"):
            load_mnist_json(path)


def bomb(path: Path, start: bytes, piece: bytes, count: int) -> Path:
    packer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as file:
        file.write(packer.compress(start))
        for _ in range(count):
            file.write(packer.compress(piece))
        file.write(packer.flush())
    return path


@pytest.mark.parametrize(
    ("start", "piece", "message"),
    [
        (b"", b" ", "expected a bracket within 8388608 bytes"),
        (b"[[[[", b"1,", "expected a bracket within 8388608 bytes"),
        (b"[", b"[", "nested 4 deep"),
        (GOOD.encode(), b" \n", "expected a bracket within"),
        (b"[[[[", b"1],[", "expected 784 numbers"),
    ],
)
def test_a_bomb_stops_in_bounded_memory(tmp_path, start, piece, message):
    path = bomb(tmp_path / "m.json.gz", start, piece * ((1 << 20) // len(piece)), 64)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message):
            load_mnist_json(path)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_the_limit_of_decoded_text_holds(tmp_path):
    path = write(tmp_path / "m.json.gz", GOOD)
    assert len(load_mnist_json(path, limit_bytes=len(GOOD)).train) == 2
    with pytest.raises(DataError, match=f"offset {len(GOOD) - 1}: expected at most {len(GOOD) - 1} bytes"):
        load_mnist_json(path, limit_bytes=len(GOOD) - 1)
