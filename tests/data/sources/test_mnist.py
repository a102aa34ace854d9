import lzma

import numpy as np
import pytest

from treadle.data import Sets, check, load
from treadle.data.sources import mnist
from treadle.errors import DataError


@pytest.fixture(scope="module")
def sets() -> Sets:
    return load("mnist")


def test_the_split_of_the_course(sets):
    assert [len(part) for part in sets.parts().values()] == [50_000, 10_000, 10_000]
    for part in sets.parts().values():
        assert part.images.shape[1:] == (1, 28, 28)
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert part.classes == tuple("0123456789")
        assert not part.inputs.flags.writeable
        assert not part.targets.flags.writeable


def test_labels_are_counted_as_published(sets):
    published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    sixty = np.concatenate([sets.train.labels, sets.validation.labels])
    assert np.bincount(sixty).tolist() == published
    assert np.bincount(sets.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert sixty[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert sets.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_pixels_have_the_published_mean_and_deviation(sets):
    counts = np.bincount(sets.train.images.ravel(), minlength=256)
    counts += np.bincount(sets.validation.images.ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = (counts * values).sum() / counts.sum()
    deviation = np.sqrt((counts * (values - mean) ** 2).sum() / counts.sum())
    assert mean == pytest.approx(0.1307, abs=5e-5)
    assert deviation == pytest.approx(0.3081, abs=5e-5)
    assert (counts > 0).all()


def test_the_labels_vary_as_the_course_says(sets):
    assert sets.train.labels.var() == pytest.approx(8.35, abs=0.01)


def test_it_is_valid_and_names_its_origin(sets):
    assert check(sets) == []
    assert "LeCun, Cortes and Burges" in sets.origin
    assert "http://yann.lecun.com/exdb/mnist/" in sets.origin
    note = mnist.PACKED.with_name("MNIST.md").read_text(encoding="utf-8")
    assert "CC BY-SA 3.0" in note


def test_other_content_is_refused(tmp_path):
    path = tmp_path / "mnist.xz"
    content = lzma.compress(bytes(70_000 * 785), preset=0)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"expected content with SHA-256 69bd1513.*, found"):
        mnist.load_mnist(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"mnist\.xz: damaged"):
        mnist.load_mnist(path)
    path.write_bytes(b"no xz at all")
    with pytest.raises(DataError, match=r"mnist\.xz: damaged"):
        mnist.load_mnist(path)
    with pytest.raises(DataError, match=r"none\.xz: cannot be read"):
        mnist.load_mnist(tmp_path / "none.xz")


def test_a_flipped_bit_is_noticed(tmp_path):
    packed = bytearray(mnist.PACKED.read_bytes())
    packed[len(packed) // 2] ^= 1
    path = tmp_path / "mnist.xz"
    path.write_bytes(packed)
    with pytest.raises(DataError, match="damaged"):
        mnist.load_mnist(path)
