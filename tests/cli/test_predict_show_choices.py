import gzip
import json
import re

import pytest
from PIL import Image

from treadle.data import load
from treadle.nn import INITIALIZERS
from treadle.recipe import CHOICES, Recipe


@pytest.fixture
def run(cli, recipe, tmp_path):
    """The folder of a run on the small digits."""
    assert cli("run", recipe, "--set", "training.epochs=20", "--runs", tmp_path / "runs")[0] == 0
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


@pytest.fixture
def images(digits, tmp_path):
    """Image files of the first three test digits."""
    pixels = load(digits).test.inputs
    paths = [tmp_path / f"{digit}.png" for digit in range(3)]
    for path, image in zip(paths, pixels, strict=False):
        Image.fromarray(image[0]).save(path)
    return paths


def test_predict_prints_a_line_an_image(cli, run, images):
    code, out, err = cli("predict", run, *images)
    assert (code, err) == (0, "")
    for digit, (line, path) in enumerate(zip(out.splitlines(), images, strict=True)):
        assert re.fullmatch(rf"{re.escape(str(path))}: {digit}  \({digit}: [\d.]+%, \d: [\d.]+%, \d: [\d.]+%\)", line)


def test_predict_json(cli, run, images):
    code, out, _ = cli("predict", run, images[1], "--json")
    assert code == 0
    (result,) = json.loads(out)
    assert (result["image"], result["prediction"]) == (str(images[1]), "1")
    shares = list(result["probabilities"].values())
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 10


def test_predict_of_a_number(cli, digits, images, tmp_path):
    changes = ("--set", f"data.source={digits}", "--set", "optimizer.lr=0.001")
    assert cli("run", *changes)[0] == 0
    (folder,) = (tmp_path / "runs").iterdir()
    code, out, _ = cli("predict", folder, images[0])
    assert code == 0
    assert re.fullmatch(rf"{re.escape(str(images[0]))}: -?\d+\.\d+\n", out)


def test_predict_refuses_what_it_cannot_read(cli, run, images, tmp_path):
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    for name, expected in [
        ("text.png", "not an image"),
        ("notes.txt", "expected a name ending in .png"),
        ("none.png", "no such file"),
    ]:
        code, out, err = cli("predict", run, images[0], tmp_path / name)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: {tmp_path / name}: ")
        assert expected in err


def test_predict_needs_an_image_and_a_run(cli, run, images, tmp_path):
    assert cli("predict", run) == (2, "", "error: no file given: treadle predict RUN FILE…\n")
    code, _, err = cli("predict", tmp_path / "none", images[0])
    assert (code, err) == (2, f"error: {tmp_path / 'none'}: not a run folder, for it has no run.json\n")
    (run / "weights.safetensors").unlink()
    code, _, err = cli("predict", run, images[0])
    assert (code, err) == (2, f"error: {run / 'weights.safetensors'}: is missing\n")


def test_show(cli, recipe, tmp_path):
    code, out, err = cli("show", recipe, "--set", "network.preset=mlp")
    assert (code, err) == (0, "")
    toml, table = out.split("\nlayer ", 1)
    (tmp_path / "shown.toml").write_text(toml, encoding="utf-8")
    assert Recipe.read(tmp_path / "shown.toml") == Recipe.read(recipe).change({"network.preset": "mlp"})
    assert re.search(r"^total +8,070 +8,040 +200 B$", table, re.M)
    assert not (tmp_path / "runs").exists()


def test_show_json(cli, recipe):
    code, out, _ = cli("show", recipe, "--json")
    assert code == 0
    shown = json.loads(out)
    assert shown["parameters"] == 7850
    assert [(layer["name"], layer["output"], layer["parameters"]) for layer in shown["layers"]] == [
        ("flatten1", [784], 0),
        ("linear1", [10], 7850),
    ]
    assert Recipe.model_validate(shown["recipe"]) == Recipe.read(recipe)


def test_choices_lists_every_choice(cli):
    code, text, _ = cli("choices")
    assert code == 0
    table = json.loads(cli("choices", "--json")[1])
    for stage, keys in CHOICES.items():
        for key, named in keys.items():
            assert list(table[stage]["choices"][key]) == list(named)
            for name, about in table[stage]["choices"][key].items():
                assert about["is"]
                assert f"    {' '.join([name, *about['settings']])}\n      {about['is']}\n" in text
    assert table["network"]["choices"]["layers"]["linear"]["settings"] == [
        "units",
        "bias=true",
        "weight_init=xavier_uniform",
    ]
    assert list(table["network"]["choices"]["weight_init"]) == list(INITIALIZERS)
    assert table["saving"]["settings"] == ["checkpoint_every=1", "checkpoint_steps=none", "keep=2"]


@pytest.mark.parametrize("command", ["run", "resume", "show", "summary", "predict", "choices"])
def test_help(cli, command):
    code, out, _ = cli("--help")
    assert code == 0
    line = re.search(rf"{command} +(\w.+?) *│", out)
    code, own, _ = cli(command, "--help")
    assert code == 0
    assert line[1][:20] in own
    assert own.startswith(f"Usage: treadle {command}")


def test_version(cli):
    code, out, _ = cli("--version")
    assert code == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", out)


def write_json(path, sets, convert):
    parts = [[convert(part.inputs.reshape(len(part), -1)).tolist(), part.targets.tolist()] for part in sets]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        json.dump(parts, file)


def test_predictions_do_not_depend_on_the_unit_of_the_training_pixels(cli, digits, images, tmp_path):
    sets = load(digits).parts().values()
    found = []
    for name, convert in (("bytes", lambda x: x), ("shares", lambda x: x / 255)):
        source = tmp_path / f"{name}.json.gz"
        write_json(source, sets, convert)
        settings = f"data.source={source}", "network.preset=softmax", "loss.kind=cross_entropy", "optimizer.lr=0.1"
        changes = [part for setting in settings for part in ("--set", setting)]
        code, _, err = cli("run", *changes, "--runs", tmp_path / name)
        assert code == 0, err
        (folder,) = (tmp_path / name).iterdir()
        found.append(json.loads(cli("predict", folder, *images, "--json")[1]))
    for one, other in zip(*found, strict=True):
        assert one["prediction"] == other["prediction"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-4)


def test_units_that_image_files_do_not_have_are_refused(cli, run, images):
    about = json.loads((run / "run.json").read_text(encoding="utf-8"))
    about["data"].update(dtype="float32", range=[-1.0, 1.0])
    (run / "run.json").write_text(json.dumps(about), encoding="utf-8")
    code, _, err = cli("predict", run, *images)
    assert code == 2
    assert "trained on float32 images with values from -1 to 1" in " ".join(err.split())


def test_a_preset_of_scores_needs_a_loss_that_compares_them(cli):
    code, _, err = cli("show", "--set", "network.preset=softmax")
    assert code == 2
    assert "choose the loss cross_entropy" in " ".join(err.split())
