import pickle

import numpy as np
import psutil
import pytest
from PIL import Image

import treadle as td
from small_sets import digest, same_history
from treadle.data import RandomSplit, Stored, load, load_image_folder
from treadle.errors import DataError, MemoryLimitError

COUNT = 12


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def picture(number, shape=(6, 5)):
    return np.random.default_rng(number).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture
def animals(tmp_path):
    """Grey images 6×5 of cats and dogs."""
    for number in range(COUNT):
        save(tmp_path / "animals" / "cat" / f"{number:02}.png", picture(number))
        save(tmp_path / "animals" / "dog" / f"{number:02}.png", picture(100 + number))
    (tmp_path / "animals" / "cat" / ".DS_Store").write_bytes(b"x")
    return tmp_path / "animals"


def test_a_folder_a_class(animals):
    sets = load(animals)
    assert sets.train.classes == ("cat", "dog")
    assert sets.train.inputs.dtype == np.uint8
    assert sets.train.shape == (1, 6, 5)
    found = {}
    for part in sets.parts().values():
        for image, label in zip(part.images, part.labels, strict=True):
            found[image.tobytes()] = label
    assert found == {picture(100 * label + number).tobytes(): label for label in (0, 1) for number in range(COUNT)}
    assert "24 images in 2 folders" in sets.origin
    assert load(animals).fingerprint() == sets.fingerprint()
    assert load(animals, split=RandomSplit(seed=5)).fingerprint() != sets.fingerprint()


def test_a_folder_a_set(tmp_path):
    for part, count in (("train", 5), ("val", 2), ("test", 3)):
        for name in "ab":
            for number in range(count):
                save(tmp_path / part / name / f"{number}.png", picture(number))
    sets = load_image_folder(tmp_path)
    assert [(len(part), part.labels.tolist()) for part in sets.parts().values()] == [
        (10, [0] * 5 + [1] * 5),
        (4, [0, 0, 1, 1]),
        (6, [0] * 3 + [1] * 3),
    ]
    with pytest.raises(DataError, match="has folders for its sets: leave out split"):
        load_image_folder(tmp_path, split=RandomSplit())
    save(tmp_path / "val" / "c" / "0.png", picture(0))
    with pytest.raises(DataError, match="the sets have different classes: c is not in all of them"):
        load_image_folder(tmp_path)
    (tmp_path / "test").rename(tmp_path / "more")
    with pytest.raises(DataError, match="expected folders train, validation and test, found no test"):
        load_image_folder(tmp_path)


def test_sizes_and_channels_are_brought_together_when_asked(animals):
    save(animals / "cat" / "zz.png", picture(0, (8, 8, 3)))
    with pytest.raises(DataError, match=r"zz.png: 8×8 pixels .* and 00.png has 5×6: bring all to one size with size"):
        load(animals)
    with pytest.raises(DataError, match=r"zz.png: in colour, and 00.png is grey: set channels to 1 or 3"):
        load(animals, size=[6, 5])
    for channels in (1, 3):
        sets = load(animals, size=[4, 7], channels=channels)
        assert sets.train.shape == (channels, 4, 7)
        assert "brought to 4×7" in sets.origin
    run = td.fit(
        "softmax", sets, loss="cross_entropy", optimizer=td.optim.SGD(0.1), scale="channel", batch_size=5, epochs=1
    )
    assert run.predict(sets.test.images).shape == (len(sets.test), 2)


def test_resizing_is_an_average_over_what_a_pixel_covers(tmp_path):
    save(tmp_path / "a" / "0.png", np.kron([[0, 100], [200, 40]], np.ones((8, 8))).astype(np.uint8))
    for name in ("a/1.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png"):
        save(tmp_path / name, np.full((16, 16), 80, np.uint8))
    sets = load_image_folder(tmp_path, size=[1, 1])
    values = sorted(part.images.ravel().tolist() for part in sets.parts().values())
    assert all(abs(value - 85) <= 5 for row in values for value in row)


def write(name, content):
    def spoil(root):
        (root / name).write_bytes(content)

    return spoil


def link(name, where):
    return lambda root: (root / name).symlink_to(where)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "fish").mkdir(), "fish: a class without images"),
        (write("cat/a.txt", b"x"), r"a\.txt: expected a name ending in \.png"),
        (write("readme.md", b"x"), r"readme\.md: expected folders alone here"),
        (lambda root: (root / "cat" / "more").mkdir(), "more: expected images here, found a folder"),
        (write("cat/a.png", b"no image"), r"a\.png: not an image"),
        (lambda root: write("cat/00.png", (root / "dog" / "00.png").read_bytes()[:60])(root), r"00\.png: damaged"),
        (link("cat/up", ".."), "up: a link to"),
        (link("loop", "."), "loop: a link to"),
        (link("cat/x.png", "/etc/passwd"), r"x\.png: a link to /etc/passwd"),
        (link("cat/x.png", "nowhere.png"), r"x\.png: a link that leads nowhere"),
    ],
    ids=range(10),
)
def test_what_is_wrong_is_told_with_its_file(animals, spoil, message):
    spoil(animals)
    with pytest.raises(DataError, match=message):
        load(animals)


