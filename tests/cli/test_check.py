import json

import numpy as np


def write(path, size=80):
    draws = np.random.default_rng(0)
    rows = [
        f"{n},{draws.normal():.4f},{draws.normal():.4f},{'yes' if draws.random() < 0.5 else 'no'}" for n in range(size)
    ]
    path.write_text("\n".join(["id,a,b,came", *rows, rows[3]]), encoding="utf-8")
    return path


def test_findings_as_a_table_and_as_json(cli, tmp_path):
    path = write(tmp_path / "people.csv")
    code, out, err = cli("check", path)
    assert (code, err) == (1, "")
    assert "validation" in out
    assert "exact duplicates" in " ".join(out.split()) or "as well" in " ".join(out.split())
    code, out, err = cli("check", path, "--json")
    assert (code, err) == (1, "")
    found = json.loads(out)
    assert sum(found["samples"].values()) == 81
    assert {"severity", "where", "message", "rows", "advice"} == set(found["findings"][0])


def test_clean_data_ends_with_0(cli, recipe):
    code, out, _ = cli("check", "wine")
    assert (code, out.splitlines()[-1]) == (0, "nothing found")
    assert "alcohol" in out
    code, out, _ = cli("check", "digits")
    assert code == 0
    assert "note" in out
    code, _, err = cli("check", recipe)
    assert (code, err) == (1, "")  # few digits of each class


def test_a_sheet_is_shown_and_drawn(cli, tmp_path):
    picture = tmp_path / "sheet.svg"
    code, out, err = cli("check", "digits", "--svg", picture)
    assert (code, err) == (0, "")
    assert "distribution" in out
    assert out.count(", target ") == 3
    assert out.splitlines()[-1] == f"drawn in {picture}"
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    code, out, err = cli("check", "digits", "--svg", tmp_path / "none" / "a.svg")
    assert (code, out) == (2, "")
    assert "there is no folder" in err


def test_what_cannot_be_read_ends_with_2(cli, tmp_path):
    path = write(tmp_path / "people.csv")
    for arguments, message in (
        ([tmp_path / "none.csv"], "no such file"),
        ([path, "--set", "data.target=cam"], "no column is called 'cam': did you mean 'came'"),
        (["winee"], "did you mean 'wine'"),
    ):
        code, out, err = cli("check", *arguments)
        assert (code, out) == (2, "")
        assert message in err
