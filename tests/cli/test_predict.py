import csv
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
from PIL import Image
from pyarrow.parquet import write_table

from treadle.data import load
from treadle.data.sources import small
from treadle.runs import load as load_run


def train(cli, folder, *arguments, changes=()):
    """The folder of a run."""
    settings = [part for change in changes for part in ("--set", change)]
    code, _, err = cli("run", *arguments, *settings, "--runs", folder)
    assert code == 0, err
    (made,) = folder.iterdir()
    return made


@pytest.fixture
def run(cli, recipe, tmp_path):
    """The folder of a run on the small digits."""
    return train(cli, tmp_path / "runs", recipe, changes=["training.epochs=10"])


@pytest.fixture
def digit(digits):
    """The pixels of a test digit, a bright row on a dark ground."""
    return load(digits).test.inputs[4, 0]


@pytest.fixture
def wine(cli, tmp_path):
    """The folder of a run on the wines, whose target is named, and a CSV file of them all."""
    table = load_wine(tmp_path / "wine.csv")
    changes = [f"data.source={table}", "data.target=cultivar", "data.scale=standard", "network.preset=softmax"]
    changes += ["loss.kind=cross_entropy", "optimizer.kind=adam", "optimizer.lr=0.05", "training.epochs=20"]
    return train(cli, tmp_path / "wines", changes=changes), table


def load_wine(path):
    path.write_bytes(gzip.decompress(Path(small.__file__).with_name("wine.csv.gz").read_bytes()))
    return path