def test_folders_of_sets_have_folders_of_classes(tmp_path):
    for part in ("train", "validation", "test"):
        save(tmp_path / part / "0.png", picture(0))
    with pytest.raises(DataError, match="expected a folder for each class inside train, validation, test, found none"):
        load_image_folder(tmp_path)
    for part in ("train", "validation", "test"):
        (tmp_path / part / "0.png").unlink()
        save(tmp_path / part / "a" / "0.png", picture(0))
    (tmp_path / "labels.csv").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"labels\.csv: expected folders alone here, found a file"):
        load_image_folder(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": [5]}, "size should be height and width"),
        ({"size": [0, 5]}, "size should be height and width"),
        ({"channels": 2}, "channels should be 1 for grey or 3 for colour, found 2"),
        ({"target": "cat"}, "target is not a setting of this source: it takes size, channels, split, stream"),
    ],
)
def test_settings_that_do_not_fit(animals, settings, message):
    with pytest.raises(DataError, match=message):
        load(animals, **settings)


def test_images_that_memory_does_not_hold(animals, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 100})())
    with pytest.raises(MemoryLimitError, match=r"24 images of shape \(1, 6, 5\) need .* give a smaller size"):
        load(animals, stream=False)


@pytest.mark.parametrize("settings", [{}, {"size": [4, 7]}, {"channels": 3}])
def test_images_on_disk_are_those_in_memory(animals, settings):
    disk, memory = load(animals, stream=True, **settings), load(animals, stream=False, **settings)
    for one, other in zip(disk.parts().values(), memory.parts().values(), strict=True):
        assert isinstance(one.inputs, Stored)
        assert type(other.inputs) is np.ndarray
        assert (one.inputs.shape, one.inputs.dtype) == (other.inputs.shape, other.inputs.dtype)
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert disk.fingerprint() == memory.fingerprint()
    assert str(disk).splitlines()[1:] == str(memory).splitlines()[1:]
    assert "which stay on disk" in disk.origin


@pytest.mark.parametrize("scale", ["minmax", "standard", "channel", "robust", "none"])
def test_training_has_the_same_bits_from_disk(animals, scale):
    runs = [
        td.fit(
            "softmax",
            load(animals, stream=stream),
            loss="cross_entropy",
            optimizer=td.optim.SGD(0.1),
            scale=scale,
            augmentations=[td.data.Flip()],
            batch_size=5,
            epochs=2,
        )
        for stream in (True, False)
    ]
    assert digest(runs[0].parameters) == digest(runs[1].parameters)
    assert same_history(*runs)
    assert runs[0].scale.to_dict() == runs[1].scale.to_dict()


def test_folders_of_sets_on_disk(tmp_path):
    for part, count in (("train", 5), ("val", 2), ("test", 3)):
        for name in "ab":
            for number in range(count):
                save(tmp_path / part / name / f"{number}.png", picture(number))
    assert load(tmp_path, stream=True).fingerprint() == load(tmp_path, stream=False).fingerprint()


def test_memory_decides_what_stays_on_disk(animals, monkeypatch):
    assert type(load(animals).train.inputs) is np.ndarray
    memory = type("Memory", (), {"available": 3 * 24 * 30})()  # twice the images are more than half of it
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert isinstance(load(animals).train.inputs, Stored)


def test_damage_is_found_before_the_first_step(animals, monkeypatch):
    path = animals / "dog" / "07.png"
    path.write_bytes(path.read_bytes()[:60])
    sets = load(animals, stream=True)
    steps = []
    with pytest.raises(DataError, match=r"07\.png: damaged"):
        td.fit("softmax", sets, loss="cross_entropy", optimizer=td.optim.SGD(0.1), epochs=1,
               on_step=lambda *step: steps.append(step))  # fmt: skip
    assert steps == []
    with pytest.raises(DataError, match=r"07\.png: damaged"):
        load(animals, stream=False)


def test_a_file_that_goes_away_or_changes_is_named(animals):
    sets = load(animals, stream=True)
    sets.fingerprint()
    for path in animals.glob("*/*.png"):
        save(path, picture(1, (6, 7)))
    with pytest.raises(DataError, match=r"png: 7×6 pixels \(width×height\), and 00\.png has 5×6"):
        sets.train.inputs[:1]
    for path in animals.glob("*/*.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"\.png: no such file"):
        sets.train.inputs[:1]


def test_images_on_disk_can_be_sent_to_a_process(animals):
    sets = load(animals, stream=True)
    again = pickle.loads(pickle.dumps(sets.train.inputs))
    np.testing.assert_array_equal(again[:], load(animals, stream=False).train.inputs)
