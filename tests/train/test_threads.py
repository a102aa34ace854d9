"""Same seed, same bits: from run to run, on any number of threads, and in a fresh process."""

import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info

import treadle as td
from small_sets import digest, fit, pictures, same_history, three_classes
from treadle.errors import TreadleError
from treadle.tree import leaves


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_seed_same_bits(dtype):
    sets = three_classes()
    runs = [fit(sets, batch_size=16, epochs=2, seed=7, dtype=dtype) for _ in range(20)]
    assert len({digest(run.parameters) for run in runs}) == 1
    assert all(same_history(run, runs[0]) for run in runs)
    assert digest(fit(sets, batch_size=16, epochs=2, seed=8, dtype=dtype).parameters) != digest(runs[0].parameters)
    assert {leaf.dtype for _, leaf in leaves(runs[0].parameters)} == {np.dtype(dtype)}


def trained(name, threads):
    """A short training on images so large that every kernel works in several threads."""
    sets = pictures((70, 10, 10), (1, 28, 28))
    optimizer = td.optim.Momentum(0.01)
    return td.fit(name, sets, loss="cross_entropy", optimizer=optimizer, batch_size=32, threads=threads, epochs=2)


@pytest.mark.parametrize("name", ["lenet", "resnet_small"])
def test_threads_do_not_change_a_bit(name):
    runs = [trained(name, threads) for threads in (1, 2, 4, 2)]
    assert len({digest(run.parameters) for run in runs}) == 1
    assert all(same_history(run, runs[0]) for run in runs)
    assert runs[0].history[1]["train_loss"] < runs[0].history[0]["train_loss"]


def test_a_fresh_process_gives_the_same_bits():
    paths = [str(Path(__file__).parent), str(Path(__file__).parent.parent), *sys.path]
    run = "import test_threads as t; print(t.digest(t.trained('lenet', 2).parameters))"
    code = f"import sys; sys.path[:] = {paths!r}; {run}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(trained("lenet", 1).parameters)


@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_use_the_threads_asked_for_while_training_and_blas_one(threads):
    def found():
        blas = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
        return numba.get_num_threads(), blas

    before, seen = found(), []
    fit(three_classes(), threads=threads, batch_size=10, on_step=lambda state, steps: seen.append(found()))
    assert seen == [(threads, {1})] * 5
    assert found() == before
    with pytest.raises(ZeroDivisionError):
        fit(three_classes(), threads=threads, on_step=lambda state, steps: 1 / 0)
    assert found() == before


def test_more_threads_than_there_can_be_are_refused_before_the_first_step():
    most, seen = numba.config.NUMBA_NUM_THREADS, []
    with pytest.raises(TreadleError, match=f"threads can be at most {most} on this machine, found {most + 1}"):
        fit(three_classes(), threads=most + 1, on_step=lambda state, steps: seen.append(1))
    assert not seen
