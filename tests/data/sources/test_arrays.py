import contextlib
import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.data import RandomSplit, load, load_npy_folder, load_npz
from treadle.errors import DataError

X, Y = np.arange(240.0).reshape(60, 4), np.arange(60) % 3


def save(path, compressed=False, **arrays):
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("names", [("x", "y"), ("inputs", "targets"), ("images", "labels")])
def test_arrays_are_split(tmp_path, compressed, names):
    path = save(tmp_path / "mine.npz", compressed, **dict(zip(names, (X, Y), strict=True)))
    sets = load(path)
    assert (sets.name, sets.train.classes) == ("mine", ("0", "1", "2"))
    rows = np.concatenate([part.inputs for part in sets.parts().values()])
    assert sorted(rows[:, 0].tolist()) == X[:, 0].tolist()
    assert load(path, split=RandomSplit(seed=3)).fingerprint() != sets.fingerprint()


def test_sets_of_their_own_and_images(tmp_path):
    images = np.arange(10 * 5 * 4 * 3, dtype=np.uint8).reshape(10, 5, 4, 3)
    arrays = {"x_train": images, "x_val": images[:2], "x_test": images[:3]}
    labels = {"y_train": np.arange(10)[:, None] % 2, "y_val": np.array([[0], [1]]), "y_test": np.array([[0], [1], [1]])}
    sets = load_npz(save(tmp_path / "a.npz", **arrays, **labels))
    assert [len(part) for part in sets.parts().values()] == [10, 2, 3]
    assert sets.train.shape == (3, 5, 4)
    np.testing.assert_array_equal(sets.train.images[1, 2], images[1, :, :, 2])
    grey = save(tmp_path / "b.npz", x=images[..., 0], y=np.arange(10) % 2)
    assert load(grey).train.shape == (1, 5, 4)
    with pytest.raises(DataError, match="has its own sets: leave out split"):
        load(tmp_path / "a.npz", split=RandomSplit())


def test_kinds_of_targets(tmp_path):
    words = save(tmp_path / "a.npz", x=X, y=np.array(["no", "yes"] * 30))
    assert load(words).train.classes == ("no", "yes")
    numbers = save(tmp_path / "b.npz", x=np.asfortranarray(X), y=Y.astype(float))
    assert load(numbers).train.classes is None
    assert load(numbers, classes=True).train.classes == ("0", "1", "2")
    assert load(save(tmp_path / "c.npz", x=X, y=Y), classes=False).train.targets.dtype == np.float64
    rows = np.concatenate([part.inputs for part in load(numbers).parts().values()])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, X))


class Trap:
    """What must not be run."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def lying(shape, content=b""):
    """An .npy whose header promises more than there is."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + content


