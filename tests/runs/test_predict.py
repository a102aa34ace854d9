import numpy as np
import pyarrow as arrow
import pytest
from PIL import Image
from pyarrow.parquet import write_table

import treadle as td
from treadle.data import Dataset, Sets, load_image_folder
from treadle.errors import DataError, RunError
from treadle.recipe import Recipe
from treadle.runs import predict_files

RECIPE = Recipe.baseline().change({"network.preset": "softmax", "loss.kind": "cross_entropy"})


def trained(sets, loss="cross_entropy", network="softmax", **options):
    return td.fit(network, sets, loss=loss, optimizer=td.optim.Adam(0.01), batch_size=10, diagnose=False, **options)


def sets_of(inputs, targets=None, classes=("no", "yes")):
    targets = np.arange(len(inputs)) % 2 if targets is None else targets
    rows = Dataset(inputs, targets, classes, "rows")
    return Sets(rows[:20], rows[20:30], rows[30:], "rows", "made up")


@pytest.fixture(scope="module")
def images():
    """40 images of bytes, light on dark, whose label is the side that is lit."""
    found = np.random.default_rng(0).integers(0, 40, (40, 1, 6, 8)).astype(np.uint8)
    found[::2, :, 2:4, 1:4], found[1::2, :, 2:4, 4:7] = 250, 250
    return found


@pytest.fixture(scope="module")
def run(images):
    return trained(sets_of(images), epochs=5)


def write_images(folder, images):
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image[0]).save(path)
    return paths


def outputs(found):
    return np.concatenate([part.outputs for part in found])


# images


def test_images_of_the_right_size_give_what_their_arrays_give(run, images, tmp_path, monkeypatch):
    monkeypatch.setitem(predict_files.__globals__, "_TOGETHER", 7)
    paths = write_images(tmp_path, images)
    found = list(predict_files(run, RECIPE, paths))
    assert [part.file for part in found] == paths
    assert {part.unit for part in found} == {"image"}
    np.testing.assert_allclose(outputs(found), run.predict(images), rtol=1e-6)
    assert [part.values for part in found] == [[("no", "yes")[row.argmax()]] for row in run.predict(images)]
    assert all(part.changes == part.warnings == () for part in found)


def test_drawn_large_and_dark_on_light_is_the_same(run, images, tmp_path):
    large = 255 - np.kron(images, np.ones((10, 10), np.uint8))
    found = list(predict_files(run, RECIPE, write_images(tmp_path, large)))
    np.testing.assert_allclose(outputs(found), run.predict(images), rtol=1e-6)
    expected = ("inverted: dark on light, the training images are light on dark", "resized from 80×60 to 8×6")
    assert {part.changes for part in found} == {expected}
    kept = list(predict_files(run, RECIPE, write_images(tmp_path, large), polarity="keep"))
    np.testing.assert_allclose(outputs(kept), run.predict(255 - images), rtol=1e-6)


def test_training_images_dark_on_light_turn_the_others_round(images, tmp_path):
    run = trained(sets_of(255 - images))
    assert run.polarity.kind == "dark on light"
    found = list(predict_files(run, RECIPE, write_images(tmp_path, images)))
    np.testing.assert_allclose(outputs(found), run.predict(255 - images), rtol=1e-6)


def test_training_images_of_both_kinds_turn_none_round(images, tmp_path):
    mixed = images.copy()
    mixed[:5] = 255 - mixed[:5]
    run = trained(sets_of(mixed))
    assert run.polarity.kind is None
    found = list(predict_files(run, RECIPE, write_images(tmp_path, 255 - images)))
    np.testing.assert_allclose(outputs(found), run.predict(255 - images), rtol=1e-6)
    assert all(part.changes == part.warnings == () for part in found)


@pytest.mark.parametrize(
    ("convert", "told"),
    [
        (lambda x: x, ()),
        (lambda x: x.astype(np.int64), ()),
        (lambda x: x.astype(np.float32), ()),
        (lambda x: x / 255, ()),
        (lambda x: (x >= 128).astype(np.uint8), ()),
        (
            lambda x: np.round(x * (16 / 250)).astype(np.uint8),
            ("brought from 0–255 to the 0–16 of the training images",),
        ),
        (lambda x: x.astype(np.uint16) * 257, ("brought from 0–255 to the 0–64250 of the training images",)),
    ],
)
def test_pixels_are_brought_to_the_units_of_training(images, tmp_path, convert, told):
    full = images.copy()
    full[images == 250] = 255
    full = np.where(full < 128, 0, full) if convert(np.array([100])).max() == 0 else full  # black and white alone
    run = trained(sets_of(convert(full if not told else images)), epochs=3)
    found = list(predict_files(run, RECIPE, write_images(tmp_path, full)))
    assert {part.changes for part in found} == {told}
    scale = run.input_range[1] / 255 if told else 1
    inputs = full * scale if told else convert(full)
    np.testing.assert_allclose(outputs(found), run.predict(inputs), rtol=1e-4)


