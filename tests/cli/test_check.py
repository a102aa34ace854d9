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
    assert {"severity", "where", "message", "rows", "advice", "places"} == set(found["findings"][0])


def test_findings_name_lines_of_the_file(cli, tmp_path):
    draws = np.random.default_rng(0)
    rows = [f"{a:.4f},{b:.4f},{'yes' if a > 0 else 'no'}" for a, b in draws.normal(size=(200, 2))]
    rows[41] = "9e5,0,yes"
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["a,b,came", *rows]), encoding="utf-8")
    assert path.read_text(encoding="utf-8").splitlines()[43 - 1].startswith("9e5")
    code, out, _ = cli("check", path, "--json")
    outliers = [one for one in json.loads(out)["findings"] if "outlier" in one["message"] or "far" in one["message"]]
    assert code == 1
    assert [one["places"] for one in outliers] == [["line 43"]]
    _, out, _ = cli("check", path)
    assert "(line 43)" in " ".join(out.split()).replace("(line 43 )", "(line 43)")


def test_missing_values_are_found_and_what_to_do_with_them(cli, tmp_path):
    draws = np.random.default_rng(0)
    rows = [[f"{draws.normal():.4f}", f"{20 + n}", "AB"[n % 2], "yes" if n % 2 else "no"] for n in range(60)]
    for number, column in ((3, 1), (8, 1), (30, 1), (12, 2), (40, 3), (41, 3)):
        rows[number][column] = ""
    (tmp_path / "people.csv").write_text(
        "\n".join(["a,age,town,came", *(",".join(row) for row in rows)]), encoding="utf-8"
    )
    code, out, err = cli("check", "people.csv", "--json")
    assert (code, err) == (1, "")
    told = json.loads(out)
    assert sum(told["samples"].values()) == 58  # without those that have no target
    found = {one["message"]: one for one in told["findings"] if "no value" in one["message"]}
    assert list(found) == [
        "the target 'came' has no value in 2 of 60 rows",
        "'age' has no value in 3 of 60 rows",
        "'town' has no value in 1 of 60 rows",
    ]
    target, age, town = found.values()
    assert {one["severity"] for one in found.values()} == {"error"}
    assert (age["where"], age["rows"], age["places"]) == ("data", [3, 8, 30], ["line 5", "line 10", "line 32"])
    assert (target["rows"], town["places"]) == ([40, 41], ["line 14"])
    assert "state a policy with missing, one of mean, median, most_frequent" in age["advice"]
    assert "the median of the training rows stands in for it" in age["advice"]
    assert "the most frequent word of the training rows stands in for it" in town["advice"]
    assert target["advice"] == "fill it in, or leave these rows out, as this look does"
    code, out, err = cli("check", "people.csv")
    assert (code, err) == (1, "")
    assert "distribution" in out  # the rest is looked at as well
    assert "state a policy" in " ".join(out.split())
    code, out, _ = cli("check", "people.csv", "--set", "data.missing=mean", "--json")
    by_severity = {one["message"]: one["severity"] for one in json.loads(out)["findings"]}
    assert by_severity["the target 'came' has no value in 2 of 60 rows"] == "error"
    assert by_severity["'age' has no value in 3 of 60 rows"] == "note"
    code, _, err = cli("run", "--set", "data.source=people.csv")
    assert code == 2
    assert "line 42: the target 'came' has no value: leave such rows out" in err


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


def test_data_with_errors_is_told_and_not_drawn(cli, tmp_path):
    path, x = tmp_path / "a.npz", np.random.default_rng(0).normal(size=(60, 3))
    x[5, 1] = np.nan
    np.savez(path, x=x, y=np.arange(60) % 2)
    code, out, err = cli("check", path, "--svg", tmp_path / "a.svg")
    assert (code, err) == (1, "")
    assert "no sheet is shown" in out
    assert "has the input nan" in " ".join(out.split())
    assert not (tmp_path / "a.svg").exists()


def test_odd_numbers_are_drawn(cli, tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 4))
    x[:, 0], x[:, 1] = 10**17 + np.arange(60), 1.7e308 * np.sign(x[:, 1])
    for values in (x, x > 0, np.zeros((60, 7, 3, 3)) + np.arange(60)[:, None, None, None]):
        np.savez(tmp_path / "a.npz", x=values, y=np.arange(60) % 2)
        code, out, err = cli("check", tmp_path / "a.npz", "--svg", tmp_path / "a.svg")
        assert (code in (0, 1), err) == (True, "")
        assert "distribution" in out


def test_settings_of_the_data_are_told_as_in_recipes(cli, tmp_path):
    path = write(tmp_path / "people.csv")
    for change, message in (
        ("data.missing=foo", "data.missing is 'foo': expected 'error', 'mean', 'median' or 'most_frequent'"),
        ("data.channels=2", "data.channels is 2: expected 1 or 3"),
        ("data.size=[32]", "size should have 2 values, found [32]"),
        ("data.size=[32,32,3]", "size should have 2 values, found [32, 32, 3]"),
        ('data.augment=["shift 100000000000000000000"]', "pixels must be from 0 to 4096"),
    ):
        code, out, err = cli("check", path, "--set", change)
        assert (code, out) == (2, "")
        assert message in err
