"""Folders of NPY files: mapped arrays are those that were saved, and what is wrong with a file told with its name."""

import io
import pickle

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import treadle as td
from small_sets import SGD, digest, same_history
from treadle.data import RandomSplit, load, load_npy_folder, load_npz
from treadle.data.sources.arrays import MappedArray
from treadle.data.stored import Stored, Subset
from treadle.errors import DataError, MemoryLimitError

DRAWS = np.random.default_rng(0)
X, Y = DRAWS.normal(size=(60, 4)), np.arange(60) % 3
IMAGES = DRAWS.integers(0, 256, (30, 6, 5, 3)).astype(np.uint8)


def save(folder, **arrays):
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def both(tmp_path, **arrays):
    """Sets that stay on disk; those in memory, and those of an archive, have the same bits."""
    folder = save(tmp_path / "a", **arrays)
    np.savez(tmp_path / "a.npz", **arrays)
    disk = load(folder)
    for other in (load(folder, stream=False), load_npz(tmp_path / "a.npz")):
        for mine, theirs in zip(disk.parts().values(), other.parts().values(), strict=True):
            assert isinstance(mine.inputs, Stored)
            assert type(theirs.inputs) is np.ndarray
            assert (mine.inputs.shape, mine.inputs.dtype) == (theirs.inputs.shape, theirs.inputs.dtype)
            assert mine.inputs[:].tobytes() == theirs.inputs.tobytes()
            assert mine.targets.tobytes() == theirs.targets.tobytes()
            assert mine.classes == theirs.classes
        assert disk.fingerprint() == other.fingerprint()
        assert str(disk).splitlines()[1:] == str(other).splitlines()[1:]
    return disk


@pytest.mark.parametrize("names", [("x", "y"), ("inputs", "targets"), ("images", "labels")])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<f2", "|u1", "<i8", ">i2", "|b1"])
def test_arrays_of_each_kind(tmp_path, names, dtype):
    values = (X * 20).astype(dtype)
    sets = both(tmp_path, **dict(zip(names, (values, Y), strict=True)))
    found = np.concatenate([part.inputs[:] for part in sets.parts().values()])
    assert sorted(map(tuple, found)) == sorted(map(tuple, values))
    assert isinstance(sets.train.inputs, Subset)
    assert sets.train.classes == ("0", "1", "2")


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize(
    ("array", "shape"), [(X[:30], (4,)), (IMAGES[..., 0], (1, 6, 5)), (IMAGES, (3, 6, 5)), (IMAGES[..., :1], (1, 6, 5))]
)
def test_orders_in_memory_and_channels(tmp_path, fortran, array, shape):
    sets = both(tmp_path, x=np.asfortranarray(array) if fortran else array, y=np.arange(30) % 2)
    assert sets.train.shape == shape
    expected = array if array.ndim == 2 else array.reshape(30, 6, 5, -1).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(sets.train.inputs[:], expected[sets.train.inputs.rows])


def test_channels_first_stay_first(tmp_path):
    first = np.ascontiguousarray(IMAGES.transpose(0, 3, 1, 2))
    assert both(tmp_path, x=first, y=np.arange(30) % 2).train.shape == (3, 6, 5)


def test_sets_of_their_own(tmp_path):
    arrays = {"x_train": X, "x_val": X[:20], "x_test": X[10:20], "y_train": Y, "y_val": Y[:20], "y_test": Y[10:20]}
    sets = both(tmp_path, **arrays)
    assert [len(part) for part in sets.parts().values()] == [60, 20, 10]
    assert isinstance(sets.train.inputs, MappedArray)
    np.testing.assert_array_equal(sets.test.inputs, X[10:20])
    with pytest.raises(DataError, match="has its own sets: leave out split"):
        load(tmp_path / "a", split=RandomSplit())
    np.save(tmp_path / "a" / "x.npy", X)
    with pytest.raises(DataError, match="a: has x beside its own sets: take one of them out"):
        load(tmp_path / "a")