def test_dark_images_of_bytes_are_taken_as_they_are(images, tmp_path):
    dark = images // 4
    run = trained(sets_of(dark))
    found = list(predict_files(run, RECIPE, write_images(tmp_path, dark)))
    np.testing.assert_allclose(outputs(found), run.predict(dark), rtol=1e-6)
    assert {part.changes for part in found} == {()}


def test_units_that_image_files_do_not_have(images, tmp_path):
    run = trained(sets_of(images / 127.5 - 1))
    with pytest.raises(RunError, match=r"trained on float64 images with values from -1 to 0\.96"):
        list(predict_files(run, RECIPE, write_images(tmp_path, images[:1])))


def test_a_folder_brought_to_a_size_is_predicted_as_it_was_trained(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("dark", "bright"):
        (tmp_path / name).mkdir()
        for number in range(20):
            pixels = rng.integers(0, 100, (10 + number, 14)) + 150 * (name == "bright")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name / f"{number:02}.png")
    sets = load_image_folder(tmp_path, size=(6, 8))
    run = trained(sets)
    files = [tmp_path / place for place in sets.test.places.of]
    sized = RECIPE.change({"data.source": str(tmp_path), "data.size": [6, 8]})
    found = list(predict_files(run, sized, files, polarity="keep"))
    np.testing.assert_allclose(outputs(found), run.predict(sets.test.inputs), rtol=1e-6)
    assert all("each side by itself as in training" in part.changes[-1] for part in found)


# tables


@pytest.fixture(scope="module")
def table():
    """Columns of a table, with what they are predicted as."""
    rng = np.random.default_rng(1)
    city = rng.choice(["Oslo", "Rome", "Lima"], 60)
    columns = {"id": [f"n{n}" for n in range(60)], "size": rng.normal(size=60).round(3), "city": city}
    return columns | {"good": np.where((columns["size"] > 0) ^ (city == "Rome"), "yes", "no")}


@pytest.fixture(scope="module")
def tabular(table, tmp_path_factory):
    """A run on a CSV file of the table, its sets and its recipe."""
    path = write_csv(tmp_path_factory.mktemp("table") / "a.csv", table)
    recipe = RECIPE.change({"data.source": str(path), "data.ignore": ["id"], "data.target": "good"})
    sets = recipe.load_data()
    return trained(sets, epochs=5, scale="standard"), sets, recipe