def rows_of(path):
    """The rows of a CSV file, as the standard library reads them."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


# images


def test_a_large_drawing_on_paper_is_told_and_predicted_as_the_digit(cli, run, digit, tmp_path):
    plain = save(tmp_path / "plain.png", digit)
    large = save(tmp_path / "large.png", 255 - np.kron(digit, np.ones((5, 5), np.uint8)))
    code, out, err = cli("predict", run, plain, large)
    assert (code, err) == (0, "")
    first, second, *told = out.splitlines()
    assert first.replace("plain", "large") == second
    assert first.startswith(f"{plain}: 4  (4: ")
    assert told == [
        "  inverted: dark on light, the training images are light on dark",
        "  resized from 140×140 to 28×28",
    ]


def test_json_lists_changes_and_warnings(cli, run, digit, tmp_path):
    paths = [save(tmp_path / "a.png", 255 - digit), save(tmp_path / "b.png", np.full((28, 28), 9, np.uint8))]
    one, two = json.loads(cli("predict", run, *paths, "--json")[1])
    assert list(one) == ["image", "prediction", "probabilities", "changes", "warnings"]
    assert one["changes"] == ["inverted: dark on light, the training images are light on dark"]
    assert one["warnings"] == two["changes"] == []
    assert "neither clearly light nor dark" in two["warnings"][0]
    out = cli("predict", run, paths[1])[1]
    assert "\n  warning: its border is neither" in out


@pytest.mark.parametrize("polarity", ["auto", "keep", "invert"])
def test_polarity(cli, run, digit, tmp_path, polarity):
    path = save(tmp_path / "a.png", 255 - digit)
    (found,) = json.loads(cli("predict", run, path, "--polarity", polarity, "--json")[1])
    shown = 255 - digit if polarity == "keep" else digit
    expected = load_run(run).predict(shown[None, None])[0]
    assert [found["probabilities"][str(n)] for n in range(10)] == pytest.approx(expected.tolist(), abs=1e-6)
    assert bool(found["changes"]) == (polarity != "keep")


def test_polarity_is_one_of_three(cli, run, digit, tmp_path):
    path = save(tmp_path / "a.png", digit)
    code, out, err = cli("predict", run, path, "--polarity", "other")
    assert (code, out) == (2, "")
    assert '"auto", "keep", "invert"' in " ".join(err.replace("│", "").split())


def test_a_run_of_an_earlier_version_says_that_it_inverts_nothing(cli, run, digit, tmp_path):
    about = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert about["data"].pop("polarity") == {"light_on_dark": 1.0, "dark_on_light": 0.0}
    (run / "run.json").write_text(json.dumps(about), encoding="utf-8")
    path = save(tmp_path / "a.png", 255 - digit)
    code, out, err = cli("predict", run, path)
    assert code == 0
    assert len(out.splitlines()) == 1
    told = "the run does not tell whether its training images are light on dark: no image is inverted"
    assert err == f"note: {told}\n"
    assert cli("predict", run, path, "--polarity", "keep")[2] == ""


def test_a_damaged_polarity_is_named(cli, run, digit, tmp_path):
    about = json.loads((run / "run.json").read_text(encoding="utf-8"))
    for damaged, expected in [({"light_on_dark": 2.0, "dark_on_light": 0.0}, "light_on_dark"), (3, "polarity")]:
        about["data"]["polarity"] = damaged
        (run / "run.json").write_text(json.dumps(about), encoding="utf-8")
        code, _, err = cli("predict", run, save(tmp_path / "a.png", digit))
        assert code == 2
        assert err.startswith(f"error: {run / 'run.json'}: damaged: data.polarity")
        assert expected in err


def test_nothing_is_printed_where_one_image_cannot_be_read(cli, run, digit, tmp_path):
    path = save(tmp_path / "a.png", digit)
    code, out, err = cli("predict", run, path, tmp_path / "none.png")
    assert (code, out, err) == (2, "", f"error: {tmp_path / 'none.png'}: no such file\n")


# tables


def test_rows_of_a_table(cli, wine):
    folder, table = wine
    code, out, err = cli("predict", folder, table)
    assert (code, err) == (0, "")
    name, told, *lines = out.splitlines()
    assert (name, told) == (str(table), "  columns left out: cultivar (the target)")
    truth = [row["cultivar"] for row in rows_of(table)]
    assert len(lines) == len(truth) == 178
    right = 0
    for number, (line, cultivar) in enumerate(zip(lines, truth, strict=True), 2):
        found = re.fullmatch(rf"  line {number}: (\d)  \(\1: [\d.]+%, \d: [\d.]+%, \d: [\d.]+%\)", line)
        right += found[1] == cultivar
    assert right > 165


def test_rows_as_json_lines(cli, wine, tmp_path):
    folder, table = wine
    shuffled = tmp_path / "rows.parquet"
    rows = rows_of(table)
    names = [name for name in reversed(rows[0]) if name != "cultivar"]
    write_table(arrow.table({name: [float(row[name]) for row in rows] for name in names}), shuffled, row_group_size=50)
    code, out, err = cli("predict", folder, table, shuffled, "--json")
    assert (code, err) == (0, f"note: {table}: columns left out: cultivar (the target)\n")
    found = [json.loads(line) for line in out.splitlines()]
    assert [(one["file"], one["line"]) for one in found[:178]] == [(str(table), n) for n in range(2, 180)]
    assert [(one["file"], one["row"]) for one in found[178:]] == [(str(shuffled), n) for n in range(178)]
    for one, other in zip(found[:178], found[178:], strict=True):
        assert one["prediction"] == other["prediction"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_predictions_written_as_csv(cli, wine, tmp_path):
    folder, table = wine
    output = tmp_path / "found.csv"
    code, out, err = cli("predict", folder, table, "--output", output)
    assert (code, out) == (0, f"178 predictions written to {output}\n")
    assert err == f"note: {table}: columns left out: cultivar (the target)\n"
    rows = rows_of(output)
    shown = [json.loads(line) for line in cli("predict", folder, table, "--json")[1].splitlines()]
    for row, one in zip(rows, shown, strict=True):
        assert list(row) == ["file", "line", "prediction", "probability_1", "probability_2", "probability_3"]
        assert (row["file"], int(row["line"]), row["prediction"]) == (str(table), one["line"], one["prediction"])
        assert {name: float(row[f"probability_{name}"]) for name in "123"} == pytest.approx(
            one["probabilities"], abs=1e-6
        )
    write_table(arrow.table({name: [1.0] for name in load_run(folder).encoding.names}), tmp_path / "a.parquet")
    cli("predict", folder, table, tmp_path / "a.parquet", "--output", output)
    assert output.read_text(encoding="utf-8").splitlines()[-1].startswith(f"{tmp_path / 'a.parquet'},0,")
    assert output.read_text(encoding="utf-8").startswith("file,place,prediction,")


def test_images_written_as_csv(cli, run, digit, tmp_path):
    path, output = save(tmp_path / "a, b.png", 255 - digit), tmp_path / "found.csv"
    code, out, err = cli("predict", run, path, "--output", output)
    assert (code, out) == (0, f"1 prediction written to {output}\n")
    assert err == f"note: {path}: inverted: dark on light, the training images are light on dark\n"
    (row,) = rows_of(output)
    assert (row["file"], row["prediction"]) == (str(path), "4")
    assert list(row)[2:] == [f"probability_{n}" for n in range(10)]


def test_numbers_are_written_with_six_digits(cli, tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{n},{n / 1e6}\n" for n in range(40)), encoding="utf-8")
    run = train(cli, tmp_path / "runs", changes=["data.source=a.csv", "training.metrics=['squared_error']"])
    predicted = load_run(run).predict(np.arange(40.0)[:, None])[:, 0]
    output = tmp_path / "b.csv"
    assert cli("predict", run, "a.csv", "--output", output)[0] == 0
    rows = rows_of(output)
    assert list(rows[0]) == ["file", "line", "prediction"]
    np.testing.assert_allclose([float(row["prediction"]) for row in rows], predicted, rtol=1e-5)
    shown = [json.loads(line) for line in cli("predict", run, "a.csv", "--json")[1].splitlines()]
    assert list(shown[0]) == ["file", "line", "prediction"]
    np.testing.assert_allclose([one["prediction"] for one in shown], predicted, rtol=1e-5)
    assert re.search(r"^  line 2: \S+$", cli("predict", run, "a.csv")[1], re.M)


def test_an_output_is_written_whole_or_not_at_all(cli, wine, tmp_path):
    folder, table = wine
    lines = table.read_text(encoding="utf-8").splitlines()
    bad = tmp_path / "bad.csv"
    bad.write_text("\n".join([*lines, lines[-1].replace(",", ",x", 1)]), encoding="utf-8")
    output = tmp_path / "found.csv"
    output.write_text("before", encoding="utf-8")
    code, out, err = cli("predict", folder, bad, "--output", output)
    assert (code, out) == (2, "")
    assert f"error: {bad}: line 180: 'malic_acid' has numbers in training, and here 'x" in err
    assert output.read_text(encoding="utf-8") == "before"
    assert not list(tmp_path.glob("*.part"))


def test_an_output_that_cannot_be(cli, wine, tmp_path):
    folder, table = wine
    (tmp_path / "folder.csv").mkdir()
    for output, expected in [
        ("found.txt", "expected a name ending in .csv, found .txt"),
        ("none/found.csv", "there is no folder none"),
        (table, "would replace the file to predict"),
        ("folder.csv", "cannot be written"),
    ]:
        code, out, err = cli("predict", folder, table, "--output", output)
        assert (code, out) == (2, "")
        assert f"error: --output {output}: {expected}" in err
    code, _, err = cli("predict", folder, table, "--output", "a.csv", "--json")
    assert (code, err) == (2, "error: --output writes CSV to a file and --json prints to stdout: choose one of them\n")


# kinds


def test_files_of_another_kind_say_what_the_run_takes(cli, run, wine, digit, tmp_path):
    folder, table = wine
    image = save(tmp_path / "a.png", digit)
    code, _, err = cli("predict", folder, image)
    assert code == 2
    assert err.startswith(f"error: {image}: is an image, and the run was trained on a table of 13 columns, alcohol, ")
    code, _, err = cli("predict", run, table)
    assert code == 2
    assert err.startswith(f"error: {table}: is a table, and the run was trained on images of 1×28×28 (channels×height×")


def test_an_array_and_an_image_in_one_call(cli, run, digit, tmp_path):
    image, array = save(tmp_path / "a.png", 255 - digit), tmp_path / "b.npy"
    np.save(array, digit[None, None])
    code, out, _ = cli("predict", run, image, array, "--json")
    assert code == 0
    one, other = (json.loads(line) for line in out.splitlines())
    assert (one["image"], other["file"], other["sample"]) == (str(image), str(array), 0)
    assert one["probabilities"] == other["probabilities"]
    code, out, _ = cli("predict", run, image, array)
    assert code == 0
    first, told, name, sample = out.splitlines()
    assert first.startswith(f"{image}: 4 ")
    assert told.startswith("  inverted: ")
    assert name == str(array)
    assert sample.startswith("  sample 0: 4  (4: ")


def test_help_tells_a_newcomer_what_to_give(cli):
    code, out, _ = cli("predict", "--help")
    assert code == 0
    text = " ".join(out.replace("│", "").split())
    for part in ("Images may have any size", "--polarity", "--output", "CSV", "Parquet", "treadle predict runs/FOLDER"):
        assert part in text
