import json


def test_paces_and_the_verdict_are_told(cli, recipe, tmp_path):
    picture = tmp_path / "timeline.svg"
    code, out, err = cli("timeline", recipe, "--seconds", "0.05", "--svg", picture)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("a step of ")
    assert lines[-2].startswith("asynchronous reading ")
    assert lines[-1] == f"drawn in {picture}"
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    assert not (tmp_path / "runs").exists()


def test_json_is_one_object(cli, recipe):
    code, out, err = cli("timeline", recipe, "--seconds", "0.05", "--json", "--set", "data.prefetch=3")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["recipe"]["data"]["prefetch"] == 3
    assert found["seconds_per_step"] > 0
    assert "reading" in found["verdict"]


def test_an_impossible_time_is_refused(cli, recipe):
    code, out, err = cli("timeline", recipe, "--seconds", "0")
    assert (code, out) == (2, "")
    assert "seconds should be above 0, found 0" in err