def write_csv(path, columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def test_rows_of_csv_and_parquet_give_what_training_had(tabular, table, tmp_path):
    run, sets, recipe = tabular
    lines = sets.test.places.of
    for kind in ("csv", "parquet"):
        for dropped in ((), ("good",), ("good", "id")):
            left = {name: column for name, column in reversed(table.items()) if name not in dropped}
            path = tmp_path / f"a.{kind}"
            if kind == "csv":
                write_csv(path, left)
            else:
                write_table(arrow.table(left), path, row_group_size=25)
            (found,) = predict_files(run, recipe, [path])
            assert found.unit == ("line" if kind == "csv" else "row")
            rows = np.searchsorted(found.places, lines if kind == "csv" else lines - 2)
            np.testing.assert_allclose(found.outputs[rows], run.predict(sets.test.inputs), rtol=1e-6)
            names = [{"good": "good (the target)"}.get(name, name) for name in left if name in ("good", "id")]
            assert found.changes == ((f"columns left out: {', '.join(names)}",) if names else ())


def test_a_table_larger_than_a_piece(tabular, table, tmp_path, monkeypatch):
    run, _, recipe = tabular
    path = write_csv(tmp_path / "a.csv", table)
    (whole,) = predict_files(run, recipe, [path])
    monkeypatch.setattr("treadle.data.sources.delimited._BLOCK", 7)
    found = list(predict_files(run, recipe, [path]))
    assert len(found) == 9
    assert np.concatenate([part.places for part in found]).tolist() == whole.places.tolist() == list(range(2, 62))
    np.testing.assert_allclose(outputs(found), whole.outputs, rtol=1e-6)


def test_missing_values_are_filled_as_in_training(tmp_path):
    columns = {"x": [str(n) for n in range(1, 40)] + [""], "y": [str(2 * n) for n in range(40)]}
    path = write_csv(tmp_path / "a.csv", columns)
    recipe = Recipe.baseline().change({"data.source": str(path), "data.missing": "mean"})
    sets = recipe.load_data()
    run = trained(sets, "squared_error", "baseline")
    new = write_csv(tmp_path / "b.csv", {"x": ["", "7"], "y": [1, 2]})
    (found,) = predict_files(run, recipe, [new])
    fill = sets.encoding.features[0].fill
    np.testing.assert_allclose(found.outputs, run.predict(np.array([[fill], [7.0]])), rtol=1e-6)
    assert found.classes is None
    assert found.values == pytest.approx(found.outputs[:, 0].tolist())


def test_delimiter_and_header_are_those_of_the_recipe(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{n % 2};{n};{n * n}\n" for n in range(40)), encoding="utf-8")
    changes = {"data.source": str(path), "data.delimiter": ";", "data.header": False, "data.target": "0"}
    recipe = RECIPE.change(changes)
    sets = recipe.load_data()
    run = trained(sets)
    (found,) = predict_files(run, recipe, [path])
    np.testing.assert_allclose(found.outputs[sets.test.places.of - 1], run.predict(sets.test.inputs), rtol=1e-6)


# arrays


def test_arrays_on_disk(run, images, tmp_path):
    for name, array in (("channels.npy", images), ("plain.npy", images[:, 0])):
        np.save(tmp_path / name, array)
        (found,) = predict_files(run, RECIPE, [tmp_path / name])
        assert (found.unit, found.places.tolist(), found.warnings) == ("sample", list(range(40)), ())
        np.testing.assert_array_equal(found.outputs, run.predict(images))


def test_an_array_in_pieces(run, images, tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", images)
    monkeypatch.setattr("treadle.data.stored.PIECE", 48 * 9)
    found = list(predict_files(run, RECIPE, [tmp_path / "a.npy"]))
    assert [len(part.outputs) for part in found] == [9, 9, 9, 9, 4]
    np.testing.assert_allclose(outputs(found), run.predict(images), rtol=1e-6)


def test_an_array_of_other_units_is_told(run, images, tmp_path):
    np.save(tmp_path / "a.npy", images / 255)
    (found,) = predict_files(run, RECIPE, [tmp_path / "a.npy"])
    assert found.warnings == ("has float64, the run was trained on uint8 from 0 to 250",)


def test_arrays_that_do_not_fit(run, images, tmp_path):
    path = tmp_path / "a.npy"
    broken = images.astype(np.float32)
    broken[3, 0, 1, 1] = np.nan
    for array, expected in [
        (images[:, :, :5], r"expected an array of shape \(N, 1, 6, 8\), found \(40, 1, 5, 8\)"),
        (np.zeros(6), r"expected an array of shape"),
        (np.full((2, 1, 6, 8), "x"), r"expected numbers, found <U1"),
        (images[:0], r"has no samples"),
        (broken, r"sample 3: has a value that is not finite"),
    ]:
        np.save(path, array)
        with pytest.raises(DataError, match=expected):
            list(predict_files(run, RECIPE, [path]))
    path.write_bytes(b"none")
    with pytest.raises(DataError, match="no array of NumPy"):
        list(predict_files(run, RECIPE, [path]))
    with pytest.raises(DataError, match=r"none\.npy: no such file"):
        list(predict_files(run, RECIPE, [tmp_path / "none.npy"]))


# kinds


def test_files_keep_their_order(run, images, tmp_path):
    first, second, *_ = write_images(tmp_path, images)
    np.save(tmp_path / "a.npy", images[:3])
    found = list(predict_files(run, RECIPE, [first, tmp_path / "a.npy", second]))
    assert [part.file for part in found] == [first, tmp_path / "a.npy", second]


def test_files_of_another_kind_are_refused_before_any_is_read(run, tabular, images, tmp_path):
    bare = trained(sets_of(np.random.default_rng(0).normal(size=(40, 3))))
    (tmp_path / "a.npy").write_bytes(b"")
    for one, name, expected in [
        (run, "a.csv", r"a\.csv: is a table, and the run was trained on images of 1×6×8"),
        (run, "a.parquet", r"is a table"),
        (run, "a.txt", r"expected a name ending in \.png, .* \.npy, found \.txt"),
        (tabular[0], "a.png", r"a\.png: is an image, and the run was trained on a table of 2 columns, size, city"),
        (bare, "a.csv", r"is a table, and the run was trained on arrays of shape \(N, 3\), whose features have no nam"),
        (bare, "a.jpg", r"is an image, .* expected a name ending in \.npy"),
    ]:
        with pytest.raises(DataError, match=expected):
            next(predict_files(one, RECIPE, [tmp_path / "a.npy", tmp_path / name]))


def test_predictions_that_are_not_finite(run, images, tmp_path):
    broken = trained(sets_of(images))
    broken.parameters["linear1"]["weight"][:] = np.nan
    with pytest.raises(RunError, match="not finite: the network did not learn"):
        list(predict_files(broken, RECIPE, write_images(tmp_path, images[:1])))
