import re
import socket

import numpy as np
import pytest

import small_public
from serving import Served, serving
from treadle.cli import call
from treadle.data import PUBLIC, check, fetch, load
from treadle.data.sources import public
from treadle.errors import DataError

FILES = small_public.contents()


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """An empty folder of data, and a table of small files in place of the published ones."""
    small_public.install(monkeypatch, tmp_path, FILES)
    return tmp_path


@pytest.fixture
def offline(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", fail)
    monkeypatch.setattr(socket, "create_connection", fail)


@pytest.mark.parametrize(("name", "megabytes"), [("fashion_mnist", 31), ("kmnist", 21), ("cifar10", 170)])
def test_the_table_is_whole(name, megabytes):
    assert round(PUBLIC[name].size / 1e6) == megabytes
    assert len(set(PUBLIC[name].classes)) == 10
    assert len({file.sha256 for file in PUBLIC[name].files}) == len(PUBLIC[name].files)
    for file in PUBLIC[name].files:
        assert file.name.startswith(f"{name}/")
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert len(set(file.urls)) >= 2
        assert file.urls[0].startswith("https://")
        assert all(url.endswith("/" + file.name.split("/")[1]) for url in file.urls)


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_not_here_is_said_without_the_network(folder, offline, name):
    with pytest.raises(DataError) as refused:
        load(name)
    size = f"{PUBLIC[name].size / 1e6:.0f} MB"
    assert str(refused.value) == (
        f"{name} is not on this machine yet: `treadle fetch {name}` downloads {size}, into {folder / name}"
    )


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist"])
def test_the_last_training_images_are_for_validation(folder, offline, name):
    small_public.write(folder, FILES)
    sets = load(name)
    first = int(name == "kmnist")
    for part, begin, end in [("train", 0, 80), ("validation", 80, 100), ("test", 100, 120)]:
        data = sets.parts()[part]
        assert data.name == part
        assert data.shape == (1, 28, 28)
        assert data.inputs.dtype == np.uint8
        assert data.labels.dtype == np.int64
        assert data.labels.tolist() == [n % 10 for n in range(begin, end)]
        assert (data.images == np.arange(begin, end).reshape(-1, 1, 1, 1) + first).all()
        assert data.classes == PUBLIC[name].classes
        assert not data.inputs.flags.writeable
        assert not data.targets.flags.writeable
    assert sets.name == name
    assert PUBLIC[name].licence in sets.origin
    assert "validation: the last 20 of the 100 published training images" in sets.origin


def test_the_fifth_batch_of_cifar_is_for_validation(folder, offline):
    small_public.write(folder, FILES)
    sets = load("cifar10")
    for part, begin, end in [("train", 0, 80), ("validation", 80, 100), ("test", 100, 120)]:
        data = sets.parts()[part]
        assert data.images.shape == (end - begin, 3, 32, 32)
        assert data.inputs.dtype == np.uint8
        assert data.labels.tolist() == [n % 10 for n in range(20)] * ((end - begin) // 20)
        for n, image in zip(range(begin, end), data.images, strict=True):
            assert [np.unique(plane).tolist() for plane in image] == [[n], [100], [200]]
        assert not data.inputs.flags.writeable
        assert not data.targets.flags.writeable
    assert sets.train.classes[:2] == ("airplane", "automobile")
    assert not [finding for finding in check(sets) if finding.severity == "error"]


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(folder, offline, name):
    small_public.write(folder, FILES)
    content = bytearray(FILES[name])
    content[len(content) // 2] ^= 1
    for damaged in (content, content[:-1], b""):
        (folder / name).write_bytes(damaged)
        data = name.split("/")[0]
        message = rf"{re.escape(str(folder / name))}: damaged: .*`treadle fetch {data}` downloads it again"
        with pytest.raises(DataError, match=message):
            load(data)
        assert not PUBLIC[data].is_here()


BATCHES = small_public.cifar_batches()
BAD_ARCHIVES = {
    "no archive": (b"no archive", "damaged archive"),
    "cut": (FILES["cifar10/cifar-10-binary.tar.gz"][:500], "damaged archive"),
    "empty": (small_public.archive({}), r"no cifar-10-batches-bin/data_batch_1\.bin in the archive"),
    "one missing": (
        small_public.archive({name: batch for name, batch in BATCHES.items() if "5" not in name}),
        r"no cifar-10-batches-bin/data_batch_5\.bin in the archive",
    ),
    "one elsewhere": (
        small_public.archive({name.replace("/test", "/../test"): batch for name, batch in BATCHES.items()}),
        r"no cifar-10-batches-bin/test_batch\.bin in the archive",
    ),
    "one short": (
        small_public.archive({name: batch[:-1] if "4" in name else batch for name, batch in BATCHES.items()}),
        r"data_batch_4\.bin: expected a file of 61460 bytes, found 61459",
    ),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_an_archive_is_read_by_the_names_and_sizes_that_are_known(monkeypatch, tmp_path, offline, case):
    """As if a table had the checksum of such a file."""
    content, message = BAD_ARCHIVES[case]
    files = FILES | {"cifar10/cifar-10-binary.tar.gz": content}
    small_public.install(monkeypatch, tmp_path, files)
    small_public.write(tmp_path, files)
    with pytest.raises(DataError, match=message):
        load("cifar10")
    assert [path.name for path in (tmp_path / "cifar10").iterdir()] == ["cifar-10-binary.tar.gz"]


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_fetched_is_trained_on(monkeypatch, tmp_path, capsys, name):
    """The whole way, on small files: the published ones are too large to download in a test."""
    with serving() as server:
        server.files |= {f"/{file}": Served(content) for file, content in FILES.items()}
        small_public.install(monkeypatch, tmp_path, FILES, server.address)
        told = []
        assert fetch(name, lambda *progress: told.append(progress)) == tmp_path / name
        assert told == sorted(told)
        assert told[0] == (0, PUBLIC[name].size)
        assert told[-1] == (PUBLIC[name].size, PUBLIC[name].size)
        assert [path for path, _ in server.requests] == [f"/{file.name}" for file in PUBLIC[name].files]
        fetch(name)
        assert len(server.requests) == len(PUBLIC[name].files)
    settings = ["network.preset=softmax", "loss.kind=cross_entropy", "optimizer.lr=0.01", "training.epochs=1"]
    changes = [part for setting in (f"data.source={name}", *settings) for part in ("--set", setting)]
    assert call(["run", *changes, "--runs", str(tmp_path / "runs")]) == 0
    assert "test set, 20 samples, looked at once" in capsys.readouterr().out


def test_the_folder_is_the_one_that_is_named_or_that_of_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("TREADLE_DATA_DIR", str(tmp_path))
    assert public.data_folder() == tmp_path
    for unset in (lambda: monkeypatch.setenv("TREADLE_DATA_DIR", ""), lambda: monkeypatch.delenv("TREADLE_DATA_DIR")):
        unset()
        assert public.data_folder().parts[-2:] == ("treadle", "data")


def test_settings_are_refused(folder):
    with pytest.raises(DataError, match="kmnist: split is not a setting of this source: it has its own sets"):
        load("kmnist", split="random")
