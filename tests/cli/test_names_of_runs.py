"""A run is called by its folder, its name, the beginning of it, or last."""

import pytest


@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_by_name(cli, recipe, tmp_path, command):
    cli("run", recipe)
    (folder,) = (tmp_path / "runs").iterdir()
    told = {cli(command, name) for name in ("last", folder.name, folder.name[:-2], f"runs/{folder.name}")}
    assert len(told) == 1
    code, out, err = told.pop()
    if command == "evaluate":
        assert (code, err) == (0, "")
        assert out.startswith("test: 10 samples")
    else:
        assert (code, err[:20]) == (2, f"error: runs/{folder.name}"[:20])
    code, _, err = cli(command, "2001")
    assert code == 2
    assert "2001" in err
