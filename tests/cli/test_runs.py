import json
import re
import shutil

import pytest

from treadle.runs.files import locked


@pytest.fixture(scope="module")
def made(tmp_path_factory, digits):
    """A folder of two runs of softmax regression that differ in seed and learning rate; the second began last."""
    from treadle.recipe import Recipe
    from treadle.runs import train

    root = tmp_path_factory.mktemp("made") / "runs"
    recipe = Recipe.baseline().change(
        {
            "data.source": str(digits),
            "data.batch_size": 10,
            "network.preset": "softmax",
            "loss.kind": "cross_entropy",
            "training.epochs": 2,
        }
    )
    for number, lr in enumerate((0.1, 0.3), 1):
        folder = root / f"2024-05-0{number}-101112-softmax"
        folder.mkdir(parents=True)
        changed = recipe.change({"optimizer.lr": lr, "training.seed": number})
        train(changed, changed.load_data(), folder)
        edit(folder, started=f"2024-05-0{number}T10:11:12+00:00")
    return root


@pytest.fixture
def runs(tmp_path, made):
    """The runs, in the folder where the command line looks for them; they may be changed."""
    return shutil.copytree(made, tmp_path / "runs")


ONE, TWO = "2024-05-01-101112-softmax", "2024-05-02-101112-softmax"


def edit(folder, **changes):
    path = folder / "run.json"
    path.write_text(json.dumps(about(folder) | changes), encoding="utf-8")


