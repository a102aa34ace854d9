import json
import shutil

import pytest

from figures.test_page import require_complete

pytestmark = pytest.mark.slow


def test_a_report_of_a_run_that_is_named(cli, digits_run, tmp_path):
    shutil.copytree(digits_run, tmp_path / "runs" / "first")
    code, out, err = cli("report", "first", "--language", "en")
    assert (code, err) == (0, "")
    assert out == "written to report-first.html\n"
    text = (tmp_path / "report-first.html").read_text(encoding="utf-8")
    require_complete(text)
    assert "<h1>digits: the run first</h1>" in text
    code, out, err = cli("report", "last", "-o", "a.html", "--language", "zh", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"file": "a.html", "bytes": (tmp_path / "a.html").stat().st_size}


def test_a_report_of_a_climb_and_of_the_last_in_a_folder(cli, climb_record, climb_folder, tmp_path):
    code, out, err = cli("report", climb_folder, "--language", "en")
    assert (code, err) == (0, "")
    assert out == f"written to report-{climb_record.stem}.html\n"
    assert "from a baseline to a learning rate of several" in (tmp_path / out.split()[-1]).read_text(encoding="utf-8")


def test_what_has_no_report_is_told(cli, recipe, digits_run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign.json").write_text("{}")
    for arguments, message in (
        ([recipe], "is neither a run nor the record of a climb"),
        (["none"], "is neither a run nor the record of a climb"),
        (["empty"], "empty: has neither run.json, as a run has, nor the record of a climb"),
        (["foreign.json"], "foreign.json: is no record of a climb"),
        ([digits_run, "-o", "none/a.html"], "none/a.html: cannot be written: there is no folder none"),
        ([digits_run, "-o", "empty"], "empty: cannot be written"),
    ):
        code, out, err = cli("report", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert message in err
    assert not list(tmp_path.glob("*.html"))
