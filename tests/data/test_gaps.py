"""Missing values as findings, in place of an error."""

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from treadle.data import Gaps, GroupedSplit, Table, examine, from_table, load
from treadle.errors import DataError


def table(**columns):
    made = {}
    for name, values in columns.items():
        words = any(isinstance(value, str) for value in values)
        made[name] = np.array(values, object) if words else np.array(values, float)
    return Table("t", made, np.arange(len(values)) + 2)


def few(count=40, **changes):
    """Rows with a number, a word, a group and a target."""
    rng = np.random.default_rng(0)
    columns = {
        "x": rng.normal(size=count).tolist(),
        "word": ["ab"[n % 2] for n in range(count)],
        "group": [f"g{n // 4}" for n in range(count)],
        "y": rng.normal(size=count).tolist(),
    }
    for name, (rows, value) in changes.items():
        for row in rows:
            columns[name][row] = value
    return table(**columns)


def test_without_gaps_the_sets_are_the_same():
    findings = []
    with_gaps, plain = from_table(few(), missing=Gaps("error", findings)), from_table(few())
    assert findings == []
    assert with_gaps.fingerprint() == plain.fingerprint()
    assert with_gaps.encoding == plain.encoding
    huge = table(x=[1.7e308] * 20, y=range(20))  # of which there is no mean
    assert from_table(huge, missing=Gaps("error", [])).fingerprint() == from_table(huge).fingerprint()


@pytest.mark.parametrize("policy", ["mean", "median", "most_frequent"])
def test_with_a_policy_the_sets_are_those_of_training(policy):
    holed = few(x=([3, 9], np.nan), word=([5], ""))
    findings = []
    sets = from_table(holed, missing=Gaps(policy, findings))
    assert sets.fingerprint() == from_table(holed, missing=policy).fingerprint()
    assert [(one.severity, one.message, one.rows) for one in findings] == [
        ("note", "'x' has no value in 2 of 40 rows", (3, 9)),
        ("note", "'word' has no value in 1 of 40 rows", (5,)),
    ]
    assert policy.replace("_", " ") in findings[0].advice


def test_rows_without_target_or_group_are_left_out_and_the_others_keep_their_lines():
    holed = few(y=([0, 1], np.nan), group=([7], ""))
    findings = []
    sets = from_table(holed, target="y", split=GroupedSplit("group"), missing=Gaps("error", findings))
    assert [one.message for one in findings] == [
        "the group 'group' has no value in 1 of 40 rows",
        "the target 'y' has no value in 2 of 40 rows",
    ]
    lines = {}
    for part in sets.parts().values():
        for row in range(len(part)):
            lines[part.places.name(row)] = part.targets[row]
    assert lines == {f"line {n + 2}": holed.columns["y"][n] for n in range(40) if n not in (0, 1, 7)}
    assert all(one.severity != "error" for one in examine(sets))


def test_a_column_without_a_value_in_training_is_left_out():
    findings = []
    sets = from_table(few(x=(range(40), np.nan)), missing=Gaps("error", findings), target="y")
    assert sets.encoding.names == ["word=a", "word=b", *(f"group=g{n}" for n in range(10))]
    assert [one.advice for one in findings] == ["leave it out with ignore: no training row has a value"]
    with pytest.raises(DataError, match="t: no column has a value to predict 'y' from"):
        from_table(table(x=[np.nan] * 9, y=range(9)), missing=Gaps("error", []))
    with pytest.raises(DataError, match="t: no row has a value for the target 'y'"):
        from_table(table(x=range(9), y=[np.nan] * 9), missing=Gaps("error", []))


def test_classes_are_those_of_the_rows_that_have_one():
    classes = ["", *("no", "yes") * 20]
    sets = from_table(table(x=range(41), y=classes), missing=Gaps("error", []))
    assert sets.train.classes == ("no", "yes")
    with pytest.raises(DataError, match=r"t: line 3: the target 'y' is 0\.5, and classes are"):
        from_table(table(x=range(20), y=[np.nan, 0.5, *range(18)]), classes=True, missing=Gaps("error", []))


@pytest.mark.parametrize("stream", [False, True])
def test_parquet(tmp_path, stream):
    x, y = [None if n == 4 else n / 40 for n in range(40)], [None if n in (6, 9) else float(n) for n in range(40)]
    parquet.write_table(pyarrow.table({"x": x, "z": [0.5, 1.5] * 20, "y": y}), tmp_path / "a.parquet", row_group_size=7)
    findings = []
    sets = load(tmp_path / "a.parquet", stream=stream, findings=findings)
    assert [(one.message, one.places) for one in findings] == [
        ("the target 'y' has no value in 2 of 40 rows", ("row 6", "row 9")),
        ("'x' has no value in 1 of 40 rows", ("row 4",)),
    ]
    targets = np.sort(np.concatenate([part.targets for part in sets.parts().values()]))
    assert targets.tolist() == [n for n in range(40) if n not in (6, 9)]
    for part in sets.parts().values():
        known = part.targets != 4
        np.testing.assert_allclose(part.inputs[:][known, 0], part.targets[known] / 40)
    with pytest.raises(DataError, match="row 6: the target 'y' has no value"):
        load(tmp_path / "a.parquet", stream=stream)


def test_sources_without_missing_values_take_the_list():
    findings = []
    assert len(load("wine", findings=findings).train)
    assert findings == []
