import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import treadle

ROOT = Path(__file__).parents[1]
# import-linter's command, without the need to know where its script was installed
CODE = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(*arguments, cwd=ROOT):
    command = [sys.executable, "-c", CODE, "--no-cache", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", check=False)


def contracts():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def test_contracts_are_kept():
    done = lint()
    assert done.returncode == 0, done.stdout
    assert f"Contracts: {len(contracts())} kept, 0 broken." in done.stdout


def test_every_module_has_its_layer():
    layers = next(contract["layers"] for contract in contracts() if contract["type"] == "layers")
    named = {name.strip() for layer in layers for name in layer.split(":")}
    assert {f"treadle.{module.name}" for module in pkgutil.iter_modules(treadle.__path__)} - {
        "treadle.__main__"
    } == named


def test_a_broken_contract_is_found(tmp_path):
    """The check itself: a contract that the package breaks."""
    config = tmp_path / "broken.ini"
    config.write_text(
        "[importlinter]\nroot_package = treadle\n\n[importlinter:contract:1]\nname = upside down\n"
        "type = layers\nlayers =\n    treadle.data\n    treadle.cli\n",
        encoding="utf-8",
    )
    done = lint("--config", config)
    assert done.returncode == 1
    assert "0 kept, 1 broken" in done.stdout
