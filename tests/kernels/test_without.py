"""Training where Numba is missing, or where there is no place to keep what it compiles: in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from small_sets import fit, three_classes
from treadle.tree import leaves

TRAIN = """
import warnings
import numpy as np
from small_sets import fit, three_classes
from treadle import kernels
from treadle.tree import leaves
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    runs = [fit(three_classes(), epochs=2, dtype=np.float64, threads=2) for _ in range(2)]
print(runs[0].kernels.__name__)
print(*(str(warning.message) for warning in caught), sep="\\n")
print(np.concatenate([leaf.ravel() for _, leaf in leaves(runs[0].parameters)]).tolist())
"""


def start(code, **environment):
    paths = [str(Path(__file__).parent.parent), *sys.path]
    code = f"import sys; sys.path[:] = {paths!r}\n{code}"
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def trained(process):
    """Kernels, warnings and parameters of a process begun with `start(TRAIN)`."""
    out, _ = process.communicate()
    assert process.returncode == 0
    name, *warned, params = out.splitlines()
    return name, [line for line in warned if line], np.array(json.loads(params))


@pytest.fixture(scope="module")
def wanted():
    run = fit(three_classes(), epochs=2, dtype=np.float64)
    return np.concatenate([leaf.ravel() for _, leaf in leaves(run.parameters)])


def test_without_numba_training_runs_on_plain_numpy_with_one_warning(wanted):
    name, warned, params = trained(start("import sys; sys.modules['numba'] = None\n" + TRAIN))
    assert name == "treadle.kernels.reference"
    assert len(warned) == 1
    assert "training runs on plain NumPy, several times slower: the compiled kernels need Numba" in warned[0]
    np.testing.assert_allclose(params, wanted, rtol=1e-9, atol=1e-12)


def test_a_folder_that_cannot_be_written_only_costs_compiling(wanted, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    name, warned, params = trained(start(TRAIN, TREADLE_CACHE_DIR=str(tmp_path / "file" / "cache")))
    assert (name, warned) == ("treadle.kernels.cpu", [])
    np.testing.assert_array_equal(params, wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_processes_fill_an_empty_folder_at_once(wanted, tmp_path):
    for process in [start(TRAIN, TREADLE_CACHE_DIR=str(tmp_path)) for _ in range(2)]:
        name, warned, params = trained(process)
        assert (name, warned) == ("treadle.kernels.cpu", [])
        np.testing.assert_array_equal(params, wanted)
    (folder,) = tmp_path.iterdir()
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}
    assert kept
    _, _, params = trained(start(TRAIN, TREADLE_CACHE_DIR=str(tmp_path)))  # a third reads what they wrote
    np.testing.assert_array_equal(params, wanted)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")} == kept
