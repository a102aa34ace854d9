import json

ARGUMENTS = ["--steps", "8", "--low", "0.001", "--high", "10", "--set", "optimizer.lr=5"]


def test_rates_are_tried_and_one_is_proposed(cli, recipe, tmp_path):
    picture = tmp_path / "rates.svg"
    code, out, err = cli("lr", recipe, *ARGUMENTS, "--set", "training.seed=3", "--svg", picture)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["learning", "rate", "loss", "steps", "verdict"]
    assert len([line for line in lines if line.endswith(("too small", "right", "too large", "←"))]) == 13
    assert "is proposed: after 8 steps its loss is the lowest" in out
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    proposed = next(line.split()[0] for line in lines if "←" in line)
    assert lines[-1] == f"use it: treadle run {recipe} --set training.seed=3 --set optimizer.lr={float(proposed):g}"
    assert not (tmp_path / "runs").exists()


def test_json_is_one_object(cli, recipe):
    code, out, err = cli("lr", recipe, *ARGUMENTS, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["proposal"] in [trial["lr"] for trial in found["trials"]]
    assert found["recipe"]["optimizer"]["lr"] == 5
    assert all(len(trial["losses"]) <= 8 for trial in found["trials"])


def test_impossible_rates_are_refused(cli, recipe):
    code, out, err = cli("lr", recipe, "--low", "1", "--high", "0.5")
    assert (code, out) == (2, "")
    assert err == "error: low and high should be rates, 0 < low < high, found 1.0 and 0.5\n"


def test_a_picture_that_cannot_be_written_is_told(cli, recipe, tmp_path):
    code, _, err = cli("lr", recipe, *ARGUMENTS, "--svg", tmp_path / "none" / "a.svg")
    assert code == 2
    assert "cannot be written: there is no folder" in err
