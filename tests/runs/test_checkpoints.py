import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from small_sets import NETWORK, digest, fit, three_classes
from treadle.errors import RunError
from treadle.optim import Adam
from treadle.runs.checkpoints import from_bytes, newest, to_bytes, write
from treadle.tree import leaves


@pytest.fixture
def progress():
    return fit(three_classes(), batch_size=10, epochs=3, optimizer=Adam(0.1)).progress


def numbers(content):
    """The values besides arrays, as they stand in a checkpoint."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["progress"])


def test_round_trip_keeps_every_bit(progress):
    progress.total, progress.history[0]["validation_loss"] = 0.1 + 0.2, float("inf")
    again = from_bytes(to_bytes(progress), "a")
    for name in ("parameters", "optimizer", "best"):
        one, other = dict(leaves(getattr(progress, name))), dict(leaves(getattr(again, name)))
        assert one.keys() == other.keys()
        for path, leaf in one.items():
            np.testing.assert_array_equal(other[path], leaf, strict=isinstance(leaf, np.ndarray))
    assert (again.total, again.step, again.epoch, again.weights_epoch) == (0.1 + 0.2, 15, 3, 3)
    assert again.history == progress.history
    assert again.diagnosis == progress.diagnosis
    assert to_bytes(again) == to_bytes(progress)


def test_the_newest_that_is_whole_is_read(tmp_path, progress):
    paths = []
    for step in (9, 10, 11):
        progress.step = step
        paths.append(write(tmp_path, progress, keep=3))
    assert newest(tmp_path)[0].step == 11
    content = bytearray(paths[2].read_bytes())
    content[-1] ^= 1
    paths[2].write_bytes(content)
    found, faults = newest(tmp_path)
    assert found.step == 10
    assert faults == [f"{paths[2]}: damaged: its checksum is not the one in its name"]
    assert not paths[2].exists()
    assert paths[2].with_name(paths[2].name + ".damaged").exists()
    assert newest(tmp_path)[1] == []
    for path in paths[:2]:
        path.write_bytes(b"")
    with pytest.raises(RunError, match=r"no checkpoint can be read, train anew: .*step-10-.*; .*step-9-"):
        newest(tmp_path)


def test_an_epoch_that_ended_comes_after_its_last_step(tmp_path, progress):
    progress.step, progress.epoch = 10, 1
    write(tmp_path, progress, keep=3)
    progress.epoch = 2
    write(tmp_path, progress, keep=3)
    progress.epoch = 1
    progress.total = 7.0
    write(tmp_path, progress, keep=3)
    assert newest(tmp_path)[0].epoch == 2


def test_none_yet_and_files_that_are_none(tmp_path, progress):
    assert newest(tmp_path) == (None, [])
    path = write(tmp_path, progress, keep=2)
    for name in ("epoch-9-step-9.safetensors", path.name + ".part", "epoch-99-step-99-abc.safetensors", "notes.txt"):
        (path.parent / name).write_text("")
    assert newest(tmp_path)[0].step == progress.step
    progress.step += 1
    write(tmp_path, progress, keep=1)
    assert not path.exists()
    assert len(list(path.parent.iterdir())) == 4  # what a kill left of a file that was written goes as well


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_are_kept(tmp_path, progress, keep):
    for step in range(8, 13):
        progress.step = step
        path = write(tmp_path, progress, keep)
        steps = sorted(int(one.name.split("-")[3]) for one in path.parent.iterdir())
        assert steps == list(range(max(8, step - keep + 1), step + 1))


def with_numbers(content, change):
    """A checkpoint with other values besides its arrays."""
    values = numbers(content)
    text = change(values)
    return save_tensors(load_tensors(content), {"progress": text if isinstance(text, str) else json.dumps(values)})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda values: values.update(format=2), "a: has format 2, this version reads format 1: use a newer treadle"),
        (lambda values: values.update(step=-1), "a: damaged: step: Input should be greater than or equal to 0"),
        (lambda values: values.update(step="3"), "a: damaged: step: Input should be a valid integer"),
        (lambda values: values.pop("total") and None, "a: damaged: total: Field required"),
        (lambda values: values.update(other=3), "a: damaged: other: Extra inputs are not permitted"),
        (lambda values: values["diagnosis"].update(looks=[3]), "a: damaged: diagnosis.looks.0: "),
        (lambda values: values["diagnosis"]["looks"][0].pop("idle") and None, "a: damaged: diagnosis.looks.0.idle: "),
        (lambda values: values.update(history=[{"epoch": "one"}]), "a: damaged: history.0.epoch"),
        (lambda values: '{"format": 1, "format": 1}', "a: damaged: a key is there twice"),
        (lambda values: "[]", "a: damaged: "),
        (lambda values: "[" * 100_000, "a: damaged: "),
    ],
)
def test_damaged_numbers(progress, change, expected):
    with pytest.raises(RunError) as caught:
        from_bytes(with_numbers(to_bytes(progress), change), "a")
    assert expected in str(caught.value)


def test_arrays_of_no_part(progress):
    content = to_bytes(progress)
    text = json.dumps(numbers(content))
    other = save_tensors({**load_tensors(content), "others.w": np.zeros(3)}, {"progress": text})
    with pytest.raises(RunError, match=r"a: damaged: others\.w is of no part of a checkpoint: parameters, optimizer"):
        from_bytes(other, "a")


def test_the_same_tensor_twice(progress):
    content = to_bytes(progress)
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size].decode()
    name = next(key for key in json.loads(header) if key != "__metadata__")
    entry = f'"{name}":{json.dumps(json.loads(header)[name])},'
    header = "{" + entry + header[1:]
    with pytest.raises(RunError, match="a: damaged: a key is there twice"):
        from_bytes(len(header).to_bytes(8, "little") + header.encode() + content[8 + size :], "a")


def test_content_cut_or_changed_anywhere(progress):
    content = to_bytes(progress)
    for length in range(0, len(content), 61):
        with pytest.raises(RunError, match="a: damaged: "):
            from_bytes(content[:length], "a")
    for place in range(0, len(content), 7):
        changed = content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
        try:
            from_bytes(changed, "a")  # in an array any number will do: the checksum is what tells
        except RunError as error:
            assert str(error).startswith("a: ")  # noqa: PT017


def test_the_name_has_the_checksum(tmp_path, progress):
    path = write(tmp_path, progress, keep=1)
    assert path.name.endswith(f"-{hashlib.sha256(path.read_bytes()).hexdigest()}.safetensors")


def test_a_state_of_the_optimizer_that_is_one_array_or_none(tmp_path):
    for optimizer in ("sgd", "momentum"):
        from treadle.optim import OPTIMIZERS

        sets = three_classes()
        settings = {"optimizer": OPTIMIZERS[optimizer](0.1), "batch_size": 10}
        half = fit(sets, epochs=1, **settings).progress
        whole = fit(sets, epochs=2, **settings)
        again = fit(sets, NETWORK, epochs=2, start=from_bytes(to_bytes(half), "a"), **settings)
        assert digest(again.progress.parameters) == digest(whole.progress.parameters)
