import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

import treadle as td
from treadle.recipe import Recipe

MODULE = sys.modules["treadle.cli.summary"]  # whose name in the package is that of the command


def test_table_memory_and_time(cli, recipe, tmp_path):
    before = set(tmp_path.rglob("*"))
    code, out, err = cli("summary", recipe, "--set", "network.preset=lenet")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[2].split() == ["conv2d1", "Conv2d(20,", "5,", "padding=2)", "(20,", "28,", "28)", "520", "392,000",
                                "61.2", "KiB"]  # fmt: skip
    assert next(line for line in lines if line.startswith("total")).split() == [
        "total", "20,350", "2,361,800", "172.3", "KiB",
    ]  # fmt: skip
    assert lines[-2].startswith("memory for batches of 10, at least: ")
    assert "optimizer 158.9 KiB" in lines[-2]  # of Adam, two for each of 20,350 parameters of 4 bytes
    assert lines[-1].startswith("time: ")
    assert " an epoch of 5 steps, " in lines[-1]  # 50 of the 60 images are for training
    assert set(tmp_path.rglob("*")) == before


def test_without_time(cli, recipe, monkeypatch):
    monkeypatch.setattr(MODULE, "estimate", None)
    code, out, _ = cli("summary", recipe, "--no-time")
    assert code == 0
    assert "time: " not in out
    assert "time" not in json.loads(cli("summary", recipe, "--no-time", "--json")[1])


def test_json(cli, recipe):
    code, out, err = cli("summary", recipe, "--json", "--set", "resources.threads=2", "--set", "network.preset=lenet")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert Recipe.model_validate(found["recipe"]).network.preset == "lenet"
    assert (found["parameters"], found["multiply_adds"], found["batch_size"]) == (20350, 2361800, 10)
    assert [layer["name"] for layer in found["layers"]][:3] == ["conv2d1", "relu1", "max_pool2d1"]
    memory = found["memory_bytes"]
    assert memory.pop("total") == sum(memory.values())
    time = found["time"]
    assert (time["steps_per_epoch"], time["threads"], time["samples"]) == (5, 2, 50)
    assert time["seconds_per_epoch"] == pytest.approx(5 * time["seconds_per_step"])


def test_json_through_a_pipe(recipe, tmp_path):
    command = [sys.executable, "-m", "treadle", "summary", str(recipe), "--json", "--svg", "network.svg"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=True, env=dict(os.environ)
    )
    assert json.loads(done.stdout)["time"]["seconds_per_step"] > 0
    assert (tmp_path / "network.svg").exists()


def test_the_drawing_is_that_of_python(cli, recipe, tmp_path):
    code, out, _ = cli("summary", recipe, "--no-time", "--svg", tmp_path / "network.svg")
    assert code == 0
    assert out.endswith(f"\ndrawn in {tmp_path / 'network.svg'}\n")
    text = (tmp_path / "network.svg").read_text(encoding="utf-8")
    assert text == td.draw(td.nn.MODELS["softmax"](10), (1, 28, 28))
    ElementTree.fromstring(text)
    code, out, err = cli("summary", recipe, "--no-time", "--svg", tmp_path / "none" / "network.svg")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {tmp_path / 'none' / 'network.svg'}: cannot be written: there is no folder")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (["network.layers=['conv2d 20 5', 'linear 10']"],
         ["[network]: layer linear1, Linear(10): expected samples of shape (features,), found (20, 24, 24)",
          "put a Flatten layer before it"]),
        (["network.layers=['max_pool2d 7', 'conv2d 20 5', 'flatten', 'linear 10']"],
         ["layer conv2d1, Conv2d(20, 5): the window 5×5 is larger than the image, 4×4", "take a smaller window"]),
        (["network.layers=['flatten', 'conv2d 20 5', 'linear 10']"],
         ["layer conv2d1, Conv2d(20, 5): ", "(channels, height, width), found (784,)", "come before Flatten"]),
        (["network.layers=['conv2d 6 3', 'conv2d 8 3 groups=4', 'flatten', 'linear 10']"],
         ["layer conv2d2, Conv2d(8, 3, groups=4): 4 groups must divide the 6 channels", "a divisor of 2"]),
        (["network.layers=['flatten', 'linear 7']"],
         ["the network gives outputs of shape (7,), and CrossEntropy needs (10,)", "10 units"]),
        (["network.layers=['flatten', 'linear 1099511627776', 'linear 10']"], ["GiB are available"]),
        (["optimizer.lr=-1"], ["lr must be at least 0"]),
        (["data.source=./none"], ["'./none' is no known data and no path"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("json_too", [False, True])
def test_what_does_not_fit_ends_with_a_message_and_code_2(cli, recipe, changes, parts, json_too, monkeypatch):
    monkeypatch.setattr(MODULE, "estimate", None)  # nothing is trained
    arguments = [part for change in changes for part in ("--set", change)] + ["--json"] * json_too
    code, out, err = cli("summary", recipe, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    for part in parts:
        assert part in err


def test_ctrl_c_while_time_is_taken(cli, recipe, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(MODULE, "estimate", stop)
    code, out, err = cli("summary", recipe)
    assert (code, err) == (130, "interrupted\n")
    assert "total" in out
