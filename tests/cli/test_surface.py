import json

ARGUMENTS = ["--steps", "12", "--finest", "5", "--samples", "30"]


def test_a_surface_with_paths(cli, recipe, tmp_path):
    picture = tmp_path / "surface.svg"
    code, out, err = cli("surface", recipe, *ARGUMENTS, "--compare", "sgd 0.1", "--svg", picture)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split("  ")[0] == "path"
    assert [line.split(" ")[0] for line in lines[1:3]] == ["Adam(lr=0.01)", "SGD(0.1)"]
    assert lines[4].startswith("5 × 5 losses over 30 training samples")
    assert lines[-1] == f"drawn in {picture}"
    assert "Adam(lr=0.01)" in picture.read_text(encoding="utf-8")
    assert not (tmp_path / "runs").exists()


def test_two_weights_as_json(cli, recipe):
    weights = "linear1.weight[57, 0] linear1.weight[57,1]"
    code, out, err = cli("surface", recipe, *ARGUMENTS, "--directions", weights, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["axes"] == ["linear1.weight[57, 0]", "linear1.weight[57,1]"]
    assert len(found["losses"]) == len(found["losses"][0]) == 5
    assert found["paths"][0]["steps"][-1] == 12
    assert found["recipe"]["optimizer"]["kind"] == "adam"


def test_what_does_not_fit_is_told(cli, recipe):
    for arguments, message in (
        (["--compare", "sgdd 1"], "error: --compare: no optimizer is called 'sgdd': did you mean 'sgd'?"),
        (["--compare", "sgd"], "error: --compare: optimizer 'sgd': missing a required argument: 'lr'"),
        (["--compare", "sgd -1"], "error: --compare: SGD: lr must be at least 0"),
        (["--directions", "down"], "error: directions should be random, pca, or two weights, found 'down'"),
        (["--directions", "foo linear1.weight[0,0] linear1.weight[1,0]"], "error: directions should be random"),
        (["--svg", "none/a.svg"], "error: none/a.svg: cannot be written: there is no folder none"),
        (["--finest", "6"], "error: finest should be one of 5, 9, 17"),
    ):
        code, out, err = cli("surface", recipe, "--steps", "12", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith(message)