def test_words_and_numbers_as_targets(tmp_path):
    assert both(tmp_path, x=X, y=np.array(["no", "yes"] * 30)).train.classes == ("no", "yes")
    assert both(tmp_path, x=X, y=X[:, 0]).train.classes is None
    assert load(tmp_path / "a", classes=False).train.targets.dtype == np.float64


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("scale", ["minmax", "standard", "channel", "robust"])
@pytest.mark.parametrize("factor", [1, np.float32(1e-3)])
def test_training_has_the_same_bits_from_disk(tmp_path, scale, fortran, factor):
    images = IMAGES * factor
    folder = save(tmp_path / "a", x=np.asfortranarray(images) if fortran else images, y=np.arange(30) % 2)
    runs = [
        td.fit(
            "softmax",
            load(folder, stream=stream),
            loss="cross_entropy",
            optimizer=SGD,
            scale=scale,
            batch_size=7,
            epochs=2,
        )
        for stream in (True, False)
    ]
    assert digest(runs[0].parameters) == digest(runs[1].parameters)
    assert runs[0].scale.to_dict() == runs[1].scale.to_dict()
    assert same_history(*runs)


def test_nothing_is_copied_until_samples_are_taken(tmp_path, monkeypatch):
    sets = load(save(tmp_path / "a", x=X, y=Y))
    source = sets.train.inputs.source
    assert all(part.inputs.source is source for part in sets.parts().values())
    assert isinstance(source.array.base, np.memmap)
    some = sets.train[5:25][np.array([3, 1])]
    assert some.inputs.source is source
    np.testing.assert_array_equal(some.inputs, X[sets.train.inputs.rows[[8, 6]]])
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 100})())
    with pytest.raises(MemoryLimitError, match=r"42 samples of shape \(4,\) need .* take some with a slice"):
        np.asarray(sets.train.inputs)


def test_a_mapped_array_can_be_sent_to_a_process(tmp_path):
    folder = save(tmp_path / "a", x=np.asfortranarray(IMAGES), y=np.arange(30))
    stored = MappedArray(folder / "x.npy")
    assert stored.survey.high.max() == 255
    sent = pickle.dumps(stored)
    assert len(sent) < 2000  # the file's name, not its content
    again = pickle.loads(sent)
    np.testing.assert_array_equal(again, IMAGES.transpose(0, 3, 1, 2))
    assert again.survey.digest == stored.survey.digest
    (folder / "x.npy").unlink()
    with pytest.raises(DataError, match=r"x\.npy: cannot be read"):
        pickle.loads(sent)


def header(descr="<f8", shape=(2, 8), version=(1, 0), fortran=False):
    file = io.BytesIO()
    write = np.lib.format.write_array_header_1_0 if version == (1, 0) else np.lib.format.write_array_header_2_0
    write(file, {"descr": descr, "fortran_order": fortran, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(shape=(2**29, 8)), r"its header promises 34359738368 bytes for shape .*, found 0"),
        (header() + bytes(127), r"promises 128 bytes for shape \(2, 8\), found 127"),
        (header() + bytes(129), r"promises 128 bytes for shape \(2, 8\), found 129"),
        (header(shape=(-2, -8)) + bytes(128), "no array of NumPy"),
        (header(shape=(-2, 0)), "no array of NumPy"),
        (header(shape=(2**62, 2**62, 0)), "no array of NumPy"),
        (header(descr="<U0", shape=(5,)), "its header promises <U0 of shape"),
        (header(descr="|V0", shape=(2**40, 8)), "its header promises |V0 of shape"),
        (header(shape=(1,) * 40) + bytes(8), "found"),
        (b"nothing", "no array of NumPy"),
        (b"", "no array of NumPy"),
        (header()[:50], "no array of NumPy"),
        (b"\x93NUMPY\x07\x00" + header()[8:], r"version \(7, 0\) of the format is not read"),
        (header().replace(b"<f8", b"<q9"), "no array of NumPy"),
    ],
    ids=range(14),
)
@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("stream", [True, False])
def test_headers_that_lie(tmp_path, content, message, name, stream):
    folder = save(tmp_path / "a", x=X, y=Y)
    (folder / f"{name}.npy").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_npy_folder(folder, stream=stream)


def test_versions_of_the_format(tmp_path):
    folder = save(tmp_path / "a", x=X, y=Y)
    before = load(folder).fingerprint()
    (folder / "x.npy").write_bytes(header(shape=(60, 4), version=(2, 0)) + X.tobytes())
    assert load(folder).fingerprint() == before
    (folder / "x.npy").write_bytes(header(shape=(60, 4), fortran=True) + X.T.tobytes())
    assert load(folder).fingerprint() == before


