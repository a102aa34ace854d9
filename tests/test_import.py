import json
import subprocess
import sys

import pytest

LATER = ("pydantic", "cyclopts", "rich", "PIL", "safetensors", "lzma", "torch", "jax", "scipy", "tomlkit")


@pytest.fixture(scope="module")
def loaded():
    """Names of all modules in a new interpreter after `import treadle`."""
    program = "import json, sys, treadle; print(json.dumps([treadle.__version__, *sys.modules]))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", LATER)
def test_import_leaves_what_is_not_needed_yet(loaded, name):
    assert not [module for module in loaded if module == name or module.startswith(f"{name}.")]


def test_import_gives_the_engine(loaded):
    for name in ("numpy", "treadle.ops", "treadle.nn", "treadle.train", "treadle.data"):
        assert name in loaded


def test_public_names_exist_and_are_sorted():
    import treadle

    assert treadle.__all__ == sorted(set(treadle.__all__))
    assert all(hasattr(treadle, name) for name in treadle.__all__)


def test_commands_load_figures_and_reports_where_they_are_asked_for():
    program = "import json, sys, treadle.cli; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    later = ("treadle.figures", "treadle.report", "matplotlib", "jinja2", "optuna", "scipy.stats")
    assert not set(later) & set(json.loads(done.stdout))
