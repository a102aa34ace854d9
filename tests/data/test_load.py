import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert not {"PIL", "lzma", "gzip", "zlib", "json", "difflib", "hashlib"} & loaded