class Trap:
    """What must not be run."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


@pytest.mark.parametrize("name", ["x", "y"])
def test_objects_are_never_unpickled(tmp_path, name):
    folder = save(tmp_path / "a", x=X, y=Y)
    np.save(folder / f"{name}.npy", np.array([Trap()] * 60, object), allow_pickle=True)
    with pytest.raises(DataError, match=rf"{name}\.npy: holds Python objects, which are never unpickled"):
        load(folder)
    np.save(folder / f"{name}.npy", np.array([(1.0, "a")] * 60, [("a", "f8"), ("b", "O")]), allow_pickle=True)
    with pytest.raises(DataError, match="never unpickled"):
        load(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "expected one array y or targets or labels, found 0; there are x"),
        ({"y": Y}, "expected one array x or inputs or images, found 0; there are y"),
        ({"x": X, "inputs": X, "y": Y}, "expected one array x or inputs or images, found 2"),
        ({"x": X, "y": Y[:5]}, r"inputs should be \(N, …\) and targets \(N,\), found \(60, 4\) and \(5,\)"),
        ({"x": X.astype(str), "y": Y}, "inputs should be numbers, found <U32"),
        ({"x": np.zeros(60, [("a", "f8")]), "y": Y}, "inputs should be numbers, found"),
        ({"x": X, "y": Y.astype("M8[s]")}, "targets should be numbers or text, found datetime64"),
        ({"x": X[:0], "y": Y[:0]}, "expected samples"),
        ({"x": X[:, :0], "y": Y}, "expected samples"),
        ({"x": np.float64(3), "y": Y}, r"found \(\) and \(60,\)"),
    ],
    ids=range(10),
)
@pytest.mark.parametrize("stream", [True, False])
def test_arrays_that_do_not_fit(tmp_path, arrays, message, stream):
    with pytest.raises(DataError, match=message):
        load(save(tmp_path / "a", **arrays), stream=stream)


def test_links_and_folders_in_place_of_files(tmp_path):
    folder = save(tmp_path / "a", x=X, y=Y)
    (folder / "x.npy").rename(tmp_path / "elsewhere.npy")
    (folder / "x.npy").symlink_to(tmp_path / "elsewhere.npy")
    with pytest.raises(DataError, match=r"x\.npy: a link to .*elsewhere\.npy: put the file itself into the folder"):
        load(folder)
    (folder / "x.npy").unlink()
    (folder / "x.npy").symlink_to(folder / "nowhere.npy")
    with pytest.raises(DataError, match=r"x\.npy: cannot be read"):
        load(folder)
    (folder / "x.npy").unlink()
    (folder / "x.npy").mkdir()
    with pytest.raises(DataError, match=r"x\.npy: cannot be read"):
        load(folder)


def test_targets_that_memory_does_not_hold(tmp_path, monkeypatch):
    folder = save(tmp_path / "a", x=X, y=Y)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 100})())
    with pytest.raises(MemoryLimitError, match=r"y\.npy need .* only inputs in files x\.npy are left on disk"):
        load(folder)


@given(st.integers(0, 127), st.integers(0, 255), st.booleans())
def test_any_changed_byte_of_a_header_gives_arrays_or_an_error(tmp_path_factory, place, value, stream):
    folder = save(tmp_path_factory.mktemp("npy") / "a", x=X, y=Y)
    content = bytearray((folder / "x.npy").read_bytes())
    content[place] = value
    (folder / "x.npy").write_bytes(content)
    try:
        message = str(load(folder, stream=stream))
    except (DataError, MemoryLimitError) as error:
        message = str(error)
    assert str(folder) in message


def test_values_that_are_not_finite_are_found_before_training(tmp_path):
    spoilt = X.copy()
    spoilt[:] = np.where(np.arange(60)[:, None] == 17, np.nan, X)
    sets = load(save(tmp_path / "a", x=spoilt, y=Y))
    part = next(part for part in sets.parts().values() if 17 in part.inputs.rows)
    row = part.inputs.rows.tolist().index(17)
    with pytest.raises(DataError, match=rf"{part.name}: row {row} has the input nan, expected finite values"):
        td.fit("softmax", sets, loss="cross_entropy", optimizer=SGD, epochs=1)