def about(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def score_of(folder):
    test = about(folder)["test"]
    low, high = test["accuracy_interval"]
    return f"{test['accuracy']:.4f} ({low:.4f}–{high:.4f})"


def listed(cli, *arguments):
    code, out, err = cli("runs", "list", "--json", *arguments)
    assert (code, err) == (0, "")
    return [entry["name"] for entry in json.loads(out)]


# list


def test_table(cli, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = cli("runs")
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert re.split(r"  +", head)[:6] == ["run", "status", "epochs", "val accuracy", "test accuracy (95 %)", "network"]
    assert [line.split()[:3] for line in lines] == [[TWO, "finished", "2/2"], [ONE, "finished", "2/2"]]
    for line, name in zip(lines, (TWO, ONE), strict=True):
        place = head.index("test accuracy")
        assert line[place:].startswith(score_of(runs / name))
        validation = about(runs / name)["history"][about(runs / name)["weights_epoch"] - 1]["validation_accuracy"]
        assert line[head.index("val accuracy") :].split()[0] == f"{validation:.4f}"
        assert ("sgd 0.3" if name == TWO else "sgd 0.1") in line
    assert cli("runs", "list") == (0, out, "")


@pytest.mark.parametrize("width", [20, 40, 80, 100, 130])
def test_table_fits_the_terminal(cli, runs, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    cli("runs", "tag", ONE, "a-rather-long-tag-to-cut", "and-another")
    _, out, _ = cli("runs")
    assert max(map(len, out.splitlines())) <= max(width, len(ONE) + len("  finished"))
    monkeypatch.setenv("COLUMNS", "500")
    head, *rows = (re.split("  +", line) for line in cli("runs")[1].splitlines())
    assert len(head) > len(rows[0])  # there is one note, and no tag in the first row
    for cell in (part for row in rows for part in row):
        assert "".join(cell.split()) in "".join(out.split())


def test_columns_that_do_not_fit_stand_below_their_run(cli, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    cli("runs", "tag", ONE, "good", "kept")
    _, out, _ = cli("runs")
    data = about(runs / ONE)["data"]["name"]
    assert re.split("  +", out.splitlines()[0]) == ["run", "status", "val accuracy", "test accuracy (95 %)"]
    two, one = (part.splitlines() for part in re.split(r"^(?=\S)", out, flags=re.M)[2:])
    for (row, *below), name, tags, lr in ((two, TWO, "", 0.3), (one, ONE, "tags good kept, ", 0.1)):
        assert row.startswith(name)
        assert row.endswith(f"  {score_of(runs / name)}")
        assert all(line.startswith("  ") for line in below)
        told = f"{tags}network softmax, epochs 2/2, data {data}, optimizer sgd {lr}, seconds"
        assert "".join(told.split()) in "".join("".join(below).split())


def test_filters(cli, runs):
    cli("runs", "tag", ONE, "good", "kept")
    cli("runs", "tag", TWO, "good")
    edit(runs / TWO, status="interrupted")
    assert listed(cli) == [TWO, ONE]
    assert listed(cli, "--tag", "good") == [TWO, ONE]
    assert listed(cli, "--tag", "good", "--tag", "kept") == [ONE]
    assert listed(cli, "--status", "interrupted") == [TWO]
    assert listed(cli, "--status", "interrupted", "--status", "finished") == [TWO, ONE]
    data = about(runs / ONE)["data"]
    assert listed(cli, "--data", data["fingerprint"][:8]) == listed(cli, "--data", data["name"]) == [TWO, ONE]
    assert listed(cli, "--data", "cifar10") == []
    code, out, _ = cli("runs", "list", "--tag", "none")
    assert code == 0
    assert "none of the 2 runs in runs is such; status: finished, interrupted; data: " in out
    assert "tags: good, kept" in out


def test_sorted_by_a_validation_figure_best_first(cli, runs):
    for name, loss, accuracy in ((ONE, 0.1, 0.5), (TWO, 0.2, 0.9)):
        record = {"epoch": 1, "train_loss": 1.0, "validation_loss": loss, "validation_accuracy": accuracy, "seconds": 1}
        edit(runs / name, history=[record], weights_epoch=1)
    shutil.copytree(runs / ONE, runs / "unknown")
    edit(runs / "unknown", history=[], weights_epoch=None)
    assert listed(cli, "--sort", "loss") == [ONE, TWO, "unknown"]
    assert listed(cli, "--sort", "accuracy") == [TWO, ONE, "unknown"]
    assert "val loss" in cli("runs", "list", "--sort", "loss")[1]
    code, _, err = cli("runs", "list", "--sort", "acuracy")
    assert code == 2
    assert "no run has this figure: did you mean 'accuracy'? there are accuracy, loss" in err


def test_damaged_run_in_the_table(cli, runs):
    (runs / ONE / "run.json").write_text("{")
    code, out, err = cli("runs")
    assert (code, err) == (0, "")
    assert re.search(rf"^{ONE} +damaged", out, re.M)
    assert f"\n{ONE}: run.json: damaged: " in out


def test_damaged_index_is_told(cli, runs):
    (runs / "index.sqlite").write_text("nothing of SQLite" * 50)
    code, out, err = cli("runs", "--json")
    assert (code, len(json.loads(out))) == (0, 2)
    assert err.startswith("warning: runs/index.sqlite: damaged: ")
    assert cli("runs", "rebuild") == (0, "runs/index.sqlite: 2 runs\n", "")
    assert cli("runs", "rebuild", "--json") == (0, '{"runs": 2, "damaged": 0}\n', "")


def test_no_runs(cli, tmp_path):
    code, _, err = cli("runs")
    assert code == 2
    assert err == (
        "error: runs: there is no such folder of runs: `treadle run` makes one, or name another with --runs\n"
    )
    (tmp_path / "runs").mkdir()
    assert cli("runs") == (0, "no runs in runs yet: `treadle run` trains one\n", "")
    assert cli("runs", "--json") == (0, "[]\n", "")
    assert cli("runs", "show")[2] == "error: runs: has no runs: `treadle run` trains one\n"


# show


def test_show(cli, runs):
    edit(runs / TWO, findings=[{"kind": "small_updates", "step": 9, "layers": ["linear1.weight"], "seen": "little",
                                "means": "slow", "advice": "more"}])  # fmt: skip
    cli("runs", "tag", "last", "kept")
    cli("runs", "note", "last", "the", "second")
    code, out, err = cli("runs", "show")
    assert (code, err) == (0, "")
    found = about(runs / TWO)
    for part in (
        f"runs/{TWO}\n  status     finished\n",
        found["data"]["fingerprint"],
        "  tags       kept\n  note       the second\n",
        (runs / TWO / "recipe.toml").read_text(),
        "! step 9: small updates in linear1.weight: little\n  slow\n  Try more",
        "test set, 10 samples, looked at once:\n",
        "  accuracy {:.4f}, 95 % interval {:.4f} to {:.4f}\n".format(
            found["test"]["accuracy"], *found["test"]["accuracy_interval"]
        ),
        f"system {found['machine']['system']}",
        f"numpy {found['made_with']['numpy']}",
        "checkpoint: 2 epochs and 10 steps done, ",
        f"use it: treadle predict runs/{TWO} IMAGE\ntrain it further: treadle resume runs/{TWO} --epochs 4",
    ):
        assert part in out
    table = out[out.index("epoch  train loss") :].splitlines()
    assert [line.split()[0] for line in table[:3]] == ["epoch", "1", "2"]
    _, out, _ = cli("runs", "show", TWO, "--json")
    values = json.loads(out)
    assert (values["history"], values["test"]) == (found["history"], found["test"])
    assert values["recipe"]["optimizer"]["lr"] == 0.3
    assert [one["epoch"] for one in values["checkpoints"]] == [2, 1]


def test_what_show_says_to_do_next_works(cli, runs):
    _, out, _ = cli("runs", "show", ONE)
    command = re.search(r"^train it further: treadle (.+)$", out, re.M)[1]
    assert cli(*command.split())[0] == 0
    assert "4/4 done" in cli("runs", "show", ONE)[1]


def test_show_of_runs_that_did_not_end(cli, runs):
    edit(runs / ONE, status="running", test=None)
    out = cli("runs", "show", ONE)[1]
    assert "status     killed" in out
    assert "the test set was not looked at" in out
    assert f"go on: treadle resume runs/{ONE}" in out
    with locked(runs / ONE):
        out = cli("runs", "show", ONE)[1]
    assert "status     running" in out
    assert out.endswith("a process trains it at this moment\n")
    edit(runs / ONE, status="failed")
    with (runs / ONE / "log.jsonl").open("a") as file:
        file.write('{"event": "failed", "error": "the loss is nan"}\n{cut')
    assert "status     failed: the loss is nan" in cli("runs", "show", ONE)[1]
    (runs / ONE / "run.json").write_text("[]")
    code, out, _ = cli("runs", "show", ONE)
    assert code == 0
    assert "fault   run.json: damaged" in out
    assert f"remove it: treadle runs delete runs/{ONE}" in out


# diff


def test_diff(cli, runs):
    code, out, err = cli("runs", "diff", ONE, "last")
    assert (code, err) == (0, "")
    assert out.startswith(
        f"1  {ONE}\n2  {TWO}\n\nrecipe         1    2\noptimizer.lr   0.1  0.3\ntraining.seed  1    2\n"
    )
    assert re.search(
        rf"^test accuracy +{re.escape(score_of(runs / ONE))} +{re.escape(score_of(runs / TWO))}$", out, re.M
    )
    words = " ".join(out.split())
    assert "a difference within one pair of runs is no evidence" in words
    assert "several seeds" in words
    for claim in ("better", "best", "wins", "significant"):
        assert claim not in words
    assert "\nother" not in out


def test_diff_tells_other_data_versions_and_machine(cli, runs):
    found = about(runs / ONE)
    edit(
        runs / ONE,
        data={**found["data"], "fingerprint": "0" * 64},
        made_with={**found["made_with"], "numpy": "1.0"},
        machine={**found["machine"], "cores": 999},
    )
    _, out, _ = cli("runs", "diff", ONE, TWO)
    assert "The data differs, so that the scores cannot be compared." in out
    other = out[out.index("\nother") :]
    assert re.search(r"^numpy +1\.0 +\d", other, re.M)
    assert re.search(r"^cores +999 +\d", other, re.M)
    assert f"data fingerprint\n  1  {'0' * 64}\n  2  {about(runs / TWO)['data']['fingerprint']}" in other
    assert "python" not in other
    _, out, _ = cli("runs", "diff", ONE, TWO, "--json")
    values = json.loads(out)
    assert values["recipe"] == {"optimizer.lr": [0.1, 0.3], "training.seed": [1, 2]}
    assert values["runs"] == [ONE, TWO]
    assert set(values["other"]) == {"data fingerprint", "numpy", "cores"}
    assert len(values["cautions"]) == 2
    assert values["scores"]["test accuracy"][1]["value"] == about(runs / TWO)["test"]["accuracy"]


def test_diff_of_the_same_recipe_and_of_too_few(cli, runs):
    shutil.copytree(runs / ONE, runs / "copy")
    assert "the recipes are the same" in cli("runs", "diff", ONE, "copy")[1]
    code, _, err = cli("runs", "diff", ONE, f"runs/{ONE}")
    assert (code, err) == (2, "error: two or more runs are needed to compare: treadle runs diff RUN RUN\n")
    (runs / "copy" / "recipe.toml").unlink()
    code, _, err = cli("runs", "diff", ONE, "copy")
    assert code == 2
    assert "runs/copy: cannot be compared, for it is damaged: recipe.toml: cannot be read" in err


def test_a_test_score_of_earlier_weights_is_marked(cli, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    further = "of epoch: the run was trained further after its test, which is of its weights of that epoch"
    assert further not in cli("runs")[1]
    score = score_of(runs / ONE)
    assert cli("resume", runs / ONE, "--epochs", 4)[0] == 0
    found = about(runs / ONE)
    assert (found["test"]["weights_epoch"], found["weights_epoch"]) == (2, 4)
    _, out, _ = cli("runs")
    assert f"{score} of epoch 2  " in out
    assert out.endswith(f"\n\n{further}\n")
    assert f"{score_of(runs / TWO)}  " in out
    _, out, _ = cli("runs", "diff", ONE, TWO)
    assert f"{score} of epoch 2" in out
    assert f"{ONE} was trained further after its test: its test scores are those of its weights of epoch 2" in " ".join(
        out.split()
    )
    _, out, _ = cli("runs", "diff", ONE, TWO, "--json")
    scores = json.loads(out)["scores"]
    assert [one["of_epoch"] for one in scores["test accuracy"]] == [2, None]
    assert [one["of_epoch"] for one in scores["validation accuracy"]] == [None, None]
    _, out, _ = cli("runs", "show", ONE)
    assert out.count("of epoch 2") == 1


# tag, note, delete, restore


def test_tag_untag_note(cli, runs):
    assert cli("runs", "tag", ONE, "one", "two") == (0, f"runs/{ONE}: tags one two\n", "")
    _, out, _ = cli("runs", "untag", ONE, "one", "--json")
    assert json.loads(out) == {"run": f"runs/{ONE}", "tags": ["two"], "note": ""}
    assert cli("runs", "note", ONE, "why", "it", "was") == (0, f"runs/{ONE}: tags two\n  why it was\n", "")
    assert cli("runs", "note", ONE)[1] == f"runs/{ONE}: tags two\n"
    assert cli("runs", "tag", ONE)[2] == "error: nothing given: treadle runs tag RUN TAG…\n"
    code, _, err = cli("runs", "untag", ONE, "tow")
    assert code == 2
    assert "did you mean 'two'?" in err


def test_delete_and_restore(cli, runs):
    with locked(runs / ONE):
        code, _, err = cli("runs", "delete", TWO, ONE)
    assert code == 2
    assert f"error: runs/{ONE}: is being trained, and nothing was deleted" in err
    assert listed(cli) == [TWO, ONE]
    code, out, _ = cli("runs", "delete", TWO, f"runs/{TWO}", "last")
    assert code == 0
    assert out == f"runs/{TWO} is now runs/.trash/{TWO}\n  bring it back: treadle runs restore {TWO}\n"
    assert listed(cli) == [ONE]
    assert cli("runs", "restore") == (0, f"{TWO}\n", "")
    back = re.search(r"treadle (.+)$", out)[1]
    assert cli(*back.split()) == (0, f"restored as runs/{TWO}\n", "")
    assert listed(cli) == [TWO, ONE]
    assert cli("runs", "restore") == (0, "the trash of runs is empty\n", "")


def test_another_folder_of_runs(cli, runs, tmp_path):
    runs.rename(tmp_path / "kept")
    assert listed(cli, "--runs", "kept") == [TWO, ONE]
    assert cli("runs", "show", f"kept/{ONE}")[0] == 0
    _, out, _ = cli("runs", "delete", "last", "--runs", "kept")
    back = re.search(r"bring it back: treadle (.+)$", out, re.M)[1]
    assert cli(*back.split())[0] == 0
    assert listed(cli, "--runs", "kept") == [TWO, ONE]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["show", "2024-05-02-101112-sofmax"], f"did you mean '{TWO}'?"),
        (["show", "2024"], f"2 runs begin with '2024', {ONE}, {TWO}: write more of the name"),
        (["show", "runs"], "no run is called 'runs'"),
        (["delete"], "nothing given: treadle runs delete RUN…"),
        (["restore", "none"], "has no run 'none': it is empty"),
        (["list", "--status", "ended"], 'Invalid value "ended" for --status'),
        (["lst"], "no command of runs is called 'lst': did you mean 'list'? there are list, show, "),
        (["tag", ONE, "two words"], "'two words' is no tag"),
    ],
)
def test_bad_input_ends_with_a_message_and_code_2(cli, runs, arguments, expected):
    code, out, err = cli("runs", *arguments)
    assert (code, out) == (2, "")
    assert expected in " ".join(err.replace("│", " ").split())


@pytest.mark.parametrize("command", ["list", "show", "diff", "tag", "untag", "note", "delete", "restore", "rebuild"])
def test_help(cli, command):
    code, out, err = cli("runs", command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: treadle runs {command}")
    assert "--json" in out
    assert "--runs" in out
