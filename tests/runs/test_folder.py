import errno
import hashlib
import json
import os
import pickle
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from treadle.data import Dataset, Sets
from treadle.errors import RecipeError, RunError
from treadle.recipe import Recipe
from treadle.runs import create, load, save, to_json, train
from treadle.runs import folder as folder_module

FILES = {"recipe.toml", "run.json", "weights.safetensors", "evaluation.json", "evaluation.txt", "log.jsonl", "lock"}


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(0)
    rows = Dataset(rng.random((60, 4), np.float32), np.arange(60) % 3, ("red", "green", "blue"), "rows")
    return Sets(rows[:40], rows[40:50], rows[50:], "rows", "made up")


@pytest.fixture
def recipe():
    changes = {"network.layers": ["linear 5", "tanh", "linear 3"], "loss.kind": "cross_entropy", "data.batch_size": 7}
    return Recipe.baseline().change({**changes, "training.metrics": ["accuracy"]})


@pytest.fixture
def saved(tmp_path, recipe, sets):
    """A trained run and the folder it is saved in."""
    path = create(tmp_path, "a")
    return train(recipe, sets, path), path


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


def change_json(path, change):
    """Change run.json by a function of its content."""
    about = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(change(about) or about))


def put_weights(path, tensors):
    """Put other weights in a run folder, with their right checksum."""
    written = tensors if isinstance(tensors, bytes) else save_tensors(tensors)
    (path / "weights.safetensors").write_bytes(written)
    change_json(path, lambda about: about.update(weights_sha256=hashlib.sha256(written).hexdigest()))


def test_round_trip(saved, sets, recipe):
    run, path = saved
    again = load(path, sets)
    np.testing.assert_array_equal(again.predict(sets.test.inputs), run.predict(sets.test.inputs))
    assert again.test() == run.test()
    assert again.history == run.history
    assert (again.step, again.seed, again.classes, again.dtype) == (12, 0, ("red", "green", "blue"), np.float32)
    assert Recipe.read(path / "recipe.toml") == recipe
    assert set(content(path)) == FILES


def test_metrics_are_those_of_training_where_the_recipe_names_none(tmp_path, sets):
    recipe = Recipe.from_toml('network.layers=["linear 3"]\nloss.kind="cross_entropy"\noptimizer={kind="adam"}', "r")
    train(recipe, sets, tmp_path)
    assert "accuracy" in load(tmp_path, sets).test()


def test_float64_is_kept(saved, sets):
    _, path = saved
    tensors = load_tensors((path / "weights.safetensors").read_bytes())
    put_weights(path, {name: tensor.astype(np.float64) for name, tensor in tensors.items()})
    assert load(path).predict(sets.test.inputs).dtype == np.float64


def test_test_score_and_machine_are_kept(saved, recipe, sets):
    run, path = saved
    run.tested = {"loss": 1.5, "interval": (-np.inf, np.inf)}
    save(path, recipe, run)
    about = json.loads((path / "run.json").read_text(), parse_constant=pytest.fail)
    assert about["test"] == {"loss": 1.5, "interval": [None, None]}
    assert about["data"]["fingerprint"] == sets.fingerprint()
    assert set(about["made_with"]) == {"treadle", "numpy", "python"}
    assert about["machine"]["cores"] == os.cpu_count()


def test_json_has_no_infinity():
    text = to_json({"a": [1.5, float("nan")], "b": float("-inf"), "ü": None})
    assert text == '{"a": [1.5, null], "b": null, "ü": null}'


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(1, 6), (2, 12), (3, 18), (4, 24), (5, 30)]),
        ({"saving.checkpoint_every": 2}, [(2, 12), (4, 24), (5, 30)]),
        (
            {"saving.checkpoint_every": 9, "saving.checkpoint_steps": 4},
            [(0, 4), (1, 8), (2, 16), (3, 20), (4, 28), (5, 30)],
        ),
    ],
)
def test_checkpoints_as_often_as_the_recipe_says(tmp_path, recipe, sets, changes, expected):
    train(recipe.change({"training.epochs": 5, "saving.keep": 100, **changes}), sets, tmp_path)
    names = [path.name.split("-") for path in (tmp_path / "checkpoints").iterdir()]
    assert sorted((int(name[1]), int(name[3])) for name in names) == expected


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_the_last_checkpoints_are_kept(tmp_path, recipe, sets, keep):
    train(recipe.change({"training.epochs": 3, "saving.keep": keep}), sets, tmp_path)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert [name.split("-")[1] for name in names] == [str(epoch) for epoch in range(max(1, 4 - keep), 4)]


def test_other_data_is_refused(saved, sets):
    other = Sets(sets.train, sets.validation, sets.train[:5], "rows", "other")
    with pytest.raises(RunError, match=r"was trained on rows with fingerprint .* give the data it was trained on"):
        load(saved[1], other)


