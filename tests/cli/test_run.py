import gzip
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import small_public
import treadle.cli.options
from treadle.data import PUBLIC, load
from treadle.recipe import CHOICES, Recipe
from treadle.runs import load as load_run

pytestmark = pytest.mark.slow


def test_text_report(cli, recipe, tmp_path, digits):
    code, out, err = cli("run", recipe)
    assert (code, err) == (0, "")
    assert "flatten1" in out
    assert "7,850" in out
    head = "epoch  train loss  validation loss  validation accuracy  seconds  waited"
    table = out[out.index(head) :].splitlines()
    assert [line.split()[0] for line in table[1:4]] == ["1", "2", "3"]
    assert all(len(line) == len(head) for line in table[:4])
    found = re.search(r"accuracy (\d\.\d{4}), 95 % interval (\d\.\d{4}) to (\d\.\d{4})", out)
    accuracy, low, high = map(float, found.groups())
    assert 0 <= low <= accuracy <= high <= 1
    assert "test set, 10 samples, looked at once" in out
    (folder,) = (tmp_path / "runs").iterdir()
    assert f"saved in {Path('runs') / folder.name}" in out
    assert f"next: a hidden layer\n  treadle run --set data.source={digits} --set network.preset=mlp_relu" in out
    assert "\x1b" not in out
    run = load_run(folder, load(digits))
    assert run.test()["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["test"]["accuracy"] == run.test()["accuracy"]


def test_advice_runs(cli, digits):
    """What a run says to try next is a command that works, up to the last rung."""
    arguments, rungs = ["--set", f"data.source={digits}"], 0
    while arguments is not None:
        assert rungs < 5
        code, out, err = cli("run", *arguments)
        assert (code, err) == (0, "")
        advice = re.search(r"^next: .+\n  treadle run (.+)$", out, re.M)
        arguments = advice and advice[1].split()
        rungs += 1
    assert rungs == 4


def test_no_advice_of_images_for_a_table(cli):
    changes = {
        "data.source": "wine",
        "network.preset": "softmax",
        "loss.kind": "cross_entropy",
        "data.scale": "standard",
    }
    _, out, _ = cli("run", *(part for key, value in changes.items() for part in ("--set", f"{key}={value}")))
    assert "next: " not in out
    assert re.search(r"^use it: treadle predict runs/\S+ ROWS\.csv$", out, re.MULTILINE)


def test_json_lines(cli, recipe, tmp_path):
    code, out, err = cli("run", recipe, "--json", "--runs", tmp_path / "elsewhere" / "kept")
    assert (code, err) == (0, "")
    start, *epochs, end = map(json.loads, out.splitlines())
    assert start["event"] == "start"
    assert start["parameters"] == 7850
    assert Recipe.model_validate(start["recipe"]) == Recipe.read(recipe)
    assert [(line["event"], line["epoch"]) for line in epochs] == [("epoch", 1), ("epoch", 2), ("epoch", 3)]
    assert epochs[2]["train_loss"] < epochs[0]["train_loss"]
    assert end["event"] == "end"
    assert end["test"]["accuracy_interval"][0] <= end["test"]["accuracy"]
    assert Path(end["folder"]).parent == tmp_path / "elsewhere" / "kept"


FAULTY = ("--set", "optimizer.lr=3.0", "--set", "training.epochs=20", "--set", "data.scale=none")


def test_findings_are_told_and_kept(cli, recipe):
    code, out, _ = cli("run", recipe, *FAULTY)
    assert code == 0
    (told,) = (
        number for number, line in enumerate(out.splitlines()) if line.startswith("! step 16: high learning rate")
    )
    assert [line[:6] for line in out.splitlines()[told + 1 : told + 3]] == ["  The ", "  Try "]
    _, out, _ = cli("run", recipe, *FAULTY, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    (finding,) = (line for line in lines if line["event"] == "finding")
    assert (finding["kind"], finding["step"], finding["layers"]) == ("high_learning_rate", 16, [])
    kept = load_run(lines[-1]["folder"]).findings
    assert [one.to_dict() for one in kept] == [{key: finding[key] for key in finding if key != "event"}]
    _, out, _ = cli("run", recipe, *FAULTY, "--set", "training.diagnose=false", "--json")
    assert "finding" not in [json.loads(line)["event"] for line in out.splitlines()]


def test_set_changes_the_recipe(cli, recipe):
    changes = ("--set", "training.epochs = 1", "--set=optimizer.lr=0", "--set", 'training.metrics=["accuracy"]')
    code, out, _ = cli("run", recipe, "--json", *changes)
    assert code == 0
    start, epoch, _ = map(json.loads, out.splitlines())
    assert start["recipe"]["training"] == {
        "epochs": 1,
        "seed": 0,
        "metrics": ["accuracy"],
        "diagnose": True,
        "evaluate_train": False,
    }
    assert epoch["validation_loss"] > 1


def test_same_seed_gives_the_same_run(cli, recipe):
    def weights(*arguments):
        _, out, _ = cli("run", recipe, "--json", *arguments)
        return load_run(json.loads(out.splitlines()[-1])["folder"]).parameters["linear1"]["weight"]

    np.testing.assert_array_equal(weights(), weights())
    assert (weights() != weights("--set", "training.seed=1")).any()


def test_run_and_recipe_of_a_folder_can_be_run_again(cli, recipe, tmp_path):
    cli("run", recipe)
    (folder,) = (tmp_path / "runs").iterdir()
    assert cli("run", folder / "recipe.toml", "--set", "optimizer.kind=sgd")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "none.toml"], "error: none.toml: cannot be read: No such file or directory"),
        (["run", "."], "error: .: cannot be read: Is a directory"),
        (["show", "none.toml"], "error: none.toml: cannot be read"),
        (["run", "--set", "optimizer.lr"], "error: --set optimizer.lr: expected stage.key=value, such as"),
        (["run", "--set", "lr=1"], "'lr' is not stage.key, such as optimizer.lr"),
        (["run", "--set", "optimizer.lrr=1"], "unknown key 'lrr' in [optimizer]: did you mean 'lr'?"),
        (["run", "--set", "optimizer.lr=fast"], "optimizer.lr should be a valid number, found 'fast'"),
        (["run", "--set", "data.batch_size='100'"], "data.batch_size should be a valid integer, found '100'"),
        (["run", "--set", "optimizer.lr=1", "--set", "optimizer.lr=2"], "optimizer.lr is set twice"),
        (["run", "--set", "=1"], "'' is not stage.key"),
        (["run", "--set", "optimizer.lr=-1"], "lr must be at least 0 and below inf, found -1"),
        (["run", "--set", "data.source=minst"], "did you mean 'mnist'?"),
        (["run", "--set", "data.source=./none"], "error: './none' is no known data and no path. Known: mnist,"),
        (["run", "--set", "data.source=."], "expected a folder of images for each class, or MNIST's files"),
        (["run", "--set", "data.source=notes.txt"], "notes.txt: a file of this kind cannot be read"),
        (["run", "--set", "loss.kind=cross_entropy"], "line 9: [network]: the preset 'baseline'"),
        (["run", "--set", "network.layers=['linear 1']"], "layer linear1"),
        (["run", "--set", "network.layers=['flatten', 'linear 3']"], "the network gives outputs of shape (3,)"),
        (["run", "--set", "network.layers=['flatten', 'linear 1099511627776', 'linear 1']"], "GiB, and "),
        (["show", "--set", "network.layers=['flatten', 'linear 1099511627776', 'linear 1']"], "GiB, and "),
        (["run", "--set", f"network.layers=['flatten', 'linear {2**200}', 'linear 1']"], "GiB, and "),
        (["show", "--set", "network.layers=['flatten', 'linear 3']"], "the network gives outputs of shape (3,)"),
        (["run", "--set", "training.metrics=['squared_error']", "--set", "loss.kind=cross_entropy",
          "--set", "network.preset=softmax"], "the metric squared_error compares numbers"),
        (["run", "--set", "optimizer.lr=1e30", "--set", "data.batch_size=1"], "lower the learning rate"),
        (["run", "--bogus"], "Unknown option"),
        (["rnu"], 'Did you mean "run"?'),
        (["run", "a.toml", "b.toml"], "Unused Tokens: ['b.toml']"),
        (["run", "--set"], "requires an argument"),
        (["predict"], "requires an argument"),
    ],
)  # fmt: skip
def test_bad_input_ends_with_a_message_and_code_2(cli, digits, tmp_path, arguments, expected):
    (tmp_path / "notes.txt").write_text("notes", encoding="utf-8")
    if "data.source" not in " ".join(arguments) and arguments[0] in ("run", "show"):
        arguments = [*arguments, "--set", f"data.source={digits}"]
    code, out, err = cli(*arguments)
    assert code == 2
    assert expected in " ".join(err.replace("│", " ").split())
    assert "saved" not in out
    assert not list(tmp_path.glob("runs/*"))


