import gzip

import numpy as np
import pytest

from treadle.cli import call


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0))


def write_digits(folder, classes):
    """Write the four IDX files of a small MNIST: 60 images for training, 10 for the test, a bright row each."""
    for stem, count in (("train", 60), ("t10k", 10)):
        labels = np.arange(count) % classes
        images = np.random.default_rng(count).integers(0, 50, (count, 28, 28))
        images[np.arange(count), 2 * labels + 3] = 255
        write_idx(folder / f"{stem}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{stem}-labels-idx1-ubyte.gz", labels)
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A folder with a small MNIST."""
    return write_digits(tmp_path_factory.mktemp("digits"), 10)


@pytest.fixture(scope="session")
def zeros_and_ones(tmp_path_factory):
    """A folder with a small MNIST of two digits."""
    return write_digits(tmp_path_factory.mktemp("zeros_and_ones"), 2)


@pytest.fixture
def recipe(tmp_path, digits):
    """A recipe file on the small digits: softmax regression that learns them in three epochs."""
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"[data]\nsource = '{digits}'\nbatch_size = 10\n\n[network]\npreset = 'softmax'\n\n"
        "[loss]\nkind = 'cross_entropy'\n\n[optimizer]\nkind = 'adam'\nlr = 0.01\n\n[training]\nepochs = 3\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """The command line in a temporary folder: cli(arguments…) gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def cli(*arguments):
        capsys.readouterr()
        code = call([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return cli