def test_nothing_is_unpickled(saved, sets, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("pickle was used")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    load(saved[1], sets)
    put_weights(saved[1], pickle.dumps({"linear1.weight": np.zeros((4, 5))}))
    with pytest.raises(RunError, match=r"weights\.safetensors: damaged"):
        load(saved[1], sets)


# folders


def test_two_runs_of_one_second_get_folders_of_their_own(tmp_path, monkeypatch):
    class Stopped(datetime):
        @classmethod
        def now(cls):
            return cls(2024, 5, 6, 7, 8, 9)

    monkeypatch.setattr(folder_module, "datetime", Stopped)
    names = [create(tmp_path / "runs", "mlp").name for _ in range(3)]
    assert names == ["2024-05-06-070809-mlp", "2024-05-06-070809-mlp-2", "2024-05-06-070809-mlp-3"]


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file.*-mlp: cannot be made: "):
        create(tmp_path / "file", "mlp")


# saving


class Disk:
    """Every change to the disk by `treadle.runs.files`, with something called before and after each."""

    def __init__(self, patch, before=lambda: None, after=lambda: None):
        self.before, self.after = before, after
        for owner, name in ((Path, "replace"), (Path, "mkdir"), (os, "fsync")):
            patch.setattr(owner, name, self._watched(getattr(owner, name)))
        opened = Path.open

        def open_watched(path, mode="r", *arguments, **options):
            if "w" not in mode:
                return opened(path, mode, *arguments, **options)
            file = self._watched(opened)(path, mode, *arguments, buffering=0)
            file_write = file.write

            class Watched:
                def __enter__(self):
                    return self

                def __exit__(self, *error):
                    file.close()

                def __getattr__(self, name):
                    return getattr(file, name)

                @staticmethod
                def write(content):
                    half = len(content) // 2
                    write = self._watched(file_write)
                    return write(content[:half]) + write(content[half:])

            return Watched()

        patch.setattr(Path, "open", open_watched)

    def _watched(self, original):
        def call(*arguments, **options):
            self.before()
            result = original(*arguments, **options)
            self.after()
            return result

        return call


def failing(nth, count):
    """Return a function that fails at the nth call, and those after it where the disk stays full."""

    def call():
        count[0] += 1
        if count[0] >= nth:
            raise OSError(errno.ENOSPC, "No space left on device")

    return call


def test_a_save_that_fails_at_any_operation_leaves_a_run_that_loads(saved, recipe, sets, tmp_path, monkeypatch):
    run, path = saved
    later = train(recipe.change({"training.epochs": 3}), sets, create(tmp_path, "b"))
    expected = {len(one.history): one.predict(sets.test.inputs) for one in (run, later)}
    whole, found, nth = content(path), [], 1
    while True:
        count = [0]
        with monkeypatch.context() as patch:
            Disk(patch, before=failing(nth, count))
            try:
                save(path, recipe.change({"training.epochs": 3}), later)
            except RunError as error:
                assert "the run cannot be saved: No space left on device" in str(error)  # noqa: PT017
            else:
                break
        again = load(path, sets)
        np.testing.assert_array_equal(again.predict(sets.test.inputs), expected[len(again.history)])
        assert not list(path.glob("*.part"))
        found.append(len(again.history))
        for name, before in whole.items():
            (path / name).write_bytes(before)
        nth += 1
    assert found == sorted(found)
    assert set(found) == {2, 3}
    assert len(load(path).history) == 3
    assert set(content(path)) == FILES


def test_save_that_is_killed_anywhere_leaves_a_run_that_loads(saved, recipe, sets, tmp_path, monkeypatch):
    """After every operation on the disk, with half of a file written too, the folder as it stands then is a run."""
    run, path = saved
    later = train(recipe.change({"training.epochs": 3}), sets, create(tmp_path, "b"))
    expected = {len(one.history): one.predict(sets.test.inputs) for one in (run, later)}
    lengths = []

    def look():
        again = load(path, sets)
        np.testing.assert_array_equal(again.predict(sets.test.inputs), expected[len(again.history)])
        lengths.append(len(again.history))

    with monkeypatch.context() as patch:
        Disk(patch, after=look)
        save(path, recipe, later)
    assert lengths == sorted(lengths)
    assert set(lengths) == {2, 3}


# damage


def test_no_run_folder(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError, match=r"not a run folder, for it has no run\.json"):
            load(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda about: [1], "format should be 2, found None"),
        (lambda about: about.pop("format") and None, "format should be 2, found None"),
        (lambda about: about.update(format=0), "format should be 2, found 0"),
        (lambda about: about.update(format="1"), "format should be 2, found '1'"),
        (lambda about: about.update(format=3), "has format 3, this version reads up to format 2: use a newer treadle"),
        (lambda about: about.pop("data") and None, "data: Field required"),
        (lambda about: about.update(data=3), "data: Input should be"),
        (lambda about: about["data"].update(shape="abc"), "data.shape: Input should be a valid array"),
        (lambda about: about["data"].update(shape=[-4]), "data.shape.0: Input should be greater than 0"),
        (lambda about: about["data"].update(classes=3), "data.classes: Input should be a valid array"),
        (lambda about: about["data"].update(classes=[1]), "data.classes.0: Input should be a valid string"),
        (lambda about: about.update(history={}, steps="12"), "steps: Input should be a valid integer; history: "),
        (lambda about: about.update(metrics=["os.system"]), "metrics.0: Input should be 'accuracy'"),
        (lambda about: about.update(scale={}), "recipe.toml and run.json do not fit: saved scale: unknown kind None"),
        (lambda about: about["scale"].update(offset=["a"]), "offset must be a list of finite numbers"),
        (lambda about: about["data"].update(shape=[2, 2]), "[network]: layer linear1"),
    ],
)
def test_damaged_run_json(saved, change, expected):
    _, path = saved
    change_json(path, change)
    with pytest.raises(RunError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert expected in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "nothing", "[" * 100_000, "\udcff", '{"format": ' + "1" * 5000 + "}"])