def archive(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("x.npy", lying((2**29, 8)))], r"'x.npy': its header promises 34359738368 bytes for shape .* found 0"),
        ([("x.npy", lying((2,), b"1234567"))], "promises 16 bytes"),
        ([("x.npy", lying((1,), b"123456789"))], "promises 8 bytes"),
        ([("../x.npy", lying((0,)))], r"'../x.npy': expected arrays named such as x.npy"),
        ([("a\\x.npy", lying((0,)))], "expected arrays named such as x.npy"),
        ([("x.txt", b"1")], "expected arrays named such as x.npy"),
        ([("x.npy", lying((0,))), ("x.npy", lying((0,)))], "'x.npy': comes twice"),
        ([("x.npy", b"nothing")], "'x.npy': no array of NumPy"),
        ([("x.npy", b"\x93NUMPY\x07\x00")], r"version \(7, 0\) of the format is not read"),
        ([("x.npy", lying((2, 3), bytes(48)))], "expected one array y or targets or labels, found 0; there are x"),
        ([], "there are no arrays"),
    ],
)
def test_archives_that_lie(tmp_path, members, message):
    with pytest.raises(DataError, match=message):
        load_npz(archive(tmp_path / "a.npz", members))


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([Trap()], object), y=np.array([0]))
    with pytest.raises(DataError, match="holds Python objects, which are never unpickled"):
        load(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "y": Y[:5]}, r"inputs should be \(N, …\) and targets \(N,\), found \(60, 4\) and \(5,\)"),
        ({"x": X[:, 0], "y": Y}, r"found \(60,\) and \(60,\)"),
        ({"x": X, "inputs": X, "y": Y}, "expected one array x or inputs or images, found 2"),
        ({"x_train": X, "y_train": Y}, "expected one array x_validation or .*; there are x_train, y_train"),
        ({"x": X.astype(str), "y": Y}, "inputs should be numbers, found <U32"),
        ({"x": X.astype("M8[s]"), "y": Y}, "inputs should be numbers, found datetime64"),
        ({"x": X, "y": Y + 0j}, "targets should be numbers or text, found complex128"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        load(save(tmp_path / "a.npz", **arrays))


def test_targets_that_are_no_classes_or_no_numbers(tmp_path):
    with pytest.raises(DataError, match=r"and one is 0\.5"):
        load(save(tmp_path / "a.npz", x=X, y=Y / 2), classes=True)
    spoilt = Y.astype(float)
    spoilt[3] = np.inf
    with pytest.raises(DataError, match="and one is inf"):
        load(save(tmp_path / "c.npz", x=X, y=spoilt), classes=True)
    mixed = {"y_train": Y, "y_val": Y.astype(str), "y_test": Y}
    with pytest.raises(DataError, match="targets are int64 in one set and <U21 in another"):
        load(save(tmp_path / "d.npz", x_train=X, x_val=X, x_test=X, **mixed))
    with pytest.raises(DataError, match="targets are words, and numbers were asked for"):
        load(save(tmp_path / "b.npz", x=X, y=Y.astype(str)), classes=False)


def test_bombs_and_damage(tmp_path):
    bomb = save(tmp_path / "a.npz", True, x=np.zeros((1000, 1000)), y=np.zeros(1000))
    with pytest.raises(DataError, match=r"'x\.npy': has 8000128 bytes, more than the limit of 1000000"):
        load_npz(bomb, limit_bytes=1_000_000)
    content = save(tmp_path / "b.npz", True, x=np.random.default_rng(0).random((100, 10)), y=np.zeros(100)).read_bytes()
    for damaged in (content[:500], content[:-10], b"", b"PK", content[:200] + b"\0" * 50 + content[250:]):
        (tmp_path / "c.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"c\.npz"):
            load(tmp_path / "c.npz")


@given(st.integers(0, 2000), st.integers(0, 255))
def test_any_changed_byte_gives_arrays_or_an_error(tmp_path_factory, place, value):
    file = io.BytesIO()
    np.savez_compressed(file, x=X, y=Y)
    content = bytearray(file.getvalue())
    content[place % len(content)] = value
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        load(path)


def header(descr: str, shape: str, body: bytes = b"") -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + body


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x", header("|u1", "(-1, -6)", bytes(6)), "no array of NumPy|save it anew"),
        ("x", header("|u1", f"(0, {10**30})"), "no array of NumPy|save it anew"),
        ("x", header("|u1", f"({'1, ' * 65})", bytes(1)), "no array of NumPy|save it anew"),
        ("x", header("(2,)<f8", "(6,)", bytes(96)), "no array of NumPy|save it anew"),
        ("y", header("<U0", "(6,)"), "save it anew"),
        ("y", header("<U1", "(6,)", struct.pack("<6I", *[0x110000] * 6)), "characters that are none"),
        ("y", header(">U1", "(6,)", struct.pack(">6I", *[0xD800, 65] * 3)), "characters that are none"),
    ],
    ids=["negative", "huge", "65 dimensions", "subarrays", "no characters", "beyond Unicode", "half a pair"],
)
def test_headers_and_words_that_no_array_has(tmp_path, name, content, message):
    np.savez(tmp_path / "good.npz", x=np.ones((6, 2)), y=np.arange(6) % 2)
    with zipfile.ZipFile(tmp_path / "good.npz") as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    members[f"{name}.npy"] = content
    folder = tmp_path / "folder"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for one, body in members.items():
            archive.writestr(one, body)
            (folder / one).write_bytes(body)
    for read, path in ((load_npz, tmp_path / "a.npz"), (load_npy_folder, folder)):
        with pytest.raises(DataError, match=message):
            read(path)


def test_a_name_that_is_not_utf8_is_damage(tmp_path):
    content = bytearray(save(tmp_path / "a.npz", x=X, y=Y).read_bytes())
    entry = content.rindex(b"PK\1\2")
    content[entry + 9] |= 8  # says that the name is UTF-8
    content[entry + 46] = 0xB6
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: damaged"):
        load_npz(tmp_path / "a.npz")
