import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
from PIL import Image
from pyarrow.csv import write_csv
from pyarrow.parquet import write_table

import treadle.data
from treadle.data import SOURCES, load
from treadle.errors import DataError


def test_public_names_exist_and_are_sorted_once():
    assert len(set(treadle.data.__all__)) == len(treadle.data.__all__)
    for name in treadle.data.__all__:
        assert hasattr(treadle.data, name)


def test_a_misspelt_name_gets_a_suggestion_and_the_list():
    with pytest.raises(DataError, match=r"did you mean 'mnist'\? Known: mnist, diabetes") as refused:
        load("mnits")
    assert all(name in str(refused.value) for name in SOURCES)


def test_a_name_like_nothing_gets_the_list_alone():
    with pytest.raises(DataError, match=r"'zzz' is no known data and no path\. Known"):
        load("zzz")
    with pytest.raises(DataError, match="Known"):
        load("")


def test_a_missing_path_is_named(tmp_path):
    for missing in (tmp_path / "none", str(tmp_path / "none"), "none.json.gz"):
        with pytest.raises(DataError, match=r"none.*no such file or folder"):
            load(missing)


def test_a_file_of_unknown_kind_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "a.txt")


def test_paths_reach_their_reader(tmp_path):
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        load(tmp_path)
    one = [[[0] * 783 + [255]], [7]]
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps([one, one, one]).encode()))
    assert load(path).test.labels.tolist() == [7]
    assert load(str(path)).name == "a"


def test_each_kind_of_path_is_read(tmp_path):
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    table = arrow.table({"a": x[:, 0], "b": x[:, 1], "y": y})
    write_table(table, tmp_path / "a.PARQUET", row_group_size=3)
    write_csv(table, tmp_path / "a.csv")
    np.savez(tmp_path / "a.npz", x=x, y=y)
    (tmp_path / "arrays").mkdir()
    for name, array in (("x", x), ("y", y)):
        np.save(tmp_path / "arrays" / f"{name}.npy", array)
    for label in "ab":
        (tmp_path / "images" / label).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(np.full((2, 2), number, np.uint8)).save(tmp_path / "images" / label / f"{number}.png")
    found = {path: load(tmp_path / path, classes=True) for path in ("a.PARQUET", "a.csv", "a.npz", "arrays", "images")}
    first = found.pop("images")
    assert (first.train.shape, first.train.classes) == ((1, 2, 2), ("a", "b"))
    assert {sets.fingerprint() for sets in found.values()} == {found["a.csv"].fingerprint()}
    for path in ("a.PARQUET", "arrays", "images"):
        whole = load(tmp_path / path, classes=True, stream=False)
        assert load(tmp_path / path, classes=True, stream=True).fingerprint() == whole.fingerprint()
    for path in ("a.csv", "a.npz", "digits"):
        with pytest.raises(DataError, match="stream is not a setting of this source"):
            load(path if path == "digits" else tmp_path / path, stream=True)


def test_importing_loads_no_library_of_a_reader():
    # The package around it imports more, so only its folder is put in its place.
    code = (
        "import sys, types, numpy, numpy.typing; package = types.ModuleType('treadle'); "
        f"package.__path__ = [{str(Path(treadle.data.__file__).parents[1])!r}]; sys.modules['treadle'] = package; "
        "before = set(sys.modules); import treadle.data; print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    loaded = set(done.stdout.split())
    assert "treadle.data.sources.mnist" in loaded
    assert not {"PIL", "lzma", "gzip", "zlib", "json", "difflib", "hashlib", "pyarrow", "pandas"} & loaded