def test_run_json_that_is_none(saved, text):
    _, path = saved
    (path / "run.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunError, match=r"run\.json: damaged: "):
        load(path)


def test_run_json_cut_anywhere(saved):
    _, path = saved
    whole = (path / "run.json").read_bytes()
    for length in range(0, len(whole) - 1, 37):
        (path / "run.json").write_bytes(whole[:length])
        with pytest.raises(RunError, match=r"run\.json: damaged: "):
            load(path)


def test_damaged_recipe(saved):
    _, path = saved
    text = (path / "recipe.toml").read_text()
    for damaged in (text[: len(text) // 2], "", text.replace("linear", "lineer")):
        (path / "recipe.toml").write_text(damaged)
        with pytest.raises(RecipeError, match=r"recipe\.toml"):
            load(path)
    (path / "recipe.toml").unlink()
    with pytest.raises(RecipeError, match=r"recipe\.toml: cannot be read: No such file"):
        load(path)


def test_missing_weights(saved):
    _, path = saved
    (path / "weights.safetensors").unlink()
    with pytest.raises(RunError, match=r"weights\.safetensors: is missing"):
        load(path)


def test_any_flipped_bit_and_any_cut_of_the_weights_is_found(saved):
    _, path = saved
    file = path / "weights.safetensors"
    whole = file.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 29)]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 13)]
    for bad in damaged:
        file.write_bytes(bad)
        with pytest.raises(RunError, match=r"weights\.safetensors: damaged: its checksum is not the one in run\.json"):
            load(path)
    file.write_bytes(whole)
    load(path)


@pytest.mark.parametrize(
    "bad", [b"", b"\x00" * 8, b"\xff" * 100, (10**9).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{]"]
)
def test_weights_that_are_no_safetensors(saved, bad):
    _, path = saved
    put_weights(path, bad)
    with pytest.raises(RunError, match=r"weights\.safetensors: damaged: "):
        load(path)


def test_every_tensor_that_does_not_fit_is_listed(saved):
    _, path = saved
    tensors = load_tensors((path / "weights.safetensors").read_bytes())
    assert set(tensors) == {"linear1.bias", "linear1.weight", "linear2.bias", "linear2.weight"}
    del tensors["linear1.bias"]
    tensors |= {"linear2.weight": np.zeros((3, 5), np.float32), "linear3.bias": np.zeros(3, np.float32)}
    put_weights(path, tensors)
    with pytest.raises(RunError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path / 'weights.safetensors'}: does not fit the recipe beside it: linear1.bias is missing; "
        "linear3.bias is not in the network; linear2.weight has shape (3, 5), the network needs (5, 3)"
    )


@pytest.mark.parametrize("dtype", ["float16", "int32", "bool", "one float64", "bfloat16"])
def test_weights_of_other_numbers_are_refused(saved, dtype):
    _, path = saved
    whole = (path / "weights.safetensors").read_bytes()
    tensors = load_tensors(whole)
    if dtype == "bfloat16":  # NumPy has none: two bytes a number under another name
        halves = save_tensors({name: tensor.astype(np.float16) for name, tensor in tensors.items()})
        put_weights(path, _bf16(halves))
    elif dtype == "one float64":
        put_weights(path, tensors | {"linear1.bias": np.zeros(5)})
    else:
        put_weights(path, {name: tensor.astype(dtype) for name, tensor in tensors.items()})
    with pytest.raises(RunError, match=r"weights\.safetensors: "):
        load(path)


def _bf16(halves):
    size = int.from_bytes(halves[:8], "little")
    header = halves[8 : 8 + size].replace(b'"F16"', b'"BF16"')
    return len(header).to_bytes(8, "little") + header + halves[8 + size :]