def test_memory_is_estimated_before_allocation(cli, digits):
    arguments = [
        "--set",
        f"data.source={digits}",
        "--set",
        "network.layers=['flatten', 'linear 1099511627776', 'linear 1']",
    ]
    _, _, err = cli("show", *arguments)
    # (784 + 1 + 1) · 2⁴⁰ + 1 numbers of 4 bytes, and those of the largest once more in 8 while they are made
    assert f"{(784 + 1 + 1) * 2**40 + 1:,} parameters" in err
    assert f"{((784 + 1 + 1) * 2**42 + 784 * 2**43) // 2**30:,}.0 GiB" in err
    assert "linear1.weight" in err


@pytest.mark.parametrize("stems", [["t10k-labels-idx1"], ["train-images-idx3"]])
def test_damaged_data_is_named(cli, digits, tmp_path, stems):
    folder = tmp_path / "damaged"
    folder.mkdir()
    for path in digits.iterdir():
        content = path.read_bytes()
        cut = any(stem in path.name for stem in stems)
        (folder / path.name).write_bytes(content[: len(content) // 2] if cut else content)
    code, _, err = cli("run", "--set", f"data.source={folder}")
    assert code == 2
    assert err.startswith(f"error: {folder / stems[0]}-ubyte.gz")


def test_runs_folder_that_cannot_be_made(cli, recipe, tmp_path):
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    code, _, err = cli("run", recipe, "--runs", tmp_path / "taken")
    assert code == 2
    assert f"error: {tmp_path / 'taken'}" in err
    assert "cannot be made: " in err
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "a file"


def test_folder_that_can_no_longer_be_written_is_named(cli, recipe, monkeypatch):
    def fail(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    code, _, err = cli("run", recipe)
    assert code == 2
    assert re.match(r"error: runs/\S+-softmax: the run cannot be saved: No space left on device", err)
    assert not list(Path("runs").iterdir())


def test_training_that_fails_later_says_where_the_epochs_before_are(cli, digits, tmp_path):
    code, _, err = cli("run", "--set", f"data.source={digits}", "--set", "optimizer.lr=1e30")
    assert code == 2
    (folder,) = (tmp_path / "runs").iterdir()
    assert err.startswith("error: the loss is ")
    assert err.endswith(f"\n  the run up to its last checkpoint is saved in {Path('runs') / folder.name}\n")
    assert len(load_run(folder).history) == 1


def test_stop_before_training_is_told(cli, recipe, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(treadle.cli.options.Recipe, "read", stop)
    assert cli("run", recipe) == (130, "", "interrupted\n")


# the process

COMMAND = [sys.executable, "-m", "treadle"]
# what starts the tests may ignore Ctrl-C, as a shell does in the background, and its children then do as well
INTERRUPTIBLE = [
    *(sys.executable, "-c"),
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from treadle.cli import main; main()",
]
posix = pytest.mark.skipif(os.name == "nt", reason="signals and named pipes are those of POSIX")


def process(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        **options,
    )


def test_module_is_the_command(recipe, tmp_path):
    done = process("run", recipe, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)
    assert "saved in runs" in done.stdout
    failed = process("run", "none.toml", cwd=tmp_path)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == "error: none.toml: cannot be read: No such file or directory\n"


def test_source_that_is_not_utf8_is_refused(tmp_path):
    done = process("run", "--set", b"data.source=\xff".decode("utf-8", "surrogateescape"), cwd=tmp_path)
    assert done.returncode == 2
    assert "data.source: a recipe is UTF-8" in done.stderr
    assert "Traceback" not in done.stderr


@posix
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_interrupt_saves_the_run(recipe, tmp_path, form):
    command = [*INTERRUPTIBLE, "run", str(recipe), "--set", "training.epochs=1000000", *form]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as running:
        seen = ""
        for line in running.stdout:
            seen += line
            if '"epoch": 2' in line or re.match(r" +2  ", line):
                break
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err
    (folder,) = (tmp_path / "runs").iterdir()
    last = out.splitlines()[-1]
    if form:
        assert json.loads(last)["event"] == "interrupted"
        assert json.loads(last)["folder"] == f"runs/{folder.name}"
        steps = json.loads(last)["steps"]
    else:
        assert out.splitlines()[-2] == f"saved in runs/{folder.name}; the test set was not looked at"
        assert last == f"go on: treadle resume runs/{folder.name}"
        steps = int(re.search(r"^stopped in epoch \d+ of 1000000, after (\d+) steps in all$", out, re.MULTILINE)[1])
    run = load_run(folder)
    assert run.step == steps >= 10
    assert len(run.history) >= 2
    assert run.predict(np.zeros((1, 1, 28, 28), np.uint8)).shape == (1, 10)
    files = {"recipe.toml", "run.json", "weights.safetensors", "checkpoints", "log.jsonl", "lock"}
    assert {path.name for path in folder.iterdir()} == files


@posix
def test_interrupt_before_training(recipe, tmp_path):
    """Ctrl-C while a recipe is read, from a pipe that nobody writes to."""
    os.mkfifo(tmp_path / "pipe")
    command = [*INTERRUPTIBLE, "run", "pipe"]
    with (
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running,
        (tmp_path / "pipe").open("w"),  # opens when the command reads it
    ):
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "interrupted\n")
    assert not (tmp_path / "runs").exists()


def unread(*arguments, cwd, **options):
    """Run a command whose output nobody reads."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stdout:
        options = {"stderr": subprocess.PIPE, **options}
        if options["stderr"] == subprocess.STDOUT:
            options["stderr"] = stdout
        command = [*COMMAND, *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, stdout=stdout, text=True, timeout=120, check=False, **options)


@pytest.mark.parametrize("command", [["choices"], ["check", "wine"], ["check", "digits"]])
def test_reader_that_goes_away(command, tmp_path):
    """As in `treadle choices | head -1`, whose reader leaves early: no traceback."""
    done = unread(*command, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_run_goes_on_when_nobody_reads_its_output(recipe, tmp_path, form):
    """As in `treadle run | head -1`: the run is what matters."""
    arguments = ["run", str(recipe), *form]
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout.readline()
        running.stdout.close()
        err = running.stderr.read()
    assert running.returncode == 0
    assert err == "nobody reads the output any more: it is dropped, and the run goes on\n"
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"] == "finished"
    assert load_run(folder).tested is not None
    done = unread("resume", folder, "--epochs", "4", *form, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, err)
    assert len(load_run(folder).history) == 4


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_nobody_reads_output_nor_errors(recipe, tmp_path, form):
    """As in `treadle run 2>&1 | head -1`."""
    done = unread("run", recipe, *form, cwd=tmp_path, stderr=subprocess.STDOUT)
    assert done.returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert load_run(folder).tested is not None
    assert unread("run", "none.toml", cwd=tmp_path, stderr=subprocess.STDOUT).returncode == 2


@posix
def test_interrupt_of_a_run_whose_output_nobody_reads(recipe, tmp_path):
    command = [*INTERRUPTIBLE, "run", str(recipe), "--set", "training.epochs=1000000", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as running:
        next(line for line in running.stdout if '"epoch": 2' in line)
        running.stdout.close()
        assert "it is dropped, and the run goes on" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        err = running.stderr.read()
    assert (running.returncode, err) == (130, "")
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"] == "interrupted"


@pytest.mark.parametrize("split", ["random", "stratified", "grouped"])
def test_a_table_is_trained_on(cli, split):
    rows = [f"{n},{'AB'[n % 2]},{20 + n if n % 7 else ''},{['no', 'yes'][n % 2]},{n % 9}" for n in range(60)]
    Path("people.csv").write_text("\n".join(["id,town,age,came,place", *rows]), encoding="utf-8")
    text = f"{split} place" if split == "grouped" else split
    arguments = [
        *("--set", "data.source=people.csv", "--set", 'data.ignore=["id"]', "--set", "data.target=came"),
        *("--set", "network.preset=softmax", "--set", "loss.kind=cross_entropy", "--set", "data.batch_size=10"),
    ]
    code, out, err = cli("run", *arguments, "--set", f"data.split={text}")
    assert (code, out) == (2, "")
    assert err.startswith(
        "error: people.csv: line 2, and 8 more: 'age' has no value: fill it in, or state a policy with missing"
    )
    code, out, err = cli("run", *arguments, "--set", f"data.split={text} test=0.3", "--set", "data.missing=median")
    assert (code, err) == (0, "")
    assert f"split: {split}" in out.splitlines()[1]
    folder = next(line.removeprefix("saved in ") for line in out.splitlines() if line.startswith("saved in"))
    kept = json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))["data"]["encoding"]["features"]
    assert (kept[0]["column"], kept[0]["categories"]) == ("town", ["A", "B"])
    assert kept[0]["fill"] in ("A", "B")
    assert [one.column for one in load_run(folder).encoding.features] == [one["column"] for one in kept]
    assert kept[1]["fill"] > 20
    code, _, err = cli("predict", folder, "x.png")
    assert code == 2
    assert "x.png: is an image, and the run was trained on a table of" in err
    code, _, err = cli("run", *arguments, "--set", "data.split=halves")
    assert code == 2
    assert "no split is called 'halves'" in err


@pytest.mark.parametrize(
    ("setting", "name"),
    [(k, n) for s, ks in CHOICES.items() for k in [f"{s}.{x}" for x in ks] for n in ks[k.split(".")[1]]],
)
def test_every_choice_works(cli, digits, zeros_and_ones, tmp_path, monkeypatch, setting, name):
    changes = {"data.source": str(digits), "training.epochs": 1, "data.batch_size": 10, "optimizer.lr": 0.001}
    value = name
    if name == "cross_entropy" or name in ("softmax", "mlp", "mlp_relu"):
        changes |= {"network.preset": "softmax", "loss.kind": "cross_entropy"}
    if name == "binary_cross_entropy":
        changes["data.source"] = str(zeros_and_ones)
    if setting == "network.layers":
        layers = {
            "flatten": ["flatten"],
            "linear": ["flatten", "linear 5"],
            "conv2d": ["conv2d 2 3", "flatten"],
            "max_pool2d": ["max_pool2d 4", "flatten"],
            "avg_pool2d": ["avg_pool2d 4", "flatten"],
            "global_avg_pool2d": ["global_avg_pool2d"],
            "dropout": ["flatten", "dropout 0.5"],
        }.get(name, ["flatten", "linear 5", name])
        value = [*layers, "linear 1"]
        changes.pop("network.preset", None)
        changes.pop("loss.kind", None)
    if setting == "training.metrics":
        value = [name]
        if name.startswith("top"):
            changes |= {"network.preset": "softmax", "loss.kind": "cross_entropy"}
    if setting == "data.augment":
        value = [
            name + {"shift": " 2", "rotate": " 10", "flip": " vertical=true", "noise": " 0.1", "erase": " 5"}[name]
        ]
    if setting == "optimizer.schedule":
        needs = {
            "step": " 1",
            "exponential": " 0.5",
            "polynomial": " 2",
            "cosine": " 2",
            "warmup": " 2",
            "one_cycle": " 9",
        }
        value = [name + needs.get(name, "")]
    if setting == "data.split":
        test_a_table_is_trained_on(cli, name)
        return
    if setting == "data.source":
        if name in PUBLIC:  # stand-ins, for the published files have to be downloaded; test_public.py trains on them
            files = small_public.contents()
            small_public.install(monkeypatch, tmp_path, files)
            small_public.write(tmp_path, files)
        assert (load(name).train.classes is None) == (name == "diabetes")
        return
    if setting == "training.averaging":
        value = name + {"ema": " 0.9", "swa": " 1"}[name]
    if setting == "saving.log_to":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        value = [name]
    if setting == "data.worker_kind":
        changes |= {"data.prefetch": 2, "data.workers": 2}
    changes[setting] = value
    arguments = [part for key, v in changes.items() for part in ("--set", f"{key}={json.dumps(v)}")]
    code, out, err = cli("run", "--json", *arguments)
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    _, epoch, end = (line for line in lines if line["event"] != "finding")
    assert np.isfinite(epoch["train_loss"])
    run = load_run(end["folder"])
    assert run.predict(np.zeros((2, 1, 28, 28), np.uint8)).shape[0] == 2
    if setting == "training.metrics":
        assert [metric.name for metric in run.metrics] == [name]
        assert name in end["test"]


def test_warnings_about_the_data_are_shown(cli, tmp_path, recipe):
    rng = np.random.default_rng(0)
    parts = [[rng.integers(0, 256, (20, 784)).tolist(), [3] * 20] for _ in range(3)]
    with gzip.open(tmp_path / "odd.json.gz", "wt", encoding="utf-8") as file:
        json.dump(parts, file)
    arguments = ["run", recipe, "--set", f"data.source={tmp_path / 'odd.json.gz'}", "--runs", tmp_path / "runs"]
    assert "warning: train: no sample of class" in cli(*arguments)[1]
    assert "no sample of class" in json.loads(cli(*arguments, "--json")[1].splitlines()[0])["warnings"][0]


def test_layers_that_do_not_fit_name_the_line(cli, tmp_path):
    path = tmp_path / "bad.toml"
    text = "[network]\nlayers = ['linear 10']\n\n[loss]\nkind = 'cross_entropy'\n\n[optimizer]\nkind = 'sgd'\nlr = 1\n"
    path.write_text(text, encoding="utf-8")
    for arguments in ([], ["--set", "optimizer.lr=0.1"]):
        code, _, err = cli("show", path, *arguments)
        assert code == 2
        assert f"{path}, line 2: [network]: layer linear1" in err
